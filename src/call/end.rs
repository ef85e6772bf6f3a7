//! How a call ended: one reason out of thirteen, and everything that was known when it was chosen.
//!
//! [`EndFacts`] are what a provider saw; [`EndFacts::into_end`] makes of them the [`CallEnd`] that the application
//! gets. It is a pure function, so each row of its table is tested without a socket.

mod facts;
mod header;
mod media;
mod q850;

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

pub(crate) use facts::{EndFacts, LocalCause};
pub(crate) use header::parse_reason;
pub(crate) use media::mos;
pub use media::{MediaFault, MediaStats};
pub use q850::Q850;

/// Why a call ended, in thirteen words that every provider shares.
///
/// The text form ([`as_str`](Self::as_str), serde) is stable. The raw SIP status and the Q.850 cause stand beside
/// it in [`CallEnd`] for whoever needs more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum EndReason {
    /// It was answered, and one of the two sides hung up.
    Completed,
    /// The callee is in another call.
    Busy,
    /// It rang, and nobody answered.
    NoAnswer,
    /// The callee refused it.
    Declined,
    /// The network or the trunk's operator refused it: account, caller id, country, blocking.
    Rejected,
    /// The trunk or the callee's network does not work: no route, no circuit, telephone switched off.
    Unreachable,
    /// There is no such number.
    NotFound,
    /// The trunk refused our credentials.
    AuthFailed,
    /// The two ends could not agree on media, or no sound came.
    MediaFailed,
    /// We gave up before an answer.
    Cancelled,
    /// Nothing answered our request, or nothing finally.
    Timeout,
    /// A rule of the operator ended it.
    Policy,
    /// Everything else.
    #[default]
    Failed,
}

impl EndReason {
    /// All reasons, in the order of their declaration.
    pub const ALL: [Self; 13] = [
        Self::Completed,
        Self::Busy,
        Self::NoAnswer,
        Self::Declined,
        Self::Rejected,
        Self::Unreachable,
        Self::NotFound,
        Self::AuthFailed,
        Self::MediaFailed,
        Self::Cancelled,
        Self::Timeout,
        Self::Policy,
        Self::Failed,
    ];

    /// The reason's stable name: `completed`, `no_answer`, …
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Completed => "completed",
            Self::Busy => "busy",
            Self::NoAnswer => "no_answer",
            Self::Declined => "declined",
            Self::Rejected => "rejected",
            Self::Unreachable => "unreachable",
            Self::NotFound => "not_found",
            Self::AuthFailed => "auth_failed",
            Self::MediaFailed => "media_failed",
            Self::Cancelled => "cancelled",
            Self::Timeout => "timeout",
            Self::Policy => "policy",
            Self::Failed => "failed",
        }
    }
}

impl fmt::Display for EndReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Which side ended a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum EndedBy {
    /// This side: the application, one of its limits, or a rule.
    Local,
    /// The other side, with a message: the callee, or a server between.
    Remote,
    /// Nobody: a connection failed, a name did not resolve, or no message came any more.
    #[default]
    Network,
}

impl EndedBy {
    /// The side's stable name: `local`, `remote` or `network`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Local => "local",
            Self::Remote => "remote",
            Self::Network => "network",
        }
    }
}

impl fmt::Display for EndedBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// The status line of a SIP response (RFC 3261 section 7.2), as it came.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct SipStatus {
    /// 100 to 699.
    pub code: u16,
    /// The words after it. Servers choose them freely, and some hide the real reason there.
    pub phrase: String,
}

impl SipStatus {
    /// A status line.
    pub fn new(code: u16, phrase: impl Into<String>) -> Self {
        Self { code, phrase: phrase.into() }
    }
}

impl fmt::Display for SipStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.code, self.phrase)
    }
}

