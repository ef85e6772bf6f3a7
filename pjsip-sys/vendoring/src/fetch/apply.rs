//! Applies patches.

mod strict;

use crate::{Error, PatchFiles};
use diffy::patch_set::{FileOperation, ParseOptions, PatchSet};
use std::fs;
use std::path::{Component, Path, PathBuf};

/// Applies all patches to the source in `root`, in their order.
///
/// Context must match exactly; a hunk may have moved.
pub(crate) fn all(patches: &PatchFiles, root: &Path) -> Result<(), Error> {
    patches.files.iter().try_for_each(|(name, content)| one(name, content, root))
}

fn one(name: &str, content: &[u8], root: &Path) -> Result<(), Error> {
    let syntax = |reason: String| Error::PatchSyntax { patch: name.to_owned(), reason };
    strict::check(content).map_err(syntax)?;
    for part in PatchSet::parse_bytes(content, ParseOptions::unidiff()) {
        let part = part.map_err(|error| syntax(error.to_string()))?;
        let operation = part.operation().strip_prefix(1);
        let (path, create) = match &operation {
            FileOperation::Modify { original, modified } if original == modified => (modified, false),
            FileOperation::Create(path) => (path, true),
            _ => return Err(syntax("it may only change files in their place, or add some".to_owned())),
        };
        let relative = inside(path)
            .ok_or_else(|| syntax(format!("it names the path {}", String::from_utf8_lossy(path))))?;
        let file = relative.display().to_string();
        let refuse = |reason: String| Error::Patch { patch: name.to_owned(), file: file.clone(), reason };

        let target = root.join(&relative);
        let before = match (create, fs::read(&target)) {
            (false, read) => read.map_err(|error| refuse(error.to_string()))?,
            (true, Ok(_)) => return Err(refuse("it is there already".to_owned())),
            (true, Err(_)) => Vec::new(),
        };
        let text = part.patch().as_text().ok_or_else(|| syntax("it is binary".to_owned()))?;
        let after = diffy::apply_bytes(&before, text).map_err(|error| refuse(error.to_string()))?;
        if let Some(folder) = target.parent() {
            fs::create_dir_all(folder).map_err(Error::io(folder))?;
        }
        fs::write(&target, after).map_err(Error::io(&target))?;
    }
    Ok(())
}

/// A relative path that stays inside.
fn inside(path: &[u8]) -> Option<PathBuf> {
    let path = Path::new(std::str::from_utf8(path).ok()?);
    let plain = path.components().all(|component| matches!(component, Component::Normal(_)));
    (plain && path.file_name().is_some()).then(|| path.to_owned())
}
