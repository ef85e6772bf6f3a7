//! Sound between the application and a call: 16-bit mono PCM, in 20 ms frames, at the rate the application chose.
//!
//! A call has one stream in each direction. [`playout`] makes the one towards the callee: the application holds
//! the [`Speaker`] and the provider's media clock pulls from the [`PlayoutSource`]. [`listen`] makes the one from
//! the callee: the clock pushes into the [`ListenSink`] and the application reads [`Frame`]s from the
//! [`Listener`]. The provider's ends work at the *wire rate* of the negotiated codec, the application's ends at the
//! *application rate*; where the two differ, each direction is converted exactly once, see [`Resampler`]. Where
//! they are equal, samples are copied and nothing else.
//!
//! Nothing here knows which network carries the call. The provider's ends never wait for a task: they take a lock
//! that is only ever held for a copy of a few kilobytes, wake tasks after releasing it, and wake only tasks that
//! wait.

pub mod dtmf;
mod duplex;
mod fade;
mod frame;
mod listen;
#[cfg(test)]
pub(crate) mod measure;
mod playout;
pub mod quality;
mod rate;
mod resample;
pub mod wav;

#[cfg(test)]
pub(crate) use duplex::Step;
pub(crate) use duplex::{Batch, Between, DuplexControl, DuplexSink, DuplexSource, Progress, duplex};
pub use frame::{FRAME_MS, Frame};
pub use listen::{ListenSink, ListenStats, Listener, TryRecvError, listen};
pub use playout::{Due, Mark, MarkOutcome, PlayoutSource, PlayoutStats, Pulled, SendError, Speaker, playout};
pub use rate::{SampleRate, UnsupportedRate};
pub use resample::Resampler;

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks `mutex` even if a thread panicked while it held it: the queues are consistent after every statement.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
