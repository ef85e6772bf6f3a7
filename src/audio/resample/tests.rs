use super::*;
use crate::audio::measure::{Fit, tone};

fn pairs() -> impl Iterator<Item = (SampleRate, SampleRate)> {
    let all = SampleRate::ALL;
    all.into_iter().flat_map(move |from| all.map(|to| (from, to))).filter(|(from, to)| from != to)
}

fn convert(resampler: &mut Resampler, samples: &[i16]) -> Vec<i16> {
    let mut out = vec![0; resampler.block_out()];
    samples
        .chunks_exact(resampler.block_in())
        .flat_map(|block| {
            resampler.process(block, &mut out);
            out.clone()
        })
        .collect()
}

/// A tone of half scale through a fresh resampler, without the first 50 ms, in which it swings in.
fn settled(from: SampleRate, to: SampleRate, hz: f64) -> Vec<i16> {
    let samples = tone(hz, 16_000.0, from, from.samples(250));
    convert(&mut Resampler::new(from, to), &samples).split_off(to.samples(50))
}

#[test]
fn blocks_divide_ten_milliseconds_and_delay_five_at_most() {
    for (from, to) in pairs() {
        let resampler = Resampler::new(from, to);
        assert_eq!(from.samples(10) % resampler.block_in(), 0, "{from} to {to}");
        assert_eq!(to.samples(10) % resampler.block_out(), 0, "{from} to {to}");
        assert_eq!(resampler.block_in() * to.hz() as usize, resampler.block_out() * from.hz() as usize);
        assert!(resampler.delay() <= from.samples(5), "{from} to {to}");
    }
}

/// The pass band: up to 85 % of the lower rate's Nyquist frequency (3.4 of 4 kHz), level within 0.05 dB, noise,
/// images and aliases 80 dB down.
#[test]
fn the_pass_band_is_flat_and_clean() {
    for (from, to) in pairs() {
        let nyquist = f64::from(from.min(to).hz()) / 2.0;
        for part in [0.05, 0.1, 0.25, 0.4, 0.55, 0.7, 0.8, 0.85] {
            let hz = part * nyquist;
            let fit = Fit::new(&settled(from, to, hz), hz, to);
            let gain = 20.0 * (fit.amplitude / 16_000.0).log10();
            assert!(gain.abs() < 0.05, "{from} to {to}, {hz} Hz: {gain} dB");
            assert!(fit.snr > 80.0, "{from} to {to}, {hz} Hz: SNR {} dB", fit.snr);
        }
    }
}

/// The stop band: what the lower rate cannot carry is 80 dB down, instead of coming back as an alias.
#[test]
fn what_the_lower_rate_cannot_carry_is_gone() {
    for (from, to) in pairs().filter(|(from, to)| from > to) {
        let nyquist = f64::from(to.hz()) / 2.0;
        for part in [1.0, 1.1, 1.25, 1.45] {
            let left = settled(from, to, part * nyquist);
            let loudest = left.iter().map(|sample| sample.unsigned_abs()).max();
            assert!(loudest <= Some(1), "{from} to {to}, {} Hz: {loudest:?}", part * nyquist);
        }
    }
}

/// The delay is the one that is promised, to a thousandth of a sample, and the same at all frequencies.
#[test]
fn the_delay_is_constant() {
    for (from, to) in pairs() {
        let resampler = Resampler::new(from, to);
        let delay = resampler.delay() as f64 / f64::from(from.hz());
        for hz in [200.0, 1_000.0, 3_000.0] {
            let fit = Fit::new(&settled(from, to, hz), hz, to);
            let expected = std::f64::consts::TAU * hz * (0.05 - delay);
            let error = (fit.phase - expected).sin() / (std::f64::consts::TAU * hz) * f64::from(to.hz());
            assert!(error.abs() < 1e-3, "{from} to {to}, {hz} Hz: {error} samples");
        }
    }
}

#[test]
fn silence_after_speech_is_silent_and_speech_after_silence_whole() {
    for (from, to) in pairs() {
        let mut resampler = Resampler::new(from, to);
        let speech = tone(1_000.0, 16_000.0, from, from.samples(100));
        let silence = vec![0; from.samples(100)];
        let first = convert(&mut resampler, &speech);
        let tail = convert(&mut resampler, &silence);
        let block = resampler.block_out();
        assert!(tail[..block].iter().any(|&sample| sample != 0), "the filter still holds the end");
        assert!(tail[block..].iter().all(|&sample| sample == 0));
        assert_eq!(convert(&mut resampler, &speech), first, "silence leaves no trace");
    }
}

#[test]
fn what_is_too_loud_is_limited() {
    let square: Vec<i16> = (0..1_600).map(|n| if n / 20 % 2 == 0 { i16::MAX } else { i16::MIN }).collect();
    let out = convert(&mut Resampler::new(SampleRate::Hz8000, SampleRate::Hz16000), &square);
    // A square wave overshoots when its edges are rounded; a wrapped sample would have the other sign.
    for (n, &sample) in out.iter().enumerate().skip(400) {
        let at = (n as i32 - 80).rem_euclid(80);
        if (4..36).contains(&at) {
            assert!(sample > 20_000, "{n}: {sample}");
        } else if (44..76).contains(&at) {
            assert!(sample < -20_000, "{n}: {sample}");
        }
    }
}
