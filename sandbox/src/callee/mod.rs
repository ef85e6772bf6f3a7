//! One call as the callee lives it: the script of its number, and what the caller does meanwhile.

mod dialog;
mod requests;
mod session;
mod steps;

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::sync::{Notify, mpsc};
use tokio::time::{Instant, sleep_until};

use self::dialog::Dialog;
use self::session::Session;
use crate::behaviour::{Behaviour, Quirk, Step};
use crate::journal::{CallOutcome, CallRecord, Event, Recording};
use crate::media::{Heard, Media, MediaCounts};
use crate::server::{CallEntry, Server};
use crate::sip::message::Message;
use crate::sip::request::Request;
use crate::sip::transaction::ServerTransaction;

/// Something from the caller that belongs to this call.
pub(crate) enum Input {
    Cancel(ServerTransaction),
    Request(ServerTransaction),
    Ack(Box<Request>),
}

/// Why the script stops.
#[derive(Debug)]
pub(crate) enum Over {
    /// The caller's BYE has been answered.
    CallerHungUp {
        reason: Option<String>,
    },
    /// The caller's CANCEL has been answered, the INVITE has not.
    Cancelled {
        reason: Option<String>,
    },
    /// The INVITE has been refused.
    Refused(u16),
    /// Our BYE has been sent and answered, or given up.
    CalleeHungUp,
    NeverAcknowledged,
    TimedOut,
    Shutdown,
}

/// A response that is repeated until the caller shows that it has arrived.
struct Repeating {
    transaction: ServerTransaction,
    next: Instant,
    interval: Duration,
    give_up: Instant,
}

pub(crate) struct Call {
    server: Arc<Server>,
    entry: CallEntry,
    behaviour: &'static Behaviour,
    invite: ServerTransaction,
    dialog: Dialog,
    input: mpsc::Receiver<Input>,
    session: Session,
    media: Option<Media>,
    /// The 200, or a reliable 180, that waits for its ACK or PRACK.
    repeating: Option<Repeating>,
    /// ACKs still to be lost.
    acks_to_lose: u8,
    /// The sequence number of the last reliable provisional response.
    rseq: u32,
    /// Where the script hears keys, while it listens.
    keys: Option<mpsc::UnboundedSender<char>>,
    /// Told when [`Self::repeating`] has done its work.
    acknowledged: Arc<Notify>,
    deadline: Instant,
    record: CallRecord,
}

impl Call {
    pub(crate) fn new(
        server: Arc<Server>,
        entry: CallEntry,
        invite: ServerTransaction,
        input: mpsc::Receiver<Input>,
        behaviour: &'static Behaviour,
        dialled: String,
        user: Option<String>,
    ) -> Self {
        let request = &invite.request;
        let record = CallRecord {
            call_id: request.call_id.clone(),
            dialled,
            behaviour,
            from: request.from.uri.clone(),
            user,
            transport: invite.source.transport,
            peer: invite.source.peer,
            invite: String::from_utf8_lossy(&request.message.encode()).into_owned(),
            started: SystemTime::now(),
            ringing: None,
            answered: None,
            confirmed: None,
            ended: None,
            codec: None,
            srtp: None,
            digits: String::new(),
            media: MediaCounts::default(),
            recording: None,
            replies: Vec::new(),
            faults: Vec::new(),
            outcome: None,
        };
        let acks_to_lose = if let Quirk::LosesAcks(count) = behaviour.quirk { count } else { 0 };
        Self {
            dialog: Dialog::new(request, &invite.tag, invite.source.clone(), server.settings.behind_proxy),
            session: Session::new(),
            deadline: Instant::now() + server.settings.max_call,
            server,
            entry,
            behaviour,
            invite,
            input,
            media: None,
            repeating: None,
            acks_to_lose,
            rseq: 0,
            keys: None,
            acknowledged: Arc::default(),
            record,
        }
    }

    /// Plays the script to its end, whoever ends it, and completes the record.
    pub(crate) async fn run(mut self) {
        self.publish(Event::CallStarted);
        self.invite.reply(100, "Trying");
        let over = match self.perform().await {
            Err(over) => over,
            Ok(never) => match never {},
        };
        self.close(over).await;
    }

    async fn perform(&mut self) -> Result<std::convert::Infallible, Over> {
        self.prepare_media().await?;
        let steps = self.behaviour.steps;
        for (index, step) in steps.iter().enumerate() {
            if matches!(step, Step::Answer(_)) {
                // The caller may speak as soon as it has the 200, before its ACK has come.
                let at_once = |next: &&Step| matches!(next, Step::Idle(_) | Step::Impair(_));
                for next in steps[index + 1..].iter().take_while(at_once) {
                    self.step(next).await?;
                }
            }
            self.step(step).await?;
        }
        // Every script ends by itself or waits for the caller.
        self.until(std::future::pending()).await
    }

    /// Waits for `future`, and meanwhile does everything that does not depend on the script: answers the
    /// caller's requests, repeats unacknowledged answers, notes keys.
    async fn until<F: Future>(&mut self, future: F) -> Result<F::Output, Over> {
        tokio::pin!(future);
        loop {
            let repeat_at = self.repeating.as_ref().map_or(self.deadline, |repeating| repeating.next);
            let heard = async {
                match &mut self.media {
                    Some(media) => media.heard.recv().await,
                    None => None,
                }
            };
            tokio::select! {
                () = self.server.cancel.cancelled() => return Err(Over::Shutdown),
                input = self.input.recv() => match input {
                    Some(input) => self.take(input).await?,
                    None => return Err(Over::Shutdown),
                },
                Some(Heard::Key(key)) = heard => self.note_key(key),
                () = sleep_until(repeat_at), if self.repeating.is_some() => self.repeat()?,
                () = sleep_until(self.deadline) => return Err(Over::TimedOut),
                output = &mut future => return Ok(output),
            }
        }
    }

