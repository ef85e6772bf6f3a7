//! The lines of the log: one of metadata, then records, each with the hash of the one before.

use std::collections::HashMap;

use serde::Serialize;
use serde_json::value::RawValue;

use super::canonical::{self, NotStable};

/// What the first record refers to when no metadata stands before it.
pub(super) const GENESIS: &str = "GENESIS";
/// The version of the format.
pub(super) const VERSION: &str = "2.0";

/// The first line. The keys are written in this order.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Metadata<'a> {
    r#type: &'a str,
    protocol_version: &'a str,
    session_id: &'a str,
    created_at: &'a str,
}

/// Makes the first line, without its line end, and its hash.
pub(super) fn metadata(session_id: &str, created_at: &str) -> Result<(String, String), NotStable> {
    let metadata = Metadata { r#type: "metadata", protocol_version: VERSION, session_id, created_at };
    let line = serde_json::to_string(&metadata).map_err(|_| NotStable::Syntax)?;
    let hash = Line::parse(&line).and_then(|line| line.metadata_hash()).ok_or(NotStable::Syntax)?;
    Ok((line, hash))
}

/// What a record says beside its event and its hashes.
pub(super) struct Head<'a> {
    pub(super) seq: u64,
    pub(super) timestamp: &'a str,
    pub(super) run_id: &'a str,
    pub(super) session_id: &'a str,
    pub(super) parent_run_id: Option<&'a str>,
}

/// One record. The keys are written in this order.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Record<'a> {
    version: &'a str,
    seq: u64,
    timestamp: &'a str,
    run_id: &'a str,
    session_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    parent_run_id: Option<&'a str>,
    event: &'a RawValue,
    #[serde(rename = "_prevHash")]
    previous: &'a str,
    #[serde(rename = "_hash", skip_serializing_if = "str::is_empty")]
    hash: &'a str,
}

/// Makes a record's line, without its line end, and its hash.
pub(super) fn record(
    head: &Head<'_>,
    event: &RawValue,
    previous: &str,
) -> Result<(String, String), NotStable> {
    let mut record = Record {
        version: VERSION,
        seq: head.seq,
        timestamp: head.timestamp,
        run_id: head.run_id,
        session_id: head.session_id,
        parent_run_id: head.parent_run_id,
        event,
        previous,
        hash: "",
    };
    let text = |record: &Record<'_>| serde_json::to_string(record).map_err(|_| NotStable::Syntax);
    let hash =
        Line::parse(&text(&record)?).ok_or(NotStable::Syntax)?.record_hash()?.ok_or(NotStable::Syntax)?;
    record.hash = &hash;
    Ok((text(&record)?, hash))
}

/// A line that is a JSON object, with its members unread.
pub(super) struct Line<'a>(HashMap<String, &'a RawValue>);

impl<'a> Line<'a> {
    /// Reads a line. `None` if it is not an object.
    pub(super) fn parse(text: &'a str) -> Option<Self> {
        serde_json::from_str(text).ok().map(Self)
    }

    /// A member that is a string.
    pub(super) fn text(&self, key: &str) -> Option<String> {
        serde_json::from_str(self.0.get(key)?.get()).ok()
    }

    /// The record's number, if it is a whole one.
    pub(super) fn seq(&self) -> Option<u64> {
        let number: f64 = serde_json::from_str(self.0.get("seq")?.get()).ok()?;
        // Beyond 2^53 a double no longer counts by ones.
        (number.fract() == 0.0 && (0.0..9_007_199_254_740_992.0).contains(&number)).then_some(number as u64)
    }

    /// The event, unread.
    pub(super) fn event(&self) -> Option<&'a RawValue> {
        self.0.get("event").copied()
    }

    /// Whether this is the line that a log begins with.
    pub(super) fn is_metadata(&self) -> bool {
        self.text("type").as_deref() == Some("metadata")
    }

    /// The hash of a metadata line: of its four members, the version always taken as the one we know.
    pub(super) fn metadata_hash(&self) -> Option<String> {
        let version = RawValue::from_string(format!("\"{VERSION}\"")).ok()?;
        let mut members = vec![("protocolVersion", &*version)];
        for key in ["type", "sessionId", "createdAt"] {
            members.push((key, self.0.get(key)?));
        }
        canonical::object(&members).ok().map(|text| canonical::sha256(&text))
    }

    /// The hash that a record should have, or `None` if it lacks a member that the hash covers.
    pub(super) fn record_hash(&self) -> Result<Option<String>, NotStable> {
        let mut members = Vec::with_capacity(8);
        for key in ["version", "seq", "timestamp", "runId", "sessionId", "event", "_prevHash"] {
            let Some(value) = self.0.get(key) else { return Ok(None) };
            members.push((key, *value));
        }
        if let Some(value) = self.0.get("parentRunId") {
            members.push(("parentRunId", *value));
        }
        canonical::object(&members).map(|text| Some(canonical::sha256(&text)))
    }
}
