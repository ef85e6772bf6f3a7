use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::audio::quality::{self, Codec, Path};

/// What was sent and received of the sound of a call, over its whole life.
///
/// "Received" is what came from the callee, "sent" what went there. What the callee's end received of it is known
/// only from its RTCP reports (RFC 3550 section 6.4), so those fields are optional.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub struct MediaStats {
    /// Encoding name and RTP clock rate of the codec, as in [`Answered`](crate::call::Answered): `PCMU/8000`.
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
    /// Packets that came too late, twice or damaged, or had to make room for later ones, and were not played, whole or in
    /// part.
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

/// Which part of the media the two ends could not agree on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum MediaFault {
    /// The peer would not encrypt, and the trunk requires it.
    Srtp,
    /// The answer has no codec that was offered, or no usable media.
    Codec,
    /// The media could not be started on this side.
    Setup,
}

/// The mean opinion score of what was received: `codec` an encoding name such as `PCMU/8000`, `loss_percent` what
/// was lost or came too late to be played, `delay_ms` the way from mouth to ear in one direction.
///
/// A codec that the model does not know counts as one that does no harm: the score then says what the network did.
pub(crate) fn mos(codec: &str, loss_percent: f32, delay_ms: f32) -> f32 {
    let name = codec.split('/').next().unwrap_or_default();
    let loss = if loss_percent.is_finite() { f64::from(loss_percent / 100.0).clamp(0.0, 1.0) } else { 1.0 };
    let delay = Duration::try_from_secs_f32(delay_ms / 1_000.0).unwrap_or_default();
    quality::mos(name.parse().unwrap_or(Codec::Pcmu), Path::new(delay, loss)) as f32
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn clean_calls_are_as_good_as_their_codec() {
        assert!((mos("PCMU/8000", 0.0, 0.0) - 4.41).abs() < 0.01);
        assert!((mos("G729/8000", 0.0, 0.0) - 4.1).abs() < 0.05);
        assert_eq!(mos("unheard/8000", 1.0, 90.0), mos("PCMA/8000", 1.0, 90.0));
        assert!(mos("PCMU/8000", 5.0, 90.0) < mos("PCMU/8000", 1.0, 90.0));
    }

    proptest! {
        #[test]
        fn nonsense_stays_on_the_scale(loss in any::<f32>(), delay in any::<f32>(), codec in ".{0,8}") {
            prop_assert!((1.0..=4.5).contains(&mos(&codec, loss, delay)));
        }
    }
}
