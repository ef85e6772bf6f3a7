//! The tool `outdial`: place a call, look for what is wrong with a trunk, be a telephone company for tests, see what was
//! called and what it cost, keep secrets.

mod audit;
mod bench;
#[cfg(test)]
mod book;
mod check;
mod configuration;
mod dial;
mod exit;
mod interrupt;
mod sandbox;
mod secrets;
mod usage;
mod version;

use std::io::IsTerminal as _;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{ArgAction, Parser, Subcommand};
use rustix::process::{Resource, Rlimit, setrlimit};
use tracing_subscriber::EnvFilter;

use crate::configuration::ConfigOption;
use crate::exit::{Exit, Failure};

/// Outbound telephone calls over the trunk or PBX that you have
#[derive(Debug, Parser)]
#[command(name = "outdial", version = version::short(), long_version = version::long())]
struct Arguments {
    #[command(subcommand)]
    command: Command,
    // The commands that read it have it too, with the value from wherever it stood.
    #[command(flatten)]
    _config: ConfigOption,
    /// Say more on standard error: -v for what goes on, -vv for each step, -vvv for SIP messages (without credentials).
    /// RUST_LOG chooses more exactly
    #[arg(short, long, global = true, action = ArgAction::Count)]
    verbose: u8,
}

#[derive(Debug, Subcommand)]
enum Command {
    Dial(Box<dial::DialCommand>),
    Check(check::CheckCommand),
    Sandbox(Box<sandbox::SandboxCommand>),
    Secrets(secrets::SecretsCommand),
    Usage(usage::UsageCommand),
    Calls(usage::CallsCommand),
    Audit(audit::AuditCommand),
    Bench(Box<bench::BenchCommand>),
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    without_core_dumps();
    log_to_stderr(arguments.verbose);
    match run(arguments.command) {
        Ok(exit) => exit.into(),
        // Whoever read our output has seen enough.
        Err(Failure { exit, error }) if is_broken_pipe(&error) => exit.into(),
        Err(Failure { exit, error }) => {
            anstream::eprintln!("outdial: {error:#}");
            exit.into()
        }
    }
}

fn run(command: Command) -> Result<Exit, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    let outcome = runtime.block_on(async {
        match command {
            Command::Dial(command) => command.run().await,
            Command::Check(command) => command.run().await,
            Command::Sandbox(command) => command.run().await,
            Command::Secrets(command) => command.run(),
            Command::Usage(command) => command.run(),
            Command::Calls(command) => command.run(),
            Command::Audit(command) => command.run(),
            Command::Bench(command) => command.run().await,
        }
    });
    // A read of standard input that will never end must not keep the process.
    runtime.shutdown_background();
    outcome
}

/// A core would hold the passwords of the trunks.
fn without_core_dumps() {
    let none = Rlimit { current: Some(0), maximum: Some(0) };
    if let Err(error) = setrlimit(Resource::Core, none) {
        tracing::debug!(%error, "core dumps stay as they are");
    }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let kind = error.downcast_ref::<std::io::Error>().map(std::io::Error::kind);
    kind == Some(std::io::ErrorKind::BrokenPipe)
}

fn log_to_stderr(verbose: u8) {
    let level = match verbose {
        0 => "error",
        1 => "info",
        2 => "debug",
        _ => "trace",
    };
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(level));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr)
        .init();
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use clap::CommandFactory as _;

    use super::Arguments;

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn the_configuration_is_named_before_or_after_any_command() {
        for command in [
            &["dial", "+12025550101"][..],
            &["check"],
            &["sandbox"],
            &["secrets", "list"],
            &["usage"],
            &["calls"],
            &["audit", "verify", "log"],
            &["bench", "floor"],
        ] {
            for at in 0..=command.len() {
                // Behind `audit verify` stands its argument, and an option may stand between them.
                let (before, after) = command.split_at(at);
                let words = [&["outdial"][..], before, &["--config", "a.toml"], after].concat();
                let matches = Arguments::command().try_get_matches_from(&words);
                let matches = matches.unwrap_or_else(|error| panic!("{words:?}: {error}"));
                let mut inmost = &matches;
                while let Some((_, deeper)) = inmost.subcommand() {
                    inmost = deeper;
                }
                let named = inmost.get_one::<PathBuf>("config").map(PathBuf::as_path);
                assert_eq!(named, Some(Path::new("a.toml")), "{words:?}");
            }
        }
    }
}
