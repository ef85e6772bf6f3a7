//! The few header forms that a user agent server reads: lists, parameters, name-addr, Via, credentials.

/// Cuts at commas that stand outside quotes and angle brackets.
pub(crate) fn split_list(value: &str) -> Vec<&str> {
    split_outside(value, b',')
}

/// Cuts at `separator` outside quotes and angle brackets, trims, drops empty parts.
fn split_outside(value: &str, separator: u8) -> Vec<&str> {
    let mut parts = Vec::new();
    let (mut quoted, mut escaped, mut depth, mut start) = (false, false, 0_u32, 0);
    for (index, byte) in value.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b'<' if !quoted => depth += 1,
            b'>' if !quoted => depth = depth.saturating_sub(1),
            _ if byte == separator && !quoted && depth == 0 => {
                parts.push(value[start..index].trim());
                start = index + 1;
            }
            _ => {}
        }
    }
    parts.push(value[start..].trim());
    parts.retain(|part| !part.is_empty());
    parts
}

/// `;name=value` parameters after the value proper; a flag has the empty string.
#[derive(Clone, Debug, Default)]
pub(crate) struct Params(Vec<(String, String)>);

impl Params {
    fn parse(parts: &[&str]) -> Self {
        Self(parts.iter().map(|part| name_and_value(part)).collect())
    }

    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }
}

fn name_and_value(part: &str) -> (String, String) {
    let (name, value) = part.split_once('=').unwrap_or((part, ""));
    (name.trim().to_owned(), unquote(value.trim()))
}

fn unquote(value: &str) -> String {
    let Some(inner) = value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) else {
        return value.to_owned();
    };
    let mut text = String::with_capacity(inner.len());
    let mut characters = inner.chars();
    while let Some(character) = characters.next() {
        text.extend(if character == '\\' { characters.next() } else { Some(character) });
    }
    text
}

/// `"Name" <sip:user@host;uri-param>;param` (RFC 3261 section 20.10).
#[derive(Clone, Debug)]
pub(crate) struct NameAddr {
    pub(crate) uri: String,
    pub(crate) params: Params,
}

impl NameAddr {
    pub(crate) fn parse(value: &str) -> Option<Self> {
        // In the form without brackets, parameters belong to the header and not to the URI.
        let parts = split_outside(value, b';');
        let (first, rest) = parts.split_first()?;
        let uri = match (first.rfind('<'), first.rfind('>')) {
            (Some(open), Some(close)) if open < close => first[open + 1..close].trim(),
            (None, None) => first,
            _ => return None,
        };
        uri.contains(':').then(|| Self { uri: uri.to_owned(), params: Params::parse(rest) })
    }

    pub(crate) fn tag(&self) -> Option<&str> {
        self.params.get("tag").filter(|tag| !tag.is_empty())
    }
}

/// The user part of a sip: or sips: URI, or the number of a tel: URI, percent-decoding left alone.
pub(crate) fn uri_user(uri: &str) -> Option<&str> {
    let (scheme, rest) = uri.split_once(':')?;
    if scheme.eq_ignore_ascii_case("tel") {
        return Some(rest.split(';').next().unwrap_or(rest));
    }
    let (userinfo, _) = rest.split_once('@')?;
    // `;user=phone` and passwords may stand inside the userinfo of number URIs (RFC 3261 section 19.1.6).
    Some(userinfo.split([';', ':']).next().unwrap_or(userinfo))
}

/// The topmost Via: where an answer goes, and the branch that names the transaction.
#[derive(Clone, Debug)]
pub(crate) struct Via {
    pub(crate) sent_by: String,
    pub(crate) params: Params,
}

impl Via {
    pub(crate) fn parse(value: &str) -> Option<Self> {
        let parts = split_outside(value, b';');
        let (first, rest) = parts.split_first()?;
        let (protocol, sent_by) = first.split_once(char::is_whitespace)?;
        let sent_by = sent_by.trim();
        if !protocol.to_ascii_uppercase().starts_with("SIP/2.0/") || sent_by.is_empty() {
            return None;
        }
        Some(Self { sent_by: sent_by.to_owned(), params: Params::parse(rest) })
    }

    pub(crate) fn branch(&self) -> &str {
        self.params.get("branch").unwrap_or_default()
    }

    /// The port to answer to when the request had no `rport` (RFC 3261 section 18.2.2).
    pub(crate) fn port(&self) -> u16 {
        let port = match self.sent_by.rfind(']') {
            Some(end) => self.sent_by[end + 1..].strip_prefix(':'),
            None => self.sent_by.rsplit_once(':').map(|(_, port)| port),
        };
        port.and_then(|port| port.trim().parse().ok()).unwrap_or(5060)
    }
}

/// `Digest name=value, …` (RFC 3261 section 20.7); `None` for any other scheme.
pub(crate) fn digest_params(value: &str) -> Option<Params> {
    let (scheme, rest) = value.trim().split_once(char::is_whitespace)?;
    scheme.eq_ignore_ascii_case("Digest").then(|| Params::parse(&split_list(rest)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn name_addr_forms() {
        for (value, uri, tag) in [
            ("<sip:a@b;x=1>;tag=t", "sip:a@b;x=1", Some("t")),
            ("sip:a@b;tag=t", "sip:a@b", Some("t")),
            ("\"A <;> B\" <sip:a@b>", "sip:a@b", None),
            ("A <tel:+1202>;TAG=t;y", "tel:+1202", Some("t")),
        ] {
            let parsed = NameAddr::parse(value).unwrap();
            assert_eq!((parsed.uri.as_str(), parsed.tag()), (uri, tag), "{value}");
        }
        for value in ["", "<sip:a@b", "no uri", "><"] {
            assert!(NameAddr::parse(value).is_none(), "{value}");
        }
    }

    #[test]
    fn users_of_dialled_uris() {
        for (uri, user) in [
            ("sip:+12025550100@127.0.0.1:5060;transport=tcp", Some("+12025550100")),
            ("sips:12025550100;phone-context=+1@h;user=phone", Some("12025550100")),
            ("tel:+1-202-555-0100;phone-context=x", Some("+1-202-555-0100")),
            ("sip:host", None),
            ("nonsense", None),
        ] {
            assert_eq!(uri_user(uri), user, "{uri}");
        }
    }

    #[test]
    fn via_ports() {
        for (value, port) in [
            ("SIP/2.0/UDP 10.0.0.1:5080;branch=z", 5080),
            ("SIP/2.0/UDP [::1]:5081", 5081),
            ("SIP/2.0/UDP [::1]", 5060),
            ("SIP/2.0/TCP host", 5060),
        ] {
            assert_eq!(Via::parse(value).unwrap().port(), port, "{value}");
        }
        assert!(Via::parse("HTTP/1.1 x").is_none());
    }

    #[test]
    fn credentials() {
        let params = digest_params("Digest username=\"a\\\"b\", realm=\"x, y\",nc=00000001").unwrap();
        assert_eq!(params.get("username"), Some("a\"b"));
        assert_eq!(params.get("realm"), Some("x, y"));
        assert_eq!(params.get("NC"), Some("00000001"));
        assert!(digest_params("Basic abc").is_none());
    }
}
