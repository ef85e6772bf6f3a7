//! `outdial-soak`, which `cargo xtask soak` runs.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use clap::{Parser, Subcommand};
use outdial_soak::{Options, PbxCommand};

/// Calls at a steady rate through everything that goes wrong, and what is left of them
///
/// The exit code is not zero if a call is left over, a telephone rang twice for one call, or anything else broke that
/// must hold.
#[derive(Parser)]
#[command(args_conflicts_with_subcommands = true)]
struct Arguments {
    #[command(flatten)]
    soak: Soak,
    #[command(subcommand)]
    part: Option<Part>,
}

#[derive(clap::Args)]
struct Soak {
    /// How long, in minutes
    #[arg(long, default_value_t = 1.0)]
    minutes: f64,
    /// How many calls are up at the same time
    #[arg(long, default_value_t = 20)]
    calls: u32,
    /// Also call this SIP server, an Asterisk as `cargo xtask peers` starts it: USER:PASSWORD@HOST
    #[arg(long)]
    asterisk: Option<String>,
    /// Print the report as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Subcommand)]
enum Part {
    /// The PBX, which is killed from time to time
    #[command(hide = true)]
    Pbx(PbxCommand),
}

#[tokio::main]
async fn main() -> anyhow::Result<ExitCode> {
    let filter = tracing_subscriber::EnvFilter::from_default_env();
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    let Arguments { soak, part } = Arguments::parse();
    if let Some(Part::Pbx(command)) = part {
        outdial_soak::serve(&command).await?;
        return Ok(ExitCode::SUCCESS);
    }
    let options = Options {
        minutes: soak.minutes,
        calls: soak.calls,
        t1: Duration::from_millis(500),
        asterisk: soak.asterisk,
        pbx: std::env::current_exe().context("this program has a path")?,
    };
    let report = outdial_soak::run(&options).await?;
    if soak.json {
        println!("{}", serde_json::to_string_pretty(&report)?);
    } else {
        println!("{report}");
    }
    Ok(if report.broken().is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
