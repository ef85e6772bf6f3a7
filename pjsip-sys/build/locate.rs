//! Finds the unpacked sources.

use outdial_vendoring::{Manifest, PatchFiles, Stamp, State, state};
use std::env;
use std::fs;
use std::path::{Path, PathBuf};

/// Unpacked and patched sources.
pub(crate) struct Sources {
    pub(crate) pjproject: PathBuf,
    pub(crate) libsrtp: PathBuf,
    /// How many patches pjproject has.
    pub(crate) patches: usize,
}

/// `OUTDIAL_VENDOR_DIR`, else the workspace's `vendor/`, else, with the feature `download`, a
/// folder of this build that is filled from the pinned upstream archives.
pub(crate) fn sources(package: &Path, out: &Path) -> Result<Sources, String> {
    println!("cargo::rerun-if-env-changed=OUTDIAL_VENDOR_DIR");
    if let Some(folder) = env::var_os("OUTDIAL_VENDOR_DIR").filter(|value| !value.is_empty()) {
        // Somebody's own choice: used as it is.
        let folder = PathBuf::from(folder);
        return open(&folder)?.ok_or_else(|| {
            format!("OUTDIAL_VENDOR_DIR is {}, which has no sources of PJSIP and libsrtp", folder.display())
        });
    }
    let vendor = package.join("../vendor");
    for wanted in ["vendor.toml", "patches"] {
        println!("cargo::rerun-if-changed={}", vendor.join(wanted).display());
    }
    match complaint(&vendor)? {
        None => open(&vendor)?.ok_or_else(|| format!("{} is damaged", vendor.display())),
        Some(complaint) => download(&vendor, &out.join("vendor")).unwrap_or(Err(complaint)),
    }
}

/// Why the sources in `vendor` are not the ones that its `vendor.toml` and patches describe.
fn complaint(vendor: &Path) -> Result<Option<String>, String> {
    const RUN: &str = "run `cargo xtask vendor`";
    for (name, source) in Manifest::read(vendor).map_err(text)?.sources {
        let patches = PatchFiles::of(vendor, &source).map_err(text)?;
        let what = match state(&vendor.join(&name), &source, &patches).map_err(text)? {
            State::Current => continue,
            State::Missing => "is missing",
            State::OtherVersion => "is another version than vendor/vendor.toml names",
            State::OtherPatches => "was made with other patches than those in vendor/patches",
        };
        return Ok(Some(format!("vendor/{name}, a source that pjsip-sys compiles, {what}; {RUN}")));
    }
    Ok(None)
}

#[cfg(feature = "download")]
fn download(vendor: &Path, target: &Path) -> Option<Result<Sources, String>> {
    use outdial_vendoring::{Origin, Vendor};

    let bring = || {
        Vendor::new(vendor)
            .target(target)
            .origins(&[Origin::Upstream])
            .archives_from_environment()?
            .bring(&mut |line| println!("{line}"))
    };
    let opened = bring().map_err(text).and_then(|()| open(target));
    Some(opened.and_then(|sources| sources.ok_or_else(|| format!("{} is damaged", target.display()))))
}

#[cfg(not(feature = "download"))]
fn download(_vendor: &Path, _target: &Path) -> Option<Result<Sources, String>> {
    None
}

fn open(vendor: &Path) -> Result<Option<Sources>, String> {
    // Without this, rerun-if-changed and messages have `pjsip-sys/../vendor` in them.
    let Ok(vendor) = fs::canonicalize(vendor) else { return Ok(None) };
    let (pjproject, libsrtp) = (vendor.join("pjproject"), vendor.join("libsrtp"));
    if !pjproject.join("version.mak").is_file() || !libsrtp.join("include/srtp.h").is_file() {
        return Ok(None);
    }
    let patches = Stamp::read(&pjproject).map_err(text)?.map_or(0, |stamp| stamp.patches);
    Ok(Some(Sources { pjproject, libsrtp, patches }))
}

fn text(error: outdial_vendoring::Error) -> String {
    error.to_string()
}
