//! Generates the Rust declarations.

use crate::{Context, allowlist};

pub(crate) fn generate(context: &Context) -> Result<(), String> {
    let includes = context.includes.iter().map(|path| format!("-I{}", path.display()));
    let defines = context.defines.iter().map(|(name, value)| match value {
        Some(value) => format!("-D{name}={value}"),
        None => format!("-D{name}"),
    });

    let libraries = [allowlist::PJLIB, allowlist::PJNATH, allowlist::PJMEDIA, allowlist::PJSIP];
    let functions = [allowlist::FAMILIES, &libraries.concat()].concat();
    let mut builder = bindgen::Builder::default()
        .header(context.package.join("c/shim.h").display().to_string())
        .clang_args(includes.chain(defines));
    for name in functions {
        builder = builder.allowlist_function(name);
    }
    for name in allowlist::TYPES {
        builder = builder.allowlist_type(name);
    }
    for name in allowlist::CONSTANTS {
        builder = builder.allowlist_var(name);
    }
    for name in allowlist::EXCEPT {
        builder = builder.blocklist_function(name);
    }
    let bindings = builder
        // An unknown value in a Rust enum is undefined behaviour: C enums stay integers.
        .default_enum_style(bindgen::EnumVariation::Consts)
        .prepend_enum_name(false)
        .derive_debug(false)
        .derive_default(false)
        .generate_comments(false)
        .layout_tests(true)
        .formatter(bindgen::Formatter::Prettyplease)
        .generate()
        .map_err(|error| format!("no bindings: {error}"))?;
    let path = context.out.join("bindings.rs");
    bindings.write_to_file(&path).map_err(|error| format!("{}: {error}", path.display()))
}
