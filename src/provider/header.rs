use std::fmt;

/// The longest value, in bytes. A request over 1,300 bytes no longer fits one UDP packet (RFC 3261 section
/// 18.1.1), and some trunks refuse one over 6,144.
const MAX_VALUE: usize = 1024;

/// Header fields that routing, the dialog, the body, the credentials and the caller's identity depend on, in
/// lower case, with their compact forms. A caller who could add one could reroute a call or pose as somebody else.
const OWNED: [&str; 6] = [
    // The transaction, the dialog and its routing.
    "via v from f to t call-id i cseq contact m route record-route path service-route max-forwards max-breadth",
    "timestamp replaces join target-dialog user-agent reason",
    // What the two ends can do; `content-…` is checked by its beginning.
    "require proxy-require supported k unsupported allow allow-events u accept accept-contact a accept-encoding \
     accept-language reject-contact j request-disposition d rseq rack session-expires x min-se expires min-expires \
     event o subscription-state refer-to r refer-sub referred-by b c e l mime-version",
    // Credentials.
    "authorization proxy-authorization www-authenticate proxy-authenticate authentication-info \
     proxy-authentication-info security-client security-server security-verify",
    // Who calls: that is what the caller id is for.
    "p-asserted-identity p-preferred-identity remote-party-id identity y identity-info n privacy diversion",
    "history-info p-charging-vector",
];

/// A header field of the application's own on the first request of a call, such as `X-Campaign: 7`.
///
/// The name is a token of RFC 3261 section 25.1 and none that the stack writes itself; the value has no line
/// break or other control character, so neither can smuggle in a second field.
#[derive(Clone, PartialEq, Eq)]
pub struct Header {
    name: String,
    value: String,
}

impl Header {
    /// Checks name and value. White space around the value is dropped.
    ///
    /// # Errors
    ///
    /// [`HeaderError`] says what cannot be sent.
    pub fn new(name: impl Into<String>, value: impl AsRef<str>) -> Result<Self, HeaderError> {
        let (name, value) = (name.into(), value.as_ref());
        let token = |b: u8| b.is_ascii_alphanumeric() || b"-.!%*_+`'~".contains(&b);
        if name.is_empty() || name.len() > 64 || !name.bytes().all(token) {
            return Err(HeaderError::Name);
        }
        let lower = name.to_ascii_lowercase();
        let owned = OWNED.iter().any(|group| group.split(' ').any(|field| field == lower));
        if owned || lower.starts_with("content-") {
            return Err(HeaderError::Owned { name });
        }
        if value.chars().any(|c| c.is_control() && c != '\t') {
            return Err(HeaderError::Control { name });
        }
        let value = value.trim();
        if value.is_empty() || value.len() > MAX_VALUE {
            return Err(HeaderError::Length { name, bytes: value.len() });
        }
        Ok(Self { name, value: value.to_owned() })
    }

    /// The name, as it was given. Case does not matter to the network.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The value.
    pub fn value(&self) -> &str {
        &self.value
    }
}

/// Shows the name only: values carry whatever an application thinks fit, tokens included.
impl fmt::Debug for Header {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Header({}: {} bytes)", self.name, self.value.len())
    }
}

/// Why a header field cannot be sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HeaderError {
    /// The name is empty, longer than 64 bytes, or has other characters than a token.
    #[error("a header field's name has letters, digits and -.!%*_+`'~ only")]
    Name,
    /// The stack writes this field itself.
    #[error("the header field {name} is written by the stack and cannot be set")]
    Owned {
        /// Which.
        name: String,
    },
    /// A line break or another control character in the value.
    #[error("the value of {name} has a control character")]
    Control {
        /// Whose value.
        name: String,
    },
    /// The value is empty or longer than 1,024 bytes.
    #[error("the value of {name} has {bytes} bytes, not 1 to {MAX_VALUE}")]
    Length {
        /// Whose value.
        name: String,
        /// How many there are.
        bytes: usize,
    },
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn an_application_s_own_field_is_accepted() {
        let header = Header::new("X-Campaign", " 7; from=\"Süd\"\t").unwrap();
        assert_eq!((header.name(), header.value()), ("X-Campaign", "7; from=\"Süd\""));
        assert_eq!(format!("{header:?}"), "Header(X-Campaign: 14 bytes)");
    }

    #[test]
    fn names_are_tokens() {
        for name in ["", "X Y", "X:", "X\r\nVia", "Ü", "X@", &"X".repeat(65)] {
            assert_eq!(Header::new(name, "1"), Err(HeaderError::Name), "{name:?}");
        }
    }

    #[test]
    fn what_the_stack_writes_is_refused_in_any_case_and_form() {
        for name in [
            "Via",
            "VIA",
            "v",
            "From",
            "t",
            "Call-ID",
            "i",
            "CSeq",
            "m",
            "Route",
            "Content-Type",
            "l",
            "content-anything",
            "Authorization",
            "Proxy-Authorization",
            "P-Asserted-Identity",
            "Privacy",
            "Identity",
        ] {
            assert_eq!(Header::new(name, "1"), Err(HeaderError::Owned { name: name.into() }));
        }
    }

    #[test]
    fn values_cannot_break_the_line() {
        for value in ["a\r\nVia: x", "a\nb", "a\rb", "a\0", "\u{7f}", "a\u{85}b"] {
            assert_eq!(
                Header::new("X-A", value),
                Err(HeaderError::Control { name: "X-A".into() }),
                "{value:?}"
            );
        }
        for (value, bytes) in [("", 0), (" \t ", 0), (&*"a".repeat(1025), 1025)] {
            assert_eq!(Header::new("X-A", value), Err(HeaderError::Length { name: "X-A".into(), bytes }));
        }
    }

    proptest! {
        #[test]
        fn what_is_accepted_is_one_line(name in "\\PC{0,8}|[!-~]{1,12}", value in any::<String>()) {
            if let Ok(header) = Header::new(name, value) {
                let line = format!("{}: {}", header.name(), header.value());
                prop_assert!(!line.contains(['\r', '\n', '\0']));
                prop_assert_eq!(line.split(':').next(), Some(header.name()));
            }
        }
    }
}
