//! Start line and header fields.

use super::{Reason, limits};

/// The head of a message: everything before the empty line.
pub(super) struct Head<'a>(&'a [u8]);

/// What the first line makes of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Start {
    Request { is_ack: bool },
    Response,
    Other,
}

/// What the rest of the gate needs to know.
#[derive(Default)]
pub(super) struct Facts<'a> {
    pub(super) content_length: Option<usize>,
    pub(super) content_type: &'a [u8],
}

/// The message behind the line ends before it (RFC 3261 §7.5); `None` if there is none.
pub(super) fn skip_line_ends(packet: &[u8]) -> Option<&[u8]> {
    let start = packet.iter().position(|byte| !matches!(byte, b'\r' | b'\n'))?;
    packet.get(start..)
}

/// Head and body. A message without an empty line is all head. Lines may end in a bare LF: PJSIP takes that.
pub(super) fn split(message: &[u8]) -> (Head<'_>, &[u8]) {
    let mut at = 0;
    for line in message.split_inclusive(|&byte| byte == b'\n') {
        if matches!(line, b"\n" | b"\r\n") {
            let (head, body) = message.split_at(at);
            return (Head(head), body.get(line.len()..).unwrap_or_default());
        }
        at += line.len();
    }
    (Head(message), &[])
}

impl<'a> Head<'a> {
    pub(super) fn start(&self) -> Start {
        let line = self.lines().next().unwrap_or_default();
        if starts_with(line, b"SIP/") {
            return Start::Response;
        }
        let mut words = line.split(|byte| byte.is_ascii_whitespace()).filter(|word| !word.is_empty());
        let method = words.next().unwrap_or_default();
        match words.next_back() {
            Some(version) if starts_with(version, b"SIP/") => Start::Request { is_ack: method == b"ACK" },
            _ => Start::Other,
        }
    }

    /// Counts and measures the fields.
    pub(super) fn judge(&self) -> Result<Facts<'a>, Reason> {
        if self.0.contains(&0) {
            return Err(Reason::Nul);
        }
        if self.0.windows(2).any(|pair| pair[0] == b'\r' && pair[1] != b'\n') {
            return Err(Reason::BareCr);
        }
        if self.lines().next().unwrap_or_default().len() > limits::START_LINE_LENGTH {
            return Err(Reason::StartLineTooLong);
        }
        let mut facts = Facts::default();
        let mut seen = Seen::default();
        for (number, field) in self.fields().enumerate() {
            if number >= limits::HEADERS {
                return Err(Reason::TooManyHeaders);
            }
            if field.len() > limits::HEADER_LENGTH {
                return Err(Reason::HeaderTooLong);
            }
            let Some((name, value)) = name_and_value(field) else { continue };
            seen.count(name, value)?;
            match Single::of(name) {
                Some(Single::ContentLength) => facts.content_length = Some(number_of(value)?),
                Some(Single::ContentType) => facts.content_type = value,
                _ => {}
            }
        }
        Ok(facts)
    }

    fn lines(&self) -> impl Iterator<Item = &'a [u8]> {
        self.0.split(|&byte| byte == b'\n').map(without_cr)
    }

    /// Each field with its continuation lines (RFC 3261 §7.3.1), as one slice.
    fn fields(&self) -> impl Iterator<Item = &'a [u8]> {
        let mut rest = self.0.iter().position(|&byte| byte == b'\n').and_then(|end| self.0.get(end + 1..));
        std::iter::from_fn(move || {
            let text = rest.filter(|text| !text.is_empty())?;
            let mut end = text.len();
            for (at, _) in text.iter().enumerate().filter(|&(_, &byte)| byte == b'\n') {
                if !matches!(text.get(at + 1), Some(b' ' | b'\t')) {
                    end = at + 1;
                    break;
                }
            }
            let (field, after) = text.split_at(end);
            rest = Some(after);
            Some(field)
        })
    }
}

/// Fields that occur once.
#[derive(Clone, Copy)]
enum Single {
    CallId,
    CSeq,
    ContentLength,
    ContentType,
    From,
    MaxForwards,
    To,
}

