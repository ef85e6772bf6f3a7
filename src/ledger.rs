//! The book of all calls: what was begun, what came of it and what it cost, in a SQLite file.
//!
//! A call is in it before its request leaves, so that a process that dies leaves no call without a record, and a restart
//! never rings twice for one idempotency key. One process owns it; others may [read](LedgerReader) it at the same time.

mod book;
mod entry;
mod reader;

use std::fs::File;
use std::path::{Path, PathBuf};

use fs4::{FileExt, TryLockError};

pub(crate) use book::Ledger;
pub(crate) use entry::{Keyed, NewCall, OpenCall, Settled};
pub use reader::{CallRecord, LedgerReader};

/// The name of the file in the records' folder.
const FILE: &str = "ledger.sqlite";
/// The file that the owner keeps locked.
const LOCK: &str = "ledger.lock";
/// The version of the tables.
const VERSION: i64 = 1;

/// Looks at a folder of records as the next process to call would: whether another process has it now, and whether its
/// ledger can be read. Nothing is made or changed, and a folder that is not there yet is none to complain of.
///
/// # Errors
///
/// [`LedgerError::Locked`] while another process owns it, else why it cannot be used.
pub fn inspect(folder: &Path) -> Result<(), LedgerError> {
    let failed = |path: &Path, source: std::io::Error| LedgerError::Io { path: path.to_owned(), source };
    let lock = folder.join(LOCK);
    match File::open(&lock) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => return Err(failed(&lock, error)),
        // Given back at once, and shared: others who look see no owner in us.
        Ok(file) => match FileExt::try_lock_shared(&file) {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(LedgerError::Locked { path: folder.to_owned() }),
            Err(TryLockError::Error(error)) => return Err(failed(&lock, error)),
        },
    }
    if folder.join(FILE).exists() {
        LedgerReader::open(folder)?;
    }
    Ok(())
}

/// Why the ledger could not be used. Holds no number and no secret.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LedgerError {
    /// Another process owns it.
    #[error("{} is in use by another process", path.display())]
    Locked {
        /// The folder.
        path: PathBuf,
    },
    /// The folder or the file cannot be used.
    #[error("cannot use {}", path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// SQLite refused: the disk is full, the file is damaged.
    #[error("the ledger cannot be read or written")]
    Sqlite(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The file was made by a newer version of this library.
    #[error("the ledger has version {version}, and this library knows {VERSION}")]
    Newer {
        /// Its version.
        version: i64,
    },
    /// An entry is not what this library wrote.
    #[error("the ledger has a damaged entry: {what}")]
    Damaged {
        /// What of it.
        what: &'static str,
    },
}

impl From<rusqlite::Error> for LedgerError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(Box::new(error))
    }
}
