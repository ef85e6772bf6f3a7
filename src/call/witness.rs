//! Who is told of what the application does with a call, and of what is said in it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;

use super::{CallError, TransferTarget};

/// Stands beside a call, and says whether what the application asks for may be done.
#[async_trait]
pub(crate) trait CallWitness: Send + Sync {
    /// Before the callee is handed over.
    fn may_transfer(&self, target: &TransferTarget) -> Result<(), CallError>;
    /// The callee is being handed over.
    async fn transferring(&self, target: &TransferTarget);
    /// Keys have been sent; `masked` if they are confidential.
    async fn keys_sent(&self, digits: &str, masked: bool);
    /// Pauses or continues what is kept of the call; false if nothing is.
    fn pause_recording(&self, paused: bool) -> bool;
    /// Who writes down the words of the call, if anybody does.
    fn scribe(&self) -> Option<Arc<dyn Scribe>>;
}

/// Writes down the words of a call. Whoever still has something to tell it holds one.
pub(crate) trait Scribe: Send + Sync {
    /// The callee said this.
    fn heard(&self, words: Heard<'_>);
    /// The agent said this.
    fn said(&self, words: Said<'_>);
}

/// Words of the callee, with times since the call's media began.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Heard<'a> {
    pub(crate) text: &'a str,
    /// They will not change.
    pub(crate) is_final: bool,
    pub(crate) start: Duration,
    pub(crate) end: Duration,
}

/// Words of the agent.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Said<'a> {
    /// Those that were played.
    pub(crate) text: &'a str,
    /// Those behind them that were not.
    pub(crate) unplayed: &'a str,
    /// `played`, `cleared`, `ended` or `failed`; `dropped` if nobody waited for the end.
    pub(crate) outcome: &'static str,
    pub(crate) start: Instant,
    pub(crate) end: Instant,
}
