//! Conversion between the application rate and the wire rate.

mod convolution;
mod filter;

use std::fmt;

use convolution::{convert, to_pcm};
use filter::Filter;
use rubato::audioadapter_buffers::direct::InterleavedSlice;
use rubato::{Fft, FixedSync, Resampler as _};

use super::SampleRate;

/// Samples of the lower rate in one block.
///
/// A block is also the length of the filter. 80 samples are the shortest with which everything up to 85 % of the lower
/// rate's Nyquist frequency (3.4 kHz of 4, 6.8 of 8) is kept and nothing from beyond it comes through, and they divide
/// 10 ms at every rate.
const LOW_BLOCK: usize = 80;

/// Converts one stream from one rate to another, block by block, without drift: a block of
/// [`block_in`](Self::block_in) samples gives exactly [`block_out`](Self::block_out) samples, for ever.
///
/// The filter is a linear-phase windowed sinc in polyphase form. It delays the sound by half a block: 5 ms where one
/// side is 8 kHz, 2.5 ms where the lower rate is 16 kHz, 1.7 ms where it is 24 kHz. A stream keeps one block and
/// nothing else, the coefficients are everybody's: with hundreds of calls the memory that each of them touches costs
/// more than the arithmetic. Measured figures are in `docs/audio.md`.
pub struct Resampler {
    filter: &'static Filter,
    from: SampleRate,
    to: SampleRate,
    block_in: usize,
    block_out: usize,
    /// The block before, by the filter's kinds of input sample.
    before: Box<[i16]>,
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
        let filter = Filter::between(from, to);
        let before = vec![0; block_in].into();
        Self { filter, from, to, block_in, block_out, before, at_rest: true }
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
        self.block_in
    }

    /// How many samples one block gives.
    pub fn block_out(&self) -> usize {
        self.block_out
    }

    /// By how much the sound is delayed, in samples of the input.
    pub fn delay(&self) -> usize {
        self.block_in / 2
    }

    /// Converts one block. Silence that follows silence costs nothing.
    ///
    /// # Panics
    ///
    /// If `input` or `output` is not exactly one block.
    pub fn process(&mut self, input: &[i16], output: &mut [i16]) {
        assert_eq!((input.len(), output.len()), (self.block_in, self.block_out), "one block in, one out");
        let silent = input.iter().all(|&sample| sample == 0);
        if silent && self.at_rest {
            output.fill(0);
            return;
        }
        self.at_rest = silent;
        // As much room as the two blocks need: it is cleared each time.
        match 2 * self.block_in {
            ..=320 => self.convert::<320>(input, output),
            _ => self.convert::<960>(input, output),
        }
    }

    fn convert<const ROOM: usize>(&mut self, input: &[i16], output: &mut [i16]) {
        let down = self.filter.down;
        let len = self.block_in / down;
        let mut room = [0.0; ROOM];
        let kinds = &mut room[..2 * self.block_in];
        let each = kinds.chunks_exact_mut(2 * len).zip(self.before.chunks_exact_mut(len));
        for (kind, (samples, kept)) in each.enumerate() {
            let (before, now) = samples.split_at_mut(len);
            for (to, &from) in before.iter_mut().zip(kept.iter()) {
                *to = from.into();
            }
            let input = input.iter().skip(kind).step_by(down);
            for ((to, kept), &from) in now.iter_mut().zip(kept).zip(input) {
                *to = from.into();
                *kept = from;
            }
        }
        convert(self.filter, kinds, output);
    }
}

impl fmt::Debug for Resampler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Resampler").field("from", &self.from).field("to", &self.to).finish_non_exhaustive()
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
    output.into_iter().map(to_pcm).collect()
}

/// Euclid's greatest common divisor.
fn gcd(a: usize, b: usize) -> usize {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests;
