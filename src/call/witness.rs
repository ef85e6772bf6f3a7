//! Who is told of what the application does with a call.

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
}
