//! Keys as tones in the sound: what is heard.

use std::f32::consts::TAU;

use super::Digit;
use super::frequencies::{COLUMNS, ROWS, key};
use crate::audio::SampleRate;

/// Blocks of 102 samples at 8 kHz, 12.75 ms: in the shortest key that must count, 40 ms (ITU-T Q.24), two of them fit
/// wherever it begins, and in the longest that must not, 23 ms, never two.
const BLOCKS_PER_MINUTE: u32 = 60 * 8000 / 102;
/// The weakest tone that counts, as the mean square of its samples: about −34 dBm0 each.
const WEAKEST: f32 = 100_000.0;
/// How much stronger the lower tone may be than the upper one, 8 dB, and the upper than the lower, 4 dB and a little for
/// what a coder adds.
const TWIST: f32 = 6.3;
const REVERSE_TWIST: f32 = 2.9;
/// How far a tone stands above the other three of its group: 8 dB.
const ABOVE_OTHERS: f32 = 6.3;
/// How much of all there is in a block the two tones are. Speech has more beside them.
const SHARE: f32 = 0.82;

/// Listens for the tones of keys (ITU-T Q.23, Q.24), with Goertzel filters.
#[derive(Debug)]
pub(crate) struct Detector {
    rate: SampleRate,
    rows: [Filter; 4],
    columns: [Filter; 4],
    energy: f32,
    /// Samples of a block, and those of the present one.
    block: usize,
    samples: usize,
    /// The key of the block before.
    before: Option<Digit>,
    /// The key that sounds.
    sounds: Option<Digit>,
}

impl Detector {
    pub(crate) fn new(rate: SampleRate) -> Self {
        let filter = |frequency: f32| Filter::new(frequency, rate);
        Self {
            rate,
            rows: ROWS.map(filter),
            columns: COLUMNS.map(filter),
            energy: 0.0,
            block: (rate.hz() as usize * 60) / BLOCKS_PER_MINUTE as usize,
            samples: 0,
            before: None,
            sounds: None,
        }
    }

    pub(crate) fn rate(&self) -> SampleRate {
        self.rate
    }

    /// Hears a frame and tells the keys that begin in it: at most one per 25 ms.
    pub(crate) fn hear(&mut self, frame: &[i16], mut told: impl FnMut(Digit)) {
        for sample in frame {
            let sample = f32::from(*sample);
            for filter in self.rows.iter_mut().chain(&mut self.columns) {
                filter.push(sample);
            }
            self.energy += sample * sample;
            self.samples += 1;
            if self.samples == self.block {
                let heard = self.judge();
                // Two blocks make a key, and two that have it no more its end: a click is neither.
                if heard == self.before && heard != self.sounds {
                    self.sounds = heard;
                    heard.into_iter().for_each(&mut told);
                }
                self.before = heard;
                self.samples = 0;
                self.energy = 0.0;
            }
        }
    }

    /// The key of the block that is complete.
    fn judge(&mut self) -> Option<Digit> {
        let length = self.block as f32;
        let power = |filters: &mut [Filter; 4]| filters.each_mut().map(|filter| filter.take() / length);
        let (rows, columns) = (power(&mut self.rows), power(&mut self.columns));
        let (row, low) = alone(&rows)?;
        let (column, high) = alone(&columns)?;
        let weak = low < WEAKEST || high < WEAKEST;
        let twisted = low > high * TWIST || high > low * REVERSE_TWIST;
        let drowned = low + high < SHARE * self.energy / length;
        if weak || twisted || drowned { None } else { key(row, column) }
    }
}

/// The one that is far above the others, and its power.
fn alone(powers: &[f32; 4]) -> Option<(usize, f32)> {
    let (place, most) = powers.iter().copied().enumerate().max_by(|a, b| a.1.total_cmp(&b.1))?;
    let others = powers.iter().enumerate().filter(|(other, _)| *other != place);
    others.into_iter().all(|(_, power)| power * ABOVE_OTHERS < most).then_some((place, most))
}

/// A Goertzel filter: one term of a Fourier transform.
#[derive(Debug, Clone, Copy)]
struct Filter {
    coefficient: f32,
    last: f32,
    before: f32,
    samples: f32,
}

impl Filter {
    fn new(frequency: f32, rate: SampleRate) -> Self {
        let coefficient = 2.0 * (TAU * frequency / rate.hz() as f32).cos();
        Self { coefficient, last: 0.0, before: 0.0, samples: 0.0 }
    }

    fn push(&mut self, sample: f32) {
        (self.last, self.before) = (sample + self.coefficient * self.last - self.before, self.last);
        self.samples += 1.0;
    }

