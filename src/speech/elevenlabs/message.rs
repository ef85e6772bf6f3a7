//! What ElevenLabs says over its WebSocket.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

use super::alignment::Alignment;

/// A message: sound, the end, or an error.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Message {
    audio: Option<String>,
    #[serde(rename = "isFinal")]
    is_final: Option<bool>,
    pub(super) alignment: Option<Alignment>,
    error: Option<String>,
    message: Option<String>,
    code: Option<u16>,
}

/// An error that the service tells in a message.
#[derive(Debug, PartialEq)]
pub(super) struct Told {
    /// What kind of error: `quota_exceeded`.
    pub(super) kind: String,
    pub(super) words: String,
    /// With which the WebSocket will be closed.
    pub(super) code: u16,
}

impl Message {
    /// The bytes of its sound; an error where they are no base64.
    pub(super) fn sound(&self) -> Result<Option<Vec<u8>>, base64::DecodeError> {
        let audio = self.audio.as_deref().filter(|audio| !audio.is_empty());
        audio.map(|audio| STANDARD.decode(audio)).transpose()
    }

    /// Whether nothing more comes.
    pub(super) fn is_final(&self) -> bool {
        self.is_final == Some(true)
    }

    pub(super) fn error(&self) -> Option<Told> {
        let kind = self.error.clone().or(self.message.as_ref().map(|_| String::new()))?;
        let words = self.message.clone().unwrap_or_else(|| kind.clone());
        Some(Told { kind, words, code: self.code.unwrap_or(1008) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Message {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn sound_the_end_and_errors() {
        let sound =
            read(r#"{"audio":"AQIDBA==","isFinal":null,"normalizedAlignment":null,"alignment":null}"#);
        assert_eq!(sound.sound().unwrap(), Some(vec![1, 2, 3, 4]));
        assert!(!sound.is_final() && sound.error().is_none());
        let end = read(r#"{"audio":null,"isFinal":true}"#);
        assert!(end.is_final() && end.sound().unwrap().is_none());
        assert!(read(r#"{"audio":"***"}"#).sound().is_err());
        let error = read(r#"{"message":"You have 0 credits.","error":"quota_exceeded","code":1008}"#).error();
        let told = Told { kind: "quota_exceeded".into(), words: "You have 0 credits.".into(), code: 1008 };
        assert_eq!(error, Some(told));
    }
}
