use std::collections::BTreeMap;
use std::fs::{DirBuilder, File, OpenOptions};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use fs4::{FileExt, TryLockError};
use rusqlite::{Connection, OptionalExtension, Row, params};
use rust_decimal::Decimal;

use super::entry::{Keyed, NewCall, OpenCall, Settled};
use super::{FILE, LOCK, LedgerError, VERSION};
use crate::call::CallEnd;
use crate::provider::{AgentId, E164};

/// See the [module](super). All of it blocks for as long as a disk does.
pub(crate) struct Ledger {
    connection: Connection,
    /// Locked as long as this lives.
    _lock: File,
}

/// How long what was written may be lost by a loss of power. A process that dies loses nothing in either case.
#[derive(Clone, Copy)]
enum Durable {
    Now,
    Soon,
}

impl Ledger {
    /// Opens the ledger of a folder, or begins it (mode 0600, in a folder of mode 0700), and locks it.
    pub(crate) fn open(folder: &Path) -> Result<Self, LedgerError> {
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |source| LedgerError::Io { path, source }
        };
        if !folder.is_dir() {
            DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(failed(folder))?;
        }
        let mut private = OpenOptions::new();
        private.read(true).append(true).create(true).mode(0o600);
        let lock = folder.join(LOCK);
        let lock = private.open(&lock).map_err(failed(&lock))?;
        match FileExt::try_lock(&lock) {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(LedgerError::Locked { path: folder.to_owned() }),
            Err(TryLockError::Error(error)) => return Err(failed(folder)(error)),
        }
        let path = folder.join(FILE);
        // SQLite gives its journal the mode of the file that it finds.
        drop(private.open(&path).map_err(failed(&path))?);
        let connection = Connection::open(&path)?;
        connection.busy_timeout(Duration::from_secs(5))?;
        connection.pragma_update(None, "journal_mode", "wal")?;
        let version: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
        match version {
            0 => connection
                .execute_batch(&format!("BEGIN; {TABLES} PRAGMA user_version = {VERSION}; COMMIT;"))?,
            VERSION => {}
            version => return Err(LedgerError::Newer { version }),
        }
        Ok(Self { connection, _lock: lock })
    }

    /// Enters a call, and returns its row. It is kept for good before this returns.
    pub(crate) fn begin(&self, call: &NewCall) -> Result<i64, LedgerError> {
        self.durable(Durable::Now)?;
        let labels =
            serde_json::to_string(&call.labels).map_err(|_| LedgerError::Damaged { what: "labels" })?;
        let (key, until) = match &call.key {
            Some((key, until)) => (Some(key), Some(millis(*until))),
            None => (None, None),
        };
        let mut insert = self.connection.prepare_cached(
            "INSERT INTO calls (call_id, agent, provider, trunk, number, labels, consent, day, key, key_until, started_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
        )?;
        let row = insert.insert(params![
            call.call_id,
            call.agent.as_str(),
            call.provider,
            call.trunk,
            call.to.as_str(),
            labels,
            call.consent,
            call.day,
            key,
            until,
            millis(call.started_at)
        ])?;
        Ok(row)
    }

    /// Notes the name of a call that was entered without one.
    pub(crate) fn name(&self, row: i64, call_id: &str) -> Result<(), LedgerError> {
        self.update(Durable::Now, "UPDATE calls SET call_id = ?2 WHERE id = ?1", params![row, call_id])
    }

    /// Notes that a host's own sink has the start, or the end too.
    pub(crate) fn announced(&self, row: i64, ended: bool) -> Result<(), LedgerError> {
        let told = if ended { 2 } else { 1 };
        self.update(Durable::Soon, "UPDATE calls SET announced = ?2 WHERE id = ?1", params![row, told])
    }

    /// Takes a call out that never left.
    pub(crate) fn strike(&self, row: i64) -> Result<(), LedgerError> {
        self.update(Durable::Soon, "DELETE FROM calls WHERE id = ?1", params![row])
    }

    /// The key no longer stands for this call: it rang nowhere.
    pub(crate) fn free_key(&self, row: i64) -> Result<(), LedgerError> {
        self.update(Durable::Now, "UPDATE calls SET key = NULL WHERE id = ?1", params![row])
    }

    /// Notes the answer.
    pub(crate) fn answered(&self, row: i64, at: SystemTime) -> Result<(), LedgerError> {
        self.update(
            Durable::Soon,
            "UPDATE calls SET answered_at = ?2 WHERE id = ?1",
            params![row, millis(at)],
        )
    }

    /// Notes that the process lives: calls that are up when it dies have lasted at least till then.
    pub(crate) fn beat(&self, now: SystemTime) -> Result<(), LedgerError> {
        self.update(Durable::Soon, "UPDATE process SET alive_at = ?1", params![millis(now)])
    }

    /// Notes the end, and what it cost if that is known already.
    pub(crate) fn finish(
        &self,
        row: i64,
        at: SystemTime,
        end: &CallEnd,
        recovered: bool,
        settled: Option<Settled>,
    ) -> Result<(), LedgerError> {
        let end = serde_json::to_string(end).map_err(|_| LedgerError::Damaged { what: "end" })?;
        let settle = settled.unwrap_or_default();
        self.update(
            Durable::Now,
            "UPDATE calls SET ended_at = ?2, end = ?3, recovered = ?4, settled = ?5,
             unit = ?6, quantity = ?7, cost_usd = ?8, rated = ?9 WHERE id = ?1",
            params![
                row,
                millis(at),
                end,
                recovered,
                settled.is_some(),
                settle.unit.as_str(),
                settle.quantity.to_string(),
                settle.cost_usd.to_string(),
                settle.rated
            ],
        )
    }

    /// Notes what a call cost that is over.
    pub(crate) fn settle(&self, row: i64, settled: Settled) -> Result<(), LedgerError> {
        self.update(
            Durable::Now,
            "UPDATE calls SET settled = 1, unit = ?2, quantity = ?3, cost_usd = ?4, rated = ?5 WHERE id = ?1",
            params![
                row,
                settled.unit.as_str(),
                settled.quantity.to_string(),
                settled.cost_usd.to_string(),
                settled.rated
            ],
        )
    }

    /// Notes that a host's own sink has the usage event.
    pub(crate) fn delivered(&self, row: i64) -> Result<(), LedgerError> {
        self.update(Durable::Soon, "UPDATE calls SET delivered = 1 WHERE id = ?1", params![row])
    }

    /// The call that a key stands for.
    pub(crate) fn by_key(&self, key: &str, now: SystemTime) -> Result<Option<Keyed>, LedgerError> {
        let mut query = self.connection.prepare_cached(
            "SELECT call_id, agent, number, provider, end FROM calls WHERE key = ?1 AND key_until > ?2
             ORDER BY id DESC LIMIT 1",
        )?;
        let found = query
            .query_row(params![key, millis(now)], |row| {
                Ok((
                    Keyed {
                        call_id: row.get::<_, Option<String>>(0)?.unwrap_or_default(),
                        agent: row.get(1)?,
                        to: row.get(2)?,
                        provider: row.get(3)?,
                        end: None,
                    },
                    row.get::<_, Option<String>>(4)?,
                ))
            })
            .optional()?;
        let Some((mut keyed, end)) = found else { return Ok(None) };
        keyed.end = end.as_deref().map(read_end).transpose()?;
        Ok(Some(keyed))
    }

    /// Calls that an earlier process left without an end, without their cost, or without telling a host's own sink of
    /// the end; oldest first.
    pub(crate) fn unfinished(&self) -> Result<Vec<OpenCall>, LedgerError> {
        let alive: i64 = self.connection.query_row("SELECT alive_at FROM process", [], |row| row.get(0))?;
        let mut query = self.connection.prepare(
            "SELECT id, call_id, agent, provider, trunk, number, started_at, answered_at, end, announced, settled
             FROM calls WHERE settled = 0 OR announced = 1 ORDER BY id",
        )?;
        let mut rows = query.query([])?;
        let mut found = Vec::new();
        while let Some(row) = rows.next()? {
            found.push(open_call(row, alive)?);
        }
        Ok(found)
    }

    /// Calls that are settled and that a host's own sink does not have.
    pub(crate) fn undelivered(&self) -> Result<Vec<i64>, LedgerError> {
        let mut query = self
            .connection
            .prepare("SELECT id FROM calls WHERE settled = 1 AND delivered = 0 ORDER BY id")?;
        let rows = query.query_map([], |row| row.get(0))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// What each agent spent on a day.
    pub(crate) fn spent_on(&self, day: &str) -> Result<Vec<(AgentId, Decimal)>, LedgerError> {
        let mut query =
            self.connection.prepare("SELECT agent, cost_usd FROM calls WHERE day = ?1 AND settled = 1")?;
        let mut rows = query.query([day])?;
        let mut spent: BTreeMap<String, Decimal> = BTreeMap::new();
        while let Some(row) = rows.next()? {
            *spent.entry(row.get(0)?).or_default() += decimal(row, 1)?;
        }
        let agent = |name: String| AgentId::new(name).map_err(|_| LedgerError::Damaged { what: "agent" });
        spent.into_iter().map(|(name, spent)| Ok((agent(name)?, spent))).collect()
    }

    /// How often each number was called on a day.
    pub(crate) fn attempts_on(&self, day: &str) -> Result<Vec<(E164, u32)>, LedgerError> {
        let mut query =
            self.connection.prepare("SELECT number, COUNT(*) FROM calls WHERE day = ?1 GROUP BY number")?;
        let rows = query.query_map([day], |row| Ok((row.get::<_, String>(0)?, row.get(1)?)))?;
        rows.map(|row| {
            let (to, count) = row?;
            Ok((number(&to)?, count))
        })
        .collect()
    }

    /// The connection, for what reads.
    pub(super) fn connection(&self) -> &Connection {
        &self.connection
    }

    fn durable(&self, durable: Durable) -> Result<(), LedgerError> {
        let level = match durable {
            Durable::Now => "full",
            Durable::Soon => "normal",
        };
        Ok(self.connection.pragma_update(None, "synchronous", level)?)
    }

    fn update(&self, durable: Durable, sql: &str, params: impl rusqlite::Params) -> Result<(), LedgerError> {
        self.durable(durable)?;
        self.connection.prepare_cached(sql)?.execute(params)?;
        Ok(())
    }
}

