//! The sandbox trunk.
