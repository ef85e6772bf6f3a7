//! The stream to the callee: a bounded queue, filled by tasks and emptied by the media clock.

mod mark;
mod queue;
mod source;
mod speaker;

use std::sync::{Arc, Mutex};
use std::time::Duration;

pub use mark::{Mark, MarkOutcome};
use queue::Queue;
pub use queue::{Due, PlayoutStats};
pub use source::{PlayoutSource, Pulled};
pub use speaker::{SendError, Speaker};

use super::SampleRate;

/// The shortest queue that can keep a 20 ms clock fed: one frame to play, one to fill.
const MIN_CAPACITY_MS: u32 = 40;

/// Makes a playout stream at the application rate `rate`, with room for `capacity` of sound (at least 40 ms; half
/// a second to two seconds are sensible).
///
/// The queue takes memory as it fills, 32 KB per second at 16 kHz. It adds no delay of its own: a sample that finds
/// it empty leaves with the next frame.
///
/// ```
/// use std::time::Duration;
/// use outdial::audio::{SampleRate, playout};
///
/// let (speaker, mut source) = playout(SampleRate::Hz16000, Duration::from_secs(1));
/// source.set_wire_rate(SampleRate::Hz8000); // the call negotiated G.711
///
/// speaker.try_send(&[0; 320])?; // 20 ms from the application ...
/// let mut packet = [0; 160];
/// source.pull(&mut packet); // ... and 20 ms for the wire
/// # Ok::<(), outdial::audio::SendError>(())
/// ```
pub fn playout(rate: SampleRate, capacity: Duration) -> (Speaker, PlayoutSource) {
    let capacity = rate.samples_in(capacity).max(rate.samples(MIN_CAPACITY_MS));
    let shared = Arc::new(Shared {
        rate,
        queue: Mutex::new(Queue::new(capacity)),
        turn: Default::default(),
        floor: Default::default(),
        voided: Default::default(),
    });
    (Speaker::new(Arc::clone(&shared)), PlayoutSource::new(shared))
}

/// What a [`Speaker`] and its [`PlayoutSource`] share.
#[derive(Debug)]
struct Shared {
    rate: SampleRate,
    queue: Mutex<Queue>,
    /// Whose samples are being queued: two sends are never interleaved. The clock does not know of it.
    turn: tokio::sync::Mutex<()>,
    /// Whose utterance is being queued: two texts are never interleaved.
    floor: Arc<tokio::sync::Mutex<()>>,
    /// What was queued will not be played: cleared, or the call has ended.
    voided: tokio::sync::Notify,
}

#[cfg(test)]
mod tests;
