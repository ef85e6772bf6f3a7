//! A call's connection to Deepgram, made again when it breaks.

use std::future::pending;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use reqwest::Url;
use serde_json::json;
use tokio::time::{Instant, sleep, timeout};

use super::message::{Message, Results, time};
use crate::audio::{Frame, Listener};
use crate::speech::service::{Heard, Message as Frames, Reader, Received, Service, Socket, Writer};
use crate::speech::{AdapterError, Transcript, TranscriptEvent, TranscriptionSink};

/// Without sound, the service is told that we are there after this time; it hangs up after 10 s.
const KEEP_ALIVE: Duration = Duration::from_secs(4);
/// The pause before a connection is made again; each further one is twice as long.
const PAUSE: Duration = Duration::from_millis(250);
/// How long a connection that takes nothing more may need to say why.
const LAST_WORDS: Duration = Duration::from_millis(200);

/// Listens to one call.
pub(super) struct Ear {
    service: Arc<Service>,
    url: Url,
    reconnects: u32,
    sink: TranscriptionSink,
    heard: Mutex<Heard>,
}

/// What has been told.
#[derive(Default)]
struct Told {
    /// Since when the callee speaks.
    speaking: Option<Duration>,
    /// The end of the last words.
    end: Duration,
    /// How often the connection failed since it last told something.
    failures: u32,
}

/// Whether all sound has been sent.
#[derive(Clone, Copy, PartialEq)]
enum Sound {
    Comes,
    Over,
}

impl Ear {
    pub(super) fn new(service: Arc<Service>, url: Url, reconnects: u32, sink: TranscriptionSink) -> Self {
        Self { service, url, reconnects, sink, heard: Mutex::default() }
    }

    /// Until the call has ended and everything has been told.
    pub(super) async fn run(self, mut listener: Listener) -> Result<(), AdapterError> {
        let mut told = Told::default();
        loop {
            let broken = match self.service.open(&self.url).await {
                Ok(socket) => self.listen(socket, &mut listener, &mut told).await,
                Err(error) => Err(error),
            };
            let error = match broken {
                Ok(()) => break,
                Err(error) => error,
            };
            if !error.is_passing() || told.failures >= self.reconnects {
                return Err(error);
            }
            let service = self.service.name();
            tracing::warn!(target: "outdial::speech", service, %error, "the connection is made again");
            sleep(PAUSE * (1 << told.failures.min(4))).await;
            told.failures += 1;
        }
        if told.speaking.is_some() {
            self.sink.tell(TranscriptEvent::SpeechEnded { at: told.end }).await?;
        }
        Ok(())
    }

    /// One connection, until it ends.
    async fn listen(
        &self,
        socket: Socket,
        listener: &mut Listener,
        told: &mut Told,
    ) -> Result<(), AdapterError> {
        let Socket { mut writer, mut reader } = socket;
        let again = self.heard().restart();
        let sound = Mutex::new(Sound::Comes);
        let mut read = std::pin::pin!(self.read(&mut reader, told, &sound));
        let error = tokio::select! {
            biased;
            ended = &mut read => return ended,
            Err(error) = self.write(&mut writer, again, listener, &sound) => error,
        };
        // It may have said why it takes nothing more.
        match timeout(LAST_WORDS, read).await {
            Ok(Err(reason)) => Err(reason),
            _ => Err(error),
        }
    }

    /// Sends what there is; returns with an error only.
    async fn write(
        &self,
        writer: &mut Writer,
        again: Vec<Frame>,
        listener: &mut Listener,
        sound: &Mutex<Sound>,
    ) -> Result<(), AdapterError> {
        let service = &*self.service;
        for frame in again {
            writer.send(service, binary(&frame)).await?;
        }
        // Often enough for an answer to come within the limit.
        let beat = KEEP_ALIVE.min(service.limits().idle / 2);
        let mut pinged = Instant::now();
        loop {
            match timeout(beat, listener.recv()).await {
                Ok(Some(frame)) => {
                    self.heard().push(&frame);
                    writer.send(service, binary(&frame)).await?;
                }
                Ok(None) => break,
                Err(_) => writer.send_json(service, &json!({ "type": "KeepAlive" })).await?,
            }
            if pinged.elapsed() >= beat {
                writer.send(service, Frames::Ping(Default::default())).await?;
                pinged = Instant::now();
            }
        }
        *sound.lock().unwrap_or_else(PoisonError::into_inner) = Sound::Over;
        writer.send_json(service, &json!({ "type": "CloseStream" })).await?;
        pending().await
    }

