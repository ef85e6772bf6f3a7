//! Passwords and private keys: where they are, and how they are read without showing them anywhere.
//!
//! A secret lives in an environment variable, in a file of its own or in the encrypted [`Store`]. The configuration
//! names the place by a [`SecretRef`], and [`Secrets`] reads it when it is needed. In memory it is a
//! [`SecretString`], which is wiped when it is dropped; errors and Debug output hold names and places only.

mod document;
mod master_key;
mod reference;
mod source;
mod store;

use std::path::PathBuf;

use secrecy::SecretString;

pub use reference::{SecretName, SecretNameError, SecretRef};
pub use store::{Store, StoreError, StoredSecret};

use crate::ecma;
use source::{Modes, ReadError};

/// Reads what [`SecretRef`]s refer to.
#[derive(Debug, Clone)]
pub struct Secrets {
    store: Store,
}

impl Secrets {
    /// Reads `store` references from this store.
    pub fn new(store: Store) -> Self {
        Self { store }
    }

    /// The store.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Reads a secret, afresh each time, so that a changed one is seen. White space around it is dropped, a final
    /// newline above all; what is inside, the line ends of a PEM too, stays.
    ///
    /// It reads files and can compute a key for some 50 ms: call it from a thread that may block.
    ///
    /// # Errors
    ///
    /// [`SecretError`] if it is not there, is empty, or its file is open to others. An empty password is never
    /// returned in place of a missing one.
    pub fn resolve(&self, reference: &SecretRef) -> Result<SecretString, SecretError> {
        let missing = || SecretError::Missing { reference: reference.clone() };
        let text = match reference {
            SecretRef::Env(name) => match std::env::var(name) {
                Ok(text) => SecretString::from(ecma::trim(&text)),
                Err(std::env::VarError::NotPresent) => return Err(missing()),
                Err(std::env::VarError::NotUnicode(_)) => {
                    return Err(SecretError::NotText { reference: reference.clone() });
                }
            },
            SecretRef::File(path) => match source::read(path, Modes::OwnerOnlyOrMounted) {
                Ok(text) => SecretString::from(ecma::trim(&text)),
                Err(ReadError::Io(e)) if e.kind() == std::io::ErrorKind::NotFound => return Err(missing()),
                Err(ReadError::Io(source)) => return Err(SecretError::Read { path: path.clone(), source }),
                Err(ReadError::TooOpen { path, mode }) => return Err(SecretError::TooOpen { path, mode }),
                Err(ReadError::NotAFile | ReadError::TooLong | ReadError::NotText) => {
                    return Err(SecretError::NotText { reference: reference.clone() });
                }
            },
            SecretRef::Store(name) => self.store.get(name)?.ok_or_else(missing)?,
        };
        if secrecy::ExposeSecret::expose_secret(&text).is_empty() { Err(missing()) } else { Ok(text) }
    }
}

/// Why a secret could not be read. Holds names and paths, never a secret.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SecretError {
    /// It is not there, or it is empty.
    #[error("there is no secret in {reference}")]
    Missing {
        /// Where it should be.
        reference: SecretRef,
    },
    /// Its file cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// Others than the owner can read or write its file.
    #[error("{} is open to others (mode {mode:03o}): chmod 600", path.display())]
    TooOpen {
        /// Which.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// It is not a text of UTF-8 of at most 1 MB, or not in a regular file.
    #[error("what is in {reference} is not a text of at most 1 MB")]
    NotText {
        /// Where it is.
        reference: SecretRef,
    },
    /// The store could not be read.
    #[error(transparent)]
    Store(#[from] StoreError),
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use secrecy::ExposeSecret;

    use super::*;

    fn write(path: &std::path::Path, content: &[u8], mode: u32) {
        fs::write(path, content).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn a_file_is_read_if_it_is_the_owner_s_alone() {
        let folder = tempfile::tempdir().unwrap();
        let secrets = Secrets::new(Store::open(folder.path()));
        let path = folder.path().join("pw");
        let read = || secrets.resolve(&SecretRef::File(path.clone()));
        assert!(matches!(read(), Err(SecretError::Missing { .. })));
        write(&path, "\u{feff} pass word\r\nline two\n\n".as_bytes(), 0o600);
        assert_eq!(read().unwrap().expose_secret(), "pass word\r\nline two");
        for mode in [0o640, 0o604, 0o620, 0o666] {
            write(&path, b"marker", mode);
            let error = read().unwrap_err();
            assert!(matches!(&error, SecretError::TooOpen { mode: m, .. } if *m == mode), "{error}");
            assert!(
                error.to_string().contains(&format!("mode {mode:o}"))
                    && !format!("{error:?}").contains("marker")
            );
        }
        write(&path, b" \n", 0o400);
        assert!(matches!(read(), Err(SecretError::Missing { .. })));
        write(&path, b"\xff\xfe", 0o600);
        assert!(matches!(read(), Err(SecretError::NotText { .. })));
        assert!(matches!(
            secrets.resolve(&SecretRef::File(folder.path().into())),
            Err(SecretError::NotText { .. })
        ));
    }

    #[test]
    fn the_environment_is_read_and_a_missing_variable_is_an_error() {
        let secrets = Secrets::new(Store::open("/nonexistent"));
        let path = secrets.resolve(&SecretRef::Env("PATH".into())).unwrap();
        assert_eq!(path.expose_secret(), std::env::var("PATH").unwrap().trim());
        let error = secrets.resolve(&SecretRef::Env("OUTDIAL_TEST_UNSET".into())).unwrap_err();
        assert_eq!(error.to_string(), "there is no secret in environment variable OUTDIAL_TEST_UNSET");
    }

    #[test]
    fn the_store_is_asked_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let secrets = Secrets::new(Store::open(folder.path()));
        let name = SecretName::new("SIP_PASSWORD").unwrap();
        let reference = SecretRef::Store(name.clone());
        assert!(matches!(secrets.resolve(&reference), Err(SecretError::Missing { .. })));
        secrets.store().set(&name, &SecretString::from("marker")).unwrap();
        assert_eq!(secrets.resolve(&reference).unwrap().expose_secret(), "marker");
        assert!(!format!("{secrets:?}").contains("marker"));
    }
}
