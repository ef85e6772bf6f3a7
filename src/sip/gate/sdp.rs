//! Session descriptions (RFC 8866).

use super::head::starts_with;
use super::{Reason, limits};

/// What has been seen of the session or of the media description that is being read.
#[derive(Default)]
struct Section {
    attributes: usize,
    keys: usize,
}

pub(super) fn judge(description: &[u8]) -> Result<(), Reason> {
    let mut section = Section::default();
    let mut media = 0;
    // A bare CR ends a line too: to PJSIP it does.
    let lines = description.split(|byte| matches!(byte, b'\r' | b'\n')).filter(|line| !line.is_empty());
    for (number, line) in lines.enumerate() {
        if number >= limits::SDP_LINES {
            return Err(Reason::SdpTooLong);
        }
        match line {
            [b'm', b'=', description @ ..] => {
                media += 1;
                if media > limits::MEDIA {
                    return Err(Reason::TooManyMedia);
                }
                section = Section::default();
                formats(description)?;
            }
            [b'a', b'=', attribute @ ..] => section.attribute(attribute)?,
            _ => {}
        }
    }
    Ok(())
}

impl Section {
    fn attribute(&mut self, attribute: &[u8]) -> Result<(), Reason> {
        self.attributes += 1;
        if self.attributes > limits::ATTRIBUTES {
            return Err(Reason::TooManyAttributes);
        }
        if let Some(value) = value_of(attribute, b"crypto:") {
            self.keys += 1;
            if self.keys > limits::CRYPTO {
                return Err(Reason::TooManyKeys);
            }
            let digits = first_word(value);
            if digits.is_empty()
                || digits.len() > limits::CRYPTO_TAG_DIGITS
                || !digits.iter().all(u8::is_ascii_digit)
            {
                return Err(Reason::KeyTag);
            }
        } else if let Some(value) = value_of(attribute, b"rtpmap:") {
            payload_type(first_word(value))?;
        }
        Ok(())
    }
}

/// The formats of `audio 4000 RTP/AVP 0 8 101`. A line with port 0 is declined and what it lists means nothing: some
/// phones write 255 there.
fn formats(description: &[u8]) -> Result<(), Reason> {
    let mut words = words(description);
    let (_, port, protocol) = (words.next(), words.next(), words.next());
    let declined = port.is_none_or(|port| port == b"0");
    let rtp =
        protocol.is_some_and(|protocol| protocol.split(|&byte| byte == b'/').any(|part| part == b"RTP"));
    for (number, format) in words.enumerate() {
        if number >= limits::FORMATS {
            return Err(Reason::TooManyFormats);
        }
        if rtp && !declined {
            payload_type(format)?;
        }
    }
    Ok(())
}

fn payload_type(digits: &[u8]) -> Result<(), Reason> {
    let number = std::str::from_utf8(digits).ok().and_then(|text| text.parse::<u32>().ok());
    match number {
        Some(number) if number <= limits::PAYLOAD_TYPE && digits.first() != Some(&b'+') => Ok(()),
        _ => Err(Reason::PayloadType),
    }
}

fn value_of<'a>(attribute: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    if starts_with(attribute, name) { attribute.get(name.len()..) } else { None }
}

fn words(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split(|byte| byte.is_ascii_whitespace()).filter(|word| !word.is_empty())
}

fn first_word(text: &[u8]) -> &[u8] {
    words(text).next().unwrap_or_default()
}
