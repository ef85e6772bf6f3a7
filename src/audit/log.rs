use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use fs4::{FileExt, TryLockError};
use serde::Deserialize;

use super::event::{AuditEvent, CallEnded, CallStart};
use super::record::{self, GENESIS, Head, Line};
use super::{AuditError, AuditSink};
use crate::call::{CallEnd, EndReason, EndedBy};
use crate::ecma;
use crate::timestamp;

/// The hash-chained log in a file, which it keeps locked: a second process, or a second log in this one, is refused.
///
/// Each record is one line, written and synchronised before [`record`](AuditSink::record) returns. When the disk is
/// full the record is taken back, so the file always ends with a whole line, and the next attempt starts afresh.
#[derive(Debug)]
pub struct AuditLog {
    path: PathBuf,
    session_id: String,
    run_id: String,
    parent_run_id: Option<String>,
    state: Mutex<State>,
    /// Calls that the file shows as under way, and that have not been ended since.
    open: Mutex<Vec<CallStart>>,
}

/// What changes with each line.
#[derive(Debug)]
struct State {
    file: File,
    /// How many bytes of the file are whole lines.
    length: u64,
    seq: u64,
    previous: String,
}

impl AuditLog {
    /// Opens the log of a session at its place in the host's data folder: `audit/SESSION/wire.jsonl`.
    ///
    /// # Errors
    ///
    /// Those of [`open`](Self::open).
    pub fn open_in(data: impl AsRef<Path>, session_id: &str) -> Result<Self, AuditError> {
        Self::open(Self::path_in(data.as_ref(), session_id), session_id)
    }

    /// Opens a log, or begins it (mode 0600, in folders of mode 0700).
    ///
    /// A last line that was torn by a loss of power is ended, and a record says so. Calls that the file shows as
    /// under way belong to a process that has died: each gets its end, marked as recovered.
    ///
    /// # Errors
    ///
    /// [`AuditError::Locked`] if another process has it, [`AuditError::Io`] if it cannot be read or written.
    pub fn open(path: impl Into<PathBuf>, session_id: &str) -> Result<Self, AuditError> {
        let log = Self::take(path.into(), session_id)?;
        for start in log.left_open() {
            let end = CallEnd { reason: EndReason::Failed, ended_by: EndedBy::Local, ..CallEnd::default() };
            let ended = CallEnded { recovered: true, ..CallEnded::new(&start, &end) };
            log.record(&AuditEvent::CallEnd(Box::new(ended)))?;
        }
        Ok(log)
    }

    /// The path of a session's log in the host's data folder.
    pub(crate) fn path_in(data: &Path, session_id: &str) -> PathBuf {
        data.join("audit").join(folder_name(session_id)).join("wire.jsonl")
    }