fn open_call(row: &Row<'_>, alive: i64) -> Result<OpenCall, LedgerError> {
    let answered: Option<i64> = row.get(7)?;
    let end: Option<String> = row.get(8)?;
    Ok(OpenCall {
        row: row.get(0)?,
        call_id: row.get(1)?,
        agent: row.get(2)?,
        provider: row.get(3)?,
        trunk: row.get(4)?,
        to: number(&row.get::<_, String>(5)?)?,
        talked: answered.map(|answered| Duration::from_millis(u64::try_from(alive - answered).unwrap_or(0))),
        end: end.as_deref().map(read_end).transpose()?,
        announced: row.get::<_, i64>(9)? == 1,
        settled: row.get(10)?,
    })
}

pub(super) fn read_end(json: &str) -> Result<CallEnd, LedgerError> {
    serde_json::from_str(json).map_err(|_| LedgerError::Damaged { what: "end" })
}

pub(super) fn number(text: &str) -> Result<E164, LedgerError> {
    E164::parse(text).map_err(|_| LedgerError::Damaged { what: "number" })
}

pub(super) fn decimal(row: &Row<'_>, column: usize) -> Result<Decimal, LedgerError> {
    row.get::<_, String>(column)?.parse().map_err(|_| LedgerError::Damaged { what: "amount" })
}

