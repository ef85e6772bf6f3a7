//! Outbound telephone calls for agent runtimes.

pub mod provider;
