//! How good a call sounded, estimated from delay and loss by the E-model (ITU-T G.107).
//!
//! The model gives a rating R, and R a mean opinion score. What it takes from the call here is the one-way delay
//! from mouth to ear, the loss of packets (in the network and, late ones, in the jitter buffer) and the codec; all
//! other inputs have the default values of G.107, for which R is 93.2 without delay, loss or coding. Echo is not
//! rated: an agent has no acoustic path back.
//!
//! This is the narrow-band model, whose scale ends where G.711 begins: a clean wide-band call gets the 4.4 of a
//! clean G.711 call, though it sounds better. That keeps calls comparable across codecs.

use std::str::FromStr;
use std::time::Duration;

/// R with all inputs at the defaults of G.107 (table 3 there).
const DEFAULT_RATING: f64 = 93.2;

/// A codec, as far as the E-model knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Codec {
    /// G.711 µ-law, with packet loss concealment.
    Pcmu,
    /// G.711 A-law, with packet loss concealment.
    Pcma,
    /// G.722 at 64 kbit/s.
    G722,
    /// Opus, at the bit rates of telephony.
    Opus,
    /// G.729 or G.729A.
    G729,
    /// Uncompressed 16-bit PCM.
    L16,
}

impl Codec {
    /// The equipment impairment factor Ie without loss, and the packet-loss robustness factor Bpl.
    ///
    /// G.711 with concealment and G.729A are from ITU-T G.113 appendix I (11/2007). G.113 rates G.722 on the
    /// wide-band scale only, where it lies above G.711, hence Ie 0 on this one; it does not rate Opus and L16. For
    /// these three, Bpl is *assumed* to be that of concealed G.711: all of them are concealed by repetition of the
    /// waveform or better.
    pub const fn impairment(self) -> (f64, f64) {
        match self {
            Self::Pcmu | Self::Pcma | Self::G722 | Self::Opus | Self::L16 => (0.0, 25.1),
            Self::G729 => (11.0, 19.0),
        }
    }
}

impl FromStr for Codec {
    type Err = UnknownCodec;

    /// From the encoding name in an SDP `rtpmap` (RFC 8866 section 6.6), in any case: `PCMU`, `opus`, `G722`.
    fn from_str(name: &str) -> Result<Self, UnknownCodec> {
        let codec = match name.to_ascii_uppercase().as_str() {
            "PCMU" => Self::Pcmu,
            "PCMA" => Self::Pcma,
            "G722" => Self::G722,
            "OPUS" => Self::Opus,
            "G729" => Self::G729,
            "L16" => Self::L16,
            _ => return Err(UnknownCodec),
        };
        Ok(codec)
    }
}

/// A codec that the E-model has no figures for here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no impairment factors are known for this codec")]
pub struct UnknownCodec;

/// What the network did to one direction of a call.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Path {
    /// From mouth to ear: half the round trip, packetisation, jitter buffer and codec.
    pub delay: Duration,
    /// Which part of the packets could not be played, lost or late: 0.0 to 1.0.
    pub loss: f64,
    /// BurstR: how much longer losses are in a row than random loss would make them. 1.0 is random; more is worse.
    pub burst_ratio: f64,
}

impl Path {
    /// A path with random loss.
    pub const fn new(delay: Duration, loss: f64) -> Self {
        Self { delay, loss, burst_ratio: 1.0 }
    }
}

/// The mean opinion score of a call, 1.0 (bad) to 4.5; 4.4 is a perfect G.711 call.
pub fn mos(codec: Codec, path: Path) -> f64 {
    mos_of(rating(codec, path))
}

/// The transmission rating factor R of G.107, equation 7-1, 0 to 93.2.
pub fn rating(codec: Codec, path: Path) -> f64 {
    (DEFAULT_RATING - delay_impairment(path.delay) - loss_impairment(codec, path)).clamp(0.0, 100.0)
}

/// The mean opinion score that belongs to R (G.107, annex B, equation B-4), 1.0 to 4.5.
pub fn mos_of(rating: f64) -> f64 {
    if rating >= 100.0 {
        return 4.5;
    }
    let r = rating.max(0.0);
    // The polynomial dips below 1 between R = 0 and 6.5.
    (1.0 + 0.035 * r + r * (r - 60.0) * (100.0 - r) * 7e-6).max(1.0)
}

/// Idd: what a delay of more than 100 ms costs in a conversation (G.107, equations 7-27 and 7-28).
fn delay_impairment(delay: Duration) -> f64 {
    let x = (delay.as_secs_f64() / 0.1).log2();
    if x <= 0.0 {
        return 0.0;
    }
    let root = |y: f64| (1.0 + y.powi(6)).powf(1.0 / 6.0);
    25.0 * (root(x) - 3.0 * root(x / 3.0) + 2.0)
}

