//! Both sides of a recording on their way from one rate to another: a call can change its codec, a file not its rate.

use crate::audio::{Resampler, SampleRate};

/// Converts pairs of samples, without a delay: as long as what goes in is what comes out, and at the same place.
pub(super) struct PairConverter {
    sides: [Resampler; 2],
    input: [Vec<i16>; 2],
    /// Pairs to leave out first: the filter's delay.
    skip: usize,
    fed: u64,
    given: u64,
}

impl PairConverter {
    pub(super) fn new(from: SampleRate, to: SampleRate) -> Self {
        let sides = [(); 2].map(|()| Resampler::new(from, to));
        let skip = sides[0].delay() * to.hz() as usize / from.hz() as usize;
        Self { sides, input: Default::default(), skip, fed: 0, given: 0 }
    }

    pub(super) fn from(&self) -> SampleRate {
        self.sides[0].from()
    }

    /// Appends to `out` what these pairs complete.
    pub(super) fn push(&mut self, pairs: &[i16], out: &mut Vec<i16>) {
        self.fed += pairs.len() as u64 / 2;
        self.convert(pairs, u64::MAX, out);
    }

    /// Appends what is still held back.
    pub(super) fn finish(mut self, out: &mut Vec<i16>) {
        let (from, to) = (self.from(), self.sides[0].to());
        let end = self.fed * u64::from(to.hz()) / u64::from(from.hz());
        while self.given < end {
            self.convert(&vec![0; 2 * self.sides[0].block_in()], end, out);
        }
    }

    fn convert(&mut self, pairs: &[i16], end: u64, out: &mut Vec<i16>) {
        for pair in pairs.chunks_exact(2) {
            self.input[0].push(pair[0]);
            self.input[1].push(pair[1]);
        }
        let (block_in, block_out) = (self.sides[0].block_in(), self.sides[0].block_out());
        let mut blocks = [vec![0; block_out], vec![0; block_out]];
        while self.input[0].len() >= block_in {
            for ((side, input), block) in self.sides.iter_mut().zip(&mut self.input).zip(&mut blocks) {
                side.process(&input[..block_in], block);
                input.drain(..block_in);
            }
            for (left, right) in blocks[0].iter().zip(&blocks[1]) {
                if self.skip > 0 {
                    self.skip -= 1;
                } else if self.given < end {
                    out.extend([*left, *right]);
                    self.given += 1;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::f64::consts::TAU;

    use super::*;

    #[test]
    fn a_tone_stays_at_its_place_on_its_side() {
        for (from, to) in
            [(SampleRate::Hz16000, SampleRate::Hz8000), (SampleRate::Hz8000, SampleRate::Hz48000)]
        {
            let tone = |rate: SampleRate, n: usize| {
                (8_000.0 * (TAU * 500.0 * n as f64 / f64::from(rate.hz())).sin()).round() as i16
            };
            let count = from.samples(123) + 1;
            let pairs: Vec<i16> = (0..count).flat_map(|n| [tone(from, n), 0]).collect();
            let mut converter = PairConverter::new(from, to);
            let mut out = Vec::new();
            pairs.chunks(2 * 37).for_each(|piece| converter.push(piece, &mut out));
            converter.finish(&mut out);
            assert_eq!(out.len() / 2, count * to.hz() as usize / from.hz() as usize);
            let edge = to.samples(10);
            for n in edge..out.len() / 2 - edge {
                assert!((out[2 * n] - tone(to, n)).abs() < 20, "{from} to {to}, sample {n}");
                assert_eq!(out[2 * n + 1], 0);
            }
        }
    }
}
