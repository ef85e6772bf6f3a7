//! Asterisk 22.

use std::path::Path;

use super::system::{self, System};

/// Where it listens: UDP and TCP 5060, TLS 5061, TLS with client certificates 5062, its manager 5038, ARI 8088.
pub(super) const ADDRESS: &str = "127.0.0.10";

/// Configures it from `tests/asterisk/` and starts it.
pub(super) fn start(system: &System) -> anyhow::Result<()> {
    system.configure("asterisk", &[("@MODULES@", &system.find("usr/lib", "asterisk/modules")?)])?;
    system.start("asterisk", &["-f", "-C", "/etc/peer/asterisk/asterisk.conf"], is_up)
}

/// Ends it, if it runs.
pub(super) fn stop(folder: &Path) -> anyhow::Result<()> {
    system::stop(folder, "asterisk", "run/peer/asterisk.pid", is_up)
}

pub(super) fn is_up() -> bool {
    // The transport that is opened last, and the manager that the tests ask.
    system::listens(ADDRESS, 5062) && system::listens(ADDRESS, 5038)
}
