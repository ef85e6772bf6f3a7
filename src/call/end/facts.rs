//! From what was seen to one of thirteen reasons.
//!
//! The order of precedence: what this side did itself; the Q.850 cause where the SIP code is one that gateways use
//! for everything; the SIP code.

use std::time::Duration;

use super::{CallEnd, EndReason, EndedBy, MediaFault, Q850, SipStatus};

/// What this side did, or saw happen to its own transport, that ended the call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum LocalCause {
    /// The application hung up.
    Hangup,
    /// Nobody answered within the ring limit.
    RingTimeout,
    /// The call reached its talk limit.
    TalkLimit,
    /// A rule of the operator: no money is left, or the number must not be called any more.
    Policy,
    /// The provider was shut down.
    Shutdown,
    /// The peer would not encrypt, and encryption is required.
    SrtpRefused,
    /// The answer has no codec that we offered, or no usable media.
    NoCommonCodec,
    /// The media could not be started here.
    MediaSetup,
    /// The credentials were refused, or there are none for the realm.
    AuthFailed,
    /// The trunk's name did not resolve.
    DnsFailed,
    /// No connection, or it broke: TCP, TLS, certificate.
    TransportFailed,
    /// No response came in time (RFC 3261 timers B and F, a session timer included).
    NoResponse,
    /// A mistake of this library or of what it stands on.
    Internal,
}

/// What a provider knows when a call is over.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct EndFacts {
    /// What this side did first, if it did anything.
    pub(crate) local: Option<LocalCause>,
    /// The last final response that the peer really sent.
    pub(crate) final_status: Option<SipStatus>,
    /// From the Reason header of that response, or of the peer's BYE.
    pub(crate) q850: Option<Q850>,
    /// From the Retry-After header of that response.
    pub(crate) retry_after: Option<Duration>,
    /// Whether a response 101 to 199 came: the callee's end was reached.
    pub(crate) provisional_18x: bool,
    /// Whether the call was answered.
    pub(crate) answered: bool,
    /// Whether the peer sent a BYE.
    pub(crate) bye_from_remote: bool,
    /// What the peer said outright of a call that was never answered, where it speaks in reasons: a web service.
    pub(crate) verdict: Option<EndReason>,
}

impl EndFacts {
    /// The reason that follows.
    pub(crate) fn reason(&self) -> EndReason {
        match (self.local, self.answered) {
            (Some(local), answered) => self.own_act(local, answered),
            (None, true) => self.after_answer(),
            (None, false) => self.verdict.unwrap_or_else(|| self.before_answer()),
        }
    }

    /// The side that ended the call.
    pub(crate) fn ended_by(&self) -> EndedBy {
        match self.local {
            Some(LocalCause::DnsFailed | LocalCause::TransportFailed | LocalCause::NoResponse) => {
                EndedBy::Network
            }
            // It is the peer that refuses, even if we then stop asking.
            Some(LocalCause::AuthFailed) => EndedBy::Remote,
            Some(_) => EndedBy::Local,
            None if self.bye_from_remote || self.final_status.is_some() || self.verdict.is_some() => {
                EndedBy::Remote
            }
            None => EndedBy::Network,
        }
    }

    /// The end without what only the caller knows: times, media, words of our own.
    pub(crate) fn into_end(self) -> CallEnd {
        CallEnd {
            ended_by: self.ended_by(),
            reason: self.reason(),
            media_fault: self.media_fault(),
            sip: self.final_status,
            q850: self.q850,
            retry_after: self.retry_after,
            ..CallEnd::default()
        }
    }

    fn media_fault(&self) -> Option<MediaFault> {
        match self.local? {
            LocalCause::SrtpRefused => Some(MediaFault::Srtp),
            LocalCause::NoCommonCodec => Some(MediaFault::Codec),
            LocalCause::MediaSetup => Some(MediaFault::Setup),
            _ => None,
        }
    }

