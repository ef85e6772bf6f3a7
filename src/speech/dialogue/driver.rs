//! The task that holds a call and a model together.

use std::future::pending;
use std::sync::Arc;
use std::time::Instant;

use tokio::sync::{mpsc, watch};

use super::mouth::{Mouth, Over, Told};
use super::{DialogueEvent, Fallback, ModelEvent, ModelOrder, ModelSession};
use crate::audio::{ListenSink, Listener, MarkOutcome};
use crate::call::{CallEvent, CallLog, Events, Said, Scribe};
use crate::speech::call::{tell, write_down};
use crate::speech::say::{speak, word};
use crate::speech::{AdapterError, BargeIn, Failure, TranscriptEvent, VoiceActivity, VoiceChange};

/// It does not keep the call up.
pub(super) struct Driver {
    pub(super) name: String,
    pub(super) log: Arc<CallLog>,
    /// Who writes down the words of the call, if anybody does.
    pub(super) scribe: Option<Arc<dyn Scribe>>,
    pub(super) listener: Listener,
    /// The model's ears.
    pub(super) frames: ListenSink,
    pub(super) activity: VoiceActivity,
    pub(super) keys: Events,
    pub(super) mode: watch::Receiver<BargeIn>,
    pub(super) mouth: Mouth,
    /// None when it has failed.
    pub(super) session: Option<ModelSession>,
    pub(super) orders: mpsc::Receiver<ModelOrder>,
    pub(super) events: mpsc::Sender<DialogueEvent>,
    pub(super) fallback: watch::Receiver<Option<Fallback>>,
}

/// How it ended.
pub(super) struct Ended {
    pub(super) listener: Listener,
    pub(super) error: Option<AdapterError>,
}

impl Driver {
    pub(super) async fn run(mut self) -> Ended {
        let (mut error, mut keys_over) = (None, false);
        loop {
            if error.is_some() && self.mouth.is_idle() {
                break;
            }
            tokio::select! {
                frame = self.listener.recv() => {
                    let Some(frame) = frame else { return self.ended(None) };
                    // What comes before the answer is no callee.
                    if frame.is_early() {
                        continue;
                    }
                    if matches!(self.activity.frame(&frame), Some(VoiceChange::Started { .. })) {
                        self.interrupted_by(BargeIn::ByVoice);
                    }
                    self.frames.push_frame(&frame);
                }
                told = self.mouth.next() => match told {
                    Told::Played(over) => self.said(over),
                    Told::Cleared => self.cleared(),
                    Told::Closed => {
                        for over in self.mouth.cleared(MarkOutcome::Ended) {
                            self.said(over);
                        }
                        return self.ended(None);
                    }
                    Told::Unusable(unusable) => {
                        self.cleared();
                        self.session = None;
                        error.get_or_insert(self.failed(unusable));
                    }
                },
                event = next(&mut self.session), if self.mouth.has_room() => match event {
                    Some(Ok(event)) => self.take(event),
                    ended => {
                        self.session = None;
                        self.mouth.finish();
                        let early = || AdapterError::CutOff { service: self.name.clone() };
                        let why = ended.and_then(Result::err).unwrap_or_else(early);
                        error.get_or_insert(self.failed(why));
                    }
                },
                order = self.orders.recv() => match order {
                    Some(order) => self.order(order),
                    // The host wants its listener back.
                    None => return self.ended(None),
                },
                Ok(()) = self.mode.changed() => {
                    let by_voice = *self.mode.borrow_and_update() == BargeIn::ByVoice;
                    self.order(ModelOrder::Interruptible(by_voice));
                }
                event = self.keys.next(), if !keys_over => match event {
                    Some(CallEvent::Dtmf(_)) => self.interrupted_by(BargeIn::ByKey),
                    Some(_) => {}
                    None => keys_over = true,
                },
            }
        }
        let fallback = self.fallback.borrow().clone();
        if let Some(Fallback { voice, text }) = fallback {
            let log = Arc::clone(&self.log);
            let said = speak(self.mouth.speaker(), &*voice, text.into(), self.scribe.clone(), &|failure| {
                tell(&log, failure)
            })
            .await;
            self.tell(DialogueEvent::Said(said.unwrap_or_else(|error| error.spoken)));
        }
        self.ended(error)
    }

