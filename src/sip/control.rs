//! The control thread: it alone uses PJSIP, and all that happens to a call happens here, one thing after the other.

mod placing;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, TryRecvError, unbounded};
use placing::Waiting;
use tokio::sync::oneshot;

use super::StartError;
use super::active::{ActiveCall, Offer};
use super::connections::Connections;
use super::endpoint::Counters;
use super::locate::{self, Directory, Found, Lookups, Query};
use super::trunk::{Trunk, TrunkSetup};
use crate::audio::dtmf::Digit;
use crate::call::{
    Answered, CallError, CallLog, Command, LocalCause, Signal, SipStatus, TransferOutcome, TransferTarget,
};
use crate::config::{DtmfMethod, Transport};
use crate::pj::{
    CallKey, CallMedia, Clock, Instance, Method, NegotiatedMedia, PinnedStream, PjEvent, Protocol, Waker,
};
use crate::provider::{CapacityLimit, DialError, Shutdown};

/// The longest that a poll waits: limits and time-outs are looked at this often.
const TICK: Duration = Duration::from_millis(50);
/// How often it is looked whether RTP still comes.
const MEDIA_CHECK: Duration = Duration::from_secs(1);
/// How long registrars may take to acknowledge that we leave.
const UNREGISTER: Duration = Duration::from_millis(1500);

/// What handles ask of the control thread.
pub(super) enum Order {
    Dial(Box<DialOrder>),
    Call(CallKey, Command),
    /// Use secrets that were read again. The answer tells which trunks have new ones.
    Renew(Vec<TrunkSetup>, oneshot::Sender<Result<Vec<String>, StartError>>),
    Shutdown(Shutdown, oneshot::Sender<()>),
}

/// A call to be made.
pub(super) struct DialOrder {
    pub(super) key: CallKey,
    /// Index of the trunk.
    pub(super) trunk: usize,
    pub(super) media: Arc<CallMedia>,
    pub(super) log: Arc<CallLog>,
    pub(super) dialer: oneshot::Sender<Result<(), DialError>>,
    pub(super) ring_timeout: Duration,
    pub(super) talk_limit: Duration,
    pub(super) invite: Invite,
}

/// What the INVITE says.
pub(super) struct Invite {
    pub(super) target: String,
    pub(super) from: Option<String>,
    pub(super) headers: Vec<(String, String)>,
}

/// See the [module](self).
///
/// Fields are dropped in the order in which they stand: what pins streams of PJSIP's goes before the clock, whose
/// threads use them, and that before PJSIP.
pub(super) struct Control {
    calls: HashMap<CallKey, ActiveCall>,
    events: Receiver<PjEvent>,
    clock: Clock,
    instance: Instance,
    waker: Waker,
    orders: Receiver<Order>,
    trunks: Vec<Trunk>,
    max_calls: usize,
    by_call_id: HashMap<String, CallKey>,
    connections: Connections,
    directory: Directory,
    lookups: Lookups,
    found: Receiver<Found>,
    /// What goes on when a name has been looked up.
    waiting: Vec<(Query, Waiting)>,
    /// Whether addresses are IPv6.
    ipv6: bool,
    counters: Arc<Counters>,
    media_checked: Instant,
    leaving: Option<Leaving>,
}

/// A shutdown under way.
struct Leaving {
    /// Calls still up then are hung up.
    hang_up_at: Instant,
    hung_up: bool,
    /// Registrations were taken back; their answers are awaited till then.
    unregistering_till: Option<Instant>,
    done: Vec<oneshot::Sender<()>>,
}

/// What the control thread is made of.
pub(super) struct Parts {
    pub(super) clock: Clock,
    pub(super) instance: Instance,
    pub(super) waker: Waker,
    pub(super) orders: Receiver<Order>,
    pub(super) events: Receiver<PjEvent>,
    pub(super) trunks: Vec<Trunk>,
    pub(super) max_calls: usize,
    pub(super) counters: Arc<Counters>,
    /// Name servers to ask instead of the system's.
    pub(super) nameservers: Vec<SocketAddr>,
    pub(super) ipv6: bool,
}

