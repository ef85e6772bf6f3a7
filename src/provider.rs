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
mod error;
mod header;
mod number;
mod request;

pub use agent::{AgentId, AgentIdError};
pub use caller::{CallerId, CallerIdError};
pub use error::{CapacityLimit, DialError};
pub use header::{Header, HeaderError};
pub use number::{E164, E164Error};
pub use request::DialRequest;
