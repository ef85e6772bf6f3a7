//! SIP messages as text: start line, ordered headers, body (RFC 3261 section 7).
//!
//! The sandbox must send answers that a typed message builder would refuse and must survive requests that
//! a typed parser would refuse, so a message here is an ordered list of header lines and nothing more.

use std::fmt::Write as _;

use bytes::Bytes;
use thiserror::Error;

use super::header::split_list;

/// Longest message accepted, in bytes, head and body together.
pub(crate) const MAX_MESSAGE: usize = 65_536;
/// Most header lines accepted in one message.
const MAX_HEADERS: usize = 256;

#[derive(Debug, Error, PartialEq, Eq)]
pub(crate) enum ParseError {
    #[error("no empty line after the headers")]
    Incomplete,
    #[error("start line is neither a SIP request nor a SIP response")]
    StartLine,
    #[error("header line without a colon")]
    Header,
    #[error("more than {MAX_HEADERS} header lines or {MAX_MESSAGE} bytes")]
    TooLarge,
    #[error("Content-Length is not a number or is longer than the datagram")]
    ContentLength,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Start {
    Request { method: String, uri: String },
    Response { status: u16, phrase: String },
}

#[derive(Clone, Debug)]
pub(crate) struct Message {
    pub(crate) start: Start,
    headers: Vec<(String, String)>,
    pub(crate) body: Bytes,
}

impl Message {
    pub(crate) fn request(method: &str, uri: &str) -> Self {
        let start = Start::Request { method: method.to_owned(), uri: uri.to_owned() };
        Self { start, headers: Vec::new(), body: Bytes::new() }
    }

    pub(crate) fn response(status: u16, phrase: &str) -> Self {
        let start = Start::Response { status, phrase: phrase.to_owned() };
        Self { start, headers: Vec::new(), body: Bytes::new() }
    }

    /// One message that fills `datagram`; bytes after Content-Length are ignored (RFC 3261 section 18.3).
    pub(crate) fn parse(datagram: &[u8]) -> Result<Self, ParseError> {
        if datagram.len() > MAX_MESSAGE {
            return Err(ParseError::TooLarge);
        }
        let (head, body) = split_head(datagram).ok_or(ParseError::Incomplete)?;
        let head = String::from_utf8_lossy(head);
        let mut lines = unfold(&head).into_iter();
        let start = parse_start(&lines.next().ok_or(ParseError::StartLine)?)?;
        let mut headers = Vec::new();
        for line in lines {
            let (name, value) = line.split_once(':').ok_or(ParseError::Header)?;
            let name = name.trim();
            if name.is_empty() {
                return Err(ParseError::Header);
            }
            if headers.len() == MAX_HEADERS {
                return Err(ParseError::TooLarge);
            }
            headers.push((long_name(name).to_owned(), value.trim().to_owned()));
        }
        let mut message = Self { start, headers, body: Bytes::new() };
        let length = match message.header("Content-Length") {
            None => body.len(),
            Some(length) => length.parse().map_err(|_| ParseError::ContentLength)?,
        };
        let body = body.get(..length).ok_or(ParseError::ContentLength)?;
        message.body = Bytes::copy_from_slice(body);
        Ok(message)
    }

    pub(crate) fn method(&self) -> Option<&str> {
        match &self.start {
            Start::Request { method, .. } => Some(method),
            Start::Response { .. } => None,
        }
    }

    pub(crate) fn status(&self) -> Option<u16> {
        match self.start {
            Start::Request { .. } => None,
            Start::Response { status, .. } => Some(status),
        }
    }

    /// The first header line of that name.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// Every header line of that name, in order, lists left as they are.
    pub(crate) fn lines(&self, name: &str) -> Vec<&str> {
        let lines = self.headers.iter().filter(|(n, _)| n.eq_ignore_ascii_case(name));
        lines.map(|(_, value)| value.as_str()).collect()
    }

    /// Every value of that name, comma-separated lists taken apart, in order.
    pub(crate) fn values(&self, name: &str) -> Vec<&str> {
        self.headers
            .iter()
            .filter(|(n, _)| n.eq_ignore_ascii_case(name))
            .flat_map(|(_, value)| split_list(value))
            .collect()
    }

