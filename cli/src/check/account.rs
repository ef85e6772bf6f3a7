//! What a registrar's refusal means, from everything that it said.

use outdial::call::SipStatus;
use outdial::config::TrunkConfig;

use super::finding::Finding;
use super::mistake::Mistake;
use super::probe::Stranger;

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
    /// What it says to somebody who cannot exist.
    pub(super) stranger: Stranger,
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
            Some(400..=499) if self.names_the_domain() => {
                let domain = self.trunk.from_domain.as_deref().unwrap_or(self.trunk.server.host());
                Mistake::WrongDomain.found(
                    what,
                    format!("the account is not of the domain {domain:?}: set from_domain to the trunk's own, or its name as server"),
                )
            }
            Some(403) if self.password_is_right() => Mistake::RegistrationForbidden.found(
                format!("{said}the password is right, and the account may not register"),
                format!(
                    "permit it at the trunk (Asterisk: aors at the endpoint of {user:?}, max_contacts above 0), or set register = false"
                ),
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
                    "user {:?} or its password is wrong, and the trunk does not say which: compare both with its portal; \
                     some want auth_user",
                    self.trunk.auth_user().unwrap_or_default()
                ),
            ),
            Some(404 | 410 | 604) => Mistake::UnknownUser.found(
                what,
                format!("the registrar does not know {user:?}: look at user and from_domain, and whether that host is the registrar"),
            ),
            Some(405 | 501) => Mistake::NotRegistrar.found(
                what,
                "set registrar to the host that is one, or register = false if the trunk knows you by address or password",
            ),
            Some(423) => Mistake::RegistrationFailed.found(
                what,
                "the registrar wants a longer time than it names itself: set register_expires = \"1h\"",
            ),
            Some(code @ 300..=399) => Mistake::NotRegistrar.found(
                what,
                format!("{code} sends us elsewhere: ask the trunk for the registrar's name and set registrar"),
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
        let asks = |code: Option<u16>| matches!(code, Some(401 | 407));
        asks(self.first) && self.stranger.first.is_some() && !asks(self.stranger.first)
    }

    /// Whether it says something else to a wrong password than to ours.
    fn password_is_right(&self) -> bool {
        matches!(self.first, Some(401 | 407)) && matches!(self.stranger.last, Some(401 | 407))
    }

    /// Kamailio's default configuration says "Not relaying" to foreign domains.
    fn names_the_domain(&self) -> bool {
        self.status.is_some_and(|status| speaks_of_the_domain(&status.phrase))
    }
}

/// Whether a phrase says that the trunk is not of our domain.
pub(super) fn speaks_of_the_domain(phrase: &str) -> bool {
    let phrase = phrase.to_ascii_lowercase();
    ["relaying", "relay denied", "domain"].iter().any(|words| phrase.contains(words))
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
        stranger: Option<(u16, Option<u16>)>,
    ) -> &'static str {
        let mut trunk = TrunkConfig::new("sip.example.com".parse().unwrap());
        trunk.user = Some("anna".into());
        trunk.password = password.then(|| SecretRef::Env("P".into()));
        let status = SipStatus::new(status.0, status.1);
        let stranger =
            Stranger { first: stranger.map(|said| said.0), last: stranger.and_then(|said| said.1) };
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
        let to_nobody = |first| Some((first, None));
        let table = [
            ((401, "Unauthorized"), false, 401, false, None, "password_missing"),
            ((401, "Unauthorized"), true, 401, false, to_nobody(401), "wrong_credentials"),
            ((401, "Unauthorized"), true, 401, false, to_nobody(404), "wrong_password"),
            ((401, "Unauthorized"), true, 401, true, to_nobody(401), "challenge_loop"),
            // FreeSWITCH says 403 to a wrong password, and asks everybody for one.
            ((403, "Forbidden"), true, 401, false, Some((401, Some(403))), "wrong_credentials"),
            ((403, "Forbidden"), true, 401, false, to_nobody(403), "wrong_password"),
            // Asterisk says 401 to it, and 403 to an endpoint that has no place for a registration.
            ((403, "Forbidden"), true, 401, false, Some((401, Some(401))), "registration_forbidden"),
            ((403, "Forbidden"), true, 403, false, to_nobody(403), "registration_forbidden"),
            ((403, "Forbidden auth ID"), true, 401, false, to_nobody(401), "auth_user_mismatch"),
            ((403, "Not relaying"), true, 403, false, to_nobody(403), "wrong_domain"),
            ((404, "Not Found"), true, 404, false, None, "unknown_user"),
            ((405, "Method Not Allowed"), true, 405, false, None, "not_a_registrar"),
            ((302, "Moved Temporarily"), true, 302, false, None, "not_a_registrar"),
            ((423, "Interval Too Brief"), true, 401, false, None, "registration_failed"),
            ((408, "Request Timeout"), true, 200, false, None, "registrar_silent"),
            ((503, "Service Unavailable"), true, 503, false, None, "registration_failed"),
            ((600, "Busy"), true, 600, false, None, "registration_failed"),
        ];
        for (status, password, first, stale, stranger, expected) in table {
            assert_eq!(cause(status, password, first, stale, stranger), expected, "{status:?} {stranger:?}");
        }
    }
}
