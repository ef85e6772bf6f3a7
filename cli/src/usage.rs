//! `outdial usage` and `outdial calls`: what was called and what it cost.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::time::SystemTime;

use anyhow::{Context as _, anyhow};
use clap::{Args, ValueEnum};
use comfy_table::{CellAlignment, Table, presets};
use outdial::ledger::{CallRecord, LedgerReader};
use outdial::usage::{BillableUnit, UsageTotals};
use serde_json::json;

use crate::configuration::ConfigOption;
use crate::exit::{Exit, Failure, OrExit as _};

/// Where the ledger is, and from when on.
#[derive(Debug, Args)]
struct Asked {
    #[command(flatten)]
    config: ConfigOption,
    /// Only what began since then: 2026-11-01, 2026-11-01T08:00:00Z, or a time ago such as 7days
    #[arg(long, value_name = "TIME", value_parser = since)]
    since: Option<SystemTime>,
    /// Print JSON
    #[arg(long, conflicts_with = "csv")]
    json: bool,
    /// Print comma-separated values (RFC 4180)
    #[arg(long)]
    csv: bool,
}

impl Asked {
    fn calls(&self) -> Result<Vec<CallRecord>, Failure> {
        let config = self.config.load()?.unwrap_or_default();
        let ledger = LedgerReader::open(config.records.folder()).or_exit(Exit::Configuration)?;
        ledger.calls(self.since).or_exit(Exit::Failed)
    }
}

fn since(text: &str) -> Result<SystemTime, String> {
    if let Ok(ago) = humantime::parse_duration(text) {
        return SystemTime::now().checked_sub(ago).ok_or_else(|| "is too long ago".to_owned());
    }
    let whole = if text.len() == 10 { format!("{text}T00:00:00Z") } else { text.to_owned() };
    humantime::parse_rfc3339_weak(&whole).map_err(|_| {
        "a day such as 2026-11-01, a time such as 2026-11-01T08:00:00Z, or a time ago such as 7days"
            .to_owned()
    })
}

/// Show what calls cost
#[derive(Debug, Args)]
pub(crate) struct UsageCommand {
    #[command(flatten)]
    asked: Asked,
    /// One line for each of these; otherwise everything in one
    #[arg(long, value_name = "WHAT")]
    by: Option<By>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum By {
    Agent,
    Trunk,
    Day,
}

impl By {
    fn name(self) -> &'static str {
        match self {
            Self::Agent => "agent",
            Self::Trunk => "trunk",
            Self::Day => "day",
        }
    }
}

impl UsageCommand {
    pub(crate) fn run(self) -> Result<Exit, Failure> {
        let mut totals: BTreeMap<String, UsageTotals> = BTreeMap::new();
        let mut unrated = 0_u64;
        for call in self.asked.calls()? {
            let Some(usage) = call.usage() else { continue };
            let group = match self.by {
                Some(By::Agent) => call.agent_id,
                Some(By::Trunk) => call.trunk,
                Some(By::Day) => call.day,
                None => String::new(),
            };
            unrated += u64::from(!usage.rated && usage.answered);
            totals.entry(group).or_default().add(&usage);
        }
        if self.by.is_none() {
            totals.entry(String::new()).or_default();
        }
        self.print(&totals)?;
        if unrated > 0 {
            anstream::eprintln!(
                "outdial: {unrated} answered calls have no price; their cost is not in these sums"
            );
        }
        Ok(Exit::Completed)
    }

    fn print(&self, totals: &BTreeMap<String, UsageTotals>) -> Result<(), Failure> {
        let mut out = anstream::stdout().lock();
        if self.asked.json {
            let json = match self.by {
                None => json!(totals.get("")),
                Some(by) => totals
                    .iter()
                    .map(|(group, totals)| {
                        let mut line = json!(totals);
                        line[by.name()] = json!(group);
                        line
                    })
                    .collect(),
            };
            return Ok(writeln!(out, "{json}").context("cannot print")?);
        }
        let head = [self.by.map_or("", By::name), "calls", "minutes", "flat_calls", "cost_usd"];
        let quantity = |totals: &UsageTotals, unit| {
            let found = totals.billable_units.iter().find(|total| total.unit == unit);
            found.map(|total| total.quantity.normalize().to_string()).unwrap_or_default()
        };
        let rows = totals.iter().map(|(group, totals)| {
            [
                group.clone(),
                totals.call_count.to_string(),
                quantity(totals, BillableUnit::Minute),
                quantity(totals, BillableUnit::Call),
                totals.total_cost_usd.normalize().to_string(),
            ]
        });
        let skipped = usize::from(self.by.is_none());
        if self.asked.csv {
            csv(&mut out, head[skipped..].iter().map(|text| (*text).to_owned()))?;
            for row in rows {
                csv(&mut out, row.into_iter().skip(skipped))?;
            }
            return Ok(());
        }
        let mut table = Table::new();
        table
            .load_preset(presets::NOTHING)
            .set_header(head[skipped..].iter().map(|text| text.to_uppercase()));
        for row in rows {
            table.add_row(row.into_iter().skip(skipped));
        }
        for column in table.column_iter_mut().skip(1 - skipped) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        Ok(writeln!(out, "{table}").context("cannot print")?)
    }
}

