//! `cargo xtask fuzz`

use crate::run::Step;
use crate::sanitizer::Build;
use crate::{packages, vendor};
use anyhow::{Context as _, bail};
use clap::Args;
use std::fs;
use std::path::Path;
use std::process::Command;

#[derive(Args)]
pub(crate) struct Options {
    /// How long each target runs
    #[arg(long, default_value_t = 60)]
    seconds: u32,
    /// A folder of fuzz/corpus; all without
    target: Option<String>,
}

/// What cargo-fuzz has rustc do: coverage and comparisons are told to libFuzzer, and `cfg(fuzzing)` has pjsip-sys ask
/// clang for the same.
const FLAGS: [&str; 9] = [
    "--cfg",
    "fuzzing",
    "-Zsanitizer=address",
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
    "-Ccodegen-units=1",
];

/// Runs targets, one after the other, to the end of their time or to the first input that ends one.
pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    let targets = targets(options.target.as_deref())?;
    packages::ensure(&[packages::BUILD, packages::FUZZ])?;
    vendor::run()?;
    let build = Build::address("fuzz", &FLAGS)?;
    let arguments =
        ["build", "--profile", "fuzz", "--package", "outdial-fuzz", "--features", "libfuzzer", "--bins"];
    build.cargo(&arguments).run()?;
    for target in targets {
        eprintln!("{target}: {} s", options.seconds);
        fuzz(&build, &target, options.seconds).with_context(|| {
            format!("{target}: the input is in fuzz/corpus/{target}; it stays there, with the fix, as a test")
        })?;
    }
    Ok(())
}

/// New inputs that reach further are kept under target/, those that end the program beside the seeds.
fn fuzz(build: &Build, target: &str, seconds: u32) -> anyhow::Result<()> {
    let seeds = crate::root().join("fuzz/corpus").join(target);
    let grown = build.folder().join("corpus").join(target);
    fs::create_dir_all(&grown).with_context(|| grown.display().to_string())?;
    let mut command = Command::new(build.programs("fuzz").join(target));
    command.arg(&grown).arg(&seeds);
    command.arg(format!("-max_total_time={seconds}")).arg(format!("-artifact_prefix={}/", seeds.display()));
    command.args(["-max_len=4000", "-timeout=60", "-report_slow_units=60", "-print_final_stats=1"]);
    Step::new(command).run()
}

/// Folders of `fuzz/corpus`.
fn targets(named: Option<&str>) -> anyhow::Result<Vec<String>> {
    let corpus = crate::root().join("fuzz/corpus");
    let all = folders(&corpus).with_context(|| corpus.display().to_string())?;
    match named {
        None => Ok(all),
        Some(name) if all.iter().any(|target| target == name) => Ok(vec![name.to_owned()]),
        Some(name) => bail!("there is no target {name}, only {}", all.join(", ")),
    }
}

fn folders(path: &Path) -> std::io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(path)? {
        names.push(entry?.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    Ok(names)
}
