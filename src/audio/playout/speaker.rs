//! The application's end of a playout stream.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::sync::oneshot;

use super::queue::PlayoutStats;
use super::{Mark, MarkOutcome, Shared};
use crate::audio::{SampleRate, lock};

/// Speaks to the callee: the application's end of a playout stream.
///
/// Clones speak into the same stream. Samples are 16-bit mono PCM at [`rate`](Self::rate). What is queued before
/// the call has media is played when it has. Dropping the speaker does not take back what it has queued; use
/// [`drain`](Self::drain) to know when that has been played.
#[derive(Debug, Clone)]
pub struct Speaker {
    shared: Arc<Shared>,
}

/// Why samples could not be queued.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SendError {
    /// The call has ended, or will have no more media.
    #[error("the call has ended")]
    Closed,
    /// [`Speaker::clear`] was called while this send was waiting: the callee has interrupted, and what had not
    /// been played is gone, the rest of this send included.
    #[error("the playout queue was cleared")]
    Cleared,
}

impl Speaker {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// The application rate.
    pub fn rate(&self) -> SampleRate {
        self.shared.rate
    }

    /// Queues all of `samples`, any number of them, and waits while the queue is full. A send that has to wait
    /// goes on when the queue is half empty, so that it wakes twice per queue length and not with each frame.
    ///
    /// Sends take turns: what two tasks send at the same time is played one after the other, not mixed.
    ///
    /// # Errors
    ///
    /// [`SendError::Closed`] if the call has ended or ends meanwhile, [`SendError::Cleared`] if
    /// [`clear`](Self::clear) is called meanwhile.
    ///
    /// # Cancel safety
    ///
    /// A send that is dropped leaves in the queue what it has queued, in order and without a gap, and forgets the
    /// rest. To know how much that was, send in pieces, or call [`clear`](Self::clear).
    pub async fn send(&self, samples: &[i16]) -> Result<(), SendError> {
        let clears = lock(&self.shared.queue).clears();
        self.send_unless_cleared(samples, clears).await
    }

    /// [`send`](Self::send), but not if the queue was cleared for more than the `clears`th time.
    pub(crate) async fn send_unless_cleared(&self, samples: &[i16], clears: u64) -> Result<(), SendError> {
        let _turn = self.shared.turn.lock().await;
        let mut rest = samples;
        poll_fn(|cx| self.poll_send(cx, &mut rest, clears)).await
    }

    fn poll_send(&self, cx: &Context<'_>, rest: &mut &[i16], clears: u64) -> Poll<Result<(), SendError>> {
        let mut queue = lock(&self.shared.queue);
        if queue.is_closed() {
            return Poll::Ready(Err(SendError::Closed));
        }
        if queue.clears() != clears {
            return Poll::Ready(Err(SendError::Cleared));
        }
        let count = queue.push(rest);
        *rest = &rest[count..];
        if rest.is_empty() {
            return Poll::Ready(Ok(()));
        }
        queue.wait(cx.waker());
        Poll::Pending
    }

    /// Queues as much of `samples` as there is room for and returns how many that was: 0 when the queue is full,
    /// or when a [`send`](Self::send) is waiting for room and has the turn.
    ///
    /// # Errors
    ///
    /// [`SendError::Closed`] if the call has ended.
    pub fn try_send(&self, samples: &[i16]) -> Result<usize, SendError> {
        let turn = self.shared.turn.try_lock();
        let mut queue = lock(&self.shared.queue);
        if queue.is_closed() {
            return Err(SendError::Closed);
        }
        Ok(if turn.is_ok() { queue.push(samples) } else { 0 })
    }

    /// Empties the queue at once (barge-in) and returns how many samples it removed. The callee hears nothing of
    /// what was queued after the frame that is being made; the sound falls to zero within 3 ms, not with a click.
    /// Marks that were not reached resolve as [`MarkOutcome::Cleared`], and sends that wait return
    /// [`SendError::Cleared`]. What is sent afterwards is played as usual.
    pub fn clear(&self) -> usize {
        let (count, marks, wake) = lock(&self.shared.queue).clear();
        marks.tell();
        wake.wake();
        self.shared.voided.notify_waiters();
        count
    }

    /// How often the queue was cleared.
    pub(crate) fn clears(&self) -> u64 {
        lock(&self.shared.queue).clears()
    }

    /// Waits until the queue is cleared for more than the `clears`th time, or the call ends, and tells which.
    pub(crate) async fn voided(&self, clears: u64) -> SendError {
        loop {
            // Registered before the look, so that a change between the two is not missed.
            let voided = self.shared.voided.notified();
            {
                let queue = lock(&self.shared.queue);
                if queue.is_closed() {
                    return SendError::Closed;
                }
                if queue.clears() != clears {
                    return SendError::Cleared;
                }
            }
            voided.await;
        }
    }

    /// Waits for the turn to speak an utterance of several sends.
    pub(crate) async fn floor(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.shared.floor.lock().await
    }

    /// [`floor`](Self::floor), for those who cannot hold a borrow.
    pub(crate) async fn own_floor(self) -> tokio::sync::OwnedMutexGuard<()> {
        Arc::clone(&self.shared.floor).lock_owned().await
    }

    /// Sets a mark behind everything that is queued now, to learn when it has been played, or that it will not
    /// be. If nothing is left to play, the mark resolves at once. A mark also says that what is queued is a whole
    /// utterance, as [`end_utterance`](Self::end_utterance) does.
    pub fn mark(&self, name: impl Into<String>) -> Mark {
        self.set_mark(name.into(), true)
    }

    /// A mark that says nothing about the utterance.
    pub(crate) fn mark_within(&self, name: impl Into<String>) -> Mark {
        self.set_mark(name.into(), false)
    }

    fn set_mark(&self, name: String, whole: bool) -> Mark {
        let (sender, outcome) = oneshot::channel();
        let (position, resolved) = lock(&self.shared.queue).mark(sender, whole);
        resolved.tell();
        Mark::new(name, position, outcome)
    }

    /// Says that what is queued is a whole utterance, so that running dry behind it does not count as an
    /// underrun. The next send begins another.
    pub fn end_utterance(&self) {
        lock(&self.shared.queue).end_utterance();
    }

    /// Waits until everything has been played that was sent before, sends that wait for their turn included: call
    /// it before a hang-up, so that the last word is heard. Resolves like a [`mark`](Self::mark).
    ///
    /// # Cancel safety
    ///
    /// Can be dropped and called again.
    pub async fn drain(&self) -> MarkOutcome {
        let turn = self.shared.turn.lock().await;
        let mark = self.mark("drain");
        drop(turn);
        mark.await
    }

    /// How much the callee has been played so far: samples at the application rate since the stream began, silence
    /// and what was cleared not counted. A sample counts when it is handed to the wire; where the far end keeps a buffer and
    /// tells what it has played, when it has told so.
    pub fn played(&self) -> u64 {
        lock(&self.shared.queue).played()
    }

    /// Whether the call has ended, or will have no more media.
    pub fn is_closed(&self) -> bool {
        lock(&self.shared.queue).is_closed()
    }

    /// Counters; they stay readable when the call has ended.
    pub fn stats(&self) -> PlayoutStats {
        lock(&self.shared.queue).stats()
    }
}
