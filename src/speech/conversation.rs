//! Speaking and listening at the same time.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::Stream;
use tokio::sync::{Mutex, watch};

use super::transcribe::queue;
use super::{
    AdapterError, SayError, Spoken, Synthesizer, Text, Transcriber, Transcript, TranscriptEvent,
    Transcription, VoiceActivity, VoiceChange,
};
use crate::audio::{ListenSink, Listener, Speaker};
use crate::call::{Call, CallError, CallEvent, Events};

/// What interrupts the agent while it speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum BargeIn {
    /// The callee's voice.
    #[default]
    ByVoice,
    /// A key of the callee's telephone, whichever: for menus, and for lines with noise or echo.
    ByKey,
    /// Nothing: for what must be heard to its end.
    Never,
}

/// A call with a voice and ears: it says texts, understands the callee meanwhile, and stops speaking when the callee
/// begins to.
///
/// ```no_run
/// use outdial::Call;
/// use outdial::speech::{BargeIn, Conversation, Synthesizer, Transcriber};
///
/// async fn book(
///     call: &Call,
///     voice: impl Synthesizer + 'static,
///     ears: impl Transcriber + 'static,
/// ) -> Result<(), Box<dyn std::error::Error>> {
///     let conversation = Conversation::start(call, voice, ears)?;
///     conversation.set_barge_in(BargeIn::Never);
///     conversation.say("This call is recorded.").await?;
///     conversation.set_barge_in(BargeIn::ByVoice);
///     let spoken = conversation.say("We have Tuesday at ten, Wednesday at noon, or Friday at four.").await?;
///     if let Some(answer) = conversation.answer().await? {
///         println!("after {:?}: {:?}", spoken.text, answer.text);
///     }
///     Ok(())
/// }
/// ```
///
/// Dropping it stops voice and ears; the call goes on.
pub struct Conversation {
    call: Call,
    voice: Arc<dyn Synthesizer>,
    transcription: Mutex<Transcription>,
    barge_in: watch::Sender<BargeIn>,
    saying: Arc<AtomicUsize>,
}

impl Conversation {
    /// Begins to listen, and can speak. It takes the call's listener, as [`Call::transcribe`] does.
    ///
    /// # Errors
    ///
    /// [`CallError::AudioTaken`] if somebody listens already.
    ///
    /// # Panics
    ///
    /// Outside of a Tokio runtime.
    pub fn start(
        call: &Call,
        voice: impl Synthesizer + 'static,
        ears: impl Transcriber + 'static,
    ) -> Result<Self, CallError> {
        let audio = call.audio()?;
        let (barge_in, mode) = watch::channel(BargeIn::default());
        let saying = Arc::new(AtomicUsize::new(0));
        let (frames, sink) = queue(audio.listener.rate(), ears.rate(audio.listener.rate()));
        let attention = Attention {
            activity: VoiceActivity::new(audio.listener.rate()),
            listener: audio.listener,
            frames: sink,
            speaker: audio.speaker,
            keys: call.events(),
            mode,
            saying: Arc::clone(&saying),
        };
        let transcription = ears.transcribe(frames).fed_by(tokio::spawn(attention.run()));
        let transcription = super::call::told_to(transcription, call, ears.name());
        Ok(Self {
            call: call.clone(),
            voice: Arc::new(voice),
            transcription: Mutex::new(transcription),
            barge_in,
            saying,
        })
    }

    /// The call.
    pub fn call(&self) -> &Call {
        &self.call
    }

    /// What interrupts the agent from now on, in the middle of a text too.
    pub fn set_barge_in(&self, barge_in: BargeIn) {
        self.barge_in.send_replace(barge_in);
    }

    /// Says a text, as [`Call::say`] does. When the callee interrupts, what is queued is cleared with the next packet,
    /// the synthesizer stops, and [`Spoken`] has the words that were played.
    ///
    /// # Errors
    ///
    /// As for [`Call::say`]; an interruption is none.
    ///
    /// # Cancel safety
    ///
    /// As for [`Call::say`].
    pub async fn say(&self, text: impl Into<Text>) -> Result<Spoken, SayError> {
        let text = text.into();
        let _saying = Saying::begin(&self.saying);
        self.call.say(&self.voice, text).await
    }

    /// [`say`](Self::say) for a text that is still being written.
    ///
    /// # Errors
    ///
    /// As for [`say`](Self::say).
    ///
    /// # Cancel safety
    ///
    /// As for [`say`](Self::say); the stream is dropped too.
    pub async fn say_stream<S>(&self, pieces: S) -> Result<Spoken, SayError>
    where
        S: Stream + Send + 'static,
        S::Item: Into<String>,
    {
        self.say(Text::from_pieces(pieces)).await
    }

    /// The next thing that the recogniser tells. `None` when the call has ended.
    ///
    /// # Errors
    ///
    /// The error with which the recogniser ended; it is the last thing that comes.
    ///
    /// # Cancel safety
    ///
    /// A call that is dropped has taken nothing.
    pub async fn next(&self) -> Result<Option<TranscriptEvent>, AdapterError> {
        self.transcription.lock().await.next().await.transpose()
    }

    /// The next words of the callee that will not change. `None` when the call has ended. What was said while the agent
    /// spoke counts.
    ///
    /// # Errors
    ///
    /// As for [`next`](Self::next).
    ///
    /// # Cancel safety
    ///
    /// A call that is dropped has taken no final words.
    pub async fn answer(&self) -> Result<Option<Transcript>, AdapterError> {
        loop {
            match self.next().await? {
                Some(TranscriptEvent::Final(words)) => return Ok(Some(words)),
                Some(_) => {}
                None => return Ok(None),
            }
        }
    }
}

impl fmt::Debug for Conversation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Conversation").field("call", self.call.id()).finish_non_exhaustive()
    }
}

/// Counts a text for as long as it is being said.
struct Saying<'a>(&'a AtomicUsize);

impl<'a> Saying<'a> {
    fn begin(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for Saying<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Gives the ears their frames, and notices when the callee wants to say something. It does not keep the call up.
struct Attention {
    listener: Listener,
    frames: ListenSink,
    activity: VoiceActivity,
    speaker: Speaker,
    keys: Events,
    mode: watch::Receiver<BargeIn>,
    saying: Arc<AtomicUsize>,
}

impl Attention {
    async fn run(mut self) {
        let mut over = false;
        loop {
            tokio::select! {
                frame = self.listener.recv() => {
                    let Some(frame) = frame else { return };
                    // What comes before the answer is no callee.
                    let change = if frame.is_early() { None } else { self.activity.frame(&frame) };
                    if matches!(change, Some(VoiceChange::Started { .. })) {
                        self.interrupted_by(BargeIn::ByVoice);
                    }
                    self.frames.push_frame(&frame);
                }
                event = self.keys.next(), if !over => match event {
                    Some(CallEvent::Dtmf(_)) => self.interrupted_by(BargeIn::ByKey),
                    Some(_) => {}
                    None => over = true,
                },
            }
        }
    }

    fn interrupted_by(&self, what: BargeIn) {
        if *self.mode.borrow() == what && self.saying.load(Ordering::Relaxed) > 0 {
            self.speaker.clear();
        }
    }
}
