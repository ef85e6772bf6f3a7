//! The folder of the records: without it no call is made.

use std::path::Path;

use outdial::config::RecordsConfig;
use outdial::ledger::{self, LedgerError};
use rustix::fs::{Access, access};

use super::finding::Finding;
use super::mistake::Mistake;

/// What is so with `[records]`.
pub(super) fn look_at(records: &RecordsConfig) -> Finding {
    let folder = records.folder();
    let shown = folder.display();
    let place = folder.ancestors().find(|place| place.exists()).unwrap_or(Path::new("."));
    if let Err(error) = access(place, Access::READ_OK | Access::WRITE_OK | Access::EXEC_OK) {
        let what = match place == folder {
            true => format!("no call is made: {shown} cannot be written: {error}"),
            false => format!("no call is made: {shown} cannot be made in {}: {error}", place.display()),
        };
        return Mistake::RecordsUnusable
            .found(what, "name another folder under [records], or give this user that one");
    }
    if !place.is_dir() {
        let what = format!("no call is made: {} is not a folder", place.display());
        return Mistake::RecordsUnusable.found(what, "name another folder under [records]");
    }
    match ledger::inspect(&folder) {
        Ok(()) if place == folder => {
            Finding::ok("records", format!("{shown} can be written, and nobody has it"))
        }
        Ok(()) => Finding::ok("records", format!("{shown} will be made by the first call")),
        Err(LedgerError::Locked { .. }) => Mistake::RecordsInUse.suspected(
            format!("{shown} is in use: another process calls, and a second one cannot beside it"),
            "nothing, if that process is yours; else give this one a folder of its own under [records]",
        ),
        Err(error) => Mistake::RecordsUnusable.found(
            format!("no call is made: {:#}", anyhow::Error::from(error)),
            "put the folder away and let a new one begin, if these are no records of this version",
        ),
    }
}
