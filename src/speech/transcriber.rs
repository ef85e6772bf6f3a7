//! From sound to text.

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::synthesizer::task_error;
use super::{AdapterError, Failure, Stopped};
use crate::audio::{Listener, SampleRate};

/// How many events wait at most for somebody to take them.
const EVENTS: usize = 64;

/// Writes what it hears: a recogniser.
///
/// A host holds it as `Box<dyn Transcriber>` or `Arc<dyn Transcriber>`, and uses it for many calls at a time. What it
/// knows of a call is its sound.
pub trait Transcriber: Send + Sync {
    /// A name for events and logs: `pocketsphinx`.
    fn name(&self) -> &str;

    /// At which rate it hears, when the call has this one. The sound is converted on its way where they differ.
    fn rate(&self, call: SampleRate) -> SampleRate {
        call
    }

    /// Begins to listen. It returns at once; what goes wrong is told at the end of the [`Transcription`].
    ///
    /// The frames are those of the call, 20 ms each at [`rate`](Self::rate), silence included, and
    /// [`Frame::start`](crate::audio::Frame::start) is the time by which events are told. They wait for ten seconds while
    /// the adapter does something else; then the oldest ones are lost, and a step in their times shows it. When they end,
    /// the adapter tells what it still has to tell, and ends. Dropping the [`Transcription`] stops it.
    fn transcribe(&self, listener: Listener) -> Transcription;
}

impl<T: Transcriber + ?Sized> Transcriber for Box<T> {
    fn name(&self) -> &str {
        (**self).name()
    }

    fn rate(&self, call: SampleRate) -> SampleRate {
        (**self).rate(call)
    }

    fn transcribe(&self, listener: Listener) -> Transcription {
        (**self).transcribe(listener)
    }
}

impl<T: Transcriber + ?Sized> Transcriber for Arc<T> {
    fn name(&self) -> &str {
        (**self).name()
    }

    fn rate(&self, call: SampleRate) -> SampleRate {
        (**self).rate(call)
    }

    fn transcribe(&self, listener: Listener) -> Transcription {
        (**self).transcribe(listener)
    }
}

/// Words of the callee.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Transcript {
    /// The words.
    pub text: String,
    /// When they began, since the call's media did.
    pub start: Duration,
    /// When they ended.
    pub end: Duration,
    /// How sure the recogniser is, 0 to 1, where it tells.
    pub confidence: Option<f32>,
}

impl Transcript {
    /// Words that were spoken from `start` to `end`.
    pub fn new(text: impl Into<String>, start: Duration, end: Duration) -> Self {
        Self { text: text.into(), start, end, confidence: None }
    }

    /// The same with the recogniser's confidence, 0 to 1.
    #[must_use]
    pub fn with_confidence(mut self, confidence: f32) -> Self {
        self.confidence = Some(confidence);
        self
    }
}

/// What a recogniser tells. Times are since the call's media began.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum TranscriptEvent {
    /// The callee began to speak.
    SpeechStarted {
        /// When.
        at: Duration,
    },
    /// What it has understood so far of words that are not final; each one takes the place of the one before.
    Partial(Transcript),
    /// Words that will not change.
    Final(Transcript),
    /// The callee stopped speaking.
    SpeechEnded {
        /// When.
        at: Duration,
    },
    /// The adapter failed and another one goes on; see [`FallbackTranscriber`](super::FallbackTranscriber).
    Failed(Failure),
}

/// The stream of what is understood. Dropping it stops the recogniser.
///
/// It holds 64 events that nobody has taken; then the recogniser waits, and what it does not hear in time is lost.
pub struct Transcription {
    events: mpsc::Receiver<TranscriptEvent>,
    task: Option<JoinHandle<Result<(), AdapterError>>>,
    feed: Option<JoinHandle<()>>,
    observer: Option<Observer>,
}

/// Is told of everything that comes out, and of failures, the final one as that of the adapter with this name.
struct Observer {
    name: String,
    tell: Box<dyn FnMut(Told<'_>) + Send>,
}

/// What an observer is told.
pub(super) enum Told<'a> {
    /// An adapter failed.
    Failed(&'a Failure),
    /// Something else was told.
    Event(&'a TranscriptEvent),
}

impl Observer {
    fn event(&mut self, event: &TranscriptEvent) {
        (self.tell)(match event {
            TranscriptEvent::Failed(failure) => Told::Failed(failure),
            event => Told::Event(event),
        });
    }
}

impl Transcription {
    /// Starts the task of an adapter, which gives its events to the [`TranscriptionSink`]. When the transcription is
    /// dropped, the task is aborted at the place where it waits.
    ///
    /// # Panics
    ///
    /// Outside of a Tokio runtime.
    pub fn spawn<T>(task: impl FnOnce(TranscriptionSink) -> T) -> Self
    where
        T: Future<Output = Result<(), AdapterError>> + Send + 'static,
    {
        let (sender, events) = mpsc::channel(EVENTS);
        let task = tokio::spawn(task(TranscriptionSink(sender)));
        Self { events, task: Some(task), feed: None, observer: None }
    }

    /// A transcription that fails at once.
    pub fn failed(error: AdapterError) -> Self {
        Self::spawn(|_| async move { Err(error) })
    }

    /// This task gives the adapter its frames, and ends with it.
    pub(super) fn fed_by(mut self, feed: JoinHandle<()>) -> Self {
        self.feed = Some(feed);
        self
    }

    /// Tells of each event and failure when it comes out; the final one is that of the adapter with this name. What nobody has
    /// taken when this is dropped is told then.
    pub(super) fn observed(mut self, name: &str, tell: impl FnMut(Told<'_>) + Send + 'static) -> Self {
        self.observer = Some(Observer { name: name.to_owned(), tell: Box::new(tell) });
        self
    }

    /// The next event; `None` when the call has ended and everything has been told. An error is the last thing that
    /// comes.
    ///
    /// # Cancel safety
    ///
    /// A call that is dropped has taken nothing.
    pub async fn next(&mut self) -> Option<Result<TranscriptEvent, AdapterError>> {
        if let Some(event) = self.events.recv().await {
            if let Some(observer) = &mut self.observer {
                observer.event(&event);
            }
            return Some(Ok(event));
        }
        let ended = self.task.as_mut()?.await;
        self.task = None;
        let error = task_error(ended)?;
        if let Some(observer) = &mut self.observer {
            (observer.tell)(Told::Failed(&Failure::new(&observer.name, error.clone(), None)));
        }
        Some(Err(error))
    }
}

impl Drop for Transcription {
    fn drop(&mut self) {
        if let Some(observer) = &mut self.observer {
            while let Ok(event) = self.events.try_recv() {
                // That an adapter failed whom nobody listens to is no news.
                if !matches!(event, TranscriptEvent::Failed(_)) {
                    observer.event(&event);
                }
            }
        }
        if let Some(task) = &self.task {
            task.abort();
        }
        if let Some(feed) = &self.feed {
            feed.abort();
        }
    }
}

impl fmt::Debug for Transcription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transcription").field("ended", &self.task.is_none()).finish_non_exhaustive()
    }
}

/// Where an adapter puts its events.
#[derive(Debug, Clone)]
pub struct TranscriptionSink(mpsc::Sender<TranscriptEvent>);

impl TranscriptionSink {
    /// Tells an event; waits while nobody takes what is there.
    ///
    /// # Errors
    ///
    /// [`Stopped`] when the [`Transcription`] was dropped.
    pub async fn tell(&self, event: TranscriptEvent) -> Result<(), Stopped> {
        self.0.send(event).await.map_err(|_| Stopped)
    }
}
