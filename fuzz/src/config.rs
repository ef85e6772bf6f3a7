//! `outdial.toml`, as an operator may have written it.

use outdial::config::Config;

pub(crate) fn run(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    match Config::parse(text) {
        // What is read is shown with its secrets left out.
        Ok(config) => drop(format!("{config:?}")),
        Err(error) => drop(error.to_string()),
    }
}