impl Control {
    pub(super) fn new(parts: Parts) -> Self {
        let Parts { clock, instance, waker, orders, events, trunks, max_calls, counters, nameservers, ipv6 } =
            parts;
        let (found_in, found) = unbounded();
        let lookups = Lookups::new(nameservers, found_in, waker.clone());
        Self {
            clock,
            instance,
            waker,
            orders,
            events,
            trunks,
            max_calls,
            calls: HashMap::new(),
            by_call_id: HashMap::new(),
            connections: Connections::default(),
            directory: Directory::default(),
            lookups,
            found,
            waiting: Vec::new(),
            ipv6,
            counters,
            media_checked: Instant::now(),
            leaving: None,
        }
    }

    /// Runs until a shutdown is complete.
    pub(super) fn run(mut self) {
        loop {
            // Cleared before the queues are looked at: what comes after the look wakes the poll below.
            self.waker.acknowledge();
            self.take_events();
            self.take_found();
            self.take_orders();
            self.look_at_the_time();
            if self.has_left() {
                break;
            }
            self.instance.poll(TICK);
        }
        let done = self.leaving.take().map(|leaving| leaving.done).unwrap_or_default();
        // Joins the media threads and destroys PJSUA before anybody is told that it is over.
        drop(self);
        for done in done {
            let _ = done.send(());
        }
    }

    fn take_events(&mut self) {
        while let Ok(event) = self.events.try_recv() {
            self.event(event);
        }
    }

    fn take_orders(&mut self) {
        loop {
            match self.orders.try_recv() {
                Ok(order) => self.order(order),
                Err(TryRecvError::Empty) => return,
                Err(TryRecvError::Disconnected) => {
                    // Nobody is left who could ask for anything: neither endpoint nor call.
                    self.leave(Shutdown::HangUp, None);
                    return;
                }
            }
            // What an order caused is known before the next one: a slot that became free must not be used by two.
            self.take_events();
        }
    }

    fn order(&mut self, order: Order) {
        match order {
            Order::Dial(order) => self.dial(*order),
            Order::Call(key, command) => self.command(key, command),
            Order::Renew(setups, done) => {
                // Nobody waits for the answer any more if it cannot be sent.
                let _ = done.send(self.renew(setups));
            }
            Order::Shutdown(how, done) => self.leave(how, Some(done)),
        }
    }

    fn renew(&mut self, setups: Vec<TrunkSetup>) -> Result<Vec<String>, StartError> {
        let mut renewed = Vec::new();
        for setup in setups {
            let name = setup.name().to_owned();
            let Some(trunk) = self.trunks.iter_mut().find(|trunk| trunk.name() == name) else { continue };
            match trunk.renew(&self.instance, setup) {
                Ok(true) => renewed.push(name),
                Ok(false) => {}
                Err(error) => return Err(StartError::Trunk { trunk: name, detail: error.to_string() }),
            }
        }
        Ok(renewed)
    }

    fn dial(&mut self, order: DialOrder) {
        let mut call = ActiveCall::new(order);
        if let Err(error) = self.admit(&call) {
            return call.refuse(error);
        }
        let key = call.key;
        self.by_call_id.insert(call.id().to_owned(), key);
        self.calls.insert(key, call);
        self.count_calls();
        self.place(Instant::now(), key);
    }

    fn admit(&self, call: &ActiveCall) -> Result<(), DialError> {
        if self.leaving.is_some() {
            return Err(DialError::ShutDown);
        }
        let trunk = &self.trunks[call.trunk];
        if self.calls.len() >= self.max_calls {
            let max = u32::try_from(self.max_calls).unwrap_or(u32::MAX);
            return Err(DialError::AtCapacity { limit: CapacityLimit::Calls, max });
        }
        let on_trunk = self.calls.values().filter(|other| other.trunk == call.trunk).count();
        if let Some(max) = trunk.max_calls().filter(|max| on_trunk >= *max as usize) {
            return Err(DialError::AtCapacity {
                limit: CapacityLimit::TrunkCalls(trunk.name().to_owned()),
                max,
            });
        }
        trunk.refusal().map_or(Ok(()), Err)
    }

