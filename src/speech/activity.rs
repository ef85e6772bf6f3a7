//! Whether somebody speaks.

use std::time::Duration;

use crate::audio::{Frame, Resampler, SampleRate};

/// The detector's own rate and window.
const RATE: SampleRate = SampleRate::Hz16000;
const WINDOW: usize = 256;
/// The detector's score, 0 to 1, from which on a window is speech.
const SCORE: f32 = 0.4;
/// Noise that does not change is no speech, whatever the detector takes it for: speech has twice its power.
const ABOVE_NOISE: f64 = 2.0;
/// The noise is the quietest window of the last one to two seconds, in windows of 16 ms.
const NOISE_WINDOWS: usize = 60;
/// Power of what counts as silence however quiet the line is: −70 dBFS.
const SILENCE: f64 = 100.0;
/// Windows in a row that begin speech: 48 ms.
const ONSET: usize = 3;
/// A pause as long as this is within a sentence.
const PAUSE: Duration = Duration::from_millis(500);

/// A change that [`VoiceActivity`] has found. Times are those of the frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VoiceChange {
    /// Somebody began to speak; found about a tenth of a second later.
    Started {
        /// When.
        at: Duration,
    },
    /// Somebody has been silent for the pause.
    Ended {
        /// When the speech ended, before the pause.
        at: Duration,
    },
}

/// Tells speech from pauses in a stream of frames: the neural network of the crate `earshot`, and a measure of the noise.
///
/// How well it does on telephone speech with noise is in `docs/speech.md`.
pub struct VoiceActivity {
    detector: Box<earshot::Detector>,
    converter: Option<Resampler>,
    /// Samples at [`RATE`] that fill no window yet.
    pending: Vec<i16>,
    noise: Noise,
    pause: Duration,
    /// Windows of speech in a row.
    run: usize,
    speaking: bool,
    last_voice: Duration,
}

impl VoiceActivity {
    /// A detector for frames at `rate`, with a pause of half a second.
    #[must_use]
    pub fn new(rate: SampleRate) -> Self {
        Self {
            detector: earshot::Detector::default_boxed(),
            converter: (rate != RATE).then(|| Resampler::new(rate, RATE)),
            pending: Vec::with_capacity(2 * RATE.frame_len()),
            noise: Noise { windows: 0, quietest: [f64::MAX; 2] },
            pause: PAUSE,
            run: 0,
            speaking: false,
            last_voice: Duration::ZERO,
        }
    }

    /// How long somebody must be silent to have ended, instead of half a second.
    #[must_use]
    pub fn pause(mut self, pause: Duration) -> Self {
        self.pause = pause;
        self
    }

    /// Whether somebody is speaking, short pauses included.
    #[must_use]
    pub fn is_speaking(&self) -> bool {
        self.speaking
    }

    /// Takes the next frame, which must have the rate of [`new`](Self::new), and tells what changed with it.
    pub fn frame(&mut self, frame: &Frame) -> Option<VoiceChange> {
        let end = frame.start() + Duration::from_millis(crate::audio::FRAME_MS.into());
        self.push(frame.samples(), end)
    }

    /// Takes samples that end at `end`.
    fn push(&mut self, samples: &[i16], end: Duration) -> Option<VoiceChange> {
        match &mut self.converter {
            Some(converter) => {
                let from = self.pending.len();
                let blocks = samples.chunks_exact(converter.block_in());
                let size = converter.block_out();
                self.pending.resize(from + blocks.len() * size, 0);
                for (block, out) in blocks.zip(self.pending[from..].chunks_exact_mut(size)) {
                    converter.process(block, out);
                }
            }
            None => self.pending.extend_from_slice(samples),
        }
        let mut change = None;
        while self.pending.len() >= WINDOW {
            let behind = RATE.duration((self.pending.len() - WINDOW) as u64);
            let voiced = self.noise.is_above(&self.pending[..WINDOW])
                & (self.detector.predict_i16(&self.pending[..WINDOW]) >= SCORE);
            self.pending.drain(..WINDOW);
            change = self.window(voiced, end.saturating_sub(behind)).or(change);
        }
        change
    }

    /// Takes a window that ends at `end`.
    fn window(&mut self, voiced: bool, end: Duration) -> Option<VoiceChange> {
        self.run = if voiced { self.run + 1 } else { 0 };
        if voiced && (self.speaking || self.run >= ONSET) {
            self.last_voice = end;
        }
        if !self.speaking && self.run >= ONSET {
            self.speaking = true;
            let at = end.saturating_sub(RATE.duration((ONSET * WINDOW) as u64));
            return Some(VoiceChange::Started { at });
        }
        if self.speaking && end >= self.last_voice + self.pause {
            self.speaking = false;
            return Some(VoiceChange::Ended { at: self.last_voice });
        }
        None
    }
}

impl std::fmt::Debug for VoiceActivity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("VoiceActivity").field("speaking", &self.speaking).finish_non_exhaustive()
    }
}

/// How loud the line is while nobody speaks.
struct Noise {
    windows: usize,
    /// Of the second before this one, and of this one.
    quietest: [f64; 2],
}

impl Noise {
    fn is_above(&mut self, window: &[i16]) -> bool {
        let power = window.iter().map(|&sample| f64::from(sample).powi(2)).sum::<f64>() / window.len() as f64;
        let power = power.max(SILENCE);
        if self.windows.is_multiple_of(NOISE_WINDOWS) {
            self.quietest = [self.quietest[1], f64::MAX];
        }
        self.windows += 1;
        self.quietest[1] = self.quietest[1].min(power);
        power >= ABOVE_NOISE * self.quietest[0].min(self.quietest[1])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Feeds windows that are speech or not, 16 ms each.
    fn changes(windows: &[(bool, usize)]) -> Vec<VoiceChange> {
        let mut activity = VoiceActivity::new(RATE);
        let windows = windows.iter().flat_map(|&(voiced, count)| std::iter::repeat_n(voiced, count));
        let end = |n: usize| RATE.duration(((n + 1) * WINDOW) as u64);
        windows.enumerate().filter_map(|(n, voiced)| activity.window(voiced, end(n))).collect()
    }

    #[test]
    fn speech_begins_with_its_first_window_and_ends_with_its_last() {
        let ms = Duration::from_millis;
        let found = changes(&[(false, 10), (true, 20), (false, 40)]);
        assert_eq!(found, [VoiceChange::Started { at: ms(160) }, VoiceChange::Ended { at: ms(480) }]);
    }

    #[test]
    fn clicks_begin_nothing_and_pauses_within_a_sentence_end_nothing() {
        assert_eq!(changes(&[(false, 10), (true, 2), (false, 40), (true, 2)]), []);
        assert_eq!(changes(&[(true, 10), (false, 30), (true, 1), (false, 30)]).len(), 1);
    }

    #[test]
    fn steady_noise_is_no_speech_at_any_rate() {
        for rate in SampleRate::ALL {
            let mut activity = VoiceActivity::new(rate);
            let mut state = 1_u32;
            for n in 0..250_u64 {
                let frame: Vec<i16> = (0..rate.frame_len())
                    .map(|_| {
                        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                        (state >> 16) as i16 / 16
                    })
                    .collect();
                let end = Duration::from_millis(20 * (n + 1));
                assert_eq!(activity.push(&frame, end), None, "{rate}, frame {n}");
            }
        }
    }
}
