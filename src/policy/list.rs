//! Numbers that must not be called, in a file that others write.

use std::collections::HashSet;
use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use crate::provider::E164;

/// A file that changed less than this ago may change again without its time telling.
const SETTLING: Duration = Duration::from_secs(2);

/// The do-not-call list: one number on each line; empty lines and what follows a `#` are left out. It is read again when
/// the file has changed. While it cannot be read nobody is called.
#[derive(Debug)]
pub(crate) struct DoNotCall {
    path: PathBuf,
    loaded: Option<(Stamp, Result<HashSet<E164>, String>)>,
}

/// What tells that a file has changed.
#[derive(Debug, PartialEq, Eq)]
struct Stamp {
    inode: u64,
    length: u64,
    modified: Option<SystemTime>,
}

impl Stamp {
    fn of(file: &Metadata) -> Self {
        Self { inode: file.ino(), length: file.len(), modified: file.modified().ok() }
    }

    fn has_settled(&self, now: SystemTime) -> bool {
        let age = self.modified.and_then(|modified| now.duration_since(modified).ok());
        age.is_some_and(|age| age > SETTLING)
    }
}

impl DoNotCall {
    pub(crate) fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), loaded: None }
    }

    /// Whether the number is on the list.
    ///
    /// # Errors
    ///
    /// What is wrong with the file, without a number of it.
    pub(crate) fn contains(&mut self, to: &E164, now: SystemTime) -> Result<bool, String> {
        let shown = self.path.display();
        let file = fs::metadata(&self.path).map_err(|error| format!("{shown}: {error}"))?;
        let stamp = Stamp::of(&file);
        let current =
            self.loaded.as_ref().is_some_and(|(known, _)| *known == stamp && stamp.has_settled(now));
        if !current {
            self.loaded = Some((stamp, Self::read(&self.path)));
        }
        match &self.loaded {
            Some((_, Ok(numbers))) => Ok(numbers.contains(to)),
            Some((_, Err(error))) => Err(error.clone()),
            None => Err("not read".to_owned()),
        }
    }

    /// Reads a list.
    pub(super) fn read(path: &Path) -> Result<HashSet<E164>, String> {
        let shown = path.display();
        let text = fs::read_to_string(path).map_err(|error| format!("{shown}: {error}"))?;
        let mut numbers = HashSet::new();
        for (line, text) in text.lines().enumerate() {
            let number = text.split('#').next().unwrap_or_default().trim_start_matches('\u{feff}').trim();
            if !number.is_empty() {
                let wrong = |error| format!("{shown}, line {}: {error}", line + 1);
                numbers.insert(E164::parse(number).map_err(wrong)?);
            }
        }
        Ok(numbers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(text: &str) -> E164 {
        E164::parse(text).unwrap()
    }

    #[test]
    fn a_changed_file_counts_at_once_and_an_unreadable_one_stops_everything() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("dnc.txt");
        let mut list = DoNotCall::new(&path);
        let now = SystemTime::now();
        assert!(list.contains(&number("+12025550100"), now).is_err());
        fs::write(&path, "\u{feff}# asked us not to\n+1 202 555 0100  # by letter\n\n").unwrap();
        assert_eq!(list.contains(&number("+12025550100"), now), Ok(true));
        assert_eq!(list.contains(&number("+12025550101"), now), Ok(false));
        // The same length, within the same tick of the clock.
        fs::write(&path, "\u{feff}# asked us not to\n+1 202 555 0101  # by letter\n\n").unwrap();
        assert_eq!(list.contains(&number("+12025550100"), now), Ok(false));
        assert_eq!(list.contains(&number("+12025550101"), now), Ok(true));
        fs::write(&path, "+12025550100\nMr Smith\n").unwrap();
        let error = list.contains(&number("+12025550100"), now).unwrap_err();
        assert!(error.contains("line 2") && !error.contains("Smith"), "{error}");
        fs::remove_file(&path).unwrap();
        assert!(list.contains(&number("+12025550101"), now).is_err());
    }
}
