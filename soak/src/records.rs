//! The evidence: whether audit log and ledger tell of each call from its start to its end.

use std::path::Path;

use anyhow::Context as _;
use outdial::audit::verify_file;
use outdial::ledger::LedgerReader;
use serde::Serialize;

/// The session under which the soak keeps its records.
pub(crate) const SESSION: &str = "soak";

/// What is in the records.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Records {
    /// Whether the chain of the audit log is unbroken.
    pub intact: bool,
    /// Calls that began, by the audit log.
    pub starts: usize,
    /// Calls that ended, by the audit log.
    pub ends: usize,
    /// Calls in the ledger.
    pub entered: usize,
    /// Of these, calls with an end.
    pub settled: usize,
}

impl Records {
    /// Reads them; nobody writes any more.
    pub(crate) fn read(folder: &Path) -> anyhow::Result<Self> {
        let log = folder.join("audit").join(SESSION).join("wire.jsonl");
        let text = std::fs::read_to_string(&log).with_context(|| log.display().to_string())?;
        let count = |kind: &str| text.matches(&format!("\"type\":\"voice.call.{kind}\"")).count();
        let calls = LedgerReader::open(folder)?.calls(None)?;
        Ok(Self {
            intact: verify_file(&log)?.is_intact(),
            starts: count("start"),
            ends: count("end"),
            entered: calls.len(),
            settled: calls.iter().filter(|call| call.usage().is_some()).count(),
        })
    }

    /// Whether each call has its start and its end, in both.
    pub(crate) fn are_whole(&self) -> bool {
        self.intact && [self.ends, self.entered, self.settled].iter().all(|count| *count == self.starts)
    }
}
