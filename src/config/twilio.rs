use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::Problem;
use super::section::Section;
use super::values::Time;
use crate::secrets::SecretRef;

/// Twilio's own address.
const API_URL: &str = "https://api.twilio.com";
/// Where the server for callbacks and streams listens by itself: on this machine, for a reverse proxy.
const LISTEN: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 8085);

/// An account of Twilio: the keys of a table `[providers.NAME]` with `kind = "twilio"`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct TwilioConfig {
    /// The account's sid: `AC` and 32 lower-case hexadecimal digits.
    pub account_sid: String,
    /// The account's secret. Twilio signs its callbacks with it, so it is needed beside an API key too.
    pub auth_token: SecretRef,
    /// An API key to call with instead: `SK` and 32 hexadecimal digits. Default: the account itself.
    pub api_key: Option<String>,
    /// The API key's secret.
    pub api_secret: Option<SecretRef>,
    /// The address, with path, by which Twilio reaches [`listen`](Self::listen) from outside: HTTPS, with a certificate
    /// that the world trusts. Status callbacks go to `/status/…` below it, media streams to `/stream/…`.
    pub public_url: String,
    /// Where the server for both listens, in plain HTTP, for a reverse proxy. Port 0 is any free port. Default
    /// 127.0.0.1:8085.
    pub listen: SocketAddr,
    /// The address of Twilio's interface, for an account in another region. Default `https://api.twilio.com`.
    pub api_url: String,
    /// After how long without the callee's sound it counts as stalled; zero turns the watch off. Default 30 s.
    pub media_timeout: Duration,
}

impl TwilioConfig {
    /// The longest that Twilio lets a call ring.
    pub const LONGEST_RING: Duration = Duration::from_secs(600);

    /// An account with the defaults.
    pub fn new(account_sid: impl Into<String>, auth_token: SecretRef, public_url: impl Into<String>) -> Self {
        Self {
            account_sid: account_sid.into(),
            auth_token,
            api_key: None,
            api_secret: None,
            public_url: public_url.into(),
            listen: LISTEN,
            api_url: API_URL.to_owned(),
            media_timeout: Duration::from_secs(30),
        }
    }

    /// Takes this kind's keys from the table; the caller takes the others.
    pub(super) fn read(section: &mut Section<'_, '_>, base: Option<&Path>) -> Option<Self> {
        let account_sid: Option<String> = section.require("account_sid", "the account's sid, AC…");
        let auth_token = section
            .require("auth_token", "where the account's secret is: { source = \"store\", id = \"…\" }");
        let public_url: Option<String> = section.require(
            "public_url",
            "where Twilio reaches this machine, such as \"https://voice.example.com/twilio\"",
        );
        let (api_key, api_secret) = (section.take("api_key"), section.take("api_secret"));
        let (listen, api_url) = (section.take("listen"), section.take("api_url"));
        let media_timeout = section.take("media_timeout").map(|Time(time)| time);
        let mut account = Self::new(account_sid?, auth_token?, public_url?);
        (account.api_key, account.api_secret) = (api_key, api_secret);
        account.listen = listen.unwrap_or(account.listen);
        account.api_url = api_url.unwrap_or(account.api_url);
        account.media_timeout = media_timeout.unwrap_or(account.media_timeout);
        if let Some(base) = base {
            for secret in [Some(&mut account.auth_token), account.api_secret.as_mut()].into_iter().flatten() {
                if let SecretRef::File(path) = secret {
                    *path = PathBuf::from(base).join(&*path);
                }
            }
        }
        Some(account)
    }

    pub(super) fn check(&self, path: &str, problems: &mut Vec<Problem>) {
        let mut problem =
            |key: &str, message: &str| problems.push(Problem::new(format!("{path}.{key}"), message));
        if !is_sid(&self.account_sid, "AC") {
            problem("account_sid", "must be AC and 32 lower-case hexadecimal digits");
        }
        if self.api_key.as_ref().is_some_and(|key| !is_sid(key, "SK")) {
            problem("api_key", "must be SK and 32 lower-case hexadecimal digits");
        }
        if self.api_key.is_some() && self.api_secret.is_none() {
            problem("api_key", "needs its secret: api_secret");
        }
        if self.api_secret.is_some() && self.api_key.is_none() {
            problem("api_secret", "needs its key: api_key");
        }
        for (key, url) in [("public_url", &self.public_url), ("api_url", &self.api_url)] {
            if let Err(message) = check_url(url) {
                problem(key, message);
            }
        }
        let minute = Duration::from_secs(60);
        if !self.media_timeout.is_zero() && !(minute / 60..=60 * minute).contains(&self.media_timeout) {
            problem("media_timeout", "must be 1s to 1h, or 0s for never");
        }
    }
}

fn is_sid(text: &str, kind: &str) -> bool {
    let hex = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
    text.strip_prefix(kind).is_some_and(|rest| rest.len() == 32 && rest.bytes().all(hex))
}

