//! `outdial --version`

use std::sync::LazyLock;

/// The version alone, for `-V`.
pub(crate) const fn short() -> &'static str {
    env!("CARGO_PKG_VERSION")
}

/// The version and what is inside, for `--version`.
pub(crate) fn long() -> &'static str {
    static TEXT: LazyLock<String> = LazyLock::new(|| {
        let build = outdial::build_info().to_string();
        // The command's name is printed before it anyway.
        build.strip_prefix("outdial ").unwrap_or(&build).trim_end().to_owned()
    });
    &TEXT
}
