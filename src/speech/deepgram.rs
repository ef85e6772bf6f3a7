//! Deepgram's streaming recogniser.

mod link;
mod message;

use std::sync::Arc;
use std::time::Duration;

use reqwest::Url;

use super::service::{Access, Credential, Service};
use super::{AdapterError, Transcriber, Transcription};
use crate::audio::{Listener, SampleRate};
use link::Ear;

const BASE: &str = "https://api.deepgram.com";
const CREDENTIAL: Credential = Credential { header: "authorization", prefix: "Token " };

/// Deepgram's streaming recogniser.
///
/// The callee's sound goes over one WebSocket per call to `/v1/listen`, as `linear16` at 8 or 16 kHz, and comes back as
/// words with times. It follows Deepgram's reference "Live Audio" and its pages on `KeepAlive`, `CloseStream`, endpointing
/// and "Recovering from connection errors" (<https://developers.deepgram.com/reference/speech-to-text/listen-streaming>):
///
/// | message | event |
/// |---|---|
/// | `SpeechStarted` | [`SpeechStarted`](super::TranscriptEvent::SpeechStarted) |
/// | `Results`, `is_final` false | [`Partial`](super::TranscriptEvent::Partial) |
/// | `Results`, `is_final` true | [`Final`](super::TranscriptEvent::Final); a long sentence comes in several |
/// | `Results`, `speech_final` true; `UtteranceEnd` | [`SpeechEnded`](super::TranscriptEvent::SpeechEnded) |
///
/// A connection that breaks, or whose other end is silent for [`Limits::idle`](super::Limits::idle), is made again, and
/// what came since the last final words is sent again, ten seconds of it at most. When that has failed
/// [`reconnects`](Self::reconnects) times in a row, the transcription ends with the error, and a
/// [`FallbackTranscriber`](super::FallbackTranscriber) goes on. At the end of the call it asks for the words that are still
/// to come. Dropping the [`Transcription`] closes the connection.
#[derive(Debug, Clone)]
pub struct Deepgram {
    service: Arc<Service>,
    model: String,
    parameters: Vec<(String, String)>,
    endpointing: Duration,
    utterance_end: Duration,
    reconnects: u32,
}

impl Deepgram {
    /// The model `nova-3`, in the service's default language, with punctuation; a pause of 300 ms ends a sentence.
    ///
    /// # Errors
    ///
    /// [`AdapterError::Invalid`] if the address cannot be used.
    pub fn new(access: impl Into<Access>) -> Result<Self, AdapterError> {
        Ok(Self {
            service: Service::new("deepgram", BASE, CREDENTIAL, access.into())?,
            model: "nova-3".to_owned(),
            parameters: Vec::new(),
            endpointing: Duration::from_millis(300),
            utterance_end: Duration::from_secs(1),
            reconnects: 3,
        })
    }

    /// Another model: `nova-2-phonecall`.
    #[must_use]
    pub fn model(mut self, model: impl Into<String>) -> Self {
        self.model = model.into();
        self
    }

    /// The language: `de`, or `multi` for several.
    #[must_use]
    pub fn language(self, language: impl Into<String>) -> Self {
        self.parameter("language", language)
    }

    /// Another parameter of the service: `keyterm`. May be given many times.
    #[must_use]
    pub fn parameter(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.parameters.push((name.into(), value.into()));
        self
    }

    /// The silence after which a sentence is final, instead of 300 ms.
    #[must_use]
    pub fn endpointing(mut self, silence: Duration) -> Self {
        self.endpointing = silence;
        self
    }

    /// The gap between words after which the callee has stopped speaking even where there is noise, instead of one
    /// second, which is the shortest that the service takes.
    #[must_use]
    pub fn utterance_end(mut self, gap: Duration) -> Self {
        self.utterance_end = gap;
        self
    }

    /// How often a connection may fail in a row before the recogniser gives up, instead of three times.
    #[must_use]
    pub fn reconnects(mut self, reconnects: u32) -> Self {
        self.reconnects = reconnects;
        self
    }

    fn url(&self, rate: SampleRate) -> Url {
        let mut url = self.service.url(&["v1", "listen"]);
        let mut query = url.query_pairs_mut();
        query
            .append_pair("model", &self.model)
            .append_pair("encoding", "linear16")
            .append_pair("sample_rate", &rate.hz().to_string())
            .append_pair("channels", "1")
            .append_pair("interim_results", "true")
            .append_pair("punctuate", "true")
            .append_pair("vad_events", "true")
            .append_pair("endpointing", &self.endpointing.as_millis().to_string())
            .append_pair("utterance_end_ms", &self.utterance_end.as_millis().to_string());
        for (name, value) in &self.parameters {
            query.append_pair(name, value);
        }
        drop(query);
        url
    }
}

impl Transcriber for Deepgram {
    fn name(&self) -> &str {
        self.service.name()
    }

    /// 16 kHz at most: that is what its models hear.
    fn rate(&self, call: SampleRate) -> SampleRate {
        call.min(SampleRate::Hz16000)
    }

    fn transcribe(&self, listener: Listener) -> Transcription {
        let (service, url) = (Arc::clone(&self.service), self.url(listener.rate()));
        let reconnects = self.reconnects;
        Transcription::spawn(move |sink| Ear::new(service, url, reconnects, sink).run(listener))
    }
}
