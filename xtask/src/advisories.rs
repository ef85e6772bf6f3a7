//! `cargo xtask advisories`: docs/security/pjproject.md says what becomes of each known flaw of PJSIP; this compares it
//! with what is there.

mod prove;
mod table;

use crate::root;
use anyhow::{Context, bail};
use outdial_vendoring::Manifest;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use table::{Row, Tested};

const TABLE: &str = "docs/security/pjproject.md";

/// Entries of the list that the table answers.
const ENTRIES: std::ops::RangeInclusive<u32> = 1..=53;

/// Rows of the table that owe a test today. It only ever goes down.
const OWED: usize = 0;

/// What the table may still owe.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// How many rows may say "no test yet". A number that only goes down
    #[arg(long, default_value_t = OWED)]
    owed: usize,
    /// Leave each patch out, build and run its tests: those that begin with these numbers, else all. The first time
    /// it compiles everything; all patches, one after the other, take an hour
    #[arg(long, value_name = "NNNN", num_args = 0..)]
    prove: Option<Vec<String>>,
}

impl Default for Options {
    fn default() -> Self {
        Self { owed: OWED, prove: None }
    }
}

pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    let root = root();
    let text = fs::read_to_string(root.join(TABLE)).with_context(|| TABLE.to_owned())?;
    let rows = table::rows(&text)?;
    let mut complaints = Vec::new();
    version(&root, &text, &mut complaints)?;
    complaints.extend(compare(&rows, &patches(&root)?));
    for row in &rows {
        complaints.extend(missing_tests(&root, row)?);
    }
    let owed: Vec<_> = rows.iter().filter(|row| row.tested == Tested::Owed).map(Row::name).collect();
    if owed.len() > options.owed {
        complaints.push(format!(
            "{} rows have no test yet, {} may: {}",
            owed.len(),
            options.owed,
            owed.join(", ")
        ));
    }
    if complaints.is_empty() {
        println!("{TABLE}: {} rows, {} without a test yet", rows.len(), owed.len());
        return options.prove.as_ref().map_or(Ok(()), |patches| prove::run(&root, &rows, patches));
    }
    bail!("{TABLE}:\n  {}", complaints.join("\n  "));
}

/// The table is about the version that is compiled.
fn version(root: &Path, text: &str, complaints: &mut Vec<String>) -> anyhow::Result<()> {
    let manifest = Manifest::read(&root.join("vendor"))?;
    let source = manifest.sources.get("pjproject").context("vendor.toml has no pjproject")?;
    let title = text.lines().next().unwrap_or_default();
    if !title.contains(&source.version) {
        complaints
            .push(format!("vendor.toml compiles pjproject {}, the title says `{title}`", source.version));
    }
    Ok(())
}

/// Names of the patches, without `.patch`.
fn patches(root: &Path) -> anyhow::Result<BTreeSet<String>> {
    let mut names = BTreeSet::new();
    for entry in fs::read_dir(root.join("vendor/patches"))? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        names.extend(name.strip_suffix(".patch").map(str::to_owned));
    }
    Ok(names)
}

/// Entries that no row answers, patches that are missing, unlisted, listed twice, or under another entry's number.
fn compare(rows: &[Row], patches: &BTreeSet<String>) -> Vec<String> {
    let mut complaints = Vec::new();
    for entry in ENTRIES {
        if !rows.iter().any(|row| row.entry == entry) {
            complaints.push(format!("entry {entry} has no row"));
        }
    }
    let mut listed = BTreeSet::new();
    for row in rows {
        if row.decision.is_empty() || row.decision.starts_with("not ") {
            complaints.push(format!("{}: undecided (`{}`)", row.name(), row.decision));
        }
        if row.decision.starts_with("patched") && row.patches.is_empty() {
            complaints.push(format!("{}: patched by nothing", row.name()));
        }
        for patch in &row.patches {
            if !patches.contains(patch) {
                complaints.push(format!("{}: {patch} is not in vendor/patches", row.name()));
            }
            if !listed.insert(patch.clone()) {
                complaints.push(format!("{}: {patch} is listed twice", row.name()));
            }
            if table::entry_of(patch) != Some(row.entry) {
                complaints.push(format!("{}: {patch} has another entry's number", row.name()));
            }
        }
    }
    complaints.extend(patches.difference(&listed).map(|patch| format!("{patch} is in no row")));
    complaints
}

/// Tests that a row names and that are not there.
fn missing_tests(root: &Path, row: &Row) -> anyhow::Result<Vec<String>> {
    let Tested::By(tests) = &row.tested else { return Ok(Vec::new()) };
    let mut complaints = Vec::new();
    for test in tests {
        let path = root.join(test.path());
        let text = if path.is_file() { fs::read_to_string(&path)? } else { String::new() };
        if !test.is_in(&text) {
            complaints.push(format!("{}: there is no test `{}` in {}", row.name(), test.name, test.path()));
        }
    }
    Ok(complaints)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn complaints(table: &str, patches: &[&str]) -> Vec<String> {
        let rows = table::rows(table).unwrap();
        let patches = patches.iter().map(|&patch| patch.to_owned()).collect();
        compare(&rows, &patches).into_iter().filter(|text| !text.ends_with("has no row")).collect()
    }

    #[test]
    fn a_table_that_is_true_is_accepted() {
        let table = "| 7 flaw | x | patched | 0070-name | file: `test` | yes |\n\
                     | | y | patched | 0071-other (TLS) | no test: TSan | – |\n\
                     | 8 flaw | x | compiled out | `X 0` | settings: `x` | – |\n";
        assert!(complaints(table, &["0070-name", "0071-other"]).is_empty());
        let rows = table::rows(table).unwrap();
        assert_eq!(
            compare(&rows, &BTreeSet::new()).iter().filter(|text| text.ends_with("has no row")).count(),
            51
        );
    }

    #[test]
    fn what_is_not_true_is_told() {
        let row = "| 7 flaw | x | patched | 0070-name | file: `test` | yes |\n";
        assert_eq!(complaints(row, &[]), ["7 flaw: 0070-name is not in vendor/patches"]);
        assert_eq!(complaints(row, &["0070-name", "0080-b"]), ["0080-b is in no row"]);
        assert_eq!(complaints(&row.repeat(2), &["0070-name"]), ["7 flaw: 0070-name is listed twice"]);
        let other = row.replace("0070", "0080");
        assert_eq!(complaints(&other, &["0080-name"]), ["7 flaw: 0080-name has another entry's number"]);
        let none = row.replace("0070-name", "–");
        assert_eq!(complaints(&none, &[]), ["7 flaw: patched by nothing"]);
        let undecided = none.replace("patched", "not patched yet");
        assert_eq!(complaints(&undecided, &[]), ["7 flaw: undecided (`not patched yet`)"]);
    }
}
