//! What a media stream shows to prove that it belongs to the call.

use std::fmt;

use secrecy::{ExposeSecret, SecretString};
use subtle::ConstantTimeEq;

/// 256 random bits, given to Twilio with the call and wanted back by the stream, once.
pub(super) struct StreamToken(SecretString);

impl StreamToken {
    pub(super) fn random() -> Self {
        let (high, low) = (rand::random::<u128>(), rand::random::<u128>());
        Self(SecretString::from(format!("{high:032x}{low:032x}")))
    }

    /// The text for the TwiML.
    pub(super) fn expose(&self) -> &str {
        self.0.expose_secret()
    }

    /// Whether this is it. The time that the answer takes tells nothing about the token.
    pub(super) fn is(&self, shown: &str) -> bool {
        self.expose().as_bytes().ct_eq(shown.as_bytes()).into()
    }
}

impl fmt::Debug for StreamToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StreamToken")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_whole_token_is_it_and_it_is_shown_nowhere() {
        let (token, other) = (StreamToken::random(), StreamToken::random());
        let text = token.expose().to_owned();
        assert_eq!(text.len(), 64);
        assert!(token.is(&text));
        for wrong in ["", &text[1..], &format!("{text}0"), other.expose(), &text.to_uppercase()] {
            assert!(!token.is(wrong) || wrong == text, "{wrong}");
        }
        assert!(!format!("{token:?}").contains(&text));
    }
}
