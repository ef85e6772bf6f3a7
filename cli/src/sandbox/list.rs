//! `outdial sandbox --list`

use anyhow::Result;
use comfy_table::{Table, presets};
use outdial_sandbox::Behaviour;
use serde_json::json;

/// Prints the table of numbers.
pub(super) fn print(as_json: bool) -> Result<()> {
    use std::io::Write as _;
    let mut out = anstream::stdout();
    if as_json {
        for row in Behaviour::all() {
            let row = json!({
                "number": row.number(), "name": row.name(), "ends": row.end_reason().as_str(), "what": row.summary(),
            });
            writeln!(out, "{row}")?;
        }
        return Ok(());
    }
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).set_header(["number", "name", "ends as", "what happens"]);
    for row in Behaviour::all() {
        table.add_row([row.number().as_str(), row.name(), row.end_reason().as_str(), row.summary()]);
    }
    writeln!(out, "{}", table.trim_fmt())?;
    Ok(())
}
