//! What this side does in an answered call: say its piece, press keys, listen, and know when to hang up.

use std::time::Duration;

use outdial::audio::dtmf::{DialString, Tone};
use outdial::audio::{MarkOutcome, Speaker};
use outdial::call::Call;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep, sleep_until};

use super::hearing::Heard;
use super::note::Note;
use super::prompt::Prompt;

/// A callee who was heard and then is silent for so long has said what there is to say.
const SILENCE: Duration = Duration::from_secs(2);
/// How long a callee who has not been heard yet may take to say something.
const PATIENCE: Duration = Duration::from_secs(6);
/// However much the callee talks, this is the end of listening if nobody said how long.
const LONGEST: Duration = Duration::from_secs(60);
/// How long one key takes on the wire, with the gap after it.
const KEY: Duration = Duration::from_millis(250);

/// Why the call is to be hung up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Why {
    /// The callee was heard and has been silent since.
    CalleeSilent,
    /// The callee never said anything.
    NothingHeard,
    /// The time for listening is over.
    TimeOver,
    /// Ctrl-C.
    Interrupted,
    /// There is nothing to hang up any more.
    Over,
}

impl Why {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::CalleeSilent => "the callee has been silent for 2 s",
            Self::NothingHeard => "nothing was heard from the callee",
            Self::TimeOver => "the time for listening is over",
            Self::Interrupted => "interrupted",
            Self::Over => "the call is over",
        }
    }
}

/// One side of a conversation.
pub(super) struct Conversation {
    pub(super) call: Call,
    pub(super) speaker: Speaker,
    pub(super) prompt: Option<Prompt>,
    pub(super) keys: Option<DialString>,
    pub(super) listen: Option<Duration>,
    pub(super) heard: watch::Receiver<Heard>,
    pub(super) notes: mpsc::UnboundedSender<Note>,
}

impl Conversation {
    /// Holds it from the answer on and returns when the call is to be hung up.
    pub(super) async fn hold(mut self) -> Why {
        if self.call.answered().await.is_err() {
            return Why::Over;
        }
        if let Some(prompt) = self.prompt.take() {
            self.tell(Note::Speaking { text: prompt.text, length: prompt.length });
            if self.speaker.send(&prompt.samples).await.is_err() {
                return Why::Over;
            }
            if self.speaker.drain().await != MarkOutcome::Played {
                return Why::Over;
            }
            self.tell(Note::Spoken);
        }
        if let Some(keys) = self.keys.take() {
            self.press(&keys).await;
        }
        match self.listen {
            Some(length) => {
                sleep(length).await;
                Why::TimeOver
            }
            None => self.listen_out().await,
        }
    }

    async fn press(&self, keys: &DialString) {
        for part in keys.tones().chunk_by(|a, b| matches!((a, b), (Tone::Key(_), Tone::Key(_)))) {
            let pressed: String = part.iter().filter_map(key).collect();
            if pressed.is_empty() {
                for tone in part {
                    if let Tone::Pause(pause) = tone {
                        sleep(*pause).await;
                    }
                }
                continue;
            }
            let failed = self.call.send_dtmf(&pressed).await.err();
            let count = u32::try_from(pressed.len()).unwrap_or(u32::MAX);
            self.tell(Note::Pressed { keys: pressed, failed: failed.map(|error| error.to_string()) });
            sleep(KEY * count).await;
        }
    }

    /// Listens until the callee has nothing more to say.
    async fn listen_out(&mut self) -> Why {
        let begun = Instant::now();
        loop {
            let (by, why) = match self.heard.borrow_and_update().last {
                Some(last) => (last.max(begun) + SILENCE, Why::CalleeSilent),
                None => (begun + PATIENCE, Why::NothingHeard),
            };
            let (by, why) = if by > begun + LONGEST { (begun + LONGEST, Why::TimeOver) } else { (by, why) };
            tokio::select! {
                () = sleep_until(by) => return why,
                changed = self.heard.changed() => if changed.is_err() {
                    // The sound has ended, and so has the call.
                    self.call.ended().await;
                    return Why::Over;
                },
            }
        }
    }

    fn tell(&self, note: Note) {
        // Nobody reads any more when the call is over.
        let _ = self.notes.send(note);
    }
}

fn key(tone: &Tone) -> Option<char> {
    match tone {
        Tone::Key(digit) => Some(digit.as_char()),
        Tone::Pause(_) => None,
    }
}