    async fn pause(&mut self, duration: Duration) -> Result<(), Over> {
        self.until(tokio::time::sleep(duration)).await
    }

    fn repeat(&mut self) -> Result<(), Over> {
        let timers = self.server.transactions.timers;
        let Some(repeating) = &mut self.repeating else { return Ok(()) };
        if Instant::now() >= repeating.give_up {
            return Err(Over::NeverAcknowledged);
        }
        repeating.transaction.repeat();
        repeating.next = Instant::now() + repeating.interval;
        repeating.interval = timers.next(repeating.interval);
        Ok(())
    }

    /// Repeats the last response of a transaction until the caller acknowledges it (RFC 3261 section 13.3.1.4).
    fn repeat_until_acknowledged(&mut self, transaction: ServerTransaction) {
        let timers = self.server.transactions.timers;
        let now = Instant::now();
        self.repeating = Some(Repeating {
            transaction,
            next: now + timers.t1,
            interval: timers.next(timers.t1),
            give_up: now + timers.give_up(),
        });
    }

    /// Waits for that acknowledgement.
    async fn until_acknowledged(&mut self) -> Result<(), Over> {
        let acknowledged = Arc::clone(&self.acknowledged);
        while self.repeating.is_some() {
            self.until(acknowledged.notified()).await?;
        }
        Ok(())
    }

    fn stop_repeating(&mut self) {
        self.repeating = None;
        self.acknowledged.notify_one();
    }

    fn note_key(&mut self, key: char) {
        self.record.digits.push(key);
        self.server.journal.store(&self.record);
        self.server.journal.tell(Event::Digit { call_id: self.record.call_id.clone(), digit: key });
        if let Some(keys) = &self.keys {
            // A script that no longer listens has let go of the other end.
            let _ = keys.send(key);
        }
    }

    /// Notes that the caller's stack broke a rule.
    fn fault(&mut self, what: String) {
        tracing::info!(call_id = %self.record.call_id, %what, "the caller broke a rule");
        self.record.faults.push(what);
        self.server.journal.store(&self.record);
    }

    fn publish(&mut self, event: impl FnOnce(Box<CallRecord>) -> Event) {
        self.server.journal.store(&self.record);
        self.server.journal.tell(event(Box::new(self.record.clone())));
    }

    /// Leaves no transaction of the call open, ends its media, completes its record.
    async fn close(mut self, over: Over) {
        let answered = self.record.answered.is_some();
        let outcome = match over {
            Over::CallerHungUp { reason } => CallOutcome::CallerHungUp { reason },
            Over::Cancelled { reason } => CallOutcome::Cancelled { reason },
            Over::Refused(status) => CallOutcome::Refused(status),
            Over::CalleeHungUp => CallOutcome::CalleeHungUp,
            Over::NeverAcknowledged => CallOutcome::NeverAcknowledged,
            Over::TimedOut => CallOutcome::TimedOut,
            Over::Shutdown => CallOutcome::Shutdown,
        };
        // A caller may try again under the same Call-ID as soon as it has the last answer.
        self.entry.remove();
        match &outcome {
            CallOutcome::Refused(_) | CallOutcome::CalleeHungUp => {}
            // A BYE ends an early dialog as well (RFC 3261 section 15.1.2).
            CallOutcome::Cancelled { .. } | CallOutcome::CallerHungUp { .. } if !answered => {
                self.invite.reply(487, "Request Terminated");
            }
            CallOutcome::CallerHungUp { .. } | CallOutcome::Cancelled { .. } => {}
            _ if !answered => self.invite.reply(480, "Temporarily Unavailable"),
            // The caller is told, but nobody waits for its answer any more.
            _ => {
                let (bye, _) = self.dialog.request("BYE");
                self.dialog.flow.send(bye.encode());
            }
        }
        if let Some(media) = self.media.take() {
            let report = media.finish().await;
            self.record.media = report.counts;
            if let Some((samples, sample_rate)) = report.recording.filter(|(samples, _)| !samples.is_empty())
            {
                let wav = self.write_wav(&samples, sample_rate).await;
                self.record.recording = Some(Recording { samples: samples.into(), sample_rate, wav });
            }
        }
        self.record.ended = Some(SystemTime::now());
        self.record.outcome = Some(outcome);
        self.publish(Event::CallEnded);
    }

    /// Sends a request in the dialog and waits for its final response, which is noted in the record.
    async fn request(
        &mut self,
        method: &'static str,
        fill: impl FnOnce(Message) -> Message,
    ) -> Result<Option<Message>, Over> {
        let (request, branch) = self.dialog.request(method);
        let request = fill(request);
        let transactions = Arc::clone(&self.server.transactions);
        let mut transaction = transactions.begin(&request, &branch, &self.dialog.flow);
        let response = self.until(transaction.final_response()).await?;
        if let Some(status) = response.as_ref().and_then(Message::status) {
            self.record.replies.push((method, status));
            self.server.journal.store(&self.record);
        }
        Ok(response)
    }
}
