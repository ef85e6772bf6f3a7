//! Which words have been played.

use super::Failure;
use crate::audio::{MarkOutcome, SampleRate};

/// How fast people speak, in characters per second, until the speech itself tells.
const PACE: f64 = 15.0;

/// What the callee has heard of a text.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Spoken {
    /// Whether it was played to its end.
    pub outcome: MarkOutcome,
    /// The words that were played. Where the synthesizer tells words apart it is exact to the word; where it tells
    /// sentences, the border within the sentence is estimated from its length and how much of it was played, and a word
    /// that was broken off counts as not played.
    pub text: String,
    /// The words behind them that the synthesizer had taken up and that were not played.
    pub unplayed: String,
    /// Adapters that failed on the way and were replaced.
    pub failures: Vec<Failure>,
}

impl Spoken {
    pub(super) fn nothing(outcome: MarkOutcome) -> Self {
        Self { outcome, text: String::new(), unplayed: String::new(), failures: Vec::new() }
    }

    /// Whether all of it was played.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.outcome == MarkOutcome::Played
    }
}

/// A part of the text and where it begins in the stream, in samples.
#[derive(Debug)]
struct Segment {
    text: String,
    start: u64,
    end: u64,
}

/// The bookkeeping of a text on its way into the playout queue: positions are on the scale of `Speaker::played`.
#[derive(Debug)]
pub(super) struct Script {
    rate: SampleRate,
    segments: Vec<Segment>,
}

impl Script {
    pub(super) fn new(rate: SampleRate) -> Self {
        Self { rate, segments: Vec::new() }
    }

    /// From this position on `text` is said.
    pub(super) fn saying(&mut self, text: String, at: u64) {
        self.segments.push(Segment { text, start: at, end: at });
    }

    /// What is being said has been queued up to this position.
    pub(super) fn queued(&mut self, to: u64) {
        if let Some(segment) = self.segments.last_mut() {
            segment.end = to;
        }
    }

    /// Which words were played, and which were not, when everything before `played` has been. `complete`: the last
    /// segment has been queued as a whole.
    pub(super) fn split(&self, played: u64, complete: bool) -> (String, String) {
        let (mut heard, mut unheard) = (String::new(), String::new());
        for (index, segment) in self.segments.iter().enumerate() {
            let whole = complete || index + 1 < self.segments.len();
            if whole && played >= segment.end && (segment.end > segment.start || unheard.is_empty()) {
                heard.push_str(&segment.text);
            } else if played <= segment.start {
                unheard.push_str(&segment.text);
            } else {
                let length = if whole { segment.end - segment.start } else { self.expected(segment) };
                let part = (played - segment.start) as f64 / length.max(1) as f64;
                let (first, rest) = segment.text.split_at(border(&segment.text, part));
                heard.push_str(first);
                unheard.push_str(rest);
            }
        }
        (heard, unheard)
    }

    /// How long a segment will be that is still being made, in samples: by the pace of those before it, and at least as
    /// long as it is already.
    fn expected(&self, open: &Segment) -> u64 {
        let done = self.segments.iter().filter(|segment| segment.start < open.start);
        let (characters, samples) = done.fold((0, 0), |(characters, samples), segment| {
            (characters + segment.text.chars().count(), samples + segment.end - segment.start)
        });
        let per_character = if characters >= 10 {
            samples as f64 / characters as f64
        } else {
            f64::from(self.rate.hz()) / PACE
        };
        let expected = (open.text.chars().count() as f64 * per_character) as u64;
        expected.max(open.end - open.start)
    }
}

/// Where the words end, in bytes, that are over after this part of the text.
fn border(text: &str, part: f64) -> usize {
    let characters = text.chars().count() as f64;
    let over = (part.clamp(0.0, 1.0) * characters) as usize;
    let mut border = 0;
    let mut in_word = false;
    for (count, (at, c)) in text.char_indices().enumerate() {
        if in_word && c.is_whitespace() {
            // Over it is when the space behind it is.
            if count + 1 > over {
                return border;
            }
            border = at;
        }
        in_word = !c.is_whitespace();
    }
    if part >= 1.0 { text.len() } else { border }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_told_apart_where_the_synthesizer_does() {
        let mut script = Script::new(SampleRate::Hz8000);
        for (n, word) in ["One ", "two ", "three."].into_iter().enumerate() {
            script.saying(word.to_owned(), n as u64 * 1_000);
            script.queued((n as u64 + 1) * 1_000);
        }
        let table = [
            (0, "", "One two three."),
            (999, "", "One two three."),
            (1_000, "One ", "two three."),
            (2_400, "One two ", "three."),
            (3_000, "One two three.", ""),
        ];
        for (played, heard, unheard) in table {
            assert_eq!(script.split(played, true), (heard.to_owned(), unheard.to_owned()), "{played}");
        }
    }

    #[test]
    fn within_a_sentence_the_border_is_estimated() {
        let mut script = Script::new(SampleRate::Hz8000);
        script.saying("aaaa bbbb cccc dddd ".to_owned(), 0);
        script.queued(20_000);
        assert_eq!(script.split(10_500, true), ("aaaa bbbb".to_owned(), " cccc dddd ".to_owned()));
        // The rest of it is still being made: by the pace of people it takes 1.3 s.
        assert_eq!(script.split(5_500, false).0, "aaaa");
        assert_eq!(script.split(20_000, true).0, "aaaa bbbb cccc dddd ");
    }

    #[test]
    fn a_sentence_that_is_being_made_has_the_pace_of_those_before_it() {
        let mut script = Script::new(SampleRate::Hz8000);
        script.saying("0123456789 ".to_owned(), 0);
        script.queued(11_000);
        script.saying("aaaa bbbb cccc dddd ".to_owned(), 11_000);
        script.queued(15_000);
        assert_eq!(script.split(11_000 + 9_500, false).0, "0123456789 aaaa");
        assert_eq!(script.split(11_000 + 9_600, false).1, " bbbb cccc dddd ");
    }

    #[test]
    fn borders_are_between_words() {
        for (text, part, words) in [
            ("one two", 0.0, ""),
            ("one two", 0.42, ""),
            ("one two", 0.5, ""),
            ("one two", 0.6, "one"),
            ("one two", 0.99, "one"),
            ("one two", 1.0, "one two"),
            ("ein Öl fließt", 0.6, "ein Öl"),
            ("", 0.5, ""),
        ] {
            assert_eq!(&text[..border(text, part)], words, "{text:?} {part}");
        }
    }
}
