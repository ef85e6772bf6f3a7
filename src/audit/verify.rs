use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::Path;

use serde::Deserialize;

use super::record::{GENESIS, Line, VERSION};
use crate::ecma;

/// What a log's verification found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct AuditReport {
    /// How many records were read.
    pub records: u64,
    /// The session, if the log says it.
    pub session_id: Option<String>,
    /// The hash of the last record. Kept elsewhere, it proves later that nothing was cut off.
    pub last_hash: Option<String>,
    /// What proves that the log is not as it was written. Empty for an intact log.
    pub faults: Vec<AuditFault>,
    /// What is unusual and does not break the chain.
    pub warnings: Vec<String>,
}

impl AuditReport {
    /// Whether nothing was changed, removed, inserted or moved.
    pub fn is_intact(&self) -> bool {
        self.faults.is_empty()
    }
}

/// One fault, with the line where it shows, counted from 1 without blank lines.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct AuditFault {
    /// The line.
    pub line: u64,
    /// What is wrong there.
    pub kind: FaultKind,
}

impl fmt::Display for AuditFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.kind)
    }
}

/// What is wrong with a line.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum FaultKind {
    /// The last line, without its end: the process or the power went away while it was written.
    Torn,
    /// The line is not JSON.
    Unreadable,
    /// A member that every record has is missing or of another kind.
    Incomplete(&'static str),
    /// The content does not have the hash that stands beside it: it was changed.
    Changed {
        /// The record's number.
        seq: u64,
    },
    /// The records from one number to another are missing before this one.
    Missing {
        /// The first that is missing.
        from: u64,
        /// The last that is missing.
        to: u64,
    },
    /// The record stands in another place than its number says: moved or repeated.
    Misplaced {
        /// Its number.
        seq: u64,
        /// The number that is due here.
        expected: u64,
    },
    /// The record does not continue the one before it: one of the two was replaced.
    Unlinked {
        /// Its number.
        seq: u64,
    },
}

impl fmt::Display for FaultKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Torn => f.write_str("the last line is torn: its writing was interrupted"),
            Self::Unreadable => f.write_str("the line is not JSON"),
            Self::Incomplete(what) => write!(f, "the record has no valid {what}"),
            Self::Changed { seq } => write!(f, "record {seq} was changed"),
            Self::Missing { from, to } if from == to => write!(f, "record {from} is missing before this one"),
            Self::Missing { from, to } => write!(f, "records {from} to {to} are missing before this one"),
            Self::Misplaced { seq, expected } => write!(f, "record {seq} stands where {expected} is due"),
            Self::Unlinked { seq } => write!(f, "record {seq} does not continue the one before it"),
        }
    }
}

/// Verifies a log file.
///
/// # Errors
///
/// If the file cannot be read. What is wrong with its content is in the report.
pub fn verify_file(path: impl AsRef<Path>) -> io::Result<AuditReport> {
    std::fs::read(path).map(|content| verify(&content))
}

/// Verifies the content of a log, the host's or ours. It reads all of it and lists everything that it finds.
pub fn verify(content: &[u8]) -> AuditReport {
    let text = String::from_utf8_lossy(content);
    let mut check = Check { link: Some(GENESIS.to_owned()), ..Check::default() };
    let mut lines = text.split('\n').peekable();
    let mut number = 0;
    while let Some(raw) = lines.next() {
        let line = ecma::trim(raw);
        if line.is_empty() {
            continue;
        }
        number += 1;
        check.line(number, line, lines.peek().is_none());
    }
    check.finish(text.is_empty() || text.ends_with('\n'))
}

/// A verification under way.
#[derive(Default)]
struct Check {
    report: AuditReport,
    /// The hash that the next record must refer to.
    link: Option<String>,
    last_seq: u64,
    last_time: String,
    /// Calls that have started and not ended.
    open: BTreeMap<String, u64>,
}

impl Check {
    fn line(&mut self, number: u64, text: &str, last: bool) {
        let Some(line) = Line::parse(text) else {
            let kind = if last { FaultKind::Torn } else { FaultKind::Unreadable };
            return self.fault(number, kind);
        };
        if number == 1 && line.is_metadata() {
            return self.metadata(&line);
        }
        self.record(number, &line);
    }

    fn metadata(&mut self, line: &Line<'_>) {
        match line.metadata_hash() {
            Some(hash) => self.link = Some(hash),
            None => self.fault(1, FaultKind::Incomplete("metadata")),
        }
        if line.text("protocolVersion").as_deref() != Some(VERSION) {
            self.report.warnings.push(format!("the metadata names another version than {VERSION}"));
        }
        self.report.session_id = line.text("sessionId");
    }

    fn record(&mut self, number: u64, line: &Line<'_>) {
        let Some(seq) = line.seq() else { return self.fault(number, FaultKind::Incomplete("seq")) };
        let Some(claimed) = line.text("_hash") else {
            return self.fault(number, FaultKind::Incomplete("_hash"));
        };
        let Some(previous) = line.text("_prevHash") else {
            return self.fault(number, FaultKind::Incomplete("_prevHash"));
        };
        self.report.records += 1;

        let expected = self.last_seq + 1;
        let linked = self.link.as_ref() == Some(&previous);
        if seq > expected {
            self.fault(number, FaultKind::Missing { from: expected, to: seq - 1 });
        } else if seq < expected {
            self.fault(number, FaultKind::Misplaced { seq, expected });
        } else if !linked {
            self.fault(number, FaultKind::Unlinked { seq });
        }
        match line.record_hash() {
            Ok(Some(hash)) if hash == claimed => {}
            Ok(Some(_)) => self.fault(number, FaultKind::Changed { seq }),
            Ok(None) | Err(_) => self.fault(number, FaultKind::Incomplete("content")),
        }
        // The chain goes on from what the record says of itself, so that one change is one fault.
        self.last_seq = self.last_seq.max(seq);
        self.report.last_hash = Some(claimed.clone());
        self.link = Some(claimed);
        self.surroundings(seq, line);
    }

    /// What the hashes do not tell: another session, a clock that went back, calls without an end.
    fn surroundings(&mut self, seq: u64, line: &Line<'_>) {
        let session = line.text("sessionId");
        match &self.report.session_id {
            Some(known) if session.as_ref() != Some(known) => {
                self.report.warnings.push(format!("record {seq} is of another session"));
            }
            None => self.report.session_id = session,
            Some(_) => {}
        }
        let time = line.text("timestamp").unwrap_or_default();
        if time < self.last_time {
            self.report.warnings.push(format!("record {seq} is older than the one before it"));
        }
        self.last_time = time;
        if let Some(Call { r#type, call_id }) =
            line.event().and_then(|event| serde_json::from_str(event.get()).ok())
        {
            match r#type.as_str() {
                "voice.call.start" => drop(self.open.insert(call_id, seq)),
                "voice.call.end" => drop(self.open.remove(&call_id)),
                _ => {}
            }
        }
    }

    fn finish(mut self, ended: bool) -> AuditReport {
        if !ended && !self.report.faults.iter().any(|fault| fault.kind == FaultKind::Torn) {
            self.report.warnings.push("the last line has no line end".to_owned());
        }
        for (call, seq) in self.open {
            let what = format!("call {call} of record {seq} has no end: it is under way, or the log was cut");
            self.report.warnings.push(what);
        }
        self.report
    }

    fn fault(&mut self, line: u64, kind: FaultKind) {
        self.report.faults.push(AuditFault { line, kind });
    }
}

/// What identifies a call in an event.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Call {
    r#type: String,
    call_id: String,
}
