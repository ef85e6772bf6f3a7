//! The tool `outdial`: place a call, look for what is wrong with a trunk, be a telephone company for tests.

mod bench;
mod check;
mod configuration;
mod dial;
mod exit;
mod interrupt;
mod sandbox;
mod version;

use std::io::IsTerminal as _;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{ArgAction, Parser, Subcommand};
use tracing_subscriber::EnvFilter;

use crate::exit::{Exit, Failure};

/// Outbound telephone calls over the trunk or PBX that you have
#[derive(Debug, Parser)]
#[command(name = "outdial", version = version::short(), long_version = version::long())]
struct Arguments {
    #[command(subcommand)]
    command: Command,
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
    Bench(Box<bench::BenchCommand>),
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
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
            Command::Bench(command) => command.run().await,
        }
    });
    // A read of standard input that will never end must not keep the process.
    runtime.shutdown_background();
    outcome
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
    #[test]
    fn the_command_line_is_consistent() {
        use clap::CommandFactory as _;
        super::Arguments::command().debug_assert();
    }
}
