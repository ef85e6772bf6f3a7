//! A voice of OpenAI, or of a server with the same interface.

use std::sync::Arc;

use reqwest::header::CONTENT_TYPE;
use serde::Serialize;

use super::{BASE, CREDENTIAL, NAME};
use crate::audio::SampleRate;
use crate::speech::service::{Access, Body, Service, Voice, say_sentences};
use crate::speech::{AdapterError, Speech, Synthesizer, Text};

/// The rate of the service's raw PCM.
const RATE: u32 = 24_000;

/// A voice of OpenAI, or of a server of your own with the same interface.
///
/// It asks `POST /audio/speech` for raw PCM, sentence by sentence: one is heard while it is being made, and the next one
/// is asked for meanwhile. It follows OpenAI's [reference of "Create speech"] and its guide "Text to speech": `pcm` is
/// 16-bit little-endian mono at 24 kHz, without a header. A server that makes another rate is told by
/// [`pcm_rate`](Self::pcm_rate).
///
/// A fault before a sentence's first byte is tried again as [`Limits::attempts`](crate::speech::Limits::attempts) says;
/// later ones end the speech, and a [`FallbackSynthesizer`](crate::speech::FallbackSynthesizer) goes on. Dropping the
/// [`Speech`] ends the request.
///
/// [reference of "Create speech"]: https://platform.openai.com/docs/api-reference/audio/createSpeech
#[derive(Debug, Clone)]
pub struct OpenAiSynthesizer {
    service: Arc<Service>,
    model: String,
    voice: String,
    instructions: Option<String>,
    speed: Option<f32>,
    rate: u32,
}

impl OpenAiSynthesizer {
    /// The voice `alloy` of `gpt-4o-mini-tts`.
    ///
    /// # Errors
    ///
    /// [`AdapterError::Invalid`] if the address cannot be used.
    pub fn new(access: impl Into<Access>) -> Result<Self, AdapterError> {
        Ok(Self {
            service: Service::new(NAME, BASE, CREDENTIAL, access.into())?,
            model: "gpt-4o-mini-tts".to_owned(),
            voice: "alloy".to_owned(),
            instructions: None,
            speed: None,
            rate: RATE,
        })
    }

    /// Another model: `tts-1`.
    #[must_use]
    pub fn model(mut self, model: impl Into<String>) -> Self {
        self.model = model.into();
        self
    }

    /// Another voice: `nova`.
    #[must_use]
    pub fn voice(mut self, voice: impl Into<String>) -> Self {
        self.voice = voice.into();
        self
    }

    /// How to speak, for models that heed it: "calm and friendly".
    #[must_use]
    pub fn instructions(mut self, instructions: impl Into<String>) -> Self {
        self.instructions = Some(instructions.into());
        self
    }

    /// How fast to speak, 0.25 to 4; the service's 1 unless it is set.
    #[must_use]
    pub fn speed(mut self, speed: f32) -> Self {
        self.speed = Some(speed);
        self
    }

    /// The rate of the server's PCM in Hz, 4,000 to 192,000, where it is not 24,000.
    #[must_use]
    pub fn pcm_rate(mut self, hz: u32) -> Self {
        self.rate = hz;
        self
    }
}

impl Voice for OpenAiSynthesizer {
    fn service(&self) -> &Service {
        &self.service
    }

    async fn ask(&self, sentence: &str, _: &str) -> Result<Body, AdapterError> {
        let request = Request {
            model: &self.model,
            voice: &self.voice,
            input: sentence,
            response_format: "pcm",
            instructions: self.instructions.as_deref(),
            speed: self.speed,
        };
        let json = serde_json::to_vec(&request)
            .map_err(|error| AdapterError::Invalid(format!("a request that cannot be written: {error}")))?;
        let url = self.service.url(&["audio", "speech"]);
        let post =
            || self.service.post(url.clone()).header(CONTENT_TYPE, "application/json").body(json.clone());
        self.service.stream(|| Ok(post())).await
    }
}

impl Synthesizer for OpenAiSynthesizer {
    fn name(&self) -> &str {
        self.service.name()
    }

    fn synthesize(&self, text: Text, _: SampleRate) -> Speech {
        let voice = self.clone();
        Speech::spawn(|sink| async move { say_sentences(&voice, text, voice.rate, &sink).await })
    }
}

/// The body of "Create speech".
#[derive(Serialize)]
struct Request<'a> {
    model: &'a str,
    voice: &'a str,
    input: &'a str,
    response_format: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    instructions: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    speed: Option<f32>,
}
