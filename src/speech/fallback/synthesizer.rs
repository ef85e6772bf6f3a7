//! A voice in the place of one that fails.

use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

use crate::audio::SampleRate;
use crate::speech::{AdapterError, Failure, Piece, Speech, SpeechSink, Synthesizer, Text};

/// How long a voice may be silent although it has something to say.
const PATIENCE: Duration = Duration::from_secs(5);

/// Speaks with the first voice; when that fails, the second goes on in the middle of the text.
///
/// A failure is an error, a panic, an end without any sound, and silence: nothing for five seconds although a sentence
/// was there to be said. The second voice begins with the sentence in which the first one broke off, and takes the rest
/// of the text as it comes; a [`Recording`](super::super::Recording) is played in place of it. [`Piece::Failed`] tells.
/// Each text begins with the first voice again.
///
/// The second can be such a pair itself.
#[derive(Clone)]
pub struct FallbackSynthesizer {
    first: Arc<dyn Synthesizer>,
    second: Arc<dyn Synthesizer>,
    name: Arc<str>,
    patience: Duration,
}

impl FallbackSynthesizer {
    /// `second` goes on when `first` fails.
    pub fn new(first: impl Synthesizer + 'static, second: impl Synthesizer + 'static) -> Self {
        let name = format!("{}, else {}", first.name(), second.name()).into();
        Self { first: Arc::new(first), second: Arc::new(second), name, patience: PATIENCE }
    }

    /// How long the first voice may be silent although it has something to say, instead of five seconds.
    #[must_use]
    pub fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }
}

impl Synthesizer for FallbackSynthesizer {
    fn name(&self) -> &str {
        &self.name
    }

    fn synthesize(&self, text: Text, rate: SampleRate) -> Speech {
        let Self { first, second, patience, .. } = self.clone();
        Speech::spawn(move |sink| async move {
            let mut script = Script { text, ended: false, given: String::new() };
            let error = match relay(&*first, &mut script, String::new(), rate, Some(patience), &sink).await {
                Ok(()) => return Ok(()),
                Err(Broken { error: AdapterError::Stopped, .. }) => return Err(AdapterError::Stopped),
                Err(broken) => broken,
            };
            let failure = Failure::new(first.name(), error.error, Some(second.name().to_owned()));
            sink.put(Piece::Failed(failure)).await?;
            let rest = behind(&script.given, error.said).to_owned();
            let second = relay(&*second, &mut script, rest, rate, None, &sink).await;
            second.map_err(|broken| broken.error)
        })
    }
}

/// The text, and as much of it as is there.
struct Script {
    text: Text,
    ended: bool,
    given: String,
}

/// How a voice failed, and how many letters it had said by then in whole sentences, white space not counted.
struct Broken {
    error: AdapterError,
    said: usize,
}

/// Lets a voice say `begin` and what comes behind it.
async fn relay(
    voice: &dyn Synthesizer,
    script: &mut Script,
    begin: String,
    rate: SampleRate,
    patience: Option<Duration>,
    sink: &SpeechSink,
) -> Result<(), Broken> {
    let (sender, receiver) = mpsc::channel::<String>(1);
    let pieces = stream::unfold(receiver, async |mut receiver| {
        let piece = receiver.recv().await?;
        Some((piece, receiver))
    });
    let mut speech = voice.synthesize(Text::from_pieces(pieces), rate);
    let mut sender = Some(sender);
    let mut next = (!begin.is_empty()).then_some(begin);
    // Letters of the sentences that have been said, and of the one that is being said.
    let (mut said, mut saying) = (0, 0);
    let mut sounded = false;
    let mut quiet_since: Option<Instant> = None;
    loop {
        if script.ended && next.is_none() {
            sender = None;
        }
        let owes = sender.is_none() || has_sentence(behind(&script.given, said + saying));
        quiet_since = if owes { quiet_since.or_else(|| Some(Instant::now())) } else { None };
        let limit = quiet_since.zip(patience);
        let silence = async {
            match limit {
                Some((since, patience)) => {
                    sleep_until(since + patience).await;
                    patience
                }
                None => pending().await,
            }
        };
        let piece = tokio::select! {
            piece = speech.next() => piece,
            piece = script.text.next_piece(), if next.is_none() && !script.ended => {
                script.ended = piece.is_none();
                script.given.extend(piece.as_deref());
                next = piece;
                continue;
            }
            permit = room(sender.clone()), if next.is_some() && sender.is_some() => {
                match (permit, next.take()) {
                    (Some(permit), Some(piece)) => drop(permit.send(piece)),
                    // It wants no more text; what it has to say of what it has comes.
                    _ => sender = None,
                }
                continue;
            }
            limit = silence => {
                let error = AdapterError::TimedOut { what: format!("the speech of {}", voice.name()), limit };
                return Err(Broken { error, said });
            }
        };
        let piece = match piece {
            Some(Ok(piece)) => piece,
            Some(Err(error)) => return Err(Broken { error, said }),
            None if !sounded && script.given.contains(char::is_alphanumeric) => {
                let error = AdapterError::CutOff { service: voice.name().to_owned() };
                return Err(Broken { error, said });
            }
            None => return Ok(()),
        };
        match &piece {
            Piece::Saying(text) => {
                said += saying;
                saying = letters(text);
            }
            Piece::Sound { .. } => sounded = true,
            Piece::Failed(_) => {}
        }
        sink.put(piece).await.map_err(|stopped| Broken { error: stopped.into(), said })?;
        quiet_since = None;
    }
}

/// Waits until the voice takes text; `None` when it takes no more.
async fn room(sender: Option<mpsc::Sender<String>>) -> Option<mpsc::OwnedPermit<String>> {
    sender?.reserve_owned().await.ok()
}

/// How many characters are no white space.
fn letters(text: &str) -> usize {
    text.chars().filter(|c| !c.is_whitespace()).count()
}

/// The text behind so many characters that are no white space, from its next word on.
fn behind(text: &str, letters: usize) -> &str {
    let next = text.char_indices().filter(|(_, c)| !c.is_whitespace()).nth(letters);
    next.map_or("", |(at, _)| &text[at..])
}

/// Whether there is a sentence to be said, with its end.
fn has_sentence(text: &str) -> bool {
    let mut characters = text.chars().peekable();
    let mut words = false;
    while let Some(c) = characters.next() {
        words |= c.is_alphanumeric();
        if words
            && matches!(c, '.' | '!' | '?' | '\n')
            && characters.peek().is_some_and(|c| c.is_whitespace())
        {
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rest_begins_behind_what_was_said_however_it_was_spaced() {
        assert_eq!(behind("One two. Three.", letters("One  two.")), "Three.");
        assert_eq!(behind("One two.", 0), "One two.");
        assert_eq!(behind("Öl.", 3), "");
        assert_eq!(behind("Öl.", 30), "");
    }

    #[test]
    fn a_sentence_is_there_when_something_follows_it() {
        for (text, there) in
            [("Hello. ", true), ("Hello.", false), ("3.5", false), (". ", false), ("", false)]
        {
            assert_eq!(has_sentence(text), there, "{text:?}");
        }
    }
}
