//! A call that is not one yet: the order to Twilio, until it is certain that there is a call, or that there is none.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

use super::active::ActiveCall;
use super::line::{Line, Lines, News};
use super::provider::CallHandle;
use super::rest::{Failure, Order, Outcome, Rest};
use super::retry::{Next, after_order};
use super::status::Report;
use crate::call::{Audio, Call, CallId, CallLog, LocalCause, Signal};
use crate::provider::{Departure, DialError};

/// How often a call is ordered, as long as Twilio surely has not taken the order.
const ORDERS: u32 = 4;
/// How long a call may take to call back whose order got no answer.
const UNCONFIRMED: Duration = Duration::from_secs(15);
/// For so long after that it is ended as soon as it shows itself.
const LINGER: Duration = Duration::from_secs(600);

/// What a call is made of.
pub(super) struct Parts {
    pub(super) name: String,
    pub(super) rest: Arc<Rest>,
    pub(super) lines: Arc<Lines>,
    pub(super) line: Arc<Line>,
    pub(super) inbox: mpsc::UnboundedReceiver<News>,
    pub(super) order: Order,
    pub(super) ring_timeout: Duration,
    pub(super) talk_limit: Duration,
    /// Who keeps the evidence.
    pub(super) departure: Departure,
    /// Keeps the server up as long as there is a call.
    pub(super) provider: Arc<dyn Send + Sync>,
}

/// Who waits for the call to exist.
///
/// What is sent is the call itself: left unread, it is dropped with the channel, and hangs up.
pub(super) type Dialer = oneshot::Sender<Result<Call, DialError>>;

/// Orders the call and, if one comes to be, sees to it until its end.
pub(super) async fn run(parts: Parts, audio: Audio, mut dialer: Dialer) {
    let (lines, line) = (Arc::clone(&parts.lines), Arc::clone(&parts.line));
    let mut ordering = Ordering { parts, audio, reports: Vec::new(), ended: None };
    match ordering.order(&mut dialer).await {
        Ok(sid) => {
            if let Some(call) = ordering.into_call(sid, dialer).await {
                call.live().await;
            }
        }
        Err(error) => {
            line.close();
            let unconfirmed = matches!(error, DialError::Unconfirmed { .. });
            // A dialer who stopped waiting needs no answer.
            let _ = dialer.send(Err(error));
            if unconfirmed {
                ordering.linger().await;
            }
        }
    }
    lines.forget(line.key());
}

/// A call that is not one yet.
struct Ordering {
    parts: Parts,
    /// The application's ends of the queues.
    audio: Audio,
    /// Callbacks that were faster than the answer.
    reports: Vec<Report>,
    /// The provider ends all calls.
    ended: Option<LocalCause>,
}

/// What came while a call was ordered.
enum Heard {
    /// The call exists: it has called back.
    Sid(String),
    /// All calls are to end.
    End,
}

