//! Outbound telephone calls for agent runtimes.
