//! The rules for dependencies in `deny.toml`, checked by cargo-deny.

use crate::run::Step;
use crate::tools;
use anyhow::bail;

/// Checks them; installs cargo-deny first, once, into a folder of its own, which takes minutes.
pub(crate) fn run() -> anyhow::Result<()> {
    if !is_there()? {
        tools::install("cargo-deny", "reads deny.toml", &[])?;
    }
    check()
}

/// Checks them if cargo-deny is there, and says so if it is not.
pub(crate) fn if_there() -> anyhow::Result<()> {
    if is_there()? {
        return check();
    }
    eprintln!("not checked, because cargo-deny is missing: deny.toml; `cargo xtask deny` installs it");
    Ok(())
}

/// Licences, bans and sources take nothing but the registry. The database of advisories is elsewhere, and may be out of
/// reach.
fn check() -> anyhow::Result<()> {
    deny(&["check", "--hide-inclusion-graph", "licenses", "bans", "sources"])?.run()?;
    let advisories = deny(&["check", "--hide-inclusion-graph", "advisories"])?;
    let (succeeded, text) = advisories.output()?;
    if succeeded {
        eprintln!("advisories ok");
    } else if text.contains("failed to fetch advisory database") {
        eprintln!(
            "not checked: advisories of dependencies, because RustSec's database cannot be fetched from here"
        );
    } else {
        bail!("cargo deny check advisories:\n{text}");
    }
    Ok(())
}

fn is_there() -> anyhow::Result<bool> {
    Ok(deny(&["--version"])?.succeeds())
}

/// Also found where we install it.
fn deny(arguments: &[&str]) -> anyhow::Result<Step> {
    let arguments = [&["deny", "--log-level", "error"], arguments].concat();
    Ok(Step::cargo(&arguments).environment("PATH", tools::path()?))
}
