use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::Problem;
use super::section::Section;
use crate::secrets::{Secrets, Store};

/// Where the encrypted store is. The table `[secrets]`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct SecretsConfig {
    /// The store's folder. Default: `.outdial` in the user's home, or `/var/lib/outdial` for a user without one.
    pub home: Option<PathBuf>,
    /// Uses the store of the host instead: in `HYBRIDCLAW_DATA_DIR` if that is an absolute path, else
    /// `~/.hybridclaw`. Default false.
    pub share_with_host: bool,
}

impl SecretsConfig {
    /// The reader of this configuration's secrets.
    pub fn open(&self) -> Secrets {
        Secrets::new(Store::open(self.folder(env::home_dir(), env::var_os("HYBRIDCLAW_DATA_DIR"))))
    }

    fn folder(&self, user: Option<PathBuf>, host: Option<OsString>) -> PathBuf {
        match &self.home {
            Some(home) => home.clone(),
            None if self.share_with_host => match host.map(PathBuf::from).filter(|path| path.is_absolute()) {
                Some(path) => path,
                None => user.unwrap_or_else(|| PathBuf::from("/")).join(".hybridclaw"),
            },
            None => user.map_or_else(|| PathBuf::from("/var/lib/outdial"), |user| user.join(".outdial")),
        }
    }

    pub(super) fn read(mut section: Section<'_, '_>, base: Option<&Path>) -> Self {
        let mut secrets = Self::default();
        section.set("home", &mut secrets.home);
        section.set("share_with_host", &mut secrets.share_with_host);
        section.finish(&[]);
        if let (Some(home), Some(base)) = (&mut secrets.home, base) {
            *home = base.join(&*home);
        }
        secrets
    }

    pub(super) fn check(&self, problems: &mut Vec<Problem>) {
        if self.home.is_some() && self.share_with_host {
            problems
                .push(Problem::new("secrets.home", "cannot be chosen together with share_with_host = true"));
        }
        if self.home.as_ref().is_some_and(|home| home.as_os_str().is_empty()) {
            problems.push(Problem::new("secrets.home", "must be a folder"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_folder_is_ours_unless_the_host_s_is_asked_for() {
        let user = || Some(PathBuf::from("/home/u"));
        let folder = |home: Option<&str>, share_with_host, host: Option<&str>| {
            let config = SecretsConfig { home: home.map(Into::into), share_with_host };
            config.folder(user(), host.map(Into::into)).display().to_string()
        };
        assert_eq!(folder(None, false, Some("/data")), "/home/u/.outdial");
        assert_eq!(folder(Some("/x"), false, None), "/x");
        assert_eq!(folder(None, true, Some("/data")), "/data");
        assert_eq!(folder(None, true, Some("data")), "/home/u/.hybridclaw");
        assert_eq!(folder(None, true, None), "/home/u/.hybridclaw");
        assert_eq!(SecretsConfig::default().folder(None, None).display().to_string(), "/var/lib/outdial");
    }
}