/// The end of a call.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub struct CallEnd {
    /// Which side ended it.
    pub ended_by: EndedBy,
    /// Why, in one word.
    pub reason: EndReason,
    /// The final response that the peer really sent to the INVITE, or to a later request that ended the call.
    /// `None` when it sent none: nothing that this side makes up stands here.
    pub sip: Option<SipStatus>,
    /// The cause of the telephone network, from the Reason header (RFC 3326) of that response or of the BYE.
    pub q850: Option<Q850>,
    /// What this side has to say about it, for people: which timer, which certificate, which rule.
    pub detail: Option<String>,
    /// From the first sign of the callee's telephone (a response 101 to 199) to the answer, or to the end without
    /// one. Zero when there was no such sign. Milliseconds in the serialised form.
    #[serde(rename = "ring_time_ms", with = "millis")]
    pub ring_time: Duration,
    /// From the answer to the end, or till the callee left it to somebody else, whose call has a time of its own; zero
    /// without an answer. Milliseconds in the serialised form.
    #[serde(rename = "talk_time_ms", with = "millis")]
    pub talk_time: Duration,
    /// How long the peer asks to wait before another attempt (Retry-After, RFC 3261 section 20.33). Milliseconds
    /// in the serialised form.
    #[serde(rename = "retry_after_ms", with = "millis::option")]
    pub retry_after: Option<Duration>,
    /// How the media did; `None` when there was none.
    pub media: Option<MediaStats>,
    /// What was wrong with the media, where this side saw it. `None` for other ends, and where the peer refused with a
    /// status that does not tell.
    #[serde(default)]
    pub media_fault: Option<MediaFault>,
}

/// Durations as whole milliseconds.
mod millis {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(time: &Duration, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_u64(u64::try_from(time.as_millis()).unwrap_or(u64::MAX))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Duration, D::Error> {
        u64::deserialize(d).map(Duration::from_millis)
    }

    pub(super) mod option {
        use super::{Deserialize, Deserializer, Duration, Serializer};

        pub(in super::super) fn serialize<S: Serializer>(
            time: &Option<Duration>,
            s: S,
        ) -> Result<S::Ok, S::Error> {
            match time {
                Some(time) => super::serialize(time, s),
                None => s.serialize_none(),
            }
        }

        pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(
            d: D,
        ) -> Result<Option<Duration>, D::Error> {
            Ok(Option::<u64>::deserialize(d)?.map(Duration::from_millis))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_of_reasons_are_the_serialised_ones() {
        for reason in EndReason::ALL {
            assert_eq!(serde_json::to_string(&reason).unwrap(), format!("\"{reason}\""));
            assert_eq!(serde_json::from_str::<EndReason>(&format!("\"{reason}\"")).unwrap(), reason);
        }
        let names: std::collections::BTreeSet<_> = EndReason::ALL.map(EndReason::as_str).into();
        assert_eq!(names.len(), 13);
        for by in [EndedBy::Local, EndedBy::Remote, EndedBy::Network] {
            assert_eq!(serde_json::to_string(&by).unwrap(), format!("\"{by}\""));
        }
    }

    #[test]
    fn an_end_survives_json() {
        let end = CallEnd {
            ended_by: EndedBy::Remote,
            reason: EndReason::Unreachable,
            sip: Some(SipStatus::new(503, "Service Unavailable")),
            q850: Some(Q850::new(34)),
            detail: Some("every circuit is taken".into()),
            ring_time: Duration::from_millis(1_500),
            retry_after: Some(Duration::from_secs(120)),
            media: Some(MediaStats { codec: "PCMU/8000".into(), mos: Some(4.5), ..MediaStats::default() }),
            ..CallEnd::default()
        };
        let mut json = serde_json::to_value(&end).unwrap();
        assert_eq!((&json["ring_time_ms"], &json["retry_after_ms"]), (&1_500.into(), &120_000.into()));
        assert_eq!((&json["talk_time_ms"], &json["q850"]["cause"]), (&0.into(), &34.into()));
        // Ledgers of before have none.
        json.as_object_mut().unwrap().remove("media_fault");
        assert_eq!(serde_json::from_value::<CallEnd>(json).unwrap(), end);
    }
}
