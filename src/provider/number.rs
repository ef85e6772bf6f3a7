use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// A telephone number in the form of ITU-T E.164: `+`, country code, national number, 7 to 15 digits in all.
///
/// [`parse`](Self::parse) checks that the country code exists and that no trunk prefix (the `0` of `+49 (0)30 …`)
/// was left in. It does not check that the number is in service or even assigned: plans change faster than
/// programs, and test numbers such as +1 202 555 0100 to 0199 must pass. Refusing emergency and premium numbers
/// is the policy's work.
///
/// A number is personal data: `Display` shows it in full, `Debug` and [`masked`](Self::masked) do not. Cloning is
/// cheap.
///
/// ```
/// use outdial::provider::E164;
///
/// let number: E164 = "+1 202 555 0100".parse()?;
/// assert_eq!(number.as_str(), "+12025550100");
/// assert_eq!(format!("{number:?}"), "E164(+1***0100)");
/// # Ok::<(), outdial::provider::E164Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct E164 {
    /// `+` and digits.
    text: Arc<str>,
    /// How many of the digits are the country code: 1 to 3.
    country: u8,
}

impl E164 {
    /// Reads a number. Spaces, `-`, `.`, `(` and `)` between digits are left out, as RFC 3966 section 5.1.1 does.
    ///
    /// # Errors
    ///
    /// [`E164Error`] says what is wrong. It holds no digit of the number, so it can be logged.
    pub fn parse(text: &str) -> Result<Self, E164Error> {
        let mut number = String::with_capacity(16);
        for (at, c) in text.trim().chars().enumerate() {
            match c {
                '+' if at == 0 => number.push('+'),
                _ if at == 0 => return Err(E164Error::NoPlus),
                '0'..='9' => number.push(c),
                ' ' | '-' | '.' | '(' | ')' => {}
                _ => return Err(E164Error::NotADigit { found: c, at }),
            }
        }
        let digits = number.len().saturating_sub(1);
        if number.is_empty() {
            return Err(E164Error::NoPlus);
        }
        if !(7..=15).contains(&digits) {
            return Err(E164Error::Length { digits });
        }
        let known = phonenumber::parse(None, &number).map_err(|_| E164Error::UnknownCountryCode)?;
        let country = known.code().value().to_string();
        let Some(national) = number[1..].strip_prefix(&country) else {
            return Err(E164Error::UnknownCountryCode);
        };
        // Some plans (Italy's) keep the zero, so only the numbering plan can tell whether it belongs there.
        if national.starts_with('0') {
            let proper = known.format().mode(phonenumber::Mode::E164).to_string();
            if proper != number {
                return Err(E164Error::TrunkPrefix);
            }
        }
        Ok(Self { text: number.into(), country: u8::try_from(country.len()).unwrap_or(3) })
    }

    /// The number with its `+`: `+12025550100`.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The number without the `+`: `12025550100`.
    pub fn digits(&self) -> &str {
        &self.text[1..]
    }

    /// The digits of the country code: `1`, `49`, `353`.
    pub fn country_code(&self) -> &str {
        &self.text[1..=usize::from(self.country)]
    }

    /// The digits after the country code.
    pub fn national(&self) -> &str {
        &self.text[1 + usize::from(self.country)..]
    }

    /// The form for logs and the audit trail: country code, three asterisks, last four digits (`+49***6789`). Of
    /// a national number with fewer than eight digits only the last two are shown.
    pub fn masked(&self) -> String {
        let national = self.national();
        let shown = if national.len() < 8 { 2 } else { 4 };
        let tail = &national[national.len().saturating_sub(shown)..];
        format!("+{}***{tail}", self.country_code())
    }
}

impl fmt::Display for E164 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.text)
    }
}

impl fmt::Debug for E164 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "E164({})", self.masked())
    }
}

impl FromStr for E164 {
    type Err = E164Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

impl TryFrom<String> for E164 {
    type Error = E164Error;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::parse(&text)
    }
}

impl From<E164> for String {
    fn from(number: E164) -> Self {
        number.text.as_ref().to_owned()
    }
}

/// Why a text is not a number in the form of E.164.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum E164Error {
    /// It does not begin with `+`: without the country code nobody can know which number is meant.
    #[error("a number begins with + and the country code, as in +12025550100")]
    NoPlus,
    /// Something that is neither a digit nor a separator.
    #[error("{found:?} at position {at} is not part of a telephone number")]
    NotADigit {
        /// What stands there.
        found: char,
        /// Where, counted in characters from 0.
        at: usize,
    },
    /// Fewer than 7 or more than 15 digits.
    #[error("the number has {digits} digits, not 7 to 15")]
    Length {
        /// How many there are.
        digits: usize,
    },
    /// No country or service has this code.
    #[error("no country has the code that the number begins with")]
    UnknownCountryCode,
    /// The national trunk prefix is still in it: `+49 (0)30 …`.
    #[error("the 0 after the country code is not part of the international number")]
    TrunkPrefix,
}

#[cfg(test)]
mod tests {
    use super::*;
    use phonenumber::metadata::DATABASE;
    use proptest::prelude::*;

