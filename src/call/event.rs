//! What happens in a call, in the order of its happening.

use std::net::SocketAddr;

use super::{CallEnd, SipStatus};
use crate::audio::dtmf::Digit;

/// The facts of an answer: what was negotiated when the callee picked up.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Answered {
    /// The codec's encoding name and RTP clock rate in Hz, as they stand in SDP's `a=rtpmap` (RFC 8866 section 6.6),
    /// whichever provider carries the call: `PCMU/8000`, `opus/48000`. The clock rate is not always how often the sound is
    /// sampled: G.722 is `G722/8000` and samples 16,000 times a second (RFC 3551 section 4.5.2), Opus is always
    /// `opus/48000` (RFC 7587 section 4.1). `none` while the callee has put the call on hold from the start.
    pub codec: String,
    /// The SRTP crypto suite, for example `AES_CM_128_HMAC_SHA1_80` (RFC 4568); `None` when the media is plain RTP.
    pub srtp: Option<String>,
    /// Where our RTP goes; `None` when the provider does not tell.
    pub remote: Option<SocketAddr>,
}

/// How far a transfer has come, from the NOTIFY requests of RFC 3515.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum TransferOutcome {
    /// A provisional answer of the new destination.
    Progress(SipStatus),
    /// The new destination answered; the call ends next: we hang up if the callee's end does not.
    Completed(SipStatus),
    /// The new destination, or the callee's end, refused; the call goes on.
    Failed(SipStatus),
    /// The callee had the call moved, and the new party answered: the call goes on with that one, on the same streams.
    /// See [`callee_transfer_prefixes`](crate::config::TrunkConfig::callee_transfer_prefixes).
    Moved(Answered),
}

/// One event of a call.
///
/// They come in this order, each at most once unless it says *many*: `Initiated`, `Trying`, `Ringing`, `EarlyMedia`
/// (many), `Answered`, `Dtmf` (many), `Held` and `Resumed` (many), `TransferProgress` (many), `MediaStalled` and
/// `MediaResumed` (many), and exactly once and last, on every path, `Ended`. `SpeechFailed` and `RecordingFault` (many) have no
/// place of their own.
#[derive(Debug, Clone, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "events are few, and the end is what hosts match on")]
#[non_exhaustive]
pub enum CallEvent {
    /// The request is on its way: the first INVITE has been handed to the transport.
    Initiated,
    /// Somebody is working on it (100).
    Trying,
    /// The callee's telephone rings (180). Not sent when early media came first.
    Ringing,
    /// Sound arrives before the answer (183, or 180 with SDP); the status is the one that announced it.
    EarlyMedia(SipStatus),
    /// The callee picked up; billing begins.
    Answered(Answered),
    /// The callee pressed a key.
    Dtmf(Digit),
    /// The callee put us on hold, or we them.
    Held,
    /// Sound flows again.
    Resumed,
    /// News of a transfer.
    TransferProgress(TransferOutcome),
    /// No RTP has come for the trunk's media time-out although the callee should be sending.
    MediaStalled,
    /// RTP comes again.
    MediaResumed,
    /// An adapter for speech failed; somebody else goes on in its place, or nobody. See [`crate::speech`].
    SpeechFailed {
        /// The adapter that failed, by its name.
        adapter: String,
        /// Why: a word that stays the same, such as `timed_out`.
        kind: &'static str,
        /// Why, for people.
        error: String,
        /// The adapter that goes on in its place.
        fallback: Option<String>,
    },
    /// The recording or the transcript of the call has a hole or an early end. See [`crate::recording`].
    RecordingFault {
        /// Why: a word that stays the same, such as `disk_full` or `gap`.
        kind: &'static str,
        /// Why, for people.
        error: String,
        /// Whether nothing follows it in the file. The call goes on.
        over: bool,
    },
    /// The call is over.
    Ended(CallEnd),
}
