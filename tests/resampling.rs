//! The quality of the conversion between sample rates, measured with tones and held by floors. It is arithmetic: the same
//! figures on each machine of a kind. `cargo test --test resampling -- --nocapture` prints the table of `docs/audio.md`.

use std::f64::consts::TAU;

use outdial::audio::SampleRate::{Hz8000, Hz16000, Hz24000, Hz48000};
use outdial::audio::{Resampler, SampleRate};

const PAIRS: [(SampleRate, SampleRate); 6] = [
    (Hz8000, Hz16000),
    (Hz16000, Hz8000),
    (Hz16000, Hz24000),
    (Hz24000, Hz16000),
    (Hz16000, Hz48000),
    (Hz48000, Hz16000),
];
/// Half of full scale, −6 dBFS.
const LEVEL: f64 = 16_384.0;

/// How much of each tone is looked at, in milliseconds, after [`SETTLING`] for the filter.
const WINDOW: u32 = 200;
const SETTLING: u32 = 50;
/// Tones of multiples of this, in Hz, do not see each other in the window.
const STEP: u32 = 10;

/// A tone, converted.
fn converted(from: SampleRate, to: SampleRate, hz: u32) -> Vec<f64> {
    let step = TAU * f64::from(hz) / f64::from(from.hz());
    let tone: Vec<i16> = (0..from.samples(SETTLING + WINDOW))
        .map(|n| (LEVEL * (step * n as f64).sin()).round() as i16)
        .collect();
    let mut resampler = Resampler::new(from, to);
    let mut block = vec![0; resampler.block_out()];
    let mut heard = Vec::new();
    for piece in tone.chunks_exact(resampler.block_in()) {
        resampler.process(piece, &mut block);
        heard.extend(block.iter().map(|sample| f64::from(*sample)));
    }
    heard[to.samples(SETTLING)..to.samples(SETTLING + WINDOW)].to_vec()
}

/// How loud a frequency is.
fn level(heard: &[f64], hz: u32) -> f64 {
    let step = TAU * f64::from(hz) * f64::from(WINDOW) / 1_000.0 / heard.len() as f64;
    let (mut sin, mut cos) = (0.0, 0.0);
    for (n, sample) in heard.iter().enumerate() {
        let (s, c) = (step * n as f64).sin_cos();
        sin += sample * s;
        cos += sample * c;
    }
    2.0 * f64::hypot(sin, cos) / heard.len() as f64
}

fn db(ratio: f64) -> f64 {
    20.0 * ratio.max(1e-9).log10()
}

/// All of it, as a sine wave would have to be loud.
fn power(heard: &[f64]) -> f64 {
    (2.0 * heard.iter().map(|sample| sample * sample).sum::<f64>() / heard.len() as f64).sqrt()
}

/// The nearest tone below.
fn tone(hz: u32) -> u32 {
    hz / STEP * STEP
}

/// The highest tone that comes through with this gain, in Hz.
fn edge(from: SampleRate, to: SampleRate, gain: f64) -> u32 {
    let nyquist = from.min(to).hz() / 2;
    let (mut inside, mut outside) = (nyquist / 2, nyquist);
    while outside - inside > STEP {
        let middle = tone((inside + outside) / 2);
        if db(level(&converted(from, to, middle), middle) / LEVEL) >= gain {
            inside = middle;
        } else {
            outside = middle;
        }
    }
    inside
}

/// What is known of a pair of rates. Levels in dB.
struct Quality {
    /// The most that the level differs below 85 % of the lower rate's Nyquist frequency.
    ripple: f64,
    /// The tone against everything else there, noise, images and aliases.
    snr: f64,
    edge_tenth: u32,
    edge_3: u32,
    /// The loudest thing that a tone of the stop band leaves, against that tone: an alias where the rate goes down, an
    /// image where it goes up.
    rejection: f64,
}

fn measure(from: SampleRate, to: SampleRate) -> Quality {
    let nyquist = from.min(to).hz() / 2;
    let (mut ripple, mut snr, mut rejection) = (0.0_f64, f64::MAX, f64::MIN);
    for part in (5..=85).step_by(10) {
        let hz = tone(nyquist * part / 100);
        let heard = converted(from, to, hz);
        let own = level(&heard, hz);
        ripple = ripple.max(db(own / LEVEL).abs());
        let rest = (power(&heard).powi(2) - own * own).max(0.0).sqrt();
        snr = snr.min(db(own / rest.max(1e-3)));
        if from < to {
            // Its first image is as far above the old Nyquist frequency as the tone is below it.
            rejection = rejection.max(db(level(&heard, from.hz() - hz) / LEVEL));
        }
    }
    if from > to {
        for part in (100..=100 * from.hz() / to.hz() - 5).step_by(15) {
            rejection = rejection.max(db(power(&converted(from, to, tone(nyquist * part / 100))) / LEVEL));
        }
    }
    Quality { ripple, snr, edge_tenth: edge(from, to, -0.1), edge_3: edge(from, to, -3.0), rejection }
}

#[test]
fn speech_comes_through_and_nothing_else() {
    println!("| Conversion | Pass band to 85 %: ripple, SNR | −0.1 dB | −3 dB | Aliases, images |");
    println!("|---|---|---|---|---|");
    for (from, to) in PAIRS {
        let Quality { ripple, snr, edge_tenth, edge_3, rejection } = measure(from, to);
        let [from_khz, to_khz] = [from, to].map(|rate| rate.hz() / 1_000);
        // Less than half a step of 16 bits cannot be told from nothing.
        let rest =
            if rejection < -100.0 { "below −100 dB".to_owned() } else { format!("{rejection:.0} dB") };
        println!(
            "| {from_khz} → {to_khz} kHz | {ripple:.3} dB, {snr:.0} dB | {edge_tenth} Hz | {edge_3} Hz | {rest} |"
        );
        let nyquist = f64::from(from.min(to).hz() / 2);
        assert!(ripple < 0.02, "{from} to {to}: {ripple} dB");
        assert!(snr > 80.0, "{from} to {to}: {snr} dB");
        // 3.48 kHz of 4, 6.96 of 8.
        assert!(f64::from(edge_tenth) >= 0.87 * nyquist, "{from} to {to}: −0.1 dB at {edge_tenth} Hz");
        assert!(f64::from(edge_3) >= 0.91 * nyquist, "{from} to {to}: −3 dB at {edge_3} Hz");
        assert!(rejection < -85.0, "{from} to {to}: {rejection} dB");
    }
}
