use std::fmt;

use super::AgentId;

/// What an error came from, when there is more behind it.
type Source = Box<dyn std::error::Error + Send + Sync>;

/// Why there is no call.
///
/// Each of these but [`Unconfirmed`](Self::Unconfirmed) is known before the first packet of the call has left. Whatever
/// happens later, a busy line included, is told by the end of the call. None of them holds a secret or a full telephone number, so all can
/// be logged.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DialError {
    /// The request itself is wrong; the same request will never work.
    #[error("{field} {problem}")]
    InvalidRequest {
        /// The field of the request.
        field: &'static str,
        /// What is wrong with it.
        problem: String,
    },
    /// The configuration does not know the agent, and has no default for unknown ones.
    #[error("there is no agent {agent:?} in the configuration", agent = .0.as_str())]
    UnknownAgent(AgentId),
    /// The configuration does not know the trunk.
    #[error("there is no trunk {0:?} in the configuration")]
    UnknownTrunk(String),
    /// The provider cannot do what the request asks for.
    #[error("this provider cannot {0}")]
    Unsupported(&'static str),
    /// A rule of the operator forbids the call.
    #[error("refused by policy: {reason}")]
    Refused {
        /// The rule, as a stable name for machines: `quiet_hours`, `denied_prefix`.
        rule: &'static str,
        /// What the rule says about this call, for people.
        reason: String,
    },
    /// As many calls as permitted are up, or have been started within the second. Later, it may work.
    #[error("at capacity: {limit} is limited to {max}")]
    AtCapacity {
        /// Which limit.
        limit: CapacityLimit,
        /// Its value.
        max: u32,
    },
    /// The trunk is known to be out of service, such as one whose registration failed.
    #[error("trunk {trunk} is out of service: {detail}")]
    TrunkUnavailable {
        /// Its name.
        trunk: String,
        /// The SIP or HTTP status that said so, if one did.
        code: Option<u16>,
        /// What is wrong, with the phrase of that status if there is one.
        detail: String,
    },
    /// The call could not be sent: the name does not resolve, no transport can be made.
    #[error("trunk {trunk} cannot be reached: {detail}")]
    Unreachable {
        /// Its name.
        trunk: String,
        /// What was tried and what happened.
        detail: String,
        /// The error behind it.
        #[source]
        source: Option<Source>,
    },
    /// The carrier refused to make the call: the number is none, or the caller id is not the account's. The same request
    /// will not work later either.
    #[error("trunk {trunk} refused to make the call: {detail}")]
    Rejected {
        /// Its name.
        trunk: String,
        /// Its words, with the status that said so.
        detail: String,
    },
    /// The call was ordered, and no answer tells whether it was made. It may ring; to dial again could ring twice. If it
    /// shows itself it is hung up.
    #[error("trunk {trunk} did not say whether it made the call: {detail}")]
    Unconfirmed {
        /// Its name.
        trunk: String,
        /// What was seen of the answer.
        detail: String,
    },
    /// No media could be set up: no free RTP port, no codec left.
    #[error("no media for the call: {detail}")]
    Media {
        /// What is missing.
        detail: String,
    },
    /// The provider has been shut down, or is draining.
    #[error("the provider has been shut down")]
    ShutDown,
    /// The configuration is wrong, or a secret that it names cannot be read.
    #[error("{detail}")]
    Configuration {
        /// What is wrong; secrets by their names only.
        detail: String,
        /// The error behind it.
        #[source]
        source: Option<Source>,
    },
    /// A mistake of this library or of what it stands on.
    #[error("internal error: {detail}")]
    Internal {
        /// What happened.
        detail: String,
    },
}

impl DialError {
    /// A stable name for metrics, records and scripts. It never changes for an existing variant.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::InvalidRequest { .. } => "invalid_request",
            Self::UnknownAgent(_) => "unknown_agent",
            Self::UnknownTrunk(_) => "unknown_trunk",
            Self::Unsupported(_) => "unsupported",
            Self::Refused { .. } => "refused",
            Self::AtCapacity { .. } => "at_capacity",
            Self::TrunkUnavailable { .. } => "trunk_unavailable",
            Self::Unreachable { .. } => "unreachable",
            Self::Rejected { .. } => "rejected",
            Self::Unconfirmed { .. } => "unconfirmed",
            Self::Media { .. } => "media",
            Self::ShutDown => "shut_down",
            Self::Configuration { .. } => "configuration",
            Self::Internal { .. } => "internal",
        }
    }

    /// Whether the same request may work a little later without anybody changing anything.
    pub fn is_transient(&self) -> bool {
        matches!(
            self,
            Self::AtCapacity { .. }
                | Self::TrunkUnavailable { .. }
                | Self::Unreachable { .. }
                | Self::Media { .. }
        )
    }
}

/// Which limit is used up.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CapacityLimit {
    /// Calls at the same time, all together.
    Calls,
    /// Calls at the same time on one trunk.
    TrunkCalls(String),
    /// Calls at the same time by one agent.
    AgentCalls(AgentId),
    /// Calls started per second, all together.
    Rate,
    /// Calls started per second on one trunk.
    TrunkRate(String),
    /// Calls started per second by one agent.
    AgentRate(AgentId),
}

impl fmt::Display for CapacityLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Calls => f.write_str("the number of calls"),
            Self::TrunkCalls(trunk) => write!(f, "the number of calls on trunk {trunk}"),
            Self::AgentCalls(agent) => write!(f, "the number of calls by agent {agent}"),
            Self::Rate => f.write_str("the number of new calls per second"),
            Self::TrunkRate(trunk) => write!(f, "the number of new calls per second on trunk {trunk}"),
            Self::AgentRate(agent) => write!(f, "the number of new calls per second by agent {agent}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_error_has_a_name_of_its_own_and_a_sentence() {
        let errors = [
            DialError::InvalidRequest { field: "trunk", problem: "has 0 bytes".into() },
            DialError::UnknownAgent(AgentId::new("a").unwrap()),
            DialError::UnknownTrunk("t".into()),
            DialError::Unsupported("send header fields"),
            DialError::Refused { rule: "quiet_hours", reason: "it is 22:00 there".into() },
            DialError::AtCapacity { limit: CapacityLimit::TrunkCalls("t".into()), max: 4 },
            DialError::TrunkUnavailable {
                trunk: "t".into(),
                code: Some(403),
                detail: "403 Forbidden".into(),
            },
            DialError::Unreachable { trunk: "t".into(), detail: "no such host".into(), source: None },
            DialError::Rejected { trunk: "t".into(), detail: "400".into() },
            DialError::Unconfirmed { trunk: "t".into(), detail: "no answer".into() },
            DialError::Media { detail: "no free port".into() },
            DialError::ShutDown,
            DialError::Configuration { detail: "no secret SIP_PASSWORD".into(), source: None },
            DialError::Internal { detail: "x".into() },
        ];
        let kinds: std::collections::BTreeSet<_> = errors.iter().map(DialError::kind).collect();
        assert_eq!(kinds.len(), errors.len());
        assert_eq!(errors[1].to_string(), "there is no agent \"a\" in the configuration");
        assert_eq!(errors[5].to_string(), "at capacity: the number of calls on trunk t is limited to 4");
        assert!(errors[5].is_transient() && !errors[4].is_transient());
    }

    #[test]
    fn it_can_cross_threads() {
        fn check<T: Send + Sync + 'static>() {}
        check::<DialError>();
    }
}