    fn own_act(&self, local: LocalCause, answered: bool) -> EndReason {
        match local {
            LocalCause::Hangup | LocalCause::Shutdown if answered => EndReason::Completed,
            LocalCause::Hangup | LocalCause::Shutdown => EndReason::Cancelled,
            LocalCause::TalkLimit => EndReason::Completed,
            LocalCause::Policy => EndReason::Policy,
            // Without a sign of the callee's telephone nobody can have failed to answer it.
            LocalCause::RingTimeout if self.provisional_18x => EndReason::NoAnswer,
            LocalCause::RingTimeout => EndReason::Timeout,
            LocalCause::SrtpRefused | LocalCause::NoCommonCodec | LocalCause::MediaSetup => {
                EndReason::MediaFailed
            }
            LocalCause::AuthFailed => EndReason::AuthFailed,
            // A callee who was in the conversation was not unreachable.
            LocalCause::DnsFailed | LocalCause::TransportFailed if answered => EndReason::Failed,
            LocalCause::DnsFailed | LocalCause::TransportFailed => EndReason::Unreachable,
            LocalCause::NoResponse => EndReason::Timeout,
            LocalCause::Internal => EndReason::Failed,
        }
    }

    fn after_answer(&self) -> EndReason {
        if self.bye_from_remote {
            return EndReason::Completed;
        }
        // A request within the call failed, which ends it (RFC 3261 section 12.2.1.2).
        match self.final_status.as_ref().map(|status| status.code) {
            Some(200..=299) => EndReason::Completed,
            Some(408) => EndReason::Timeout,
            _ => EndReason::Failed,
        }
    }

    fn before_answer(&self) -> EndReason {
        let Some(status) = &self.final_status else {
            // A BYE on an early dialog (RFC 3261 section 15) is a refusal without a code.
            return if self.bye_from_remote { EndReason::Failed } else { EndReason::Timeout };
        };
        let generic = matches!(status.code, 403 | 480 | 487 | 500 | 503 | 603);
        let by_cause = self.q850.as_ref().filter(|_| generic).and_then(|q850| self.by_cause(q850, status));
        by_cause.unwrap_or_else(|| self.by_code(status))
    }

    /// The reason that a Q.850 cause gives, or `None` where it says too little.
    fn by_cause(&self, q850: &Q850, status: &SipStatus) -> Option<EndReason> {
        Some(match q850.cause {
            17 => EndReason::Busy,
            18 | 19 => EndReason::NoAnswer,
            21 if self.refused_by_the_callee(q850, status) => EndReason::Declined,
            21 | 55 | 57 | 87 => EndReason::Rejected,
            2 | 3 | 20 | 27 | 34 | 38 | 41 | 42 | 47 => EndReason::Unreachable,
            1 | 22 | 28 => EndReason::NotFound,
            58 | 65 | 70 | 79 | 88 => EndReason::MediaFailed,
            102 => EndReason::Timeout,
            95..=101 | 111 | 127 => EndReason::Failed,
            // Normal clearing (16, 31) of a call that never was, and what has no row in the table.
            _ => return None,
        })
    }

    /// Cause 21 is both the person's choice and the network's. The location tells where it is given; otherwise a
    /// telephone that had been reached makes it the person's.
    fn refused_by_the_callee(&self, q850: &Q850, status: &SipStatus) -> bool {
        match q850.location.as_deref() {
            Some(location) => location.eq_ignore_ascii_case("U"),
            None => self.provisional_18x && !network_blocked(status),
        }
    }

    fn by_code(&self, status: &SipStatus) -> EndReason {
        match status.code {
            401 | 407 => EndReason::AuthFailed,
            402 | 403 | 433 | 608 => EndReason::Rejected,
            404 | 410 | 484 | 485 | 604 => EndReason::NotFound,
            406 | 415 | 488 | 606 => EndReason::MediaFailed,
            408 | 480 if self.provisional_18x => EndReason::NoAnswer,
            408 | 504 => EndReason::Timeout,
            480 | 500 | 502 | 503 => EndReason::Unreachable,
            486 | 600 => EndReason::Busy,
            603 if self.provisional_18x && is_decline(status) => EndReason::Declined,
            603 => EndReason::Rejected,
            607 => EndReason::Declined,
            _ => EndReason::Failed,
        }
    }
}

/// The standard phrase of a refusal by a person, its variants, or none at all.
fn is_decline(status: &SipStatus) -> bool {
    let phrase = status.phrase.trim().as_bytes();
    phrase.is_empty() || phrase.get(..7).is_some_and(|start| start.eq_ignore_ascii_case(b"decline"))
}

/// 603 with this phrase is analytics in the network, not a person (FCC 25-15).
fn network_blocked(status: &SipStatus) -> bool {
    status.phrase.to_ascii_lowercase().contains("network blocked")
}

#[cfg(test)]
mod tests;
