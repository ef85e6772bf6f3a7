use std::time::Duration;

/// How to shut a provider down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shutdown {
    /// Hang up all calls at once.
    HangUp,
    /// Take no new calls and let those that are up go on for so long; then hang up.
    Drain(Duration),
}
