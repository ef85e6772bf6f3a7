//! What a registrar's refusal means, from everything that it said.

use outdial::call::SipStatus;
use outdial::config::TrunkConfig;

use super::finding::Finding;
use super::mistake::Mistake;

/// A refused registration.
pub(super) struct Refusal<'a> {
    pub(super) trunk: &'a TrunkConfig,
    /// The last answer, to a REGISTER with our credentials.
    pub(super) status: Option<&'a SipStatus>,
    pub(super) detail: &'a str,
    /// The answer to our REGISTER without credentials.
    pub(super) first: Option<u16>,
    /// Whether that answer called a nonce stale that it had not seen.
    pub(super) stale: bool,
    /// The answer to a REGISTER without credentials of somebody who cannot exist.
    pub(super) stranger: Option<u16>,
}

impl Refusal<'_> {
    /// The mistake behind it.
    pub(super) fn finding(&self) -> Finding {
        let said = self.status.map(|status| format!("{status}: ")).unwrap_or_default();
        let what = format!("{said}{}", self.detail);
        let user = self.trunk.user.as_deref().unwrap_or_default();
        let code = self.status.map(|status| status.code);
        match code {
            Some(401 | 407) if self.trunk.password.is_none() => Mistake::PasswordMissing.found(
                what,
                "the registrar wants a password: set password = { source = \"…\", id = \"…\" }",
            ),
            Some(401 | 407) if self.stale => Mistake::ChallengeLoop.found(
                format!("{said}the registrar calls nonces stale that it has just made"),
                "ask the trunk: several of its servers may not share their nonces, or its clock jumps",
            ),
            Some(401 | 403 | 407) if self.names_the_auth_user() => Mistake::AuthUser.found(
                what,
                format!("the user of the password must be the registered one: leave auth_user out, or make it {user:?}"),
            ),
            Some(403) if matches!(self.first, Some(403)) => Mistake::RegistrationForbidden.found(
                format!("{said}forbidden before a password was asked for"),
                format!(
                    "user {user:?} unknown or locked, from_domain wrong, or this machine's address not permitted"
                ),
            ),
            Some(401 | 403 | 407) if self.tells_users_apart() => Mistake::WrongPassword.found(
                format!("{said}the registrar knows user {user:?} and refuses the password"),
                "compare the password with the trunk's portal, and what the secret really holds: outdial secrets",
            ),
            Some(401 | 403 | 407) => Mistake::WrongCredentials.found(
                what,
                format!(
                    "user {:?} or its password is wrong, the registrar does not say which: compare both with the trunk's \
                     portal; some want auth_user",
                    self.trunk.auth_user().unwrap_or_default()
                ),
            ),
            Some(404 | 410 | 604) => Mistake::UnknownUser.found(
                what,
                format!("the registrar does not know {user:?}: look at user and from_domain"),
            ),
            Some(408 | 504) => Mistake::RegistrarSilent.found(
                what,
                "no answer to REGISTER: look at the registrar's host and port, and at the firewall",
            ),
            Some(503) => Mistake::RegistrationFailed.found(
                what,
                "no connection, or the registrar is out of service: see the findings above, then ask the trunk",
            ),
            _ => Mistake::RegistrationFailed
                .found(what, "ask the trunk's operator with this answer at hand"),
        }
    }

    /// Kamailio's default configuration says "Forbidden auth ID" to it.
    fn names_the_auth_user(&self) -> bool {
        self.status.is_some_and(|status| status.phrase.to_ascii_lowercase().contains("auth id"))
    }

    /// Whether it asked us for a password, and refuses strangers without asking.
    fn tells_users_apart(&self) -> bool {
        matches!(self.first, Some(401 | 407)) && self.stranger.is_some_and(|code| !matches!(code, 401 | 407))
    }
}

#[cfg(test)]
mod tests {
    use outdial::secrets::SecretRef;

    use super::*;

    fn cause(
        status: (u16, &str),
        password: bool,
        first: u16,
        stale: bool,
        stranger: Option<u16>,
    ) -> &'static str {
        let mut trunk = TrunkConfig::new("sip.example.com".parse().unwrap());
        trunk.user = Some("anna".into());
        trunk.password = password.then(|| SecretRef::Env("P".into()));
        let status = SipStatus::new(status.0, status.1);
        let refusal = Refusal {
            trunk: &trunk,
            status: Some(&status),
            detail: "no",
            first: Some(first),
            stale,
            stranger,
        };
        let finding = refusal.finding();
        assert!(finding.remedy.is_some_and(|remedy| !remedy.is_empty()));
        finding.cause.unwrap()
    }

    #[test]
    fn a_table_of_refusals() {
        let table = [
            ((401, "Unauthorized"), false, 401, false, None, "password_missing"),
            ((401, "Unauthorized"), true, 401, false, Some(401), "wrong_credentials"),
            ((401, "Unauthorized"), true, 401, false, Some(404), "wrong_password"),
            ((401, "Unauthorized"), true, 401, true, Some(401), "challenge_loop"),
            // FreeSWITCH says 403 to a wrong password, and asks everybody for one.
            ((403, "Forbidden"), true, 401, false, Some(401), "wrong_credentials"),
            ((403, "Forbidden"), true, 401, false, Some(403), "wrong_password"),
            ((403, "Forbidden"), true, 403, false, Some(403), "registration_forbidden"),
            ((403, "Forbidden auth ID"), true, 401, false, Some(401), "auth_user_mismatch"),
            ((404, "Not Found"), true, 404, false, None, "unknown_user"),
            ((408, "Request Timeout"), true, 200, false, None, "registrar_silent"),
            ((503, "Service Unavailable"), true, 503, false, None, "registration_failed"),
            ((600, "Busy"), true, 600, false, None, "registration_failed"),
        ];
        for (status, password, first, stale, stranger, expected) in table {
            assert_eq!(cause(status, password, first, stale, stranger), expected, "{status:?} {stranger:?}");
        }
    }
}
