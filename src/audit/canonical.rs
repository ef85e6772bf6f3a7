//! Stable JSON: the one text that a value has, whoever wrote it and in whatever order.
//!
//! The rules are those of the host, which is written in TypeScript: keys in the order of Unicode collation, numbers
//! as ECMAScript prints them, strings of UTF-16 units, among which there can be half a surrogate pair.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::LazyLock;

use icu_collator::options::CollatorOptions;
use icu_collator::{Collator, CollatorBorrowed, CollatorPreferences};
use serde::de::{self, Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

/// Deeper values are refused: nobody writes them, and each level is a level of recursion here.
const MAX_DEPTH: usize = 256;

/// The root collation of CLDR, which is also that of English.
static COLLATOR: LazyLock<CollatorBorrowed<'static>> = LazyLock::new(|| {
    Collator::try_new(CollatorPreferences::default(), CollatorOptions::default())
        .expect("the root collation is compiled in")
});

/// Why a text has no stable form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NotStable {
    Syntax,
    TooDeep,
}

/// The lower-case hexadecimal SHA-256 of a text.
pub(super) fn sha256(text: &str) -> String {
    Sha256::digest(text.as_bytes()).iter().fold(String::with_capacity(64), |mut out, byte| {
        // Writing to a String cannot fail.
        let _ = write!(out, "{byte:02x}");
        out
    })
}

/// The stable form of an object with these members. Keys must differ.
pub(super) fn object(members: &[(&str, &RawValue)]) -> Result<String, NotStable> {
    let mut members: Vec<(Vec<u16>, &RawValue)> =
        members.iter().map(|(key, value)| (key.encode_utf16().collect(), *value)).collect();
    let mut out = String::new();
    write_object(&mut members, &mut out, 0)?;
    Ok(out)
}

fn write_value(value: &RawValue, out: &mut String, depth: usize) -> Result<(), NotStable> {
    if depth > MAX_DEPTH {
        return Err(NotStable::TooDeep);
    }
    let text = value.get();
    match text.as_bytes().first() {
        Some(b'{') => {
            let Members(mut members) = serde_json::from_str(text).map_err(|_| NotStable::Syntax)?;
            write_object(&mut members, out, depth)
        }
        Some(b'[') => {
            let elements: Vec<&RawValue> = serde_json::from_str(text).map_err(|_| NotStable::Syntax)?;
            out.push('[');
            for (index, element) in elements.into_iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                write_value(element, out, depth + 1)?;
            }
            out.push(']');
            Ok(())
        }
        Some(b'"') => {
            let Units(units) = serde_json::from_str(text).map_err(|_| NotStable::Syntax)?;
            write_string(&units, out);
            Ok(())
        }
        Some(b't' | b'f' | b'n') => {
            out.push_str(text);
            Ok(())
        }
        _ => {
            let number: f64 = text.parse().map_err(|_| NotStable::Syntax)?;
            if number.is_finite() {
                out.push_str(ryu_js::Buffer::new().format_finite(number));
            } else {
                out.push_str("null");
            }
            Ok(())
        }
    }
}

fn write_object(
    members: &mut [(Vec<u16>, &RawValue)],
    out: &mut String,
    depth: usize,
) -> Result<(), NotStable> {
    members.sort_by(|(a, _), (b, _)| COLLATOR.compare_utf16(&comparable(a), &comparable(b)));
    out.push('{');
    for (index, (key, value)) in members.iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        write_string(key, out);
        out.push(':');
        write_value(value, out, depth + 1)?;
    }
    out.push('}');
    Ok(())
}

