//! Sanitizers: the C code is instrumented as the Rust code is.

use std::env;

const ENVIRONMENT: [&str; 3] = ["OUTDIAL_SANITIZE", "OUTDIAL_ASSERTS", "OUTDIAL_POOL_DEBUG"];

/// Sanitizer named by `OUTDIAL_SANITIZE` (`address`, `thread`, …), else the one that rustc uses.
pub(crate) fn name() -> Option<String> {
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

fn is_on(variable: &str) -> bool {
    env::var(variable).is_ok_and(|value| value == "1")
}

/// Tests can ask `cfg(sanitized)`.
pub(crate) fn print_cfg() {
    println!("cargo::rustc-check-cfg=cfg(sanitized)");
    if name().is_some() {
        println!("cargo::rustc-cfg=sanitized");
    }
}

pub(crate) fn rerun_rules() {
    for variable in ENVIRONMENT {
        println!("cargo::rerun-if-env-changed={variable}");
    }
}
