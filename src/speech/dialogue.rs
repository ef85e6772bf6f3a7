//! A model that hears and speaks, in a call.

mod driver;
mod model;
mod mouth;
mod utterance;

use std::fmt;
use std::sync::Arc;

use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use super::synthesizer::task_error;
use super::transcribe::queue;
use super::{AdapterError, BargeIn, Failure, Spoken, Synthesizer, TranscriptEvent, VoiceActivity};
use crate::audio::Listener;
use crate::call::{Call, CallError};
use driver::{Driver, Ended};
pub use model::{
    Cut, ModelEvent, ModelOrder, ModelOrders, ModelSession, ModelSink, SpeechToSpeech, ToolCall,
};
use mouth::Mouth;

/// How many events wait at most for somebody to take them.
const EVENTS: usize = 256;
/// How many orders of the host wait at most.
const ORDERS: usize = 64;

/// A call with a model that hears and speaks: its sound is played, and stops when the callee begins to speak.
///
/// ```no_run
/// use outdial::Call;
/// use outdial::speech::{Dialogue, DialogueEvent, Recording, SpeechToSpeech};
///
/// async fn talk(call: &Call, model: impl SpeechToSpeech + 'static) -> Result<(), Box<dyn std::error::Error>> {
///     let sorry = Recording::read("one-moment.wav")?;
///     let dialogue = Dialogue::start(call, model)?.fall_back_on(sorry, "");
///     call.answered().await.map_err(|_| "nobody answered")?;
///     dialogue.respond("Say who you are, and ask whether Tuesday at ten suits.");
///     while let Some(event) = dialogue.next().await? {
///         match event {
///             DialogueEvent::Said(spoken) => println!("heard by the callee: {}", spoken.text),
///             DialogueEvent::Tool(tool) => dialogue.tool_result(&tool.id, r#"{"booked":true}"#),
///             _ => {}
///         }
///     }
///     Ok(()) // the call has ended
/// }
/// ```
///
/// The callee's voice interrupts, as with a [`Conversation`](super::Conversation), whether the model notices it first or
/// [`VoiceActivity`] does: what is queued is cleared with the next packet, and the model learns how much of what it said
/// was really played. Before the answer it hears nothing.
///
/// When the model fails in the middle of the call, the rest of what it had said is played, then the
/// [fallback](Self::fall_back_on), and then [`next`](Self::next) returns the error; the call is still up, and
/// [`finish`](Self::finish) gives back its listener for another pipeline.
///
/// Dropping it stops the model; the call goes on.
pub struct Dialogue {
    call: Call,
    events: tokio::sync::Mutex<mpsc::Receiver<DialogueEvent>>,
    orders: mpsc::Sender<ModelOrder>,
    barge_in: watch::Sender<BargeIn>,
    fallback: watch::Sender<Option<Fallback>>,
    task: tokio::sync::Mutex<Task>,
}

/// The driver, or what it ended with.
enum Task {
    Runs(JoinHandle<Ended>),
    Ended(Option<Listener>),
}

/// What is said when the model fails.
#[derive(Clone)]
struct Fallback {
    voice: Arc<dyn Synthesizer>,
    text: String,
}

/// What happens in a [`Dialogue`].
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum DialogueEvent {
    /// What the model hears of the callee, with times since the call's media began.
    Callee(TranscriptEvent),
    /// Words that the model is about to say, as it makes them up.
    Saying(String),
    /// An utterance is over: which of its words the callee has heard.
    Said(Spoken),
    /// The model wants something done; tell it the result with [`Dialogue::tool_result`].
    Tool(ToolCall),
    /// The model has failed; told among the call's events as well.
    Failed(Failure),
}

