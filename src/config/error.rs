use std::fmt;
use std::path::{Path, PathBuf};

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// Which file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// The text can be read and is wrong. All problems are listed, not only the first.
    #[error("{}", list(file.as_deref(), problems))]
    Invalid {
        /// The file, if the text came from one.
        file: Option<PathBuf>,
        /// What is wrong, in the order of the text.
        problems: Vec<Problem>,
    },
}

impl ConfigError {
    /// What is wrong with the text; empty if it could not be read at all.
    pub fn problems(&self) -> &[Problem] {
        match self {
            Self::Read { .. } => &[],
            Self::Invalid { problems, .. } => problems,
        }
    }
}

fn list(file: Option<&Path>, problems: &[Problem]) -> String {
    let place = |problem: &Problem| match (file, problem.line) {
        (Some(file), Some(line)) => format!("{}:{line}: ", file.display()),
        (Some(file), None) => format!("{}: ", file.display()),
        (None, Some(line)) => format!("line {line}: "),
        (None, None) => String::new(),
    };
    problems.iter().map(|problem| format!("{}{problem}", place(problem))).collect::<Vec<_>>().join("\n")
}

/// One thing that is wrong with a configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Problem {
    /// The line of the text, counted from 1, if the configuration came from a text.
    pub line: Option<usize>,
    /// The key with the names of its tables, `trunks.main.password`; empty for the text as a whole.
    pub key: String,
    /// What is wrong, and what would be right. It never repeats a value that can be a secret.
    pub message: String,
}

impl Problem {
    pub(super) fn new(key: impl Into<String>, message: impl Into<String>) -> Self {
        Self { line: None, key: key.into(), message: message.into() }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.key.is_empty() {
            f.write_str(&self.message)
        } else {
            write!(f, "{}: {}", self.key, self.message)
        }
    }
}