/// Ie-eff: what coding and loss cost (G.107, equation 7-29).
fn loss_impairment(codec: Codec, path: Path) -> f64 {
    let (ie, bpl) = codec.impairment();
    // A call without packets may have NaN: no loss.
    let percent = if path.loss > 0.0 { 100.0 * path.loss.min(1.0) } else { 0.0 };
    ie + (95.0 - ie) * percent / (percent / path.burst_ratio.max(1.0) + bpl)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(ms: u64, loss_percent: f64) -> Path {
        Path::new(Duration::from_millis(ms), loss_percent / 100.0)
    }

    #[track_caller]
    fn assert_near(actual: f64, expected: f64, tolerance: f64) {
        assert!((actual - expected).abs() <= tolerance, "{actual} is not {expected} within {tolerance}");
    }

    /// G.107, table B.1: R against MOS at the limits of user satisfaction.
    #[test]
    fn opinion_scores_are_those_of_table_b_1() {
        for (rating, mos) in [(90.0, 4.34), (80.0, 4.03), (70.0, 3.60), (60.0, 3.10), (50.0, 2.58)] {
            assert_near(mos_of(rating), mos, 0.01);
        }
        assert_eq!((mos_of(-3.0), mos_of(3.0), mos_of(100.0)), (1.0, 1.0, 4.5));
    }

    /// G.107, with all parameters at their defaults: R = 93.2, MOS = 4.41.
    #[test]
    fn a_clean_call_has_the_default_rating() {
        for codec in [Codec::Pcmu, Codec::Pcma, Codec::G722, Codec::Opus, Codec::L16] {
            assert_eq!(rating(codec, path(0, 0.0)), 93.2);
            assert_near(mos(codec, path(100, 0.0)), 4.41, 0.005);
        }
        assert_near(mos(Codec::G729, path(0, 0.0)), 4.11, 0.01);
    }

    /// G.113 (02/2001), tables I.3 and I.4: Ie under random loss, which the Bpl of later editions were fitted to.
    #[test]
    fn loss_costs_what_the_listening_tests_said() {
        let g729a =
            [(0.0, 11.0), (1.0, 15.0), (2.0, 19.0), (3.0, 23.0), (4.0, 26.0), (8.0, 36.0), (16.0, 49.0)];
        for (percent, ie) in g729a {
            assert_near(loss_impairment(Codec::G729, path(0, percent)), ie, 0.7);
        }
        for (percent, ie) in [(0.0, 0.0), (1.0, 5.0), (2.0, 7.0), (3.0, 10.0), (5.0, 15.0), (10.0, 25.0)] {
            assert_near(loss_impairment(Codec::Pcmu, path(0, percent)), ie, 2.1);
        }
        let bursty = Path { burst_ratio: 2.0, ..path(0, 5.0) };
        assert!(rating(Codec::Pcmu, bursty) < rating(Codec::Pcmu, path(0, 5.0)));
    }

    /// Published delay bounds for R = 70 without echo (Telektronikk 2/3.2001, "Internet Traffic Engineering",
    /// table of tolerable mouth-to-ear delays): 400 ms for G.711, 342 for Ie 5, 322 for Ie 7, 294 for Ie 10.
    #[test]
    fn delay_costs_what_the_bounds_say() {
        for (ms, ie) in [(400, 0.0), (342, 5.0), (322, 7.0), (294, 10.0)] {
            assert_near(delay_impairment(Duration::from_millis(ms)) + ie, 24.1, 0.2);
        }
        assert_eq!(delay_impairment(Duration::from_millis(100)), 0.0);
        assert_eq!(delay_impairment(Duration::ZERO), 0.0);
    }

    #[test]
    fn nonsense_in_is_no_nonsense_out() {
        assert_eq!(rating(Codec::Pcmu, path(0, f64::NAN)), 93.2);
        assert_eq!(rating(Codec::Pcmu, path(0, -1.0)), 93.2);
        assert_eq!(rating(Codec::Pcmu, path(0, 500.0)), rating(Codec::Pcmu, path(0, 100.0)));
        assert_eq!(mos(Codec::Pcmu, path(10_000, 90.0)), 1.0);
    }

    #[test]
    fn codecs_have_the_names_of_sdp() {
        assert_eq!("opus".parse(), Ok(Codec::Opus));
        assert_eq!("pcmu".parse(), Ok(Codec::Pcmu));
        assert_eq!("telephone-event".parse::<Codec>(), Err(UnknownCodec));
    }
}
