//! The contract between an agent runtime and whatever carries its calls.
//!
//! A skill knows an agent and a number, asks a [`DialProvider`] for a call, speaks and listens. Whether SIP or a
//! telephone company's web service carries the call shows nowhere in this module, and must not show in a skill.
//!
//! - [`AgentId`]: who calls. [`E164`]: who is called. [`CallerId`]: which number the callee sees.
//! - [`DialRequest`]: the two of them, and everything that may differ from the configuration for one call.
//! - [`DialError`]: why there is no call. What happened to a call that did exist is told by the call itself.

mod agent;
mod caller;
mod departure;
mod error;
mod header;
mod number;
mod price;
mod record;
mod request;
mod shutdown;

pub use agent::{AgentId, AgentIdError};
pub use caller::{CallerId, CallerIdError};
pub(crate) use departure::{Departure, Witness};
pub use error::{CapacityLimit, DialError};
pub use header::{Header, HeaderError};
pub use number::{E164, E164Error};
pub(crate) use price::Price;
pub use record::Record;
pub use request::DialRequest;
pub use shutdown::Shutdown;

use async_trait::async_trait;

use crate::call::Call;

/// Makes calls: SIP trunks, a web service, or both behind one routing.
///
/// A host holds it as `Arc<dyn DialProvider>`. Both methods return when the call exists on the wire (SIP: the first
/// INVITE has been handed to the transport; Twilio: the REST call returned a sid), not when somebody answers: that,
/// and everything after it, is told by the [`Call`].
///
/// # Cancel safety
///
/// Dropping the future of a dial that is under way ends the call, if there is one by then.
#[async_trait]
pub trait DialProvider: Send + Sync {
    /// Calls `to` on behalf of `agent`, everything else as configured.
    ///
    /// # Errors
    ///
    /// As for [`dial_with`](Self::dial_with).
    async fn dial(&self, agent: &AgentId, to: &E164) -> Result<Call, DialError> {
        self.dial_with(DialRequest::new(agent.clone(), to.clone())).await
    }

    /// Makes a call with settings of its own.
    ///
    /// # Errors
    ///
    /// [`DialError`] when no call came to be. A call that came to be never fails here, however it ends.
    async fn dial_with(&self, request: DialRequest) -> Result<Call, DialError>;
}
