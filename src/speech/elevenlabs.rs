//! ElevenLabs' streaming synthesizer.

mod alignment;
mod message;
mod pieces;

use std::sync::Arc;

use futures_util::FutureExt as _;
use reqwest::Url;
use reqwest::header::CONTENT_TYPE;
use serde_json::{Map, Value, json};

use super::service::{Access, Body, Credential, Service, Voice, say_sentences};
use super::{AdapterError, Speech, Synthesizer, Text};
use crate::audio::SampleRate;

const BASE: &str = "https://api.elevenlabs.io";
const CREDENTIAL: Credential = Credential { header: "xi-api-key", prefix: "" };
/// A text that is all there is asked for sentence by sentence, up to this length in bytes.
const WHOLE: usize = 8_000;

/// ElevenLabs' streaming synthesizer.
///
/// A text that is all there goes sentence by sentence to `POST /v1/text-to-speech/{voice_id}/stream`, with the sentence
/// before it as `previous_text`. A text that is still being written goes piece by piece over a WebSocket,
/// `/v1/text-to-speech/{voice_id}/stream-input`, whose answers tell which words they say, so that
/// [`Spoken`](super::Spoken) is exact to the word. Both are asked for raw PCM at the rate of the call (`pcm_8000`,
/// `pcm_16000`, `pcm_24000`). It follows ElevenLabs' references "Stream speech" and "WebSocket"
/// (<https://elevenlabs.io/docs/api-reference/text-to-speech/v-1-text-to-speech-voice-id-stream-input>).
///
/// A request, and the opening of a WebSocket, are tried again before the first byte as
/// [`Limits::attempts`](super::Limits::attempts) says; later faults end the speech, and a
/// [`FallbackSynthesizer`](super::FallbackSynthesizer) goes on. Dropping the [`Speech`] closes the connection.
#[derive(Debug, Clone)]
pub struct ElevenLabs {
    service: Arc<Service>,
    voice: String,
    model: String,
    language: Option<String>,
    settings: Map<String, Value>,
}

impl ElevenLabs {
    /// The voice with this identifier, and the model `eleven_flash_v2_5`.
    ///
    /// # Errors
    ///
    /// [`AdapterError::Invalid`] if the address cannot be used.
    pub fn new(access: impl Into<Access>, voice_id: impl Into<String>) -> Result<Self, AdapterError> {
        Ok(Self {
            service: Service::new("elevenlabs", BASE, CREDENTIAL, access.into())?,
            voice: voice_id.into(),
            model: "eleven_flash_v2_5".to_owned(),
            language: None,
            settings: Map::new(),
        })
    }

    /// Another model: `eleven_multilingual_v2`.
    #[must_use]
    pub fn model(mut self, model: impl Into<String>) -> Self {
        self.model = model.into();
        self
    }

    /// The language, as ISO 639-1 has it, for models that heed it: `de`.
    #[must_use]
    pub fn language(mut self, language: impl Into<String>) -> Self {
        self.language = Some(language.into());
        self
    }

    /// One of the voice's settings instead of those that are stored with it: `stability`, `similarity_boost`, `style`,
    /// `speed`.
    #[must_use]
    pub fn setting(mut self, name: impl Into<String>, value: f32) -> Self {
        self.settings.insert(name.into(), value.into());
        self
    }

    fn url(&self, what: &str, format: &str) -> Url {
        let mut url = self.service.url(&["v1", "text-to-speech", &self.voice, what]);
        url.query_pairs_mut().append_pair("output_format", format);
        url
    }
}

/// The service's rate for a call: not above 24 kHz, which every account may have.
fn format(rate: SampleRate) -> (u32, &'static str) {
    match rate {
        SampleRate::Hz8000 => (8_000, "pcm_8000"),
        SampleRate::Hz16000 => (16_000, "pcm_16000"),
        SampleRate::Hz24000 | SampleRate::Hz48000 => (24_000, "pcm_24000"),
    }
}

/// The voice, and the format of its sound.
struct Sentences<'a> {
    voice: &'a ElevenLabs,
    format: &'static str,
}

impl Voice for Sentences<'_> {
    fn service(&self) -> &Service {
        &self.voice.service
    }

    async fn ask(&self, sentence: &str, before: &str) -> Result<Body, AdapterError> {
        let voice = self.voice;
        let mut json = json!({ "text": sentence, "model_id": voice.model });
        if !before.is_empty() {
            json["previous_text"] = before.into();
        }
        if let Some(language) = &voice.language {
            json["language_code"] = language.as_str().into();
        }
        if !voice.settings.is_empty() {
            json["voice_settings"] = voice.settings.clone().into();
        }
        let (url, json) = (voice.url("stream", self.format), json.to_string());
        let post =
            || voice.service.post(url.clone()).header(CONTENT_TYPE, "application/json").body(json.clone());
        voice.service.stream(|| Ok(post())).await
    }
}

impl Synthesizer for ElevenLabs {
    fn name(&self) -> &str {
        self.service.name()
    }

    fn synthesize(&self, mut text: Text, rate: SampleRate) -> Speech {
        let voice = self.clone();
        let (hz, format) = format(rate);
        Speech::spawn(move |sink| async move {
            let (begin, whole) = ready(&mut text);
            if whole {
                let sentences = Sentences { voice: &voice, format };
                say_sentences(&sentences, begin.into(), hz, &sink).await
            } else {
                pieces::say(&voice, begin, text, (hz, format), &sink).await
            }
        })
    }
}

/// As much of the text as is there, and whether that is all.
fn ready(text: &mut Text) -> (String, bool) {
    let mut begin = String::new();
    while begin.len() < WHOLE {
        match text.next_piece().now_or_never() {
            Some(Some(piece)) => begin.push_str(&piece),
            Some(None) => return (begin, true),
            None => return (begin, false),
        }
    }
    (begin, false)
}

#[cfg(test)]
mod tests {
    use futures_util::{StreamExt as _, stream};

    use super::*;

    #[test]
    fn a_text_that_is_still_being_written_is_told_from_one_that_is_there() {
        assert_eq!(ready(&mut "One. Two.".into()), ("One. Two.".to_owned(), true));
        assert_eq!(ready(&mut Text::from_pieces(stream::iter(["On", "e."]))), ("One.".to_owned(), true));
        let written = stream::iter(["On"]).chain(stream::pending());
        assert_eq!(ready(&mut Text::from_pieces(written)), ("On".to_owned(), false));
        let (begin, whole) = ready(&mut Text::from_pieces(stream::repeat("word ")));
        assert!(!whole && begin.len() < WHOLE + 5);
    }
}
