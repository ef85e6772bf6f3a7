//! Runs the C compiler.

use crate::{Context, codecs::Codecs, files, instrumentation};
use std::path::{Path, PathBuf};

/// Definitions that both the C code and the bindings see.
pub(crate) fn defines(codecs: &Codecs) -> Vec<(&'static str, Option<String>)> {
    let mut defines = vec![
        // The machine and system are described by headers of our own.
        ("PJ_AUTOCONF", Some("1".to_owned())),
        ("HAVE_CONFIG_H", None),
        ("_GNU_SOURCE", None),
        ("PJSIP_SYS_HAS_G729", Some(u8::from(codecs.g729).to_string())),
    ];
    if !instrumentation::asserts() {
        // With it a failed pj_assert is logged; without, it ends the process, and some of them
        // can be reached by what the network sends.
        defines.push(("NDEBUG", None));
    }
    if instrumentation::pool_debug() {
        defines.push(("PJ_POOL_DEBUG", Some("1".to_owned())));
    }
    defines
}

/// Static libraries of the vendored sources and of our own C files, linked into this crate.
///
/// The linker reads static libraries from left to right: users first.
pub(crate) fn libraries(context: &Context) -> Result<(), String> {
    let mut shim = compiler(context);
    shim.warnings(true);
    shim.files(
        ["pool_debug", "prefetch", "random", "rtp_round", "rtp_source", "rtp_transport", "shim"]
            .map(|name| context.package.join(format!("c/{name}.c"))),
    );

    let mut pjproject = compiler(context);
    // Third-party code: its warnings are for its maintainers.
    pjproject.flag("-w");
    for library in files::PJPROJECT {
        let folder = context.sources.pjproject.join(library.sources);
        pjproject.files(existing(&folder, library.files)?);
        for diverted in files::DIVERTED.iter().filter(|diverted| diverted.sources == library.sources) {
            let mut own = compiler(context);
            own.flag("-w");
            for (theirs, ours) in diverted.functions {
                own.define(theirs, *ours);
            }
            own.files(existing(&folder, &[diverted.file])?);
            let objects = own.try_compile_intermediates();
            pjproject
                .objects(objects.map_err(|error| format!("{} does not compile: {error}", diverted.file))?);
        }
    }
    if context.codecs.g729 {
        let folder = context.sources.pjproject.join("pjmedia/src/pjmedia-codec");
        pjproject.files(existing(&folder, files::G729)?);
    }

    let mut libsrtp = compiler(context);
    libsrtp.flag("-w").files(existing(&context.sources.libsrtp, files::LIBSRTP)?);

    for (build, name) in [(shim, "pjsip_shim"), (pjproject, "pjproject"), (libsrtp, "srtp2")] {
        build.try_compile(name).map_err(|error| format!("{name} does not compile: {error}"))?;
    }
    if instrumentation::sanitizer().as_deref() == Some("thread") {
        // A program of its own; `cargo xtask test --tsan` links it.
        let mut rig = compiler(context);
        rig.warnings(true).cargo_metadata(false).file(context.package.join("rig/rig.c"));
        rig.try_compile("pjsip_rig").map_err(|error| format!("the rig does not compile: {error}"))?;
    }
    context.codecs.print_link_lines();
    println!("cargo::rustc-link-lib=m");
    Ok(())
}

fn compiler(context: &Context) -> cc::Build {
    let mut build = cc::Build::new();
    build.includes(&context.includes).warnings(false).pic(true);
    for (name, value) in &context.defines {
        build.define(name, value.as_deref());
    }
    // The media path and the parser are too slow without, also under `cargo test`.
    build.opt_level(2);
    // Written for compilers that take less liberty: lists and addresses are cast between types.
    build.flag("-fno-strict-aliasing").flag("-fno-strict-overflow");
    build.flag_if_supported("-fno-delete-null-pointer-checks");
    instrumentation::for_fuzzing(&mut build);
    match instrumentation::sanitizer() {
        Some(name) => {
            build.flag(format!("-fsanitize={name}")).flag("-fno-omit-frame-pointer").debug(true);
        }
        None => {
            // Compilers that know no level 3 treat it as 2.
            build.flag("-U_FORTIFY_SOURCE").define("_FORTIFY_SOURCE", "3");
            build.flag_if_supported("-fstack-protector-strong");
            build.flag_if_supported("-fstack-clash-protection");
            build.flag_if_supported("-fcf-protection");
        }
    }
    build
}

/// Full paths; a name that is not there is an error of this list or of the vendored sources, and
/// is better told than left to the compiler.
fn existing(folder: &Path, names: &[&str]) -> Result<Vec<PathBuf>, String> {
    names
        .iter()
        .map(|name| {
            let path = folder.join(format!("{name}.c"));
            if path.is_file() { Ok(path) } else { Err(format!("{} is missing", path.display())) }
        })
        .collect()
}
