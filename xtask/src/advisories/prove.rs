//! `cargo xtask advisories --prove`: leaves patches out and runs the tests that stand in their rows.
//!
//! What is built is what `cargo xtask vendor` would make were the patch's file not there. Where a later patch then does
//! not apply any more, because it builds on the one that is left out, it is left out too, and that is said.
//!
//! Patches are left out together when they change other files and are tested by other files: a build takes a minute.

mod tree;

use super::table::{Row, Tested};
use crate::{packages, vendor};
use anyhow::{Context as _, bail};
use std::collections::{BTreeMap, BTreeSet};
use std::env;
use std::fmt;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};
use tree::{LeftOut, Tree};

/// A test that takes longer than this hangs. The slowest waits 20 s for a message.
const LIMIT: Duration = Duration::from_secs(60);

/// A patch, and the tests of pjsip-sys that its row names: file and name.
struct Case<'a> {
    patch: &'a str,
    tests: BTreeSet<(&'a str, &'a str)>,
    /// The table says that a test fails without the patch.
    claimed: bool,
    left_out: LeftOut,
}

/// Cases that do not touch each other.
struct Group<'a> {
    cases: Vec<Case<'a>>,
}

enum Outcome {
    Passed,
    Failed,
    Killed(i32),
    Hung,
}

/// Tries the patches whose names begin with one of `wanted`, or all that have tests.
pub(super) fn run(root: &Path, rows: &[Row], wanted: &[String]) -> anyhow::Result<()> {
    packages::ensure(&[packages::BUILD, packages::PROOF])?;
    vendor::run()?;
    let build = Build { root, folder: root.join("target/advisories") };
    let tree = Tree::new(&root.join("vendor"), &build.folder)?;

    let groups = grouped(cases(rows, wanted, &tree)?);
    if groups.is_empty() {
        bail!("no row names a test of pjsip-sys for these patches");
    }

    let tests: BTreeSet<_> = groups.iter().flat_map(Group::tests).collect();
    println!("with all patches:");
    tree.leave_out(&[])?;
    for (name, outcome) in build.outcomes(&tests)? {
        if !matches!(outcome, Outcome::Passed) {
            bail!("{name} {outcome} with all patches");
        }
    }
    println!("  {} tests pass", tests.len());
    println!("{} builds:", groups.len());

    let (mut unproven, mut broken) = (Vec::new(), Vec::new());
    for group in &groups {
        let names: Vec<&str> = group.cases.iter().flat_map(|case| case.left_out.names()).collect();
        tree.leave_out(&names)?;
        let outcomes = match build.outcomes(&group.tests().collect()) {
            Ok(outcomes) => outcomes,
            Err(error) => {
                println!("without {}: {error:#}", names.join(", "));
                broken.extend(group.cases.iter().map(|case| case.patch));
                continue;
            }
        };
        for case in &group.cases {
            println!("without {}:", case.left_out);
            let mut failed = false;
            for (file, name) in &case.tests {
                let outcome = &outcomes[&format!("{file}: {name}")];
                println!("  {file}: {name} {outcome}");
                failed |= !matches!(outcome, Outcome::Passed);
            }
            if case.claimed && !failed {
                unproven.push(case.patch);
            }
        }
    }
    if !broken.is_empty() {
        bail!("not proven, because pjsip-sys does not build without them: {}", broken.join(", "));
    }
    if !unproven.is_empty() {
        bail!("no test fails without {}, but the table says so", unproven.join(", "));
    }
    Ok(())
}

fn cases<'a>(rows: &'a [Row], wanted: &[String], tree: &Tree) -> anyhow::Result<Vec<Case<'a>>> {
    let mut cases = Vec::new();
    for row in rows {
        let Tested::By(tests) = &row.tested else { continue };
        let tests: BTreeSet<_> =
            tests.iter().filter_map(|test| Some((test.of_pjsip_sys()?, test.name.as_str()))).collect();
        if tests.is_empty() {
            continue;
        }
        let chosen = |patch: &str| wanted.is_empty() || wanted.iter().any(|start| patch.starts_with(start));
        for patch in row.patches.iter().filter(|patch| chosen(patch)) {
            let (tests, claimed) = (tests.clone(), row.fails_without.starts_with("yes"));
            cases.push(Case { patch, tests, claimed, left_out: tree.left_out(patch)? });
        }
    }
    Ok(cases)
}

