//! Where the configuration is, and the sandbox that needs none.

use std::path::{Path, PathBuf};

use anyhow::anyhow;
use outdial::config::Config;

use crate::exit::{Exit, Failure, OrExit};

/// The trunk that exists without being configured.
pub(crate) const SANDBOX: &str = "sandbox";

const NAME: &str = "outdial.toml";

/// The option that names the file, the same for every command, and taken before and after each of them.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct ConfigOption {
    /// The configuration; otherwise ./outdial.toml, then ~/.config/outdial/outdial.toml
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
}

impl ConfigOption {
    /// The file that would be read; `None` when none is named and none is there.
    pub(crate) fn path(&self) -> Option<PathBuf> {
        let here = || Path::new(NAME).is_file().then(|| PathBuf::from(NAME));
        let own = || own_path().filter(|path| path.is_file());
        self.config.clone().or_else(here).or_else(own)
    }

    /// Reads it; `None` when none is named and none is there.
    pub(crate) fn load(&self) -> Result<Option<Config>, Failure> {
        self.path().map(|path| load(&path)).transpose()
    }

    /// What to say when there is none.
    pub(crate) fn missing() -> Failure {
        let own = own_path().map_or_else(String::new, |path| format!(" and no {}", path.display()));
        let error = anyhow!(
            "there is no ./{NAME}{own}: write one, name one with --config, or try \
             `outdial dial --trunk {SANDBOX}`, which needs none"
        );
        Failure { exit: Exit::Configuration, error }
    }
}

/// Reads a file.
pub(crate) fn load(path: &Path) -> Result<Config, Failure> {
    Config::load(path).or_exit(Exit::Configuration)
}

/// The user's own configuration file, by the XDG base directory specification.
fn own_path() -> Option<PathBuf> {
    let named = std::env::var_os("XDG_CONFIG_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    let folder = named.or_else(|| std::env::home_dir().map(|home| home.join(".config")))?;
    Some(folder.join("outdial").join(NAME))
}
