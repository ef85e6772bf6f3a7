use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// The longest agent name, in bytes. It is written into every audit record and every log line of a call.
const MAX_LEN: usize = 128;

/// The name of an agent, as the host knows it.
///
/// 1 to 128 bytes of UTF-8, without control characters and without white space at either end, so that it can
/// stand in a log line, a file and a TOML key. Case matters. Cloning is cheap.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct AgentId(Arc<str>);

impl AgentId {
    /// Checks a name.
    ///
    /// # Errors
    ///
    /// [`AgentIdError`] says which of the rules above is broken.
    pub fn new(name: impl AsRef<str>) -> Result<Self, AgentIdError> {
        let name = name.as_ref();
        if name.is_empty() {
            return Err(AgentIdError::Empty);
        }
        if name.len() > MAX_LEN {
            return Err(AgentIdError::TooLong { bytes: name.len() });
        }
        if name.chars().any(char::is_control) || name.trim() != name {
            return Err(AgentIdError::Blank);
        }
        Ok(Self(name.into()))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for AgentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for AgentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AgentId({:?})", &*self.0)
    }
}

impl FromStr for AgentId {
    type Err = AgentIdError;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::new(name)
    }
}

impl TryFrom<String> for AgentId {
    type Error = AgentIdError;

    fn try_from(name: String) -> Result<Self, Self::Error> {
        Self::new(name)
    }
}

impl From<AgentId> for String {
    fn from(agent: AgentId) -> Self {
        agent.as_str().to_owned()
    }
}

/// Why a text is not an agent's name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AgentIdError {
    /// Nothing was given.
    #[error("an agent needs a name")]
    Empty,
    /// More than 128 bytes.
    #[error("the agent's name has {bytes} bytes, more than {MAX_LEN}")]
    TooLong {
        /// How many there are.
        bytes: usize,
    },
    /// A control character somewhere, or white space at one end.
    #[error("the agent's name has control characters, or white space at an end")]
    Blank,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_fit_a_log_line_are_accepted() {
        for name in ["a", "support-1", "Vertrieb Süd", "team/agent#7", &"x".repeat(128)] {
            assert_eq!(AgentId::new(name).unwrap().as_str(), name);
        }
    }

    #[test]
    fn others_are_refused_with_the_reason() {
        assert_eq!(AgentId::new(""), Err(AgentIdError::Empty));
        assert_eq!(AgentId::new("x".repeat(129)), Err(AgentIdError::TooLong { bytes: 129 }));
        for name in [" a", "a ", "a\nb", "a\u{7f}", "\u{85}"] {
            assert_eq!(AgentId::new(name), Err(AgentIdError::Blank), "{name:?}");
        }
    }

    #[test]
    fn serde_checks_too() {
        assert_eq!(serde_json::from_str::<AgentId>("\"a\"").unwrap(), AgentId::new("a").unwrap());
        assert!(serde_json::from_str::<AgentId>("\"\"").is_err());
    }
}
