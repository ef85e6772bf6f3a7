//! `outdial check --explain`: the settings of a trunk, and where each is from.

use std::io::Write as _;

use anyhow::Result;
use comfy_table::{Table, presets};
use outdial::config::{Origin, TrunkConfig};
use serde::Serialize;

/// A setting as JSON.
#[derive(Serialize)]
struct Line<'a> {
    trunk: &'a str,
    key: &'static str,
    value: &'a str,
    from: &'static str,
}

/// Prints a table for each trunk, or a line of JSON for each setting.
pub(super) fn print(trunks: &[(&str, &TrunkConfig)], json: bool) -> Result<()> {
    let mut out = anstream::stdout().lock();
    for (name, trunk) in trunks {
        let mut table = Table::new();
        table.load_preset(presets::NOTHING);
        for setting in trunk.explain() {
            let from = word(setting.origin);
            if json {
                let line = Line { trunk: name, key: setting.key, value: &setting.value, from };
                writeln!(out, "{}", serde_json::to_string(&line)?)?;
            }
            table.add_row([setting.key, setting.value.as_str(), from]);
        }
        if !json {
            writeln!(out, "[trunks.{name}]\n{}\n", table.trim_fmt())?;
        }
    }
    Ok(())
}

const fn word(origin: Origin) -> &'static str {
    match origin {
        Origin::Default => "default",
        Origin::Profile => "profile",
        Origin::File => "file",
    }
}