    fn event(&mut self, event: PjEvent) {
        let now = Instant::now();
        match event {
            PjEvent::RequestSent { call_id, tag, method: Method::Invite, server, connection } => {
                if let Some(call) = self.call_by_id(&call_id) {
                    call.left_for(server, tag);
                }
                if self.connections.carries(connection, &call_id) {
                    self.sent(now, &call_id);
                }
            }
            PjEvent::RequestSent { .. } => {}
            PjEvent::Resolve { question, host, port, protocol } => {
                let transport = match protocol {
                    Protocol::Udp => Transport::Udp,
                    Protocol::Tcp => Transport::Tcp,
                    Protocol::Tls => Transport::Tls,
                };
                self.resolve(now, question, Query::new(&host, port, transport, self.ipv6));
            }
            PjEvent::Connected(connection) => {
                for call_id in self.connections.connected(connection) {
                    self.sent(now, &call_id);
                }
            }
            PjEvent::ConnectionGone(connection) => self.connections.gone(connection),
            PjEvent::Response {
                call_id,
                tag,
                method,
                code,
                phrase,
                reason,
                retry_after,
                has_sdp,
                secure_media,
            } => {
                if self.call_by_id(&call_id).is_none_or(|call| !call.is_tagged(&tag)) {
                    // Not a call's, or of an attempt that is given up.
                    return;
                }
                let status = SipStatus::new(code, phrase);
                self.response(now, &call_id, method, status, has_sdp, secure_media, (reason, retry_after));
            }
            PjEvent::ByeReceived { call_id, reason } => {
                if let Some(call) = self.call_by_id(&call_id) {
                    call.explained(reason.as_deref(), None);
                    call.bye_received();
                }
            }
            PjEvent::Confirmed { key, media } => self.confirmed(now, key, media),
            PjEvent::Disconnected { key, code, phrase } => self.disconnected(now, key, code, &phrase),
            PjEvent::Stream { key, stream } => self.stream(key, stream),
            PjEvent::MediaState { key, on_hold } => {
                if let Some(call) = self.calls.get_mut(&key) {
                    call.hold(now, on_hold);
                }
            }
            PjEvent::Digit { key, digit } => {
                if let (Some(call), Ok(digit)) = (self.calls.get_mut(&key), Digit::try_from(digit)) {
                    call.signal(now, Signal::Digit(digit));
                }
            }
            PjEvent::TransferStatus { key, code, phrase, last } => {
                if let Some(call) = self.calls.get_mut(&key) {
                    let status = SipStatus::new(code, phrase);
                    let outcome = match code {
                        ..=199 if !last => TransferOutcome::Progress(status),
                        200..=299 => TransferOutcome::Completed(status),
                        _ => TransferOutcome::Failed(status),
                    };
                    call.signal(now, Signal::Transfer(outcome));
                }
            }
            PjEvent::Registration { account, code, phrase, expires, error } => {
                if let Some(trunk) = self.trunks.iter().find(|trunk| trunk.account() == account) {
                    let registrar = trunk.registrar();
                    if let Some(server) =
                        self.directory.last(&registrar).filter(|_| matches!(code, 408 | 503))
                    {
                        // PJSUA tries again by itself, and finds the next one.
                        self.directory.penalise(now, server, locate::PENALTY);
                    }
                    let order = self.directory.order(&registrar);
                    let lost = self.connections.failure(|failure| {
                        trunk.is_reached_by(&failure.remote.0)
                            || failure.address.is_some_and(|address| order.contains(&address))
                    });
                    trunk.registered(code, phrase, expires, lost.or(error));
                }
            }
            PjEvent::TransportFailed(failure) => self.connections.failed(now, failure),
            PjEvent::Refused { reason } => self.counters.refused(reason),
            PjEvent::Panicked { callback, message } => {
                tracing::error!(target: "outdial::sip", callback, message, "a callback panicked; please report it");
                self.counters.panicked();
            }
        }
    }

    /// An INVITE is on its way.
    fn sent(&mut self, now: Instant, call_id: &str) {
        let abandoned = self.call_by_id(call_id).is_some_and(|call| !call.sent(now));
        if abandoned {
            self.end_by_id(call_id, LocalCause::Hangup);
        }
    }

