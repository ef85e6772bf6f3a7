//! A recorded prompt in the place of a voice.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use super::{Speech, Synthesizer, Text};
use crate::audio::SampleRate;
use crate::audio::wav::{self, WavError};

/// Plays the same recording whatever the text: the last resort of a [`FallbackSynthesizer`](super::FallbackSynthesizer),
/// such as "One moment please".
#[derive(Clone)]
pub struct Recording {
    samples: Arc<[i16]>,
    rate: SampleRate,
}

impl Recording {
    /// 16-bit mono PCM at `rate`.
    pub fn new(samples: impl Into<Arc<[i16]>>, rate: SampleRate) -> Self {
        Self { samples: samples.into(), rate }
    }

    /// A WAV file. It blocks, and holds the whole file in memory.
    ///
    /// # Errors
    ///
    /// [`WavError`], by cause.
    pub fn read(path: impl AsRef<Path>) -> Result<Self, WavError> {
        let rate = SampleRate::Hz16000;
        Ok(Self::new(wav::read(path, rate)?, rate))
    }
}

impl Synthesizer for Recording {
    fn name(&self) -> &str {
        "recording"
    }

    fn synthesize(&self, _: Text, _: SampleRate) -> Speech {
        let Self { samples, rate } = self.clone();
        // None of the text is said, and none is told to be.
        Speech::spawn(|sink| async move { Ok(sink.sound(&samples, rate.hz()).await?) })
    }
}

impl fmt::Debug for Recording {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recording").field("samples", &self.samples.len()).field("rate", &self.rate).finish()
    }
}
