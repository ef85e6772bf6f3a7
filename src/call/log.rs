//! The events of one call, written by its provider and read by any number of readers.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::{Answered, CallEnd, CallEvent, CallId};

/// Events kept for readers that come late. A callee who presses keys for an hour must not fill the memory.
const KEPT: usize = 1024;

/// The record of one call. The provider appends; readers wait.
pub(crate) struct CallLog {
    id: CallId,
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Default)]
struct State {
    /// How many events were dropped from the front of `events`.
    forgotten: usize,
    events: VecDeque<CallEvent>,
    answered: Option<Answered>,
    end: Option<CallEnd>,
}

impl CallLog {
    pub(crate) fn new(id: CallId) -> Arc<Self> {
        Arc::new(Self { id, state: Mutex::default(), changed: Notify::new() })
    }

    pub(crate) fn id(&self) -> &CallId {
        &self.id
    }

    /// Appends events. Nothing is taken after `Ended`, so that it stays the last.
    pub(crate) fn append(&self, events: impl IntoIterator<Item = CallEvent>) {
        let mut state = self.lock();
        for event in events {
            if state.end.is_some() {
                break;
            }
            match &event {
                CallEvent::Answered(answered) => state.answered = Some(answered.clone()),
                CallEvent::Ended(end) => state.end = Some(end.clone()),
                _ => {}
            }
            if state.events.len() == KEPT {
                state.events.pop_front();
                state.forgotten += 1;
            }
            state.events.push_back(event);
        }
        drop(state);
        self.changed.notify_waiters();
    }

    pub(crate) fn end(&self) -> Option<CallEnd> {
        self.lock().end.clone()
    }

    pub(crate) async fn ended(&self) -> CallEnd {
        self.wait(|state| state.end.clone()).await
    }

    pub(crate) async fn answered(&self) -> Result<Answered, CallEnd> {
        self.wait(|state| match (&state.answered, &state.end) {
            (Some(answered), _) => Some(Ok(answered.clone())),
            (None, Some(end)) => Some(Err(end.clone())),
            (None, None) => None,
        })
        .await
    }

    async fn wait<T>(&self, mut ready: impl FnMut(&State) -> Option<T>) -> T {
        loop {
            // Registered before the look, so that an append between the two is not missed.
            let changed = self.changed.notified();
            if let Some(value) = ready(&self.lock()) {
                return value;
            }
            changed.await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A reader of a call's events, from the first on. Made by [`super::Call::events`].
///
/// It does not keep the call up: dropping the last [`super::Call`] hangs up, and the reader then sees the end.
pub struct Events {
    log: Arc<CallLog>,
    next: usize,
}

impl Events {
    pub(super) fn new(log: Arc<CallLog>) -> Self {
        Self { log, next: 0 }
    }

    /// The next event; `None` after [`CallEvent::Ended`] has been returned.
    ///
    /// # Cancel safety
    ///
    /// Cancel-safe: an event that was not returned is returned by the next call.
    pub async fn next(&mut self) -> Option<CallEvent> {
        let (log, next) = (&self.log, self.next);
        let found = log
            .wait(|state| {
                let index = next.max(state.forgotten);
                match state.events.get(index - state.forgotten) {
                    Some(event) => Some(Some((index + 1, event.clone()))),
                    None if state.end.is_some() => Some(None),
                    None => None,
                }
            })
            .await;
        let (next, event) = found?;
        self.next = next;
        Some(event)
    }
}

impl fmt::Debug for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Events").field("call", self.log.id()).field("next", &self.next).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audio::dtmf::Digit;

    fn log() -> Arc<CallLog> {
        CallLog::new(CallId::new("0123456789abcdef0123456789abcdef"))
    }

    #[tokio::test]
    async fn a_late_reader_sees_everything_and_then_the_end_of_the_stream() {
        let log = log();
        log.append([CallEvent::Initiated, CallEvent::Trying]);
        log.append([CallEvent::Ended(CallEnd::default())]);
        let mut events = Events::new(log);
        assert_eq!(events.next().await, Some(CallEvent::Initiated));
        assert_eq!(events.next().await, Some(CallEvent::Trying));
        assert!(matches!(events.next().await, Some(CallEvent::Ended(_))));
        assert_eq!(events.next().await, None);
    }

    #[tokio::test]
    async fn nothing_comes_after_the_end() {
        let log = log();
        log.append([CallEvent::Ended(CallEnd::default()), CallEvent::Ringing]);
        log.append([CallEvent::Ended(CallEnd::default())]);
        let mut events = Events::new(log);
        assert!(matches!(events.next().await, Some(CallEvent::Ended(_))));
        assert_eq!(events.next().await, None);
    }

    #[tokio::test]
    async fn a_waiting_reader_is_woken() {
        let log = log();
        let mut events = Events::new(Arc::clone(&log));
        let reader = tokio::spawn(async move { events.next().await });
        tokio::task::yield_now().await;
        log.append([CallEvent::Initiated]);
        assert_eq!(reader.await.unwrap(), Some(CallEvent::Initiated));
    }

    #[tokio::test]
    async fn memory_is_bounded_and_the_end_is_kept() {
        let log = log();
        let one = Digit::try_from('1').unwrap();
        for _ in 0..10 * KEPT {
            log.append([CallEvent::Dtmf(one)]);
        }
        log.append([CallEvent::Ended(CallEnd::default())]);
        let mut events = Events::new(Arc::clone(&log));
        let mut seen = 0;
        let mut last = None;
        while let Some(event) = events.next().await {
            seen += 1;
            last = Some(event);
        }
        assert_eq!(seen, KEPT);
        assert!(matches!(last, Some(CallEvent::Ended(_))));
    }
}
