//! Files that hold secrets: read only if nobody else can read them, written so that they are whole at any moment.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

/// No secret is longer; what is, is another file by mistake.
const MAX_LEN: u64 = 1 << 20;

/// Where container runtimes put secrets, with modes of their own choice (0444 by default).
const MOUNTED: &str = "/run/secrets";

/// Which modes a file may have.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Modes {
    /// Nobody but the owner may read or write it.
    OwnerOnly,
    /// The same, except where a container's runtime put it.
    OwnerOnlyOrMounted,
}

/// Why a file was not read. Never shows a part of it.
#[derive(Debug)]
pub(super) enum ReadError {
    Io(io::Error),
    TooOpen { path: PathBuf, mode: u32 },
    NotAFile,
    TooLong,
    NotText,
}

/// Reads a text file. Modes are asked of the open file, so it cannot be exchanged in between.
pub(super) fn read(path: &Path, modes: Modes) -> Result<Zeroizing<String>, ReadError> {
    // Opening a named pipe would wait for its writer.
    if !fs::metadata(path).map_err(ReadError::Io)?.is_file() {
        return Err(ReadError::NotAFile);
    }
    let file = File::open(path).map_err(ReadError::Io)?;
    let metadata = file.metadata().map_err(ReadError::Io)?;
    let mode = metadata.permissions().mode() & 0o777;
    let exempt = modes == Modes::OwnerOnlyOrMounted && path.starts_with(MOUNTED);
    if mode & 0o077 != 0 && !exempt {
        return Err(ReadError::TooOpen { path: path.to_owned(), mode });
    }
    if metadata.len() > MAX_LEN {
        return Err(ReadError::TooLong);
    }
    let mut bytes = Zeroizing::new(Vec::with_capacity(usize::try_from(metadata.len()).unwrap_or(0) + 1));
    file.take(MAX_LEN).read_to_end(&mut bytes).map_err(ReadError::Io)?;
    let text = str::from_utf8(&bytes).map_err(|_| ReadError::NotText)?;
    Ok(Zeroizing::new(text.to_owned()))
}

/// Replaces a file: a temporary one beside it with mode 0600, synchronised, then renamed over it.
pub(super) fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let mut file = tempfile::Builder::new().prefix(".credentials.").suffix(".tmp").tempfile_in(folder)?;
    file.as_file().set_permissions(fs::Permissions::from_mode(0o600))?;
    file.write_all(content)?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|e| e.error)?;
    // The rename itself must survive a loss of power.
    File::open(folder)?.sync_all()
}

/// Makes a folder that only its owner can enter, if it is not there.
pub(super) fn make_folder(path: &Path) -> io::Result<()> {
    if path.is_dir() { Ok(()) } else { fs::DirBuilder::new().recursive(true).mode(0o700).create(path) }
}
