//! One 20 ms piece of what the callee says.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::SampleRate;

/// How long a [`Frame`] lasts, in milliseconds.
pub const FRAME_MS: u32 = 20;

/// Samples of the longest frame: 20 ms at 48 kHz.
pub(super) const MOST_SAMPLES: usize = 48 * FRAME_MS as usize;

/// 20 ms of the callee's voice at the application rate, from a [`Listener`](super::Listener).
///
/// A clone shares the samples, so that a recorder and a transcriber can have the same frame at no cost.
#[derive(Clone, PartialEq, Eq)]
pub struct Frame {
    samples: Arc<[i16]>,
    rate: SampleRate,
    early: bool,
    position: u64,
}

impl Frame {
    pub(super) fn new(samples: Arc<[i16]>, rate: SampleRate, early: bool, position: u64) -> Self {
        debug_assert_eq!(samples.len(), rate.frame_len());
        Self { samples, rate, early, position }
    }

    /// The samples, 16-bit mono PCM; always [`SampleRate::frame_len`] of them.
    pub fn samples(&self) -> &[i16] {
        &self.samples
    }

    /// The application rate.
    pub fn rate(&self) -> SampleRate {
        self.rate
    }

    /// Whether this is early media (RFC 3960): an announcement or a ringing tone from before the answer. A frame
    /// that the answer falls into counts as early.
    pub fn is_early(&self) -> bool {
        self.early
    }

    /// Where the first sample stands in the stream: samples at the application rate since media began, by the
    /// clock of the wire. Frames that were dropped because nobody read them are counted, so that a step of more
    /// than one frame length shows a gap of known size.
    pub fn position(&self) -> u64 {
        self.position
    }

    /// [`position`](Self::position) as time since media began.
    pub fn start(&self) -> Duration {
        self.rate.duration(self.position)
    }
}

impl fmt::Debug for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Frame")
            .field("samples", &self.samples.len())
            .field("rate", &self.rate)
            .field("early", &self.early)
            .field("position", &self.position)
            .finish()
    }
}
