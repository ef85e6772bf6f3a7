//! Which words a piece of sound says.

use serde::Deserialize;

/// The characters that a piece of sound says, and when, in milliseconds since the piece began.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Alignment {
    chars: Vec<String>,
    #[serde(rename = "charStartTimesMs", alias = "char_start_times_ms")]
    starts: Vec<u32>,
}

impl Alignment {
    /// The words with the white space behind them, each with its place in a piece of sound of so many samples. What
    /// stands before the first word belongs to it.
    pub(super) fn words(&self, hz: u32, samples: usize) -> Vec<(usize, String)> {
        let mut words: Vec<(usize, String)> = Vec::new();
        let mut over = true;
        for (character, start) in self.chars.iter().zip(&self.starts) {
            let white = character.chars().all(char::is_whitespace);
            let at = (u64::from(*start) * u64::from(hz) / 1_000) as usize;
            match words.last_mut() {
                Some((_, word)) if white || !over || word.trim().is_empty() => word.push_str(character),
                // What is told is not later than what follows, and not behind the sound.
                last => {
                    let least = last.map_or(0, |(at, _)| *at);
                    words.push((at.clamp(least, samples.max(least)), character.clone()));
                }
            }
            over = white;
        }
        if let Some((at, _)) = words.first_mut() {
            *at = 0;
        }
        words
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(json: &str, samples: usize) -> Vec<(usize, String)> {
        serde_json::from_str::<Alignment>(json).unwrap().words(8_000, samples)
    }

    #[test]
    fn words_begin_where_their_first_letter_does() {
        let json = r#"{"charStartTimesMs":[0,104,174,209,255,313,372,406,464,522,592,662],"charDurationsMs":[1],
            "chars":["H","e","l","l","o"," ","W","o","r","l","d"," "]}"#;
        assert_eq!(words(json, 8_000), [(0, "Hello ".to_owned()), (372 * 8, "World ".to_owned())]);
        // Behind the sound there is nothing.
        assert_eq!(words(json, 1_000)[1].0, 1_000);
    }

    #[test]
    fn what_is_odd_stays_in_order() {
        let json = r#"{"chars":[" ","a"," ","b"," ","c"],"charStartTimesMs":[40,50,60,30,80]}"#;
        let words = words(json, 8_000);
        let text: String = words.iter().map(|(_, word)| word.as_str()).collect();
        assert_eq!(text, " a b ");
        assert!(words.is_sorted_by_key(|(at, _)| *at) && words[0].0 == 0, "{words:?}");
        assert!(super::Alignment { chars: vec![], starts: vec![] }.words(8_000, 5).is_empty());
    }
}
