use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;

use serde::{Deserialize, Deserializer, de};

/// A server: a name or an IP address, and a port if it is not the usual one.
///
/// Written `sip.example.com`, `sip.example.com:5070`, `192.0.2.1`, `[2001:db8::1]:5061`. Without a port, the name is
/// looked up by NAPTR and SRV first (RFC 3263 section 4).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Server {
    /// A name in lower case, or an address without brackets.
    host: String,
    port: Option<u16>,
}

impl Server {
    /// Stands where a configuration that has no server is read on for its other mistakes. Never used.
    pub(super) fn placeholder() -> Self {
        Self { host: "server.invalid".to_owned(), port: None }
    }

    /// The name or address, an IPv6 address without its brackets. This is what a TLS certificate is checked against.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port, if one was named.
    pub fn port(&self) -> Option<u16> {
        self.port
    }

    /// The address, if the host is one and not a name.
    pub fn ip(&self) -> Option<IpAddr> {
        self.host.parse().ok()
    }

    /// The host as it stands in a URI: an IPv6 address in brackets (RFC 3261 section 25.1).
    pub fn uri_host(&self) -> String {
        uri_host(&self.host)
    }
}

/// A host as it stands in a URI.
pub(super) fn uri_host(host: &str) -> String {
    if host.parse::<Ipv6Addr>().is_ok() { format!("[{host}]") } else { host.to_owned() }
}

/// Checks a host name of RFC 1123 section 2.1, or an address.
pub(super) fn check_host(host: &str) -> Result<(), ServerError> {
    if host.parse::<IpAddr>().is_ok() {
        return Ok(());
    }
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let bare = host.strip_suffix('.').unwrap_or(host);
    let last = bare.rsplit('.').next().unwrap_or_default();
    if bare.len() > 253 || !bare.split('.').all(label) || last.bytes().all(|b| b.is_ascii_digit()) {
        return Err(ServerError::Host);
    }
    Ok(())
}

impl FromStr for Server {
    type Err = ServerError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.contains('@') || text.contains(';') || text.starts_with("sip:") || text.starts_with("sips:") {
            return Err(ServerError::Uri);
        }
        let (host, port) = match text.strip_prefix('[') {
            Some(rest) => {
                let (address, rest) = rest.split_once(']').ok_or(ServerError::Host)?;
                address.parse::<Ipv6Addr>().map_err(|_| ServerError::Host)?;
                (
                    address,
                    if rest.is_empty() {
                        None
                    } else {
                        Some(rest.strip_prefix(':').ok_or(ServerError::Port)?)
                    },
                )
            }
            // More than one colon and no brackets: an address, without a port.
            None if text.parse::<Ipv6Addr>().is_ok() => (text, None),
            None => match text.split_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (text, None),
            },
        };
        check_host(host)?;
        let number =
            |port: &str| port.bytes().all(|b| b.is_ascii_digit()).then(|| port.parse::<u16>().ok()).flatten();
        let port =
            port.map(|port| number(port).filter(|port| *port > 0).ok_or(ServerError::Port)).transpose()?;
        Ok(Self { host: host.to_ascii_lowercase(), port })
    }
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.uri_host())?;
        self.port.map_or(Ok(()), |port| write!(f, ":{port}"))
    }
}

impl<'de> Deserialize<'de> for Server {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

/// Why a text is not a server.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ServerError {
    /// It is a whole address of SIP.
    #[error("only the host and perhaps a port: sip.example.com or sip.example.com:5061")]
    Uri,
    /// The host is neither a name nor an address.
    #[error("the host is a name such as sip.example.com, or an address such as 192.0.2.1 or [2001:db8::1]")]
    Host,
    /// The port is not 1 to 65535.
    #[error("the port is a number from 1 to 65535")]
    Port,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_addresses_and_ports() {
        let cases = [
            ("sip.example.com", "sip.example.com", None, "sip.example.com"),
            ("SIP.Example.COM:5070", "sip.example.com", Some(5070), "sip.example.com:5070"),
            ("pbx", "pbx", None, "pbx"),
            ("_sip.example.com.", "_sip.example.com.", None, "_sip.example.com."),
            ("192.0.2.1", "192.0.2.1", None, "192.0.2.1"),
            ("192.0.2.1:5061", "192.0.2.1", Some(5061), "192.0.2.1:5061"),
            ("[2001:db8::1]", "2001:db8::1", None, "[2001:db8::1]"),
            ("[2001:db8::1]:5061", "2001:db8::1", Some(5061), "[2001:db8::1]:5061"),
            ("2001:db8::1", "2001:db8::1", None, "[2001:db8::1]"),
            ("::1", "::1", None, "[::1]"),
        ];
        for (text, host, port, shown) in cases {
            let server: Server = text.parse().unwrap_or_else(|e| panic!("{text}: {e}"));
            assert_eq!((server.host(), server.port(), server.to_string().as_str()), (host, port, shown));
            assert_eq!(shown.parse::<Server>().unwrap(), server);
        }
    }

    #[test]
    fn what_is_no_server_is_refused_with_the_reason() {
        let cases = [
            ("", ServerError::Host),
            ("sip:sip.example.com", ServerError::Uri),
            ("user@sip.example.com", ServerError::Uri),
            ("sip.example.com;transport=tls", ServerError::Uri),
            ("sip example.com", ServerError::Host),
            ("-a.example.com", ServerError::Host),
            ("a..example.com", ServerError::Host),
            ("192.0.2.256", ServerError::Host),
            ("192.0.2", ServerError::Host),
            ("[192.0.2.1]", ServerError::Host),
            ("[2001:db8::1", ServerError::Host),
            ("[2001:db8::1]5061", ServerError::Port),
            ("sip.example.com:", ServerError::Port),
            ("sip.example.com:0", ServerError::Port),
            ("sip.example.com:65536", ServerError::Port),
            ("sip.example.com:+5", ServerError::Port),
            ("a:5:6", ServerError::Port),
            ("exämple.com", ServerError::Host),
        ];
        for (text, error) in cases {
            assert_eq!(text.parse::<Server>(), Err(error), "{text:?}");
        }
    }
}
