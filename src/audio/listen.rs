//! The stream from the callee: a bounded and short queue of frames, filled by the media clock and read by a task.

mod queue;
mod sink;

#[cfg(test)]
mod tests;

use std::future::poll_fn;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

pub use queue::ListenStats;
use queue::{FrameQueue, Head};
pub use sink::ListenSink;

use super::{Frame, SampleRate, lock};

/// Makes a listen stream at the application rate `rate` that holds frames for `capacity` (rounded up to whole
/// 20 ms frames, at least two; 100 to 200 ms are sensible) while the application is busy.
pub fn listen(rate: SampleRate, capacity: Duration) -> (Listener, ListenSink) {
    let frames = rate.samples_in(capacity).div_ceil(rate.frame_len()).max(2);
    let shared = Arc::new(Shared {
        rate,
        queue: Mutex::new(FrameQueue::new(frames, rate.frame_len())),
        deaf: AtomicBool::new(false),
    });
    (Listener { shared: Arc::clone(&shared) }, ListenSink::new(shared))
}

/// What a [`Listener`] and its [`ListenSink`] share.
#[derive(Debug)]
struct Shared {
    rate: SampleRate,
    queue: Mutex<FrameQueue>,
    /// The listener is gone.
    deaf: AtomicBool,
}

/// Hears the callee: the application's end of a listen stream.
///
/// Frames come as the wire delivers them, 50 a second. An application that is slower loses the oldest ones, which
/// [`stats`](Self::stats) counts and [`Frame::position`] shows: the stream never falls behind. Dropping the
/// listener is allowed; the call goes on and nothing is kept for it.
#[derive(Debug)]
pub struct Listener {
    shared: Arc<Shared>,
}

/// Why [`Listener::try_recv`] has no frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TryRecvError {
    /// None has arrived since the last one.
    #[error("no frame has arrived yet")]
    Empty,
    /// The stream has ended and everything has been read.
    #[error("the stream has ended")]
    Ended,
}

impl Listener {
    /// The application rate.
    pub fn rate(&self) -> SampleRate {
        self.shared.rate
    }

    /// Waits for the next frame. `None` when the stream has ended, the call with it, and everything has been read.
    ///
    /// # Cancel safety
    ///
    /// A `recv` that is dropped has taken no frame.
    pub async fn recv(&mut self) -> Option<Frame> {
        poll_fn(|cx| self.poll_recv(cx)).await
    }

    /// [`recv`](Self::recv), for those who implement futures and streams.
    pub fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Option<Frame>> {
        {
            let mut queue = lock(&self.shared.queue);
            if queue.is_empty() {
                if queue.is_ended() {
                    return Poll::Ready(None);
                }
                queue.wait(cx.waker());
                return Poll::Pending;
            }
        }
        Poll::Ready(Some(self.take()))
    }

    /// The next frame, if there is one.
    ///
    /// # Errors
    ///
    /// [`TryRecvError::Empty`] if none has arrived, [`TryRecvError::Ended`] if none ever will.
    pub fn try_recv(&mut self) -> Result<Frame, TryRecvError> {
        {
            let queue = lock(&self.shared.queue);
            if queue.is_empty() {
                return Err(if queue.is_ended() { TryRecvError::Ended } else { TryRecvError::Empty });
            }
        }
        Ok(self.take())
    }

    /// Takes the oldest frame of a queue that has one. It still has one after the lock was released: the sink
    /// drops frames only to put others in their place.
    fn take(&mut self) -> Frame {
        // The allocation happens outside the lock, which the clock thread may be waiting for.
        let mut samples: Arc<[i16]> = std::iter::repeat_n(0, self.shared.rate.frame_len()).collect();
        let Head { position, early } =
            lock(&self.shared.queue).pop(Arc::get_mut(&mut samples).expect("it has not been shared yet"));
        Frame::new(samples, self.shared.rate, early, position)
    }

    /// Counters.
    pub fn stats(&self) -> ListenStats {
        lock(&self.shared.queue).stats()
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.shared.deaf.store(true, Ordering::Relaxed);
    }
}
