//! Servers of other kinds, by the first that they say: what stands on a port that should speak SIP.

/// How much of a line is looked at; SIP's own first line is no longer.
const LINE: usize = 512;

/// What answers is no SIP server.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{0}")]
pub(super) struct Foreign(String);

impl Foreign {
    /// What was sent came back.
    pub(super) fn echo() -> Self {
        Self("an echo, which sends back our own message".to_owned())
    }
}

/// The beginning of what a server says, and what kind of server that is.
const KINDS: [(&str, &str); 12] = [
    ("HTTP/", "a web server"),
    ("RTSP/", "a streaming server"),
    ("SSH-", "an SSH server"),
    ("220", "a mail or FTP server"),
    ("+OK", "a mail server"),
    ("* OK", "a mail server"),
    ("Asterisk Call Manager", "Asterisk's manager interface"),
    ("Content-Type: auth/request", "FreeSWITCH's event socket"),
    ("-ERR", "a database"),
    ("\u{15}\u{3}", "a TLS server"),
    ("\u{16}\u{3}", "a TLS server"),
    ("RFB ", "a VNC server"),
];

/// Whether what has come can be the beginning of a SIP message, a request included (RFC 3261 section 7). `whole` says that
/// nothing follows.
pub(super) fn look_at(bytes: &[u8], whole: bool) -> Result<(), Foreign> {
    let blank = bytes.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
    let said = bytes.get(blank..).unwrap_or_default();
    let said = said.get(..LINE.min(said.len())).unwrap_or_default();
    let line = said.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let text = String::from_utf8_lossy(line).trim_end().to_owned();
    if let Some((_, kind)) = KINDS.iter().find(|(beginning, _)| text.starts_with(beginning)) {
        return Err(Foreign(format!("{kind}{}", quoted(&text))));
    }
    let ended = whole || line.len() < said.len() || said.len() == LINE;
    let sip = text.starts_with("SIP/2.0 ") || text.ends_with(" SIP/2.0");
    if said.is_empty() || !ended || sip {
        Ok(())
    } else {
        Err(Foreign(format!("something else{}", quoted(&text))))
    }
}

/// The words, where they are ones.
fn quoted(text: &str) -> String {
    let shown: String = text.chars().take(60).collect();
    let readable =
        !shown.is_empty() && shown.chars().all(|c| !c.is_control() && c != char::REPLACEMENT_CHARACTER);
    if readable { format!(", which says {shown:?}") } else { String::new() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(bytes: &[u8], whole: bool) -> Option<String> {
        look_at(bytes, whole).err().map(|Foreign(kind)| kind)
    }

    #[test]
    fn a_table_of_servers() {
        let table: [(&[u8], bool, Option<&str>); 11] = [
            (
                b"HTTP/1.1 400 Bad Request\r\nServer: x\r\n",
                false,
                Some("a web server, which says \"HTTP/1.1 400 Bad Request\""),
            ),
            (
                b"\r\nSSH-2.0-OpenSSH_9.2\r\n",
                false,
                Some("an SSH server, which says \"SSH-2.0-OpenSSH_9.2\""),
            ),
            (b"\x15\x03\x01\x00\x02\x02\x16", false, Some("a TLS server")),
            (b"SIP/2.0 200 OK\r\n", true, None),
            // A request of the server's, and one that has not come whole.
            (b"OPTIONS sip:a SIP/2.0\r\n", true, None),
            (b"OPTIONS si", false, None),
            (b"\r\n\r\n", true, None),
            (b"", true, None),
            (b"hello", false, None),
            (b"hello", true, Some("something else, which says \"hello\"")),
            (b"\x01\x02\xff\n", false, Some("something else")),
        ];
        for (bytes, whole, expected) in table {
            assert_eq!(kind(bytes, whole).as_deref(), expected, "{}", String::from_utf8_lossy(bytes));
        }
        assert!(kind(&[b'x'; LINE], false).is_some(), "no line of SIP is that long");
    }
}
