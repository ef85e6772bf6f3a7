//! Programs of others that we install, each once, into a folder of their own.

use crate::run::Step;
use anyhow::Context as _;
use std::env;
use std::ffi::OsString;
use std::path::PathBuf;

/// `OUTDIAL_TOOLS`, else a folder of the user's cache.
pub(crate) fn folder() -> anyhow::Result<PathBuf> {
    let named = env::var_os("OUTDIAL_TOOLS").map(PathBuf::from);
    let cache = env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let cache = cache.or_else(|| Some(PathBuf::from(env::var_os("HOME")?).join(".cache")));
    named.or_else(|| Some(cache?.join("outdial-tools"))).context("neither OUTDIAL_TOOLS nor HOME is set")
}

/// Installs a package of the registry, once: it is compiled here, which takes minutes. `why` says what it is for.
pub(crate) fn install(package: &str, why: &str, options: &[&str]) -> anyhow::Result<()> {
    eprintln!("installing {package}: {why}");
    let root = ["--root".to_owned(), folder()?.display().to_string()];
    let arguments = [&["install", package, "--locked", "--quiet"], options].concat();
    Step::cargo(&arguments).arguments(&root).run()
}

/// A PATH in which they are found too.
pub(crate) fn path() -> anyhow::Result<OsString> {
    let inherited = env::var_os("PATH").unwrap_or_default();
    let folders = env::split_paths(&inherited).chain([folder()?.join("bin")]);
    env::join_paths(folders).context("a folder of PATH has a colon in its name")
}
