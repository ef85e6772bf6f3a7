//! A model that hears and speaks, of OpenAI or of a server with the same interface.

mod history;
mod link;
mod message;
mod sound;
mod state;

use std::sync::Arc;

use reqwest::Url;
use serde_json::{Value, json};

use super::service::{Access, Credential, Service};
use super::{AdapterError, ModelSession, SpeechToSpeech};
use crate::audio::{Listener, SampleRate};
use link::Link;
use sound::Format;

const NAME: &str = "openai-realtime";
const BASE: &str = "https://api.openai.com/v1";
const CREDENTIAL: Credential = Credential { header: "authorization", prefix: "Bearer " };

/// A model that hears and speaks, of OpenAI or of a server of your own with the same interface.
///
/// The callee's sound goes over one WebSocket per call to `/realtime`, as PCM at 24 kHz or as µ-law, and the model's
/// comes back. It follows OpenAI's references ["Client events"] and ["Server events"] as they are since the interface
/// has left its beta; of the servers that have kept the beta's names of events (`response.audio.delta` …) these are
/// understood as well.
///
/// - The service finds where the callee begins and ends ([`turn_detection`](Self::turn_detection)), answers by itself, and
///   stops when it is interrupted. When the [`Dialogue`](super::Dialogue) notices first, it is told so
///   (`response.cancel`). What the callee has not heard is taken out of the model's memory: `conversation.item.truncate`
///   with what was really played, or `conversation.item.delete` where nothing was.
/// - A connection that breaks, or whose other end is silent for [`Limits::idle`](super::Limits::idle), is made again,
///   [`reconnects`](Self::reconnects) times in a row at most. The new session is told what was said so far, as text, and
///   what of the callee's sound was not understood, ten seconds at most; a response that was owed is asked for again.
/// - A model that does not begin or go on to respond within [`Limits::first_byte`](super::Limits::first_byte), or whose
///   response fails twice in a row, has failed; so has one that refuses the settings. The
///   [fallback](super::Dialogue::fall_back_on) goes on.
/// - Errors that the service tells and that change nothing are logged.
///
/// ["Client events"]: https://platform.openai.com/docs/api-reference/realtime-client-events
/// ["Server events"]: https://platform.openai.com/docs/api-reference/realtime-server-events
#[derive(Debug, Clone)]
pub struct OpenAiRealtime {
    service: Arc<Service>,
    model: String,
    settings: Settings,
    reconnects: u32,
}

/// What a session is asked for.
#[derive(Debug, Clone)]
struct Settings {
    format: Format,
    instructions: Option<String>,
    voice: Option<String>,
    transcription: Option<Value>,
    turn_detection: Value,
    tools: Vec<Value>,
}

impl OpenAiRealtime {
    /// The model `gpt-realtime` in the service's own voice, whose own turn detection answers; the callee's words are
    /// written by `gpt-4o-mini-transcribe`.
    ///
    /// # Errors
    ///
    /// [`AdapterError::Invalid`] if the address cannot be used.
    pub fn new(access: impl Into<Access>) -> Result<Self, AdapterError> {
        Ok(Self {
            service: Service::new(NAME, BASE, CREDENTIAL, access.into())?,
            model: "gpt-realtime".to_owned(),
            settings: Settings {
                format: Format::Pcm,
                instructions: None,
                voice: None,
                transcription: Some(json!({ "model": "gpt-4o-mini-transcribe" })),
                turn_detection: json!({ "type": "server_vad" }),
                tools: Vec::new(),
            },
            reconnects: 2,
        })
    }

    /// Another model.
    #[must_use]
    pub fn model(mut self, model: impl Into<String>) -> Self {
        self.model = model.into();
        self
    }

    /// Who the model is and what it is to do.
    #[must_use]
    pub fn instructions(mut self, instructions: impl Into<String>) -> Self {
        self.settings.instructions = Some(instructions.into());
        self
    }

    /// The voice: `marin`, `cedar`.
    #[must_use]
    pub fn voice(mut self, voice: impl Into<String>) -> Self {
        self.settings.voice = Some(voice.into());
        self
    }

    /// µ-law at 8 kHz in both directions, a sixth of the data, for servers that take it (`audio/pcmu`). A telephone line
    /// of G.711 carries no more.
    #[must_use]
    pub fn mu_law(mut self) -> Self {
        self.settings.format = Format::MuLaw;
        self
    }