    #[expect(clippy::too_many_arguments, reason = "one event, taken apart")]
    fn response(
        &mut self,
        now: Instant,
        call_id: &str,
        method: Method,
        status: SipStatus,
        has_sdp: bool,
        secure_media: bool,
        (reason, retry_after): (Option<String>, Option<u32>),
    ) {
        let Some(key) = self.by_call_id.get(call_id).copied() else { return };
        let Some(call) = self.calls.get_mut(&key) else { return };
        let srtp_required = self.trunks[call.trunk].requires_srtp();
        let last = status.code >= 200;
        match method {
            Method::Invite => {
                if last && !call.is_answered() {
                    call.explained(reason.as_deref(), retry_after);
                }
                if srtp_required && has_sdp && !secure_media && (180..300).contains(&status.code) {
                    let detail =
                        "the callee's end answered without SRTP, which this trunk requires".to_owned();
                    call.blame(LocalCause::SrtpRefused, Some(detail));
                }
                let answered = (200..300).contains(&status.code);
                if status.code == 491 {
                    // Both ends offered at once (RFC 3261 §14.1): the owner of the Call-ID waits 2.1 to 4 s.
                    call.offer_again_at(now + Duration::from_millis(rand::random_range(210..=400) * 10));
                }
                call.response(now, status, has_sdp);
                // After our CANCEL a refusal is the far end's last word; a 200 that crossed it is followed by BYE.
                if last && !answered && call.is_ending() && call.slot.is_none() {
                    self.conclude(now, key);
                }
            }
            Method::Bye if last && call.is_ending() => self.conclude(now, key),
            _ => {}
        }
    }

    fn confirmed(&mut self, now: Instant, key: CallKey, media: Option<NegotiatedMedia>) {
        let Some(call) = self.calls.get_mut(&key) else { return };
        let srtp_required = self.trunks[call.trunk].requires_srtp();
        let Some(media) = media else {
            if !call.is_described() {
                let detail = "the callee's end answered without describing any media".to_owned();
                return self.end(key, LocalCause::MediaSetup, Some(detail));
            }
            // An answer that is `inactive`, or has the address 0.0.0.0: answered, and put on hold at once.
            call.media.mark_answered();
            let answered = Answered { codec: "none".to_owned(), srtp: None, remote: None };
            call.signal(now, Signal::Answered(answered));
            return call.hold(now, true);
        };
        // PJSIP refuses this itself; a call in the clear against the operator's word would be the worst of faults.
        if srtp_required && media.srtp.is_none() {
            let detail = "the callee's end would not encrypt, which this trunk requires".to_owned();
            return self.end(key, LocalCause::SrtpRefused, Some(detail));
        }
        call.media.mark_answered();
        let answered =
            Answered { codec: media.codec.clone(), srtp: media.srtp.clone(), remote: media.remote };
        call.negotiated(media);
        call.signal(now, Signal::Answered(answered));
    }

    fn stream(&mut self, key: CallKey, stream: PinnedStream) {
        let Some(call) = self.calls.get_mut(&key).filter(|call| !call.is_ending()) else { return };
        let stream = Arc::new(stream);
        let on_clock = self.clock.add(Arc::clone(&stream), Arc::clone(&call.media));
        call.streams(stream, on_clock);
    }

    /// PJSUA is done with a call; its slot may be another's from now on.
    fn disconnected(&mut self, now: Instant, key: CallKey, code: u16, phrase: &str) {
        self.instance.forget_call(key);
        let Some(call) = self.calls.get_mut(&key) else { return };
        call.slot = None;
        if self.goes_elsewhere(now, key, code) {
            return;
        }
        let Some(call) = self.calls.get_mut(&key) else { return };
        if call.is_unsent() {
            let detail = self.failure_of_call(key).unwrap_or_else(|| format!("{code} {phrase}"));
            return self.refuse(key, detail, None);
        }
        if call.is_ending() {
            // PJSUA says so before CANCEL or BYE is on the wire. The last word is the far end's; without any sign of
            // it there is nobody to wait for.
            let refused = call.facts().final_status.as_ref().is_some_and(|status| status.code >= 300);
            if refused {
                self.conclude(now, key);
            }
            return;
        }
        self.explain_disconnect(key, code, phrase);
        self.conclude(now, key);
    }