    #[test]
    fn the_fictional_range_is_accepted() {
        for last in 0..=99 {
            let text = format!("+120255501{last:02}");
            let number = E164::parse(&text).unwrap();
            assert_eq!(number.as_str(), text);
            assert_eq!(number.digits(), &text[1..]);
            assert_eq!((number.country_code(), number.national()), ("1", &text[2..]));
        }
    }

    #[test]
    fn separators_are_left_out() {
        for text in ["+1 202 555 0100", "+1 (202) 555-0100", " +1.202.555.0100 ", "+12025550100"] {
            assert_eq!(E164::parse(text).unwrap().as_str(), "+12025550100");
        }
    }

    #[test]
    fn what_is_no_number_is_refused_with_the_reason() {
        let cases = [
            ("", E164Error::NoPlus),
            ("2025550100", E164Error::NoPlus),
            ("0012025550100", E164Error::NoPlus),
            ("tel:+12025550100", E164Error::NoPlus),
            ("+", E164Error::Length { digits: 0 }),
            ("+1", E164Error::Length { digits: 1 }),
            ("+123456", E164Error::Length { digits: 6 }),
            ("+1234567890123456", E164Error::Length { digits: 16 }),
            ("++12025550100", E164Error::NotADigit { found: '+', at: 1 }),
            ("+1202555010O", E164Error::NotADigit { found: 'O', at: 11 }),
            ("+12025550100;ext=5", E164Error::NotADigit { found: ';', at: 12 }),
            ("+12025550100@example.com", E164Error::NotADigit { found: '@', at: 12 }),
            ("+1202555\r\n0100", E164Error::NotADigit { found: '\r', at: 8 }),
            ("+１2025550100", E164Error::NotADigit { found: '１', at: 1 }),
            ("+9991234567", E164Error::UnknownCountryCode),
            ("+0123456789", E164Error::UnknownCountryCode),
            ("+2101234567", E164Error::UnknownCountryCode),
            ("+49 (0)30 1234567", E164Error::TrunkPrefix),
            ("+44 (0) 20 7946 0000", E164Error::TrunkPrefix),
        ];
        for (text, error) in cases {
            assert_eq!(E164::parse(text), Err(error), "{text:?}");
        }
    }

    /// One real number of each kind in each country.
    #[test]
    fn every_numbering_plan_is_accepted() {
        let mut checked = 0;
        for code in 1..1000_u16 {
            for plan in DATABASE.by_code(&code).unwrap_or_default() {
                let kinds = plan.descriptors();
                let kinds = [
                    Some(kinds.general()),
                    kinds.fixed_line(),
                    kinds.mobile(),
                    kinds.toll_free(),
                    kinds.voip(),
                ];
                for example in kinds.into_iter().flatten().filter_map(|kind| kind.example()) {
                    let text = format!("+{code}{example}");
                    let number = match E164::parse(&text) {
                        Ok(number) => number,
                        Err(E164Error::Length { .. }) if !(8..=16).contains(&text.len()) => continue,
                        Err(e) => panic!("{text}: {e}"),
                    };
                    assert_eq!((number.as_str(), number.country_code()), (&*text, &*code.to_string()));
                    checked += 1;
                }
            }
        }
        assert!(checked > 500, "only {checked} examples");
    }

    #[test]
    fn masking_keeps_the_country_and_the_tail() {
        let cases = [
            ("+4915123456789", "+49***6789"),
            ("+12025550100", "+1***0100"),
            ("+353861234567", "+353***4567"),
            ("+2901234", "+290***34"),
            ("+29051234", "+290***34"),
            ("+35312345678", "+353***5678"),
        ];
        for (text, masked) in cases {
            let number = E164::parse(text).unwrap();
            assert_eq!(number.masked(), masked);
            assert_eq!(format!("{number:?}"), format!("E164({masked})"));
            assert_eq!(number.to_string(), text);
        }
    }

    #[test]
    fn serde_uses_the_full_number_and_checks_it() {
        let number = E164::parse("+12025550100").unwrap();
        assert_eq!(serde_json::to_string(&number).unwrap(), "\"+12025550100\"");
        assert_eq!(serde_json::from_str::<E164>("\"+1 202 555 0100\"").unwrap(), number);
        assert!(serde_json::from_str::<E164>("\"112\"").is_err());
    }

    proptest! {
        #[test]
        fn any_text_is_accepted_or_refused_and_never_leaks_into_the_error(text in "\\+?[0-9 ()+a-z\u{0}-\u{ff}]{0,24}") {
            match E164::parse(&text) {
                Ok(number) => {
                    prop_assert!(number.as_str().starts_with('+'));
                    prop_assert!((7..=15).contains(&number.digits().len()));
                    prop_assert!(number.digits().bytes().all(|b| b.is_ascii_digit()));
                    prop_assert_eq!(E164::parse(number.as_str()), Ok(number));
                }
                Err(error) => prop_assert!(text.len() < 8 || !error.to_string().contains(&text)),
            }
        }
    }
}
