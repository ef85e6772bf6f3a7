//! What Twilio says about a call, and what it means in our words.

use std::str::FromStr;
use std::time::Duration;

use crate::call::{EndFacts, EndReason, SipStatus};

/// Twilio's CallStatus.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CallStatus {
    Queued,
    Initiated,
    Ringing,
    InProgress,
    Completed,
    Busy,
    Failed,
    NoAnswer,
    Canceled,
}

impl CallStatus {
    /// Whether nothing comes after it.
    pub(super) fn is_final(self) -> bool {
        matches!(self, Self::Completed | Self::Busy | Self::Failed | Self::NoAnswer | Self::Canceled)
    }
}

impl FromStr for CallStatus {
    type Err = ();

    fn from_str(status: &str) -> Result<Self, ()> {
        Ok(match status {
            "queued" => Self::Queued,
            "initiated" => Self::Initiated,
            "ringing" => Self::Ringing,
            "in-progress" | "answered" => Self::InProgress,
            "completed" => Self::Completed,
            "busy" => Self::Busy,
            "failed" => Self::Failed,
            "no-answer" => Self::NoAnswer,
            "canceled" => Self::Canceled,
            _ => return Err(()),
        })
    }
}

/// One report, from a status callback or from the call's resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Report {
    /// The call sid.
    pub(super) sid: String,
    /// How the call stands.
    pub(super) status: CallStatus,
    /// The SIP code behind it, where Twilio tells it: in callbacks.
    pub(super) sip_code: Option<u16>,
    /// Twilio's number of the error behind it.
    pub(super) error_code: Option<u32>,
    /// How long the call was up.
    pub(super) duration: Option<Duration>,
}

impl Report {
    /// Reads the fields of a status callback. `None` if it is none about a call of this account.
    pub(super) fn read(fields: &[(String, String)], account: &str) -> Option<Self> {
        let field = |name: &str| {
            let value = fields.iter().find(|(field, _)| field == name).map(|(_, value)| value.as_str());
            value.filter(|value| !value.is_empty())
        };
        if field("AccountSid") != Some(account) {
            return None;
        }
        Some(Self {
            sid: field("CallSid").filter(|sid| is_call_sid(sid))?.to_owned(),
            status: field("CallStatus")?.parse().ok()?,
            sip_code: field("SipResponseCode")
                .and_then(|code| code.parse().ok())
                .filter(|code| (100..=699).contains(code)),
            error_code: field("ErrorCode").and_then(|code| code.parse().ok()),
            duration: field("CallDuration").and_then(|seconds| seconds.parse().ok()).map(Duration::from_secs),
        })
    }

    /// Adds what a final report tells to what is known of the end.
    pub(super) fn explain(&self, facts: &mut EndFacts, rang: bool) {
        // Twilio passes on the code without its words.
        facts.final_status = self.sip_code.map(|code| SipStatus::new(code, ""));
        facts.bye_from_remote = self.status == CallStatus::Completed && facts.local.is_none();
        facts.verdict = self.verdict(rang);
    }

    /// Twilio's own error, in a sentence.
    pub(super) fn detail(&self) -> Option<String> {
        self.error_code
            .map(|code| format!("Twilio error {code}, see https://www.twilio.com/docs/api/errors/{code}"))
    }

    /// Why there was no answer. `None` leaves it to the SIP code, or to its absence.
    fn verdict(&self, rang: bool) -> Option<EndReason> {
        let by_code = || self.sip_code.map(|code| Self::by_code(code, rang));
        match self.status {
            // A refusal by a person or by the network hides behind both words.
            CallStatus::Busy | CallStatus::NoAnswer if matches!(self.sip_code, Some(603 | 607 | 608)) => {
                by_code()
            }
            CallStatus::Busy => Some(EndReason::Busy),
            CallStatus::NoAnswer => Some(EndReason::NoAnswer),
            CallStatus::Canceled => Some(EndReason::Cancelled),
            CallStatus::Failed => by_code()
                .filter(|reason| *reason != EndReason::Failed)
                .or_else(|| self.error_code.and_then(by_error))
                .or(Some(EndReason::Failed)),
            _ => None,
        }
    }

    fn by_code(code: u16, rang: bool) -> EndReason {
        let final_status = Some(SipStatus::new(code, ""));
        EndFacts { final_status, provisional_18x: rang, ..EndFacts::default() }.reason()
    }
}

/// Twilio's numbers for calls that its own side refuses.
fn by_error(code: u32) -> Option<EndReason> {
    Some(match code {
        // Invalid or unreachable number, number not in service.
        13_224 | 21_211 | 21_214 | 21_217 => EndReason::NotFound,
        // Caller id, geographic permission, blocked number, account.
        10_001 | 10_002 | 13_214 | 13_225 | 13_227 | 21_210 | 21_212 | 21_215 | 21_216 => EndReason::Rejected,
        _ => return None,
    })
}

