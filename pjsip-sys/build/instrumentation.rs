//! Builds for tests: sanitizers, coverage for fuzzing, assertions.

use std::env;
use std::process::Command;

const ENVIRONMENT: [&str; 3] = ["OUTDIAL_SANITIZE", "OUTDIAL_ASSERTS", "OUTDIAL_POOL_DEBUG"];

/// Sanitizer named by `OUTDIAL_SANITIZE` (`address`, `thread`), else the one that rustc uses. Its
/// runtime is rustc's, which gcc's and clang's instrumentation both fit.
pub(crate) fn sanitizer() -> Option<String> {
    env::var("OUTDIAL_SANITIZE")
        .ok()
        .or_else(|| env::var("CARGO_CFG_SANITIZE").ok())
        .filter(|name| !name.is_empty())
}

/// `OUTDIAL_ASSERTS=1`: `pj_assert` aborts, as in upstream's own builds. For tests only.
pub(crate) fn asserts() -> bool {
    is_on("OUTDIAL_ASSERTS")
}

/// `OUTDIAL_POOL_DEBUG=1`: each allocation from a pool is one of malloc, so that AddressSanitizer
/// sees its bounds and its end.
pub(crate) fn pool_debug() -> bool {
    is_on("OUTDIAL_POOL_DEBUG")
}

/// cargo-fuzz compiles with `--cfg fuzzing`. libFuzzer understands the coverage of clang alone.
pub(crate) fn for_fuzzing(build: &mut cc::Build) {
    if env::var_os("CARGO_CFG_FUZZING").is_none() {
        return;
    }
    match clang() {
        Some(clang) => {
            build.compiler(clang).flag("-fsanitize=fuzzer-no-link");
        }
        None => println!("cargo::warning=without clang the fuzzer gets no coverage from PJSIP"),
    }
}

/// `clang`, or the newest of Debian's `clang-14` and its like.
fn clang() -> Option<String> {
    let versioned = (14..40).rev().map(|version| format!("clang-{version}"));
    std::iter::once("clang".to_owned())
        .chain(versioned)
        .find(|name| Command::new(name).arg("--version").output().is_ok_and(|output| output.status.success()))
}

/// Tests can ask `cfg(sanitized)`, `cfg(asserts)` and `cfg(pool_debug)`.
pub(crate) fn print_cfg() {
    let flavours =
        [("sanitized", sanitizer().is_some()), ("asserts", asserts()), ("pool_debug", pool_debug())];
    for (name, is_set) in flavours {
        println!("cargo::rustc-check-cfg=cfg({name})");
        if is_set {
            println!("cargo::rustc-cfg={name}");
        }
    }
}

pub(crate) fn rerun_rules() {
    for variable in ENVIRONMENT {
        println!("cargo::rerun-if-env-changed={variable}");
    }
}

fn is_on(variable: &str) -> bool {
    env::var(variable).is_ok_and(|value| value == "1")
}