/// Accepts HTTPS, and HTTP where nothing leaves this machine. The account's secret goes there, and who was called comes
/// back.
fn check_url(url: &str) -> Result<(), &'static str> {
    let Some((scheme, rest)) = url.split_once("://") else {
        return Err("must be an address such as \"https://voice.example.com/twilio\"");
    };
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._~/:[]".contains(&b);
    if rest.is_empty() || rest.starts_with('/') || !rest.bytes().all(plain) {
        return Err("must have a host and a path and nothing else: no user, query or fragment");
    }
    let host = rest.split('/').next().unwrap_or_default();
    let name = if host.starts_with('[') {
        host.split_once(']').map_or(host, |(name, _)| &name[1..])
    } else {
        host.split(':').next().unwrap_or_default()
    };
    // Twilio takes no name with an underscore either.
    let loopback = name.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback());
    match scheme {
        "https" => Ok(()),
        "http" if loopback => Ok(()),
        _ => Err("must begin with https://, or be an address of this machine itself"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Config, ProviderKind};
    use super::*;

    const ACCOUNT: &str = "[providers.cloud]\nkind = \"twilio\"\naccount_sid = \"AC0123456789abcdef0123456789abcdef\"\n\
        auth_token = { source = \"store\", id = \"TWILIO_AUTH_TOKEN\" }\n";
    const PUBLIC: &str = "public_url = \"https://voice.example.com/twilio\"\n";

    fn read(more: &str) -> Result<TwilioConfig, Vec<Problem>> {
        match Config::parse(&format!("{ACCOUNT}{more}")) {
            Ok(config) => {
                let ProviderKind::Twilio(twilio) = &config.providers["cloud"].kind;
                Ok((**twilio).clone())
            }
            Err(error) => Err(error.problems().to_vec()),
        }
    }

    #[test]
    fn an_account_has_safe_defaults() {
        let twilio = read(PUBLIC).unwrap();
        assert_eq!(twilio.listen, "127.0.0.1:8085".parse().unwrap());
        assert_eq!((twilio.api_url.as_str(), twilio.media_timeout), (API_URL, Duration::from_secs(30)));
        assert_eq!((twilio.api_key, twilio.api_secret), (None, None));
    }

    #[test]
    fn every_key_is_read() {
        let more = "api_key = \"SK0123456789abcdef0123456789abcdef\"\napi_secret = { source = \"env\", id = \"A\" }\n\
            listen = \"0.0.0.0:9000\"\napi_url = \"https://api.dublin.ie1.twilio.com\"\nmedia_timeout = \"10s\"\n";
        let twilio = read(&format!("{PUBLIC}{more}")).unwrap();
        assert_eq!(twilio.api_secret, Some(SecretRef::Env("A".into())));
        assert_eq!((twilio.listen.port(), twilio.media_timeout.as_secs()), (9000, 10));
        assert_eq!(twilio.api_url, "https://api.dublin.ie1.twilio.com");
    }

    #[test]
    fn what_is_wrong_is_told_under_its_key() {
        let cases = [
            ("", "public_url", "is missing"),
            ("public_url = \"http://voice.example.com\"", "public_url", "https://"),
            ("public_url = \"voice.example.com\"", "public_url", "such as"),
            ("public_url = \"https://u@voice.example.com\"", "public_url", "nothing else"),
            ("public_url = \"https://voice.example.com/?a=1\"", "public_url", "nothing else"),
            ("public_url = \"https:///path\"", "public_url", "host"),
            ("public_url = \"https://v.example.com\"\napi_url = \"http://192.0.2.1\"", "api_url", "https://"),
            ("public_url = \"https://v.example.com\"\napi_key = \"SK1\"", "api_key", "32"),
            (
                "public_url = \"https://v.example.com\"\napi_key = \"SK0123456789abcdef0123456789abcdef\"",
                "api_key",
                "api_secret",
            ),
            (
                "public_url = \"https://v.example.com\"\napi_secret = { source = \"env\", id = \"A\" }",
                "api_secret",
                "api_key",
            ),
            ("public_url = \"https://v.example.com\"\nmedia_timeout = \"2h\"", "media_timeout", "1s to 1h"),
            ("public_url = \"https://v.example.com\"\nlisten = \"8085\"", "listen", ""),
            ("public_url = \"https://v.example.com\"\nring_timeout = \"11m\"", "ring_timeout", "at most 10m"),
            ("public_url = \"https://v.example.com\"\ncaller_name = \"A\"", "caller_name", "no name"),
            ("public_url = \"https://v.example.com\"\nauthtoken = 1", "authtoken", "auth_token"),
        ];
        for (more, key, message) in cases {
            let found = read(more).unwrap_err();
            let hit = found
                .iter()
                .any(|p| p.key == format!("providers.cloud.{key}") && p.message.contains(message));
            assert!(hit, "{more}: {found:#?}");
        }
        for url in ["http://127.0.0.1:8085", "http://[::1]:80/a", "https://voice.example.com:8443/a/b"] {
            assert_eq!(check_url(url), Ok(()), "{url}");
        }
    }

    #[test]
    fn a_secret_in_its_place_is_refused_and_not_repeated() {
        let text = ACCOUNT.replace("{ source = \"store\", id = \"TWILIO_AUTH_TOKEN\" }", "\"marker\"");
        let error = Config::parse(&format!("{text}{PUBLIC}")).unwrap_err();
        assert!(!format!("{error} {error:?}").contains("marker"), "{error:?}");
    }
}
