//! Debian packages that building and testing need, and how they get onto the machine.

use crate::run::Step;
use anyhow::{Context as _, bail};
use std::io::IsTerminal as _;
use std::process::Command;

/// A Debian package.
pub(crate) struct Package {
    name: &'static str,
    why: &'static str,
    /// Other packages that serve as well.
    or: &'static [&'static str],
}

pub(crate) const fn package(name: &'static str, why: &'static str) -> Package {
    Package { name, why, or: &[] }
}

/// What compiling takes besides Rust.
pub(crate) const BUILD: &[Package] = &[
    package("gcc", "compiles PJSIP and libsrtp"),
    package("libc6-dev", "the C library's headers"),
    package("libclang-dev", "bindgen reads C headers with it"),
    package("libopus-dev", "the codec Opus"),
    package("libssl-dev", "TLS, and the cryptography of SRTP"),
    Package { name: "pkg-config", why: "finds Opus and OpenSSL", or: &["pkgconf"] },
];

/// What the demo and the tests speak and listen with.
pub(crate) const SPEECH: &[Package] = &[
    package("espeak-ng", "speaks the sentences"),
    package("flite", "speaks sentences that a recogniser understands"),
    package("pocketsphinx", "understands sentences"),
    package("pocketsphinx-en-us", "the English that it understands"),
];

/// What the tests run besides.
pub(crate) const TEST: &[Package] = &[
    package("sip-tester", "sipp, the SIP peer of the tests"),
    package("iproute2", "the network namespaces of the tests behind a translation"),
    package("iptables", "the translation in them"),
];

/// What leaving patches out takes besides.
pub(crate) const PROOF: &[Package] =
    &[package("ccache", "compiles what a patch has changed, and nothing else")];

/// What fuzzing takes: gcc does not tell libFuzzer where it has been.
pub(crate) const FUZZ: &[Package] =
    &[package("clang", "compiles PJSIP for libFuzzer"), package("g++", "compiles libFuzzer")];

/// What the search for faults of memory takes.
pub(crate) const VALGRIND: &[Package] = &[package("valgrind", "watches each access to memory")];

/// Installs what is missing, with apt-get, as root or through sudo. On systems without dpkg nothing
/// is done: the build names what it does not find.
pub(crate) fn ensure(wanted: &[&[Package]]) -> anyhow::Result<()> {
    let Some(installed) = installed() else { return Ok(()) };
    let missing: Vec<&Package> =
        wanted.iter().copied().flatten().filter(|package| !package.is_in(&installed)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let names: Vec<&str> = missing.iter().map(|package| package.name).collect();
    let by_hand = format!("apt-get install {}", names.join(" "));
    let Some(prefix) = privilege() else {
        bail!("these packages are missing, and installing them takes root: run `{by_hand}`");
    };
    for package in &missing {
        eprintln!("installing {}: {}", package.name, package.why);
    }
    let apt = |arguments: &[&str]| {
        let mut words =
            prefix.iter().copied().chain(["env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-q"]);
        let mut command = Command::new(words.next().unwrap_or("env"));
        command.args(words).args(arguments);
        command
    };
    let install: Vec<&str> = ["install", "-y", "--no-install-recommends"].into_iter().chain(names).collect();
    // A machine's package lists may be missing or old: only then the update is worth its time.
    let first = apt(&install).output().context("apt-get")?;
    if !first.status.success() {
        Step::new(apt(&["update"])).run()?;
        Step::new(apt(&install)).run().with_context(|| format!("by hand: `{by_hand}`"))?;
    }
    Ok(())
}

/// A command that is run as root, through sudo if need be.
pub(crate) fn as_root(program: &str) -> anyhow::Result<Command> {
    let Some(prefix) = privilege() else { bail!("this takes root: run it as root, or with sudo: {program}") };
    let mut words = prefix.iter().copied().chain([program]);
    let mut command = Command::new(words.next().unwrap_or(program));
    command.args(words);
    Ok(command)
}

/// Words before a command that needs root; `None` where there is no way.
fn privilege() -> Option<&'static [&'static str]> {
    let succeeds = |program: &str, arguments: &[&str]| {
        Command::new(program).args(arguments).output().is_ok_and(|output| output.status.success())
    };
    let id = Command::new("id").arg("-u").output().ok()?;
    if id.stdout.trim_ascii() == b"0" {
        Some(&[])
    } else if succeeds("sudo", &["-n", "true"]) {
        Some(&["sudo", "-n"])
    } else if std::io::stdin().is_terminal() && succeeds("sudo", &["--version"]) {
        Some(&["sudo"])
    } else {
        None
    }
}

impl Package {
    fn is_in(&self, installed: &[String]) -> bool {
        installed.iter().any(|name| {
            name == self.name || self.or.contains(&name.as_str()) || is_version_of(name, self.name)
        })
    }
}

/// `libclang-14-dev` is a `libclang-dev`, `gcc-12` a `gcc`.
fn is_version_of(name: &str, wanted: &str) -> bool {
    let (stem, suffix) = match wanted.strip_suffix("-dev") {
        Some(stem) => (stem, "-dev"),
        None => (wanted, ""),
    };
    let version = name
        .strip_prefix(stem)
        .and_then(|rest| rest.strip_prefix('-'))
        .and_then(|rest| rest.strip_suffix(suffix));
    version.is_some_and(|version| {
        !version.is_empty() && version.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.')
    })
}

/// Names of all installed packages; `None` without dpkg.
fn installed() -> Option<Vec<String>> {
    let format = "${db:Status-Status} ${Package}\n";
    let output = Command::new("dpkg-query").args(["-W", "-f", format]).output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout);
    Some(text.lines().filter_map(|line| line.strip_prefix("installed ")).map(str::to_owned).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versioned_packages_serve_as_well() {
        for (name, wanted, serves) in [
            ("libclang-14-dev", "libclang-dev", true),
            ("libclang-common-14-dev", "libclang-dev", false),
            ("libclang-14-dev", "libclang", false),
            ("gcc-12", "gcc", true),
            ("gcc-12-base", "gcc", false),
            ("gcc-", "gcc", false),
        ] {
            assert_eq!(is_version_of(name, wanted), serves, "{name} for {wanted}");
        }
    }

    #[test]
    fn alternatives_count() {
        let installed = ["pkgconf".to_owned(), "libssl-dev".to_owned()];
        let found: Vec<_> =
            BUILD.iter().filter(|package| package.is_in(&installed)).map(|package| package.name).collect();
        assert_eq!(found, ["libssl-dev", "pkg-config"]);
    }
}
