//! A synthesizer's sound at a call's rate.

use rubato::audioadapter_buffers::direct::InterleavedSlice;
use rubato::{Fft, FixedSync, Resampler as _};

use super::AdapterError;
use crate::audio::{Resampler, SampleRate};

/// What a synthesizer's sound may have, in Hz.
const RATES: std::ops::RangeInclusive<u32> = 4_000..=192_000;
/// The shortest block of the way from rates that no call has (22,050 Hz …), in milliseconds. The filter is two blocks
/// long; the sound is delayed by one.
const BLOCK_MS: u32 = 20;

/// Converts one stream, piece by piece.
pub(super) struct Converter {
    to: SampleRate,
    way: Way,
}

enum Way {
    Same(u32),
    Block { resampler: Resampler, input: Vec<i16> },
    Odd { from: u32, fft: Box<Fft<f32>>, input: Vec<f32> },
}

impl Converter {
    pub(super) fn new(from: u32, to: SampleRate) -> Result<Self, AdapterError> {
        let way = if from == to.hz() {
            Way::Same(from)
        } else if let Ok(rate) = SampleRate::try_from(from) {
            Way::Block { resampler: Resampler::new(rate, to), input: Vec::new() }
        } else {
            if !RATES.contains(&from) {
                return Err(AdapterError::Invalid(format!("speech at {from} Hz cannot be converted")));
            }
            let block = (from * BLOCK_MS / 1_000) as usize;
            let fft = Fft::new(from as usize, to.hz() as usize, block, 1, FixedSync::Both)
                .map_err(|error| AdapterError::Invalid(format!("speech at {from} Hz: {error}")))?;
            Way::Odd { from, fft: Box::new(fft), input: Vec::new() }
        };
        Ok(Self { to, way })
    }

    /// The rate of what goes in, in Hz.
    pub(super) fn from(&self) -> u32 {
        match &self.way {
            Way::Same(from) | Way::Odd { from, .. } => *from,
            Way::Block { resampler, .. } => resampler.from().hz(),
        }
    }

    /// Converts as many whole blocks as there are.
    pub(super) fn push(&mut self, samples: &[i16]) -> Vec<i16> {
        match &mut self.way {
            Way::Same(_) => samples.to_vec(),
            Way::Block { resampler, input } => {
                input.extend_from_slice(samples);
                let whole = input.len() / resampler.block_in() * resampler.block_in();
                let mut output = vec![0; whole / resampler.block_in() * resampler.block_out()];
                let blocks = input[..whole].chunks_exact(resampler.block_in());
                let size = resampler.block_out();
                for (block, out) in blocks.zip(output.chunks_exact_mut(size)) {
                    resampler.process(block, out);
                }
                input.drain(..whole);
                output
            }
            Way::Odd { fft, input, .. } => {
                input.extend(samples.iter().map(|sample| f32::from(*sample)));
                let mut output = Vec::new();
                while input.len() >= fft.input_frames_next() {
                    let block = fft.input_frames_next();
                    let adapter = InterleavedSlice::new(&input[..block], 1, block);
                    // One channel, and as many samples as it asks for: there is nothing that could fail.
                    if let Some(made) = adapter.ok().and_then(|block| fft.process(&block, None).ok()) {
                        output.extend(made.take_data().into_iter().map(|sample| sample.round() as i16));
                    }
                    input.drain(..block);
                }
                output
            }
        }
    }

    /// What has not filled a block, and what the filter still holds.
    pub(super) fn finish(&mut self) -> Vec<i16> {
        let (pending, block, delay) = match &self.way {
            Way::Same(_) => return Vec::new(),
            Way::Block { resampler, input } => {
                let delay = resampler.delay() * self.to.hz() as usize / resampler.from().hz() as usize;
                (input.len(), resampler.block_in(), delay)
            }
            Way::Odd { fft, input, .. } => (input.len(), fft.input_frames_next(), fft.output_delay()),
        };
        let from = self.from() as usize;
        let end = pending * self.to.hz() as usize / from + delay;
        let mut rest = Vec::new();
        while rest.len() < end {
            rest.extend(self.push(&vec![0; block]));
        }
        rest.truncate(end);
        rest
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audio::measure::Fit;

    fn convert(samples: &[i16], from: u32, to: SampleRate, piece: usize) -> Vec<i16> {
        let mut converter = Converter::new(from, to).unwrap();
        let mut output: Vec<i16> = samples.chunks(piece).flat_map(|piece| converter.push(piece)).collect();
        output.extend(converter.finish());
        output
    }

    fn tone(hz: f64, rate: u32, count: usize) -> Vec<i16> {
        let omega = std::f64::consts::TAU * hz / f64::from(rate);
        (0..count).map(|n| ((omega * n as f64).sin() * 16_000.0).round() as i16).collect()
    }

    /// Voices of synthesizers at the rates of calls: the telephone's band comes through as it is.
    #[test]
    fn the_telephone_band_of_any_rate_comes_through() {
        for from in [8_000, 11_025, 16_000, 22_050, 24_000, 44_100] {
            for to in SampleRate::ALL {
                for hz in [300.0, 1_000.0, 2_000.0, 3_000.0, 3_400.0] {
                    let heard = convert(&tone(hz, from, from as usize / 2), from, to, 317);
                    let middle = &heard[to.samples(100)..to.samples(400)];
                    let fit = Fit::new(middle, hz, to);
                    let gain = 20.0 * (fit.amplitude / 16_000.0).log10();
                    assert!(
                        gain.abs() < 0.1 && fit.snr > 60.0,
                        "{from} to {to}, {hz}: {gain} dB, {}",
                        fit.snr
                    );
                }
            }
        }
    }

    #[test]
    fn nothing_is_cut_off_at_the_end_and_pieces_of_any_length_are_the_same() {
        for from in [8_000, 16_000, 22_050, 24_000] {
            for to in SampleRate::ALL {
                let said = tone(1_000.0, from, from as usize / 4);
                let whole = convert(&said, from, to, said.len());
                assert_eq!(whole, convert(&said, from, to, 97), "{from} to {to}");
                let (least, most) = (to.samples(250), to.samples(275));
                assert!((least..=most).contains(&whole.len()), "{from} to {to}: {}", whole.len());
                let tail = &whole[to.samples(240)..];
                assert!(tail.iter().any(|sample| sample.unsigned_abs() > 8_000), "{from} to {to}");
            }
        }
    }

    #[test]
    fn what_is_no_rate_of_speech_is_refused() {
        assert_eq!(Converter::new(100, SampleRate::Hz8000).map(|_| ()).unwrap_err().kind(), "invalid");
    }
}
