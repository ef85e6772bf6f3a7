//! Where a service is, and what lets us in.

use std::net::IpAddr;
use std::path::PathBuf;

use reqwest::Url;

use super::{ApiKey, Limits};
use crate::speech::AdapterError;

/// Where a service is, the key that it wants, and how long it may take.
///
/// ```no_run
/// # use std::sync::Arc;
/// # use outdial::secrets::{SecretName, SecretRef, Secrets};
/// # use outdial::speech::{Access, ApiKey};
/// # fn access(secrets: &Arc<Secrets>) -> Result<(), Box<dyn std::error::Error>> {
/// // The service itself:
/// let key = ApiKey::read(secrets, SecretRef::Store(SecretName::new("OPENAI_API_KEY")?))?;
/// let access = Access::from(key);
/// // A server of your own with the same interface, on this machine:
/// let access = Access::without_key().base_url("http://127.0.0.1:8880/v1");
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Default)]
pub struct Access {
    pub(super) key: Option<ApiKey>,
    pub(super) limits: Limits,
    pub(super) ca_file: Option<PathBuf>,
    base_url: Option<String>,
    plain: bool,
}

impl Access {
    /// No key, as servers of one's own often want none.
    #[must_use]
    pub fn without_key() -> Self {
        Self::default()
    }

    /// Another address than the service's own: `https://`, or `http://` on this machine. Its path, if it has one, stands
    /// before those of the service's interface.
    #[must_use]
    pub fn base_url(mut self, url: impl Into<String>) -> Self {
        self.base_url = Some(url.into());
        self
    }

    /// The certificates, in PEM, that may have signed the service's, in place of those of the system: for a server of your
    /// own with an authority of your own. The file is read when the adapter is made.
    #[must_use]
    pub fn ca_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.ca_file = Some(path.into());
        self
    }

    /// Permits `http://` to other machines too. The key and all that is said then cross the network for everybody to
    /// read: for a network of your own only.
    #[must_use]
    pub fn permit_plain_http(mut self) -> Self {
        self.plain = true;
        self
    }

    /// Other time limits.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// The address, if it is one that can be used.
    pub(super) fn address(&self, own: &str) -> Result<Url, AdapterError> {
        let text = self.base_url.as_deref().unwrap_or(own);
        let refuse = |why: &str| Err(AdapterError::Invalid(format!("the base URL of a service {why}")));
        // The interfaces of WebSockets are told with these.
        let text = match text.split_once("://") {
            Some(("wss", rest)) => format!("https://{rest}"),
            Some(("ws", rest)) => format!("http://{rest}"),
            _ => text.to_owned(),
        };
        let Ok(url) = Url::parse(&text) else {
            return refuse("is not an address such as https://api.example.com/v1");
        };
        let bare = url.username().is_empty() && url.password().is_none() && url.query().is_none();
        if !bare || url.fragment().is_some() {
            return refuse("has a host and a path and nothing else: no user, query or fragment");
        }
        let host = url.host_str().unwrap_or_default();
        let local = host == "localhost"
            || host.trim_matches(['[', ']']).parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback());
        match url.scheme() {
            "https" => Ok(url),
            "http" if local || self.plain => Ok(url),
            "http" => {
                refuse("begins with https:// unless it is on this machine; see Access::permit_plain_http")
            }
            _ => refuse("begins with https://"),
        }
    }
}

impl From<ApiKey> for Access {
    fn from(key: ApiKey) -> Self {
        Self { key: Some(key), ..Self::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_and_speech_leave_this_machine_over_tls_only() {
        let own = "https://api.example.com/v1";
        assert_eq!(Access::default().address(own).unwrap().as_str(), own);
        for (url, fits) in [
            ("https://stt.example.com", true),
            ("wss://stt.example.com/path", true),
            ("http://127.0.0.1:8880/v1", true),
            ("ws://[::1]:9000", true),
            ("http://localhost:8000", true),
            ("http://whisper:8000/v1", false),
            ("http://192.0.2.1/v1", false),
            ("http://localhost.example.com", false),
            ("ftp://127.0.0.1", false),
            ("https://user:pw@example.com", false),
            ("https://example.com/?key=marker", false),
            ("api.example.com", false),
            ("", false),
        ] {
            let access = Access::without_key().base_url(url);
            let address = access.address(own);
            assert_eq!(address.is_ok(), fits, "{url}: {address:?}");
            assert!(!format!("{address:?}").contains("marker"));
        }
        let plain = Access::without_key().base_url("http://whisper:8000/v1").permit_plain_http();
        assert_eq!(plain.address(own).unwrap().as_str(), "http://whisper:8000/v1");
    }
}
