//! A recogniser of OpenAI, or of a server with the same interface.

use std::io::Cursor;
use std::sync::Arc;
use std::time::Duration;

use reqwest::multipart::{Form, Part};
use serde::Deserialize;
use tokio::sync::mpsc;

use super::utterance::{Cutter, Utterance};
use super::{BASE, CREDENTIAL, NAME};
use crate::audio::{FRAME_MS, Listener, SampleRate};
use crate::speech::service::{Access, Service};
use crate::speech::{
    AdapterError, Transcriber, Transcript, TranscriptEvent, Transcription, TranscriptionSink, VoiceActivity,
    VoiceChange,
};

/// How much speech goes into one request.
const LONGEST: Duration = Duration::from_secs(20);
/// How many utterances wait for the service; then the call's sound waits.
const WAITING: usize = 2;
/// No answer is longer, in bytes.
const LONGEST_ANSWER: usize = 1 << 20;

/// A recogniser of OpenAI, or of a server of your own with the same interface.
///
/// The interface takes whole recordings. [`VoiceActivity`] finds where the callee speaks, which is told at once, and each
/// utterance goes as a WAV file to `POST /audio/transcriptions` when it is over, one of more than twenty seconds in parts;
/// the callee is heard meanwhile. So there are no partial transcripts, and a
/// [`Final`](TranscriptEvent::Final) comes behind the [`SpeechEnded`](TranscriptEvent::SpeechEnded) that it belongs to. It
/// follows OpenAI's [reference of "Create transcription"] with `response_format=json`.
///
/// A request is made again as [`Limits::attempts`](crate::speech::Limits::attempts) says. Then the transcription ends with
/// the error, and a [`FallbackTranscriber`](crate::speech::FallbackTranscriber) goes on. Dropping the [`Transcription`]
/// ends the request.
///
/// [reference of "Create transcription"]: https://platform.openai.com/docs/api-reference/audio/createTranscription
#[derive(Debug, Clone)]
pub struct OpenAiTranscriber {
    service: Arc<Service>,
    model: String,
    language: Option<String>,
    prompt: Option<String>,
    pause: Option<Duration>,
}

impl OpenAiTranscriber {
    /// The model `gpt-4o-mini-transcribe`, which finds the language out.
    ///
    /// # Errors
    ///
    /// [`AdapterError::Invalid`] if the address cannot be used.
    pub fn new(access: impl Into<Access>) -> Result<Self, AdapterError> {
        Ok(Self {
            service: Service::new(NAME, BASE, CREDENTIAL, access.into())?,
            model: "gpt-4o-mini-transcribe".to_owned(),
            language: None,
            prompt: None,
            pause: None,
        })
    }

    /// Another model: `whisper-1`.
    #[must_use]
    pub fn model(mut self, model: impl Into<String>) -> Self {
        self.model = model.into();
        self
    }

    /// The language, as ISO 639-1 has it: `de`.
    #[must_use]
    pub fn language(mut self, language: impl Into<String>) -> Self {
        self.language = Some(language.into());
        self
    }

    /// What helps to understand: names and words that may come.
    #[must_use]
    pub fn prompt(mut self, prompt: impl Into<String>) -> Self {
        self.prompt = Some(prompt.into());
        self
    }

    /// The silence that ends an utterance, instead of that of [`VoiceActivity`].
    #[must_use]
    pub fn pause(mut self, pause: Duration) -> Self {
        self.pause = Some(pause);
        self
    }

