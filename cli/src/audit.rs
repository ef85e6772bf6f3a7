//! `outdial audit`: whether a log is as it was written.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow};
use clap::{Args, Subcommand};
use outdial::audit::verify_file;
use serde_json::json;

use crate::exit::{Exit, Failure};

/// Look whether audit logs were changed
#[derive(Debug, Args)]
pub(crate) struct AuditCommand {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Verify the hash chain: a changed, removed, moved or torn record is found and named
    ///
    /// That the last records were cut off shows in no chain: compare the last hash with one that you kept elsewhere.
    Verify {
        /// A log, or a folder with logs (*.jsonl) in it at any depth
        #[arg(value_name = "FILE|DIR")]
        path: PathBuf,
        /// Print JSON, one object for each log and line
        #[arg(long)]
        json: bool,
    },
}

impl AuditCommand {
    pub(crate) fn run(self) -> Result<Exit, Failure> {
        let Action::Verify { path, json } = self.action;
        let mut logs = Vec::new();
        find(&path, &mut logs).with_context(|| path.display().to_string())?;
        if logs.is_empty() {
            return Err(anyhow!("there is no log in {}", path.display()).into());
        }
        logs.sort();
        let mut out = anstream::stdout().lock();
        let mut exit = Exit::Completed;
        for log in logs {
            let report = verify_file(&log).with_context(|| log.display().to_string())?;
            if !report.is_intact() {
                exit = Exit::Problems;
            }
            if json {
                let faults: Vec<_> = report
                    .faults
                    .iter()
                    .map(|fault| json!({ "line": fault.line, "what": fault.kind.to_string() }))
                    .collect();
                let line = json!({
                    "file": log, "intact": report.is_intact(), "records": report.records, "lastHash": report.last_hash,
                    "faults": faults, "warnings": report.warnings,
                });
                writeln!(out, "{line}").context("cannot print")?;
                continue;
            }
            let verdict = if report.is_intact() { "intact" } else { "NOT INTACT" };
            let hash = report.last_hash.as_deref().unwrap_or("none");
            writeln!(out, "{}: {verdict}, {} records, last hash {hash}", log.display(), report.records)
                .context("cannot print")?;
            for fault in &report.faults {
                writeln!(out, "  {fault}").context("cannot print")?;
            }
            for warning in &report.warnings {
                writeln!(out, "  warning: {warning}").context("cannot print")?;
            }
        }
        Ok(exit)
    }
}

/// A file is taken whatever its name; of a folder the logs.
fn find(path: &Path, logs: &mut Vec<PathBuf>) -> std::io::Result<()> {
    if !path.is_dir() {
        logs.push(path.to_owned());
        return Ok(());
    }
    for entry in std::fs::read_dir(path)? {
        let path = entry?.path();
        if path.is_dir() || path.extension().is_some_and(|extension| extension == "jsonl") {
            find(&path, logs)?;
        }
    }
    Ok(())
}
