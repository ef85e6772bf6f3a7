//! A file that has its name when it is complete.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use fs4::{FileExt, TryLockError};
use sha2::{Digest as _, Sha256};

/// What a file is called until it is complete.
pub(super) const UNFINISHED: &str = ".part";

/// Makes the folder for recordings, for its owner only, if there is none.
pub(crate) fn make_folder(folder: &Path) -> io::Result<()> {
    if folder.is_dir() { Ok(()) } else { DirBuilder::new().recursive(true).mode(0o700).create(folder) }
}

/// A file in the making: `NAME.part`, mode 0600, locked for as long as a process writes it.
#[derive(Debug)]
pub(super) struct Unfinished {
    file: File,
    path: PathBuf,
}

/// A file that is complete.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Kept {
    /// Its name in the folder.
    pub(crate) name: String,
    pub(crate) bytes: u64,
    /// Lower-case hexadecimal.
    pub(crate) sha256: String,
}

impl Unfinished {
    /// Begins a file; there must be none of that name.
    pub(super) fn create(folder: &Path, name: &str) -> io::Result<Self> {
        make_folder(folder)?;
        let path = folder.join(name);
        if path.exists() {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let part = part(&path);
        let file = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&part)?;
        FileExt::try_lock(&file).map_err(io::Error::from)?;
        Ok(Self { file, path })
    }

    /// Takes over what a process that died has left behind. `None` if one that lives still writes it.
    pub(super) fn take_over(part: &Path) -> io::Result<Option<Self>> {
        let Some(path) = part.to_str().and_then(|part| part.strip_suffix(UNFINISHED)) else {
            return Ok(None);
        };
        let file = OpenOptions::new().read(true).write(true).open(part)?;
        match FileExt::try_lock(&file) {
            Ok(()) => Ok(Some(Self { file, path: path.into() })),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    pub(super) fn file(&self) -> &File {
        &self.file
    }

    /// The same file for whoever writes it.
    pub(super) fn writer(&self) -> io::Result<File> {
        self.file.try_clone()
    }

    /// Takes it away again: nothing of use is in it.
    pub(super) fn discard(self) {
        // Whatever hinders it hinders nothing else.
        let _ = std::fs::remove_file(part(&self.path));
    }

    /// Cuts off what is behind this length.
    pub(super) fn truncate(&self, length: u64) -> io::Result<()> {
        self.file.set_len(length)
    }

    /// Brings it to the disk, gives it its name, and hashes it.
    pub(super) fn finish(mut self) -> io::Result<Kept> {
        self.file.sync_all()?;
        self.file.seek(SeekFrom::Start(0))?;
        let mut hash = Sha256::new();
        let mut buffer = vec![0; 64 * 1024];
        let mut bytes = 0;
        loop {
            let count = self.file.read(&mut buffer)?;
            if count == 0 {
                break;
            }
            hash.update(&buffer[..count]);
            bytes += count as u64;
        }
        std::fs::rename(part(&self.path), &self.path)?;
        if let Some(folder) = self.path.parent() {
            File::open(folder)?.sync_all()?;
        }
        let name = self.path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let sha256 = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(Kept { name, bytes, sha256 })
    }
}

fn part(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(UNFINISHED);
    name.into()
}

/// A call's name as a file's: a Call-ID of ours and a call sid have letters and digits only.
pub(super) fn stem(call: &str) -> String {
    call.chars().map(|c| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' }).collect()
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_file_has_its_name_and_its_hash_when_it_is_complete() {
        let place = tempfile::tempdir().unwrap();
        let folder = place.path().join("calls");
        let unfinished = Unfinished::create(&folder, "c1.wav").unwrap();
        unfinished.writer().unwrap().write_all(b"abc").unwrap();
        assert!(!folder.join("c1.wav").exists() && folder.join("c1.wav.part").exists());
        let again = Unfinished::create(&folder, "c1.wav").unwrap_err();
        assert_eq!(again.kind(), io::ErrorKind::AlreadyExists);
        let kept = unfinished.finish().unwrap();
        // FIPS 180-2, appendix B.1.
        let sha256 = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(kept, Kept { name: "c1.wav".into(), bytes: 3, sha256: sha256.into() });
        assert!(folder.join("c1.wav").exists() && !folder.join("c1.wav.part").exists());
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&folder.join("c1.wav")), mode(&folder)), (0o600, 0o700));
        assert!(Unfinished::create(&folder, "c1.wav").is_err(), "nothing is written over");
    }

    #[test]
    fn what_somebody_still_writes_is_not_taken_over() {
        let place = tempfile::tempdir().unwrap();
        let ours = Unfinished::create(place.path(), "c1.wav").unwrap();
        let part = place.path().join("c1.wav.part");
        assert!(Unfinished::take_over(&part).unwrap().is_none());
        drop(ours);
        assert_eq!(Unfinished::take_over(&part).unwrap().unwrap().finish().unwrap().name, "c1.wav");
    }

    #[test]
    fn no_name_leads_out_of_the_folder() {
        assert_eq!(stem("../../etc/passwd"), "______etc_passwd");
        assert_eq!(stem("CA0123"), "CA0123");
    }
}
