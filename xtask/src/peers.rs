//! `cargo xtask peers`: real SIP peers for tests, on loopback addresses of their own.
//!
//! They are installed once, into a folder outside the work tree, and configured anew by each start from `tests/`.
//! Nothing that the machine has installed is used or touched.

mod asterisk;
mod kamailio;
mod pki;
mod system;

use std::env;
use std::path::PathBuf;

use anyhow::Context as _;
use clap::Subcommand;

use system::System;

/// Where Asterisk listens.
pub(crate) const ASTERISK: &str = asterisk::ADDRESS;

#[derive(Subcommand)]
pub(crate) enum Options {
    /// Installs what is missing and starts the peers
    Up,
    /// Ends the peers; what is installed stays
    Down,
    /// Says which peers run
    Status,
}

pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    match options {
        Options::Up => up(),
        Options::Down => down(),
        Options::Status => {
            for (name, address, is_up) in [
                ("Asterisk", asterisk::ADDRESS, asterisk::is_up()),
                ("Kamailio", kamailio::ADDRESS, kamailio::is_up()),
            ] {
                println!("{name} on {address}: {}", if is_up { "runs" } else { "does not run" });
            }
            Ok(())
        }
    }
}

/// Starts the peers, anew if they ran already.
pub(crate) fn up() -> anyhow::Result<()> {
    down()?;
    let folder = folder()?;
    pki::make(&folder.join("pki"))?;
    let system = System::install(&folder)?;
    system.write_sipp()?;
    asterisk::start(&system)?;
    kamailio::start(&system)
}

fn down() -> anyhow::Result<()> {
    let folder = folder()?;
    kamailio::stop(&folder)?;
    asterisk::stop(&folder)
}

/// Runs something with the peers up, and ends them whatever comes of it.
pub(crate) fn during<T>(action: impl FnOnce() -> anyhow::Result<T>) -> anyhow::Result<T> {
    up()?;
    let result = action();
    down()?;
    result
}

/// Where peers are kept: `OUTDIAL_PEERS`, else the user's cache.
fn folder() -> anyhow::Result<PathBuf> {
    let named = env::var_os("OUTDIAL_PEERS").map(PathBuf::from);
    let cache = env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let cache = cache.or_else(|| Some(PathBuf::from(env::var_os("HOME")?).join(".cache")));
    named.or_else(|| Some(cache?.join("outdial-peers"))).context("neither OUTDIAL_PEERS nor HOME is set")
}
