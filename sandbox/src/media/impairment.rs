//! What a bad network does to packets, by rule instead of by chance, so that tests repeat.

use std::time::Duration;

/// What happens to the sandbox's outgoing RTP.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Impairment {
    #[default]
    None,
    /// Every n-th packet is lost.
    LoseEvery(u64),
    /// Delays that change from packet to packet, up to this many milliseconds, order kept.
    Jitter(u64),
    /// Every n-th packet comes after the one that follows it.
    SwapEvery(u64),
    /// Every n-th packet comes twice.
    RepeatEvery(u64),
}

impl Impairment {
    /// Whether a packet may come before one that was sent earlier.
    pub(crate) fn keeps_order(self) -> bool {
        !matches!(self, Self::SwapEvery(_))
    }

    /// The delays after which packet `number` is sent: none for a lost one, two for a repeated one.
    pub(crate) fn fate(self, number: u64) -> Vec<Duration> {
        let is_nth = |n: u64| number % n.max(1) == n.max(1) - 1;
        match self {
            Self::LoseEvery(n) if is_nth(n) => vec![],
            Self::RepeatEvery(n) if is_nth(n) => vec![Duration::ZERO; 2],
            // Longer than one packet's 20 ms and shorter than two.
            Self::SwapEvery(n) if is_nth(n) => vec![Duration::from_millis(30)],
            // A saw-tooth that falls by less than 20 ms per packet lets every packet have its own delay.
            Self::Jitter(most) => {
                let period = most / 15 + 1;
                vec![Duration::from_millis(most.saturating_sub(15 * (number % (period * 2)).min(period)))]
            }
            _ => vec![Duration::ZERO],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fates_of_twenty_packets() {
        let count = |impairment: Impairment| (0..20).map(|n| impairment.fate(n).len()).sum::<usize>();
        assert_eq!(count(Impairment::None), 20);
        assert_eq!(count(Impairment::LoseEvery(20)), 19);
        assert_eq!(count(Impairment::RepeatEvery(10)), 22);
        assert_eq!(count(Impairment::SwapEvery(10)), 20);
    }

    #[test]
    fn jitter_keeps_the_order() {
        let arrivals: Vec<_> =
            (0..200).map(|n| Duration::from_millis(20 * n) + Impairment::Jitter(60).fate(n)[0]).collect();
        assert!(arrivals.is_sorted());
        assert!((0..200).any(|n| Impairment::Jitter(60).fate(n)[0].is_zero()));
        assert!((0..200).any(|n| Impairment::Jitter(60).fate(n)[0] == Duration::from_millis(60)));
    }
}
