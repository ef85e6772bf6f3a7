//! A call as its task keeps it, from its order's acceptance until its `Ended`.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::line::News;
use super::media::{Ended, StreamEnd};
use super::ordering::Parts;
use super::price::follow_price;
use super::provider::NAME;
use super::rest::{Failure, Outcome};
use super::retry::Answer;
use super::status::{CallStatus, Report};
use crate::call::{
    Answered, CallError, CallLog, CallMachine, Command, EndFacts, Ending, LocalCause, MediaStats, Signal,
    SipStatus,
};

/// How long a call that we end may wait for Twilio's last word, as long as on a SIP trunk.
const LAST_WORD: Duration = Duration::from_secs(4);
/// How long the media stream may take from the answer on.
const STREAM: Duration = Duration::from_secs(10);
/// How long a stream that we close may take to end.
const STREAM_END: Duration = Duration::from_secs(1);
/// When nothing was heard of a call for so long, it is asked for: a callback may have been lost.
const SILENCE: Duration = Duration::from_secs(15);

/// How the media stream stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum StreamState {
    Awaited,
    Open,
    Over,
}

/// See the [module](self).
pub(super) struct ActiveCall {
    parts: Parts,
    log: Arc<CallLog>,
    machine: CallMachine,
    facts: EndFacts,
    detail: Option<String>,
    stream: StreamState,
    media: Option<MediaStats>,
    /// When anything was last heard of the call, or asked.
    heard_at: Instant,
    /// We ended it, or its stream is over: Twilio's last word is awaited till then.
    last_word_by: Option<Instant>,
    /// Twilio has said its last word; only the stream has to end, till then at most.
    stream_end_by: Option<Instant>,
    /// The last word has been asked for.
    asked: bool,
}

impl ActiveCall {
    /// A call that exists, and of which nothing is known yet.
    pub(super) fn new(parts: Parts, log: Arc<CallLog>) -> Self {
        Self {
            parts,
            log,
            machine: CallMachine::default(),
            facts: EndFacts::default(),
            detail: None,
            stream: StreamState::Awaited,
            media: None,
            heard_at: Instant::now(),
            last_word_by: None,
            stream_end_by: None,
            asked: false,
        }
    }

    /// Sees to it until its end.
    pub(super) async fn live(mut self) {
        while !self.is_over() {
            let till = self.next_look();
            tokio::select! {
                news = self.parts.inbox.recv() => match news {
                    Some(news) => self.news(news),
                    // The line holds a sender, and we hold the line.
                    None => break,
                },
                () = tokio::time::sleep_until(till.into()) => self.look_at_the_time(Instant::now()),
            }
        }
        self.conclude();
    }

    fn news(&mut self, news: News) {
        match news {
            News::Command(command) => self.command(command),
            News::End(cause) => self.end(cause, None),
            News::Report(report) => self.report(&report),
            News::Looked(outcome) => self.looked(outcome),
            News::StreamBegan => {
                self.stream = StreamState::Open;
                self.answered(Instant::now());
            }
            News::Digit(digit) => self.signal(Signal::Digit(digit)),
            News::Stalled(on) => self.signal(Signal::Stalled(on)),
            News::StreamEnded(end) => self.stream_ended(end),
        }
    }

    fn command(&mut self, command: Command) {
        let (reply, what) = match command {
            Command::Hangup => return self.end(LocalCause::Hangup, None),
            Command::End { cause, detail } => return self.end(cause, Some(detail)),
            Command::Dtmf { reply, .. } => (reply, "sending key presses"),
            Command::Hold { reply } => (reply, "hold"),
            Command::Resume { reply } => (reply, "resuming from hold"),
            Command::Transfer { reply, .. } => (reply, "transfer"),
        };
        let _ = reply.send(Err(CallError::Unsupported { what, provider: NAME }));
    }

    pub(super) fn signal(&mut self, signal: Signal) {
        self.signal_at(Instant::now(), signal);
    }

    fn signal_at(&mut self, now: Instant, signal: Signal) {
        let events = self.machine.apply(now, signal);
        if !events.is_empty() {
            self.log.append(events);
        }
    }

