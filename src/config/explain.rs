//! What a trunk's settings came to be, for an operator who wonders.

use std::fmt::Display;
use std::path::Path;
use std::time::Duration;

use super::values::Word;
use super::{NumberFormat, Pem, TrunkConfig};

/// One setting of a trunk.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Setting {
    /// The key in the trunk's table.
    pub key: &'static str,
    /// Its value, as a person would write it; `–` for none.
    pub value: String,
    /// Where the value is from.
    pub origin: Origin,
}

/// Where a setting's value is from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// It is the same in every trunk, and in this one too.
    Default,
    /// The profile brings it.
    Profile,
    /// The configuration says so.
    File,
}

impl TrunkConfig {
    /// Every setting of the trunk with its value and where that is from. Secrets are shown as what they are
    /// called.
    ///
    /// A value that the configuration names and that is the default all the same counts as the default.
    pub fn explain(&self) -> Vec<Setting> {
        let generic = Self::new(self.server.clone()).values();
        let profile = self.profile.trunk(self.server.clone()).values();
        let known = generic.into_iter().zip(profile);
        let settings =
            self.values().into_iter().zip(known).map(|((key, value), ((_, generic), (_, profile)))| {
                let origin = match key {
                    // Without one there is no trunk; a carrier's may come from the profile.
                    "server" if self.profile.server().as_ref() == Some(&self.server) => Origin::Profile,
                    "server" => Origin::File,
                    "profile" if value == generic => Origin::Default,
                    "profile" => Origin::File,
                    _ if value == profile && value != generic => Origin::Profile,
                    _ if value == generic => Origin::Default,
                    _ => Origin::File,
                };
                Setting { key, value, origin }
            });
        settings.collect()
    }

    fn values(&self) -> Vec<(&'static str, String)> {
        let path = |path: &Option<std::path::PathBuf>| shown(path.as_deref().map(Path::display));
        let pem = |pem: &Option<Pem>| match pem {
            Some(Pem::File(path)) => path.display().to_string(),
            Some(Pem::Secret(secret)) => secret.to_string(),
            None => NONE.to_owned(),
        };
        let codecs: Vec<_> = self.codecs.iter().map(|codec| codec.word()).collect();
        let moves: Vec<_> = self.callee_transfer_prefixes.iter().map(|prefix| format!("+{prefix}")).collect();
        let suites: Vec<_> = self.srtp_suites.iter().map(|suite| suite.name()).collect();
        vec![
            ("profile", self.profile.word().to_owned()),
            ("server", self.server.to_string()),
            ("register", self.register.to_string()),
            ("registrar", shown(self.registrar.as_ref())),
            ("user", shown(self.user.as_ref())),
            ("auth_user", shown(self.auth_user.as_ref())),
            ("password", shown(self.password.as_ref())),
            ("realm", shown(self.realm.as_ref())),
            ("outbound_proxy", shown(self.outbound_proxy.as_ref())),
            ("transport", self.transport.word().to_owned()),
            ("ca_file", path(&self.ca_file)),
            ("client_cert", pem(&self.client_cert)),
            ("client_key", pem(&self.client_key)),
            ("tls_server_name", shown(self.tls_server_name.as_ref())),
            ("allow_wildcard_certificate", self.allow_wildcard_certificate.to_string()),
            ("danger_accept_any_certificate", self.danger_accept_any_certificate.to_string()),
            ("srtp", self.srtp.word().to_owned()),
            ("allow_sdes_without_tls", self.allow_sdes_without_tls.to_string()),
            ("srtp_suites", suites.join(", ")),
            ("codecs", codecs.join(", ")),
            ("ptime", time(self.ptime)),
            ("dtmf", self.dtmf.word().to_owned()),
            ("early_media", self.early_media.to_string()),
            ("jitter_buffer_min", time(self.jitter_buffer_min)),
            ("jitter_buffer_max", time(self.jitter_buffer_max)),
            ("media_timeout", time(self.media_timeout)),
            ("symmetric_rtp", self.symmetric_rtp.to_string()),
            ("caller_id", shown(self.caller_id.as_ref())),
            ("caller_name", shown(self.caller_name.as_ref())),
            ("from", self.from.word().to_owned()),
            ("from_user", shown(self.from_user.as_ref())),
            ("from_domain", shown(self.from_domain.as_ref())),
            ("identity", self.identity.word().to_owned()),
            ("hide_caller", self.hide_caller.to_string()),
            ("diversion", shown(self.diversion.as_ref())),
            ("number_format", number(&self.number_format)),
            ("caller_format", self.caller_format.as_ref().map_or_else(|| NONE.to_owned(), number)),
            ("user_phone", self.user_phone.to_string()),
            ("max_calls", shown(self.max_calls.as_ref())),
            ("calls_per_second", shown(self.calls_per_second.as_ref())),
            ("ring_timeout", time(self.ring_timeout)),
            ("talk_limit", time(self.talk_limit)),
            ("allow_redirects", self.allow_redirects.to_string()),
            ("callee_transfer_prefixes", if moves.is_empty() { NONE.to_owned() } else { moves.join(", ") }),
            ("register_expires", time(self.register_expires)),
            ("keep_alive", time(self.keep_alive)),
            ("local_port", shown(self.local_port.as_ref())),
            ("public_address", shown(self.public_address.as_ref())),
            ("stun_server", shown(self.stun_server.as_ref())),
            ("tariff", shown(self.tariff.as_ref().map(|_| "set"))),
            ("record", shown(self.record.map(Word::word))),
        ]
    }
}