    /// Finds out why PJSUA gave a call up, where the wire does not say it.
    fn explain_disconnect(&mut self, key: CallKey, code: u16, phrase: &str) {
        let Some(call) = self.calls.get(&key) else { return };
        let facts = call.facts();
        if facts.bye_from_remote || facts.local.is_some() {
            return;
        }
        let final_code = facts.final_status.as_ref().map(|status| status.code);
        let answered = call.is_answered();
        let lost = self.failure_of_call(key);
        let (cause, detail) = match (final_code, code) {
            (Some(401 | 407), _) if !answered => {
                let detail = self.trunks[call.trunk].credentials_failed().to_owned();
                (LocalCause::AuthFailed, detail)
            }
            // Refused by the far end: it has said all there is to say.
            (Some(300..), _) if !answered => return,
            (Some(200..=299), _) if !answered => {
                let detail = format!("the callee's answer could not be used: {code} {phrase}");
                let agreed = !matches!(code, 406 | 415 | 416 | 488);
                (if agreed { LocalCause::MediaSetup } else { LocalCause::NoCommonCodec }, detail)
            }
            (_, 408) => (LocalCause::NoResponse, "no response came in time".to_owned()),
            (_, 502) => (LocalCause::DnsFailed, "the trunk's host name did not resolve".to_owned()),
            (_, 503) => (
                LocalCause::TransportFailed,
                lost.unwrap_or_else(|| format!("the connection failed: {phrase}")),
            ),
            _ => (LocalCause::Internal, format!("{code} {phrase}")),
        };
        if let Some(call) = self.calls.get_mut(&key) {
            call.blame(cause, Some(detail));
        }
    }

    fn command(&mut self, key: CallKey, command: Command) {
        let Some(call) = self.calls.get(&key) else { return };
        let (slot, answered) = (call.slot, call.is_answered());
        let trunk = &self.trunks[call.trunk];
        // A reply that is dropped says that the call has ended.
        let (reply, result) = match command {
            Command::Hangup => return self.end(key, LocalCause::Hangup, None),
            Command::End { cause, detail } => return self.end(key, cause, Some(detail)),
            Command::Dtmf { reply, .. } | Command::Hold { reply } | Command::Resume { reply }
                if !answered =>
            {
                (reply, Err(CallError::NotAnswered))
            }
            Command::Transfer { reply, .. } if !answered => (reply, Err(CallError::NotAnswered)),
            Command::Dtmf { digits, reply } => {
                let digits: String = digits.iter().map(Digit::to_string).collect();
                let Some(slot) = slot else { return };
                (
                    reply,
                    match trunk.dtmf() {
                        DtmfMethod::Rfc4733 => self.instance.send_telephone_events(slot, &digits),
                        DtmfMethod::Info => self.instance.send_info_digits(slot, &digits),
                    }
                    .map_err(|error| CallError::Failed(error.text)),
                )
            }
            Command::Hold { reply } => (reply, self.offer(key, Offer::Hold)),
            Command::Resume { reply } => (reply, self.offer(key, Offer::Resume)),
            Command::Transfer { target, reply } => {
                let Some(slot) = slot else { return };
                let target = match target {
                    TransferTarget::Number(number) => trunk.request_uri(&number),
                    TransferTarget::Uri(uri) => uri,
                };
                (reply, self.instance.transfer(slot, &target).map_err(|error| CallError::Failed(error.text)))
            }
        };
        let _ = reply.send(result);
    }

    /// Sends a re-INVITE that holds or resumes.
    fn offer(&mut self, key: CallKey, offer: Offer) -> Result<(), CallError> {
        let call = self.calls.get_mut(&key).ok_or(CallError::Ended)?;
        let slot = call.slot.ok_or(CallError::Ended)?;
        call.offered(offer);
        let sent = match offer {
            Offer::Hold => self.instance.hold(slot),
            Offer::Resume => self.instance.resume(slot),
        };
        sent.map_err(|error| CallError::Failed(error.text))
    }

    /// Ends a call for a reason of ours.
    fn end(&mut self, key: CallKey, cause: LocalCause, detail: Option<String>) {
        let now = Instant::now();
        let Some(call) = self.calls.get_mut(&key) else { return };
        call.blame(cause, detail);
        if call.is_ending() {
            return;
        }
        call.ending(now);
        match call.slot {
            Some(slot) => {
                if let Err(error) = self.instance.hang_up(slot) {
                    tracing::debug!(target: "outdial::sip", %error, "hang-up refused: the call is over already");
                }
            }
            None => self.conclude(now, key),
        }
    }

