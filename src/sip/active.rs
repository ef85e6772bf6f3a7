//! A call as the control thread keeps it, from the order to dial until its `Ended`.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::control::{DialOrder, Invite};
use super::moving::{Moving, Succession};
use crate::call::{
    CallId, CallLog, CallMachine, EndFacts, Ending, LocalCause, MediaStats, Signal, SipStatus, mos,
    parse_reason,
};
use crate::pj::{
    CallKey, CallMedia, CallSlot, NegotiatedMedia, OnClock, PinnedStream, QueueCounters, StreamStats,
};
use crate::provider::{Departure, DialError};

/// How long a call that we end may wait for the far end's last word: as long as it takes a request to be sent again
/// four times (RFC 3261 §17.1.2.2, T2).
const LAST_WORD: Duration = Duration::from_secs(4);

/// How long the far end of a call that was transferred may take to hang up by itself, as most do at once.
const GOODBYE: Duration = Duration::from_secs(2);

/// See the [module](self).
pub(super) struct ActiveCall {
    pub(super) key: CallKey,
    pub(super) trunk: usize,
    pub(super) slot: Option<CallSlot>,
    pub(super) media: Arc<CallMedia>,
    log: Arc<CallLog>,
    /// What its INVITE says, whichever server it goes to.
    pub(super) invite: Invite,
    attempt: Attempt,
    machine: CallMachine,
    /// Who waits for the INVITE to leave.
    dialer: Option<oneshot::Sender<Result<(), DialError>>>,
    stream: Option<(Arc<PinnedStream>, OnClock)>,
    /// Counters of the streams that a re-INVITE replaced.
    replaced: StreamStats,
    negotiated: Option<NegotiatedMedia>,
    facts: EndFacts,
    /// Whether the callee's end described any media so far, and then whether it spoke of SRTP.
    described: Option<bool>,
    detail: Option<String>,
    /// What the far end says of its refusal.
    warning: Option<String>,
    ring_timeout: Duration,
    talk_limit: Duration,
    /// We ended it, and wait till then at most for the far end's last word.
    last_word_by: Option<Instant>,
    /// It was transferred, and we let go of it then if the far end has not done so.
    let_go_at: Option<Instant>,
    /// The latest offer of ours within the call.
    offer: Option<Offer>,
    /// When it is made again, after it met one of the callee's.
    offer_again_at: Option<Instant>,
    watch: Watch,
    /// Who answers for it.
    pub(super) departure: Departure,
    pub(super) succession: Succession,
}

/// A re-INVITE that the application asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Offer {
    Hold,
    Resume,
}

/// Where the INVITE goes.
#[derive(Default)]
struct Attempt {
    /// The server that it went to, or goes to.
    server: Option<SocketAddr>,
    /// The tag of its From: what comes for an earlier attempt does not count.
    tag: Option<String>,
    /// It answers a challenge.
    authorized: bool,
    /// Servers that failed.
    tried: Vec<SocketAddr>,
    /// A 3xx was followed, to a server that the trunk's name does not stand for.
    redirected: bool,
}

/// Whether RTP still comes.
#[derive(Default)]
struct Watch {
    packets: u64,
    since: Option<Instant>,
    on_hold: bool,
}

impl ActiveCall {
    pub(super) fn new(order: DialOrder) -> Self {
        let DialOrder { key, trunk, media, log, dialer, ring_timeout, talk_limit, invite, departure, .. } =
            order;
        Self {
            key,
            trunk,
            slot: None,
            media,
            log,
            invite,
            attempt: Attempt::default(),
            machine: CallMachine::default(),
            dialer: Some(dialer),
            stream: None,
            replaced: StreamStats::default(),
            negotiated: None,
            facts: EndFacts::default(),
            described: None,
            detail: None,
            warning: None,
            ring_timeout,
            talk_limit,
            last_word_by: None,
            let_go_at: None,
            offer: None,
            offer_again_at: None,
            watch: Watch::default(),
            departure,
            succession: Succession::default(),
        }
    }

