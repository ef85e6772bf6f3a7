//! Outbound telephone calls for agent runtimes.

pub mod audio;
pub mod config;
pub mod provider;
pub mod secrets;