/// Puts each case into the first group that it fits into.
fn grouped(cases: Vec<Case<'_>>) -> Vec<Group<'_>> {
    let mut groups: Vec<Group<'_>> = Vec::new();
    for case in cases {
        match groups.iter_mut().find(|group| group.has_room_for(&case)) {
            Some(group) => group.cases.push(case),
            None => groups.push(Group { cases: vec![case] }),
        }
    }
    groups
}

impl<'a> Group<'a> {
    fn has_room_for(&self, case: &Case<'_>) -> bool {
        let of_tests = |case: &Case<'_>| -> BTreeSet<String> {
            case.tests.iter().map(|(file, _)| (*file).to_owned()).collect()
        };
        self.cases.iter().all(|other| {
            other.left_out.files.is_disjoint(&case.left_out.files)
                && of_tests(other).is_disjoint(&of_tests(case))
        })
    }

    fn tests(&self) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.cases.iter().flat_map(|case| case.tests.iter().copied())
    }
}

/// Builds of pjsip-sys against the tree.
struct Build<'a> {
    root: &'a Path,
    folder: PathBuf,
}

impl Build<'_> {
    fn outcomes(&self, tests: &BTreeSet<(&str, &str)>) -> anyhow::Result<BTreeMap<String, Outcome>> {
        let files: BTreeSet<_> = tests.iter().map(|(file, _)| *file).collect();
        let programs = self.programs(&files)?;
        let mut outcomes = BTreeMap::new();
        for (file, name) in tests {
            let program = programs.get(*file).with_context(|| format!("no program of {file}"))?;
            outcomes.insert(format!("{file}: {name}"), outcome(program, name)?);
        }
        Ok(outcomes)
    }

    /// Compiles these files of tests; their programs.
    fn programs(&self, files: &BTreeSet<&str>) -> anyhow::Result<BTreeMap<String, PathBuf>> {
        let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        cargo.current_dir(self.root).args(["test", "--quiet", "--package", "pjsip-sys", "--no-run"]);
        cargo
            .arg("--message-format=json-render-diagnostics")
            .args(files.iter().flat_map(|file| ["--test", file]));
        cargo.env("CARGO_TARGET_DIR", self.folder.join("build"));
        cargo.env("OUTDIAL_VENDOR_DIR", self.folder.join("vendor"));
        // Hundreds of files are compiled each time, of which a patch changes a few.
        cargo.env("CC", "ccache cc").env("CCACHE_DIR", self.folder.join("ccache"));
        let output = cargo.stderr(Stdio::inherit()).output().context("cargo test --no-run")?;
        if !output.status.success() {
            bail!("pjsip-sys does not build");
        }
        let mut programs = BTreeMap::new();
        for line in String::from_utf8_lossy(&output.stdout).lines() {
            let Ok(message) = serde_json::from_str::<serde_json::Value>(line) else { continue };
            if let (Some(name), Some(program)) =
                (message["target"]["name"].as_str(), message["executable"].as_str())
            {
                programs.insert(name.to_owned(), program.into());
            }
        }
        Ok(programs)
    }
}

/// Runs one test in a process of its own.
fn outcome(program: &Path, name: &str) -> anyhow::Result<Outcome> {
    let mut test = Command::new(program)
        .args(["--exact", name, "--test-threads=1"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .with_context(|| program.display().to_string())?;
    let end = Instant::now() + LIMIT;
    loop {
        if let Some(status) = test.try_wait()? {
            return Ok(Outcome::of(status));
        }
        if Instant::now() > end {
            test.kill()?;
            test.wait()?;
            return Ok(Outcome::Hung);
        }
        thread::sleep(Duration::from_millis(20));
    }
}

impl Outcome {
    fn of(status: ExitStatus) -> Self {
        match status.signal() {
            Some(signal) => Self::Killed(signal),
            None if status.success() => Self::Passed,
            None => Self::Failed,
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Passed => write!(formatter, "passes"),
            Self::Failed => write!(formatter, "fails"),
            Self::Killed(6) => write!(formatter, "fails: aborted"),
            Self::Killed(11) => write!(formatter, "fails: SIGSEGV"),
            Self::Killed(signal) => write!(formatter, "fails: signal {signal}"),
            Self::Hung => write!(formatter, "fails: hangs"),
        }
    }
}
