//! Outbound telephone calls for agent runtimes.

pub mod audio;
pub mod audit;
mod build_info;
pub mod call;
pub mod config;
#[allow(unsafe_code)]
mod pj;
pub mod provider;
pub mod secrets;
pub mod sip;
pub mod usage;

mod ecma;
mod timestamp;

pub use build_info::{BuildInfo, build_info};
