//! Ears in the place of those that fail.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::audio::{Frame, ListenSink, Listener, SampleRate};
use crate::speech::transcribe::{PATIENCE, queue};
use crate::speech::{AdapterError, Failure, Transcriber, TranscriptEvent, Transcription, TranscriptionSink};

/// Listens with the first recogniser; when that fails, the second goes on.
///
/// A failure is an error, a panic, and an end before that of the call. The second recogniser hears what came since the
/// last final words again, ten seconds of it at most, so that a sentence that was under way is understood.
/// [`TranscriptEvent::Failed`] tells. Each call begins with the first recogniser.
///
/// The second can be such a pair itself.
#[derive(Clone)]
pub struct FallbackTranscriber {
    first: Arc<dyn Transcriber>,
    second: Arc<dyn Transcriber>,
    name: Arc<str>,
}

impl FallbackTranscriber {
    /// `second` goes on when `first` fails.
    pub fn new(first: impl Transcriber + 'static, second: impl Transcriber + 'static) -> Self {
        let name = format!("{}, else {}", first.name(), second.name()).into();
        Self { first: Arc::new(first), second: Arc::new(second), name }
    }
}

impl Transcriber for FallbackTranscriber {
    fn name(&self) -> &str {
        &self.name
    }

    fn transcribe(&self, listener: Listener) -> Transcription {
        let Self { first, second, .. } = self.clone();
        Transcription::spawn(move |sink| async move {
            let ear = Ear::new(&*first, listener.rate());
            let mut relay = Relay { listener, ear, recent: VecDeque::new(), speaking: false, sink };
            let error = match relay.run(first.name()).await {
                Ok(()) => return Ok(()),
                Err(AdapterError::Stopped) => return Err(AdapterError::Stopped),
                Err(error) => error,
            };
            let failure = Failure::new(first.name(), error, Some(second.name().to_owned()));
            relay.sink.tell(TranscriptEvent::Failed(failure)).await?;
            relay.replace(Ear::new(&*second, relay.listener.rate()));
            relay.run(second.name()).await
        })
    }
}

/// A recogniser at work.
struct Ear {
    transcription: Transcription,
    /// Its frames; none are to come when this is gone.
    frames: Option<ListenSink>,
}

impl Ear {
    fn new(transcriber: &dyn Transcriber, from: SampleRate) -> Self {
        let (listener, frames) = queue(from, transcriber.rate(from));
        Self { transcription: transcriber.transcribe(listener), frames: Some(frames) }
    }
}

struct Relay {
    listener: Listener,
    ear: Ear,
    /// What was heard since the last final words.
    recent: VecDeque<Frame>,
    speaking: bool,
    sink: TranscriptionSink,
}

impl Relay {
    /// Gives the recogniser frames and passes on what it tells, until both have ended.
    async fn run(&mut self, name: &str) -> Result<(), AdapterError> {
        loop {
            let event = tokio::select! {
                event = self.ear.transcription.next() => event.transpose()?,
                frame = self.listener.recv(), if self.ear.frames.is_some() => {
                    match frame {
                        Some(frame) => self.hear(frame),
                        None => self.ear.frames = None,
                    }
                    continue;
                }
            };
            match event {
                Some(event) => self.pass_on(event).await?,
                None if self.ear.frames.is_none() => return Ok(()),
                None => return Err(AdapterError::CutOff { service: name.to_owned() }),
            }
        }
    }

    fn hear(&mut self, frame: Frame) {
        if let Some(frames) = &mut self.ear.frames {
            frames.push_frame(&frame);
        }
        let oldest = frame.start().saturating_sub(PATIENCE);
        self.forget(|kept| kept.start() < oldest);
        self.recent.push_back(frame);
    }

    fn forget(&mut self, is_over: impl Fn(&Frame) -> bool) {
        while self.recent.front().is_some_and(&is_over) {
            self.recent.pop_front();
        }
    }

    async fn pass_on(&mut self, event: TranscriptEvent) -> Result<(), AdapterError> {
        match &event {
            // The second one hears again what the first one has told of.
            TranscriptEvent::SpeechStarted { .. } if std::mem::replace(&mut self.speaking, true) => {
                return Ok(());
            }
            TranscriptEvent::SpeechEnded { .. } if !std::mem::take(&mut self.speaking) => return Ok(()),
            TranscriptEvent::Final(words) => {
                let end = words.end;
                self.forget(|frame| frame.start() < end);
            }
            _ => {}
        }
        Ok(self.sink.tell(event).await?)
    }

    fn replace(&mut self, mut ear: Ear) {
        // At the end of the call there is nothing to come but what it did not understand yet.
        let over = self.ear.frames.is_none();
        if let Some(frames) = &mut ear.frames {
            for frame in &self.recent {
                frames.push_frame(frame);
            }
        }
        if over {
            ear.frames = None;
        }
        self.ear = ear;
    }
}