    /// Whether the comma-separated header `name` lists `token` (Supported, Require, Allow).
    pub(crate) fn lists(&self, name: &str, token: &str) -> bool {
        self.values(name).iter().any(|value| value.eq_ignore_ascii_case(token))
    }

    pub(crate) fn push(&mut self, name: &str, value: impl Into<String>) {
        self.headers.push((name.to_owned(), value.into()));
    }

    #[must_use]
    pub(crate) fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.push(name, value);
        self
    }

    #[must_use]
    pub(crate) fn with_body(mut self, content_type: &str, body: impl Into<Bytes>) -> Self {
        self.push("Content-Type", content_type);
        self.body = body.into();
        self
    }

    /// Copies every header line of that name from another message.
    pub(crate) fn copy(&mut self, name: &str, from: &Message) {
        let lines = from.headers.iter().filter(|(n, _)| n.eq_ignore_ascii_case(name));
        self.headers.extend(lines.cloned());
    }

    /// Replaces the first header line of that name, or appends one.
    pub(crate) fn set(&mut self, name: &str, value: impl Into<String>) {
        match self.headers.iter_mut().find(|(n, _)| n.eq_ignore_ascii_case(name)) {
            Some((_, old)) => *old = value.into(),
            None => self.push(name, value),
        }
    }

    pub(crate) fn encode(&self) -> Bytes {
        let mut text = String::with_capacity(512 + self.body.len());
        // Writing to a String cannot fail.
        let _ = match &self.start {
            Start::Request { method, uri } => write!(text, "{method} {uri} SIP/2.0\r\n"),
            Start::Response { status, phrase } => write!(text, "SIP/2.0 {status} {phrase}\r\n"),
        };
        for (name, value) in &self.headers {
            if !name.eq_ignore_ascii_case("Content-Length") {
                let _ = write!(text, "{name}: {value}\r\n");
            }
        }
        let _ = write!(text, "Content-Length: {}\r\n\r\n", self.body.len());
        let mut bytes = text.into_bytes();
        bytes.extend_from_slice(&self.body);
        bytes.into()
    }
}

/// How many bytes at the front of a stream buffer form one message; `None` while more must be read.
///
/// A message on a stream must carry Content-Length (RFC 3261 section 18.3); without it the body is empty.
pub(crate) fn frame(buffer: &[u8]) -> Result<Option<usize>, ParseError> {
    let Some((head, _)) = split_head(buffer) else {
        return if buffer.len() > MAX_MESSAGE { Err(ParseError::TooLarge) } else { Ok(None) };
    };
    let text = String::from_utf8_lossy(head);
    let mut length = 0;
    for line in unfold(&text).iter().skip(1) {
        let Some((name, value)) = line.split_once(':') else { continue };
        if long_name(name.trim()).eq_ignore_ascii_case("Content-Length") {
            length = value.trim().parse().map_err(|_| ParseError::ContentLength)?;
        }
    }
    let head_length = head.len() + 4;
    match head_length.checked_add(length) {
        Some(total) if total <= MAX_MESSAGE => Ok((buffer.len() >= total).then_some(total)),
        _ => Err(ParseError::TooLarge),
    }
}

fn split_head(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n")?;
    Some((&bytes[..end], &bytes[end + 4..]))
}

/// Joins continuation lines (RFC 3261 section 7.3.1) and drops empty ones.
fn unfold(head: &str) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for line in head.split("\r\n") {
        match lines.last_mut() {
            Some(last) if line.starts_with([' ', '\t']) => {
                last.push(' ');
                last.push_str(line.trim());
            }
            _ if line.is_empty() => {}
            _ => lines.push(line.to_owned()),
        }
    }
    lines
}

