//! How a measured time is spread.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Percentiles in milliseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Spread {
    pub(super) p50: f64,
    pub(super) p99: f64,
    pub(super) p999: f64,
    pub(super) max: f64,
}

impl Spread {
    /// Of times in microseconds; `None` of none.
    pub(super) fn of(mut microseconds: Vec<u32>) -> Option<Self> {
        microseconds.sort_unstable();
        let last = microseconds.len().checked_sub(1)?;
        // The nearest rank: the smallest value that so many of a thousand do not exceed.
        let at = |per_mille: usize| {
            let rank = (microseconds.len() * per_mille).div_ceil(1000).saturating_sub(1);
            f64::from(microseconds[rank.min(last)]) / 1000.0
        };
        Some(Self { p50: at(500), p99: at(990), p999: at(999), max: at(1000) })
    }
}

impl fmt::Display for Spread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { p50, p99, p999, max } = self;
        write!(f, "p50 {p50:.2}, p99 {p99:.2}, p99.9 {p999:.2}, max {max:.2} ms")
    }
}

#[cfg(test)]
mod tests {
    use super::Spread;

    #[test]
    fn percentiles_are_values_that_were_measured() {
        let spread = Spread::of((1..=1000).rev().map(|n| n * 1000).collect()).unwrap();
        assert_eq!(spread, Spread { p50: 500.0, p99: 990.0, p999: 999.0, max: 1000.0 });
        let one = Spread::of(vec![1500]).unwrap();
        assert_eq!(one, Spread { p50: 1.5, p99: 1.5, p999: 1.5, max: 1.5 });
        assert_eq!(Spread::of(Vec::new()), None);
    }
}
