//! How a trunk wants numbers, names and addresses written. Pure text, so a table of cases tests it.

use std::fmt::Write as _;

use super::address::uri_host;
use super::{IdentityHeader, NumberFormat, Server, TrunkConfig};
use crate::provider::{CallerId, E164};

impl TrunkConfig {
    /// The address to call (RFC 3261 section 19.1.1): `sip:+12025550100@sip.example.com;transport=tls`.
    ///
    /// The scheme is `sip:` over TLS too: `sips:` would demand TLS on every hop beyond the trunk, which no carrier
    /// gives (RFC 5630 section 3).
    pub fn request_uri(&self, to: &E164) -> String {
        let phone = if self.user_phone { ";user=phone" } else { "" };
        let user = write_number(&self.number_format, to);
        format!("{}{phone}", self.uri(Some(&user), &self.server))
    }

    /// Where REGISTER is sent, if the trunk registers: `sip:sip.example.com;transport=tls`.
    pub fn registrar_uri(&self) -> Option<String> {
        self.registrar().map(|registrar| self.uri(None, registrar))
    }

    /// The outbound proxy as a route (RFC 3261 section 16.12), with `lr`: it leaves the request URI alone.
    pub fn proxy_uri(&self) -> Option<String> {
        self.outbound_proxy.as_ref().map(|proxy| format!("{};lr", self.uri(None, proxy)))
    }

    /// The address that is registered: `sip:user@domain`, without transport and port (RFC 3261 section 10.2).
    pub fn address_of_record(&self) -> Option<String> {
        self.user.as_ref().map(|user| format!("sip:{}@{}", escape_user(user), self.domain()))
    }

    /// The value of From, without the tag: `"Name" <sip:+12025550199@sip.example.com>`.
    ///
    /// The user part is the trunk's `from_user`, else the account if it is to be there, else the caller, else the
    /// account, else `anonymous` (RFC 3323 section 4.1.1.3).
    ///
    /// Hidden, it is `"Anonymous" <sip:anonymous@anonymous.invalid>` (RFC 3323 section 4.1.1.3), where the trunk does not
    /// want the account there.
    pub fn from_value(&self, caller: Option<&CallerId>, name: Option<&str>, hidden: bool) -> String {
        let name = if hidden { Some("Anonymous") } else { name };
        let user = match (self.fixed_from_user(), caller, &self.user) {
            (Some(user), _, _) => user.clone(),
            _ if hidden => return "\"Anonymous\" <sip:anonymous@anonymous.invalid>".to_owned(),
            (None, Some(caller), _) => self.caller_user(caller),
            (None, None, Some(user)) => user.clone(),
            (None, None, None) => "anonymous".to_owned(),
        };
        self.name_addr(&user, name)
    }

    /// The header fields beside From that tell who calls, as name and value: at most the one that `identity`
    /// chooses, Privacy (RFC 3323) where the caller is hidden, and Diversion.
    pub fn identity_headers(
        &self,
        caller: Option<&CallerId>,
        name: Option<&str>,
        hidden: bool,
    ) -> Vec<(&'static str, String)> {
        let mut headers = Vec::new();
        if let Some(caller) = caller {
            let address = self.name_addr(&self.caller_user(caller), name);
            match self.identity {
                IdentityHeader::None => {}
                IdentityHeader::Pai => headers.push(("P-Asserted-Identity", address)),
                IdentityHeader::Ppi => headers.push(("P-Preferred-Identity", address)),
                IdentityHeader::Rpid => {
                    let privacy = if hidden { "full" } else { "off" };
                    let value = format!("{address};party=calling;screen=yes;privacy={privacy}");
                    headers.push(("Remote-Party-ID", value));
                }
            }
        }
        if hidden {
            headers.push(("Privacy", "id".to_owned()));
        }
        if let Some(diversion) = &self.diversion {
            let address = self.name_addr(&self.caller_user(diversion), None);
            headers.push(("Diversion", format!("{address};reason=unconditional")));
        }
        headers
    }

    /// A caller id as this trunk wants it written.
    pub fn caller_user(&self, caller: &CallerId) -> String {
        let format = match (&self.caller_format, &self.number_format) {
            (Some(format), _) => format,
            (None, NumberFormat::Prefix(_)) => &NumberFormat::E164,
            (None, format) => format,
        };
        match caller {
            CallerId::Number(number) => write_number(format, number),
            CallerId::Extension(extension) => extension.clone(),
        }
    }

    /// The domain of From and of the registered address.
    fn domain(&self) -> String {
        match &self.from_domain {
            Some(domain) => uri_host(domain),
            None => self.registrar().unwrap_or(&self.server).uri_host(),
        }
    }

    fn uri(&self, user: Option<&str>, server: &Server) -> String {
        let user = user.map(|user| format!("{}@", escape_user(user))).unwrap_or_default();
        format!("sip:{user}{server};transport={}", self.transport.as_str())
    }

