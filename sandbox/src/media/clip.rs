//! A piece of sound at both rates that a codec may want.

use std::sync::Arc;

/// 16-bit mono samples at 8 kHz and the same at 16 kHz.
#[derive(Clone, Debug)]
pub(crate) struct Clip {
    pub(crate) narrow: Arc<[i16]>,
    pub(crate) wide: Arc<[i16]>,
}

impl Clip {
    /// Builds both rates from one recipe, which gets the rate in Hz.
    pub(crate) fn render(recipe: impl Fn(u32) -> Vec<i16>) -> Self {
        Self { narrow: recipe(8_000).into(), wide: recipe(16_000).into() }
    }

    /// The samples at a codec's rate.
    pub(crate) fn at(&self, rate: u32) -> &Arc<[i16]> {
        if rate == 16_000 { &self.wide } else { &self.narrow }
    }

    /// Tones one after another: frequency in Hz (0 for a rest) and length in milliseconds.
    pub(crate) fn tones(notes: &[(f64, u32)]) -> Self {
        Self::render(|rate| {
            let mut samples = Vec::new();
            for &(frequency, length) in notes {
                let count = rate * length / 1000;
                // Ten milliseconds of rise and fall keep the borders free of clicks.
                let ramp = f64::from(rate) / 100.0;
                samples.extend((0..count).map(|n| {
                    let edge = (f64::from(n.min(count - 1 - n)) / ramp).min(1.0);
                    let phase = std::f64::consts::TAU * frequency * f64::from(n) / f64::from(rate);
                    (phase.sin() * edge * 8_000.0) as i16
                }));
            }
            samples
        })
    }
}
