//! The two header fields that explain an end. Both come from the network, so anything may stand in them.

use super::Q850;

/// More of a header field than this is not read.
const MAX_LEN: usize = 4096;
/// More of a text than this is not kept, in characters.
const MAX_TEXT: usize = 128;

/// Finds the Q.850 cause in the value of a Reason header field (RFC 3326 section 2, RFC 8606).
///
/// One field can carry several reasons, separated by commas; a SIP reason beside the Q.850 one is common. The
/// first Q.850 reason with a cause of 1 to 127 counts. For a field that occurs several times, call it for each.
pub(crate) fn parse_reason(value: &[u8]) -> Option<Q850> {
    let value = String::from_utf8_lossy(&value[..value.len().min(MAX_LEN)]);
    split(&value, ',').find_map(one_reason)
}

/// Reads one reason: a protocol, then parameters separated by semicolons.
fn one_reason(reason: &str) -> Option<Q850> {
    let mut parts = split(reason, ';');
    if !parts.next()?.trim().eq_ignore_ascii_case("Q.850") {
        return None;
    }
    let (mut cause, mut text, mut location) = (None, None, None);
    for part in parts {
        let Some((name, value)) = part.split_once('=') else { continue };
        let (name, value) = (name.trim(), value.trim());
        if name.eq_ignore_ascii_case("cause") {
            let digits = !value.is_empty() && value.bytes().all(|b| b.is_ascii_digit());
            cause = cause.or(if digits { value.parse::<u8>().ok() } else { None });
        } else if name.eq_ignore_ascii_case("text") {
            text = text.or(Some(unquote(value))).filter(|t: &String| !t.is_empty());
        } else if name.eq_ignore_ascii_case("location") {
            location = location.or(Some(unquote(value))).filter(|l: &String| !l.is_empty());
        }
    }
    let cause = cause.filter(|cause| (1..=127).contains(cause))?;
    Some(Q850 { cause, text, location })
}

/// Splits at `mark` where it stands outside quotes. A quote that is never closed reaches to the end.
fn split(text: &str, mark: char) -> impl Iterator<Item = &str> {
    let (mut quoted, mut escaped) = (false, false);
    text.split(move |c| {
        if escaped {
            escaped = false;
        } else if quoted && c == '\\' {
            escaped = true;
        } else if c == '"' {
            quoted = !quoted;
        } else {
            return c == mark && !quoted;
        }
        false
    })
}

/// The content of a quoted string (RFC 3261 section 25.1), or the text itself; one line, cut to a sane length.
fn unquote(text: &str) -> String {
    let inner = text.strip_prefix('"').map_or(text, |rest| rest.strip_suffix('"').unwrap_or(rest));
    let mut out = String::new();
    let mut chars = inner.chars();
    for _ in 0..MAX_TEXT {
        let Some(c) = chars.next() else { break };
        let c = if c == '\\' && inner.len() < text.len() { chars.next().unwrap_or(c) } else { c };
        out.push(if c.is_control() { ' ' } else { c });
    }
    out.trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reasons_as_servers_write_them() {
        let cases: &[(&str, Option<Q850>)] = &[
            ("Q.850;cause=16;text=\"Terminated\"", Some(Q850::new(16).with_text("Terminated"))),
            (
                "Q.850 ;cause=1 ;text=\"Unallocated (unassigned) number\"",
                Some(Q850::new(1).with_text("Unallocated (unassigned) number")),
            ),
            ("q.850;Cause = 34", Some(Q850::new(34))),
            ("SIP;cause=200;text=\"Call completed elsewhere\"", None),
            ("SIP;cause=480;text=\"a, Q.850;cause=3\", Q.850;cause=18", Some(Q850::new(18))),
            ("Q.850;cause=21;location=U", Some(Q850::new(21).with_location("U"))),
            (
                "Q.850;text=\"say \\\"hi\\\", \\\\o/\";cause=17",
                Some(Q850::new(17).with_text("say \"hi\", \\o/")),
            ),
            ("Q.850;cause=17;cause=18;text=a;text=b", Some(Q850::new(17).with_text("a"))),
            ("Q.850;cause=0017", Some(Q850::new(17))),
            (
                "Q.850;cause=17;text=\"never closed, Q.850;cause=1",
                Some(Q850::new(17).with_text("never closed, Q.850;cause=1")),
            ),
            ("Q.850;cause=17;text=\"a\u{0}b\r\n c\"", Some(Q850::new(17).with_text("a b   c"))),
            ("Q.850;cause=0, Q.850;cause=128, Q.850;cause=300, Q.850;cause=-1, Q.850;cause=+3", None),
            ("Q.850;cause=, Q.850;cause, Q.850, ;, ,", None),
            ("X.Q.850;cause=17", None),
            ("", None),
        ];
        for (value, expected) in cases {
            assert_eq!(parse_reason(value.as_bytes()), *expected, "{value}");
        }
        assert_eq!(
            parse_reason(b"Q.850;cause=17;text=\"\xff\xfe\"").unwrap().text.unwrap(),
            "\u{fffd}\u{fffd}"
        );
    }

    #[test]
    fn a_long_text_is_cut() {
        let long = format!("Q.850;cause=17;text=\"{}\"", "ä".repeat(100_000));
        assert_eq!(parse_reason(long.as_bytes()).unwrap().text.unwrap().chars().count(), MAX_TEXT);
    }

    proptest! {
        #[test]
        fn nothing_from_the_network_makes_them_panic(value in prop::collection::vec(any::<u8>(), 0..300)) {
            let mut reason = b"Q.850;cause=17;text=".to_vec();
            reason.extend(&value);
            for value in [&value, &reason] {
                if let Some(found) = parse_reason(value) {
                    prop_assert!((1..=127).contains(&found.cause));
                    for text in [found.text, found.location].into_iter().flatten() {
                        prop_assert!(text.chars().count() <= MAX_TEXT && !text.chars().any(char::is_control));
                    }
                }
            }
        }

        #[test]
        fn what_is_written_by_the_grammar_is_read_back(
            cause in 1_u8..=127, text in "[ -~]{1,40}", other in "[A-Z]{1,4}", words in "[ -~]{0,20}",
        ) {
            let quote = |s: &str| s.replace('\\', "\\\\").replace('"', "\\\"");
            let value = format!("{other};cause=9;text=\"{}\" , Q.850;cause={cause};text=\"{}\"", quote(&words), quote(&text));
            let found = parse_reason(value.as_bytes()).unwrap();
            prop_assert_eq!((found.cause, found.text.unwrap_or_default()), (cause, text.trim().to_owned()));
        }
    }
}