    fn answered(&mut self, at: Instant) {
        let answered = Answered { codec: "PCMU/8000".to_owned(), srtp: None, remote: None };
        self.signal_at(at, Signal::Answered(answered));
    }

    /// Twilio said how the call stands.
    pub(super) fn report(&mut self, report: &Report) {
        let now = Instant::now();
        self.heard_at = now;
        let provisional =
            |code, phrase| Signal::Provisional { status: SipStatus::new(code, phrase), media: false };
        match report.status {
            CallStatus::Queued => {}
            CallStatus::Initiated => self.signal(provisional(100, "initiated")),
            CallStatus::Ringing => self.signal(provisional(180, "ringing")),
            CallStatus::InProgress => self.answered(now),
            status if status.is_final() => self.last_word(now, report),
            _ => {}
        }
    }

    fn last_word(&mut self, now: Instant, report: &Report) {
        if self.stream_end_by.is_some() {
            return;
        }
        let talked = report.duration.unwrap_or_default();
        let was_up =
            report.status == CallStatus::Completed && (self.facts.local.is_none() || !talked.is_zero());
        if was_up && self.machine.answered_at().is_none() {
            // Its callback was lost, or is behind this one.
            let sent = self.machine.sent_at().unwrap_or(now);
            self.answered(now.checked_sub(talked).map_or(sent, |at| at.max(sent)));
        }
        if was_up && self.facts.local.is_none() && self.stream == StreamState::Awaited {
            let words = "the call ended before Twilio had opened the media stream; if every call does, see whether \
                         public_url leads here from outside";
            self.blame(LocalCause::MediaSetup, Some(words.to_owned()));
        }
        report.explain(&mut self.facts, self.machine.reached());
        if self.detail.is_none() {
            self.detail = report.detail();
        }
        self.parts.line.close();
        self.stream_end_by = Some(now + STREAM_END);
    }

    /// What became of a request about the call.
    fn looked(&mut self, outcome: Outcome) {
        match outcome {
            Outcome::Call(call) => {
                if let Some(report) = call.report() {
                    self.report(&report);
                }
            }
            Outcome::Failed(failure) => {
                tracing::warn!(
                    target: "outdial::twilio", call = %self.log.id(), detail = failure.detail,
                    "Twilio did not answer a question about a call"
                );
            }
        }
    }

    fn stream_ended(&mut self, end: StreamEnd) {
        self.stream = StreamState::Over;
        self.media = Some(end.stats);
        match end.how {
            Ended::Closed => {}
            // The callee hung up, which the callback will say, or something else took the call from us.
            Ended::Stopped => {
                self.last_word_by.get_or_insert(Instant::now() + LAST_WORD);
            }
            Ended::Broken(detail) => self.end(LocalCause::TransportFailed, Some(detail)),
        }
    }

    /// Why the call will end, if nothing else did so before.
    fn blame(&mut self, cause: LocalCause, detail: Option<String>) {
        if self.facts.local.is_none() {
            self.facts.local = Some(cause);
            self.detail = detail.or(self.detail.take());
        }
    }

    /// Ends the call for a reason of ours.
    pub(super) fn end(&mut self, cause: LocalCause, detail: Option<String>) {
        if self.facts.local.is_some() || self.stream_end_by.is_some() {
            return;
        }
        self.blame(cause, detail);
        self.last_word_by = Some(Instant::now() + LAST_WORD);
        // Without its stream Twilio has nothing left to do and hangs up by itself; the request says so outright.
        self.parts.line.close();
        let (rest, line, sid) = (Arc::clone(&self.parts.rest), self.parts.line.news(), self.sid());
        let provider = Arc::clone(&self.parts.provider);
        // It outlives the call: what costs money must not go on because Twilio did not answer at once.
        tokio::spawn(async move {
            let outcome = rest.end(&sid).await;
            match &outcome {
                Outcome::Call(_) => {}
                // Twilio ends no call that is over.
                Outcome::Failed(Failure { answer: Answer::Status { code: 400..=499, .. }, detail }) => {
                    tracing::debug!(target: "outdial::twilio", call = sid, detail, "a call was not ended");
                }
                Outcome::Failed(failure) => {
                    let detail = &failure.detail;
                    tracing::error!(target: "outdial::twilio", call = sid, detail, "a call was not ended");
                }
            }
            let _ = line.send(News::Looked(outcome));
            drop(provider);
        });
    }