    /// The Call-ID.
    pub(super) fn id(&self) -> &str {
        self.log.id().as_str()
    }

    /// The same, as handles have it.
    pub(super) fn call_id(&self) -> &CallId {
        self.log.id()
    }

    /// Takes a signal to the log.
    pub(super) fn signal(&mut self, now: Instant, signal: Signal) {
        let events = self.machine.apply(now, signal);
        if !events.is_empty() {
            self.log.append(events);
        }
    }

    /// The INVITE goes to this server, which is another one than those before.
    pub(super) fn goes_to(&mut self, server: SocketAddr) {
        let tried = std::mem::take(&mut self.attempt.tried);
        self.attempt = Attempt { server: Some(server), tried, ..Attempt::default() };
        let EndFacts { final_status, q850, retry_after, .. } = &mut self.facts;
        (*final_status, *q850, *retry_after) = (None, None, None);
        self.described = None;
        self.warning = None;
    }

    /// The INVITE was handed to a transport, with this tag in From.
    pub(super) fn left_for(&mut self, server: Option<SocketAddr>, tag: String, authorized: bool) {
        self.attempt.authorized = authorized;
        self.attempt.server = server.or(self.attempt.server);
        self.attempt.tag = Some(tag);
    }

    /// Whether a message with this tag is of the attempt that counts.
    pub(super) fn is_tagged(&self, tag: &str) -> bool {
        self.attempt.tag.as_deref() == Some(tag)
    }

    /// The server failed. Returns it, if it is one that the trunk's name stands for.
    pub(super) fn server_failed(&mut self) -> Option<SocketAddr> {
        let server = self.attempt.server.filter(|_| !self.attempt.redirected)?;
        self.attempt.tried.push(server);
        Some(server)
    }

    /// The servers that failed.
    pub(super) fn tried(&self) -> &[SocketAddr] {
        &self.attempt.tried
    }

    /// The server that it went to, or goes to.
    pub(super) fn server(&self) -> Option<SocketAddr> {
        self.attempt.server
    }

    /// Whether whoever dialled stopped waiting before there was a call.
    pub(super) fn is_abandoned(&self) -> bool {
        self.dialer.as_ref().is_some_and(oneshot::Sender::is_closed)
    }

    /// The INVITE left. Returns false when nobody waits for the call any more.
    pub(super) fn sent(&mut self, now: Instant) -> bool {
        if !self.is_answered() {
            // It goes out again: the challenge or the redirection before it was not the far end's last word.
            self.facts.final_status = None;
        }
        self.signal(now, Signal::Sent);
        self.dialer.take().is_none_or(|dialer| dialer.send(Ok(())).is_ok())
    }

    /// The call never existed on the wire: tells who waits.
    pub(super) fn refuse(&mut self, error: DialError) {
        if let Some(dialer) = self.dialer.take() {
            // A dialer who stopped waiting needs no answer.
            let _ = dialer.send(Err(error));
        }
    }

    /// Whether the INVITE has not left yet.
    pub(super) fn is_unsent(&self) -> bool {
        self.machine.sent_at().is_none()
    }

    /// Whether the callee's end answered our offer with a description of its own.
    pub(super) fn is_described(&self) -> bool {
        self.described.is_some()
    }

    /// Whether it spoke of SRTP there.
    pub(super) fn is_described_with_srtp(&self) -> bool {
        self.described == Some(true)
    }

    /// Whether the last INVITE answered a challenge.
    pub(super) fn is_authorized(&self) -> bool {
        self.attempt.authorized
    }

    /// Whether sound is held back.
    pub(super) fn is_on_hold(&self) -> bool {
        self.watch.on_hold
    }

    /// Whether a response said that the callee's end was reached.
    pub(super) fn has_rung(&self) -> bool {
        self.machine.reached()
    }

