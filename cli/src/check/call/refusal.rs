//! What the end of an unanswered test call says of the trunk.

use outdial::call::{CallEnd, EndReason, MediaFault};
use outdial::config::TrunkConfig;
use outdial::provider::{CallerId, DialError};

use crate::check::account::speaks_of_the_domain;
use crate::check::finding::Finding;
use crate::check::mistake::Mistake;

/// Words by which carriers say what a 403 or a 503 is about; codes of Telnyx's among them.
const CALLER: &[&str] =
    &["caller", "callerid", "cli", "clid", "ani", "from", "identity", "origination", "d35", "d36", "d51"];
const DESTINATION: &[&str] =
    &["country", "destination", "geo", "geographic", "international", "region", "d13"];
const LIMIT: &[&str] = &[
    "cps",
    "limit",
    "limits",
    "rate",
    "channel",
    "channels",
    "concurrent",
    "maximum",
    "exceeded",
    "d1",
    "d2",
    "d3",
    "d22",
    "p05",
    "p15",
];
const ACCOUNT: &[&str] =
    &["account", "balance", "credit", "suspended", "inactive", "disabled", "payment", "d17"];
const ENCRYPTION: &[&str] = &["srtp", "savp", "sdes", "crypto", "encryption", "encrypted", "secure", "dtls"];
const CODECS: &[&str] = &["codec", "codecs", "304", "305", "media type", "media format"];

/// No call came to be.
pub(super) fn before(error: &DialError) -> Finding {
    match error {
        DialError::Refused { rule, .. } => Mistake::PolicyRefuses.found(
            error.to_string(),
            format!("name a number that the rules permit, or change the rule {rule} in the configuration"),
        ),
        DialError::AtCapacity { .. } => Mistake::TrunkLimit
            .found(error.to_string(), "try again when fewer calls are up, or raise the limit"),
        _ => Mistake::CallFailed.found(error.to_string(), "see the findings above; -vvv shows the messages"),
    }
}

/// What the far end said, in one line.
pub(super) fn words(end: &CallEnd) -> String {
    let status = end.sip.as_ref().map(ToString::to_string);
    let cause = end.q850.as_ref().map(ToString::to_string);
    let words: Vec<String> = [status, cause, end.detail.clone()].into_iter().flatten().collect();
    if words.is_empty() { end.reason.to_string() } else { words.join(", ") }
}

/// What was wrong with the media, where the end tells.
pub(super) fn media_fault(end: &CallEnd) -> Option<MediaFault> {
    let said = words(end).to_ascii_lowercase();
    end.media_fault.or_else(|| {
        if names(&said, ENCRYPTION) {
            Some(MediaFault::Srtp)
        } else if names(&said, CODECS) {
            Some(MediaFault::Codec)
        } else {
            None
        }
    })
}

/// Whether one of the words is said, as a word.
fn names(said: &str, words: &[&str]) -> bool {
    let letters: String =
        said.chars().map(|c| if c.is_alphanumeric() { c.to_ascii_lowercase() } else { ' ' }).collect();
    let said = format!(" {letters} ");
    words.iter().any(|word| said.contains(&format!(" {word} ")))
}

/// The call ended unanswered.
pub(super) fn after(trunk: &TrunkConfig, caller: Option<&CallerId>, end: &CallEnd) -> Finding {
    let said = words(end);
    let code = end.sip.as_ref().map(|status| status.code);
    let phrase = end.sip.as_ref().map(|status| status.phrase.clone()).unwrap_or_default();
    match (end.reason, code) {
        (EndReason::Busy | EndReason::NoAnswer | EndReason::Declined, _) => Finding::skipped(
            "call",
            format!(
                "{}: the call reaches the callee; the sound is not judged, for nobody answered",
                end.reason
            ),
        ),
        (EndReason::AuthFailed, _) => credentials(trunk, said),
        (_, Some(402)) => account(said),
        (EndReason::Rejected, Some(403)) if phrase.to_ascii_lowercase().contains("auth id") => Mistake::AuthUser.found(
            said,
            "the user in From must be that of the password: set from = \"account\", and leave auth_user out",
        ),
        (EndReason::Rejected, Some(403)) if speaks_of_the_domain(&phrase) => Mistake::WrongDomain.found(
            said,
            "From, or the address that is called, is not of the trunk's domain: set from_domain, or its name as server",
        ),
        (EndReason::Rejected, Some(403)) if names(&phrase, CALLER) => caller_id(caller, &said, &phrase),
        (EndReason::Rejected, _) if names(&phrase, ACCOUNT) => account(said),
        (EndReason::Rejected | EndReason::Unreachable, _) if names(&phrase, LIMIT) => Mistake::TrunkLimit
            .found(said, "set max_calls and calls_per_second to what the account may have, or ask for more"),
        (EndReason::Rejected, _) if names(&phrase, DESTINATION) => Mistake::DestinationForbidden
            .found(said, "have the country permitted in the trunk's portal, or name another number"),
        (EndReason::Rejected, Some(403 | 433)) => caller_id(caller, &said, &phrase),
        (EndReason::Rejected, _) => account(said),
        (EndReason::NotFound, _) => Mistake::NumberUnknown.found(
            said,
            "look at the number, and at number_format: some trunks want it without + or with a prefix",
        ),
        (EndReason::Unreachable, Some(_)) => Mistake::CallFailed.found(
            said,
            "the trunk took the call and found no way on: on a PBX look at its dialplan and at its own trunk, else ask its operator",
        ),
        (EndReason::Timeout, None) => Mistake::SilentDrop.found(
            format!("the INVITE is not answered: {said}"),
            "the trunk ignores it: wrong host name, or an address it does not know",
        ),
        _ => Mistake::CallFailed.found(said, "ask the trunk's operator with this answer at hand"),
    }
}

