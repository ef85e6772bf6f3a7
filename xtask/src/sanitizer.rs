//! Builds with a sanitizer in Rust and C alike, on the stable toolchain.
//!
//! Each has a target folder of its own, so that it and the usual build leave each other's results alone. The runtime is
//! the one that comes with rustc; C compilers only instrument, and never link theirs.

use crate::run::Step;
use anyhow::Context as _;
use std::process::Command;

/// A build of its own kind.
pub(crate) struct Build {
    host: String,
    folder: &'static str,
    flags: String,
    sanitizer: &'static str,
}

impl Build {
    /// With AddressSanitizer, and with each block of PJSIP's pools as one of malloc, so that its bounds and its end are
    /// seen.
    pub(crate) fn address(folder: &'static str, flags: &[&str]) -> anyhow::Result<Self> {
        Ok(Self { host: host()?, folder, flags: flags.join(" "), sanitizer: "address" })
    }

    /// cargo, to build in this way. A target, even if it is this machine, keeps the flags from build scripts.
    pub(crate) fn cargo(&self, arguments: &[&str]) -> Step {
        Step::cargo(arguments)
            .environment("CARGO_BUILD_TARGET", &self.host)
            .environment("CARGO_TARGET_DIR", self.folder())
            // -Z on a stable toolchain.
            .environment("RUSTC_BOOTSTRAP", "1")
            .environment("RUSTFLAGS", &self.flags)
            .environment("OUTDIAL_SANITIZE", self.sanitizer)
            .environment("OUTDIAL_POOL_DEBUG", "1")
    }

    /// Where programs of a profile are.
    pub(crate) fn programs(&self, profile: &str) -> std::path::PathBuf {
        self.folder().join(&self.host).join(profile)
    }

    pub(crate) fn folder(&self) -> std::path::PathBuf {
        crate::root().join("target").join(self.folder)
    }
}

/// `x86_64-unknown-linux-gnu`
fn host() -> anyhow::Result<String> {
    let output = Command::new("rustc").arg("-vV").output().context("rustc")?;
    let text = String::from_utf8_lossy(&output.stdout);
    let host = text.lines().find_map(|line| line.strip_prefix("host: "));
    host.map(str::to_owned).context("rustc does not say for which machine it compiles")
}
