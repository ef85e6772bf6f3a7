//! What a developer of outdial runs: `cargo xtask …`.

mod advisories;
mod demo;
mod deny;
mod docs;
mod fuzz;
mod packages;
mod peers;
mod rig;
mod run;
mod sanitizer;
mod soak;
mod test;
mod tools;
mod vendor;

use clap::{Parser, Subcommand};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// What a developer of outdial runs.
#[derive(Parser)]
#[command(bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Bring the sources of PJSIP and libsrtp to vendor/: fetched, verified, unpacked and patched
    Vendor,
    /// Install what is missing, build, and place a call over TLS and SRTP whose sound is checked
    Demo,
    /// Real SIP peers for tests: installs, starts and ends them
    #[command(subcommand)]
    Peers(peers::Options),
    /// Compare the table of PJSIP's known flaws with the patches and the tests
    Advisories(advisories::Options),
    /// Check licences and sources of dependencies against deny.toml; installs cargo-deny if it is missing
    Deny,
    /// Check the book's links, run what it shows, and build it; installs mdBook if it is missing
    Docs(docs::Options),
    /// Have a fuzzer make up what the network sends and what the operator writes
    Fuzz(fuzz::Options),
    /// Make calls at a steady rate while the PBX is killed, the disk is full and ports run out, and look what is left
    Soak(soak::Options),
    /// Check formatting and lints, then run every test; installs missing packages first
    Test(test::Options),
}

fn main() -> ExitCode {
    match run(Arguments::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // One line, also where the environment asks for backtraces.
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> anyhow::Result<()> {
    match command {
        Command::Vendor => vendor::run(),
        Command::Demo => demo::run(),
        Command::Peers(options) => peers::run(&options),
        Command::Advisories(options) => advisories::run(&options),
        Command::Deny => deny::run(),
        Command::Docs(options) => docs::run(&options),
        Command::Fuzz(options) => fuzz::run(&options),
        Command::Soak(options) => soak::run(&options),
        Command::Test(options) => test::run(&options),
    }
}

/// The workspace's folder.
fn root() -> PathBuf {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    package.parent().unwrap_or(package).to_owned()
}
