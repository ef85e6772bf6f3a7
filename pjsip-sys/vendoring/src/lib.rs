//! Third-party sources in `vendor/`: fetched, verified, unpacked and patched as `vendor.toml` says.
//!
//! ```text
//! vendor/vendor.toml         what, which version, from where, with which SHA-256
//! vendor/patches/*.patch     applied in the order of their names
//! vendor/<name>/             the unpacked and patched source; git-ignored
//! vendor/<name>/.vendored    its stamp
//! vendor/.archives/          archives as they were fetched; git-ignored
//! ```
//!
//! Used by `cargo xtask vendor` and, for its feature `download`, by the build script of pjsip-sys.
//! Without the feature `fetch` the crate can only tell what is there.

mod error;
#[cfg(feature = "fetch")]
mod fetch;
mod manifest;
mod patches;
mod stamp;

pub use error::Error;
#[cfg(feature = "fetch")]
pub use fetch::{Origin, Vendor, debian_mirrors};
pub use manifest::{Apt, Manifest, Source, Upstream, Version};
pub use patches::PatchFiles;
pub use stamp::{Stamp, State, state};

use sha2::{Digest, Sha256};

/// SHA-256 in lower-case hexadecimal digits.
fn hex(digest: Sha256) -> String {
    digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}
