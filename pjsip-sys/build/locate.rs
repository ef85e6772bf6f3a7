//! Finds the unpacked sources.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

/// Folders of unpacked and patched sources.
pub(crate) struct Sources {
    pub(crate) pjproject: PathBuf,
    pub(crate) libsrtp: PathBuf,
}

/// `OUTDIAL_VENDOR_DIR`, else the workspace's `vendor/`.
pub(crate) fn sources(package: &Path) -> Result<Sources, String> {
    if let Some(folder) = env::var_os("OUTDIAL_VENDOR_DIR").filter(|value| !value.is_empty()) {
        let folder = PathBuf::from(folder);
        return complete(&folder).ok_or_else(|| {
            format!(
                "OUTDIAL_VENDOR_DIR is {}, which does not hold unpacked sources of pjproject and libsrtp",
                folder.display()
            )
        });
    }
    let vendor = package.join("../vendor");
    complete(&vendor).ok_or_else(|| {
        "the sources of PJSIP and libsrtp are not in vendor/; run `cargo xtask vendor` once".to_owned()
    })
}

fn complete(vendor: &Path) -> Option<Sources> {
    // Without this, rerun-if-changed and error messages carry `pjsip-sys/../vendor`.
    let vendor = fs::canonicalize(vendor).ok()?;
    let sources = Sources { pjproject: vendor.join("pjproject"), libsrtp: vendor.join("libsrtp") };
    let whole =
        sources.pjproject.join("version.mak").is_file() && sources.libsrtp.join("include/srtp.h").is_file();
    whole.then_some(sources)
}
