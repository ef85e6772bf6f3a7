//! One utterance of a model on its way to the callee: bookkeeping, without a clock or waiting.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::audio::{Mark, MarkOutcome, SampleRate};
use crate::speech::convert::Converter;
use crate::speech::script::Script;
use crate::speech::{AdapterError, Cut, Spoken};

/// What one piece lasts that is queued at a time, in milliseconds.
const PIECE_MS: usize = 100;

/// Positions are on the scale of `Speaker::played`.
pub(super) struct Utterance {
    pub(super) id: Arc<str>,
    rate: SampleRate,
    /// Its words so far.
    text: String,
    /// It has all its sound and words.
    pub(super) whole: bool,
    /// Sound that has not been queued.
    clips: VecDeque<(Vec<i16>, u32)>,
    converter: Option<Converter>,
    /// Where its first sample stands, once that has been queued.
    start: Option<u64>,
    /// In front of the first sample.
    pub(super) first: Option<Mark>,
    /// How long it is so far, in samples at the call's rate.
    length: u64,
}

impl Utterance {
    pub(super) fn new(id: Arc<str>, rate: SampleRate) -> Self {
        Self {
            id,
            rate,
            text: String::new(),
            whole: false,
            clips: VecDeque::new(),
            converter: None,
            start: None,
            first: None,
            length: 0,
        }
    }

    pub(super) fn words(&mut self, text: &str) {
        self.text.push_str(text);
    }

    /// More sound, in pieces that can be queued.
    pub(super) fn sound(&mut self, samples: &[i16], hz: u32) {
        let hz_call = u64::from(self.rate.hz());
        self.length += samples.len() as u64 * hz_call / u64::from(hz.max(1));
        let piece = (hz as usize * PIECE_MS / 1_000).max(1);
        self.clips.extend(samples.chunks(piece).map(|samples| (samples.to_vec(), hz)));
    }

    /// How much of its sound waits here, in samples at the call's rate.
    pub(super) fn waiting(&self) -> u64 {
        let at_call = |(samples, hz): &(Vec<i16>, u32)| {
            samples.len() as u64 * u64::from(self.rate.hz()) / u64::from((*hz).max(1))
        };
        self.clips.iter().map(at_call).sum()
    }

    /// The next piece at the call's rate, which may be empty. `None`: there is none now.
    pub(super) fn next_piece(&mut self) -> Option<Result<Vec<i16>, AdapterError>> {
        if let Some((samples, hz)) = self.clips.pop_front() {
            let mut out = Vec::new();
            if self.converter.as_ref().is_none_or(|converter| converter.from() != hz) {
                out = self.converter.as_mut().map(Converter::finish).unwrap_or_default();
                match Converter::new(hz, self.rate) {
                    Ok(new) => self.converter = Some(new),
                    Err(error) => return Some(Err(error)),
                }
            }
            out.extend(self.converter.iter_mut().flat_map(|converter| converter.push(&samples)));
            return Some(Ok(out));
        }
        // What the filter still holds.
        self.whole.then(|| self.converter.take()).flatten().map(|mut converter| Ok(converter.finish()))
    }

    /// All of it has been queued.
    pub(super) fn is_queued(&self) -> bool {
        self.whole && self.clips.is_empty() && self.converter.is_none()
    }

    /// Its next sample stands here.
    pub(super) fn queued_at(&mut self, position: u64) {
        self.start.get_or_insert(position);
    }

    /// How much of it has been played when everything before `played` has.
    fn heard(&self, played: u64) -> u64 {
        self.start.map_or(0, |start| played.saturating_sub(start)).min(self.length)
    }

    /// Whether it was played to its end.
    pub(super) fn is_played(&self, played: u64) -> bool {
        self.whole && self.heard(played) == self.length
    }

    /// What the callee has heard of it.
    pub(super) fn spoken(&self, played: u64, outcome: MarkOutcome) -> Spoken {
        let (text, unplayed) = if outcome == MarkOutcome::Played {
            (self.text.clone(), String::new())
        } else {
            let mut script = Script::new(self.rate);
            script.saying(self.text.clone(), 0);
            script.queued(self.length);
            script.split(self.heard(played), self.whole)
        };
        Spoken { outcome, text, unplayed, failures: Vec::new() }
    }

    /// The same for the model.
    pub(super) fn cut(&self, played: u64, spoken: &Spoken) -> Cut {
        Cut::new(Arc::clone(&self.id), self.rate.duration(self.heard(played)), spoken.text.clone())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const RATE: SampleRate = SampleRate::Hz16000;

    /// Two seconds of sound at 24 kHz for four words.
    fn utterance() -> Utterance {
        let mut utterance = Utterance::new("item".into(), RATE);
        utterance.words("aaaa bbbb ");
        utterance.sound(&[1; 24_000], 24_000);
        utterance.words("cccc dddd");
        utterance.sound(&[1; 24_000], 24_000);
        utterance
    }

    #[test]
    fn sound_is_converted_piece_by_piece_and_nothing_is_lost() {
        let mut utterance = utterance();
        assert_eq!(utterance.waiting(), 32_000);
        let mut samples = 0;
        while let Some(piece) = utterance.next_piece() {
            samples += piece.unwrap().len();
        }
        assert!(!utterance.is_queued(), "more may come");
        utterance.whole = true;
        samples += utterance.next_piece().unwrap().unwrap().len();
        assert!(utterance.is_queued() && utterance.next_piece().is_none());
        assert!((32_000..32_000 + RATE.samples(10)).contains(&samples), "{samples}");
    }

    /// What was played before it does not count, nor what was never queued.
    #[test]
    fn what_was_heard_is_by_its_place_in_the_stream() {
        let mut utterance = utterance();
        let cut = |utterance: &Utterance, played| {
            let spoken = utterance.spoken(played, MarkOutcome::Cleared);
            (utterance.cut(played, &spoken).heard, spoken.text)
        };
        assert_eq!(cut(&utterance, 50_000), (Duration::ZERO, String::new()));
        utterance.queued_at(40_000);
        utterance.queued_at(41_600);
        assert_eq!(cut(&utterance, 39_000).0, Duration::ZERO);
        utterance.whole = true;
        assert_eq!(cut(&utterance, 40_000 + 17_600), (Duration::from_millis(1_100), "aaaa bbbb".to_owned()));
        assert!(!utterance.is_played(40_000 + 31_999) && utterance.is_played(40_000 + 32_000));
        // Something else was said behind it.
        assert_eq!(cut(&utterance, 99_000).0, Duration::from_secs(2));
    }

    #[test]
    fn what_is_no_rate_is_an_error() {
        let mut utterance = Utterance::new("item".into(), RATE);
        utterance.sound(&[0; 8], 0);
        assert_eq!(utterance.next_piece().unwrap().unwrap_err().kind(), "invalid");
    }
}
