//! The sample rates of telephony.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::FRAME_MS;

/// A sample rate that a call can have, at the application's end or on the wire.
///
/// In configuration and JSON it is the number of Hz: `8000`, `16000`, `24000`, `48000`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(try_from = "u32", into = "u32")]
pub enum SampleRate {
    /// 8 kHz: G.711 and G.729, the telephone band of 300 to 3,400 Hz.
    Hz8000,
    /// 16 kHz: G.722 and most speech recognisers, 50 to 7,000 Hz. The default.
    #[default]
    Hz16000,
    /// 24 kHz: what many speech synthesisers speak.
    Hz24000,
    /// 48 kHz: Opus on the wire.
    Hz48000,
}

impl SampleRate {
    /// Every rate, in ascending order.
    pub const ALL: [Self; 4] = [Self::Hz8000, Self::Hz16000, Self::Hz24000, Self::Hz48000];

    /// Samples per second.
    pub const fn hz(self) -> u32 {
        match self {
            Self::Hz8000 => 8_000,
            Self::Hz16000 => 16_000,
            Self::Hz24000 => 24_000,
            Self::Hz48000 => 48_000,
        }
    }

    /// How many samples last `ms` milliseconds. Exact: every rate is a multiple of 1 kHz.
    pub const fn samples(self, ms: u32) -> usize {
        self.hz() as usize / 1_000 * ms as usize
    }

    /// How many samples one 20 ms [`Frame`](super::Frame) has: 160, 320, 480 or 960.
    pub const fn frame_len(self) -> usize {
        self.samples(FRAME_MS)
    }

    /// How many whole samples fit into `duration`.
    pub const fn samples_in(self, duration: Duration) -> usize {
        (duration.as_micros() * self.hz() as u128 / 1_000_000) as usize
    }

    /// How long `samples` last.
    pub const fn duration(self, samples: u64) -> Duration {
        let hz = self.hz() as u64;
        Duration::new(samples / hz, (samples % hz * 1_000_000_000 / hz) as u32)
    }
}

impl fmt::Display for SampleRate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} Hz", self.hz())
    }
}

impl From<SampleRate> for u32 {
    fn from(rate: SampleRate) -> Self {
        rate.hz()
    }
}

impl TryFrom<u32> for SampleRate {
    type Error = UnsupportedRate;

    fn try_from(hz: u32) -> Result<Self, UnsupportedRate> {
        Self::ALL.into_iter().find(|rate| rate.hz() == hz).ok_or(UnsupportedRate(hz))
    }
}

/// A sample rate, in Hz, that a call cannot have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("sample rate {0} Hz is not one of 8000, 16000, 24000 and 48000")]
pub struct UnsupportedRate(pub u32);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_become_rates_and_back() {
        for rate in SampleRate::ALL {
            assert_eq!(SampleRate::try_from(rate.hz()), Ok(rate));
            assert_eq!(rate.frame_len(), rate.hz() as usize / 50);
        }
        assert_eq!(SampleRate::try_from(44_100), Err(UnsupportedRate(44_100)));
    }

    #[test]
    fn time_and_samples_agree() {
        assert_eq!(SampleRate::Hz8000.samples(20), 160);
        assert_eq!(SampleRate::Hz48000.samples_in(Duration::from_micros(2_500)), 120);
        assert_eq!(SampleRate::Hz16000.duration(24_000), Duration::from_millis(1_500));
        assert_eq!(SampleRate::Hz24000.duration(1), Duration::from_nanos(41_666));
    }

    #[test]
    fn configuration_has_the_number() {
        #[derive(Deserialize)]
        struct Config {
            rate: SampleRate,
        }
        let config: Config = toml::from_str("rate = 24000").expect("24 kHz is supported");
        assert_eq!(config.rate, SampleRate::Hz24000);
        let refused =
            toml::from_str::<Config>("rate = 44100").map(|config| config.rate).expect_err("44.1 kHz");
        assert!(refused.to_string().contains("44100"), "{refused}");
    }
}
