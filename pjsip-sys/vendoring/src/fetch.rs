//! Fetching, verifying, unpacking and patching.

mod apply;
mod apt;
mod archive;
mod upstream;

pub(crate) use apply::all as apply;
pub use apt::debian_mirrors;

use crate::{Error, Manifest, PatchFiles, Source, Stamp, State, hex, state};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fmt;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

/// Where archives may come from, besides those brought along and those fetched before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// Debian's or Ubuntu's source archive, through apt's signed index.
    Apt,
    /// Upstream's address, checked against the pinned SHA-256.
    Upstream,
}

/// An archive on disk whose content is trusted.
struct Archive {
    path: PathBuf,
    sha256: String,
    origin: String,
}

/// A vendor folder, and how to complete it.
pub struct Vendor {
    folder: PathBuf,
    target: PathBuf,
    origins: Vec<Origin>,
    archives: BTreeMap<String, PathBuf>,
}

impl Vendor {
    /// The folder of `vendor.toml` and the patches. Sources go there too, and come from
    /// Debian's or Ubuntu's archive, then from upstream.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        let folder = folder.into();
        let origins = vec![Origin::Apt, Origin::Upstream];
        Self { target: folder.clone(), folder, origins, archives: BTreeMap::new() }
    }

    /// Puts the sources into another folder.
    #[must_use]
    pub fn target(mut self, target: impl Into<PathBuf>) -> Self {
        self.target = target.into();
        self
    }

    /// Where archives may come from, in this order.
    #[must_use]
    pub fn origins(mut self, origins: &[Origin]) -> Self {
        self.origins = origins.to_vec();
        self
    }

    /// Uses this archive for the source of this name, and fetches none. Its SHA-256 must be one
    /// that `vendor.toml` knows.
    #[must_use]
    pub fn archive(mut self, name: &str, path: impl Into<PathBuf>) -> Self {
        self.archives.insert(name.to_owned(), path.into());
        self
    }

    /// Uses the archives that `OUTDIAL_<NAME>_TARBALL` name.
    ///
    /// # Errors
    ///
    /// Those of [`Manifest::read`].
    pub fn archives_from_environment(mut self) -> Result<Self, Error> {
        for name in Manifest::read(&self.folder)?.sources.keys() {
            let variable = Source::variable(name);
            if let Some(path) = std::env::var_os(variable).filter(|path| !path.is_empty()) {
                self.archives.insert(name.clone(), path.into());
            }
        }
        Ok(self)
    }

    /// Makes every source present and current.
    ///
    /// Quick and silent when all is in place; otherwise `progress` gets a line for each step that
    /// takes time. A source's folder appears complete or not at all; one that was there before
    /// stays as it was on any failure. A second process that brings the same sources waits.
    ///
    /// # Errors
    ///
    /// Any [`Error`].
    pub fn bring(&self, progress: &mut dyn FnMut(&str)) -> Result<(), Error> {
        let mut wanted = Vec::new();
        for (name, source) in Manifest::read(&self.folder)?.sources {
            let patches = PatchFiles::of(&self.folder, &source)?;
            wanted.push(Wanted { folder: self.target.join(&name), name, source, patches });
        }
        if all_current(&wanted)? {
            return Ok(());
        }
        fs::create_dir_all(&self.target).map_err(Error::io(&self.target))?;
        let _alone = lock(&self.target)?;
        remove_leftovers(&self.target)?;
        for wanted in &wanted {
            if wanted.state()? != State::Current {
                self.bring_one(wanted, progress)?;
            }
        }
        Ok(())
    }

    fn bring_one(&self, wanted: &Wanted, progress: &mut dyn FnMut(&str)) -> Result<(), Error> {
        // On the same file system as the result, so that a rename finishes the work.
        let work = tempfile::Builder::new()
            .prefix(WORK_PREFIX)
            .tempdir_in(&self.target)
            .map_err(Error::io(&self.target))?;
        let fresh = work.path().join(&wanted.name);
        let archive = self.obtain(wanted, work.path(), &fresh, progress)?;
        wanted.patches.apply(&fresh)?;
        let stamp = Stamp {
            version: wanted.source.version.clone(),
            origin: archive.origin,
            archive: archive.sha256,
            patches: wanted.patches.count(),
            patch_set: wanted.patches.hash(),
        };
        stamp.write(&fresh)?;
        replace(&wanted.folder, &fresh, &work.path().join("before"))?;
        progress(&format!("{wanted}: unpacked, {}", counted(stamp.patches)));
        Ok(())
    }

    /// The unpacked, unpatched source in `fresh`, from the first place that has it.
    fn obtain(
        &self,
        wanted: &Wanted,
        work: &Path,
        fresh: &Path,
        progress: &mut dyn FnMut(&str),
    ) -> Result<Archive, Error> {
        if let Some(path) = self.archives.get(&wanted.name) {
            let archive = named(path, &wanted.source)?;
            unpack(&archive, wanted, fresh)?;
            return Ok(archive);
        }
        let kept = Kept::new(&self.target, wanted);
        if let Some(archive) = kept.find()? {
            unpack(&archive, wanted, fresh)?;
            return Ok(archive);
        }
        let mut reasons = Vec::new();
        for origin in &self.origins {
            let fetched = match origin {
                Origin::Apt => apt::fetch(wanted, work, progress),
                Origin::Upstream => upstream::fetch(wanted, work, progress),
            };
            // The version inside is looked at here, so that a distribution that has moved on to
            // another one is only a reason to try the next origin.
            match fetched.and_then(|archive| unpack(&archive, wanted, fresh).map(|()| archive)) {
                Ok(archive) => return kept.keep(archive),
                Err(error) => reasons.push(error.to_string()),
            }
            remove(fresh)?;
        }
        if reasons.is_empty() {
            reasons.push("there is nowhere to fetch it from".to_owned());
        }
        Err(Error::Unavailable { wanted: wanted.to_string(), reasons: reasons.join("; ") })
    }
}