fn credentials(trunk: &TrunkConfig, said: String) -> Finding {
    if trunk.password.is_none() {
        return Mistake::PasswordMissing.found(
            said,
            "the trunk wants a password: set user and password = { source = \"…\", id = \"…\" }",
        );
    }
    let user = trunk.auth_user().unwrap_or_default();
    let realm =
        trunk.realm.as_ref().map(|realm| format!(", or the realm is not {realm:?}")).unwrap_or_default();
    Mistake::WrongCredentials.found(
        said,
        format!("user {user:?} or its password is wrong{realm}: compare them with the trunk's portal; some want auth_user"),
    )
}

fn account(said: String) -> Finding {
    Mistake::AccountBlocked
        .found(said, "look at the account in the trunk's portal: credit, state, permitted use")
}

fn caller_id(caller: Option<&CallerId>, said: &str, phrase: &str) -> Finding {
    let shown = match caller {
        Some(CallerId::Number(number)) => format!("the caller id {}", number.masked()),
        Some(CallerId::Extension(extension)) => format!("the caller id {extension}"),
        Some(_) => "the caller id".to_owned(),
        None => "a call without caller id".to_owned(),
    };
    let what = if names(phrase, CALLER) {
        format!("the trunk refuses {shown}: {said}")
    } else {
        format!("the trunk refuses the call, as most do for {shown} that is not the account's: {said}")
    };
    let remedy = match caller {
        None => "set caller_id to a number of the account".to_owned(),
        Some(_) => "set caller_id to a number that the account owns, written as the trunk wants it (caller_format); some want \
                    it elsewhere (from, identity), and some refuse machines that they do not know"
            .to_owned(),
    };
    Mistake::CallerIdRefused.found(what, remedy)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn end(reason: &str, code: u16, phrase: &str, detail: Option<&str>) -> CallEnd {
        serde_json::from_value(json!({
            "ended_by": "remote", "reason": reason, "sip": { "code": code, "phrase": phrase }, "q850": null,
            "detail": detail, "ring_time_ms": 0, "talk_time_ms": 0, "retry_after_ms": null, "media": null,
        }))
        .unwrap()
    }

    #[test]
    fn a_table_of_refusals() {
        let trunk = TrunkConfig::new("sip.example.com".parse().unwrap());
        let table = [
            ("rejected", 403, "Forbidden", Some("caller_id_refused")),
            ("rejected", 403, "Caller Origination Number is Invalid D35", Some("caller_id_refused")),
            ("rejected", 403, "Forbidden: From must have the account", Some("caller_id_refused")),
            ("rejected", 403, "Forbidden auth ID", Some("auth_user_mismatch")),
            ("rejected", 403, "Not relaying", Some("wrong_domain")),
            ("rejected", 433, "Anonymity Disallowed", Some("caller_id_refused")),
            ("rejected", 403, "Country not enabled", Some("destination_forbidden")),
            ("rejected", 403, "Channel limit exceeded", Some("trunk_limit")),
            ("unreachable", 503, "CPS limit exceeded", Some("trunk_limit")),
            ("unreachable", 503, "Service Unavailable", Some("call_failed")),
            ("rejected", 402, "Payment Required", Some("account_blocked")),
            ("rejected", 603, "Declined", Some("account_blocked")),
            ("not_found", 404, "Not Found", Some("number_unknown")),
            ("auth_failed", 407, "Proxy Authentication Required", Some("password_missing")),
            ("busy", 486, "Busy Here", None),
            ("no_answer", 487, "Request Terminated", None),
        ];
        for (reason, code, phrase, expected) in table {
            let found = after(&trunk, None, &end(reason, code, phrase, None));
            assert_eq!(found.cause, expected, "{code} {phrase}");
            assert_eq!(found.remedy.is_some(), expected.is_some(), "{code} {phrase}");
        }
    }

    #[test]
    fn a_refusal_of_media_may_say_what_it_is_about() {
        let fault = |phrase, detail| media_fault(&end("media_failed", 488, phrase, detail));
        assert_eq!(fault("Not Acceptable Here", None), None);
        assert_eq!(fault("SRTP required", None), Some(MediaFault::Srtp));
        let warning = Some("the far end warns: 305 pbx \"Incompatible media format\"");
        assert_eq!(fault("Not Acceptable Here", warning), Some(MediaFault::Codec));
        assert_eq!(fault("Insecure", None), None, "half a word is none");
    }
}
