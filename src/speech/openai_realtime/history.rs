//! What was said, for a session that takes the place of another.

use std::collections::VecDeque;

/// How many utterances are kept.
const MOST: usize = 64;
/// How many bytes of one.
const LONGEST: usize = 2_000;

/// The words of both sides, in their order.
#[derive(Debug, Default)]
pub(super) struct History(VecDeque<Entry>);

#[derive(Debug)]
struct Entry {
    item: String,
    by_callee: bool,
    text: String,
    /// No more words of it count.
    cut: bool,
}

impl History {
    /// Somebody begins to say something, unless that is known.
    pub(super) fn begin(&mut self, item: &str, by_callee: bool) -> bool {
        if self.0.iter().any(|entry| entry.item == item) {
            return false;
        }
        if self.0.len() == MOST {
            self.0.pop_front();
        }
        self.0.push_back(Entry { item: item.to_owned(), by_callee, text: String::new(), cut: false });
        true
    }

    /// More words of it; returns all of them.
    pub(super) fn words(&mut self, item: &str, words: &str) -> &str {
        let Some(entry) = self.0.iter_mut().rev().find(|entry| entry.item == item) else { return "" };
        if !entry.cut && entry.text.len() + words.len() <= LONGEST {
            entry.text.push_str(words);
        }
        &entry.text
    }

    /// All its words.
    pub(super) fn set(&mut self, item: &str, words: &str) {
        if let Some(entry) = self.0.iter_mut().rev().find(|entry| entry.item == item) {
            entry.text.clear();
        }
        let end = (0..=words.len().min(LONGEST)).rev().find(|end| words.is_char_boundary(*end));
        self.words(item, &words[..end.unwrap_or(0)]);
    }

    /// These are all of its words that were heard, whatever still comes.
    pub(super) fn cut(&mut self, item: &str, words: &str) {
        self.set(item, words);
        if let Some(entry) = self.0.iter_mut().rev().find(|entry| entry.item == item) {
            entry.cut = true;
        }
    }

    /// Who said what, without those of whom nothing is known.
    pub(super) fn said(&self) -> impl Iterator<Item = (bool, &str)> {
        let said = self.0.iter().map(|entry| (entry.by_callee, entry.text.trim()));
        said.filter(|(_, text)| !text.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_kept_in_the_order_of_the_speakers_and_within_bounds() {
        let mut history = History::default();
        assert!(history.begin("a", true) && !history.begin("a", true));
        history.begin("b", false);
        assert_eq!(history.words("b", "Good "), "Good ");
        assert_eq!(history.words("b", "morning."), "Good morning.");
        // The callee's words come late.
        history.set("a", "Hello?");
        history.begin("c", true);
        assert_eq!(history.said().collect::<Vec<_>>(), [(true, "Hello?"), (false, "Good morning.")]);
        history.set("c", &"ö".repeat(LONGEST));
        assert_eq!(history.said().nth(2).unwrap().1.len(), LONGEST);
        history.cut("b", "Good");
        history.words("b", " morning.");
        assert_eq!(history.said().nth(1), Some((false, "Good")));
        assert_eq!(history.words("unknown", "x"), "");
        for n in 0..MOST {
            history.begin(&n.to_string(), true);
        }
        assert_eq!(history.said().count(), 0);
    }
}
