//! What an unpacked source was made from.

use crate::{Error, PatchFiles, Source};
use serde::{Deserialize, Serialize};
use std::fs;
use std::io::ErrorKind;
use std::path::Path;

/// Written into the source's folder when it is complete.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stamp {
    /// Upstream's version.
    pub version: String,
    /// Where the archive came from.
    pub origin: String,
    /// SHA-256 of the archive.
    pub archive: String,
    /// How many patches were applied.
    pub patches: usize,
    /// [`PatchFiles::hash`] of them.
    pub patch_set: String,
}

/// Whether a source is there as `vendor.toml` and the patches want it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// It is.
    Current,
    /// There is no stamp, and so no complete source.
    Missing,
    /// It is another version.
    OtherVersion,
    /// It has other patches.
    OtherPatches,
}

const FILE: &str = ".vendored";

impl Stamp {
    /// The stamp in a source's folder, if there is one.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] and [`Error::Format`].
    pub fn read(source: &Path) -> Result<Option<Self>, Error> {
        let path = source.join(FILE);
        let text = match fs::read_to_string(&path) {
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
                return Ok(None);
            }
            other => other.map_err(Error::io(&path))?,
        };
        toml::from_str(&text).map(Some).map_err(|error| Error::Format { path, reason: error.to_string() })
    }

    #[cfg(feature = "fetch")]
    pub(crate) fn write(&self, source: &Path) -> Result<(), Error> {
        let path = source.join(FILE);
        let text = toml::to_string(self)
            .map_err(|error| Error::Format { path: path.clone(), reason: error.to_string() })?;
        fs::write(&path, text).map_err(Error::io(&path))
    }
}

/// Compares a source's folder with what is wanted.
///
/// # Errors
///
/// [`Error::Io`] and [`Error::Format`] for a stamp that cannot be read.
pub fn state(folder: &Path, source: &Source, patches: &PatchFiles) -> Result<State, Error> {
    Ok(match Stamp::read(folder)? {
        None => State::Missing,
        Some(stamp) if stamp.version != source.version => State::OtherVersion,
        Some(stamp) if stamp.patch_set != patches.hash() => State::OtherPatches,
        Some(_) => State::Current,
    })
}
