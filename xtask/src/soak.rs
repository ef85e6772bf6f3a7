//! `cargo xtask soak`: calls at a steady rate while everything goes wrong that can.

use crate::run::Step;
use crate::{packages, peers, vendor};
use clap::Args;

#[derive(Args)]
pub(crate) struct Options {
    /// How long, in minutes
    #[arg(long, default_value_t = 5.0)]
    minutes: f64,
    /// How many calls are up at the same time
    #[arg(long, default_value_t = 20)]
    calls: u32,
    /// Call Asterisk, too, which is started for it
    #[arg(long)]
    asterisk: bool,
    /// Print the report as JSON
    #[arg(long)]
    json: bool,
}

/// As `tests/asterisk/pjsip.conf` has it.
const ACCOUNT: &str = "alice:alicepw";

/// Fails if a call is left over, a telephone rang twice for one call, or anything else broke that must hold.
pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    packages::ensure(&[packages::BUILD])?;
    vendor::run()?;
    let (minutes, calls) = (options.minutes.to_string(), options.calls.to_string());
    let mut arguments = vec!["run", "--quiet", "--release", "--package", "outdial-soak", "--"];
    arguments.extend(["--minutes", &minutes, "--calls", &calls]);
    if options.json {
        arguments.push("--json");
    }
    if !options.asterisk {
        return Step::cargo(&arguments).run();
    }
    let account = format!("{ACCOUNT}@{}", peers::ASTERISK);
    arguments.extend(["--asterisk", &account]);
    peers::during(|| Step::cargo(&arguments).run())
}
