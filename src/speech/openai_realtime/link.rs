//! A call's connection to the model, made again when it breaks.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use reqwest::Url;
use serde_json::Value;
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, sleep_until, timeout};

use super::Settings;
use super::message::{self, Fault, Item, Message, Response};
use super::state::State;
use crate::audio::Listener;
use crate::speech::service::{Message as Frames, Reader, Received, Service, Socket, Writer};
use crate::speech::{
    AdapterError, ModelEvent, ModelOrder, ModelOrders, ModelSink, Stopped, ToolCall, Transcript,
    TranscriptEvent,
};

/// How often the service is asked whether it is there.
const BEAT: Duration = Duration::from_secs(2);
/// The pause before a connection is made again; each further one is twice as long.
const PAUSE: Duration = Duration::from_millis(250);
/// How long a connection that takes nothing more may need to say why.
const LAST_WORDS: Duration = Duration::from_millis(200);
/// After so many responses that failed in a row the model has.
const FAILED: u32 = 2;

/// Talks to one model for one call.
pub(super) struct Link {
    service: Arc<Service>,
    url: Url,
    settings: Settings,
    reconnects: u32,
    sink: ModelSink,
    state: Mutex<State>,
}

/// Why a connection is no more.
struct Broken {
    error: AdapterError,
    /// Another one may do better.
    passing: bool,
}

impl From<AdapterError> for Broken {
    fn from(error: AdapterError) -> Self {
        Self { passing: error.is_passing(), error }
    }
}

impl From<Stopped> for Broken {
    fn from(stopped: Stopped) -> Self {
        AdapterError::from(stopped).into()
    }
}

impl Broken {
    fn for_good(error: AdapterError) -> Self {
        Self { error, passing: false }
    }
}

/// What has been read of a connection.
#[derive(Default)]
struct Read {
    /// How often connections failed in a row.
    failures: u32,
    /// The first half of a sample, and of which utterance.
    odd: Option<u8>,
    utterance: Option<Arc<str>>,
}

impl Link {
    pub(super) fn new(
        service: Arc<Service>,
        url: Url,
        settings: Settings,
        reconnects: u32,
        sink: ModelSink,
    ) -> Self {
        let state = Mutex::new(State::new(settings.answers(), settings.transcription.is_some()));
        Self { service, url, settings, reconnects, sink, state }
    }

    /// Until the call has ended.
    pub(super) async fn run(
        self,
        mut listener: Listener,
        mut orders: ModelOrders,
    ) -> Result<(), AdapterError> {
        let mut read = Read::default();
        loop {
            let talked = match self.service.open(&self.url).await {
                Ok(socket) => self.talk(socket, &mut listener, &mut orders, &mut read).await,
                Err(error) => Err(error.into()),
            };
            let Err(Broken { error, passing }) = talked else { return Ok(()) };
            if !passing || read.failures >= self.reconnects {
                return Err(error);
            }
            // Nobody goes on with what was being made.
            self.whole().await?;
            let service = self.service.name();
            tracing::warn!(target: "outdial::speech", service, %error, "the connection is made again");
            sleep(PAUSE * (1 << read.failures.min(4))).await;
            read = Read { failures: read.failures + 1, ..Read::default() };
        }
    }

    /// One connection, until it ends.
    async fn talk(
        &self,
        socket: Socket,
        listener: &mut Listener,
        orders: &mut ModelOrders,
        read: &mut Read,
    ) -> Result<(), Broken> {
        let Socket { mut writer, mut reader } = socket;
        let service = &*self.service;
        let limit = service.limits().first_byte;
        timeout(limit, self.agree(&mut writer, &mut reader))
            .await
            .map_err(|_| service.late("the session", limit))??;
        let (outbox, mut asides) = mpsc::unbounded_channel();
        let mut reading = std::pin::pin!(self.read(&mut reader, &outbox, read));
        let writing = async {
            self.resume(&mut writer).await?;
            self.write(&mut writer, listener, orders, &mut asides).await
        };
        let error = tokio::select! {
            biased;
            ended = &mut reading => return ended,
            written = writing => match written {
                Ok(()) => return Ok(()),
                Err(error) => error,
            },
        };
        // It may have said why it takes nothing more.
        match timeout(LAST_WORDS, reading).await {
            Ok(Err(reason)) => Err(reason),
            _ => Err(error.into()),
        }
    }

    /// Asks for a session and waits until there is one.
    async fn agree(&self, writer: &mut Writer, reader: &mut Reader) -> Result<(), Broken> {
        let service = &*self.service;
        let interruptible = self.state().interruptible;
        writer.send_json(service, &self.settings.update(interruptible)).await?;
        loop {
            match self.receive(reader).await? {
                Some(Message::Updated {}) => return Ok(()),
                Some(Message::Error { error }) => return Err(error.into_error(service, reader).into()),
                Some(_) => {}
                None => return Err(service.cut_off().into()),
            }
        }
    }

