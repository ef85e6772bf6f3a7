//! From sound to sound: what a model that hears and speaks has in common with every other one.

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::audio::{Listener, SampleRate};
use crate::speech::synthesizer::task_error;
use crate::speech::{AdapterError, Stopped, TranscriptEvent};

/// How many events wait at most for the call to take them.
const EVENTS: usize = 64;
/// How many orders wait at most for the adapter to take them.
const ORDERS: usize = 64;

/// Hears and speaks: a model that takes the callee's sound and makes its own, without text in between.
///
/// A host holds it as `Box<dyn SpeechToSpeech>` or `Arc<dyn SpeechToSpeech>`, and uses it for many calls at a time;
/// [`Dialogue`](super::Dialogue) puts it into a call. What it knows of a call is its sound, and how much of what it said
/// the callee has really heard.
pub trait SpeechToSpeech: Send + Sync {
    /// A name for events and logs: `openai-realtime`.
    fn name(&self) -> &str;

    /// At which rate it hears, when the call has this one. The sound is converted on its way where they differ.
    fn rate(&self, call: SampleRate) -> SampleRate {
        call
    }

    /// Begins a session. It returns at once; what goes wrong is told at the end of the [`ModelSession`].
    ///
    /// The frames are the callee's, 20 ms each at [`rate`](Self::rate), from the answer on, silence included, and
    /// [`Frame::start`](crate::audio::Frame::start) is the time by which events are told. They wait for ten seconds while
    /// the adapter does something else; then the oldest ones are lost, and a step in their times shows it. When they end,
    /// so does the session. Dropping the [`ModelSession`] stops it.
    fn converse(&self, listener: Listener) -> ModelSession;
}

impl<T: SpeechToSpeech + ?Sized> SpeechToSpeech for Box<T> {
    fn name(&self) -> &str {
        (**self).name()
    }

    fn rate(&self, call: SampleRate) -> SampleRate {
        (**self).rate(call)
    }

    fn converse(&self, listener: Listener) -> ModelSession {
        (**self).converse(listener)
    }
}

impl<T: SpeechToSpeech + ?Sized> SpeechToSpeech for Arc<T> {
    fn name(&self) -> &str {
        (**self).name()
    }

    fn rate(&self, call: SampleRate) -> SampleRate {
        (**self).rate(call)
    }

    fn converse(&self, listener: Listener) -> ModelSession {
        (**self).converse(listener)
    }
}

/// What a model tells.
///
/// What it says comes as utterances, one after the other, each with a name of the adapter's own.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum ModelEvent {
    /// What it hears of the callee. [`SpeechStarted`](TranscriptEvent::SpeechStarted) interrupts what is being said.
    Callee(TranscriptEvent),
    /// More sound of an utterance. It may come as fast as the model makes it.
    Sound {
        /// Of which one.
        utterance: Arc<str>,
        /// 16-bit mono PCM.
        samples: Vec<i16>,
        /// Their rate in Hz, any from 4,000 to 192,000.
        hz: u32,
    },
    /// More words of an utterance. They may come before their sound and after it.
    Words {
        /// Of which one.
        utterance: Arc<str>,
        /// The words; joined, they are what is said.
        text: String,
    },
    /// An utterance has all its sound and words.
    Whole {
        /// Which one.
        utterance: Arc<str>,
    },
    /// The model wants the host to do something.
    Tool(ToolCall),
}

/// The model wants the host to do something and waits for its result.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ToolCall {
    /// Which request of the model this is; its result names it.
    pub id: String,
    /// Which of the tools.
    pub name: String,
    /// Its arguments, as JSON. They are the model's: to be checked.
    pub arguments: String,
}

impl ToolCall {
    /// A request of a model.
    pub fn new(id: impl Into<String>, name: impl Into<String>, arguments: impl Into<String>) -> Self {
        Self { id: id.into(), name: name.into(), arguments: arguments.into() }
    }
}

