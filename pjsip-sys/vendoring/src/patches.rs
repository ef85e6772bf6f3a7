//! The patch files of a source.

use crate::{Error, Source, hex};
use sha2::{Digest, Sha256};
use std::fs;
use std::path::Path;

/// Patch files in the order in which they are applied, which is that of their names.
#[derive(Debug, Default, Clone)]
pub struct PatchFiles {
    /// Name and content.
    pub(crate) files: Vec<(String, Vec<u8>)>,
}

impl PatchFiles {
    /// The patches of a source of this vendor folder.
    ///
    /// # Errors
    ///
    /// [`Error::Io`].
    pub fn of(vendor: &Path, source: &Source) -> Result<Self, Error> {
        source.patches.as_ref().map_or_else(|| Ok(Self::default()), |folder| Self::read(&vendor.join(folder)))
    }

    /// The `*.patch` files of a folder; a folder that is not there has none.
    ///
    /// # Errors
    ///
    /// [`Error::Io`].
    pub fn read(folder: &Path) -> Result<Self, Error> {
        let mut files = Vec::new();
        if folder.is_dir() {
            for entry in fs::read_dir(folder).map_err(Error::io(folder))? {
                let path = entry.map_err(Error::io(folder))?.path();
                let Some(name) = path.file_name().and_then(|name| name.to_str()) else { continue };
                if name.ends_with(".patch") {
                    files.push((name.to_owned(), fs::read(&path).map_err(Error::io(&path))?));
                }
            }
        }
        files.sort();
        Ok(Self { files })
    }

    /// All but the one of this name, which is without `.patch`.
    #[must_use]
    pub fn without(mut self, name: &str) -> Self {
        self.files.retain(|(file, _)| file.strip_suffix(".patch") != Some(name));
        self
    }

    /// Applies them to the source in `root`. Context must match exactly; a hunk may have moved.
    ///
    /// # Errors
    ///
    /// [`Error::Patch`] for the first that does not fit, [`Error::PatchSyntax`] and [`Error::Io`].
    #[cfg(feature = "fetch")]
    pub fn apply(&self, root: &Path) -> Result<(), Error> {
        crate::fetch::apply(self, root)
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.files.len()
    }

    /// SHA-256 over names and contents.
    pub fn hash(&self) -> String {
        let mut digest = Sha256::new();
        for (name, content) in &self.files {
            for part in [name.as_bytes(), content] {
                digest.update((part.len() as u64).to_be_bytes());
                digest.update(part);
            }
        }
        hex(digest)
    }
}
