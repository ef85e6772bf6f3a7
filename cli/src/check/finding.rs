//! What a check found, and how it is printed.

use std::io::Write as _;

use anstyle::{AnsiColor, Style};
use anyhow::Result;
use comfy_table::{Cell, ContentArrangement, Table, presets};
use serde::Serialize;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Status {
    Ok,
    /// Works now, or may be meant so.
    Warning,
    /// Keeps calls from working.
    Problem,
    /// Could not be looked at.
    Skipped,
}

impl Status {
    const fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Problem => "PROBLEM",
            Self::Skipped => "skipped",
        }
    }

    const fn style(self) -> Style {
        match self {
            Self::Ok => AnsiColor::Green.on_default(),
            Self::Warning => AnsiColor::Yellow.on_default(),
            Self::Problem => AnsiColor::Red.on_default(),
            Self::Skipped => Style::new(),
        }
    }
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Finding {
    /// Which check, a stable name for programs.
    pub(super) id: &'static str,
    /// The mistake behind it, a stable name for programs; `docs/check.md` lists them.
    pub(super) cause: Option<&'static str>,
    /// The trunk it is about; the machine or the whole file otherwise.
    pub(super) trunk: Option<String>,
    pub(super) status: Status,
    /// What is so, in one line.
    pub(super) what: String,
    /// What to do about it, in one line.
    pub(super) remedy: Option<String>,
}

impl Finding {
    pub(super) fn ok(id: &'static str, what: impl Into<String>) -> Self {
        Self { id, cause: None, trunk: None, status: Status::Ok, what: what.into(), remedy: None }
    }

    pub(super) fn skipped(id: &'static str, what: impl Into<String>) -> Self {
        Self { status: Status::Skipped, ..Self::ok(id, what) }
    }

    pub(super) fn warning(id: &'static str, what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { status: Status::Warning, remedy: Some(remedy.into()), ..Self::ok(id, what) }
    }

    pub(super) fn problem(id: &'static str, what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { status: Status::Problem, remedy: Some(remedy.into()), ..Self::ok(id, what) }
    }
}

/// All of them, in the order of looking.
#[derive(Debug, Default)]
pub(super) struct Findings {
    list: Vec<Finding>,
    trunk: Option<String>,
}

impl Findings {
    /// What is added from now on is about this trunk.
    pub(super) fn of_trunk(&mut self, name: &str) {
        self.trunk = Some(name.to_owned());
    }

    pub(super) fn add(&mut self, finding: Finding) {
        let trunk = finding.trunk.clone().or_else(|| self.trunk.clone());
        // One line each, whatever the words of others that stand in them.
        let (what, remedy) = (one_line(&finding.what), finding.remedy.as_deref().map(one_line));
        self.list.push(Finding { trunk, what, remedy, ..finding });
    }

    pub(super) fn extend(&mut self, findings: impl IntoIterator<Item = Finding>) {
        findings.into_iter().for_each(|finding| self.add(finding));
    }

    pub(super) fn any_problem(&self) -> bool {
        self.count(Status::Problem) > 0
    }

    /// Whether a problem of this trunk was found.
    pub(super) fn trunk_has_problem(&self, trunk: &str) -> bool {
        let of_it = |finding: &&Finding| finding.trunk.as_deref() == Some(trunk);
        self.list.iter().filter(of_it).any(|finding| finding.status == Status::Problem)
    }

    fn count(&self, status: Status) -> usize {
        self.list.iter().filter(|finding| finding.status == status).count()
    }

    /// Prints a table, or a line of JSON for each.
    pub(super) fn print(&self, json: bool) -> Result<()> {
        let mut out = anstream::stdout().lock();
        if json {
            for finding in &self.list {
                writeln!(out, "{}", serde_json::to_string(finding)?)?;
            }
            return Ok(());
        }
        // A terminal that is too narrow breaks lines by itself; a finding stays one line for whoever searches in it.
        let mut table = Table::new();
        table.load_preset(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
        for finding in &self.list {
            let where_to = finding.trunk.as_deref().unwrap_or("-");
            table.add_row([
                Cell::new(finding.status.word()),
                Cell::new(where_to),
                Cell::new(finding.id),
                Cell::new(&finding.what),
            ]);
        }
        writeln!(out, "{}", table.trim_fmt())?;
        let remedies: Vec<_> =
            self.list.iter().filter_map(|finding| Some((finding, finding.remedy.as_ref()?))).collect();
        if !remedies.is_empty() {
            writeln!(out, "\nWhat to do:")?;
        }
        for (finding, remedy) in remedies {
            let (style, what) = (finding.status.style(), &finding.what);
            let place = finding.trunk.as_deref().map(|trunk| format!("{trunk} ")).unwrap_or_default();
            let cause = finding.cause.unwrap_or(finding.id);
            writeln!(out, "  {style}{place}{cause}{style:#}: {what} → {remedy}")?;
        }
        let (problems, warnings) = (self.count(Status::Problem), self.count(Status::Warning));
        let style = if problems > 0 { Status::Problem } else { Status::Ok }.style();
        writeln!(
            out,
            "\n{style}{problems} problem{}, {warnings} warning{}{style:#}",
            s(problems),
            s(warnings)
        )?;
        Ok(())
    }
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

const fn s(count: usize) -> &'static str {
    if count == 1 { "" } else { "s" }
}