impl Single {
    fn of(name: &[u8]) -> Option<Self> {
        [
            (Self::CallId, &b"call-id"[..], &b"i"[..]),
            (Self::CSeq, b"cseq", b""),
            (Self::ContentLength, b"content-length", b"l"),
            (Self::ContentType, b"content-type", b"c"),
            (Self::From, b"from", b"f"),
            (Self::MaxForwards, b"max-forwards", b""),
            (Self::To, b"to", b"t"),
        ]
        .into_iter()
        .find(|(_, long, short)| is(name, long, short))
        .map(|(single, ..)| single)
    }
}

/// How often what occurred.
#[derive(Default)]
struct Seen {
    single: [bool; 7],
    vias: usize,
    record_routes: usize,
    routes: usize,
    service_routes: usize,
    contacts: usize,
    challenges: usize,
}

impl Seen {
    fn count(&mut self, name: &[u8], value: &[u8]) -> Result<(), Reason> {
        if let Some(single) = Single::of(name) {
            let before = self.single.get_mut(single as usize).map(|seen| std::mem::replace(seen, true));
            return if before == Some(false) { Ok(()) } else { Err(Reason::Repeated) };
        }
        let (count, limit, reason) = if is(name, b"via", b"v") {
            (&mut self.vias, limits::VIAS, Reason::TooManyVias)
        } else if is(name, b"record-route", b"") {
            (&mut self.record_routes, limits::ROUTES, Reason::TooManyRoutes)
        } else if is(name, b"route", b"") {
            (&mut self.routes, limits::ROUTES, Reason::TooManyRoutes)
        } else if is(name, b"service-route", b"") {
            (&mut self.service_routes, limits::SERVICE_ROUTES, Reason::TooManyServiceRoutes)
        } else if is(name, b"contact", b"m") {
            (&mut self.contacts, limits::CONTACTS, Reason::TooManyContacts)
        } else if is(name, b"www-authenticate", b"") || is(name, b"proxy-authenticate", b"") {
            // Commas separate parameters here; each challenge has a field (RFC 3261 §20.44).
            self.challenges += 1;
            return if self.challenges > limits::CHALLENGES {
                Err(Reason::TooManyChallenges)
            } else {
                Ok(())
            };
        } else {
            return Ok(());
        };
        *count += values(value);
        if *count > limit { Err(reason) } else { Ok(()) }
    }
}

/// How many values a list has: commas outside of quotes and angle brackets separate them.
fn values(list: &[u8]) -> usize {
    let (mut quoted, mut escaped, mut bracketed) = (false, false, false);
    let mut values = 1;
    for &byte in list {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            _ if quoted => {}
            b'<' => bracketed = true,
            b'>' => bracketed = false,
            b',' if !bracketed => values += 1,
            _ => {}
        }
    }
    values
}

/// `None` for a line without a colon, which PJSIP refuses by itself.
pub(super) fn name_and_value(field: &[u8]) -> Option<(&[u8], &[u8])> {
    let colon = field.iter().position(|&byte| byte == b':')?;
    let (name, value) = field.split_at(colon);
    Some((name.trim_ascii(), value.get(1..).unwrap_or_default().trim_ascii()))
}

fn is(name: &[u8], long: &[u8], short: &[u8]) -> bool {
    name.eq_ignore_ascii_case(long) || (!short.is_empty() && name.eq_ignore_ascii_case(short))
}

fn number_of(digits: &[u8]) -> Result<usize, Reason> {
    let text = std::str::from_utf8(digits).map_err(|_| Reason::ContentLength)?;
    if text.starts_with('+') {
        return Err(Reason::ContentLength);
    }
    text.parse().map_err(|_| Reason::ContentLength)
}

pub(super) fn starts_with(text: &[u8], prefix: &[u8]) -> bool {
    text.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix))
}

pub(super) fn without_cr(line: &[u8]) -> &[u8] {
    line.strip_suffix(b"\r").unwrap_or(line)
}
