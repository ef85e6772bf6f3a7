//! Bodies by their type: session descriptions, multiparts, XML.

use super::{Reason, head, limits, sdp};

/// Judges a body of this Content-Type (as in the header field, with its parameters).
pub(super) fn judge(content_type: &[u8], body: &[u8], depth: usize) -> Result<(), Reason> {
    let media_type = content_type.split(|&byte| byte == b';').next().unwrap_or_default();
    // There may be space around the slash (RFC 3261 §25.1).
    let mut words = media_type.split(|&byte| byte == b'/').map(<[u8]>::trim_ascii);
    let (kind, subtype) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    if kind.eq_ignore_ascii_case(b"application") && subtype.eq_ignore_ascii_case(b"sdp") {
        sdp::judge(body)
    } else if kind.eq_ignore_ascii_case(b"multipart") {
        multipart(content_type, body, depth)
    } else if is_xml(subtype) {
        xml(body)
    } else {
        Ok(())
    }
}

/// RFC 2046 §5.1: parts between lines of `--boundary`, up to one of `--boundary--`.
fn multipart(content_type: &[u8], body: &[u8], depth: usize) -> Result<(), Reason> {
    if depth >= limits::PART_DEPTH {
        return Err(Reason::PartsTooDeep);
    }
    let boundary = boundary(content_type).ok_or(Reason::NoParts)?;
    let mut parts = 0;
    // Where the part began that is being read; `None` before the first delimiter and after the last.
    let mut begin = None;
    let mut at = 0;
    for line in body.split_inclusive(|&byte| byte == b'\n') {
        if let Some(rest) = delimiter(line, boundary) {
            if let Some(begin) = begin {
                part(body.get(begin..at).unwrap_or_default(), depth)?;
            }
            if rest.starts_with(b"--") {
                begin = None;
                break;
            }
            parts += 1;
            if parts > limits::PARTS {
                return Err(Reason::TooManyParts);
            }
            begin = Some(at + line.len());
        }
        at += line.len();
    }
    // Without the last delimiter the part ends with the body.
    if let Some(begin) = begin {
        part(body.get(begin..).unwrap_or_default(), depth)?;
    }
    if parts == 0 { Err(Reason::NoParts) } else { Ok(()) }
}

/// One part: header fields, an empty line, a body.
fn part(part: &[u8], depth: usize) -> Result<(), Reason> {
    let mut content_type = &b""[..];
    let mut at = 0;
    for (number, line) in part.split_inclusive(|&byte| byte == b'\n').enumerate() {
        at += line.len();
        if line.trim_ascii().is_empty() {
            return judge(content_type, part.get(at..).unwrap_or_default(), depth + 1);
        }
        if number >= limits::HEADERS {
            return Err(Reason::TooManyHeaders);
        }
        if let Some((name, value)) = head::name_and_value(line)
            && (name.eq_ignore_ascii_case(b"content-type") || name.eq_ignore_ascii_case(b"c"))
        {
            content_type = value;
        }
    }
    Ok(())
}

/// What follows the delimiter, if the line is one.
fn delimiter<'a>(line: &'a [u8], boundary: &[u8]) -> Option<&'a [u8]> {
    line.strip_prefix(b"--")?.strip_prefix(boundary)
}

/// `boundary` of a Content-Type, without its quotes; `None` if it has none or an empty one.
fn boundary(content_type: &[u8]) -> Option<&[u8]> {
    let parameters = content_type.split(|&byte| byte == b';').skip(1);
    let value = parameters.map(<[u8]>::trim_ascii).find_map(|parameter| {
        let equals = parameter.iter().position(|&byte| byte == b'=')?;
        let (name, value) = parameter.split_at(equals);
        let value = value.get(1..).unwrap_or_default().trim_ascii();
        name.trim_ascii().eq_ignore_ascii_case(b"boundary").then_some(value)
    })?;
    let unquoted = value.strip_prefix(b"\"").and_then(|value| value.strip_suffix(b"\"")).unwrap_or(value);
    (!unquoted.is_empty()).then_some(unquoted)
}

/// `xml` and all that ends in `+xml` (RFC 7303 §4.2).
fn is_xml(subtype: &[u8]) -> bool {
    let last = subtype.rsplit(|&byte| byte == b'+').next().unwrap_or_default();
    last.eq_ignore_ascii_case(b"xml")
}

/// Counts how deep the elements are. What is no element (`<?`, `<!`) does not count; neither does it hide one, since
/// PJSIP's parser ends a comment at its first `>`.
fn xml(text: &[u8]) -> Result<(), Reason> {
    let mut depth = 0_usize;
    let mut rest = text;
    while let Some(open) = rest.iter().position(|&byte| byte == b'<') {
        let tag = rest.get(open + 1..).unwrap_or_default();
        let (inside, after) = tag.split_at(tag_end(tag));
        match inside {
            [b'?' | b'!', ..] => {}
            [b'/', ..] => depth = depth.saturating_sub(1),
            [.., b'/'] => {}
            _ => {
                depth += 1;
                if depth > limits::XML_DEPTH {
                    return Err(Reason::XmlTooDeep);
                }
            }
        }
        rest = after;
    }
    Ok(())
}

/// Where the `>` of a tag is, outside of the quotes of its attributes; the end of the text if it has none.
fn tag_end(tag: &[u8]) -> usize {
    let is_element = !matches!(tag.first(), Some(b'?' | b'!'));
    let mut quote = None;
    let end = tag.iter().position(|&byte| match quote {
        Some(open) if byte == open => {
            quote = None;
            false
        }
        Some(_) => false,
        None if is_element && matches!(byte, b'"' | b'\'') => {
            quote = Some(byte);
            false
        }
        None => byte == b'>',
    });
    end.unwrap_or(tag.len())
}
