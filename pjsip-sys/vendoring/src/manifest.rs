//! `vendor.toml`.

use crate::Error;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// The sources, by name; the name is also the folder's.
#[derive(Debug, Deserialize)]
#[serde(transparent)]
pub struct Manifest {
    /// In alphabetical order.
    pub sources: BTreeMap<String, Source>,
}

/// One pinned source.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Source {
    /// Upstream's version.
    pub version: String,
    /// SPDX expression.
    pub license: String,
    /// How the unpacked source proves its version.
    pub proof: Version,
    /// Folder of patches beside `vendor.toml`.
    pub patches: Option<String>,
    /// Where upstream publishes it.
    pub upstream: Upstream,
    /// Where Debian and Ubuntu publish it.
    pub apt: Option<Apt>,
}

/// Lines that a file of the source must have, compared without regard to white space.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Version {
    /// Relative to the source's root.
    pub file: String,
    /// All of them.
    pub lines: Vec<String>,
}

/// Upstream's archive.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Upstream {
    /// Address of a .tar.gz or .tar.xz.
    pub url: String,
    /// 64 lower-case hexadecimal digits.
    pub sha256: String,
}

/// A file of a Debian source package.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Apt {
    /// The source package.
    pub package: String,
    /// Part of the file's name that no other file of the package has.
    pub file: String,
    /// Debian's suites to look in, in this order.
    #[serde(default)]
    pub debian: Vec<String>,
    /// The same for Ubuntu.
    #[serde(default)]
    pub ubuntu: Vec<String>,
    /// A file that is known to be good, for archives that somebody brings along. The one that
    /// apt fetches is vouched for by the archive's signed index instead.
    pub sha256: Option<String>,
}

impl Manifest {
    /// Reads `vendor.toml` in `vendor`.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] and [`Error::Format`].
    pub fn read(vendor: &Path) -> Result<Self, Error> {
        let path = vendor.join("vendor.toml");
        let text = fs::read_to_string(&path).map_err(Error::io(&path))?;
        toml::from_str(&text).map_err(|error| Error::Format { path, reason: error.to_string() })
    }
}

impl Source {
    /// The environment variable that names an archive to use instead of fetching one.
    pub fn variable(name: &str) -> String {
        format!("OUTDIAL_{}_TARBALL", name.to_uppercase())
    }

    /// Hashes of archives that are known to be good.
    pub fn known_hashes(&self) -> impl Iterator<Item = &str> {
        let apt = self.apt.iter().filter_map(|apt| apt.sha256.as_deref());
        std::iter::once(self.upstream.sha256.as_str()).chain(apt)
    }
}
