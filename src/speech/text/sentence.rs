//! Where sentences end.

use unicode_segmentation::UnicodeSegmentation as _;

/// What is longer than this, in characters, is no sentence; it is cut at a space.
const LONGEST: usize = 1_000;

/// Words with a full stop behind which a sentence goes on.
const TITLES: [&str; 12] =
    ["mr.", "mrs.", "ms.", "dr.", "prof.", "st.", "no.", "e.g.", "i.e.", "vs.", "sr.", "jr."];

/// Cuts text that comes in pieces into sentences, by the rules of Unicode (UAX 29).
#[derive(Debug, Default)]
pub(super) struct Splitter {
    open: String,
}

impl Splitter {
    /// Takes a piece; returns the sentences that are complete now.
    pub(super) fn push(&mut self, piece: &str) -> Vec<String> {
        self.open.push_str(piece);
        let mut complete: Vec<String> = Vec::new();
        // The last one may go on.
        let mut sentence = String::new();
        for part in self.open.split_sentence_bounds() {
            if !sentence.is_empty() && !goes_on(&sentence) {
                complete.push(std::mem::take(&mut sentence));
            }
            sentence.push_str(part);
        }
        self.open = sentence;
        while self.open.chars().nth(LONGEST).is_some() {
            let end = self.open.char_indices().nth(LONGEST).map_or(self.open.len(), |(at, _)| at);
            let cut = self.open[..end].rfind(char::is_whitespace).map_or(end, |at| at + 1);
            let cut = (cut..=end).find(|at| self.open.is_char_boundary(*at)).unwrap_or(end);
            let rest = self.open.split_off(cut);
            complete.push(std::mem::replace(&mut self.open, rest));
        }
        complete
    }

    /// What is left, at the end of the text.
    pub(super) fn finish(&mut self) -> Option<String> {
        let rest = std::mem::take(&mut self.open);
        (!rest.is_empty()).then_some(rest)
    }
}

/// Whether a sentence goes on although the rules see its end: after a title, and while it has no word.
fn goes_on(sentence: &str) -> bool {
    let last = sentence.split_whitespace().next_back().unwrap_or_default();
    !sentence.contains(char::is_alphanumeric) || TITLES.contains(&last.to_lowercase().as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(text: &str) -> Vec<String> {
        let mut splitter = Splitter::default();
        let mut all = splitter.push(text);
        all.extend(splitter.finish());
        assert_eq!(all.concat(), text, "nothing is lost and nothing is added");
        // The same in pieces of one character.
        let mut one_by_one = Vec::new();
        for c in text.chars() {
            one_by_one.extend(splitter.push(c.encode_utf8(&mut [0; 4])));
        }
        one_by_one.extend(splitter.finish());
        assert_eq!(one_by_one.concat(), text);
        all
    }

    #[test]
    fn sentences_end_where_people_end_them() {
        let table: [(&str, &[&str]); 6] = [
            ("Hello. How are you?", &["Hello. ", "How are you?"]),
            ("It is 3.5 degrees. Cold!", &["It is 3.5 degrees. ", "Cold!"]),
            ("Dr. Smith is in. Come.", &["Dr. Smith is in. ", "Come."]),
            ("... Well. Yes.", &["... Well. ", "Yes."]),
            ("One line\nanother line", &["One line\n", "another line"]),
            ("no end", &["no end"]),
        ];
        for (text, sentences) in table {
            assert_eq!(split(text), sentences, "{text}");
        }
    }

    #[test]
    fn what_never_ends_is_cut_at_a_space() {
        let all = split(&"wörd ".repeat(500));
        assert!(all.len() >= 3 && all.iter().all(|part| part.chars().count() <= LONGEST));
        assert!(all[0].ends_with(' '));
        let all = split(&"ö".repeat(2_500));
        assert_eq!(all.iter().map(|part| part.chars().count()).collect::<Vec<_>>(), [1_000, 1_000, 500]);
    }
}
