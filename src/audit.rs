//! The record of who was called: a log in which every line carries the hash of the one before it.
//!
//! Whoever changes, removes, inserts or moves a record breaks the chain from there on, and [`verify`] says where.
//! The format is the host's, byte for byte, so that its tools verify our logs and ours verify its.
//!
//! ```
//! use outdial::audit::{AuditEvent, AuditLog, AuditSink, CallStart, verify_file};
//! use outdial::provider::{AgentId, E164};
//!
//! # let folder = tempfile::tempdir()?;
//! let log = AuditLog::open_in(folder.path(), "session-7")?;
//! let to = E164::parse("+12025550100")?;
//! let start = CallStart::new(&AgentId::new("reminders")?, "0123456789abcdef0123456789abcdef", "sip", &to);
//! log.record(&AuditEvent::CallStart(start))?;
//!
//! let report = verify_file(log.path())?;
//! assert!(report.is_intact() && report.records == 1);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! What a chain cannot show is that its tail was cut off: keep [`AuditReport::last_hash`] somewhere else for that.

mod canonical;
mod event;
mod log;
mod record;
mod verify;

use std::path::PathBuf;

pub use event::{AuditEvent, CallEnded, CallRecorded, CallStart};
pub use log::AuditLog;
pub use verify::{AuditFault, AuditReport, FaultKind, verify, verify_file};

/// Takes the events of all calls, in their order.
///
/// A host that keeps a log of its own passes its sink; [`AuditLog`] is the one for everybody else.
pub trait AuditSink: Send + Sync {
    /// Keeps an event, and returns when it is kept for good. It may block for as long as a disk does: providers call
    /// it from threads that may wait.
    ///
    /// # Errors
    ///
    /// [`AuditError`] if the event is not kept. Then the provider makes no call: what cannot be proven is not done.
    fn record(&self, event: &AuditEvent) -> Result<(), AuditError>;
}

impl<T: AuditSink + ?Sized> AuditSink for std::sync::Arc<T> {
    fn record(&self, event: &AuditEvent) -> Result<(), AuditError> {
        (**self).record(event)
    }
}

/// Why an event was not kept.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AuditError {
    /// Another process writes the log.
    #[error("{} is being written by another process", path.display())]
    Locked {
        /// The log.
        path: PathBuf,
    },
    /// The log cannot be read or written: the disk is full, the file is gone.
    #[error("cannot write the audit log {}", path.display())]
    Io {
        /// The log.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// The event has no JSON form.
    #[error("the event has no JSON form")]
    NotJson,
    /// A host's own sink did not take it.
    #[error("the audit sink refused the event")]
    Sink(#[source] Box<dyn std::error::Error + Send + Sync>),
}

#[cfg(test)]
mod tests;
