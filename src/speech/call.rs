//! Speech, as methods of a call.

use std::sync::Arc;

use futures_util::Stream;

use super::say::speak;
use super::transcriber::Told;
use super::{Failure, SayError, Spoken, Synthesizer, Text, Transcriber, TranscriptEvent, Transcription};
use crate::audio::MarkOutcome;
use crate::call::{Call, CallError, CallEvent, CallLog, Heard, Scribe};

impl Call {
    /// Says `text` to the callee and waits until it has been played; before the answer it waits for that. The sound is
    /// on the wire as soon as the synthesizer has any.
    ///
    /// Texts take turns: what two tasks say at the same time is played one after the other. To stop them, call
    /// [`clear`](crate::audio::Speaker::clear) of [`speaker`](Self::speaker): the synthesizer is stopped too, and
    /// [`Spoken`] tells what was played until then.
    ///
    /// # Errors
    ///
    /// [`SayError`] when the synthesizer fails; [`CallEvent::SpeechFailed`] is told as well. That the speech is cleared
    /// or the call ends is no error, but the [outcome](Spoken::outcome).
    ///
    /// # Cancel safety
    ///
    /// A `say` that is dropped stops the synthesizer. What it has queued is played.
    pub async fn say(
        &self,
        synthesizer: &dyn Synthesizer,
        text: impl Into<Text>,
    ) -> Result<Spoken, SayError> {
        let text = text.into();
        match self.speaker() {
            Ok(speaker) => {
                let log = self.log();
                speak(&speaker, synthesizer, text, self.scribe(), &|failure| tell(log, failure)).await
            }
            Err(_) => Ok(Spoken::nothing(MarkOutcome::Ended)),
        }
    }

    /// [`say`](Self::say) for a text that is still being written: the pieces of a language model, as they come. A
    /// synthesizer begins with the first piece, or the first sentence, that it can say.
    ///
    /// # Errors
    ///
    /// As for [`say`](Self::say).
    ///
    /// # Cancel safety
    ///
    /// As for [`say`](Self::say); the stream is dropped too.
    pub async fn say_stream<S>(&self, synthesizer: &dyn Synthesizer, pieces: S) -> Result<Spoken, SayError>
    where
        S: Stream + Send + 'static,
        S::Item: Into<String>,
    {
        self.say(synthesizer, Text::from_pieces(pieces)).await
    }

    /// Begins to understand the callee. It takes the call's listener: [`audio`](Self::audio) fails from then on, and the
    /// way to the callee is [`speaker`](Self::speaker).
    ///
    /// It hears what comes before the answer too, announcements of the network and ringing tones; to leave them out,
    /// wait for [`answered`](Self::answered) first. A failure is told as [`CallEvent::SpeechFailed`] as well, when it
    /// comes out of the [`Transcription`].
    ///
    /// # Errors
    ///
    /// [`CallError::AudioTaken`] if somebody listens already.
    ///
    /// # Panics
    ///
    /// Outside of a Tokio runtime.
    pub fn transcribe(&self, transcriber: &dyn Transcriber) -> Result<Transcription, CallError> {
        let listener = self.audio()?.listener;
        Ok(told_to(super::transcribe(listener, transcriber), self, transcriber.name()))
    }
}

/// Tells the failures of a transcription by the recogniser with this name among the call's events too, and its words to the
/// call's scribe.
pub(super) fn told_to(transcription: Transcription, call: &Call, name: &str) -> Transcription {
    let log = Arc::clone(call.log());
    let scribe = call.scribe();
    transcription.observed(name, move |told| match (told, &scribe) {
        (Told::Failed(failure), _) => tell(&log, failure),
        (Told::Event(event), Some(scribe)) => write_down(&**scribe, event),
        (Told::Event(_), None) => {}
    })
}

/// Tells a scribe the words of the callee.
pub(super) fn write_down(scribe: &dyn Scribe, event: &TranscriptEvent) {
    let (words, is_final) = match event {
        TranscriptEvent::Partial(words) => (words, false),
        TranscriptEvent::Final(words) => (words, true),
        _ => return,
    };
    scribe.heard(Heard { text: &words.text, is_final, start: words.start, end: words.end });
}

/// Puts a failure among the call's events.
pub(super) fn tell(log: &CallLog, failure: &Failure) {
    tracing::warn!(target: "outdial::speech", call = %log.id(), %failure, "speech failed");
    log.append([CallEvent::SpeechFailed {
        adapter: failure.adapter.clone(),
        kind: failure.error.kind(),
        error: failure.error.to_string(),
        fallback: failure.fallback.clone(),
    }]);
}