    /// The energy at the frequency since the last time: that of its sine, summed over the samples.
    fn take(&mut self) -> f32 {
        let (last, before) = (self.last, self.before);
        let squared = last * last + before * before - self.coefficient * last * before;
        let energy = 2.0 * squared / self.samples.max(1.0);
        (self.last, self.before, self.samples) = (0.0, 0.0, 0.0);
        energy
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audio::dtmf::tones::Tones;

    const ALL: &str = "0123456789*#ABCD";

    fn digits(text: &str) -> Vec<Digit> {
        text.chars().map(|c| Digit::try_from(c).unwrap()).collect()
    }

    fn heard(rate: SampleRate, samples: &[i16]) -> String {
        let mut detector = Detector::new(rate);
        let mut keys = String::new();
        // Frames of an odd length: where they end must not matter.
        samples.chunks(77).for_each(|frame| detector.hear(frame, |digit| keys.push(digit.as_char())));
        keys
    }

    fn spoken(rate: SampleRate, text: &str) -> Vec<i16> {
        let mut tones = Tones::default();
        tones.press(digits(text));
        let mut samples = vec![0; rate.samples(200 * text.len() as u32 + 40)];
        tones.speak(rate, &mut samples);
        samples
    }

    /// Two sines, each with its level in dBm0, for so many milliseconds between silence.
    fn pair(low: (f32, f32), high: (f32, f32), milliseconds: u32) -> Vec<i16> {
        let rate = SampleRate::Hz8000;
        let amplitude = |level: f32| 32_767.0 * 10f32.powf((level - 3.17) / 20.0);
        let tone = (0..rate.samples(milliseconds)).map(|index| {
            let time = index as f32 / rate.hz() as f32;
            let sine = |(frequency, level): (f32, f32)| amplitude(level) * (TAU * frequency * time).sin();
            (sine(low) + sine(high)) as i16
        });
        let silence = std::iter::repeat_n(0, rate.samples(60));
        silence.clone().chain(tone).chain(silence).collect()
    }

    #[test]
    fn every_key_is_heard_once_at_every_rate() {
        for rate in SampleRate::ALL {
            assert_eq!(heard(rate, &spoken(rate, ALL)), ALL, "{rate:?}");
            assert_eq!(heard(rate, &spoken(rate, "1155##")), "1155##", "{rate:?}");
        }
    }

    /// ITU-T Q.24, table A-1.
    #[test]
    fn what_must_be_accepted_and_what_must_not() {
        let (row, column) = (770.0, 1336.0);
        for (low, high, milliseconds, expected) in [
            ((row, -10.0), (column, -10.0), 40, "5"),
            ((row, -10.0), (column, -10.0), 23, ""),
            // 1.5 % off is the keypad's tolerance, 3.5 % another signal's.
            ((row * 1.015, -10.0), (column * 0.985, -10.0), 60, "5"),
            ((row * 1.035, -10.0), (column, -10.0), 60, ""),
            ((row, -10.0), (column * 1.035, -10.0), 60, ""),
            // Weak, and too weak.
            ((row, -25.0), (column, -25.0), 60, "5"),
            ((row, -45.0), (column, -45.0), 60, ""),
            // Twisted, and too far.
            ((row, -8.0), (column, -15.0), 60, "5"),
            ((row, -13.0), (column, -9.0), 60, "5"),
            ((row, -5.0), (column, -15.0), 60, ""),
            ((row, -15.0), (column, -9.0), 60, ""),
            // One tone is no key.
            ((row, -6.0), (column, -90.0), 60, ""),
        ] {
            let samples = pair(low, high, milliseconds);
            assert_eq!(heard(SampleRate::Hz8000, &samples), expected, "{low:?} {high:?} {milliseconds} ms");
        }
    }

    /// A gap of 10 ms within a key is a fault of the line, not a second key.
    #[test]
    fn a_short_gap_does_not_make_two() {
        let mut samples = spoken(SampleRate::Hz8000, "7");
        samples[400..480].fill(0);
        assert_eq!(heard(SampleRate::Hz8000, &samples), "7");
    }

    /// Harmonics of a voice that glides through the band, and noise beside a tone.
    #[test]
    fn sound_that_is_no_key_is_none() {
        let rate = SampleRate::Hz8000;
        let mut phase = 0.0f32;
        let mut noise = 1u32;
        let voice: Vec<i16> = (0..rate.samples(60_000))
            .map(|index| {
                let time = index as f32 / rate.hz() as f32;
                let pitch = 160.0 + 80.0 * (TAU * 0.37 * time).sin() + 12.0 * (TAU * 5.1 * time).sin();
                phase += TAU * pitch / rate.hz() as f32;
                noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                let hiss = (noise >> 16) as f32 / 65_536.0 - 0.5;
                let voiced: f32 = (1..18)
                    .map(|harmonic| {
                        let frequency = pitch * harmonic as f32;
                        let formant = [500.0 + 300.0 * (TAU * 0.9 * time).sin(), 1_400.0]
                            .map(|peak: f32| 1.0 / (1.0 + ((frequency - peak) / 150.0).powi(2)));
                        (formant[0] + formant[1]) * (phase * harmonic as f32).sin()
                    })
                    .sum();
                ((voiced * 7_000.0) + hiss * 300.0) as i16
            })
            .collect();
        assert_eq!(heard(rate, &voice), "");
    }
}