    /// Whether the callee picked up.
    pub(super) fn is_answered(&self) -> bool {
        self.machine.answered_at().is_some()
    }

    /// A response to an INVITE; one that describes media says whether it speaks of SRTP.
    pub(super) fn response(&mut self, now: Instant, status: SipStatus, described: Option<bool>) {
        self.described = described.or(self.described);
        self.attempt.redirected |= (300..400).contains(&status.code);
        if status.code < 200 {
            self.signal(now, Signal::Provisional { media: described.is_some() && status.code > 100, status });
        } else if !self.is_answered() {
            // A challenge that we answer is followed by another final response, which takes its place.
            self.facts.final_status = Some(status);
        }
    }

    /// The Reason and Retry-After headers of a final response or a BYE.
    pub(super) fn explained(&mut self, reason: Option<&str>, retry_after: Option<u32>) {
        self.facts.q850 =
            reason.and_then(|reason| parse_reason(reason.as_bytes())).or(self.facts.q850.take());
        self.facts.retry_after =
            retry_after.map(|seconds| Duration::from_secs(seconds.into())).or(self.facts.retry_after);
    }

    /// The Warning headers of a final response.
    pub(super) fn warned(&mut self, warning: Option<String>) {
        self.warning = warning.map(|text| format!("the far end warns: {text}"));
    }

    /// The callee hung up.
    pub(super) fn bye_received(&mut self) {
        if self.facts.local.is_none() {
            self.facts.bye_from_remote = true;
        }
    }

    /// Why the call will end, if nothing else did so before.
    pub(super) fn blame(&mut self, cause: LocalCause, detail: Option<String>) {
        if self.facts.local.is_none() {
            self.facts.local = Some(cause);
            self.detail = detail.or(self.detail.take());
        }
    }

    /// What led to the end so far.
    pub(super) fn facts(&self) -> &EndFacts {
        &self.facts
    }

    pub(super) fn facts_mut(&mut self) -> &mut EndFacts {
        &mut self.facts
    }

    /// Whether it was moved, and the far end had its time to hang up.
    pub(super) fn lets_go(&mut self, now: Instant) -> bool {
        let moved = matches!(self.succession.moving, Moving::Moved(_));
        moved && self.let_go_at.take_if(|at| now >= *at).is_some()
    }

    /// The call has a stream, or a new one after a re-INVITE.
    pub(super) fn streams(&mut self, stream: Arc<PinnedStream>, on_clock: OnClock) {
        self.put_away_stream();
        self.stream = Some((stream, on_clock));
        self.watch = Watch { on_hold: self.watch.on_hold, ..Watch::default() };
    }

    pub(super) fn put_away_stream(&mut self) {
        if let Some((stream, _on_clock)) = self.stream.take() {
            self.replaced = self.replaced.and(&stream.stats());
        }
    }

    /// What the answer settled.
    pub(super) fn negotiated(&mut self, media: NegotiatedMedia) {
        self.negotiated = Some(media);
    }

    /// Sound is, or is no longer, held back.
    pub(super) fn hold(&mut self, now: Instant, on: bool) {
        self.watch.on_hold = on;
        self.signal(now, Signal::Hold(on));
    }

    /// The callee talks with somebody else now: who asked for it says goodbye (RFC 5589 §6.1), unless the far end does.
    pub(super) fn transferred(&mut self, now: Instant) {
        self.let_go_at.get_or_insert(now + GOODBYE);
    }

    /// An offer of ours is on its way.
    pub(super) fn offered(&mut self, offer: Offer) {
        self.offer = Some(offer);
        self.offer_again_at = None;
    }

    /// The offer was refused for the moment.
    pub(super) fn offer_again_at(&mut self, at: Instant) {
        self.offer_again_at = self.offer.map(|_| at);
    }

    /// The offer that is to be made again now.
    pub(super) fn offer_due(&mut self, now: Instant) -> Option<Offer> {
        self.offer_again_at.take_if(|at| now >= *at)?;
        self.offer
    }

