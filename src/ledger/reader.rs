use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, SystemTime};

use rusqlite::{Connection, OpenFlags, Row};
use rust_decimal::Decimal;
use serde::Serialize;

use super::book::{decimal, millis, number, read_end, time};
use super::{FILE, Ledger, LedgerError, VERSION};
use crate::call::{CallEnd, EndReason};
use crate::provider::E164;
use crate::timestamp;
use crate::usage::{BillableUnit, UsageEvent};

/// Reads the ledger, also while its owner writes it.
pub struct LedgerReader {
    connection: Connection,
}

/// A call as the ledger has it.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct CallRecord {
    /// The call: its Call-ID, or the provider's own name for it; `None` while it has none.
    pub call_id: Option<String>,
    /// Who called.
    pub agent_id: String,
    /// `sip` or `twilio`.
    pub provider: String,
    /// The trunk, or the provider's name in the configuration.
    pub trunk: String,
    /// The number that was called, in full; it serialises masked.
    #[serde(serialize_with = "masked")]
    pub to: E164,
    /// The request's labels.
    pub labels: BTreeMap<String, String>,
    /// The request's reference to the callee's consent.
    pub consent: Option<String>,
    /// When the attempt began.
    #[serde(serialize_with = "iso")]
    pub started_at: SystemTime,
    /// The day that the limits count it to, by the policy's time zone: `2026-11-22`.
    pub day: String,
    /// When it was over.
    #[serde(serialize_with = "iso_or_null")]
    pub ended_at: Option<SystemTime>,
    /// How it ended; `None` while it is up.
    pub end: Option<CallEnd>,
    /// What is counted.
    pub billable_unit: BillableUnit,
    /// How many of them.
    #[serde(serialize_with = "rust_decimal::serde::float::serialize")]
    pub quantity: Decimal,
    /// The cost in US dollars; 0 if there is no price.
    #[serde(serialize_with = "rust_decimal::serde::float::serialize")]
    pub cost_usd: Decimal,
    /// Whether there was a price. Without one the cost of 0 means unknown.
    pub rated: bool,
    /// Whether the cost is final.
    pub settled: bool,
    /// Whether the end was written by the next process, after the one that made the call had died.
    pub recovered: bool,
}

impl CallRecord {
    /// The usage event of a call whose cost is final.
    pub fn usage(&self) -> Option<UsageEvent> {
        let end = self.end.as_ref().filter(|_| self.settled)?;
        Some(UsageEvent {
            agent_id: self.agent_id.clone(),
            call_id: self.call_id.clone().unwrap_or_default(),
            model: format!("voice:{}", self.provider),
            trunk: Some(self.trunk.clone()),
            to: self.to.masked(),
            started_at: self.started_at,
            answered: !end.talk_time.is_zero(),
            reason: end.reason,
            ring_time: end.ring_time,
            talk_time: end.talk_time,
            billable_unit: self.billable_unit,
            quantity: self.quantity,
            cost_usd: self.cost_usd,
            rated: self.rated,
            recovered: self.recovered,
        })
    }

    /// Why it ended, if it has.
    pub fn reason(&self) -> Option<EndReason> {
        self.end.as_ref().map(|end| end.reason)
    }
}

impl LedgerReader {
    /// Opens the ledger of a folder, for reading only.
    ///
    /// # Errors
    ///
    /// [`LedgerError`] if there is none, or it cannot be read.
    pub fn open(folder: impl AsRef<Path>) -> Result<Self, LedgerError> {
        let path = folder.as_ref().join(FILE);
        if let Err(source) = std::fs::metadata(&path) {
            return Err(LedgerError::Io { path, source });
        }
        let connection = Connection::open_with_flags(&path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
        connection.busy_timeout(Duration::from_secs(5))?;
        let version: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
        if version > VERSION {
            return Err(LedgerError::Newer { version });
        }
        Ok(Self { connection })
    }

    /// All calls that began at `since` or later, oldest first.
    ///
    /// # Errors
    ///
    /// [`LedgerError`] if it cannot be read, or has an entry that this library did not write.
    pub fn calls(&self, since: Option<SystemTime>) -> Result<Vec<CallRecord>, LedgerError> {
        select(&self.connection, "started_at >= ?1", since.map_or(0, millis))
    }
}

impl Ledger {
    /// A call by its row.
    pub(crate) fn record(&self, row: i64) -> Result<Option<CallRecord>, LedgerError> {
        Ok(select(self.connection(), "id = ?1", row)?.pop())
    }

    /// A call by its name.
    pub(crate) fn record_of(&self, call_id: &str) -> Result<Option<CallRecord>, LedgerError> {
        Ok(select(self.connection(), "call_id = ?1", call_id)?.pop())
    }
}

fn select(
    connection: &Connection,
    condition: &str,
    value: impl rusqlite::ToSql,
) -> Result<Vec<CallRecord>, LedgerError> {
    let mut query = connection.prepare(&format!(
        "SELECT call_id, agent, provider, trunk, number, labels, consent, started_at, ended_at, end, unit, quantity,
         cost_usd, rated, settled, recovered, day FROM calls WHERE {condition} ORDER BY id"
    ))?;
    let mut rows = query.query([value])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(record(row)?);
    }
    Ok(found)
}

fn record(row: &Row<'_>) -> Result<CallRecord, LedgerError> {
    let labels: String = row.get(5)?;
    let end: Option<String> = row.get(9)?;
    let unit: String = row.get(10)?;
    Ok(CallRecord {
        call_id: row.get(0)?,
        agent_id: row.get(1)?,
        provider: row.get(2)?,
        trunk: row.get(3)?,
        to: number(&row.get::<_, String>(4)?)?,
        labels: serde_json::from_str(&labels).map_err(|_| LedgerError::Damaged { what: "labels" })?,
        consent: row.get(6)?,
        started_at: time(row.get(7)?),
        ended_at: row.get::<_, Option<i64>>(8)?.map(time),
        end: end.as_deref().map(read_end).transpose()?,
        billable_unit: if unit == BillableUnit::Call.as_str() {
            BillableUnit::Call
        } else {
            BillableUnit::Minute
        },
        quantity: decimal(row, 11)?,
        cost_usd: decimal(row, 12)?,
        rated: row.get(13)?,
        settled: row.get(14)?,
        recovered: row.get(15)?,
        day: row.get(16)?,
    })
}

fn masked<S: serde::Serializer>(to: &E164, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&to.masked())
}

fn iso<S: serde::Serializer>(time: &SystemTime, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&timestamp::iso(*time))
}

fn iso_or_null<S: serde::Serializer>(time: &Option<SystemTime>, serializer: S) -> Result<S::Ok, S::Error> {
    match time {
        Some(time) => iso(time, serializer),
        None => serializer.serialize_none(),
    }
}
