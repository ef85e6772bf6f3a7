//! The low-pass filter between two rates: a windowed sinc, one set of coefficients for each phase.

use std::f64::consts::PI;
use std::sync::OnceLock;

use super::LOW_BLOCK;
use crate::audio::SampleRate;

/// Where the filter is half-way down, as a part of the lower rate's Nyquist frequency: in the middle between the end of
/// the pass band, 85 %, and what must be gone, 100 %.
const CUTOFF: f64 = 0.925;
/// Kaiser's β for 94 dB, which is as much as [`LOW_BLOCK`] samples give over that width.
const BETA: f64 = 9.4;
/// Coefficients for one pair of rates, shared by all streams.
///
/// Of each `up` output samples in a row every one has coefficients of its own, and of each `down` input samples every
/// one meets others of them. Taken apart by both, a conversion is `up` times `down` plain convolutions.
pub(super) struct Filter {
    pub(super) up: usize,
    pub(super) down: usize,
    /// For each output sample, and each input sample, of a turn.
    pub(super) parts: Vec<Part>,
}

/// What every `down`-th input sample gives to every `up`-th output sample.
pub(super) struct Part {
    /// The first input sample that the first output sample is made of, counted within its kind from the history's
    /// first.
    pub(super) start: usize,
    pub(super) coefficients: Vec<f32>,
}

impl Filter {
    /// The one for these rates.
    pub(super) fn between(from: SampleRate, to: SampleRate) -> &'static Self {
        const COUNT: usize = SampleRate::ALL.len();
        static FILTERS: [[OnceLock<Filter>; COUNT]; COUNT] =
            [const { [const { OnceLock::new() }; COUNT] }; COUNT];
        let place = |rate| SampleRate::ALL.iter().position(|&other| other == rate).unwrap_or_default();
        FILTERS[place(from)][place(to)].get_or_init(|| Self::new(from, to))
    }

    fn new(from: SampleRate, to: SampleRate) -> Self {
        let low = from.min(to).hz() as usize;
        let (from, to) = (from.hz() as usize, to.hz() as usize);
        let gcd = super::gcd(from, to);
        let (up, down) = (to / gcd, from / gcd);
        let taps = LOW_BLOCK * from / low;
        let bandwidth = CUTOFF * low as f64 / from as f64;
        let parts = (0..up * down).map(|index| {
            let (place, kind) = (index / down, index % down);
            let phase = phase(taps, bandwidth, (place * down % up) as f64 / up as f64);
            // Behind the first sample of the history, from which the window reaches to the newest sample.
            let first = place * down / up + 1;
            let skipped = (kind + down - first % down) % down;
            let coefficients = phase.into_iter().skip(skipped).step_by(down).collect();
            Part { start: (first + skipped) / down, coefficients }
        });
        Self { up, down, parts: parts.collect() }
    }
}

/// The coefficients, the oldest sample's first, for an output sample that stands `offset` behind the newest input sample.
fn phase(taps: usize, bandwidth: f64, offset: f64) -> Vec<f32> {
    let half = taps as f64 / 2.0;
    let distance = |k: usize| k as f64 + offset - half;
    let ideal: Vec<f64> =
        (0..taps).rev().map(distance).map(|u| sinc(bandwidth * u) * kaiser(u / half)).collect();
    // Every phase passes a constant as it is: otherwise it would come out with a ripple.
    let sum: f64 = ideal.iter().sum();
    ideal.into_iter().map(|coefficient| (coefficient / sum) as f32).collect()
}

fn sinc(x: f64) -> f64 {
    if x == 0.0 { 1.0 } else { (PI * x).sin() / (PI * x) }
}

/// Kaiser's window, from -1 to 1.
fn kaiser(x: f64) -> f64 {
    bessel(BETA * (1.0 - x * x).max(0.0).sqrt()) / bessel(BETA)
}

/// The modified Bessel function of the first kind and order 0.
fn bessel(x: f64) -> f64 {
    let quarter = x * x / 4.0;
    let terms = (1..40).scan(1.0, |term, k| {
        *term *= quarter / f64::from(k * k);
        Some(*term)
    });
    1.0 + terms.sum::<f64>()
}
