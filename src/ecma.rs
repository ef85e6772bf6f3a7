//! Rules of ECMAScript that the host's files follow and Rust's own functions do not.

/// `String.prototype.trim`: U+FEFF is white space, U+0085 is not.
pub(crate) fn trim(text: &str) -> &str {
    text.trim_matches(|c: char| c == '\u{feff}' || (c.is_whitespace() && c != '\u{85}'))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The set of ECMA-262 section 12.2 and 12.3, written down by code point.
    #[test]
    fn white_space_is_that_of_ecmascript() {
        let white = |c: u32| matches!(c, 0x09..=0x0d | 0x20 | 0xa0 | 0x1680 | 0x2000..=0x200a | 0x2028 | 0x2029 | 0x202f | 0x205f | 0x3000 | 0xfeff);
        for c in (0..=0xffff).filter_map(char::from_u32) {
            let text = format!("{c}a{c}b{c}");
            let expected = if white(u32::from(c)) { format!("a{c}b") } else { text.clone() };
            assert_eq!(trim(&text), expected, "U+{:04X}", u32::from(c));
        }
    }
}
