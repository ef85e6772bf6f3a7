//! The SIP provider: calls over the trunks and PBXs that a business has.
//!
//! [`Endpoint`] is the handle. Behind it one control thread owns PJSIP, and everything that happens to a call happens
//! there, in order; handles send it orders and never wait for the network in a lock.

mod active;
mod connections;
mod control;
mod endpoint;
mod error;
pub mod gate;
mod locate;
mod moving;
mod redirect;
mod referral;
mod registration;
mod stun;
mod trunk;

pub use endpoint::{Endpoint, EndpointStats};
pub use error::StartError;
pub use locate::{NameFault, NotFound, find_servers};
pub use registration::Registration;

pub use crate::provider::Shutdown;
