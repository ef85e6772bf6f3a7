//! Codec libraries of the system.

use std::env;
use std::path::PathBuf;

/// What is compiled in beside the codecs that PJMEDIA brings along (G.711, G.722, L16).
#[derive(Default)]
pub(crate) struct Codecs {
    /// G.729 through bcg729.
    pub(crate) g729: bool,
    pub(crate) includes: Vec<PathBuf>,
    /// To link, with the folders to find them in.
    pub(crate) libraries: Vec<String>,
    pub(crate) link_paths: Vec<PathBuf>,
}

impl Codecs {
    /// Names as in SDP.
    pub(crate) fn names(&self) -> Vec<&'static str> {
        let mut names = vec!["PCMU", "PCMA", "G722", "L16", "opus"];
        if self.g729 {
            names.push("G729");
        }
        names
    }
}

pub(crate) fn find() -> Result<Codecs, String> {
    let mut codecs = Codecs { g729: env::var_os("CARGO_FEATURE_G729").is_some(), ..Codecs::default() };
    codecs.probe("opus", "Opus", "libopus-dev")?;
    if codecs.g729 {
        codecs.probe("libbcg729", "G.729", "libbcg729-dev")?;
    }
    Ok(codecs)
}

impl Codecs {
    /// Printed after our own static libraries, which need them: pkg-config's crate would print at once.
    pub(crate) fn print_link_lines(&self) {
        for path in &self.link_paths {
            println!("cargo::rustc-link-search=native={}", path.display());
        }
        for library in &self.libraries {
            println!("cargo::rustc-link-lib={library}");
        }
    }

    fn probe(&mut self, library: &str, codec: &str, package: &str) -> Result<(), String> {
        let mut config = pkg_config::Config::new();
        let found = config.cargo_metadata(false).print_system_libs(false).probe(library).map_err(|_| {
            format!(
                "{codec} needs {library}, which pkg-config does not find; on Debian and Ubuntu run \
                 `apt-get install pkg-config {package}`"
            )
        })?;
        self.includes.extend(found.include_paths);
        self.libraries.extend(found.libs);
        self.link_paths.extend(found.link_paths);
        Ok(())
    }
}
