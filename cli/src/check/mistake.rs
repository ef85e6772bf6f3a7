//! The usual mistakes by name. The names are stable: programs match on them, and `docs/check.md` lists them.

use super::finding::{Finding, Status};

macro_rules! mistakes {
    ($($variant:ident, $name:literal, $check:literal, $meaning:literal;)*) => {
        /// What an operator, a trunk or a network got wrong.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub(super) enum Mistake {
            $(#[doc = $meaning] $variant,)*
        }

        impl Mistake {
            /// All of them, in the order of the book's table.
            #[cfg(test)]
            pub(super) const ALL: &[Self] = &[$(Self::$variant,)*];

            /// The stable name.
            pub(super) const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// The check that finds it.
            pub(super) const fn check(self) -> &'static str {
                match self { $(Self::$variant => $check,)* }
            }

            /// What it means, in the book.
            #[cfg(test)]
            pub(super) const fn meaning(self) -> &'static str {
                match self { $(Self::$variant => $meaning,)* }
            }
        }
    };
}

mistakes! {
    FileDescriptors, "file_descriptors", "file_descriptors", "fewer open files are permitted than the calls need";
    NoRealTime, "no_realtime_scheduling", "scheduling", "SCHED_FIFO is not permitted, so packets leave late under load";
    ClockWrong, "clock_wrong", "clock", "this machine's clock is wrong";
    ConfigurationUnreadable, "configuration_unreadable", "configuration", "the file cannot be read";
    ConfigurationInvalid, "configuration_invalid", "configuration", "a key or a value in the file is wrong";
    RecordsUnusable, "records_unusable", "records", "the folder of the records cannot be used, so no call is made";
    RecordsInUse, "records_in_use", "records", "another process has the records, and a second one cannot call beside it";
    DoNotCallUnreadable, "do_not_call_unreadable", "do_not_call", "the do-not-call list cannot be read, so every call is refused";
    DoNotCallEmpty, "do_not_call_empty", "do_not_call", "nobody is on the do-not-call list";
    NoTimeZone, "no_time_zone", "quiet_hours", "there are quiet hours and no time_zone: countries with several zones are not called";
    NoPrices, "no_prices", "tariff", "the spend is limited and there are no prices, so every call is refused";
    PricesIncomplete, "prices_incomplete", "tariff", "the spend is limited, and numbers without a price are refused";
    SecretMissing, "secret_missing", "secret", "a secret that the file names is not there";
    SecretUnusable, "secret_unusable", "secret", "a secret is there and cannot be used: open to others, not readable, or no text of one line";
    CertificateFile, "certificate_file", "certificate_file", "a certificate or key file cannot be read or used";
    NotVerified, "certificate_not_verified", "tls_verification", "every certificate is accepted";
    NotEncrypted, "not_encrypted", "encryption", "signalling or sound may travel readable";
    SetUp, "trunk_not_set_up", "setup", "the trunk cannot be set up on this machine";
    NoSuchName, "dns_no_such_name", "dns", "the name does not exist (NXDOMAIN)";
    NoAddress, "dns_no_address", "dns", "the name exists and has no address";
    NoNameServer, "dns_no_name_server", "dns", "no name server answers";
    NotOffered, "dns_service_not_offered", "dns", "the SRV record says that this transport is not offered";
    AddressFamily, "address_family", "dns", "the server has IPv6 addresses only and this side IPv4, or the other way round";
    NoRoute, "no_route", "route", "no route to the server, or one that is rejected on the way";
    BlockedHere, "blocked_here", "route", "this machine's own firewall forbids it";
    PortClosed, "port_closed", "port", "nothing listens on the port";
    SilentDrop, "silent_drop", "port", "packets vanish: a firewall, or a trunk that does not know this address";
    WrongTransport, "wrong_transport", "port", "the port speaks another transport than the configured one";
    TlsFailed, "tls_failed", "tls", "no TLS connection for another reason: version, cipher";
    UnknownAuthority, "unknown_authority", "tls_chain", "nobody whom this machine trusts has signed the certificate";
    SelfSigned, "self_signed", "tls_chain", "the certificate is signed by itself";
    CertificateUnsuitable, "certificate_unsuitable", "tls_chain", "the certificate is not one for a server, or too weak";
    WrongHost, "wrong_host", "tls_hostname", "the certificate is for other names";
    WildcardName, "wildcard_name", "tls_hostname", "the certificate is for the name only by a *, which SIP does not permit";
    CertificateExpired, "certificate_expired", "tls_expiry", "the certificate, or one that signed it, has expired";
    NotYetValid, "certificate_not_yet_valid", "tls_expiry", "the certificate is not valid yet, or this clock is behind";
    ExpiresSoon, "certificate_expires_soon", "tls_expiry", "the certificate expires within three weeks";
    ClientCertificateMissing, "client_certificate_missing", "client_certificate", "the server wants a client certificate, and none is configured";
    ClientCertificateRefused, "client_certificate_refused", "client_certificate", "the server does not accept our client certificate";
    ClientCertificateUnusable, "client_certificate_unusable", "client_certificate", "our client certificate has expired, or is not of that key";
    ConnectionClosed, "connection_closed", "options", "the server takes the connection and closes it";
    NoSipAnswer, "no_sip_answer", "options", "the server does not answer to SIP";
    PasswordMissing, "password_missing", "credentials", "the trunk asks for a password, and none is configured";
    UnknownUser, "unknown_user", "credentials", "the registrar does not know the user";
    WrongPassword, "wrong_password", "credentials", "the registrar knows the user and refuses the password";
    WrongCredentials, "wrong_credentials", "credentials", "user or password is wrong, and the trunk does not tell which";
    WrongRealm, "wrong_realm", "realm", "the trunk asks for another realm than the configured one";
    AuthUser, "auth_user_mismatch", "credentials", "the user of the password is another than the registered one";
    WrongDomain, "wrong_domain", "credentials", "the trunk serves another domain than the one in From";
    ChallengeNotUnderstood, "challenge_not_understood", "credentials", "the trunk asks for a password in a way that is not spoken here";
    ChallengeLoop, "challenge_loop", "credentials", "the trunk challenges again and again, and calls fresh nonces stale";
    RegistrationForbidden, "registration_forbidden", "registration", "the registrar forbids it before it asks for a password: user or address";
    NotRegistrar, "not_a_registrar", "registration", "the server takes no registrations: another host is the registrar, or none is needed";
    RegistrarSilent, "registrar_silent", "registration", "the registrar does not answer";
    RegistrationFailed, "registration_failed", "registration", "another answer of the registrar";
    PolicyRefuses, "policy_refuses", "call", "a rule of this configuration forbids the test call";
    CallerIdRefused, "caller_id_refused", "call", "the trunk refuses the call for its caller id (403)";
    DestinationForbidden, "destination_forbidden", "call", "the trunk does not call that country or number";
    TrunkLimit, "trunk_limit", "call", "the account has as many calls, or calls per second, as it may have";
    AccountBlocked, "account_blocked", "call", "the account is inactive, locked, or out of credit";
    NumberUnknown, "number_unknown", "call", "the trunk does not know the number, or not in this format";
    CallFailed, "call_failed", "call", "the trunk cannot make the call for another reason";
    CodecMismatch, "codec_mismatch", "codec", "no codec in common";
    SrtpMismatch, "srtp_mismatch", "srtp", "one side wants SRTP and the other does not";
    NoMedia, "no_media", "codec", "the answer describes no usable sound";
    NoRtpBack, "no_rtp_back", "rtp", "no packet of the callee's sound arrives";
    RtpToPrivate, "rtp_to_private_address", "rtp", "the trunk wants the sound sent to a private address that is not reachable from here";
    PrivateOffered, "private_address_offered", "rtp", "this side offers a private address to a server in the public network";
    NotHeard, "not_heard", "rtp", "the callee's end reports that hardly any of our sound arrives";
}

