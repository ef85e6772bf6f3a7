//! What is known of a session: which response is owed, and what was said. Without I/O.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;

use super::history::History;
use super::message;
use crate::speech::service::Heard;
use crate::speech::{Cut, ModelOrder};

/// How many of the callee's utterances have times.
const TIMED: usize = 16;

/// It outlives a connection.
#[derive(Debug)]
pub(super) struct State {
    pub(super) heard: Heard,
    pub(super) history: History,
    /// The callee's utterances: which, from when to when.
    callee: VecDeque<(String, Duration, Duration)>,
    /// The model's utterances that are being made.
    pub(super) making: Vec<Arc<str>>,
    /// A response is being made.
    responding: bool,
    /// Since when a response, or more of one, is owed.
    pub(super) owed: Option<Instant>,
    /// What to ask for when the response is done.
    next: Option<Value>,
    /// The callee has said something that is not understood yet.
    pending: bool,
    /// Responses that failed in a row.
    pub(super) failed: u32,
    /// The callee's voice interrupts.
    pub(super) interruptible: bool,
    /// The service answers by itself.
    answers: bool,
    /// The callee's words are written.
    transcribed: bool,
}

impl State {
    pub(super) fn new(answers: bool, transcribed: bool) -> Self {
        Self {
            heard: Heard::default(),
            history: History::default(),
            callee: VecDeque::new(),
            making: Vec::new(),
            responding: false,
            owed: None,
            next: None,
            pending: false,
            failed: 0,
            interruptible: true,
            answers,
            transcribed,
        }
    }

    /// What a new connection is told: who said what, and whether the model is to respond. In between comes the sound that
    /// was not understood: if that is what it owes a response to, it notices by itself.
    pub(super) fn resume(&mut self, now: Instant) -> (Vec<Value>, Option<Value>) {
        let by_itself = self.pending && self.answers;
        let respond = self.next.take().or(self.owed.map(|_| message::respond(None))).filter(|_| !by_itself);
        self.callee.clear();
        self.responding = false;
        self.owed = respond.is_some().then_some(now);
        (self.history.said().map(|(by_callee, text)| message::said(by_callee, text)).collect(), respond)
    }

    /// The callee began to speak.
    pub(super) fn started(&mut self, item: &str, at: Duration) -> Duration {
        let at = self.heard.start(at);
        if self.callee.len() == TIMED {
            self.callee.pop_front();
        }
        self.callee.push_back((item.to_owned(), at, at));
        self.history.begin(item, true);
        if self.interruptible {
            self.owed = None;
        }
        at
    }

    /// The callee has stopped.
    pub(super) fn stopped(&mut self, item: &str, at: Duration, now: Instant) -> Duration {
        let end = self.heard.end(at);
        if let Some(times) = self.callee.iter_mut().rev().find(|times| times.0 == item) {
            times.2 = end.max(times.1);
        }
        self.pending = true;
        if self.answers {
            self.owed = Some(now);
        }
        end
    }

    /// When the callee said this.
    pub(super) fn times(&self, item: &str) -> Option<(Duration, Duration)> {
        self.callee.iter().rev().find(|times| times.0 == item).map(|times| (times.1, times.2))
    }

    /// The callee's words are known, or never will be: they need not be heard again.
    pub(super) fn understood(&mut self, item: &str) {
        if let Some((_, end)) = self.times(item) {
            self.heard.forget(end);
        }
        // Unless there is something newer.
        self.pending &= self.callee.back().is_some_and(|last| last.0 != item);
    }

    /// A response began.
    pub(super) fn created(&mut self, now: Instant) {
        self.responding = true;
        self.owed = Some(now);
        if !self.transcribed
            && let Some((last, ..)) = self.callee.back()
        {
            self.understood(&last.clone());
        }
    }

    /// It goes on.
    pub(super) fn progress(&mut self, now: Instant) {
        if self.responding {
            self.owed = Some(now);
        }
    }

    /// More of an utterance of the model.
    pub(super) fn makes(&mut self, item: &str) -> Arc<str> {
        if let Some(known) = self.making.iter().find(|known| ***known == *item) {
            return Arc::clone(known);
        }
        self.history.begin(item, false);
        let item: Arc<str> = item.into();
        self.making.push(Arc::clone(&item));
        item
    }

    /// The response is over, or there is none; returns what to ask for now.
    pub(super) fn done(&mut self, now: Instant) -> Option<Value> {
        self.responding = false;
        let next = self.next.take();
        self.owed = next.as_ref().map(|_| now);
        next
    }

    /// The model is to respond once more.
    pub(super) fn again(&mut self) {
        self.next.get_or_insert_with(|| message::respond(None));
    }

    /// The service did not begin a response, as it was at another one; returns what to ask for now.
    pub(super) fn busy(&mut self, now: Instant) -> Option<Value> {
        self.again();
        if self.responding { None } else { self.done(now) }
    }

    /// What to ask for now, unless a response is being made or awaited.
    fn if_free(&mut self, now: Instant) -> Option<Value> {
        if self.responding || self.owed.is_some() { None } else { self.done(now) }
    }

    /// What the service is told of an order.
    pub(super) fn order(&mut self, order: ModelOrder, now: Instant) -> Vec<Value> {
        match order {
            ModelOrder::Interrupted(cuts) => {
                let mut events = Vec::new();
                if self.responding {
                    // The service may have stopped by itself meanwhile, and says so; that is no harm.
                    events.push(message::cancel());
                    self.owed = None;
                }
                for Cut { utterance, heard, text } in cuts {
                    self.history.cut(&utterance, &text);
                    let ms = u64::try_from(heard.as_millis()).unwrap_or(u64::MAX);
                    events.push(match ms {
                        // It refuses to leave nothing.
                        0 => message::delete(&utterance),
                        ms => message::truncate(&utterance, ms),
                    });
                }
                events
            }
            ModelOrder::Respond { instructions } => {
                self.next = Some(message::respond(instructions.as_deref()));
                self.if_free(now).into_iter().collect()
            }
            ModelOrder::ToolResult { id, output } => {
                self.again();
                std::iter::once(message::tool_result(&id, &output)).chain(self.if_free(now)).collect()
            }
            ModelOrder::Interruptible(interruptible) => {
                self.interruptible = interruptible;
                Vec::new()
            }
        }
    }
}