    /// Tells what comes, until it ends.
    async fn read(
        &self,
        reader: &mut Reader,
        told: &mut Told,
        sound: &Mutex<Sound>,
    ) -> Result<(), AdapterError> {
        let service = &*self.service;
        let limit = service.limits().idle;
        let is_over = || *sound.lock().unwrap_or_else(PoisonError::into_inner) == Sound::Over;
        loop {
            let received = timeout(limit, reader.next(service)).await;
            let text = match received.map_err(|_| service.late("a sign of life", limit))?? {
                Some(Received::Text(text)) => text,
                Some(Received::Pong) => continue,
                None if is_over() => return Ok(()),
                None => return Err(service.cut_off()),
            };
            let message = serde_json::from_str(&text);
            match message.map_err(|error| service.malformed(error.to_string()))? {
                Message::Results(results) => self.results(&results, told).await?,
                Message::SpeechStarted { timestamp } => {
                    let at = time(timestamp).ok_or_else(|| service.malformed("a time that is none"))?;
                    let at = self.heard().start(at);
                    self.started(at, told).await?;
                }
                Message::UtteranceEnd { last_word_end } => {
                    // It is -1 where there were no words.
                    let end = time(last_word_end).map(|at| self.heard().end(at));
                    self.ended(end.unwrap_or(told.end), told).await?;
                }
                Message::Metadata {} if is_over() => return Ok(()),
                Message::Error { description } => {
                    let description = reader.clean(&description);
                    tracing::warn!(target: "outdial::speech", service = service.name(), description, "an error is told");
                }
                Message::Metadata {} | Message::Other => {}
            }
        }
    }

    async fn results(&self, results: &Results, told: &mut Told) -> Result<(), AdapterError> {
        let span = results.span().ok_or_else(|| self.service.malformed("a time that is none"))?;
        let (start, end) = {
            let heard = self.heard();
            (heard.start(span.0), heard.end(span.1))
        };
        told.failures = 0;
        if let Some(words) = results.words() {
            let (from, to) = {
                let heard = self.heard();
                (heard.start(words.start), heard.end(words.end))
            };
            self.started(from, told).await?;
            let mut transcript = Transcript::new(words.text, from, to);
            transcript.confidence = words.confidence;
            told.end = to;
            let event = if results.is_final {
                TranscriptEvent::Final(transcript)
            } else {
                TranscriptEvent::Partial(transcript)
            };
            self.sink.tell(event).await?;
        } else if results.is_final && told.speaking.is_some_and(|since| since <= start) {
            // What began was no speech, or it is over.
            self.ended(end, told).await?;
        }
        if results.is_final {
            self.heard().forget(end);
        }
        if results.speech_final {
            self.ended(told.end, told).await?;
        }
        Ok(())
    }

    async fn started(&self, at: Duration, told: &mut Told) -> Result<(), AdapterError> {
        if told.speaking.is_none() {
            told.speaking = Some(at);
            told.end = told.end.max(at);
            self.sink.tell(TranscriptEvent::SpeechStarted { at }).await?;
        }
        Ok(())
    }

    async fn ended(&self, at: Duration, told: &mut Told) -> Result<(), AdapterError> {
        if told.speaking.take().is_some() {
            self.sink.tell(TranscriptEvent::SpeechEnded { at }).await?;
        }
        Ok(())
    }

    fn heard(&self) -> MutexGuard<'_, Heard> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// 16-bit little-endian PCM.
fn binary(frame: &Frame) -> Frames {
    Frames::binary(frame.samples().iter().flat_map(|sample| sample.to_le_bytes()).collect::<Vec<u8>>())
}
