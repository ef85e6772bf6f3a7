use serde::{Deserialize, Serialize};

/// What was sent and received of the sound of a call, over its whole life.
///
/// "Received" is what came from the callee, "sent" what went there. What the callee's end received of it is known
/// only from its RTCP reports (RFC 3550 section 6.4), so those fields are optional.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub struct MediaStats {
    /// Encoding name and clock rate of the codec: `PCMU/8000`.
    pub codec: String,
    /// The SRTP crypto suite (RFC 4568 section 6.2), or `None` for plain RTP.
    pub srtp: Option<String>,
    /// RTP packets sent.
    pub packets_sent: u64,
    /// Payload bytes sent, without headers.
    pub bytes_sent: u64,
    /// RTP packets received.
    pub packets_received: u64,
    /// Payload bytes received, without headers.
    pub bytes_received: u64,
    /// Packets that never came, by the gaps in the sequence numbers.
    pub packets_lost: u64,
    /// Packets that came too late, twice or damaged, and were not played.
    pub packets_discarded: u64,
    /// Percent of the callee's packets that were lost on the way to us.
    pub loss_received_percent: f32,
    /// Percent of our packets that the callee's end reports as lost.
    pub loss_sent_percent: Option<f32>,
    /// Mean variation of the packets' arrival (RFC 3550 section 6.4.1), in milliseconds.
    pub jitter_mean_ms: f32,
    /// The largest value of it, in milliseconds.
    pub jitter_max_ms: f32,
    /// There and back, by RTCP, in milliseconds.
    pub round_trip_ms: Option<f32>,
    /// Estimated listening quality of what we received, 1.0 to 4.5, by the E-model of ITU-T G.107.
    pub mos: Option<f32>,
    /// How often there was nothing to play to the callee while speech was under way.
    pub underruns: u64,
    /// 20 ms frames from the callee that the application was too slow to take.
    pub frames_dropped: u64,
}

/// The mean opinion score that the E-model (ITU-T G.107) gives a connection: 1.0 (unusable) to 4.5.
///
/// `codec` is an encoding name such as `PCMU` or `PCMU/8000`, `loss_percent` the packets that could not be played
/// (lost and discarded), `delay_ms` the delay from mouth to ear in one direction, with the jitter buffer.
///
/// Everything that is not measured has the recommendation's default. Packet loss is taken to be random and
/// concealed; the codecs' impairments are those of ITU-T G.113 appendix I. It has no values for wide-band codecs on
/// this scale: they count as unimpaired, so the score says what the network did to the call and compares calls
/// whatever their codec.
pub(crate) fn mos(codec: &str, loss_percent: f32, delay_ms: f32) -> f32 {
    let name = codec.split('/').next().unwrap_or_default();
    let (impairment, robustness) = match name.to_ascii_uppercase().as_str() {
        "G729" => (11.0, 19.0),
        "ILBC" => (11.0, 32.0),
        "GSM" => (20.0, 43.0),
        _ => (0.0, 25.1),
    };
    let loss = if loss_percent.is_finite() { loss_percent.clamp(0.0, 100.0) } else { 100.0 };
    let delay = if delay_ms.is_finite() { delay_ms.max(0.0) } else { 0.0 };

    let equipment = impairment + (95.0 - impairment) * loss / (loss + robustness);
    let late = 0.024 * delay + 0.11 * (delay - 177.3).max(0.0);
    score(93.2 - late - equipment)
}

/// Annex B of ITU-T G.107: from the rating R to the mean opinion score.
fn score(r: f32) -> f32 {
    if r <= 0.0 {
        return 1.0;
    }
    let r = r.min(100.0);
    // Just above zero the curve dips below the worst score.
    (1.0 + 0.035 * r + r * (r - 60.0) * (100.0 - r) * 7.0e-6).max(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Table B.1 of ITU-T G.107, lower limits of the categories of user satisfaction.
    #[test]
    fn the_score_follows_the_recommendation_s_table() {
        for (r, expected) in [(90.0, 4.34), (80.0, 4.03), (70.0, 3.60), (60.0, 3.10), (50.0, 2.58)] {
            assert!((score(r) - expected).abs() < 0.01, "R {r}: {}", score(r));
        }
    }

    #[test]
    fn a_perfect_connection_is_as_good_as_the_codec() {
        assert!((mos("PCMU/8000", 0.0, 0.0) - 4.41).abs() < 0.005);
        assert!((mos("G729", 0.0, 0.0) - 4.1).abs() < 0.05);
    }

    proptest! {
        #[test]
        fn more_loss_and_more_delay_never_sound_better(
            loss in 0.0_f32..100.0, more in 0.0_f32..50.0, delay in 0.0_f32..2_000.0, later in 0.0_f32..1_000.0,
        ) {
            let here = mos("PCMA", loss, delay);
            prop_assert!((1.0..=4.5).contains(&here));
            // The recommendation's curve itself is not monotonic at its very bottom.
            prop_assert!(mos("PCMA", loss + more, delay) <= here + 1e-3);
            prop_assert!(mos("PCMA", loss, delay + later) <= here + 1e-3);
        }

        #[test]
        fn nonsense_stays_on_the_scale(loss in any::<f32>(), delay in any::<f32>(), codec in ".{0,8}") {
            prop_assert!((1.0..=4.5).contains(&mos(&codec, loss, delay)));
        }
    }
}
