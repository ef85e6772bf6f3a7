//! `cargo xtask test`

use crate::run::Step;
use crate::sanitizer::Build;
use crate::{advisories, deny, docs, packages, peers, rig, tools, vendor};
use clap::Args;
use std::env;

#[derive(Args)]
pub(crate) struct Options {
    /// Run the tests of calls under valgrind instead: no invalid access, nothing lost
    #[arg(long, group = "instead")]
    valgrind: bool,
    /// Run the tests of PJSIP and of calls, and the fuzz corpora, with AddressSanitizer instead, in C and Rust
    #[arg(long, group = "instead")]
    asan: bool,
    /// Make calls with ThreadSanitizer instead: races in C
    #[arg(long, group = "instead")]
    tsan: bool,
    /// Passed on to the test runner
    #[arg(last = true)]
    runner: Vec<String>,
}

/// What is off by default and tested all the same.
pub(crate) const FEATURES: &str =
    "outdial/prometheus,outdial/openai,outdial/elevenlabs,outdial/deepgram,outdial/openai-realtime";

/// Everything that must hold before a change is merged. The runner's summary comes last.
pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    if options.valgrind {
        return under_valgrind();
    }
    if options.asan {
        return with_address_sanitizer(options);
    }
    if options.tsan {
        return rig::run();
    }
    packages::ensure(&[packages::BUILD, packages::SPEECH, packages::TEST])?;
    vendor::run()?;
    advisories::run(&advisories::Options::default())?;
    docs::links()?;
    deny::if_there()?;
    if component("rustfmt", "fmt") {
        Step::cargo(&["fmt", "--all", "--", "--check"]).run()?;
    }
    if component("clippy", "clippy") {
        let lints =
            ["clippy", "--workspace", "--features", FEATURES, "--all-targets", "--", "-D", "warnings"];
        Step::cargo(&lints).run()?;
    }
    Step::cargo(&["test", "--workspace", "--features", FEATURES, "--doc", "--quiet"]).run()?;
    peers::during(|| tests(options))
}

/// Undefined values are not looked for: valgrind sees them in the assembly of the sandbox's TLS library, which sets
/// them by instructions that it does not know.
const VALGRIND: &str = "target.'cfg(unix)'.runner = ['valgrind', '--quiet', '--error-exitcode=9', \
    '--undef-value-errors=no', '--suppressions=tests/valgrind.supp', '--leak-check=full', '--show-leak-kinds=definite', '--errors-for-leak-kinds=definite']";

/// Tests that make calls, between them with each kind of end, media and answer.
const CALLS: [&str; 6] = ["answers", "dtmf", "encryption", "hangup", "renegotiation", "ringing"];

fn under_valgrind() -> anyhow::Result<()> {
    packages::ensure(&[packages::BUILD, packages::TEST, packages::VALGRIND])?;
    vendor::run()?;
    let mut arguments = vec!["--config", VALGRIND, "test", "--package", "outdial", "--no-fail-fast"];
    arguments.extend(CALLS.iter().flat_map(|name| ["--test", name]));
    arguments.extend(["--", "--test-threads=1"]);
    Step::cargo(&arguments).run()
}

/// The tests of PJSIP's functions, then those of calls, and the fuzz corpora.
fn with_address_sanitizer(options: &Options) -> anyhow::Result<()> {
    packages::ensure(&[packages::BUILD, packages::TEST])?;
    vendor::run()?;
    let build = Build::address("asan", &["-Zsanitizer=address"])?;
    // Those that break PJSIP off in the middle leave its pools behind, where calls that end in order must not.
    let functions = runner(|arguments| build.cargo(arguments), &["--package", "pjsip-sys"], options)?;
    functions.environment("ASAN_OPTIONS", "detect_leaks=0").run()?;
    let calls = ["--package", "outdial", "--package", "outdial-fuzz"];
    peers::during(|| runner(|arguments| build.cargo(arguments), &calls, options)?.run())
}

fn tests(options: &Options) -> anyhow::Result<()> {
    runner(Step::cargo, &["--workspace", "--features", FEATURES], options)?.run()
}

/// With nextest, which is installed if it is missing, each test has a process of its own, as PJSUA, of which a process has
/// only one, likes it. Where it cannot be installed, tests run one after the other, which takes three times as long.
fn runner(cargo: impl Fn(&[&str]) -> Step, packages: &[&str], options: &Options) -> anyhow::Result<Step> {
    let path = tools::path()?;
    let there = || Step::cargo(&["nextest", "--version"]).environment("PATH", &path).succeeds();
    let installed = there() || {
        // Compiled without optimisation: that takes a third of the time, and most of a run is waiting.
        let install = tools::install("cargo-nextest", "runs tests side by side", &["--debug"]);
        install.is_ok() && there()
    };
    Ok(if installed {
        // Where nobody watches, .config/nextest.toml tries again what failed, and says so.
        let profile = if env::var_os("CI").is_some() { "ci" } else { "default" };
        let arguments = [&["nextest", "run", "--no-fail-fast", "--profile", profile], packages].concat();
        cargo(&arguments).environment("PATH", path).arguments(&options.runner)
    } else {
        let arguments = [&["test", "--lib", "--bins", "--tests", "--no-fail-fast"], packages].concat();
        let one = ["--".to_owned(), "--test-threads=1".to_owned()];
        cargo(&arguments).arguments(&one).arguments(&options.runner)
    })
}

/// Whether this part of the toolchain is there, after an attempt to install it: minimal
/// installations of Rust come without.
fn component(name: &str, subcommand: &str) -> bool {
    let there = || Step::cargo(&[subcommand, "--version"]).succeeds();
    let mut rustup = std::process::Command::new("rustup");
    rustup.args(["component", "add", name]);
    let found = there() || (Step::new(rustup).succeeds() && there());
    if !found {
        eprintln!("not checked, because the toolchain has no {name}: cargo {subcommand}");
    }
    found
}
