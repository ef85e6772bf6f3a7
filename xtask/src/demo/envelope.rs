//! How loud a sound is from moment to moment: enough to find a sentence again, whatever codec it went through.

use anyhow::Context as _;
use std::io::Read;

/// Pieces per second.
const RATE: u32 = 50;

/// The loudness of each 20 ms, in units of the logarithm.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Envelope(Vec<f64>);

impl Envelope {
    /// Reads a WAV file, or a stream of one whose length is not in its header.
    pub(super) fn read(source: impl Read) -> anyhow::Result<Self> {
        let mut wav = hound::WavReader::new(source).context("no WAV file")?;
        let rate = wav.spec().sample_rate;
        // A stream ends before its header says so: what is there counts.
        let samples: Vec<i16> = wav.samples().map_while(Result::ok).collect();
        Ok(Self::of(&samples, rate))
    }

    fn of(samples: &[i16], rate: u32) -> Self {
        let loudness = |piece: &[i16]| {
            let power: f64 = piece.iter().map(|&sample| f64::from(sample).powi(2)).sum();
            // Below a level of 50 everything is silence: no dithering, no noise of a codec.
            (power / piece.len() as f64).sqrt().max(50.0).ln()
        };
        Self(samples.chunks_exact((rate / RATE) as usize).map(loudness).collect())
    }

    pub(super) fn seconds(&self) -> f64 {
        self.0.len() as f64 / f64::from(RATE)
    }

    /// How much of `words` is somewhere in this: the best correlation over all places, at most 1.
    pub(super) fn likeness_to(&self, words: &Self) -> f64 {
        let places = self.0.windows(words.0.len().max(1));
        places.map(|place| correlation(place, &words.0)).fold(0.0, f64::max)
    }
}

/// Pearson's coefficient; 0 for what does not change.
fn correlation(a: &[f64], b: &[f64]) -> f64 {
    let mean = |x: &[f64]| x.iter().sum::<f64>() / x.len() as f64;
    let (mean_a, mean_b) = (mean(a), mean(b));
    let (mut ab, mut aa, mut bb) = (0.0, 0.0, 0.0);
    for (x, y) in a.iter().zip(b) {
        let (x, y) = (x - mean_a, y - mean_b);
        ab += x * y;
        aa += x * x;
        bb += y * y;
    }
    if aa * bb > 0.0 { ab / (aa * bb).sqrt() } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Syllables: sound and pause by turns, in twentieths of a second.
    fn speech(rhythm: &[u32], level: i16) -> Vec<i16> {
        let piece = |(index, &length): (usize, &u32)| {
            let level = if index % 2 == 0 { level } else { 0 };
            (0..length * 400).map(move |n| if n % 2 == 0 { level } else { -level })
        };
        rhythm.iter().enumerate().flat_map(piece).collect()
    }

    #[test]
    fn a_sentence_is_found_behind_a_pause_and_at_another_level() {
        let rhythm = [3, 1, 5, 2, 2, 1, 7, 3, 4, 1, 2, 2];
        let words = Envelope::of(&speech(&rhythm, 8_000), 8_000);
        let recorded = [vec![0; 12_345], speech(&rhythm, 3_000), vec![0; 4_000]].concat();
        assert!(Envelope::of(&recorded, 8_000).likeness_to(&words) > 0.9);
    }

    #[test]
    fn silence_and_other_words_are_not_the_sentence() {
        let words = Envelope::of(&speech(&[3, 1, 5, 2, 2, 1, 7, 3, 4, 1, 2, 2], 8_000), 8_000);
        let other = speech(&[1, 4, 2, 2, 6, 1, 1, 1, 3, 3, 5, 4, 1, 6, 2, 2, 8, 1], 8_000);
        assert!(Envelope::of(&other, 8_000).likeness_to(&words) < 0.8);
        assert!(Envelope::of(&vec![0; 80_000], 8_000).likeness_to(&words) < 0.1);
        assert!(Envelope::of(&[], 8_000).likeness_to(&words) < 0.1);
    }
}
