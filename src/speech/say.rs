//! A text, said to the callee.

use std::sync::Arc;
use std::time::Instant;

use super::convert::Converter;
use super::script::Script;
use super::{AdapterError, Failure, Piece, Speech, Spoken, Synthesizer, Text};
use crate::audio::{Mark, MarkOutcome, SendError, Speaker};
use crate::call::{Said, Scribe};

/// A synthesizer failed in the middle of a text, and nobody went on.
#[derive(Debug, Clone, thiserror::Error)]
#[error("the speech broke off")]
pub struct SayError {
    /// What the callee has heard of it.
    pub spoken: Spoken,
    /// Why.
    #[source]
    pub source: AdapterError,
}

/// Says `text` through a call's speaker and waits until it has been played: [`Call::say`](crate::call::Call::say) for
/// those who hold the streams.
///
/// Texts take turns: what two tasks say at the same time is played one after the other.
/// [`Speaker::clear`](crate::audio::Speaker::clear) stops the text, its synthesizer, and the texts that wait for their
/// turn.
///
/// # Errors
///
/// [`SayError`] when the synthesizer fails. That the callee is cleared of it or hangs up is no error, but an outcome.
///
/// # Cancel safety
///
/// A `say` that is dropped stops the synthesizer. What it has queued is played.
///
/// # Panics
///
/// Outside of a Tokio runtime.
pub async fn say(
    speaker: &Speaker,
    synthesizer: &dyn Synthesizer,
    text: impl Into<Text>,
) -> Result<Spoken, SayError> {
    speak(speaker, synthesizer, text.into(), None, &|_| ()).await
}

/// [`say`], telling `observer` of each adapter that fails when it does, and `scribe` what was said in the end.
pub(super) async fn speak(
    speaker: &Speaker,
    synthesizer: &dyn Synthesizer,
    text: Text,
    scribe: Option<Arc<dyn Scribe>>,
    observer: &(dyn Fn(&Failure) + Send + Sync),
) -> Result<Spoken, SayError> {
    let clears = speaker.clears();
    let mut speech = synthesizer.synthesize(text, speaker.rate());
    let mut utterance = Utterance {
        speaker,
        script: Script::new(speaker.rate()),
        failures: Vec::new(),
        observer,
        scribe,
        start: None,
    };
    let queued = tokio::select! {
        biased;
        error = speaker.voided(clears) => Queued::Void(error),
        queued = utterance.queue(&mut speech) => queued,
    };
    // Whatever comes now is not to be heard.
    drop(speech);
    let ((outcome, end), error) = match queued {
        Queued::Void(SendError::Closed) => ((MarkOutcome::Ended, Instant::now()), None),
        Queued::Void(_) => ((MarkOutcome::Cleared, Instant::now()), None),
        Queued::Whole => (utterance.played().await, None),
        Queued::Broken(error) => {
            let failure = Failure::new(synthesizer.name(), error.clone(), None);
            observer(&failure);
            (utterance.played().await, Some(error))
        }
    };
    let whole = outcome == MarkOutcome::Played && error.is_none();
    let (text, unplayed) = utterance.script.split(speaker.played(), whole);
    let word = if error.is_some() { "failed" } else { word(outcome) };
    utterance.tell(&text, &unplayed, word, end);
    let spoken = Spoken { outcome, text, unplayed, failures: std::mem::take(&mut utterance.failures) };
    match error {
        Some(source) => Err(SayError { spoken, source }),
        None => Ok(spoken),
    }
}

/// What a scribe calls an outcome.
pub(super) fn word(outcome: MarkOutcome) -> &'static str {
    match outcome {
        MarkOutcome::Played => "played",
        MarkOutcome::Cleared => "cleared",
        MarkOutcome::Ended => "ended",
    }
}

/// How the way into the queue ended.
enum Queued {
    Whole,
    Broken(AdapterError),
    Void(SendError),
}

/// A text on its way into the playout queue.
struct Utterance<'a> {
    speaker: &'a Speaker,
    script: Script,
    failures: Vec<Failure>,
    observer: &'a (dyn Fn(&Failure) + Send + Sync),
    /// Until it has been told.
    scribe: Option<Arc<dyn Scribe>>,
    /// In front of the first sample.
    start: Option<Mark>,
}

impl Utterance<'_> {
    /// Queues all that comes.
    async fn queue(&mut self, speech: &mut Speech) -> Queued {
        let _floor = self.speaker.floor().await;
        let mut converter: Option<Converter> = None;
        let broken = loop {
            let samples = match speech.next().await {
                Some(Ok(Piece::Sound { samples, hz })) => {
                    let mut out = Vec::new();
                    if converter.as_ref().is_none_or(|converter| converter.from() != hz) {
                        out = converter.as_mut().map(Converter::finish).unwrap_or_default();
                        match Converter::new(hz, self.speaker.rate()) {
                            Ok(new) => converter = Some(new),
                            Err(error) => break Some(error),
                        }
                    }
                    out.extend(converter.iter_mut().flat_map(|converter| converter.push(&samples)));
                    out
                }
                Some(Ok(Piece::Saying(text))) => {
                    self.script.saying(text, self.position());
                    continue;
                }
                Some(Ok(Piece::Failed(failure))) => {
                    (self.observer)(&failure);
                    self.failures.push(failure);
                    continue;
                }
                Some(Err(error)) => break Some(error),
                None => break None,
            };
            if let Err(error) = self.send(&samples).await {
                return Queued::Void(error);
            }
        };
        let rest = converter.as_mut().map(Converter::finish).unwrap_or_default();
        if let Err(error) = self.send(&rest).await {
            return Queued::Void(error);
        }
        self.speaker.end_utterance();
        broken.map_or(Queued::Whole, Queued::Broken)
    }

    async fn send(&mut self, samples: &[i16]) -> Result<(), SendError> {
        if self.start.is_none() && !samples.is_empty() {
            self.start = Some(self.speaker.mark_within("the first word"));
        }
        self.speaker.send(samples).await?;
        self.script.queued(self.position());
        Ok(())
    }

    /// Where the next sample will stand.
    fn position(&self) -> u64 {
        let stats = self.speaker.stats();
        stats.played + stats.queued
    }

    /// Waits until what was queued has been played, or will not be.
    async fn played(&self) -> (MarkOutcome, Instant) {
        self.speaker.mark("say").passed().await
    }

    /// Tells the scribe what was said, once.
    fn tell(&mut self, text: &str, unplayed: &str, outcome: &'static str, end: Instant) {
        let Some(scribe) = self.scribe.take() else { return };
        let start = self.start.as_mut().and_then(Mark::passed_at).unwrap_or(end);
        if !text.is_empty() || !unplayed.is_empty() {
            scribe.said(Said { text, unplayed, outcome, start, end });
        }
    }
}

impl Drop for Utterance<'_> {
    /// Nobody waits for it any more: what has been queued is played all the same.
    fn drop(&mut self) {
        if self.scribe.is_some() {
            let (text, unplayed) = self.script.split(self.position(), false);
            self.tell(&text, &unplayed, "dropped", Instant::now());
        }
    }
}
