use std::env;
use std::path::{Path, PathBuf};

use super::Problem;
use super::section::Section;

/// Where the records are kept: the audit log, and the ledger of calls, usage and idempotency keys. The table `[records]`.
///
/// One process at a time owns them.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct RecordsConfig {
    /// The folder. Default: `.outdial` in the user's home, or `/var/lib/outdial` for a user without one.
    pub folder: Option<PathBuf>,
    /// The session whose audit log it is: `FOLDER/audit/SESSION/wire.jsonl`. Default `outdial`.
    pub session: String,
    /// Whether keys that are sent to callees stand in the audit log as asterisks. Default false: a call's
    /// [`send_dtmf_masked`](crate::Call::send_dtmf_masked) asks for it one by one.
    pub mask_dtmf: bool,
}

impl Default for RecordsConfig {
    fn default() -> Self {
        Self { folder: None, session: "outdial".to_owned(), mask_dtmf: false }
    }
}

impl RecordsConfig {
    /// The folder that is used.
    pub fn folder(&self) -> PathBuf {
        self.folder.clone().unwrap_or_else(|| {
            env::home_dir().map_or_else(|| PathBuf::from("/var/lib/outdial"), |user| user.join(".outdial"))
        })
    }

    pub(super) fn read(mut section: Section<'_, '_>, base: Option<&Path>) -> Self {
        let mut records = Self::default();
        section.set("folder", &mut records.folder);
        section.set("session", &mut records.session);
        section.set("mask_dtmf", &mut records.mask_dtmf);
        section.finish(&[]);
        if let (Some(folder), Some(base)) = (&mut records.folder, base) {
            *folder = base.join(&*folder);
        }
        records
    }

    pub(super) fn check(&self, problems: &mut Vec<Problem>) {
        if self.folder.as_ref().is_some_and(|folder| folder.as_os_str().is_empty()) {
            problems.push(Problem::new("records.folder", "must be a folder"));
        }
        let session = self.session.trim();
        if session.is_empty() || session.len() > 128 || session.chars().any(char::is_control) {
            problems.push(Problem::new("records.session", "must be a name of 1 to 128 bytes"));
        }
    }
}
