use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::E164;

/// Which caller the callee is shown.
///
/// A trunk to the public network wants a number that the caller owns; a PBX also takes an extension. Written with
/// a leading `+` it is a number, otherwise an extension.
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
#[non_exhaustive]
pub enum CallerId {
    /// A number of the public network.
    Number(E164),
    /// An extension or account name of a PBX: 1 to 64 of `A–Z a–z 0–9 - _ . ! ~ * ' & = $ ,`, of which RFC 3261
    /// section 25.1 needs none escaped in the user part of an address.
    Extension(String),
}

impl CallerId {
    /// Reads a number or an extension.
    ///
    /// # Errors
    ///
    /// [`CallerIdError`] for a number that is not E.164, or an extension with other characters than those above.
    pub fn parse(text: &str) -> Result<Self, CallerIdError> {
        if text.starts_with('+') {
            return Ok(Self::Number(E164::parse(text)?));
        }
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.!~*'&=$,".contains(&b);
        if text.is_empty() || text.len() > 64 || !text.bytes().all(plain) {
            return Err(CallerIdError::Extension);
        }
        Ok(Self::Extension(text.to_owned()))
    }

    /// The number, if it is one.
    pub fn number(&self) -> Option<&E164> {
        match self {
            Self::Number(number) => Some(number),
            Self::Extension(_) => None,
        }
    }
}

impl fmt::Display for CallerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => number.fmt(f),
            Self::Extension(extension) => f.pad(extension),
        }
    }
}

impl fmt::Debug for CallerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => write!(f, "CallerId({})", number.masked()),
            Self::Extension(extension) => write!(f, "CallerId({extension})"),
        }
    }
}

impl FromStr for CallerId {
    type Err = CallerIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

impl TryFrom<String> for CallerId {
    type Error = CallerIdError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::parse(&text)
    }
}

impl From<CallerId> for String {
    fn from(caller: CallerId) -> Self {
        caller.to_string()
    }
}

impl From<E164> for CallerId {
    fn from(number: E164) -> Self {
        Self::Number(number)
    }
}

/// Why a text is not a caller id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CallerIdError {
    /// It begins with `+` and is not a number.
    #[error(transparent)]
    Number(#[from] super::E164Error),
    /// It has no `+` and is not an extension either.
    #[error(
        "a caller id is a number such as +12025550100, or an extension of letters, digits and -_.!~*'&=$,"
    )]
    Extension,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider::E164Error;

    #[test]
    fn numbers_and_extensions_are_told_apart_by_the_plus() {
        let number = CallerId::parse("+1 202 555 0100").unwrap();
        assert_eq!(number, CallerId::Number(E164::parse("+12025550100").unwrap()));
        assert_eq!(
            (number.to_string(), format!("{number:?}")),
            ("+12025550100".into(), "CallerId(+1***0100)".into())
        );
        let extension = CallerId::parse("4711").unwrap();
        assert_eq!((extension.number(), extension.to_string()), (None, "4711".into()));
    }

    #[test]
    fn what_would_need_escaping_is_refused() {
        assert_eq!(CallerId::parse("+112"), Err(CallerIdError::Number(E164Error::Length { digits: 3 })));
        for text in ["", "a b", "a@b", "a>b", "a\r\nX: y", "ä", &"1".repeat(65)] {
            assert_eq!(CallerId::parse(text), Err(CallerIdError::Extension), "{text:?}");
        }
    }
}
