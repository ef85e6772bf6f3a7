//! What in a trunk's table does not fit together.

use std::time::Duration;

use super::{NOWHERE, TrunkConfig};
use crate::config::address::check_host;
use crate::config::{Codec, DtmfMethod, NumberFormat, Problem, Srtp, Transport, tariff};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

impl TrunkConfig {
    /// What does not fit together, each under the key that should be changed.
    pub(in crate::config) fn check(&self, path: &str, problems: &mut Vec<Problem>) {
        if let Some(tariff) = &self.tariff {
            tariff::check(tariff, &format!("{path}.tariff"), problems);
        }
        let mut problem =
            |key: &str, message: &str| problems.push(Problem::new(format!("{path}.{key}"), message));
        let one_line = [
            ("user", &self.user),
            ("auth_user", &self.auth_user),
            ("realm", &self.realm),
            ("from_user", &self.from_user),
            ("caller_name", &self.caller_name),
        ];
        for (key, text) in one_line {
            if text.as_ref().is_some_and(|t| {
                t.trim() != t || t.is_empty() || t.len() > 128 || t.chars().any(char::is_control)
            }) {
                problem(key, "must be 1 to 128 bytes on one line, without white space at its ends");
            }
        }
        for (key, host) in [("from_domain", &self.from_domain), ("tls_server_name", &self.tls_server_name)] {
            if let Some(Err(error)) = host.as_deref().map(check_host) {
                problem(key, &error.to_string());
            }
        }

        if self.register && self.user.is_none() {
            problem("register", "needs the account's name: user = \"…\"");
        }
        if self.registrar.is_some() && !self.register {
            problem("registrar", "has no effect without register = true");
        }
        if self.password.is_some() && self.auth_user().is_none() {
            problem("password", "needs the account's name: user or auth_user");
        }
        if self.password.is_none() && self.auth_user.is_some() {
            problem("auth_user", "has no effect without a password");
        }
        self.profile.check(self, &mut problem);
        self.check_encryption(&mut problem);
        self.check_media(&mut problem);
        self.check_limits(&mut problem);

        if self.caller_goes_nowhere(self.caller_id.as_ref()) {
            problem("caller_id", NOWHERE);
        }
        if matches!(self.caller_format, Some(NumberFormat::Prefix(_))) && self.caller_id.is_none() {
            problem("caller_format", "has no effect without a caller_id");
        }
    }

    fn check_encryption(&self, problem: &mut impl FnMut(&str, &str)) {
        if self.client_cert.is_some() && self.client_key.is_none() {
            problem("client_cert", "needs its private key: client_key");
        }
        if self.client_key.is_some() && self.client_cert.is_none() {
            problem("client_key", "needs its certificate: client_cert");
        }
        if self.transport != Transport::Tls {
            let tls_only = [
                ("ca_file", self.ca_file.is_some()),
                ("client_cert", self.client_cert.is_some()),
                ("tls_server_name", self.tls_server_name.is_some()),
                ("allow_wildcard_certificate", self.allow_wildcard_certificate),
                ("danger_accept_any_certificate", self.danger_accept_any_certificate),
            ];
            for (key, _) in tls_only.into_iter().filter(|(_, set)| *set) {
                problem(key, "has no effect without transport = \"tls\"");
            }
            if self.srtp != Srtp::Off && !self.allow_sdes_without_tls {
                problem(
                    "srtp",
                    "its keys would travel readable to everybody on the way: use transport = \"tls\", or say \
                     allow_sdes_without_tls = true if the way is protected otherwise",
                );
            }
        }
    }

    fn check_media(&self, problem: &mut impl FnMut(&str, &str)) {
        if self.srtp_suites.is_empty() {
            problem("srtp_suites", "needs at least one crypto suite");
        }
        let mut seen = self.srtp_suites.clone();
        seen.sort_unstable();
        seen.dedup();
        if seen.len() != self.srtp_suites.len() {
            problem("srtp_suites", "names a crypto suite twice");
        }
        if self.dtmf == DtmfMethod::Inband && self.codecs.contains(&Codec::Opus) {
            problem("dtmf", "opus does not keep tones: take it out of the codecs, or send keys another way");
        }
        if self.codecs.is_empty() {
            problem("codecs", "needs at least one codec");
        }
        let mut seen = self.codecs.clone();
        seen.sort_unstable();
        seen.dedup();
        if seen.len() != self.codecs.len() {
            problem("codecs", "names a codec twice");
        }
        if ![10, 20, 30, 40, 60].map(Duration::from_millis).contains(&self.ptime) {
            problem("ptime", "must be 10, 20, 30, 40 or 60 ms, as in \"20ms\"");
        }
        let (least, most) = (self.jitter_buffer_min, self.jitter_buffer_max);
        if least > Duration::from_millis(500) {
            problem("jitter_buffer_min", "must be 0ms to 500ms");
        } else if !(Duration::from_millis(20)..=Duration::from_secs(1)).contains(&most) {
            problem("jitter_buffer_max", "must be 20ms to 1s");
        } else if least > most {
            problem("jitter_buffer_min", "must be no more than jitter_buffer_max");
        }
    }

    fn check_limits(&self, problem: &mut impl FnMut(&str, &str)) {
        let second = Duration::from_secs(1);
        let limits = [
            ("ring_timeout", self.ring_timeout, second, DAY, "1s to 24h"),
            ("talk_limit", self.talk_limit, second, DAY, "1s to 24h"),
            ("register_expires", self.register_expires, 60 * second, DAY, "1m to 24h"),
            ("media_timeout", self.media_timeout, second, 3600 * second, "1s to 1h, or 0s for never"),
            ("keep_alive", self.keep_alive, second, 3600 * second, "1s to 1h, or 0s for never"),
        ];
        for (key, value, least, most, range) in limits {
            let off = value.is_zero() && range.ends_with("never");
            if !off && !(least..=most).contains(&value) {
                problem(key, &format!("must be {range}"));
            }
        }
        for (key, limit) in [("max_calls", self.max_calls), ("calls_per_second", self.calls_per_second)] {
            if limit == Some(0) {
                problem(key, "must be at least 1");
            }
        }
        let digits = |prefix: &String| prefix.len() <= 15 && prefix.bytes().all(|b| b.is_ascii_digit());
        if !self.callee_transfer_prefixes.iter().all(digits) {
            problem("callee_transfer_prefixes", "must be first digits of numbers, such as \"+49\"");
        }
        if self.local_port == Some(0) {
            problem("local_port", "must be at least 1; leave it out for any free port");
        }
        if self.public_address.is_some_and(|ip| ip.is_unspecified() || ip.is_multicast()) {
            problem("public_address", "must be an address that others can send to");
        }
    }
}