    fn ask(&mut self, now: Instant) {
        self.heard_at = now;
        let (rest, line, sid) = (Arc::clone(&self.parts.rest), self.parts.line.news(), self.sid());
        tokio::spawn(async move {
            let _ = line.send(News::Looked(rest.fetch(&sid, 2).await));
        });
    }

    fn sid(&self) -> String {
        self.log.id().as_str().to_owned()
    }

    /// The limit that the call has reached or will reach next.
    fn limit(&self) -> Option<(Instant, LocalCause)> {
        if self.facts.local.is_some() || self.stream_end_by.is_some() {
            return None;
        }
        match (self.machine.sent_at(), self.machine.answered_at()) {
            (_, Some(answered)) => Some((answered + self.parts.talk_limit, LocalCause::TalkLimit)),
            (Some(sent), None) => Some((sent + self.parts.ring_timeout, LocalCause::RingTimeout)),
            (None, None) => None,
        }
    }

    /// Till when the stream has to be there.
    fn stream_by(&self) -> Option<Instant> {
        let answered = self.machine.answered_at().filter(|_| self.stream == StreamState::Awaited)?;
        (self.facts.local.is_none() && self.stream_end_by.is_none()).then_some(answered + STREAM)
    }

    /// When a callback counts as lost. While the stream is open it tells that the call is up.
    fn ask_at(&self) -> Option<Instant> {
        let quiet =
            self.stream != StreamState::Open && self.last_word_by.is_none() && self.stream_end_by.is_none();
        quiet.then_some(self.heard_at + SILENCE)
    }

    fn next_look(&self) -> Instant {
        let limit = self.limit().map(|(at, _)| at);
        let looks = [limit, self.stream_by(), self.ask_at(), self.last_word_by, self.stream_end_by];
        looks.into_iter().flatten().min().unwrap_or_else(|| Instant::now() + SILENCE)
    }

    fn look_at_the_time(&mut self, now: Instant) {
        if let Some((_, cause)) = self.limit().filter(|(at, _)| now >= *at) {
            return self.end(cause, None);
        }
        if self.stream_by().is_some_and(|by| now >= by) {
            let words = format!(
                "no media stream within {STREAM:?} of the answer: does public_url lead here from outside?"
            );
            return self.end(LocalCause::MediaSetup, Some(words));
        }
        if self.ask_at().is_some_and(|at| now >= at) {
            self.ask(now);
        }
        if self.last_word_by.is_some_and(|by| now >= by) && !self.asked && self.facts.local.is_none() {
            // The stream said that it is over, and no callback came: ask, once, before believing it.
            self.asked = true;
            self.last_word_by = Some(now + LAST_WORD);
            self.ask(now);
        }
    }

    /// Whether there is nothing left to wait for.
    fn is_over(&mut self) -> bool {
        let now = Instant::now();
        let said = self.stream_end_by.is_some_and(|by| self.stream != StreamState::Open || now >= by);
        let given_up =
            self.last_word_by.is_some_and(|by| now >= by) && (self.asked || self.facts.local.is_some());
        if given_up && !said && self.facts.local.is_none() {
            // Its stream was stopped by Twilio, which is what the end of a call looks like.
            self.facts.bye_from_remote = true;
        }
        said || given_up
    }

    /// Ends the call: its one `Ended`.
    fn conclude(mut self) {
        self.parts.line.close();
        let price = self.parts.departure.price_follows();
        let ending =
            Ending { facts: self.facts.clone(), detail: self.detail.take(), media: self.media.take() };
        self.signal(Signal::Ended(Box::new(ending)));
        // What was not answered costs nothing, and where nobody wants the price it is not asked for.
        if self.machine.answered_at().is_some() && !price.is_closed() {
            let (rest, sid) = (Arc::clone(&self.parts.rest), self.sid());
            tokio::spawn(follow_price(rest, sid, price));
        }
    }
}
