//! The digits of a telephone keypad, as RFC 4733 sends them, and as tones.

mod detector;
mod frequencies;
mod tones;

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

pub(crate) use detector::Detector;
use serde::{Deserialize, Serialize};
pub(crate) use tones::Tones;

/// One key: `0` to `9`, `*`, `#`, `A` to `D`.
///
/// In configuration and JSON it is a string of one character.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "char", into = "char")]
pub struct Digit(u8);

/// The keys in the order of their event codes, RFC 4733 section 3.2.
const KEYS: [char; 16] = ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', '*', '#', 'A', 'B', 'C', 'D'];

impl Digit {
    /// The key with this event code, 0 to 15 (RFC 4733 section 3.2). `None` for other events, flash (16) among them.
    pub const fn from_event(event: u8) -> Option<Self> {
        if (event as usize) < KEYS.len() { Some(Self(event)) } else { None }
    }

    /// The event code, 0 to 15 (RFC 4733 section 3.2).
    pub const fn event(self) -> u8 {
        self.0
    }

    /// The character on the key.
    pub const fn as_char(self) -> char {
        KEYS[self.0 as usize]
    }
}

impl fmt::Display for Digit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.as_char(), f)
    }
}

impl From<Digit> for char {
    fn from(digit: Digit) -> Self {
        digit.as_char()
    }
}

impl TryFrom<char> for Digit {
    type Error = NotADigit;

    fn try_from(key: char) -> Result<Self, NotADigit> {
        let upper = key.to_ascii_uppercase();
        KEYS.iter().position(|&k| k == upper).map(|event| Self(event as u8)).ok_or(NotADigit(key))
    }
}

/// A character that is on no key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no telephone key: 0 to 9, *, #, A to D")]
pub struct NotADigit(pub char);

/// What to send next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Tone {
    /// Press this key.
    Key(Digit),
    /// Wait so long.
    Pause(Duration),
}

/// How long a `w` waits.
const SHORT_PAUSE: Duration = Duration::from_millis(500);
/// How long a `,` waits.
const LONG_PAUSE: Duration = Duration::from_secs(2);

/// Keys and pauses to send in a row, parsed from a dial string: keys as in [`Digit`], `w` for half a second and
/// `,` for two.
///
/// ```
/// use outdial::audio::dtmf::DialString;
///
/// let extension: DialString = "1,,42#".parse()?;
/// assert_eq!(extension.tones().len(), 6);
/// assert_eq!(extension.to_string(), "1,,42#");
/// # Ok::<(), outdial::audio::dtmf::DialStringError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct DialString(Vec<Tone>);

impl DialString {
    /// The keys and pauses, in order; at least one.
    pub fn tones(&self) -> &[Tone] {
        &self.0
    }
}

impl From<Digit> for DialString {
    fn from(digit: Digit) -> Self {
        Self(vec![Tone::Key(digit)])
    }
}

impl FromStr for DialString {
    type Err = DialStringError;

    fn from_str(text: &str) -> Result<Self, DialStringError> {
        let tone = |(at, key)| match key {
            'w' | 'W' => Ok(Tone::Pause(SHORT_PAUSE)),
            ',' => Ok(Tone::Pause(LONG_PAUSE)),
            key => Digit::try_from(key)
                .map(Tone::Key)
                .map_err(|source| DialStringError::Character { at, source }),
        };
        let tones: Vec<Tone> = text.chars().enumerate().map(tone).collect::<Result<_, _>>()?;
        if tones.is_empty() { Err(DialStringError::Empty) } else { Ok(Self(tones)) }
    }
}

impl fmt::Display for DialString {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|tone| match tone {
            Tone::Key(digit) => digit.fmt(f),
            Tone::Pause(pause) => f.write_str(if *pause == SHORT_PAUSE { "w" } else { "," }),
        })
    }
}

/// Why a text is no [`DialString`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DialStringError {
    /// It has no characters.
    #[error("a dial string needs at least one key")]
    Empty,
    /// It has a character that is neither key nor pause.
    #[error("character {} is neither a key nor a pause (w, comma)", at + 1)]
    Character {
        /// Where, in characters from 0.
        at: usize,
        /// What it is.
        source: NotADigit,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn event_codes_are_those_of_the_rfc() {
        let table = [('0', 0), ('1', 1), ('9', 9), ('*', 10), ('#', 11), ('A', 12), ('D', 15)];
        for (key, event) in table {
            let digit = Digit::try_from(key).expect("it is on the keypad");
            assert_eq!((digit.event(), digit.to_string()), (event, key.to_string()));
            assert_eq!(Digit::from_event(event), Some(digit));
        }
        assert_eq!(Digit::try_from('b'), Ok(Digit(13)));
        assert_eq!(Digit::try_from('E'), Err(NotADigit('E')));
        assert_eq!(Digit::from_event(16), None, "flash is an event but no key");
    }

    #[test]
    fn dial_strings_have_keys_and_pauses() {
        let tones = "5w,#".parse::<DialString>().expect("keys and pauses");
        assert_eq!(
            tones.tones(),
            [
                Tone::Key(Digit(5)),
                Tone::Pause(Duration::from_millis(500)),
                Tone::Pause(Duration::from_secs(2)),
                Tone::Key(Digit(11)),
            ]
        );
        assert_eq!("".parse::<DialString>(), Err(DialStringError::Empty));
        let error = "12-3".parse::<DialString>().expect_err("no key");
        assert_eq!(error, DialStringError::Character { at: 2, source: NotADigit('-') });
        assert_eq!(error.to_string(), "character 3 is neither a key nor a pause (w, comma)");
    }

    #[test]
    fn json_has_the_character() {
        let digit = Digit::try_from('#').expect("it is on the keypad");
        assert_eq!(serde_json::to_string(&digit).expect("a string"), "\"#\"");
        assert_eq!(serde_json::from_str::<Digit>("\"a\"").expect("a key"), Digit(12));
        assert!(serde_json::from_str::<Digit>("\"x\"").is_err());
    }
}
