//! Outbound telephone calls for agent runtimes.

pub mod config;
pub mod provider;
pub mod secrets;
