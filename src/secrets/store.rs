use std::path::{Path, PathBuf};
use std::time::SystemTime;

use secrecy::{ExposeSecret, SecretString};
use zeroize::Zeroizing;

use super::SecretName;
use super::document::{Dates, Document, Entry};
use super::master_key::{KeySources, MasterKey};
use super::source::{self, Modes, ReadError};
use crate::ecma;
use crate::timestamp;

const FILE: &str = "credentials.json";

/// The encrypted store: `credentials.json` in a folder of its own, in the format that the host keeps too.
///
/// Every operation reads the file afresh, so the host and a second tool may write it in between. A change writes
/// the whole file anew, every value under a new nonce, and replaces it in one step. It is refused while any other
/// entry cannot be decrypted: with the wrong key it would destroy what it cannot read.
///
/// The key is found in `OUTDIAL_MASTER_KEY`, `HYBRIDCLAW_MASTER_KEY`, `/run/secrets/outdial_master_key`,
/// `/run/secrets/hybridclaw_master_key` or `credentials.master.key` in the folder, in this order; blank ones do not
/// count. A passphrase takes some 50 ms to become a key, once per operation, so keep what you read.
#[derive(Debug, Clone)]
pub struct Store {
    home: PathBuf,
    keys: KeySources,
}

/// What may be shown of an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct StoredSecret {
    /// Its name. Only well-formed; a name that the host would drop is shown too.
    pub name: String,
    /// When it was made, if that was written down.
    pub created_at: Option<String>,
    /// When its value changed last, if that was written down.
    pub last_rotated_at: Option<String>,
}

impl Store {
    /// The store in a folder. Neither the folder nor the file need exist.
    pub fn open(home: impl Into<PathBuf>) -> Self {
        Self { home: home.into(), keys: KeySources::of_process() }
    }

    /// The folder.
    pub fn home(&self) -> &Path {
        &self.home
    }

    /// Makes the folder (mode 0700) and a key, if there is no key yet. Returns whether it made one.
    ///
    /// # Errors
    ///
    /// [`StoreError::TooOpen`] for a key that others can read, [`StoreError::Write`], and [`StoreError::NoKey`] if
    /// there is a store whose key is gone: a new key would not open it.
    pub fn init(&self) -> Result<bool, StoreError> {
        let empty = self.load()?.entries.is_empty();
        let found = self.keys.find(&self.home)?.is_some();
        if !found {
            self.key_for(empty)?;
        }
        Ok(!found)
    }

    /// The value of an entry, or `None` if there is none of this name, or an empty one.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the file or the key cannot be read, or the entry does not decrypt.
    pub fn get(&self, name: &SecretName) -> Result<Option<SecretString>, StoreError> {
        let document = self.load()?;
        let Some(entry) = document.entries.get(name.as_str()) else { return Ok(None) };
        let key = self.keys.find(&self.home)?.ok_or_else(|| StoreError::NoKey { home: self.home.clone() })?;
        let value =
            entry.open(&key, name.as_str()).ok_or_else(|| StoreError::WrongKey { name: name.to_string() })?;
        let value = ecma::trim(&value);
        Ok((!value.is_empty()).then(|| SecretString::from(value)))
    }

    /// Sets the value of an entry and returns whether that changed it. White space around the value is dropped, as
    /// the host does; an empty value removes the entry.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the file cannot be read or written, or another entry does not decrypt. Nothing is changed
    /// then.
    pub fn set(&self, name: &SecretName, value: &SecretString) -> Result<bool, StoreError> {
        Ok(self.import([(name.clone(), value.clone())])? > 0)
    }

    /// Like [`set`](Self::set), for an entry that must be there.
    ///
    /// # Errors
    ///
    /// Those of [`set`](Self::set), and [`StoreError::Missing`].
    pub fn rotate(&self, name: &SecretName, value: &SecretString) -> Result<bool, StoreError> {
        if !self.load()?.entries.contains_key(name.as_str()) {
            return Err(StoreError::Missing { name: name.to_string() });
        }
        self.set(name, value)
    }

    /// Sets several entries in one step and returns how many that changed.
    ///
    /// # Errors
    ///
    /// Those of [`set`](Self::set); either all are set or none.
    pub fn import(
        &self,
        secrets: impl IntoIterator<Item = (SecretName, SecretString)>,
    ) -> Result<usize, StoreError> {
        self.change(|document, plain, key, now| {
            let mut changed = 0;
            for (name, value) in secrets {
                let value = ecma::trim(value.expose_secret());
                let name = name.as_str();
                if value.is_empty() {
                    changed += usize::from(document.entries.shift_remove(name).is_some());
                    plain.retain(|(other, _)| other != name);
                    continue;
                }
                let old = plain.iter_mut().find(|(other, _)| other == name);
                if old.as_ref().is_some_and(|(_, old)| **old == value) {
                    continue;
                }
                let created = document.entries.get(name).and_then(|entry| entry.created_at.clone());
                let dates = Dates {
                    created_at: Some(created.unwrap_or_else(|| now.to_owned())),
                    last_rotated_at: Some(now.to_owned()),
                };
                let value = Zeroizing::new(value.to_owned());
                document.entries.insert(name.to_owned(), seal(key, name, &value, dates)?);
                match old {
                    Some((_, old)) => *old = value,
                    None => plain.push((name.to_owned(), value)),
                }
                changed += 1;
            }
            Ok(changed)
        })
    }