/// What a model is told.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum ModelOrder {
    /// The callee has interrupted: stop what is being made. These utterances were cut, the oldest first.
    Interrupted(Vec<Cut>),
    /// Say something now, without waiting for the callee.
    Respond {
        /// What, in place of the model's instructions.
        instructions: Option<String>,
    },
    /// A tool's result, after which the model goes on.
    ToolResult {
        /// The request's [`id`](ToolCall::id).
        id: String,
        /// What came of it.
        output: String,
    },
    /// Whether the callee's voice interrupts from now on.
    Interruptible(bool),
}

/// An utterance that was not played to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Cut {
    /// Which one.
    pub utterance: Arc<str>,
    /// How much of it the callee has heard.
    pub heard: Duration,
    /// The words of that, as well as they are known.
    pub text: String,
}

impl Cut {
    /// Of this utterance so much was heard, with these words.
    pub fn new(utterance: Arc<str>, heard: Duration, text: String) -> Self {
        Self { utterance, heard, text }
    }
}

/// A model at work in a call. Dropping it stops the model.
pub struct ModelSession {
    events: mpsc::Receiver<ModelEvent>,
    orders: mpsc::Sender<ModelOrder>,
    task: Option<JoinHandle<Result<(), AdapterError>>>,
}

impl ModelSession {
    /// Starts the task of an adapter, which gives its events to the [`ModelSink`] and obeys the [`ModelOrders`]. When the
    /// session is dropped, the task is aborted at the place where it waits.
    ///
    /// # Panics
    ///
    /// Outside of a Tokio runtime.
    pub fn spawn<T>(task: impl FnOnce(ModelSink, ModelOrders) -> T) -> Self
    where
        T: Future<Output = Result<(), AdapterError>> + Send + 'static,
    {
        let (sender, events) = mpsc::channel(EVENTS);
        let (orders, receiver) = mpsc::channel(ORDERS);
        let task = tokio::spawn(task(ModelSink(sender), ModelOrders(receiver)));
        Self { events, orders, task: Some(task) }
    }

    /// A session that fails at once.
    pub fn failed(error: AdapterError) -> Self {
        Self::spawn(|_, _| async move { Err(error) })
    }

    /// The next event; `None` at the end of the session. An error is the last thing that comes.
    ///
    /// # Cancel safety
    ///
    /// A call that is dropped has taken nothing.
    pub async fn next(&mut self) -> Option<Result<ModelEvent, AdapterError>> {
        if let Some(event) = self.events.recv().await {
            return Some(Ok(event));
        }
        let ended = self.task.as_mut()?.await;
        self.task = None;
        task_error(ended).map(Err)
    }

    /// Tells the model something; `false` if it has ended, or if more than 64 orders wait.
    pub fn order(&self, order: ModelOrder) -> bool {
        self.orders.try_send(order).is_ok()
    }
}

impl Drop for ModelSession {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

impl fmt::Debug for ModelSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ModelSession").field("ended", &self.task.is_none()).finish_non_exhaustive()
    }
}

/// Where an adapter puts its events.
#[derive(Debug, Clone)]
pub struct ModelSink(mpsc::Sender<ModelEvent>);

impl ModelSink {
    /// Tells an event; waits while a minute of sound has not been played.
    ///
    /// # Errors
    ///
    /// [`Stopped`] when the [`ModelSession`] was dropped.
    pub async fn tell(&self, event: ModelEvent) -> Result<(), Stopped> {
        self.0.send(event).await.map_err(|_| Stopped)
    }
}

/// Where an adapter has its orders from.
#[derive(Debug)]
pub struct ModelOrders(mpsc::Receiver<ModelOrder>);

impl ModelOrders {
    /// The next order; `None` when the [`ModelSession`] was dropped.
    ///
    /// # Cancel safety
    ///
    /// A call that is dropped has taken nothing.
    pub async fn next(&mut self) -> Option<ModelOrder> {
        self.0.recv().await
    }
}