    /// Tells a new connection what another one was told.
    async fn resume(&self, writer: &mut Writer) -> Result<(), AdapterError> {
        let (said, again, respond) = {
            let mut state = self.state();
            let (said, respond) = state.resume(Instant::now());
            (said, state.heard.restart(), respond)
        };
        let sound = again.iter().map(|frame| message::append(self.settings.format.encode(frame.samples())));
        for event in said.into_iter().chain(sound).chain(respond) {
            writer.send_json(&self.service, &event).await?;
        }
        Ok(())
    }

    /// Sends what there is, until the call ends.
    async fn write(
        &self,
        writer: &mut Writer,
        listener: &mut Listener,
        orders: &mut ModelOrders,
        asides: &mut mpsc::UnboundedReceiver<Value>,
    ) -> Result<(), AdapterError> {
        let service = &*self.service;
        // Often enough for an answer to come within the limit.
        let mut beats = interval(BEAT.min(service.limits().idle / 2));
        beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                frame = listener.recv() => {
                    let Some(frame) = frame else { return writer.send(service, Frames::Close(None)).await };
                    self.state().heard.push(&frame);
                    let sound = self.settings.format.encode(frame.samples());
                    writer.send_json(service, &message::append(sound)).await?;
                }
                Some(order) = orders.next() => {
                    let settings = match order {
                        ModelOrder::Interruptible(interruptible) => Some(self.settings.interruptible(interruptible)),
                        _ => None,
                    };
                    let events = self.state().order(order, Instant::now());
                    for event in events.into_iter().chain(settings) {
                        writer.send_json(service, &event).await?;
                    }
                }
                Some(event) = asides.recv() => writer.send_json(service, &event).await?,
                _ = beats.tick() => writer.send(service, Frames::Ping(Default::default())).await?,
            }
        }
    }

    /// Tells what comes; returns with an error only.
    async fn read(
        &self,
        reader: &mut Reader,
        outbox: &mpsc::UnboundedSender<Value>,
        read: &mut Read,
    ) -> Result<(), Broken> {
        let service = &*self.service;
        let limits = service.limits();
        loop {
            let owed = self.state().owed;
            let late = async {
                match owed {
                    Some(since) => sleep_until(since + limits.first_byte).await,
                    None => std::future::pending().await,
                }
            };
            let received = tokio::select! {
                biased;
                received = timeout(limits.idle, self.receive(reader)) => received,
                () = late => return Err(Broken::for_good(service.late("a response", limits.first_byte))),
            };
            let message = received.map_err(|_| service.late("a sign of life", limits.idle))??;
            let message = message.ok_or_else(|| service.cut_off())?;
            let is_news = !matches!(message, Message::Other);
            let event = match message {
                Message::ResponseDone { response } => self.done(response, reader).await?,
                Message::Error { error } => self.fault(error, reader)?,
                other => {
                    self.tell(other, read).await?;
                    None
                }
            };
            // Behind the telling, which may have waited for what is being played.
            if is_news {
                self.state().progress(Instant::now());
            }
            if let Some(event) = event {
                // The other side is in the same task.
                let _ = outbox.send(event);
            }
        }
    }

    /// The next message; `None` when the service has closed the connection in order.
    async fn receive(&self, reader: &mut Reader) -> Result<Option<Message>, AdapterError> {
        match reader.next(&self.service).await? {
            Some(Received::Text(text)) => {
                let message = serde_json::from_str(&text);
                message.map(Some).map_err(|error| self.service.malformed(error.to_string()))
            }
            Some(Received::Pong) => Ok(Some(Message::Other)),
            None => Ok(None),
        }
    }

    async fn tell(&self, message: Message, read: &mut Read) -> Result<(), Broken> {
        let event = match message {
            Message::SpeechStarted { audio_start_ms, item_id } => {
                let at = self.state().started(&item_id, self.time(audio_start_ms)?);
                read.failures = 0;
                ModelEvent::Callee(TranscriptEvent::SpeechStarted { at })
            }
            Message::SpeechStopped { audio_end_ms, item_id } => {
                let at = self.state().stopped(&item_id, self.time(audio_end_ms)?, Instant::now());
                ModelEvent::Callee(TranscriptEvent::SpeechEnded { at })
            }
            Message::CalleeWords { item_id, delta } => {
                let Some(words) =
                    self.callee(&item_id, |state| state.history.words(&item_id, &delta).to_owned())
                else {
                    return Ok(());
                };
                ModelEvent::Callee(TranscriptEvent::Partial(words))
            }
            Message::CalleeSaid { item_id, transcript } => {
                let words = self.callee(&item_id, |state| {
                    state.history.set(&item_id, &transcript);
                    state.understood(&item_id);
                    transcript.trim().to_owned()
                });
                let Some(words) = words else { return Ok(()) };
                ModelEvent::Callee(TranscriptEvent::Final(words))
            }
            Message::CalleeNotUnderstood { item_id } => {
                self.state().understood(&item_id);
                tracing::warn!(target: "outdial::speech", service = self.service.name(), "words were not written");
                return Ok(());
            }
            Message::ResponseCreated {} => {
                self.state().created(Instant::now());
                read.failures = 0;
                return Ok(());
            }
            Message::Sound { item_id, delta } => self.sound(&item_id, &delta, read)?,
            Message::Words { item_id, delta } => {
                let mut state = self.state();
                let utterance = state.makes(&item_id);
                state.history.words(&item_id, &delta);
                ModelEvent::Words { utterance, text: delta }
            }
            Message::ItemDone { item } => {
                let Some(event) = self.item(item) else { return Ok(()) };
                event
            }
            Message::Updated {} | Message::ResponseDone { .. } | Message::Error { .. } | Message::Other => {
                return Ok(());
            }
        };
        Ok(self.sink.tell(event).await?)
    }

    fn sound(&self, item: &str, delta: &str, read: &mut Read) -> Result<ModelEvent, AdapterError> {
        let utterance = self.state().makes(item);
        if read.utterance.as_ref() != Some(&utterance) {
            (read.utterance, read.odd) = (Some(Arc::clone(&utterance)), None);
        }
        let format = self.settings.format;
        let samples = format.decode(delta, &mut read.odd);
        let samples = samples.ok_or_else(|| self.service.malformed("sound that is no base64"))?;
        Ok(ModelEvent::Sound { utterance, samples, hz: format.rate().hz() })
    }

    /// An item of the model is complete.
    fn item(&self, item: Item) -> Option<ModelEvent> {
        if item.kind == "function_call" {
            return Some(ModelEvent::Tool(ToolCall::new(item.call_id, item.name, item.arguments)));
        }
        let mut state = self.state();
        let place = state.making.iter().position(|known| **known == *item.id)?;
        Some(ModelEvent::Whole { utterance: state.making.remove(place) })
    }

    /// A response is over; returns what to ask for now.
    async fn done(&self, response: Response, reader: &Reader) -> Result<Option<Value>, Broken> {
        self.whole().await?;
        let Some(fault) = response.into_fault() else {
            let mut state = self.state();
            state.failed = 0;
            return Ok(state.done(Instant::now()));
        };
        let (is_final, error) = (fault.is_final(), fault.into_error(&self.service, reader));
        let mut state = self.state();
        state.failed += 1;
        if is_final || state.failed >= FAILED {
            return Err(Broken::for_good(error));
        }
        tracing::warn!(target: "outdial::speech", service = self.service.name(), %error, "a response failed");
        state.again();
        Ok(state.done(Instant::now()))
    }

    /// All of what was being made is there.
    async fn whole(&self) -> Result<(), AdapterError> {
        let making = std::mem::take(&mut self.state().making);
        for utterance in making {
            self.sink.tell(ModelEvent::Whole { utterance }).await?;
        }
        Ok(())
    }

    /// The service tells an error; most change nothing. Returns what to ask for now.
    fn fault(&self, fault: Fault, reader: &Reader) -> Result<Option<Value>, Broken> {
        if fault.code() == "conversation_already_has_active_response" {
            return Ok(self.state().busy(Instant::now()));
        }
        let expired = fault.code() == "session_expired";
        let matters = expired || fault.is_final() || fault.is_about(message::RESPOND);
        let error = fault.into_error(&self.service, reader);
        if matters {
            return Err(Broken { error, passing: expired });
        }
        tracing::warn!(target: "outdial::speech", service = self.service.name(), %error, "an error is told");
        Ok(None)
    }

    /// Words of the callee with their times, if it is known when they were said.
    fn callee(&self, item: &str, words: impl FnOnce(&mut State) -> String) -> Option<Transcript> {
        let mut state = self.state();
        let (start, end) = state.times(item).unwrap_or_default();
        let text = words(&mut state);
        (!text.is_empty()).then(|| Transcript::new(text, start, end))
    }

    fn time(&self, ms: i64) -> Result<Duration, AdapterError> {
        let ms = u64::try_from(ms).map_err(|_| self.service.malformed("a time that is none"))?;
        Ok(Duration::from_millis(ms))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
