//! Which failures of a call are the server's, so that another one may do better.

use std::time::Duration;

use super::penalty::PENALTY;
use crate::call::SipStatus;

/// Words of a reason phrase by which a carrier says that the account has as many calls as it may have. Every one of its
/// servers says the same, and asking them all is what such a limit is against.
const LIMITS: [&str; 14] = [
    "cps",
    "limit",
    "limits",
    "limited",
    "rate",
    "channel",
    "channels",
    "concurrent",
    "concurrency",
    "maximum",
    "many",
    "exceeded", // Telnyx: calls per second.
    "p05",
    "p15",
];

/// How long the server of a call that failed before it rang goes last; `None` when the failure is not the server's.
///
/// `sent` is the final response that came from the far end; without one `own` is PJSIP's own code for what happened:
/// 408 when no response came in time, 503 for a connection that failed.
pub(in crate::sip) fn servers_fault(
    sent: Option<&SipStatus>,
    retry_after: Option<Duration>,
    own: u16,
) -> Option<Duration> {
    match sent {
        Some(status) if status.code == 503 && !is_limit(&status.phrase) => {
            Some(retry_after.unwrap_or(PENALTY))
        }
        None if matches!(own, 408 | 503) => Some(PENALTY),
        _ => None,
    }
}

/// Whether a 503 is about a limit of the account.
fn is_limit(phrase: &str) -> bool {
    let mut words = phrase.split(|c: char| !c.is_alphanumeric());
    words.any(|word| LIMITS.iter().any(|limit| word.eq_ignore_ascii_case(limit)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(code: u16, phrase: &str) -> Option<Duration> {
        servers_fault(Some(&SipStatus::new(code, phrase)), None, code)
    }

    #[test]
    fn silence_and_a_failed_connection_are_the_servers_fault() {
        assert_eq!(servers_fault(None, None, 408), Some(PENALTY));
        assert_eq!(servers_fault(None, None, 503), Some(PENALTY));
        // A name that did not resolve, and a fault of ours.
        assert_eq!(servers_fault(None, None, 502), None);
        assert_eq!(servers_fault(None, None, 500), None);
    }

    #[test]
    fn a_503_is_the_servers_fault_for_as_long_as_it_says() {
        assert_eq!(said(503, "Service Unavailable"), Some(PENALTY));
        let minute = Duration::from_secs(60);
        assert_eq!(servers_fault(Some(&SipStatus::new(503, "")), Some(minute), 503), Some(minute));
    }

    #[test]
    fn a_limit_of_the_account_is_no_servers_fault() {
        for phrase in [
            "CPS limit exceeded",
            "Call rate too high",
            "Maximum Calls In Progress",
            "No circuit/channel available",
            "Concurrent-calls reached",
            "Too many calls",
            "P05",
        ] {
            assert_eq!(said(503, phrase), None, "{phrase}");
        }
    }

    #[test]
    fn what_the_callee_or_the_account_is_told_is_no_servers_fault() {
        for code in [302, 401, 403, 404, 407, 408, 480, 486, 487, 488, 500, 502, 504, 600, 603] {
            assert_eq!(said(code, "Whatever"), None, "{code}");
        }
    }
}
