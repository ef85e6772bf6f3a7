//! `DEP_PJSIP_*`, from which dependents learn what they were built with.

use crate::Context;
use std::env;
use std::fs;
use std::path::Path;

pub(crate) fn print(context: &Context) -> Result<(), String> {
    let include = env::join_paths(&context.includes).map_err(|error| error.to_string())?;
    for (key, value) in [
        ("VERSION", pjproject_version(&context.sources.pjproject)?),
        ("PATCHES", context.sources.patches.to_string()),
        ("SRTP", format!("libsrtp {}", libsrtp_version(&context.sources.libsrtp)?)),
        ("TLS", format!("OpenSSL {}", openssl_version()?)),
        ("CODECS", context.codecs.names().join(",")),
        ("INCLUDE", include.to_string_lossy().into_owned()),
    ] {
        println!("cargo::metadata={key}={value}");
    }
    // For this crate's own tests.
    println!("cargo::rustc-env=PJSIP_SYS_CODECS={}", context.codecs.names().join(","));
    Ok(())
}

/// From `export PJ_VERSION_MAJOR  := 2` and its companions in version.mak.
fn pjproject_version(folder: &Path) -> Result<String, String> {
    let text = read(&folder.join("version.mak"))?;
    let part = |name: &str| {
        text.lines()
            .filter_map(|line| line.strip_prefix("export PJ_VERSION_")?.strip_prefix(name)?.split_once(":="))
            .map(|(_, value)| value.trim().to_owned())
            .next()
            .unwrap_or_default()
    };
    let mut version = format!("{}.{}", part("MAJOR"), part("MINOR"));
    if !part("REV").is_empty() {
        version = format!("{version}.{}", part("REV"));
    }
    Ok(version + &part("SUFFIX"))
}

/// From `AC_INIT([libsrtp2],[2.7.0],…)` in configure.ac.
fn libsrtp_version(folder: &Path) -> Result<String, String> {
    let text = read(&folder.join("configure.ac"))?;
    text.split_once("AC_INIT([libsrtp2],[")
        .and_then(|(_, rest)| rest.split_once(']'))
        .map(|(version, _)| version.to_owned())
        .ok_or_else(|| format!("{} names no version", folder.join("configure.ac").display()))
}

/// From OPENSSL_VERSION_NUMBER: 0xMNN00PP0 since 3.0, before that 0xMNNFFPPS with PP as a letter.
fn openssl_version() -> Result<String, String> {
    let hex =
        env::var("DEP_OPENSSL_VERSION_NUMBER").map_err(|_| "openssl-sys names no version".to_owned())?;
    let number = u32::from_str_radix(&hex, 16).map_err(|_| format!("`{hex}` is no OpenSSL version"))?;
    let (major, minor, fix, patch) =
        (number >> 28, number >> 20 & 0xFF, number >> 12 & 0xFF, number >> 4 & 0xFF);
    if major >= 3 {
        return Ok(format!("{major}.{minor}.{patch}"));
    }
    let letter = char::from_u32(u32::from('a') + patch.saturating_sub(1)).filter(|_| patch > 0);
    Ok(format!("{major}.{minor}.{fix}{}", letter.map(String::from).unwrap_or_default()))
}

fn read(path: &Path) -> Result<String, String> {
    fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))
}