/// Milliseconds since 1970.
pub(super) fn millis(time: SystemTime) -> i64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

pub(super) fn time(millis: i64) -> SystemTime {
    UNIX_EPOCH + Duration::from_millis(u64::try_from(millis).unwrap_or(0))
}

const TABLES: &str = "
CREATE TABLE calls (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    call_id TEXT,
    agent TEXT NOT NULL,
    provider TEXT NOT NULL,
    trunk TEXT NOT NULL,
    number TEXT NOT NULL,
    labels TEXT NOT NULL,
    consent TEXT,
    day TEXT NOT NULL,
    key TEXT,
    key_until INTEGER,
    started_at INTEGER NOT NULL,
    announced INTEGER NOT NULL DEFAULT 0,
    answered_at INTEGER,
    ended_at INTEGER,
    end TEXT,
    recovered INTEGER NOT NULL DEFAULT 0,
    settled INTEGER NOT NULL DEFAULT 0,
    unit TEXT NOT NULL DEFAULT 'voice-minute',
    quantity TEXT NOT NULL DEFAULT '0',
    cost_usd TEXT NOT NULL DEFAULT '0',
    rated INTEGER NOT NULL DEFAULT 0,
    delivered INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX calls_by_key ON calls (key) WHERE key IS NOT NULL;
CREATE INDEX calls_by_day ON calls (day);
CREATE INDEX calls_by_start ON calls (started_at);
CREATE INDEX calls_by_name ON calls (call_id);
CREATE INDEX calls_open ON calls (id) WHERE settled = 0 OR announced = 1;
CREATE TABLE process (alive_at INTEGER NOT NULL) STRICT;
INSERT INTO process VALUES (0);
";

#[cfg(test)]
mod tests;
