//! `cargo xtask test --tsan`: the load rig of `pjsip-sys/rig`, with ThreadSanitizer.

use crate::run::Step;
use crate::{packages, vendor};
use anyhow::Context as _;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Workers of PJSUA, and calls. Without workers the threads are those of outdial.
const RUNS: [(&str, &str); 1] = [("0", "1000")];

/// The rig is C alone: ThreadSanitizer wants to see every access, those of Rust's standard library too.
pub(crate) fn run() -> anyhow::Result<()> {
    packages::ensure(&[packages::BUILD])?;
    vendor::run()?;
    let rig = link(&libraries()?)?;
    for (workers, calls) in RUNS {
        // Addresses as ThreadSanitizer expects them: some kernels spread them further.
        let mut command = Command::new("setarch");
        command.arg("--addr-no-randomize").arg(&rig).args([workers, calls]);
        let suppressions = crate::root().join("pjsip-sys/rig/tsan.supp");
        // A long history, or the second stack is often lost, which no suppression finds then.
        command.env("TSAN_OPTIONS", format!("history_size=7 suppressions={}", suppressions.display()));
        Step::new(command).run()?;
    }
    Ok(())
}

/// Where the build script of pjsip-sys has put its libraries.
fn libraries() -> anyhow::Result<PathBuf> {
    let build = ["build", "--package", "pjsip-sys", "--message-format=json-render-diagnostics"];
    let step = Step::cargo(&build)
        .environment("CARGO_TARGET_DIR", crate::root().join("target/tsan"))
        .environment("OUTDIAL_SANITIZE", "thread");
    let messages = step.lines()?;
    let folder = messages.iter().find_map(|line| {
        let message: serde_json::Value = serde_json::from_str(line).ok()?;
        let is_ours = message["package_id"].as_str()?.contains("pjsip-sys");
        (is_ours && message["reason"] == "build-script-executed")
            .then(|| message["out_dir"].as_str().map(PathBuf::from))?
    });
    folder.context("cargo does not say where pjsip-sys was built")
}

fn link(libraries: &Path) -> anyhow::Result<PathBuf> {
    let rig = libraries.join("rig");
    // Shim and PJSIP need each other.
    let archives = ["pjsip_rig", "pjproject", "pjsip_shim", "pjproject", "srtp2"];
    let mut command = Command::new("cc");
    command.arg("-fsanitize=thread").arg("-o").arg(&rig);
    command.args(archives.map(|name| libraries.join(format!("lib{name}.a"))));
    command.args(["-lopus", "-lssl", "-lcrypto", "-lm", "-lpthread"]);
    Step::new(command).run()?;
    Ok(rig)
}
