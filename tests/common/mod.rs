//! What the tests of calls share: the endpoint under test, the far ends, and how a call is told.
//!
//! The far end is either sipp with a scenario of `tests/sipp`, where each message matters, or the sandbox, where
//! TLS, SRTP or sound matter. Both are implementations of their own. Every wait has a bound far above what it takes;
//! no test asserts a time.
#![allow(dead_code, unreachable_pub, unused_imports)] // Every test binary uses another part of it.

pub mod far_end;
pub mod noise;
pub mod phone;
pub mod process;
pub mod rtp;
pub mod sipp;
pub mod sound;
pub mod srtp;
pub mod story;
pub mod stranger;
pub mod trunk;
pub mod voice;
pub mod wire;

use std::future::Future;
use std::time::Duration;

pub use far_end::FarEnd;
pub use phone::Phone;
pub use rtp::{Caller, Rtp};
pub use sipp::{Sipp, Transcript};
pub use story::{Story, told};

/// A safety net, far above what anything here takes.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Waits for something that must happen.
pub async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(PATIENCE, future).await {
        Ok(value) => value,
        Err(_) => panic!("{what}: not within {PATIENCE:?}"),
    }
}
