//! Conversion between the application rate and the wire rate.

use std::fmt;

use rubato::audioadapter_buffers::direct::InterleavedSlice;
use rubato::{Fft, FixedSync, Resampler as _, WindowFunction};

use super::SampleRate;

/// Samples of the lower rate in one block.
///
/// A block is also the length of the anti-aliasing filter. 80 samples are the shortest for which a Blackman window
/// keeps everything up to 85 % of the lower rate's Nyquist frequency (3.4 kHz of 4, 6.8 of 8) and lets nothing
/// from beyond it through, and they divide 10 ms at every rate.
const LOW_BLOCK: usize = 80;

/// Converts one stream from one rate to another, block by block, without drift: a block of
/// [`block_in`](Self::block_in) samples gives exactly [`block_out`](Self::block_out) samples, for ever.
///
/// The filter is a linear-phase windowed sinc, applied by FFT (crate `rubato`). It delays the sound by half a
/// block: 5 ms where one side is 8 kHz, 2.5 ms where the lower rate is 16 kHz, 1.7 ms where it is 24 kHz. Measured
/// figures are in `docs/audio.md`.
pub struct Resampler {
    fft: Fft<f32>,
    from: SampleRate,
    to: SampleRate,
    input: Box<[f32]>,
    output: Box<[f32]>,
    /// Whether the last block was all zeros, so that nothing of the sound is left in the filter.
    at_rest: bool,
}

impl Resampler {
    /// A converter with nothing but silence behind it. The two rates must differ.
    ///
    /// # Panics
    ///
    /// If `from` and `to` are the same rate: there is nothing to convert then.
    pub fn new(from: SampleRate, to: SampleRate) -> Self {
        assert_ne!(from, to, "the same rate on both sides needs no resampler");
        let low = from.min(to);
        let block = |rate: SampleRate| LOW_BLOCK * rate.hz() as usize / low.hz() as usize;
        let (block_in, block_out) = (block(from), block(to));
        let fft = Fft::new_custom(
            from.hz() as usize,
            to.hz() as usize,
            block_in,
            1,
            1,
            WindowFunction::Blackman,
            FixedSync::Both,
        )
        .expect("rates, block and channel count are constants above zero");
        debug_assert_eq!((fft.input_frames_next(), fft.output_frames_next()), (block_in, block_out));
        Self {
            fft,
            from,
            to,
            input: vec![0.0; block_in].into(),
            output: vec![0.0; block_out].into(),
            at_rest: true,
        }
    }

    /// The rate of what goes in.
    pub fn from(&self) -> SampleRate {
        self.from
    }

    /// The rate of what comes out.
    pub fn to(&self) -> SampleRate {
        self.to
    }

    /// How many samples one block takes.
    pub fn block_in(&self) -> usize {
        self.input.len()
    }

    /// How many samples one block gives.
    pub fn block_out(&self) -> usize {
        self.output.len()
    }

    /// By how much the sound is delayed, in samples of the input.
    pub fn delay(&self) -> usize {
        self.input.len() / 2
    }

    /// Converts one block. Silence that follows silence costs nothing.
    ///
    /// # Panics
    ///
    /// If `input` or `output` is not exactly one block.
    pub fn process(&mut self, input: &[i16], output: &mut [i16]) {
        assert_eq!(
            (input.len(), output.len()),
            (self.input.len(), self.output.len()),
            "one block in, one out"
        );
        let silent = input.iter().all(|&sample| sample == 0);
        if silent && self.at_rest {
            output.fill(0);
            return;
        }
        self.at_rest = silent;
        for (to, &from) in self.input.iter_mut().zip(input) {
            *to = from.into();
        }
        let (block_in, block_out) = (self.input.len(), self.output.len());
        let input = InterleavedSlice::new(&self.input, 1, block_in).expect("one channel, one block");
        let mut converted =
            InterleavedSlice::new_mut(&mut self.output, 1, block_out).expect("one channel, one block");
        self.fft.process_into_buffer(&input, &mut converted, None).expect("the buffers are one block long");
        to_pcm(&self.output, output);
    }
}

impl fmt::Debug for Resampler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Resampler").field("from", &self.from).field("to", &self.to).finish_non_exhaustive()
    }
}

/// Rounds to the nearest sample; what is too loud for 16 bits is limited (a cast saturates), not wrapped.
fn to_pcm(from: &[f32], to: &mut [i16]) {
    for (to, from) in to.iter_mut().zip(from) {
        *to = (from + 0.5_f32.copysign(*from)) as i16;
    }
}

/// Converts a whole clip between any two rates, with no delay: sample `n` of the result is the sound at
/// `n / to_hz` seconds. `ceil(samples.len() * to_hz / from_hz)` samples come out.
pub(super) fn clip(samples: &[i16], from_hz: u32, to: SampleRate) -> Vec<i16> {
    if from_hz == to.hz() || samples.is_empty() {
        return samples.to_vec();
    }
    let (from, to) = (from_hz as usize, to.hz() as usize);
    // The filter's delay, half a block, is trimmed off to the sample: the block has to be even.
    let even = 2 * from / gcd(from, to);
    let mut fft = Fft::new(from, to, even * 1024_usize.div_ceil(even), 1, FixedSync::Both)
        .expect("rates, block and channel count are above zero");
    let input: Vec<f32> = samples.iter().map(|&sample| sample.into()).collect();
    let input = InterleavedSlice::new(&input, 1, samples.len()).expect("one channel, its length");
    let output = fft.process_all(&input, samples.len(), None).expect("the buffer is as long as the clip");
    let output = output.take_data();
    let mut pcm = vec![0; output.len()];
    to_pcm(&output, &mut pcm);
    pcm
}

/// Euclid's greatest common divisor.
fn gcd(a: usize, b: usize) -> usize {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests;