    /// Calls that the file showed as under way when it was opened: their process has died.
    pub(crate) fn left_open(&self) -> Vec<CallStart> {
        std::mem::take(&mut *self.open.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// As [`open`](Self::open), but calls that the file shows as under way are left to the caller, who must end them.
    pub(crate) fn take(path: PathBuf, session_id: &str) -> Result<Self, AuditError> {
        let failed = |source| AuditError::Io { path: path.clone(), source };
        if let Some(folder) =
            path.parent().filter(|folder| !folder.as_os_str().is_empty() && !folder.is_dir())
        {
            std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(failed)?;
        }
        let mut options = OpenOptions::new();
        let file = options.read(true).append(true).create(true).mode(0o600).open(&path).map_err(failed)?;
        match FileExt::try_lock(&file) {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(AuditError::Locked { path }),
            Err(TryLockError::Error(error)) => return Err(failed(error)),
        }
        let found = Found::read(&file).map_err(failed)?;
        let run_id = new_run_id(SystemTime::now());
        let state = State { file, length: found.length, seq: found.seq, previous: found.previous.clone() };
        let session_id = session_id.to_owned();
        let open = Mutex::default();
        let log = Self { path, session_id, run_id, parent_run_id: None, state: Mutex::new(state), open };
        log.take_over(found)?;
        Ok(log)
    }

    /// Names the run that this process's records belong to, and the one above it. Without it, they belong to
    /// `voice_MILLISECONDS_RANDOM`.
    #[must_use]
    pub fn with_run(mut self, run_id: impl Into<String>, parent_run_id: Option<String>) -> Self {
        self.run_id = run_id.into();
        self.parent_run_id = parent_run_id;
        self
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Continues what was found in the file.
    fn take_over(&self, found: Found) -> Result<(), AuditError> {
        if found.empty {
            let mut state = self.state();
            let created = timestamp::iso(SystemTime::now());
            let (line, hash) =
                record::metadata(&self.session_id, &created).map_err(|_| AuditError::NotJson)?;
            self.write(&mut state, &line)?;
            state.previous = hash;
            // The file's name must survive a loss of power, too.
            if let Some(folder) = self.path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
                let synced = File::open(folder).and_then(|folder| folder.sync_all());
                synced.map_err(|source| AuditError::Io { path: folder.to_owned(), source })?;
            }
        }
        if let Some(torn) = found.torn {
            let mut state = self.state();
            self.write(&mut state, "")?;
            drop(state);
            if !torn.whole {
                self.record(&AuditEvent::Repaired { line: torn.line, bytes: torn.bytes })?;
            }
        }
        let open = found.open.into_values().map(|start| CallStart {
            agent_id: start.agent_id,
            call_id: start.call_id,
            provider: start.provider,
            trunk: start.trunk,
            to: start.to,
            from: None,
            consent: None,
        });
        *self.open.lock().unwrap_or_else(PoisonError::into_inner) = open.collect();
        Ok(())
    }

    /// Writes one line with its end, or leaves the file as it was.
    fn write(&self, state: &mut State, line: &str) -> Result<(), AuditError> {
        let failed = |source| AuditError::Io { path: self.path.clone(), source };
        // What an earlier attempt could not take back is taken back now, or nothing is written.
        if state.file.metadata().map_err(failed)?.len() != state.length {
            state.file.set_len(state.length).map_err(failed)?;
        }
        let text = format!("{line}\n");
        let written = state.file.write_all(text.as_bytes()).and_then(|()| state.file.sync_data());
        if let Err(error) = written {
            // Nothing more can be done if this fails as well; the next attempt sees it by the length.
            let _ = state.file.set_len(state.length);
            return Err(failed(error));
        }
        state.length += text.len() as u64;
        Ok(())
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl AuditSink for AuditLog {
    fn record(&self, event: &AuditEvent) -> Result<(), AuditError> {
        let event = serde_json::value::to_raw_value(event).map_err(|_| AuditError::NotJson)?;
        let mut state = self.state();
        let head = Head {
            seq: state.seq + 1,
            timestamp: &timestamp::iso(SystemTime::now()),
            run_id: &self.run_id,
            session_id: &self.session_id,
            parent_run_id: self.parent_run_id.as_deref(),
        };
        let (line, hash) = record::record(&head, &event, &state.previous).map_err(|_| AuditError::NotJson)?;
        self.write(&mut state, &line)?;
        state.seq += 1;
        state.previous = hash;
        Ok(())
    }
}

/// What a file holds that is to be continued.
struct Found {
    empty: bool,
    length: u64,
    seq: u64,
    previous: String,
    torn: Option<Torn>,
    /// Starts without an end, by call.
    open: BTreeMap<String, Started>,
}

/// A last line without its end.
struct Torn {
    line: u64,
    bytes: u64,
    /// Whether only the line end is missing.
    whole: bool,
}

/// The start of a call as it stands in the file.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Started {
    r#type: String,
    call_id: String,
    #[serde(default)]
    agent_id: String,
    #[serde(default)]
    provider: String,
    #[serde(default)]
    trunk: Option<String>,
    #[serde(default)]
    to: String,
}

impl Found {
    /// Reads the file once, line by line.
    fn read(mut file: &File) -> io::Result<Self> {
        let mut found = Self {
            empty: true,
            length: 0,
            seq: 0,
            previous: GENESIS.to_owned(),
            torn: None,
            open: BTreeMap::new(),
        };
        file.seek(SeekFrom::Start(0))?;
        let mut reader = BufReader::new(file);
        let mut bytes = Vec::new();
        let mut number = 0;
        while reader.read_until(b'\n', &mut bytes)? > 0 {
            found.length += bytes.len() as u64;
            let text = String::from_utf8_lossy(&bytes);
            let line = ecma::trim(&text);
            if !line.is_empty() {
                number += 1;
                let whole = found.line(number, line);
                if !bytes.ends_with(b"\n") {
                    found.torn = Some(Torn { line: number, bytes: bytes.len() as u64, whole });
                }
            }
            bytes.clear();
        }
        found.empty = number == 0;
        Ok(found)
    }

    /// Takes a line into account, and returns whether it is one that can be continued.
    fn line(&mut self, number: u64, text: &str) -> bool {
        let Some(line) = Line::parse(text) else { return false };
        if number == 1 && line.is_metadata() {
            let Some(hash) = line.metadata_hash() else { return false };
            self.previous = hash;
            return true;
        }
        let (Some(seq), Some(hash)) = (line.seq(), line.text("_hash")) else { return false };
        self.seq = self.seq.max(seq);
        self.previous = hash;
        let event = line.event().and_then(|event| serde_json::from_str::<Started>(event.get()).ok());
        if let Some(event) = event {
            match event.r#type.as_str() {
                "voice.call.start" => drop(self.open.insert(event.call_id.clone(), event)),
                "voice.call.end" => drop(self.open.remove(&event.call_id)),
                _ => {}
            }
        }
        true
    }
}

/// The name of a session's folder: everything that could mean something to a file system becomes `_`, one for each
/// UTF-16 unit.
fn folder_name(session_id: &str) -> String {
    let plain = |unit: u16| match u8::try_from(unit) {
        Ok(b) if b.is_ascii_alphanumeric() || b == b'_' || b == b'-' => char::from(b),
        _ => '_',
    };
    let name: String = ecma::trim(session_id).encode_utf16().map(plain).collect();
    if name.is_empty() { "session".to_owned() } else { name }
}

/// `voice_MILLISECONDS_RANDOM`, unique enough to tell runs apart.
fn new_run_id(now: SystemTime) -> String {
    let millis = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
    format!("voice_{millis}_{:08x}", rand::random::<u32>())
}

#[cfg(test)]
mod tests;
