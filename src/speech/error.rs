//! What goes wrong in an adapter.

use std::error::Error;
use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use super::Stopped;

/// Why an adapter could not speak, or not understand.
///
/// The display has no key and nothing that was said. [`kind`](Self::kind) is stable for machines.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum AdapterError {
    /// A program that it runs is not installed.
    #[error("the program {program} is not installed; Debian has it in the package {package}")]
    MissingProgram {
        /// The program.
        program: &'static str,
        /// The Debian package that has it.
        package: &'static str,
    },
    /// A program or library that it uses failed.
    #[error("{program} failed: {what}")]
    Program {
        /// The program.
        program: &'static str,
        /// Its last words, or its status.
        what: String,
    },
    /// The service cannot be reached, or the connection broke.
    #[error("no connection to {service}")]
    Connection {
        /// The service.
        service: String,
        /// Why.
        source: Arc<dyn Error + Send + Sync>,
    },
    /// The certificate of the service is none that we trust. Nothing was sent.
    #[error("the certificate of {service} is not trusted: {why}")]
    Untrusted {
        /// The service.
        service: String,
        /// Nobody whom we know has signed it, it is for another name, it has expired …
        why: String,
    },
    /// The service refused.
    #[error("{service} refused with {status}: {message}")]
    Refused {
        /// The service.
        service: String,
        /// The HTTP status, or the code with which the WebSocket was closed.
        status: u16,
        /// The service's own words.
        message: String,
    },
    /// The service does not know the key, or the key may not do this.
    #[error("{service} does not accept the key ({status}): {message}")]
    Unauthorized {
        /// The service.
        service: String,
        /// The HTTP status: 401 or 403.
        status: u16,
        /// The service's own words.
        message: String,
    },
    /// The account's quota is used up, or there were too many requests.
    #[error("{service} has reached a limit of the account ({status}): {message}")]
    Limited {
        /// The service.
        service: String,
        /// The HTTP status, 429 as a rule, or the code with which the WebSocket was closed.
        status: u16,
        /// How long to wait, where the service says it (`Retry-After`).
        retry_after: Option<Duration>,
        /// The service's own words.
        message: String,
    },
    /// The service's answer ended before it was complete.
    #[error("the answer of {service} was cut off")]
    CutOff {
        /// The service.
        service: String,
    },
    /// The service's answer is not what its interface says.
    #[error("the answer of {service} is not understood: {what}")]
    Malformed {
        /// The service.
        service: String,
        /// What is wrong with it.
        what: String,
    },
    /// Something took too long.
    #[error("{what} took longer than {}", humantime::format_duration(*.limit))]
    TimedOut {
        /// What was waited for.
        what: String,
        /// For how long.
        limit: Duration,
    },
    /// What it was given cannot be used: a grammar, a voice, a sound file.
    #[error("{0}")]
    Invalid(String),
    /// A file or a pipe failed.
    #[error("{what}")]
    Io {
        /// What it was for.
        what: String,
        /// Why.
        source: Arc<io::Error>,
    },
    /// Nobody listens to the adapter any more. Its task returns this; nobody else sees it.
    #[error("stopped")]
    Stopped,
    /// The adapter has a fault: its task panicked.
    #[error("the adapter panicked: {0}")]
    Panicked(String),
}

impl AdapterError {
    /// A word for machines, which stays the same: `missing_program`, `refused`, `timed_out` …
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::MissingProgram { .. } => "missing_program",
            Self::Program { .. } => "program",
            Self::Connection { .. } => "connection",
            Self::Untrusted { .. } => "untrusted",
            Self::Refused { .. } => "refused",
            Self::Unauthorized { .. } => "unauthorized",
            Self::Limited { .. } => "limited",
            Self::CutOff { .. } => "cut_off",
            Self::Malformed { .. } => "malformed",
            Self::TimedOut { .. } => "timed_out",
            Self::Invalid(_) => "invalid",
            Self::Io { .. } => "io",
            Self::Stopped => "stopped",
            Self::Panicked(_) => "panicked",
        }
    }

    /// Whether a new connection to the service may do better.
    #[cfg(feature = "_websocket")]
    pub(super) fn is_passing(&self) -> bool {
        match self {
            Self::Connection { .. } | Self::CutOff { .. } | Self::TimedOut { .. } => true,
            // Going away, a fault of the server, restart, try again later; and HTTP's faults of a server.
            Self::Refused { status, .. } => matches!(status, 500..=599 | 1001 | 1006 | 1011..=1014),
            _ => false,
        }
    }

    /// A file or a pipe failed that was for `what`.
    pub fn io(what: impl Into<String>, source: io::Error) -> Self {
        Self::Io { what: what.into(), source: Arc::new(source) }
    }

    /// There is no connection to `service`, or none any more.
    pub fn connection(service: impl Into<String>, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::Connection { service: service.into(), source: Arc::from(source.into()) }
    }
}

impl From<Stopped> for AdapterError {
    fn from(_: Stopped) -> Self {
        Self::Stopped
    }
}

/// An adapter failed; somebody else goes on, or nobody.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Failure {
    /// The adapter that failed, by its name.
    pub adapter: String,
    /// Why.
    pub error: AdapterError,
    /// The adapter that goes on in its place.
    pub fallback: Option<String>,
}

impl Failure {
    /// A failure of `adapter`, after which `fallback` goes on.
    pub fn new(adapter: impl Into<String>, error: AdapterError, fallback: Option<String>) -> Self {
        Self { adapter: adapter.into(), error, fallback }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} failed: {}", self.adapter, self.error)?;
        match &self.fallback {
            Some(fallback) => write!(f, "; {fallback} goes on"),
            None => Ok(()),
        }
    }
}