/// A source as `vendor.toml` and the patches want it.
struct Wanted {
    name: String,
    source: Source,
    patches: PatchFiles,
    folder: PathBuf,
}

impl Wanted {
    fn state(&self) -> Result<State, Error> {
        state(&self.folder, &self.source, &self.patches)
    }
}

impl fmt::Display for Wanted {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} {}", self.name, self.source.version)
    }
}

fn all_current(wanted: &[Wanted]) -> Result<bool, Error> {
    for wanted in wanted {
        if wanted.state()? != State::Current {
            return Ok(false);
        }
    }
    Ok(true)
}

fn counted(patches: usize) -> String {
    match patches {
        0 => "no patches".to_owned(),
        1 => "1 patch applied".to_owned(),
        count => format!("{count} patches applied"),
    }
}

/// Unpacks, and looks for the proof of the version.
fn unpack(archive: &Archive, wanted: &Wanted, fresh: &Path) -> Result<(), Error> {
    archive::unpack(&archive.path, fresh)?;
    let proof = &wanted.source.proof;
    let text = fs::read_to_string(fresh.join(&proof.file)).unwrap_or_default();
    let squeezed = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
    let present: Vec<String> = text.lines().map(squeezed).collect();
    match proof.lines.iter().find(|line| !present.contains(&squeezed(line))) {
        None => Ok(()),
        Some(line) => Err(Error::WrongVersion {
            archive: archive.origin.clone(),
            wanted: wanted.to_string(),
            file: proof.file.clone(),
            line: line.clone(),
        }),
    }
}

/// An archive that somebody brought along: any of the pinned hashes will do.
fn named(path: &Path, source: &Source) -> Result<Archive, Error> {
    let sha256 = sha256(path)?;
    let origin = path.display().to_string();
    if source.known_hashes().any(|known| known == sha256) {
        return Ok(Archive { path: path.to_owned(), sha256, origin });
    }
    let known: Vec<_> = source.known_hashes().collect();
    Err(Error::Hash {
        archive: origin,
        found: sha256,
        expected: format!("vendor.toml knows {}", known.join(" and ")),
    })
}

/// Archives as fetched, so that a changed patch needs no network.
struct Kept {
    folder: PathBuf,
    prefix: String,
}

impl Kept {
    fn new(target: &Path, wanted: &Wanted) -> Self {
        let prefix = format!("{}-{}-", wanted.name, wanted.source.version);
        Self { folder: target.join(".archives"), prefix }
    }

    /// The file's name has the hash under which it was vouched for when it was fetched.
    fn find(&self) -> Result<Option<Archive>, Error> {
        let Ok(entries) = fs::read_dir(&self.folder) else { return Ok(None) };
        for path in entries.filter_map(|entry| Some(entry.ok()?.path())) {
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            let Some(expected) = name.strip_prefix(&self.prefix).and_then(|rest| rest.strip_suffix(".tar"))
            else {
                continue;
            };
            let found = sha256(&path)?;
            if found == expected {
                let origin = name.to_owned();
                return Ok(Some(Archive { path, sha256: found, origin }));
            }
            fs::remove_file(&path).map_err(Error::io(&path))?;
        }
        Ok(None)
    }

    fn keep(&self, archive: Archive) -> Result<Archive, Error> {
        fs::create_dir_all(&self.folder).map_err(Error::io(&self.folder))?;
        let path = self.folder.join(format!("{}{}.tar", self.prefix, archive.sha256));
        fs::rename(&archive.path, &path).map_err(Error::io(&path))?;
        Ok(Archive { path, ..archive })
    }
}

/// Puts `fresh` in the place of `folder`, whose old content goes to `before`.
fn replace(folder: &Path, fresh: &Path, before: &Path) -> Result<(), Error> {
    let existed = folder.exists();
    if existed {
        fs::rename(folder, before).map_err(Error::io(folder))?;
    }
    fs::rename(fresh, folder).map_err(|error| {
        if existed {
            // Nothing better can be done if this fails too; the first error is the one to tell.
            let _ = fs::rename(before, folder);
        }
        Error::Io { path: folder.to_owned(), source: error }
    })
}

const WORK_PREFIX: &str = ".work-";

/// Held until dropped.
fn lock(target: &Path) -> Result<File, Error> {
    let path = target.join(".lock");
    let file = File::create(&path).map_err(Error::io(&path))?;
    fs4::FileExt::lock(&file).map_err(Error::io(&path))?;
    Ok(file)
}

/// What a killed run left behind; the lock is held, so nobody works in there.
fn remove_leftovers(target: &Path) -> Result<(), Error> {
    for entry in fs::read_dir(target).map_err(Error::io(target))? {
        let entry = entry.map_err(Error::io(target))?;
        if entry.file_name().to_string_lossy().starts_with(WORK_PREFIX) {
            remove(&entry.path())?;
        }
    }
    Ok(())
}

fn remove(folder: &Path) -> Result<(), Error> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(Error::Io { path: folder.to_owned(), source: error })
        }
        _ => Ok(()),
    }
}

fn sha256(path: &Path) -> Result<String, Error> {
    let mut digest = Sha256::new();
    let mut file = File::open(path).map_err(Error::io(path))?;
    io::copy(&mut file, &mut digest).map_err(Error::io(path))?;
    Ok(hex(digest))
}