    fn end_by_id(&mut self, call_id: &str, cause: LocalCause) {
        if let Some(key) = self.by_call_id.get(call_id).copied() {
            self.end(key, cause, None);
        }
    }

    fn conclude(&mut self, now: Instant, key: CallKey) {
        if let Some(call) = self.remove(key) {
            call.conclude(now);
        }
    }

    fn remove(&mut self, key: CallKey) -> Option<ActiveCall> {
        let call = self.calls.remove(&key)?;
        self.by_call_id.remove(call.id());
        self.count_calls();
        Some(call)
    }

    fn call_by_id(&mut self, call_id: &str) -> Option<&mut ActiveCall> {
        let key = self.by_call_id.get(call_id)?;
        self.calls.get_mut(key)
    }

    fn count_calls(&self) {
        self.counters.calls(self.calls.len(), self.instance.active_calls(), self.clock.stats());
    }

    /// Why the connection that a call was to take failed.
    fn failure_of_call(&self, key: CallKey) -> Option<String> {
        let call = self.calls.get(&key)?;
        let trunk = &self.trunks[call.trunk];
        self.connections.failure(|failure| match (failure.address, call.server()) {
            (Some(failed), Some(server)) => failed == server,
            _ => trunk.is_reached_by(&failure.remote.0),
        })
    }

    fn look_at_the_time(&mut self) {
        let now = Instant::now();
        let check_media = now.duration_since(self.media_checked) >= MEDIA_CHECK;
        if check_media {
            self.media_checked = now;
            self.count_calls();
        }
        let mut overdue = Vec::new();
        let mut limited = Vec::new();
        let mut offers = Vec::new();
        for call in self.calls.values_mut() {
            offers.extend(call.offer_due(now).map(|offer| (call.key, offer)));
            if call.is_overdue(now) {
                overdue.push(call.key);
            } else if let Some(limit) = call.limit_reached(now) {
                limited.push((call.key, limit));
            } else if let Some(timeout) = self.trunks[call.trunk].media_timeout().filter(|_| check_media) {
                call.watch_media(now, timeout);
            }
        }
        for key in overdue {
            self.conclude(now, key);
        }
        for (key, offer) in offers {
            if let Err(error) = self.offer(key, offer) {
                tracing::debug!(target: "outdial::sip", %error, "an offer was not sent again");
            }
        }
        for (key, limit) in limited {
            self.end(key, limit, None);
        }
        self.go_on_leaving(now);
    }

    fn leave(&mut self, how: Shutdown, done: Option<oneshot::Sender<()>>) {
        let now = Instant::now();
        let hang_up_at = match how {
            Shutdown::HangUp => now,
            Shutdown::Drain(longest) => now + longest,
        };
        let leaving = self.leaving.get_or_insert(Leaving {
            hang_up_at,
            hung_up: false,
            unregistering_till: None,
            done: Vec::new(),
        });
        leaving.hang_up_at = leaving.hang_up_at.min(hang_up_at);
        leaving.done.extend(done);
    }

    fn go_on_leaving(&mut self, now: Instant) {
        let Some(leaving) = &mut self.leaving else { return };
        if now >= leaving.hang_up_at && !leaving.hung_up {
            leaving.hung_up = true;
            let keys: Vec<CallKey> = self.calls.keys().copied().collect();
            for key in keys {
                self.end(key, LocalCause::Shutdown, None);
            }
        } else if self.calls.is_empty() && leaving.unregistering_till.is_none() {
            leaving.unregistering_till = Some(now + UNREGISTER);
            for trunk in self.trunks.iter().filter(|trunk| trunk.is_registered()) {
                if let Err(error) = self.instance.set_registration(trunk.account(), false) {
                    tracing::debug!(target: "outdial::sip", %error, trunk = trunk.name(), "not unregistered");
                }
            }
        }
    }

    fn has_left(&self) -> bool {
        let Some(till) = self.leaving.as_ref().and_then(|leaving| leaving.unregistering_till) else {
            return false;
        };
        // A call is over for us before its CANCEL or BYE is answered: PJSIP must see to that before it goes.
        let silent = self.instance.active_calls() == 0 && !self.trunks.iter().any(Trunk::is_registered);
        silent || Instant::now() >= till
    }
}