impl Dialogue {
    /// Begins. It takes the call's listener, as [`Call::transcribe`] does. The model is connected to at once, so that it
    /// is there when the callee answers.
    ///
    /// # Errors
    ///
    /// [`CallError::AudioTaken`] if somebody listens already.
    ///
    /// # Panics
    ///
    /// Outside of a Tokio runtime.
    pub fn start(call: &Call, model: impl SpeechToSpeech + 'static) -> Result<Self, CallError> {
        let audio = call.audio()?;
        let rate = audio.listener.rate();
        let (barge_in, mode) = watch::channel(BargeIn::default());
        let (fallback, last_resort) = watch::channel(None);
        let (sender, events) = mpsc::channel(EVENTS);
        let (orders, receiver) = mpsc::channel(ORDERS);
        let (heard, frames) = queue(rate, model.rate(rate));
        let driver = Driver {
            name: model.name().to_owned(),
            log: Arc::clone(call.log()),
            scribe: call.scribe(),
            listener: audio.listener,
            frames,
            activity: VoiceActivity::new(rate),
            keys: call.events(),
            mode,
            mouth: Mouth::new(audio.speaker),
            session: Some(model.converse(heard)),
            orders: receiver,
            events: sender,
            fallback: last_resort,
        };
        let task = tokio::sync::Mutex::new(Task::Runs(tokio::spawn(driver.run())));
        let events = tokio::sync::Mutex::new(events);
        Ok(Self { call: call.clone(), events, orders, barge_in, fallback, task })
    }

    /// What is said when the model fails: a [`Recording`](super::Recording), or a text by another voice.
    #[must_use]
    pub fn fall_back_on(self, voice: impl Synthesizer + 'static, text: impl Into<String>) -> Self {
        self.fallback.send_replace(Some(Fallback { voice: Arc::new(voice), text: text.into() }));
        self
    }

    /// The call.
    pub fn call(&self) -> &Call {
        &self.call
    }

    /// What interrupts the model from now on, in the middle of an utterance too.
    pub fn set_barge_in(&self, barge_in: BargeIn) {
        self.barge_in.send_replace(barge_in);
    }

    /// Lets the model say something now, without waiting for the callee: the greeting, as a rule. `instructions` take the
    /// place of the model's own this time; empty ones do not.
    pub fn respond(&self, instructions: impl Into<String>) {
        let instructions = Some(instructions.into()).filter(|text| !text.is_empty());
        self.order(ModelOrder::Respond { instructions });
    }

    /// Tells the model what came of a [`ToolCall`], after which it goes on.
    pub fn tool_result(&self, id: &str, output: impl Into<String>) {
        self.order(ModelOrder::ToolResult { id: id.to_owned(), output: output.into() });
    }

    fn order(&self, order: ModelOrder) {
        // Whoever is not there any more needs none.
        let _ = self.orders.try_send(order);
    }

    /// The next thing that happens; `None` when the call has ended. It holds 256 events that nobody has taken; those
    /// behind them are lost.
    ///
    /// # Errors
    ///
    /// The error with which the model ended; it is the last thing that comes.
    ///
    /// # Cancel safety
    ///
    /// A call that is dropped has taken nothing.
    pub async fn next(&self) -> Result<Option<DialogueEvent>, AdapterError> {
        if let Some(event) = self.events.lock().await.recv().await {
            return Ok(Some(event));
        }
        let mut task = self.task.lock().await;
        let Task::Runs(driver) = &mut *task else { return Ok(None) };
        let (listener, error) = ended(driver.await);
        *task = Task::Ended(listener);
        error.map_or(Ok(None), Err)
    }

    /// Stops the model and gives the call's listener back, for another pipeline on the same call:
    /// [`transcribe`](super::transcribe()) with it, and [`Call::say`]. What is queued is played. `None` after a fault of
    /// ours.
    pub async fn finish(self) -> Option<Listener> {
        let Self { events, orders, task, .. } = self;
        drop(orders);
        drop(events);
        match task.into_inner() {
            Task::Runs(driver) => ended(driver.await).0,
            Task::Ended(listener) => listener,
        }
    }
}

/// What a driver ended with, a panic included.
fn ended(ended: Result<Ended, tokio::task::JoinError>) -> (Option<Listener>, Option<AdapterError>) {
    match ended {
        Ok(Ended { listener, error }) => (Some(listener), error),
        Err(fault) => (None, task_error(Err(fault))),
    }
}

impl fmt::Debug for Dialogue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dialogue").field("call", self.call.id()).finish_non_exhaustive()
    }
}