    fn name_addr(&self, user: &str, name: Option<&str>) -> String {
        let name = name.map(|name| format!("{} ", quote(name))).unwrap_or_default();
        format!("{name}<sip:{}@{}>", escape_user(user), self.domain())
    }
}

fn write_number(format: &NumberFormat, number: &E164) -> String {
    match format {
        NumberFormat::E164 => number.as_str().to_owned(),
        NumberFormat::Digits => number.digits().to_owned(),
        NumberFormat::Prefix(prefix) => format!("{prefix}{}", number.digits()),
    }
}

/// Escapes what may not stand in the user part of a SIP URI (RFC 3261 section 25.1), and also `; ? /`, which may
/// stand there and which many parsers take for the end of it.
fn escape_user(user: &str) -> String {
    let mut out = String::with_capacity(user.len());
    for byte in user.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.!~*'()&=+$,".contains(&byte) {
            out.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

/// A display name as a quoted string (RFC 3261 section 25.1). Line breaks cannot be quoted and become spaces.
fn quote(name: &str) -> String {
    let mut out = String::with_capacity(name.len() + 2);
    out.push('"');
    for c in name.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            c if c.is_control() => out.push(' '),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::config::{FromUser, Transport};

    fn trunk(server: &str) -> TrunkConfig {
        TrunkConfig::new(server.parse().unwrap())
    }

    fn number() -> E164 {
        E164::parse("+12025550100").unwrap()
    }

    fn caller() -> CallerId {
        CallerId::parse("+12025550199").unwrap()
    }

    #[test]
    fn the_dialled_address_follows_number_format_transport_and_port() {
        let prefix = |p: &str| NumberFormat::Prefix(p.into());
        let cases = [
            (
                "sip.example.com",
                Transport::Tls,
                NumberFormat::E164,
                false,
                "sip:+12025550100@sip.example.com;transport=tls",
            ),
            (
                "sip.example.com:5070",
                Transport::Tcp,
                NumberFormat::Digits,
                false,
                "sip:12025550100@sip.example.com:5070;transport=tcp",
            ),
            (
                "192.0.2.1",
                Transport::Udp,
                prefix("00"),
                true,
                "sip:0012025550100@192.0.2.1;transport=udp;user=phone",
            ),
            (
                "2001:db8::1",
                Transport::Udp,
                NumberFormat::E164,
                true,
                "sip:+12025550100@[2001:db8::1];transport=udp;user=phone",
            ),
            (
                "[2001:db8::1]:5061",
                Transport::Tls,
                prefix("9011"),
                false,
                "sip:901112025550100@[2001:db8::1]:5061;transport=tls",
            ),
            ("pbx", Transport::Udp, prefix("#31#"), false, "sip:%2331%2312025550100@pbx;transport=udp"),
            ("pbx", Transport::Udp, prefix("1234+"), false, "sip:1234+12025550100@pbx;transport=udp"),
        ];
        for (server, transport, number_format, user_phone, expected) in cases {
            let trunk = TrunkConfig { transport, number_format, user_phone, ..trunk(server) };
            assert_eq!(trunk.request_uri(&number()), expected);
        }
    }

    #[test]
    fn registrar_proxy_and_registered_address() {
        let mut trunk = trunk("sip.example.com");
        assert_eq!((trunk.registrar_uri(), trunk.proxy_uri(), trunk.address_of_record()), (None, None, None));
        trunk.register = true;
        trunk.user = Some("anna@example.org".into());
        assert_eq!(trunk.registrar_uri().unwrap(), "sip:sip.example.com;transport=tls");
        assert_eq!(trunk.address_of_record().unwrap(), "sip:anna%40example.org@sip.example.com");
        trunk.registrar = Some("reg.example.com:5071".parse().unwrap());
        trunk.outbound_proxy = Some("[2001:db8::2]:5062".parse().unwrap());
        assert_eq!(trunk.registrar_uri().unwrap(), "sip:reg.example.com:5071;transport=tls");
        assert_eq!(trunk.proxy_uri().unwrap(), "sip:[2001:db8::2]:5062;transport=tls;lr");
        assert_eq!(trunk.address_of_record().unwrap(), "sip:anna%40example.org@reg.example.com");
        trunk.from_domain = Some("2001:db8::3".into());
        assert_eq!(trunk.address_of_record().unwrap(), "sip:anna%40example.org@[2001:db8::3]");
    }

    #[test]
    fn from_prefers_from_user_then_the_caller_then_the_account() {
        let from = |from_user: Option<&str>, user: Option<&str>, caller: Option<&CallerId>, name| {
            let trunk = TrunkConfig {
                from_user: from_user.map(Into::into),
                user: user.map(Into::into),
                ..trunk("sip.example.com")
            };
            trunk.from_value(caller, name, false)
        };
        let caller = caller();
        let extension = CallerId::parse("4711").unwrap();
        let cases = [
            (from(None, None, None, None), "<sip:anonymous@sip.example.com>"),
            (from(None, Some("acc"), None, None), "<sip:acc@sip.example.com>"),
            (from(None, Some("acc"), Some(&caller), None), "<sip:+12025550199@sip.example.com>"),
            (from(None, Some("acc"), Some(&extension), None), "<sip:4711@sip.example.com>"),
            (from(Some("trunk7"), Some("acc"), Some(&caller), None), "<sip:trunk7@sip.example.com>"),
            (
                from(None, None, Some(&caller), Some("Süd \"A\" \\ 1")),
                "\"Süd \\\"A\\\" \\\\ 1\" <sip:+12025550199@sip.example.com>",
            ),
            (
                from(None, None, Some(&caller), Some("a\r\nVia: x")),
                "\"a  Via: x\" <sip:+12025550199@sip.example.com>",
            ),
        ];
        for (value, expected) in cases {
            assert_eq!(value, expected);
        }
    }

    #[test]
    fn the_caller_goes_into_the_header_that_the_trunk_wants() {
        let headers = |identity| {
            TrunkConfig { identity, ..trunk("h") }.identity_headers(Some(&caller()), Some("N"), false)
        };
        assert_eq!(headers(IdentityHeader::None), []);
        let address = "\"N\" <sip:+12025550199@h>".to_owned();
        assert_eq!(headers(IdentityHeader::Pai), [("P-Asserted-Identity", address.clone())]);
        assert_eq!(headers(IdentityHeader::Ppi), [("P-Preferred-Identity", address.clone())]);
        let rpid = format!("{address};party=calling;screen=yes;privacy=off");
        assert_eq!(headers(IdentityHeader::Rpid), [("Remote-Party-ID", rpid)]);
        let trunk = TrunkConfig { diversion: Some(caller()), identity: IdentityHeader::Pai, ..trunk("h") };
        let diversion = ("Diversion", "<sip:+12025550199@h>;reason=unconditional".to_owned());
        assert_eq!(trunk.identity_headers(None, None, false), [diversion]);
    }

    #[test]
    fn a_hidden_caller_is_told_to_the_network_only() {
        let hidden = |identity, from, user: Option<&str>| {
            let trunk = TrunkConfig { identity, from, user: user.map(Into::into), ..trunk("h") };
            let caller = caller();
            let from = trunk.from_value(Some(&caller), Some("N"), true);
            (from, trunk.identity_headers(Some(&caller), Some("N"), true))
        };
        let privacy = ("Privacy", "id".to_owned());
        let (from, headers) = hidden(IdentityHeader::Pai, FromUser::Caller, None);
        assert_eq!(from, "\"Anonymous\" <sip:anonymous@anonymous.invalid>");
        assert_eq!(headers, [("P-Asserted-Identity", "\"N\" <sip:+12025550199@h>".into()), privacy.clone()]);
        let (from, headers) = hidden(IdentityHeader::None, FromUser::Account, Some("acc"));
        assert_eq!((from.as_str(), headers), ("\"Anonymous\" <sip:acc@h>", vec![privacy.clone()]));
        let (_, headers) = hidden(IdentityHeader::Rpid, FromUser::Caller, None);
        let rpid = "\"N\" <sip:+12025550199@h>;party=calling;screen=yes;privacy=full".to_owned();
        assert_eq!(headers, [("Remote-Party-ID", rpid), privacy]);
    }

    #[test]
    fn the_caller_is_written_like_the_number_but_never_with_its_prefix() {
        let written = |number_format, caller_format| {
            TrunkConfig { number_format, caller_format, ..trunk("h") }.caller_user(&caller())
        };
        assert_eq!(written(NumberFormat::E164, None), "+12025550199");
        assert_eq!(written(NumberFormat::Digits, None), "12025550199");
        assert_eq!(written(NumberFormat::Prefix("00".into()), None), "+12025550199");
        assert_eq!(written(NumberFormat::E164, Some(NumberFormat::Digits)), "12025550199");
        assert_eq!(written(NumberFormat::E164, Some(NumberFormat::Prefix("00".into()))), "0012025550199");
    }

    proptest! {
        #[test]
        fn no_account_and_no_name_breaks_the_line_or_the_brackets(user in any::<String>(), name in any::<String>()) {
            let mut trunk = trunk("h");
            trunk.from_user = Some(user);
            let from = trunk.from_value(None, Some(&name), false);
            prop_assert!(!from.contains(['\r', '\n', '\0']));
            let address = from.rsplit_once(" <sip:").unwrap().1;
            prop_assert!(address.bytes().filter(|b| b"<>@\";".contains(b)).eq(*b"@>"), "{}", address);
        }
    }
}
