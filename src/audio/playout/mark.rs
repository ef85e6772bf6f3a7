//! Named places in what is being said.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Instant;

use tokio::sync::oneshot;

/// A place in the speech, from [`Speaker::mark`](super::Speaker::mark): a future that resolves when the callee's
/// packets have got as far, or never will.
///
/// Marks of one stream resolve in the order in which they were made, each exactly once.
///
/// # Cancel safety
///
/// Dropping a mark forgets it and changes nothing else. Polling it through `&mut` can be interrupted and resumed.
#[derive(Debug)]
#[must_use = "a mark tells nothing unless it is awaited"]
pub struct Mark {
    name: String,
    position: u64,
    outcome: oneshot::Receiver<Passed>,
}

/// What became of a mark, and when.
pub(super) type Passed = (MarkOutcome, Instant);

/// What became of a [`Mark`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MarkOutcome {
    /// Everything before it has been handed to the wire, or played by a far end that tells what it has played.
    Played,
    /// [`Speaker::clear`](super::Speaker::clear) removed something before it.
    Cleared,
    /// The call ended first.
    Ended,
}

impl Mark {
    pub(super) fn new(name: String, position: u64, outcome: oneshot::Receiver<Passed>) -> Self {
        Self { name, position, outcome }
    }

    /// Waits for its outcome, and tells when that was.
    pub(crate) async fn passed(self) -> (MarkOutcome, Instant) {
        self.outcome.await.unwrap_or_else(|_| (MarkOutcome::Ended, Instant::now()))
    }

    /// When it was passed, or when it was settled that it will not be; `None` as long as neither is so.
    pub(crate) fn passed_at(&mut self) -> Option<Instant> {
        self.outcome.try_recv().ok().map(|(_, at)| at)
    }

    /// The name it was given.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where it stands: samples at the application rate since the stream began, on the scale of
    /// [`Speaker::played`](super::Speaker::played).
    pub fn position(&self) -> u64 {
        self.position
    }
}

impl Future for Mark {
    type Output = MarkOutcome;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<MarkOutcome> {
        Pin::new(&mut self.outcome)
            .poll(cx)
            .map(|passed| passed.map_or(MarkOutcome::Ended, |(outcome, _)| outcome))
    }
}
