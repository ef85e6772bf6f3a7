//! The configuration with which a caller reaches the sandbox.

use std::fmt::Write as _;
use std::path::Path;

use super::Ready;
use crate::configuration::SANDBOX;

/// The file beside outdial.toml with the account's password.
pub(super) const PASSWORD_FILE: &str = "password";

/// The trunk `sandbox`: TLS with SRTP if there is TLS, else TCP, else UDP. `None` when there is none of them.
///
/// All addresses are those where the sandbox listens; the sandbox's certificate is for `127.0.0.1` and `::1` too.
pub(super) fn trunk(ready: &Ready, user: Option<&str>, client_certificate: bool) -> Option<String> {
    let (transport, address) = match (ready.tls, ready.tcp, ready.udp) {
        (Some(address), _, _) => ("tls", address),
        (None, Some(address), _) => ("tcp", address),
        (None, None, Some(address)) => ("udp", address),
        (None, None, None) => return None,
    };
    let mut text = format!("[trunks.{SANDBOX}]\nserver = \"{address}\"\ntransport = \"{transport}\"\n");
    // Writing to a String cannot fail.
    if transport == "tls" {
        let _ = writeln!(text, "ca_file = {}", quoted(&ready.ca_file));
        if client_certificate {
            let folder = ready.ca_file.parent().unwrap_or(Path::new("."));
            let _ = writeln!(text, "client_cert = {}", quoted(&folder.join("client.pem")));
            let _ = writeln!(text, "client_key = {}", quoted(&folder.join("client.key")));
        }
    }
    if let Some(user) = user {
        let password = ready.config.with_file_name(PASSWORD_FILE);
        let _ = writeln!(text, "register = true\nuser = {}", toml::Value::from(user));
        let _ = writeln!(text, "password = {{ source = \"file\", id = {} }}", quoted(&password));
    }
    Some(text)
}

fn quoted(path: &Path) -> toml::Value {
    toml::Value::from(path.display().to_string())
}

#[cfg(test)]
mod tests {
    use outdial::config::{Config, Srtp, Transport};

    use super::*;

    fn ready(tls: bool) -> Ready {
        let address = |on: bool| on.then(|| "127.0.0.1:5061".parse().unwrap());
        Ready {
            udp: address(true),
            tcp: None,
            tls: address(tls),
            ca_file: "/tmp/a \"b\"/ca.pem".into(),
            config: "/tmp/a \"b\"/outdial.toml".into(),
            voice: "melodies".into(),
        }
    }

    #[test]
    fn it_is_a_valid_configuration() {
        let config = Config::parse(&trunk(&ready(true), Some("o'neil \"x\""), true).unwrap()).unwrap();
        let trunk = &config.trunks[SANDBOX];
        assert_eq!((trunk.transport, trunk.srtp), (Transport::Tls, Srtp::Required));
        assert_eq!(trunk.user.as_deref(), Some("o'neil \"x\""));
        assert!(trunk.client_key.is_some() && trunk.password.is_some());
    }

    #[test]
    fn without_tls_the_sound_is_plain() {
        let config = Config::parse(&trunk(&ready(false), None, true).unwrap()).unwrap();
        let trunk = &config.trunks[SANDBOX];
        assert_eq!((trunk.transport, trunk.srtp, trunk.register), (Transport::Udp, Srtp::Off, false));
        assert!(super::trunk(&Ready { udp: None, ..ready(false) }, None, false).is_none());
    }
}