    /// Removes an entry and returns whether it was there. One that does not decrypt can be removed as well.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the file cannot be read or written, or another entry does not decrypt.
    pub fn remove(&self, name: &SecretName) -> Result<bool, StoreError> {
        if !self.load()?.entries.contains_key(name.as_str()) {
            return Ok(false);
        }
        self.change_except(Some(name.as_str()), |document, _, _, _| {
            Ok(usize::from(document.entries.shift_remove(name.as_str()).is_some()))
        })
        .map(|changed| changed > 0)
    }

    /// The entries in the order of the file, without their values. No key is needed.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the file cannot be read.
    pub fn list(&self) -> Result<Vec<StoredSecret>, StoreError> {
        let entries = self.load()?.entries.into_iter();
        Ok(entries
            .map(|(name, entry)| StoredSecret {
                name,
                created_at: entry.created_at,
                last_rotated_at: entry.last_rotated_at,
            })
            .collect())
    }

    fn change(&self, edit: impl FnOnce(&mut Document, &mut Plain, &MasterKey, &str) -> Edited) -> Edited {
        self.change_except(None, edit)
    }

    /// Reads everything, changes it, and writes everything again if something changed. The value of `unread` is not
    /// needed.
    fn change_except(
        &self,
        unread: Option<&str>,
        edit: impl FnOnce(&mut Document, &mut Plain, &MasterKey, &str) -> Edited,
    ) -> Edited {
        let mut document = self.load()?;
        let key = match self.keys.find(&self.home)? {
            Some(key) => key,
            None => self.key_for(document.entries.is_empty())?,
        };
        let mut plain = Plain::with_capacity(document.entries.len());
        for (name, entry) in document.entries.iter().filter(|(name, _)| Some(name.as_str()) != unread) {
            let value = entry.open(&key, name).ok_or_else(|| StoreError::WrongKey { name: name.clone() })?;
            plain.push((name.clone(), value));
        }
        let changed = edit(&mut document, &mut plain, &key, &timestamp::iso(SystemTime::now()))?;
        if changed > 0 {
            self.save(&mut document, &plain, &key)?;
        }
        Ok(changed)
    }

    fn save(&self, document: &mut Document, plain: &Plain, key: &MasterKey) -> Result<(), StoreError> {
        let path = self.file();
        let failed = |e| StoreError::write(&path, e);
        if document.entries.is_empty() {
            return std::fs::remove_file(&path).map_err(failed);
        }
        for (name, value) in plain {
            if let Some(entry) = document.entries.get_mut(name) {
                *entry = seal(key, name, value, entry.dates())?;
            }
        }
        source::make_folder(&self.home).map_err(failed)?;
        source::replace(&path, document.text().as_bytes()).map_err(failed)
    }

    fn load(&self) -> Result<Document, StoreError> {
        let path = self.file();
        match source::read(&path, Modes::OwnerOnly) {
            Ok(text) => Document::parse(&text).map_err(|problem| StoreError::Invalid { path, problem }),
            Err(ReadError::Io(e)) if e.kind() == std::io::ErrorKind::NotFound => Ok(Document::empty()),
            Err(ReadError::Io(source)) => Err(StoreError::Read { path, source }),
            Err(ReadError::TooOpen { path, mode }) => Err(StoreError::TooOpen { path, mode }),
            Err(ReadError::NotAFile | ReadError::TooLong | ReadError::NotText) => {
                Err(StoreError::Invalid { path, problem: "it is not a text file of at most 1 MB".to_owned() })
            }
        }
    }

    /// A new key, if nothing depends on an old one.
    fn key_for(&self, empty: bool) -> Result<MasterKey, StoreError> {
        if !empty {
            return Err(StoreError::NoKey { home: self.home.clone() });
        }
        source::make_folder(&self.home).map_err(|e| StoreError::write(&self.home, e))?;
        KeySources::create(&self.home)
    }

    fn file(&self) -> PathBuf {
        self.home.join(FILE)
    }
}

/// Decrypted values with their names.
type Plain = Vec<(String, Zeroizing<String>)>;
/// How many entries a change touched.
type Edited = Result<usize, StoreError>;

fn seal(key: &MasterKey, name: &str, value: &str, dates: Dates) -> Result<Entry, StoreError> {
    Entry::seal(key, name, value, dates).map_err(|e| StoreError::Random(std::io::Error::other(e)))
}

/// Why the store could not be read or changed. Holds names and paths, never a value or a key.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// A file cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// A file cannot be written. What was there before is still there.
    #[error("cannot write {}", path.display())]
    Write {
        /// Which.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// Others than the owner can read or write a file.
    #[error("{} is open to others (mode {mode:03o}): chmod 600", path.display())]
    TooOpen {
        /// Which.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// The file is not a store. It is neither read nor written over.
    #[error("{} is not a store: {problem}", path.display())]
    Invalid {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// There is a store and no key.
    #[error("no master key for the store in {}", home.display())]
    NoKey {
        /// The store's folder.
        home: PathBuf,
    },
    /// An entry does not decrypt: the key is another one, or the entry was changed.
    #[error("the entry {name} cannot be decrypted: wrong master key, or the entry was changed")]
    WrongKey {
        /// Which entry.
        name: String,
    },
    /// There is no such entry.
    #[error("there is no entry {name} in the store")]
    Missing {
        /// Its name.
        name: String,
    },
    /// The system has no random numbers.
    #[error("the system gives no random numbers")]
    Random(#[source] std::io::Error),
}

impl StoreError {
    pub(super) fn write(path: &Path, source: std::io::Error) -> Self {
        Self::Write { path: path.to_owned(), source }
    }
}

#[cfg(test)]
mod tests;
