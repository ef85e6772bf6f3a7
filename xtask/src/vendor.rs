//! `cargo xtask vendor`

use crate::root;
use outdial_vendoring::Vendor;

/// Silent when everything is in place.
pub(crate) fn run() -> anyhow::Result<()> {
    let vendor = Vendor::new(root().join("vendor")).archives_from_environment()?;
    vendor.bring(&mut |line| eprintln!("{line}"))?;
    Ok(())
}
