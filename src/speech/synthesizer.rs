//! From text to sound.

use std::any::Any;
use std::fmt;
use std::future::Future;
use std::sync::Arc;

use tokio::sync::mpsc;
use tokio::task::{JoinError, JoinHandle};

use super::{AdapterError, Failure, Text};
use crate::audio::SampleRate;

/// How long one piece of sound is at most; longer ones are cut.
const PIECE_MS: usize = 100;
/// How many pieces wait at most between an adapter and the playout queue.
const PIECES: usize = 8;

/// Says texts: a voice.
///
/// A host holds it as `Box<dyn Synthesizer>` or `Arc<dyn Synthesizer>`, and uses it for many calls at a time. What it
/// knows of a call is its sample rate.
pub trait Synthesizer: Send + Sync {
    /// A name for events and logs: `espeak`.
    fn name(&self) -> &str;

    /// Begins to say `text`. It returns at once; what goes wrong is told at the end of the [`Speech`].
    ///
    /// `rate` is that of the call: an adapter that can make sound at several rates makes this one, and then nothing is
    /// converted before the codec. Sound at another rate is converted on its way.
    ///
    /// The sound comes as soon as there is any: an adapter does not wait for the end of the text, or of a sentence that
    /// it has begun to synthesize. Dropping the [`Speech`] stops the synthesis.
    fn synthesize(&self, text: Text, rate: SampleRate) -> Speech;
}

impl<T: Synthesizer + ?Sized> Synthesizer for Box<T> {
    fn name(&self) -> &str {
        (**self).name()
    }

    fn synthesize(&self, text: Text, rate: SampleRate) -> Speech {
        (**self).synthesize(text, rate)
    }
}

impl<T: Synthesizer + ?Sized> Synthesizer for Arc<T> {
    fn name(&self) -> &str {
        (**self).name()
    }

    fn synthesize(&self, text: Text, rate: SampleRate) -> Speech {
        (**self).synthesize(text, rate)
    }
}

/// A piece of [`Speech`].
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Piece {
    /// The sound that follows, up to the next one of these, says this: a word, or a whole sentence where the synthesizer
    /// does not tell words apart. Joined, they are the text, give or take white space.
    Saying(String),
    /// Sound: 16-bit mono PCM, at most 100 ms of it.
    Sound {
        /// The samples.
        samples: Vec<i16>,
        /// Their rate in Hz, any from 4,000 to 192,000.
        hz: u32,
    },
    /// The adapter failed and another one goes on; see [`FallbackSynthesizer`](super::FallbackSynthesizer).
    Failed(Failure),
}

/// A text that is being said: sound, and which words it says.
///
/// It holds at most 0.8 s of sound that nobody has taken; then the synthesizer waits. Dropping it stops the synthesizer.
pub struct Speech {
    pieces: mpsc::Receiver<Piece>,
    task: Option<JoinHandle<Result<(), AdapterError>>>,
}

impl Speech {
    /// Starts the task of an adapter, which gives its sound to the [`SpeechSink`]. When the speech is dropped, the task
    /// is aborted at the place where it waits; what it owns is dropped there, child processes should be started with
    /// `kill_on_drop`.
    ///
    /// # Panics
    ///
    /// Outside of a Tokio runtime.
    pub fn spawn<T>(task: impl FnOnce(SpeechSink) -> T) -> Self
    where
        T: Future<Output = Result<(), AdapterError>> + Send + 'static,
    {
        let (sender, pieces) = mpsc::channel(PIECES);
        let task = tokio::spawn(task(SpeechSink(sender)));
        Self { pieces, task: Some(task) }
    }

    /// Speech that fails at once.
    pub fn failed(error: AdapterError) -> Self {
        Self::spawn(|_| async move { Err(error) })
    }

    /// The next piece; `None` when everything has been said. An error is the last thing that comes.
    ///
    /// # Cancel safety
    ///
    /// A call that is dropped has taken nothing.
    pub async fn next(&mut self) -> Option<Result<Piece, AdapterError>> {
        if let Some(piece) = self.pieces.recv().await {
            return Some(Ok(piece));
        }
        let ended = self.task.as_mut()?.await;
        self.task = None;
        task_error(ended).map(Err)
    }
}

impl Drop for Speech {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

impl fmt::Debug for Speech {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Speech").field("ended", &self.task.is_none()).finish_non_exhaustive()
    }
}

/// What an adapter's task ended with, a panic included.
pub(super) fn task_error(ended: Result<Result<(), AdapterError>, JoinError>) -> Option<AdapterError> {
    match ended {
        Ok(result) => result.err(),
        Err(error) if error.is_panic() => Some(AdapterError::Panicked(panic_message(&*error.into_panic()))),
        Err(_) => Some(AdapterError::Stopped),
    }
}

fn panic_message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied().or(panic.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("no message").to_owned()
}

/// Where an adapter puts its sound.
///
/// Each method waits while nobody takes what is there.
#[derive(Debug, Clone)]
pub struct SpeechSink(mpsc::Sender<Piece>);

/// Nobody listens any more; the adapter's task is to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("nobody listens any more")]
pub struct Stopped;

impl SpeechSink {
    /// The sound that follows says `text`, see [`Piece::Saying`].
    ///
    /// # Errors
    ///
    /// [`Stopped`] when the [`Speech`] was dropped.
    pub async fn saying(&self, text: impl Into<String>) -> Result<(), Stopped> {
        self.put(Piece::Saying(text.into())).await
    }

    /// Sound at `hz`, any amount of it.
    ///
    /// # Errors
    ///
    /// [`Stopped`] when the [`Speech`] was dropped.
    pub async fn sound(&self, samples: &[i16], hz: u32) -> Result<(), Stopped> {
        let piece = (hz as usize * PIECE_MS / 1_000).max(1);
        for samples in samples.chunks(piece) {
            self.put(Piece::Sound { samples: samples.to_vec(), hz }).await?;
        }
        Ok(())
    }

    pub(super) async fn put(&self, piece: Piece) -> Result<(), Stopped> {
        self.0.send(piece).await.map_err(|_| Stopped)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn sound_waits_in_pieces_and_an_error_comes_last() {
        let mut speech = Speech::spawn(|sink| async move {
            sink.saying("one").await?;
            sink.sound(&[7; 2_000], 8_000).await?;
            Err(AdapterError::CutOff { service: "test".into() })
        });
        assert!(matches!(speech.next().await, Some(Ok(Piece::Saying(text))) if text == "one"));
        for length in [800, 800, 400] {
            let piece = speech.next().await;
            assert!(
                matches!(&piece, Some(Ok(Piece::Sound { samples, hz: 8_000 })) if samples.len() == length),
                "{piece:?}"
            );
        }
        assert_eq!(speech.next().await.unwrap().unwrap_err().kind(), "cut_off");
        assert!(speech.next().await.is_none());
    }

    #[tokio::test]
    async fn a_panic_is_an_error() {
        let mut speech = Speech::spawn(|_| async { panic!("a fault") });
        let error = speech.next().await.unwrap().unwrap_err();
        assert_eq!((error.kind(), error.to_string()), ("panicked", "the adapter panicked: a fault".into()));
        assert!(speech.next().await.is_none());
    }

    #[tokio::test]
    async fn the_task_ends_with_the_speech() {
        let (alive, mut gone) = mpsc::channel::<()>(1);
        let speech = Speech::spawn(|sink| async move {
            let _alive = alive;
            loop {
                sink.sound(&[0; 800], 8_000).await?;
            }
        });
        tokio::task::yield_now().await;
        drop(speech);
        assert!(gone.recv().await.is_none());
    }
}
