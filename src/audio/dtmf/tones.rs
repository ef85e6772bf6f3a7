//! Keys as tones in the sound: what is to be sent.

use std::collections::VecDeque;
use std::f32::consts::TAU;

use super::Digit;
use super::frequencies::pair;
use crate::audio::SampleRate;

/// How long a key sounds. Receivers must accept 40 ms (ITU-T Q.24); what passes a lossy network wants more.
const TONE_MS: u32 = 100;
/// The silence after it.
const PAUSE_MS: u32 = 100;
/// Amplitudes for −8 dBm0 in the lower and −6 dBm0 in the upper group: long lines lose more of the upper one. A full
/// sine is 3.17 dBm0 in μ-law (ITU-T G.711).
const LOWER: f32 = 9_090.0;
const UPPER: f32 = 11_440.0;

/// The keys that are still to sound.
#[derive(Debug, Default)]
pub(crate) struct Tones {
    pending: VecDeque<Digit>,
    /// Samples of the first one, tone and pause, that are out.
    at: usize,
}

impl Tones {
    /// Puts keys at the end.
    pub(crate) fn press(&mut self, digits: impl IntoIterator<Item = Digit>) {
        self.pending.extend(digits);
    }

    /// Whether a key sounds, or will.
    pub(crate) fn are_sounding(&self) -> bool {
        !self.pending.is_empty()
    }

    /// Puts the tones in the place of the speech in `frame`. Without a key it stays as it is.
    pub(crate) fn speak(&mut self, rate: SampleRate, frame: &mut [i16]) {
        let hz = rate.hz() as f32;
        let (tone, whole) = (rate.samples(TONE_MS), rate.samples(TONE_MS + PAUSE_MS));
        for sample in frame {
            let Some(digit) = self.pending.front() else { return };
            let (low, high) = pair(*digit);
            let time = self.at as f32 / hz;
            *sample = match self.at < tone {
                true => (LOWER * (TAU * low * time).sin() + UPPER * (TAU * high * time).sin()) as i16,
                false => 0,
            };
            self.at += 1;
            if self.at == whole {
                self.at = 0;
                self.pending.pop_front();
            }
        }
    }
}