/// A key as the collation compares it. ICU4X takes half a surrogate pair for U+FFFD, ICU4C, which the host uses, for
/// an unassigned code point, and these are ordered by their numbers: so is the private use area just above.
fn comparable(key: &[u16]) -> Cow<'_, [u16]> {
    if char::decode_utf16(key.iter().copied()).all(|unit| unit.is_ok()) {
        return Cow::Borrowed(key);
    }
    let mut units = Vec::with_capacity(key.len());
    for unit in char::decode_utf16(key.iter().copied()) {
        match unit {
            Ok(c) => units.extend_from_slice(c.encode_utf16(&mut [0; 2])),
            Err(half) => units.push(half.unpaired_surrogate() + 0x800),
        }
    }
    Cow::Owned(units)
}

/// A string as `JSON.stringify` writes it.
fn write_string(units: &[u16], out: &mut String) {
    out.push('"');
    for unit in char::decode_utf16(units.iter().copied()) {
        match unit {
            Ok('"') => out.push_str("\\\""),
            Ok('\\') => out.push_str("\\\\"),
            Ok('\u{8}') => out.push_str("\\b"),
            Ok('\t') => out.push_str("\\t"),
            Ok('\n') => out.push_str("\\n"),
            Ok('\u{c}') => out.push_str("\\f"),
            Ok('\r') => out.push_str("\\r"),
            // Writing to a String cannot fail.
            Ok(c) if c < ' ' => drop(write!(out, "\\u{:04x}", u32::from(c))),
            Ok(c) => out.push(c),
            Err(half) => drop(write!(out, "\\u{:04x}", half.unpaired_surrogate())),
        }
    }
    out.push('"');
}

/// A string as its UTF-16 units. Rust's strings cannot hold what ECMAScript's can.
#[derive(PartialEq, Eq, Hash, Clone)]
struct Units(Vec<u16>);

impl<'de> Deserialize<'de> for Units {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Wtf8;
        impl Visitor<'_> for Wtf8 {
            type Value = Units;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a string")
            }

            fn visit_bytes<E: de::Error>(self, bytes: &[u8]) -> Result<Units, E> {
                units(bytes).map(Units).ok_or_else(|| E::custom("not a string"))
            }
        }
        // As bytes, serde_json gives half a pair in the WTF-8 encoding instead of an error.
        deserializer.deserialize_bytes(Wtf8)
    }
}

/// From WTF-8 to UTF-16: UTF-8 in which three bytes can also stand for half a surrogate pair.
fn units(bytes: &[u8]) -> Option<Vec<u16>> {
    let mut units = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while !rest.is_empty() {
        let (good, next) = match str::from_utf8(rest) {
            Ok(good) => (good, &[][..]),
            Err(error) => {
                let (good, bad) = rest.split_at(error.valid_up_to());
                (str::from_utf8(good).ok()?, bad)
            }
        };
        units.extend(good.encode_utf16());
        rest = next;
        if let [first, second, third, after @ ..] = rest {
            let unit =
                u16::from(first & 0x0f) << 12 | u16::from(second & 0x3f) << 6 | u16::from(third & 0x3f);
            if *first != 0xed || !(0xd800..0xe000).contains(&unit) {
                return None;
            }
            units.push(unit);
            rest = after;
        } else if !rest.is_empty() {
            return None;
        }
    }
    Some(units)
}