impl Mistake {
    /// A finding that keeps calls from working. `what` and `remedy` have one line each.
    pub(super) fn found(self, what: impl Into<String>, remedy: impl Into<String>) -> Finding {
        Finding { cause: Some(self.name()), ..Finding::problem(self.check(), what, remedy) }
    }

    /// One that may do harm.
    pub(super) fn suspected(self, what: impl Into<String>, remedy: impl Into<String>) -> Finding {
        Finding { status: Status::Warning, ..self.found(what, remedy) }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn each_has_a_name_of_its_own() {
        let names: BTreeSet<_> = Mistake::ALL.iter().map(|mistake| mistake.name()).collect();
        assert_eq!(names.len(), Mistake::ALL.len());
    }

    #[test]
    fn the_book_lists_exactly_these() {
        let book = include_str!("../../../docs/check.md");
        let rows: Vec<&str> = book.lines().filter(|line| line.starts_with("| `")).collect();
        let expected: Vec<String> = Mistake::ALL
            .iter()
            .map(|mistake| {
                format!("| `{}` | `{}` | {} |", mistake.name(), mistake.check(), mistake.meaning())
            })
            .collect();
        for row in &expected {
            assert!(rows.contains(&row.as_str()), "docs/check.md lacks: {row}");
        }
        for row in &rows {
            assert!(expected.iter().any(|expected| expected == row), "docs/check.md has too much: {row}");
        }
    }
}