const NONE: &str = "–";

fn shown(value: Option<impl Display>) -> String {
    value.map_or_else(|| NONE.to_owned(), |value| value.to_string())
}

fn time(time: Duration) -> String {
    humantime::format_duration(time).to_string()
}

fn number(format: &NumberFormat) -> String {
    match format {
        NumberFormat::E164 => "e164".to_owned(),
        NumberFormat::Digits => "digits".to_owned(),
        NumberFormat::Prefix(prefix) => format!("prefix {prefix}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, Profile};

    fn explained(text: &str, key: &str) -> (String, Origin) {
        let config = Config::parse(text).unwrap();
        let settings = config.trunks["t"].explain();
        let found: Vec<_> = settings.into_iter().filter(|setting| setting.key == key).collect();
        let [setting] = found.as_slice() else { panic!("{key} is there {} times", found.len()) };
        (setting.value.clone(), setting.origin)
    }

    #[test]
    fn each_value_says_where_it_is_from() {
        let text = "[trunks.t]\nprofile = \"sonetel\"\nuser = \"anna\"\ncodecs = [\"opus\"]\n\
                    password = { source = \"store\", id = \"SONETEL\" }";
        for (key, value, origin) in [
            ("profile", "sonetel", Origin::File),
            ("server", "sip.sonetel.com", Origin::Profile),
            ("register", "true", Origin::Profile),
            ("transport", "udp", Origin::Profile),
            ("user", "anna", Origin::File),
            ("password", "store entry SONETEL", Origin::File),
            ("codecs", "opus", Origin::File),
            ("ring_timeout", "1m", Origin::Default),
            ("max_calls", "–", Origin::Default),
        ] {
            assert_eq!(explained(text, key), (value.to_owned(), origin), "{key}");
        }
    }

    /// A key that is added and not shown would keep the promise only nearly.
    #[test]
    fn every_field_is_explained() {
        let trunk = Profile::Generic.trunk("h".parse().unwrap());
        let debug = format!("{trunk:#?}");
        let fields = debug.lines().filter(|line| line.starts_with("    ") && line.as_bytes()[4] != b' ');
        let fields: Vec<_> =
            fields.filter_map(|line| line.trim().split_once(": ").map(|(name, _)| name)).collect();
        let mut explained: Vec<_> = trunk.explain().iter().map(|setting| setting.key).collect();
        let mut expected = fields;
        expected.sort_unstable();
        explained.sort_unstable();
        assert_eq!(explained, expected);
    }
}