    /// How the callee's words are written, as the service's `transcription` has it; without one, the model answers and the
    /// host does not learn what it heard.
    #[must_use]
    pub fn transcription(mut self, transcription: Option<Value>) -> Self {
        self.settings.transcription = transcription;
        self
    }

    /// How the service finds the end of what the callee says, as its `turn_detection` has it, instead of
    /// `{"type":"server_vad"}`. Whether it is interrupted is for [`Dialogue::set_barge_in`](super::Dialogue::set_barge_in)
    /// to say.
    #[must_use]
    pub fn turn_detection(mut self, detection: Value) -> Self {
        self.settings.turn_detection = detection;
        self
    }

    /// Something that the model may ask the host to do; `parameters` is a JSON schema. May be given many times.
    #[must_use]
    pub fn tool(
        mut self,
        name: impl Into<String>,
        description: impl Into<String>,
        parameters: Value,
    ) -> Self {
        let (name, description) = (name.into(), description.into());
        let tool =
            json!({ "type": "function", "name": name, "description": description, "parameters": parameters });
        self.settings.tools.push(tool);
        self
    }

    /// How often a connection may fail in a row before the model is given up, instead of twice.
    #[must_use]
    pub fn reconnects(mut self, reconnects: u32) -> Self {
        self.reconnects = reconnects;
        self
    }

    fn url(&self) -> Url {
        let mut url = self.service.url(&["realtime"]);
        url.query_pairs_mut().append_pair("model", &self.model);
        url
    }
}

impl Settings {
    /// The event that makes a session of a connection.
    fn update(&self, interruptible: bool) -> Value {
        let format = self.format.json();
        let mut session = json!({
            "type": "realtime",
            "output_modalities": ["audio"],
            "audio": {
                "input": {
                    "format": format.clone(),
                    "transcription": self.transcription,
                    "turn_detection": self.detection(interruptible),
                },
                "output": { "format": format },
            },
        });
        if let Some(instructions) = &self.instructions {
            session["instructions"] = instructions.as_str().into();
        }
        if let Some(voice) = &self.voice {
            session["audio"]["output"]["voice"] = voice.as_str().into();
        }
        if !self.tools.is_empty() {
            session["tools"] = self.tools.clone().into();
        }
        json!({ "type": "session.update", "event_id": message::SETTINGS, "session": session })
    }

    /// The event that says whether the callee's voice interrupts.
    fn interruptible(&self, interruptible: bool) -> Value {
        let input = json!({ "turn_detection": self.detection(interruptible) });
        json!({ "type": "session.update", "session": { "type": "realtime", "audio": { "input": input } } })
    }

    fn detection(&self, interruptible: bool) -> Value {
        let mut detection = self.turn_detection.clone();
        if let Some(fields) = detection.as_object_mut() {
            fields.insert("interrupt_response".to_owned(), interruptible.into());
        }
        detection
    }

    /// Whether the service answers by itself.
    fn answers(&self) -> bool {
        self.turn_detection.get("create_response").is_none_or(|create| create != false)
            && !self.turn_detection.is_null()
    }
}

impl SpeechToSpeech for OpenAiRealtime {
    fn name(&self) -> &str {
        self.service.name()
    }

    /// 24 kHz, or 8 kHz with µ-law.
    fn rate(&self, _: SampleRate) -> SampleRate {
        self.settings.format.rate()
    }

    fn converse(&self, listener: Listener) -> ModelSession {
        let (service, url) = (Arc::clone(&self.service), self.url());
        let (settings, reconnects) = (self.settings.clone(), self.reconnects);
        ModelSession::spawn(move |sink, orders| {
            Link::new(service, url, settings, reconnects, sink).run(listener, orders)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_answers_and_who_interrupts_is_in_the_turn_detection() {
        let model = OpenAiRealtime::new(Access::without_key()).unwrap();
        assert!(model.settings.answers());
        let session = &model.settings.update(false)["session"];
        let detection = json!({ "type": "server_vad", "interrupt_response": false });
        assert_eq!(session["audio"]["input"]["turn_detection"], detection);
        let waits = model.clone().turn_detection(json!({ "type": "semantic_vad", "create_response": false }));
        assert!(!waits.settings.answers());
        let none = model.turn_detection(Value::Null);
        assert!(!none.settings.answers());
        assert_eq!(none.settings.detection(true), Value::Null);
    }
}