/// The members of an object. Of two with one key, the later one's value counts, at the place of the first.
struct Members<'a>(Vec<(Vec<u16>, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;
        impl<'de> Visitor<'de> for Object {
            type Value = Vec<(Vec<u16>, &'de RawValue)>;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members: Self::Value = Vec::new();
                let mut places = HashMap::new();
                while let Some((key, value)) = map.next_entry::<Units, &'de RawValue>()? {
                    match places.get(&key) {
                        Some(place) => members[*place] = (key.0, value),
                        None => {
                            places.insert(key.clone(), members.len());
                            members.push((key.0, value));
                        }
                    }
                }
                Ok(members)
            }
        }
        deserializer.deserialize_map(Object).map(Members)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stable(text: &str) -> Result<String, NotStable> {
        let raw: &RawValue = serde_json::from_str(text).map_err(|_| NotStable::Syntax)?;
        let mut out = String::new();
        write_value(raw, &mut out, 0).map(|()| out)
    }

    #[test]
    fn numbers_are_ecmascript_s() {
        let cases = [
            ("1.0", "1"),
            ("-0", "0"),
            ("-0.0", "0"),
            ("1e20", "100000000000000000000"),
            ("1e21", "1e+21"),
            ("0.000001", "0.000001"),
            ("1e-7", "1e-7"),
            ("1E+2", "100"),
            ("5e-324", "5e-324"),
            ("9007199254740993", "9007199254740992"),
            ("0.30000000000000004", "0.30000000000000004"),
            ("1e999", "null"),
            ("-1e999", "null"),
            ("1.7976931348623157e308", "1.7976931348623157e+308"),
        ];
        for (text, expected) in cases {
            assert_eq!(stable(text).unwrap(), expected, "{text}");
        }
    }

    #[test]
    fn strings_keep_what_json_need_not_escape() {
        let cases = [
            (
                r#""\u0000\u0007\b\t\n\u000b\f\r\u001F\u007f/\/\"\\""#,
                "\"\\u0000\\u0007\\b\\t\\n\\u000b\\f\\r\\u001f\u{7f}//\\\"\\\\\"",
            ),
            (r#""\u2028\u00e4\ud83d\ude00""#, "\"\u{2028}ä\u{1f600}\""),
            (r#""a\ud83d""#, r#""a\ud83d""#),
            (r#""\ude00b\ud83dc""#, r#""\ude00b\ud83dc""#),
            (r#""\ud83d\ud83d\ude00""#, "\"\\ud83d\u{1f600}\""),
        ];
        for (text, expected) in cases {
            assert_eq!(stable(text).unwrap(), expected, "{text}");
        }
    }

    /// The order of all ASCII characters, as Node.js 20 sorts them.
    #[test]
    fn keys_are_in_the_order_of_collation() {
        let order = "\t\n\u{b}\u{c}\r _-,;:!?.'\"()[]{}@*/\\&#%`^+<=>|~$0123456789aAbBcCdDeEfFgGhHiIjJkKlLmMnNoOpPqQrRsStTuUvVwWxXyYzZ";
        let keys: Vec<String> = order.chars().map(|c| serde_json::to_string(&c).unwrap()).collect();
        let object = |keys: &[String]| {
            format!("{{{}}}", keys.iter().map(|k| format!("{k}:1")).collect::<Vec<_>>().join(","))
        };
        let mut shuffled = keys.clone();
        shuffled.sort();
        assert_ne!(shuffled, keys);
        assert_eq!(stable(&object(&shuffled)).unwrap(), object(&keys));
        assert_eq!(
            stable(r#"{"callId":1,"callee":2,"Ab":3,"aB":4,"ab":5,"AB":6,"b":7,"é":8,"f":9,"e":0}"#).unwrap(),
            r#"{"ab":5,"aB":4,"Ab":3,"AB":6,"b":7,"callee":2,"callId":1,"e":0,"é":8,"f":9}"#
        );
        // Half a pair comes before a whole one above it and after everything that is assigned.
        let halves = r#"{"\udc3f":1,"\ud89ex":2,"\ud83d\ude00":3,"z":4,"\u4e00":5}"#;
        assert_eq!(
            stable(halves).unwrap(),
            "{\"\u{1f600}\":3,\"z\":4,\"一\":5,\"\\ud89ex\":2,\"\\udc3f\":1}"
        );
    }

    #[test]
    fn the_last_of_equal_keys_counts_and_white_space_does_not() {
        assert_eq!(
            stable("{ \"a\" : [ 1 , { } , [ ] ] , \"b\":true, \"a\" : null }").unwrap(),
            r#"{"a":null,"b":true}"#
        );
    }

    #[test]
    fn deep_values_are_refused_and_do_not_overflow() {
        let deep = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert!(stable(&deep(100)).is_ok());
        assert!(stable(&deep(100_000)).is_err());
    }
}