/// Whether a text is a call sid: `CA` and 32 hexadecimal digits.
pub(super) fn is_call_sid(text: &str) -> bool {
    text.len() == 34 && text.starts_with("CA") && text.bytes().skip(2).all(|b| b.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::{EndedBy, LocalCause};

    const ACCOUNT: &str = "AC00000000000000000000000000000001";
    const SID: &str = "CA0123456789abcdef0123456789abcdef";

    fn fields(list: &[(&str, &str)]) -> Vec<(String, String)> {
        let own = [("AccountSid", ACCOUNT), ("CallSid", SID)];
        own.iter().chain(list).map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    fn report(status: &str, sip: &str, error: &str) -> Report {
        let list =
            [("CallStatus", status), ("SipResponseCode", sip), ("ErrorCode", error), ("CallDuration", "7")];
        Report::read(&fields(&list), ACCOUNT).unwrap()
    }

    #[test]
    fn a_callback_is_read_and_others_calls_are_not_ours() {
        let read = report("no-answer", "487", "");
        assert_eq!((read.status, read.sip_code, read.error_code), (CallStatus::NoAnswer, Some(487), None));
        assert_eq!((read.sid.as_str(), read.duration), (SID, Some(Duration::from_secs(7))));
        let list = fields(&[("CallStatus", "busy")]);
        assert_eq!(Report::read(&list, "AC2"), None);
        for wrong in [&[("CallStatus", "sleeping")][..], &[]] {
            assert_eq!(Report::read(&fields(wrong), ACCOUNT), None);
        }
        let mut foreign = list;
        foreign[1].1 = "CA1".to_owned();
        assert_eq!(Report::read(&foreign, ACCOUNT), None);
        // Nonsense beside the status is left out.
        assert_eq!(report("busy", "9999", "x").sip_code, None);
    }

    #[test]
    fn each_end_has_its_reason() {
        use EndReason::*;
        // Status, SIP code, Twilio's error, whether it rang, reason.
        let table = [
            ("busy", "486", "", true, Busy),
            ("busy", "", "", false, Busy),
            ("busy", "600", "", false, Busy),
            ("busy", "603", "", true, Declined),
            ("busy", "603", "", false, Rejected),
            ("busy", "608", "", true, Rejected),
            ("no-answer", "487", "", true, NoAnswer),
            ("no-answer", "480", "", false, NoAnswer),
            ("no-answer", "", "", true, NoAnswer),
            ("no-answer", "607", "", true, Declined),
            ("canceled", "487", "", true, Cancelled),
            ("failed", "404", "", false, NotFound),
            ("failed", "410", "", false, NotFound),
            ("failed", "480", "", true, NoAnswer),
            ("failed", "480", "", false, Unreachable),
            ("failed", "503", "", false, Unreachable),
            ("failed", "403", "", false, Rejected),
            ("failed", "488", "", false, MediaFailed),
            ("failed", "408", "", false, Timeout),
            ("failed", "407", "", false, AuthFailed),
            ("failed", "500", "13224", false, Unreachable),
            ("failed", "400", "13224", false, NotFound),
            ("failed", "", "13224", false, NotFound),
            ("failed", "", "13225", false, Rejected),
            ("failed", "", "99999", false, Failed),
            ("failed", "", "", false, Failed),
        ];
        for (status, sip, error, rang, expected) in table {
            let mut facts = EndFacts { provisional_18x: rang, ..EndFacts::default() };
            report(status, sip, error).explain(&mut facts, rang);
            let end = facts.into_end();
            assert_eq!(
                (end.reason, end.ended_by),
                (expected, EndedBy::Remote),
                "{status} {sip} {error} {rang}"
            );
        }
    }

    #[test]
    fn what_we_did_ourselves_comes_first() {
        for (local, answered, expected) in [
            (LocalCause::Hangup, false, EndReason::Cancelled),
            (LocalCause::Hangup, true, EndReason::Completed),
            (LocalCause::RingTimeout, false, EndReason::NoAnswer),
            (LocalCause::MediaSetup, true, EndReason::MediaFailed),
        ] {
            let mut facts =
                EndFacts { local: Some(local), answered, provisional_18x: true, ..EndFacts::default() };
            report(if answered { "completed" } else { "canceled" }, "", "").explain(&mut facts, true);
            assert_eq!(facts.reason(), expected, "{local:?}");
        }
        let mut facts = EndFacts { answered: true, ..EndFacts::default() };
        report("completed", "200", "").explain(&mut facts, true);
        let end = facts.into_end();
        assert_eq!((end.reason, end.ended_by), (EndReason::Completed, EndedBy::Remote));
        assert_eq!(end.sip, Some(SipStatus::new(200, "")));
    }
}
