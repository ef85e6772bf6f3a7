//! Compiles PJSIP and libsrtp from the vendored sources and generates the bindings.

mod allowlist;
mod bindings;
mod codecs;
mod compile;
mod files;
mod instrumentation;
mod locate;
mod metadata;

use std::env;
use std::path::PathBuf;
use std::process::ExitCode;

/// What the steps below share.
struct Context {
    /// Unpacked and patched sources.
    sources: locate::Sources,
    /// `pjsip-sys/`, which holds our headers and C files.
    package: PathBuf,
    /// Where generated files go.
    out: PathBuf,
    /// Include paths, ours first.
    includes: Vec<PathBuf>,
    /// Preprocessor definitions that change structures: the same for C and for bindgen.
    defines: Vec<(&'static str, Option<String>)>,
    codecs: codecs::Codecs,
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("error: {message}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), String> {
    let package = PathBuf::from(variable("CARGO_MANIFEST_DIR")?);
    let out = PathBuf::from(variable("OUT_DIR")?);
    let sources = locate::sources(&package, &out)?;
    let codecs = codecs::find()?;
    let includes = include_paths(&package, &sources, &codecs);
    let defines = compile::defines(&codecs);
    let context = Context { sources, package, out, includes, defines, codecs };

    rerun_rules(&context);
    instrumentation::print_cfg();
    compile::libraries(&context)?;
    bindings::generate(&context)?;
    metadata::print(&context)
}

fn include_paths(
    package: &std::path::Path,
    sources: &locate::Sources,
    codecs: &codecs::Codecs,
) -> Vec<PathBuf> {
    let mut paths = vec![package.join("include"), package.join("include/libsrtp")];
    paths.extend(files::PJPROJECT.iter().map(|library| sources.pjproject.join(library.include)));
    paths.dedup();
    paths.push(sources.libsrtp.join("include"));
    paths.push(sources.libsrtp.join("crypto/include"));
    paths.extend(env::var_os("DEP_OPENSSL_INCLUDE").iter().flat_map(env::split_paths));
    paths.extend(codecs.includes.iter().cloned());
    paths
}

/// A build without changes must compile nothing; a changed source, header or patch set must.
fn rerun_rules(context: &Context) {
    for ours in ["build", "c", "include", "rig"] {
        println!("cargo::rerun-if-changed={}", context.package.join(ours).display());
    }
    for library in files::PJPROJECT {
        for folder in [library.sources, library.include] {
            println!("cargo::rerun-if-changed={}", context.sources.pjproject.join(folder).display());
        }
    }
    println!("cargo::rerun-if-changed={}", context.sources.libsrtp.display());
    instrumentation::rerun_rules();
}

fn variable(name: &str) -> Result<String, String> {
    env::var(name).map_err(|_| format!("{name} is not set; build pjsip-sys with cargo"))
}