impl Ordering {
    /// Orders the call until it is certain that there is one, or that there is none. Its own callback says so too: that
    /// is how an order is known to have been taken whose answer was lost.
    async fn order(&mut self, dialer: &mut Dialer) -> Result<String, DialError> {
        let rest = Arc::clone(&self.parts.rest);
        let mut attempt = 0;
        loop {
            // An order that is under way is never dropped: it might be taken.
            self.parts.departure.sent().await?;
            let outcome = {
                let order = rest.order(&self.parts.order);
                tokio::pin!(order);
                loop {
                    tokio::select! {
                        outcome = &mut order => break outcome,
                        heard = heard(&mut self.parts.inbox, &mut self.reports, &mut self.ended) => {
                            if let Heard::Sid(sid) = heard {
                                return Ok(sid);
                            }
                        }
                    }
                }
            };
            let failure = match outcome {
                Outcome::Call(call) => return Ok(call.sid().to_owned()),
                Outcome::Failed(failure) => failure,
            };
            let next = after_order(&failure.answer, attempt, ORDERS);
            if next != Next::Unknown {
                self.parts.departure.stayed();
            }
            tracing::warn!(
                target: "outdial::twilio", provider = self.parts.name, detail = failure.detail, ?next,
                "an order for a call was not answered as it should be"
            );
            let wait = match next {
                Next::Again(pause) => pause,
                Next::GiveUp => return Err(self.refused(&failure)),
                Next::Unknown => UNCONFIRMED,
            };
            let unconfirmed = next == Next::Unknown;
            let given_up = self.ended.is_some()
                || tokio::select! {
                    () = tokio::time::sleep(wait) => false,
                    () = dialer.closed(), if !unconfirmed => true,
                    heard = heard(&mut self.parts.inbox, &mut self.reports, &mut self.ended) => match heard {
                        Heard::Sid(sid) => return Ok(sid),
                        Heard::End => true,
                    },
                };
            if unconfirmed {
                let trunk = self.parts.name.clone();
                return Err(DialError::Unconfirmed { trunk, detail: failure.detail });
            }
            if given_up {
                return Err(DialError::ShutDown);
            }
            attempt += 1;
        }
    }

    fn refused(&self, failure: &Failure) -> DialError {
        let (trunk, detail) = (self.parts.name.clone(), failure.detail.clone());
        match failure.code() {
            None => DialError::Unreachable { trunk, detail, source: None },
            Some(code @ (401 | 403 | 429 | 503)) => {
                DialError::TrunkUnavailable { trunk, code: Some(code), detail }
            }
            Some(_) => DialError::Rejected { trunk, detail },
        }
    }

    /// The call exists. `None` if its start could not be recorded: then it is ended, and nobody gets it.
    async fn into_call(self, sid: String, dialer: Dialer) -> Option<ActiveCall> {
        self.parts.line.set_sid(&sid);
        let id = CallId::new(sid);
        if let Err(error) = self.parts.departure.leaving(&id).await {
            let _ = dialer.send(Err(error));
            self.parts.line.close();
            self.parts.rest.end(id.as_str()).await;
            return None;
        }
        let log = CallLog::new(id);
        let control = CallHandle { news: self.parts.line.news() };
        let handle = Call::new(Arc::clone(&log), Box::new(control), self.audio);
        let mut call = ActiveCall::new(self.parts, log);
        call.signal(Signal::Sent);
        for report in &self.reports {
            call.report(report);
        }
        if let Some(cause) = self.ended {
            call.end(cause, None);
        }
        // Where nobody waits for it any more the handle is dropped, which hangs up.
        let _ = dialer.send(Ok(handle));
        Some(call)
    }

    /// An order that nobody waits for any more may have been taken all the same: the call is ended as soon as it shows
    /// itself.
    async fn linger(mut self) {
        if self.ended.is_some() {
            return;
        }
        let heard = heard(&mut self.parts.inbox, &mut self.reports, &mut self.ended);
        let Ok(Heard::Sid(sid)) = tokio::time::timeout(LINGER, heard).await else { return };
        tracing::warn!(target: "outdial::twilio", call = sid, "a call came to be without an answer: it is ended");
        self.parts.rest.end(&sid).await;
    }
}

/// Waits for the first callback, or for the end of the provider.
async fn heard(
    inbox: &mut mpsc::UnboundedReceiver<News>,
    reports: &mut Vec<Report>,
    ended: &mut Option<LocalCause>,
) -> Heard {
    loop {
        match inbox.recv().await {
            Some(News::Report(report)) => {
                let sid = report.sid.clone();
                reports.push(report);
                return Heard::Sid(sid);
            }
            Some(News::End(cause)) => {
                ended.get_or_insert(cause);
                return Heard::End;
            }
            Some(_) => {}
            // The line holds a sender, and whoever waits here holds the line.
            None => std::future::pending().await,
        }
    }
}
