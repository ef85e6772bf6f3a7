use std::io;
use std::path::{Path, PathBuf};

/// Why sources could not be brought or looked at. Each is one sentence that stands alone.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file or folder could not be read, written or renamed.
    #[error("{path}: {source}")]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },

    /// `vendor.toml` or a stamp is not what it should be.
    #[error("{path}: {reason}")]
    Format {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },

    /// The archive is not the one that was asked for.
    #[error("{archive} has SHA-256 {found}, but {expected}")]
    Hash {
        /// The archive's path or address.
        archive: String,
        /// Its hash.
        found: String,
        /// What was expected, as the second half of the sentence.
        expected: String,
    },

    /// The archive's content is another version.
    #[error("{archive} is not {wanted}: its {file} has no line `{line}`")]
    WrongVersion {
        /// The archive's path or address.
        archive: String,
        /// The wanted source and version.
        wanted: String,
        /// The file that tells the version.
        file: String,
        /// The line that is missing there.
        line: String,
    },

    /// The archive cannot be unpacked, or must not.
    #[error("{archive} cannot be unpacked: {reason}")]
    Archive {
        /// The archive's path.
        archive: PathBuf,
        /// Why.
        reason: String,
    },

    /// A patch does not fit.
    #[error("the patch {patch} does not apply to {file}: {reason}")]
    Patch {
        /// The patch's file name.
        patch: String,
        /// The file that it should change.
        file: String,
        /// Why.
        reason: String,
    },

    /// A patch file is not a unified diff.
    #[error("the patch {patch} cannot be read: {reason}")]
    PatchSyntax {
        /// The patch's file name.
        patch: String,
        /// Why.
        reason: String,
    },

    /// No origin had the archive.
    #[error("{wanted} could not be fetched: {reasons}")]
    Unavailable {
        /// The wanted source and version.
        wanted: String,
        /// What each origin said.
        reasons: String,
    },

    /// One origin cannot deliver; another may.
    #[error("{origin}: {reason}")]
    Origin {
        /// Debian's source archive, or upstream's address.
        origin: String,
        /// Why.
        reason: String,
    },
}

impl Error {
    /// For `map_err`.
    pub(crate) fn io(path: impl AsRef<Path>) -> impl FnOnce(io::Error) -> Self {
        let path = path.as_ref().to_owned();
        move |source| Self::Io { path, source }
    }
}