/// Show the calls, with how each ended
#[derive(Debug, Args)]
pub(crate) struct CallsCommand {
    #[command(flatten)]
    asked: Asked,
    /// Show the numbers that were called in full
    #[arg(long)]
    numbers: bool,
}

impl CallsCommand {
    pub(crate) fn run(self) -> Result<Exit, Failure> {
        let calls = self.asked.calls()?;
        let mut out = anstream::stdout().lock();
        let number = |call: &CallRecord| if self.numbers { call.to.to_string() } else { call.to.masked() };
        if self.asked.json {
            for call in &calls {
                let mut line = serde_json::to_value(call).map_err(|error| anyhow!(error))?;
                line["to"] = json!(number(call));
                writeln!(out, "{line}").context("cannot print")?;
            }
            return Ok(Exit::Completed);
        }
        let head = [
            "started",
            "call_id",
            "agent",
            "trunk",
            "to",
            "reason",
            "ended_by",
            "sip",
            "q850",
            "ring_s",
            "talk_s",
            "codec",
            "mos",
            "cost_usd",
            "recovered",
        ];
        let rows = calls.iter().map(|call| {
            let end = call.end.as_ref();
            let text = |text: Option<String>| text.unwrap_or_default();
            let seconds = |time: std::time::Duration| format!("{:.1}", time.as_secs_f64());
            let media = end.and_then(|end| end.media.as_ref());
            [
                humantime::format_rfc3339_seconds(call.started_at).to_string(),
                call.call_id.clone().unwrap_or_default(),
                call.agent_id.clone(),
                call.trunk.clone(),
                number(call),
                end.map_or_else(|| "up".to_owned(), |end| end.reason.to_string()),
                text(end.map(|end| end.ended_by.to_string())),
                text(end.and_then(|end| end.sip.as_ref()).map(ToString::to_string)),
                text(end.and_then(|end| end.q850.as_ref()).map(|q850| q850.cause.to_string())),
                text(end.map(|end| seconds(end.ring_time))),
                text(end.map(|end| seconds(end.talk_time))),
                text(media.map(|media| media.codec.clone())),
                text(media.and_then(|media| media.mos).map(|mos| format!("{mos:.1}"))),
                if call.rated { call.cost_usd.normalize().to_string() } else { String::new() },
                if call.recovered { "yes".to_owned() } else { String::new() },
            ]
        });
        if self.asked.csv {
            csv(&mut out, head.map(str::to_owned))?;
            for row in rows {
                csv(&mut out, row)?;
            }
            return Ok(Exit::Completed);
        }
        let mut table = Table::new();
        table.load_preset(presets::NOTHING).set_header(head.map(str::to_uppercase));
        for row in rows {
            table.add_row(row);
        }
        writeln!(out, "{table}").context("cannot print")?;
        Ok(Exit::Completed)
    }
}

/// Writes one line by RFC 4180.
fn csv(out: &mut impl std::io::Write, fields: impl IntoIterator<Item = String>) -> Result<(), Failure> {
    let quoted = |field: String| {
        // A spreadsheet would take such a text for a formula.
        let field = if field.starts_with(['=', '@', '\t']) { format!("'{field}") } else { field };
        let plain = !field.contains(['"', ',', '\n', '\r']);
        if plain { field } else { format!("\"{}\"", field.replace('"', "\"\"")) }
    };
    let line: Vec<String> = fields.into_iter().map(quoted).collect();
    Ok(write!(out, "{}\r\n", line.join(",")).context("cannot print")?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_a_day_a_moment_or_so_long_ago() {
        let day = since("2026-11-01").unwrap();
        assert_eq!(since("2026-11-01T00:00:00Z").unwrap(), day);
        assert!(since("7days").unwrap() < SystemTime::now());
        assert!(since("yesterday").is_err());
    }

    #[test]
    fn csv_quotes_what_must_be_quoted() {
        let mut out = Vec::new();
        csv(&mut out, ["a", "b,c", "d\"e", "=1+1"].map(str::to_owned)).unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), "a,\"b,c\",\"d\"\"e\",'=1+1\r\n");
    }
}