    /// We ended it: from here on it waits for the far end's last word.
    pub(super) fn ending(&mut self, now: Instant) {
        self.last_word_by.get_or_insert(now + LAST_WORD);
    }

    /// Whether we ended it.
    pub(super) fn is_ending(&self) -> bool {
        self.last_word_by.is_some()
    }

    /// Whether the far end had its time for a last word.
    pub(super) fn is_overdue(&self, now: Instant) -> bool {
        self.last_word_by.is_some_and(|by| now >= by)
    }

    /// The limit that the call has reached, if any.
    pub(super) fn limit_reached(&self, now: Instant) -> Option<LocalCause> {
        if self.is_ending() {
            return None;
        }
        if self.let_go_at.is_some_and(|at| now >= at) && self.succession.moving == Moving::No {
            return Some(LocalCause::Hangup);
        }
        match (self.machine.sent_at(), self.machine.answered_at()) {
            (_, Some(answered)) => (now >= answered + self.talk_limit).then_some(LocalCause::TalkLimit),
            (Some(sent), None) => (now >= sent + self.ring_timeout).then_some(LocalCause::RingTimeout),
            (None, None) => None,
        }
    }

    /// Looks whether RTP still comes, against the trunk's time-out. Returns whether it has stopped, where that is news.
    pub(super) fn watch_media(&mut self, now: Instant, timeout: Duration) -> Option<bool> {
        let (stream, _) = self.stream.as_ref().filter(|_| self.is_answered())?;
        let packets = stream.stats().packets_received;
        let since = *self.watch.since.get_or_insert(now);
        if packets != self.watch.packets || self.watch.on_hold {
            self.watch = Watch { packets, since: Some(now), ..self.watch };
            self.signal(now, Signal::Stalled(false));
            Some(false)
        } else if now >= since + timeout {
            self.signal(now, Signal::Stalled(true));
            Some(true)
        } else {
            None
        }
    }

    /// Ends the call: its one `Ended`.
    pub(super) fn conclude(mut self, now: Instant) {
        self.put_away_stream();
        let queues = self.media.close();
        let media = self.negotiated.take().map(|negotiated| self.media_stats(negotiated, queues));
        let ending =
            Ending { facts: self.facts.clone(), detail: self.detail.take().or(self.warning.take()), media };
        self.signal(now, Signal::Ended(Box::new(ending)));
    }

    fn media_stats(&self, negotiated: NegotiatedMedia, queues: QueueCounters) -> MediaStats {
        let counted = self.replaced;
        let expected = counted.packets_received + counted.lost;
        let percent =
            |part: u64, whole: u64| if whole == 0 { 0.0 } else { 100.0 * part as f32 / whole as f32 };
        let heard = counted.packets_received.saturating_sub(counted.discarded);
        let unheard = percent(counted.unheard, heard + counted.unheard);
        // One way: half the round trip, the jitter buffer, a packet at each end.
        let delay = counted.round_trip_ms.unwrap_or_default() / 2.0 + 2.0 * counted.jitter_mean_ms + 60.0;
        MediaStats {
            mos: (counted.packets_received > 0).then(|| mos(&negotiated.codec, unheard, delay)),
            codec: negotiated.codec,
            srtp: negotiated.srtp,
            packets_sent: counted.packets_sent,
            bytes_sent: counted.bytes_sent,
            packets_received: counted.packets_received,
            bytes_received: counted.bytes_received,
            packets_lost: counted.lost,
            packets_discarded: counted.discarded,
            loss_received_percent: percent(counted.lost, expected),
            loss_sent_percent: counted.lost_at_peer.map(|lost| percent(lost, counted.packets_sent)),
            jitter_mean_ms: counted.jitter_mean_ms,
            jitter_max_ms: counted.jitter_max_ms,
            round_trip_ms: counted.round_trip_ms,
            underruns: queues.underruns,
            frames_dropped: queues.frames_dropped,
        }
    }
}
