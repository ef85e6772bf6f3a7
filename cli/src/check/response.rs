//! As much of a SIP response (RFC 3261 section 7.2) as a check reads. The stack that carries calls is PJSIP's; this
//! one asks two questions and must see what PJSIP does not tell.

use std::net::IpAddr;

/// A response without its body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Response {
    pub(super) code: u16,
    pub(super) phrase: String,
    headers: Vec<(String, String)>,
}

impl Response {
    /// Reads the head of a response; `None` if it is no SIP response. Names are matched without case, and folded
    /// lines belong to the one before.
    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        let text = String::from_utf8_lossy(bytes);
        let head = text.split_once("\r\n\r\n").map_or(&*text, |(head, _)| head);
        let mut lines = head.split("\r\n");
        let (version, status) = lines.next()?.split_once(' ')?;
        if !version.eq_ignore_ascii_case("SIP/2.0") {
            return None;
        }
        let (code, phrase) = status.split_once(' ').unwrap_or((status, ""));
        let code = code.parse().ok().filter(|code| (100..700).contains(code))?;
        let mut headers: Vec<(String, String)> = Vec::new();
        for line in lines {
            match (line.starts_with([' ', '\t']), headers.last_mut(), line.split_once(':')) {
                (true, Some((_, value)), _) => {
                    value.push(' ');
                    value.push_str(line.trim());
                }
                (false, _, Some((name, value))) => {
                    headers.push((name.trim().to_ascii_lowercase(), value.trim().to_owned()));
                }
                _ => {}
            }
        }
        Some(Self { code, phrase: shown(phrase), headers })
    }

    /// The first header field of this name, given in lower case; its compact form counts too (section 7.3.3).
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.all(name).next()
    }

    /// All of them.
    pub(super) fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        let compact = match name {
            "call-id" => "i",
            "via" => "v",
            "content-length" => "l",
            _ => name,
        };
        let of_it = move |found: &str| found == name || found == compact;
        self.headers.iter().filter(move |(found, _)| of_it(found)).map(|(_, value)| value.as_str())
    }

    /// The number of the request that it answers.
    pub(super) fn sequence(&self) -> Option<u32> {
        self.header("cseq")?.split_whitespace().next()?.parse().ok()
    }

    /// The realm of the first challenge (RFC 3261 section 22).
    pub(super) fn realm(&self) -> Option<String> {
        let challenge = self.header("www-authenticate").or_else(|| self.header("proxy-authenticate"))?;
        let at = challenge.to_ascii_lowercase().find("realm=")? + "realm=".len();
        let (realm, _) = challenge.get(at..)?.trim_start().strip_prefix('"')?.split_once('"')?;
        Some(shown(realm))
    }

    /// Whether the challenge calls the nonce of the request stale (RFC 7616 section 3.3), which had none.
    pub(super) fn is_stale(&self) -> bool {
        let challenge = self.header("www-authenticate").or_else(|| self.header("proxy-authenticate"));
        let squeezed = challenge.unwrap_or_default().to_ascii_lowercase().replace([' ', '"'], "");
        squeezed.contains("stale=true")
    }

    /// The address that the server saw our request come from, if it is another than the request said (RFC 3261 section
    /// 18.2.1).
    pub(super) fn received(&self) -> Option<IpAddr> {
        let via = self.header("via")?;
        let values = via.split(';').filter_map(|parameter| parameter.trim().strip_prefix("received="));
        values.into_iter().next()?.trim_matches(['[', ']']).parse().ok()
    }

    /// What the server calls itself.
    pub(super) fn server(&self) -> Option<String> {
        self.header("server").or_else(|| self.header("user-agent")).map(shown)
    }
}

/// What the network sent, fit for a terminal: no control characters, and not endless.
pub(super) fn shown(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(100).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_challenge_names_its_realm() {
        let text = b"SIP/2.0 401 Unauthorized\r\ni: abc\r\nWWW-Authenticate: Digest algorithm=MD5,\r\n realm=\"sip.x\", nonce=\"n\"\r\nServer: PBX\x1b[31m 1\r\n\r\n";
        let response = Response::parse(text).unwrap();
        assert_eq!((response.code, response.phrase.as_str()), (401, "Unauthorized"));
        assert_eq!(response.realm().as_deref(), Some("sip.x"));
        assert_eq!(response.header("call-id"), Some("abc"));
        assert_eq!(response.server().as_deref(), Some("PBX[31m 1"));
        assert!(!response.is_stale() && response.received().is_none());
    }

    #[test]
    fn a_stale_nonce_and_a_translated_address_show() {
        let text = b"SIP/2.0 401 Unauthorized\r\nv: SIP/2.0/UDP 10.0.0.1:5060;rport=1;received=198.51.100.7;branch=z\r\n\
            WWW-Authenticate: Digest realm=\"a\", stale = TRUE\r\n\r\n";
        let response = Response::parse(text).unwrap();
        assert!(response.is_stale());
        assert_eq!(response.received(), Some("198.51.100.7".parse().unwrap()));
    }

    #[test]
    fn what_is_no_response_is_none() {
        for text in [
            "",
            "OPTIONS sip:a SIP/2.0\r\n\r\n",
            "HTTP/1.1 200 OK\r\n\r\n",
            "SIP/2.0 20 x\r\n\r\n",
            "SIP/2.0",
        ] {
            assert_eq!(Response::parse(text.as_bytes()), None, "{text:?}");
        }
        assert_eq!(Response::parse(b"SIP/2.0 200\r\n\r\n").unwrap().phrase, "");
    }
}
