//! Sources with all patches but some.

use anyhow::{Context as _, bail};
use outdial_vendoring::{Error, PatchFiles, Vendor};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

/// `pristine/` is as upstream made it, `vendor/` is what is compiled; `patched/` has the files that patches change,
/// while they are applied.
pub(super) struct Tree {
    patches: PatchFiles,
    /// What each patch changes or adds, relative to pjproject's root.
    files: BTreeMap<String, BTreeSet<PathBuf>>,
    /// Which patch calls what another one adds: it applies without, and does not compile.
    needs: Vec<(String, String)>,
    folder: PathBuf,
}

/// A patch, and those that build on it.
pub(super) struct LeftOut {
    name: String,
    dependent: Vec<String>,
}

impl LeftOut {
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        std::iter::once(self.name.as_str()).chain(self.dependent.iter().map(String::as_str))
    }
}

impl fmt::Display for LeftOut {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.name)?;
        if !self.dependent.is_empty() {
            write!(formatter, " (and what builds on it: {})", self.dependent.join(", "))?;
        }
        Ok(())
    }
}

impl Tree {
    /// Of the workspace's `vendor/`, in `folder`. What is there from another time is used again.
    pub(super) fn new(vendor: &Path, folder: &Path) -> anyhow::Result<Self> {
        let patches = PatchFiles::read(&vendor.join("patches"))?;
        let mut files = BTreeMap::new();
        let mut needs = Vec::new();
        for (name, text) in read(&vendor.join("patches"))? {
            let named = text.lines().filter_map(|line| line.strip_prefix("+++ b/")).map(PathBuf::from);
            files.insert(name.clone(), named.collect());
            let needed = text.lines().filter_map(|line| line.strip_prefix("Needs: ")?.strip_suffix('.'));
            needs.extend(needed.map(|needed| (name.clone(), needed.to_owned())));
        }
        let pristine = folder.join("pristine");
        fs::create_dir_all(&pristine)?;
        fs::copy(vendor.join("vendor.toml"), pristine.join("vendor.toml"))?;
        copy_missing(&vendor.join(".archives"), &pristine.join(".archives"))?;
        Vendor::new(&pristine).archives_from_environment()?.bring(&mut |line| eprintln!("{line}"))?;
        for source in ["libsrtp", "pjproject"] {
            copy_missing(&pristine.join(source), &folder.join("vendor").join(source))?;
        }
        Ok(Self { patches, files, needs, folder: folder.to_owned() })
    }

    /// What leaving this patch out takes.
    pub(super) fn left_out(&self, name: &str) -> anyhow::Result<LeftOut> {
        let mut dependent = self.needing(name);
        let names: Vec<&str> = std::iter::once(name).chain(dependent.iter().map(String::as_str)).collect();
        let more = self.apply_without(&names)?;
        dependent.extend(more);
        Ok(LeftOut { name: name.to_owned(), dependent })
    }

    /// Makes the sources those without these patches.
    pub(super) fn leave_out(&self, names: &[&str]) -> anyhow::Result<()> {
        let more = self.apply_without(names)?;
        if !more.is_empty() {
            bail!("without {} these do not apply: {}", names.join(", "), more.join(", "));
        }
        self.take_over()
    }

    /// Applies all others, in their order: those that do not apply.
    fn apply_without(&self, names: &[&str]) -> anyhow::Result<Vec<String>> {
        let mut patches = names.iter().fold(self.patches.clone(), |patches, name| patches.without(name));
        let mut dependent = Vec::new();
        let patched = self.folder.join("patched");
        loop {
            self.start_over(&patched)?;
            match patches.apply(&patched) {
                Ok(()) => return Ok(dependent),
                Err(Error::Patch { patch, .. }) => {
                    let name = patch.trim_end_matches(".patch").to_owned();
                    patches = patches.without(&name);
                    dependent.push(name);
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn needing(&self, name: &str) -> Vec<String> {
        self.needs.iter().filter(|(_, needed)| needed == name).map(|(patch, _)| patch.clone()).collect()
    }

    fn start_over(&self, patched: &Path) -> anyhow::Result<()> {
        if patched.exists() {
            fs::remove_dir_all(patched)?;
        }
        for file in self.files.values().flatten() {
            let (from, to) = (self.folder.join("pristine/pjproject").join(file), patched.join(file));
            fs::create_dir_all(to.parent().context("a file without a folder")?)?;
            if from.exists() {
                fs::copy(&from, &to).with_context(|| from.display().to_string())?;
            }
        }
        Ok(())
    }

    /// A file that did not change keeps its time.
    fn take_over(&self) -> anyhow::Result<()> {
        for file in self.files.values().flatten() {
            let (from, to) =
                (self.folder.join("patched").join(file), self.folder.join("vendor/pjproject").join(file));
            match (fs::read(&from), fs::read(&to)) {
                (Ok(new), Ok(old)) if new == old => {}
                (Ok(new), _) => fs::write(&to, new).with_context(|| to.display().to_string())?,
                (Err(_), Ok(_)) => fs::remove_file(&to)?,
                (Err(_), Err(_)) => {}
            }
        }
        Ok(())
    }
}

/// The patches in `folder`: name and text.
fn read(folder: &Path) -> anyhow::Result<Vec<(String, String)>> {
    let mut patches = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if let Some(name) = name.strip_suffix(".patch") {
            patches.push((name.to_owned(), fs::read_to_string(&path)?));
        }
    }
    Ok(patches)
}

/// Copies a folder, unless there is one already.
fn copy_missing(from: &Path, to: &Path) -> anyhow::Result<()> {
    if to.exists() || !from.exists() {
        return Ok(());
    }
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_missing(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), &target).with_context(|| target.display().to_string())?;
        }
    }
    Ok(())
}
