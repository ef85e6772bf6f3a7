//! What the tests of this module hear with.

use std::f64::consts::TAU;

use super::SampleRate;

/// A sine wave that begins at zero.
pub(crate) fn tone(hz: f64, amplitude: f64, rate: SampleRate, len: usize) -> Vec<i16> {
    let step = TAU * hz / f64::from(rate.hz());
    (0..len).map(|n| (amplitude * (step * n as f64).sin()).round() as i16).collect()
}

/// The sine wave of a known frequency that comes nearest to some samples.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fit {
    pub(crate) amplitude: f64,
    /// Phase at the first sample, in radians.
    pub(crate) phase: f64,
    /// The wave against everything else, in dB.
    pub(crate) snr: f64,
}

impl Fit {
    pub(crate) fn new(samples: &[i16], hz: f64, rate: SampleRate) -> Self {
        let step = TAU * hz / f64::from(rate.hz());
        let (mut ss, mut cc, mut sc, mut xs, mut xc) = (0.0, 0.0, 0.0, 0.0, 0.0);
        for (n, &x) in samples.iter().enumerate() {
            let (sin, cos) = (step * n as f64).sin_cos();
            let x = f64::from(x);
            ss += sin * sin;
            cc += cos * cos;
            sc += sin * cos;
            xs += x * sin;
            xc += x * cos;
        }
        let det = ss * cc - sc * sc;
        let (a, b) = ((xs * cc - xc * sc) / det, (xc * ss - xs * sc) / det);
        let (mut wave, mut rest) = (0.0, 0.0);
        for (n, &x) in samples.iter().enumerate() {
            let (sin, cos) = (step * n as f64).sin_cos();
            let fitted = a * sin + b * cos;
            wave += fitted * fitted;
            rest += (f64::from(x) - fitted).powi(2);
        }
        let snr = 10.0 * (wave / rest.max(1e-9)).log10();
        Self { amplitude: a.hypot(b), phase: b.atan2(a), snr }
    }
}

/// How alike two stretches of sound are: 1.0 is the same but for the level.
pub(crate) fn correlation(a: &[i16], b: &[i16]) -> f64 {
    let dot = |a: &[i16], b: &[i16]| a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum::<f64>();
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
}

/// The largest step from one sample to the next.
pub(crate) fn steepest(samples: &[i16]) -> i32 {
    samples.windows(2).map(|pair| (i32::from(pair[1]) - i32::from(pair[0])).abs()).max().unwrap_or(0)
}

/// The largest step that a sine wave has by itself.
pub(crate) fn steepest_of_tone(hz: f64, amplitude: f64, rate: SampleRate) -> f64 {
    2.0 * amplitude * (TAU / 2.0 * hz / f64::from(rate.hz())).sin()
}