fn parse_start(line: &str) -> Result<Start, ParseError> {
    let mut parts = line.splitn(3, ' ');
    let (Some(first), Some(second), third) = (parts.next(), parts.next(), parts.next()) else {
        return Err(ParseError::StartLine);
    };
    if first.eq_ignore_ascii_case("SIP/2.0") {
        let status = second.parse().map_err(|_| ParseError::StartLine)?;
        if !(100..=699).contains(&status) {
            return Err(ParseError::StartLine);
        }
        return Ok(Start::Response { status, phrase: third.unwrap_or_default().to_owned() });
    }
    let is_token = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_graphic());
    let version_fits = third.is_some_and(|version| version.eq_ignore_ascii_case("SIP/2.0"));
    if !version_fits || !is_token(first) || second.is_empty() {
        return Err(ParseError::StartLine);
    }
    Ok(Start::Request { method: first.to_owned(), uri: second.to_owned() })
}

/// Compact header names (RFC 3261 section 7.3.3, RFC 4028, RFC 3515, RFC 3265).
fn long_name(name: &str) -> &str {
    let [letter] = name.as_bytes() else { return name };
    match letter.to_ascii_lowercase() {
        b'b' => "Referred-By",
        b'c' => "Content-Type",
        b'e' => "Content-Encoding",
        b'f' => "From",
        b'i' => "Call-ID",
        b'k' => "Supported",
        b'l' => "Content-Length",
        b'm' => "Contact",
        b'o' => "Event",
        b'r' => "Refer-To",
        b's' => "Subject",
        b't' => "To",
        b'u' => "Allow-Events",
        b'v' => "Via",
        b'x' => "Session-Expires",
        _ => name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INVITE: &str = "INVITE sip:+12025550100@127.0.0.1 SIP/2.0\r\n\
        v: SIP/2.0/UDP 10.0.0.1;branch=z9hG4bK1, SIP/2.0/UDP 10.0.0.2;branch=z9hG4bK2\r\n\
        Subject: one\r\n two\r\n\
        l: 4\r\n\r\nbodymore";

    #[test]
    fn compact_names_folding_and_lists() {
        let message = Message::parse(INVITE.as_bytes()).unwrap();
        assert_eq!(message.method(), Some("INVITE"));
        assert_eq!(message.values("via").len(), 2);
        assert_eq!(message.header("Subject"), Some("one two"));
        assert_eq!(&message.body[..], b"body");
    }

    #[test]
    fn a_stream_is_cut_at_content_length() {
        let whole = INVITE.len() - "more".len();
        assert_eq!(frame(INVITE.as_bytes()), Ok(Some(whole)));
        assert_eq!(frame(&INVITE.as_bytes()[..whole - 1]), Ok(None));
        assert_eq!(frame(b"OPTIONS sip:x SIP/2.0\r\nl: 99999999\r\n\r\n"), Err(ParseError::TooLarge));
        assert_eq!(frame(b"OPTIONS sip:x SIP/2.0\r\nl: -1\r\n\r\n"), Err(ParseError::ContentLength));
    }

    #[test]
    fn what_is_not_sip_is_refused() {
        for (bytes, error) in [
            (&b"GET / HTTP/1.1\r\n\r\n"[..], ParseError::StartLine),
            (b"SIP/2.0 999 Odd\r\n\r\n", ParseError::StartLine),
            (b"SIP/2.0\r\n\r\n", ParseError::StartLine),
            (b"OPTIONS sip:x SIP/2.0\r\nnothing\r\n\r\n", ParseError::Header),
            (b"OPTIONS sip:x SIP/2.0\r\n", ParseError::Incomplete),
            (b"OPTIONS sip:x SIP/2.0\r\nl: 5\r\n\r\n", ParseError::ContentLength),
        ] {
            assert_eq!(Message::parse(bytes).unwrap_err(), error);
        }
    }

    #[test]
    fn encoding_keeps_order_and_counts_the_body() {
        let message =
            Message::response(486, "Busy Here").with("Via", "a").with("X", "y").with_body("t/x", "hi");
        let text = String::from_utf8(message.encode().to_vec()).unwrap();
        let expected =
            "SIP/2.0 486 Busy Here\r\nVia: a\r\nX: y\r\nContent-Type: t/x\r\nContent-Length: 2\r\n\r\nhi";
        assert_eq!(text, expected);
    }
}
