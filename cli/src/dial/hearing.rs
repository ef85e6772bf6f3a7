//! What comes from the callee: recorded, and told apart into voice and silence.

use anyhow::Result;
use outdial::audio::Listener;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use super::note::Note;
use super::recorder::{Recorder, Recording};

/// Frames quieter than this are silence: −46 dBFS, above the noise of a telephone line, well below a voice.
const THRESHOLD: f64 = 164.0;
/// So many frames of 20 ms in a row make a sound a voice and not a click.
const FRAMES: u32 = 3;
/// A voice that comes back after so many frames of silence is a new utterance: one second.
const NEW_UTTERANCE: u32 = 50;

/// What has been heard since the answer.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Heard {
    /// When the callee's voice was heard last.
    pub(super) last: Option<Instant>,
}

/// Listens until the sound ends; returns the recording if there is one.
pub(super) async fn hear(
    mut listener: Listener,
    mut recorder: Option<Recorder>,
    heard: watch::Sender<Heard>,
    notes: mpsc::UnboundedSender<Note>,
) -> Result<Option<Recording>> {
    let mut voice = Voice::default();
    while let Some(frame) = listener.recv().await {
        if let Some(recorder) = &mut recorder {
            recorder.write(&frame);
        }
        // An announcement of the network is not the callee's answer to anything.
        if frame.is_early() {
            continue;
        }
        match voice.frame(frame.samples()) {
            Sound::Silence => {}
            sound @ (Sound::Voice | Sound::Utterance) => {
                heard.send_replace(Heard { last: Some(Instant::now()) });
                if sound == Sound::Utterance {
                    // Nobody reads any more when the call is over.
                    let _ = notes.send(Note::Hearing);
                }
            }
        }
    }
    match recorder {
        Some(recorder) => recorder.finish().await.map(Some),
        None => Ok(None),
    }
}

/// What a frame is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sound {
    Silence,
    Voice,
    /// The first voice after a while.
    Utterance,
}

/// Voice against silence, by level alone.
#[derive(Debug, Default)]
struct Voice {
    loud: u32,
    quiet: Option<u32>,
}

impl Voice {
    fn frame(&mut self, samples: &[i16]) -> Sound {
        let power: f64 = samples.iter().map(|&sample| f64::from(sample).powi(2)).sum();
        if power < THRESHOLD.powi(2) * samples.len() as f64 {
            self.loud = 0;
            self.quiet = self.quiet.map(|quiet| quiet.saturating_add(1));
            return Sound::Silence;
        }
        self.loud += 1;
        if self.loud < FRAMES {
            return Sound::Silence;
        }
        if self.quiet.replace(0).is_none_or(|quiet| quiet >= NEW_UTTERANCE) {
            Sound::Utterance
        } else {
            Sound::Voice
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sounds(levels: &[(i16, usize)]) -> Vec<Sound> {
        let mut voice = Voice::default();
        let frames = levels.iter().flat_map(|&(level, count)| std::iter::repeat_n([level; 320], count));
        frames.map(|frame| voice.frame(&frame)).collect()
    }

    #[test]
    fn a_click_and_line_noise_are_silence() {
        assert!(sounds(&[(100, 100), (20_000, 2), (100, 100)]).iter().all(|sound| *sound == Sound::Silence));
    }

    #[test]
    fn an_utterance_begins_with_the_first_voice_and_after_a_second_of_silence() {
        let count = |levels| sounds(levels).iter().filter(|sound| **sound == Sound::Utterance).count();
        assert_eq!(count(&[(0, 10), (1000, 20)]), 1);
        assert_eq!(count(&[(1000, 20), (0, 20), (1000, 20)]), 1);
        assert_eq!(count(&[(1000, 20), (0, 60), (1000, 20)]), 2);
    }
}