    fn ended(self, error: Option<AdapterError>) -> Ended {
        Ended { listener: self.listener, error }
    }

    /// Tells that the model failed, and who goes on.
    fn failed(&self, error: AdapterError) -> AdapterError {
        let fallback = self.fallback.borrow().as_ref().map(|fallback| fallback.voice.name().to_owned());
        let failure = Failure::new(&self.name, error.clone(), fallback);
        tell(&self.log, &failure);
        self.tell(DialogueEvent::Failed(failure));
        error
    }

    /// Tells the host; what nobody takes is lost.
    fn tell(&self, event: DialogueEvent) {
        if self.events.try_send(event).is_err() {
            tracing::debug!(target: "outdial::speech", call = %self.log.id(), "an event of a dialogue was taken by nobody");
        }
    }

    fn order(&self, order: ModelOrder) {
        if let Some(session) = &self.session
            && !session.order(order)
        {
            tracing::warn!(target: "outdial::speech", call = %self.log.id(), "the model takes no orders");
        }
    }

    fn take(&mut self, event: ModelEvent) {
        match event {
            ModelEvent::Sound { utterance, samples, hz } => self.mouth.sound(&utterance, &samples, hz),
            ModelEvent::Words { utterance, text } => {
                if self.mouth.words(&utterance, &text) {
                    self.tell(DialogueEvent::Saying(text));
                }
            }
            ModelEvent::Whole { utterance } => self.mouth.whole(&utterance),
            ModelEvent::Callee(event) => {
                if matches!(event, TranscriptEvent::SpeechStarted { .. }) {
                    self.interrupted_by(BargeIn::ByVoice);
                }
                if let Some(scribe) = &self.scribe {
                    write_down(&**scribe, &event);
                }
                self.tell(DialogueEvent::Callee(event));
            }
            ModelEvent::Tool(call) => self.tell(DialogueEvent::Tool(call)),
        }
    }

    fn interrupted_by(&mut self, what: BargeIn) {
        if *self.mode.borrow() == what && !self.mouth.is_idle() {
            let cut = self.mouth.interrupt();
            self.tell_cut(cut);
        }
    }

    /// Somebody else has cleared the queue, the host itself.
    fn cleared(&mut self) {
        let cut = self.mouth.cleared(MarkOutcome::Cleared);
        if !cut.is_empty() {
            self.tell_cut(cut);
        }
    }

    fn tell_cut(&self, cut: Vec<Over>) {
        let is_cut = |over: &&Over| over.spoken.outcome != MarkOutcome::Played;
        let cuts = cut.iter().filter(is_cut).map(|over| over.cut.clone()).collect();
        cut.into_iter().for_each(|over| self.said(over));
        self.order(ModelOrder::Interrupted(cuts));
    }

    /// An utterance is over.
    fn said(&self, over: Over) {
        let Over { spoken, start, .. } = over;
        if let Some(scribe) = &self.scribe {
            let end = Instant::now();
            let (text, unplayed, outcome) = (&*spoken.text, &*spoken.unplayed, word(spoken.outcome));
            if !text.is_empty() || !unplayed.is_empty() {
                scribe.said(Said { text, unplayed, outcome, start: start.unwrap_or(end), end });
            }
        }
        self.tell(DialogueEvent::Said(spoken));
    }
}

/// The model's next event; none ever comes when it has failed.
async fn next(session: &mut Option<ModelSession>) -> Option<Result<ModelEvent, AdapterError>> {
    match session {
        Some(session) => session.next().await,
        None => pending().await,
    }
}
