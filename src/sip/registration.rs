//! What a registrar says of a trunk.

use std::time::Duration;

use crate::call::SipStatus;

/// The registration of a trunk (RFC 3261 §10).
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Registration {
    /// The trunk knows us by our address; nothing is registered.
    NotRequired,
    /// The first answer has not come yet.
    Pending,
    /// Registered, and renewed before it expires.
    Registered {
        /// The time that the registrar granted, which may be less than was asked for.
        expires: Duration,
    },
    /// Refused, or no answer; it is tried again by itself.
    Failed {
        /// What the registrar sent; `None` when nothing came.
        status: Option<SipStatus>,
        /// Why, in words.
        detail: String,
    },
    /// Taken back at shutdown.
    Unregistered,
}

impl Registration {
    /// Whether the registrar refused our credentials: asking again with the same ones only locks the account.
    #[must_use]
    pub fn credentials_refused(&self) -> bool {
        matches!(self, Self::Failed { status: Some(status), .. } if matches!(status.code, 401 | 403 | 407))
    }
}
