//! Kamailio, in front of Asterisk.

use std::path::Path;

use super::system::{self, System};

/// Where it listens: UDP and TCP 5060, TLS 5061, TLS with client certificates 5062.
pub(super) const ADDRESS: &str = "127.0.0.12";

/// Configures it from `tests/kamailio/` and starts it.
pub(super) fn start(system: &System) -> anyhow::Result<()> {
    system.configure("kamailio", &[("@MODULES@", &system.find("usr/lib", "kamailio/modules")?)])?;
    let arguments = ["-DD", "-E", "-f", "/etc/peer/kamailio/kamailio.cfg", "-Y", "/run/peer"];
    system.start("kamailio", &[&arguments[..], &["-P", "/run/peer/kamailio.pid"]].concat(), is_up)
}

/// Ends it, if it runs.
pub(super) fn stop(folder: &Path) -> anyhow::Result<()> {
    system::stop(folder, "kamailio", "run/peer/kamailio.pid", is_up)
}

pub(super) fn is_up() -> bool {
    system::listens(ADDRESS, 5062)
}