    /// Tells when the callee speaks, and passes the utterances on.
    async fn hear(
        &self,
        mut listener: Listener,
        utterances: mpsc::Sender<Utterance>,
        sink: &TranscriptionSink,
    ) -> Result<(), AdapterError> {
        let mut activity = VoiceActivity::new(listener.rate());
        if let Some(pause) = self.pause {
            activity = activity.pause(pause);
        }
        let mut cutter = Cutter::new(LONGEST);
        let mut now = Duration::ZERO;
        while let Some(frame) = listener.recv().await {
            now = frame.start() + Duration::from_millis(FRAME_MS.into());
            let change = activity.frame(&frame);
            match change {
                Some(VoiceChange::Started { at }) => sink.tell(TranscriptEvent::SpeechStarted { at }).await?,
                Some(VoiceChange::Ended { at }) => sink.tell(TranscriptEvent::SpeechEnded { at }).await?,
                None => {}
            }
            if let Some(utterance) = cutter.push(frame, change) {
                // The other side has an error to tell.
                let Ok(()) = utterances.send(utterance).await else { return Ok(()) };
            }
        }
        if activity.is_speaking() {
            sink.tell(TranscriptEvent::SpeechEnded { at: now }).await?;
        }
        if let Some(utterance) = cutter.finish() {
            let _ = utterances.send(utterance).await;
        }
        Ok(())
    }

    /// Tells the words of the utterances.
    async fn write(
        &self,
        mut utterances: mpsc::Receiver<Utterance>,
        sink: &TranscriptionSink,
    ) -> Result<(), AdapterError> {
        while let Some(utterance) = utterances.recv().await {
            let text = self.ask(&utterance).await?;
            if !text.trim().is_empty() {
                let words = Transcript::new(text.trim(), utterance.start, utterance.end);
                sink.tell(TranscriptEvent::Final(words)).await?;
            }
        }
        Ok(())
    }

    async fn ask(&self, utterance: &Utterance) -> Result<String, AdapterError> {
        let (url, file) = (self.service.url(&["audio", "transcriptions"]), wav(utterance)?);
        let request = || {
            let invalid = |error: reqwest::Error| AdapterError::Invalid(error.to_string());
            let part =
                Part::bytes(file.clone()).file_name("speech.wav").mime_str("audio/wav").map_err(invalid)?;
            let mut form = Form::new().part("file", part);
            let options = [("language", &self.language), ("prompt", &self.prompt)];
            form = form.text("model", self.model.clone()).text("response_format", "json");
            for (name, value) in options.into_iter().filter_map(|(name, value)| Some((name, value.clone()?)))
            {
                form = form.text(name, value);
            }
            Ok(self.service.post(url.clone()).multipart(form))
        };
        let mut body = self.service.stream(request).await?;
        let mut answer = Vec::new();
        while let Some(part) = body.next(&self.service).await? {
            answer.extend_from_slice(&part);
            if answer.len() > LONGEST_ANSWER {
                return Err(self.service.malformed("it is too long"));
            }
        }
        let answer: Answer =
            serde_json::from_slice(&answer).map_err(|error| self.service.malformed(error.to_string()))?;
        Ok(answer.text)
    }
}

impl Transcriber for OpenAiTranscriber {
    fn name(&self) -> &str {
        self.service.name()
    }

    /// 16 kHz at most: that is what its models hear.
    fn rate(&self, call: SampleRate) -> SampleRate {
        call.min(SampleRate::Hz16000)
    }

    fn transcribe(&self, listener: Listener) -> Transcription {
        let ears = self.clone();
        Transcription::spawn(|sink| async move {
            let (sender, receiver) = mpsc::channel(WAITING);
            tokio::try_join!(ears.hear(listener, sender, &sink), ears.write(receiver, &sink)).map(|_| ())
        })
    }
}

/// The answer of "Create transcription".
#[derive(Deserialize)]
struct Answer {
    text: String,
}

/// A WAV file in memory.
fn wav(utterance: &Utterance) -> Result<Vec<u8>, AdapterError> {
    let rate = utterance.frames.first().map_or(SampleRate::Hz16000, crate::audio::Frame::rate);
    let spec = hound::WavSpec {
        channels: 1,
        sample_rate: rate.hz(),
        bits_per_sample: 16,
        sample_format: hound::SampleFormat::Int,
    };
    let mut file = Cursor::new(Vec::new());
    let written = hound::WavWriter::new(&mut file, spec).and_then(|mut writer| {
        let samples = utterance.frames.iter().flat_map(|frame| frame.samples());
        samples.copied().try_for_each(|sample| writer.write_sample(sample))?;
        writer.finalize()
    });
    written.map_err(|error| AdapterError::Invalid(format!("a recording that cannot be written: {error}")))?;
    Ok(file.into_inner())
}
