//! `cargo xtask advisories --prove`: leaves one patch out after the other and runs the tests that stand in its row.
//!
//! What is built is what `cargo xtask vendor` would make were the patch's file not there, and nothing else is left out.
//! Only where a later patch then does not apply any more, because it builds on that one, it is left out too, and that is
//! said. A build takes half a minute, most of which ccache saves: an hour for all.

mod tree;

use super::table::{Row, Test, Tested};
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

/// A test that takes longer than this hangs. The slowest waits 20 s for a message, and the machine may be busy.
const LIMIT: Duration = Duration::from_secs(180);

/// A test that a row names: its package, its file and its own name.
type Named<'a> = (&'static str, &'a str, &'a str);

/// A patch, and the tests that its row names.
struct Case<'a> {
    patch: &'a str,
    tests: BTreeSet<Named<'a>>,
    claim: Claim,
    left_out: LeftOut,
}

/// What the table says of a build without the patch.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Claim {
    Nothing,
    ATestFails,
    DoesNotCompile,
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

    let cases = cases(rows, wanted, &tree)?;
    if cases.is_empty() {
        bail!("no row names a test for these patches");
    }

    let tests: BTreeSet<_> = cases.iter().flat_map(|case| case.tests.iter().copied()).collect();
    println!("with all patches:");
    tree.leave_out(&[])?;
    for (name, outcome) in build.outcomes(&tests)? {
        if !matches!(outcome, Outcome::Passed) {
            bail!("{} {outcome} with all patches", told(name));
        }
    }
    println!("  {} tests pass", tests.len());

    let (mut unproven, mut broken) = (Vec::new(), Vec::new());
    for case in &cases {
        tree.leave_out(&case.left_out.names().collect::<Vec<_>>())?;
        println!("without {}:", case.left_out);
        let outcomes = match (build.outcomes(&case.tests), case.claim) {
            (Ok(outcomes), _) => outcomes,
            (Err(_), Claim::DoesNotCompile) => {
                println!("  does not compile");
                continue;
            }
            (Err(error), _) => {
                println!("  {error:#}");
                broken.push(case.patch);
                continue;
            }
        };
        let mut failed = false;
        for (name, outcome) in outcomes {
            println!("  {} {outcome}", told(name));
            failed |= !matches!(outcome, Outcome::Passed);
        }
        if case.claim == Claim::DoesNotCompile || (case.claim == Claim::ATestFails && !failed) {
            unproven.push(case.patch);
        }
    }
    if !broken.is_empty() {
        bail!("not proven, because there is no build without them: {}", broken.join(", "));
    }
    if !unproven.is_empty() {
        bail!("what the table says is not so without {}", unproven.join(", "));
    }
    Ok(())
}

fn told((_, file, name): Named<'_>) -> String {
    format!("{file}: {name}")
}

/// The cases of these rows. Where a row names tests of pjsip-sys those are enough: they take less to build.
fn cases<'a>(rows: &'a [Row], wanted: &[String], tree: &Tree) -> anyhow::Result<Vec<Case<'a>>> {
    let mut cases = Vec::new();
    for row in rows {
        let Tested::By(tests) = &row.tested else { continue };
        let claim = match row.fails_without.as_str() {
            text if text.starts_with("does not compile") => Claim::DoesNotCompile,
            // What a sanitizer shows is not seen here.
            text if text.contains("San)") => Claim::Nothing,
            text if text.starts_with("yes") => Claim::ATestFails,
            _ => Claim::Nothing,
        };
        let of = |package| -> BTreeSet<Named<'a>> {
            let named = |test: &'a Test| Some((package, test.of(package)?, test.name.as_str()));
            tests.iter().filter_map(named).collect()
        };
        let tests = match (of("pjsip-sys"), claim) {
            (tests, _) if !tests.is_empty() => tests,
            (_, Claim::Nothing) => continue,
            _ => of("outdial"),
        };
        let chosen = |patch: &str| wanted.is_empty() || wanted.iter().any(|start| patch.starts_with(start));
        for patch in row.patches.iter().filter(|patch| chosen(patch)) {
            cases.push(Case { patch, tests: tests.clone(), claim, left_out: tree.left_out(patch)? });
        }
    }
    Ok(cases)
}

/// Builds against the tree.
struct Build<'a> {
    root: &'a Path,
    folder: PathBuf,
}

impl Build<'_> {
    fn outcomes<'a>(&self, tests: &BTreeSet<Named<'a>>) -> anyhow::Result<BTreeMap<Named<'a>, Outcome>> {
        let programs = self.programs(tests)?;
        let mut outcomes = BTreeMap::new();
        for test in tests {
            let program = programs.get(test.1).with_context(|| format!("no program of {}", test.1))?;
            outcomes.insert(*test, outcome(program, test.2)?);
        }
        Ok(outcomes)
    }

    /// Compiles the files of these tests; their programs.
    fn programs(&self, tests: &BTreeSet<Named<'_>>) -> anyhow::Result<BTreeMap<String, PathBuf>> {
        let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        cargo.current_dir(self.root).args(["test", "--quiet", "--no-run"]);
        let packages: BTreeSet<_> = tests.iter().map(|(package, _, _)| *package).collect();
        cargo.args(packages.iter().flat_map(|package| ["--package", package]));
        let files: BTreeSet<_> = tests.iter().map(|(_, file, _)| *file).collect();
        cargo.args(files.iter().flat_map(|file| ["--test", file]));
        cargo.arg("--message-format=json-render-diagnostics");
        cargo.env("CARGO_TARGET_DIR", self.folder.join("build"));
        cargo.env("OUTDIAL_VENDOR_DIR", self.folder.join("vendor"));
        // Hundreds of files are compiled each time, of which a patch changes a few.
        cargo.env("CC", "ccache cc").env("CCACHE_DIR", self.folder.join("ccache"));
        let output = cargo.stderr(Stdio::inherit()).output().context("cargo test --no-run")?;
        if !output.status.success() {
            bail!("it does not build");
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
