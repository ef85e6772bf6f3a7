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
    /// Refused, or no answer. It is tried again by itself, but not with credentials that were never accepted.
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

/// When to ask a registrar again that has refused us.
///
/// PJSUA does so by itself where nothing came, or a server failed. What is left are refusals: a PBX that is starting up
/// refuses those whom it does not know yet, with the same codes by which it refuses those whom it will never know.
#[derive(Debug, Default)]
pub(super) struct Insistence {
    /// These credentials were accepted before.
    accepted: bool,
    /// Refusals in a row.
    refusals: u32,
}

/// After the first refusal; each further one doubles it.
const FIRST: Duration = Duration::from_secs(5);
/// The same for credentials: accounts are locked after some five wrong ones in a few minutes.
const FIRST_WITH_CREDENTIALS: Duration = Duration::from_secs(60);
const LONGEST: Duration = Duration::from_secs(60 * 60);

impl Insistence {
    /// After which time the registrar is to be asked again, if it is.
    pub(super) fn after(&mut self, state: &Registration) -> Option<Duration> {
        match state {
            Registration::Registered { .. } => {
                *self = Self { accepted: true, refusals: 0 };
                None
            }
            Registration::Failed { status: Some(status), .. } if !is_tried_by_pjsua(status.code) => {
                if state.credentials_refused() && !self.accepted {
                    return None;
                }
                let first = if state.credentials_refused() { FIRST_WITH_CREDENTIALS } else { FIRST };
                let pause = first.saturating_mul(1 << self.refusals.min(16)).min(LONGEST);
                self.refusals += 1;
                Some(pause)
            }
            _ => None,
        }
    }
}

/// The answers after which PJSUA registers again.
fn is_tried_by_pjsua(code: u16) -> bool {
    matches!(code, 408 | 480 | 500 | 502 | 503 | 504 | 600..=699)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(code: u16) -> Registration {
        Registration::Failed { status: Some(SipStatus::new(code, "")), detail: String::new() }
    }

    fn pauses(insistence: &mut Insistence, code: u16, count: usize) -> Vec<u64> {
        let pauses = (0..count).map_while(|_| insistence.after(&answered(code)));
        pauses.map(|pause| pause.as_secs()).collect()
    }

    #[test]
    fn credentials_that_were_never_accepted_are_not_repeated() {
        for code in [401, 403, 407] {
            assert_eq!(Insistence::default().after(&answered(code)), None);
        }
    }

    #[test]
    fn those_that_were_accepted_are_repeated_more_and_more_seldom() {
        let mut insistence = Insistence::default();
        let registered = Registration::Registered { expires: LONGEST };
        assert_eq!(insistence.after(&registered), None);
        assert_eq!(pauses(&mut insistence, 401, 9), [60, 120, 240, 480, 960, 1920, 3600, 3600, 3600]);
        insistence.after(&registered);
        assert_eq!(pauses(&mut insistence, 403, 1), [60]);
    }

    #[test]
    fn other_refusals_are_asked_about_again_and_pjsuas_own_are_left_to_it() {
        assert_eq!(pauses(&mut Insistence::default(), 404, 4), [5, 10, 20, 40]);
        assert_eq!(pauses(&mut Insistence::default(), 404, 40).last(), Some(&3600));
        for code in [408, 503, 603] {
            assert_eq!(Insistence::default().after(&answered(code)), None);
        }
        let silent = Registration::Failed { status: None, detail: String::new() };
        assert_eq!(Insistence::default().after(&silent), None);
    }
}
