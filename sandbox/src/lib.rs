//! A telephone company for demos and tests: a SIP registrar and callee whose dialled number chooses what
//! happens.
//!
//! What a payment provider's test card numbers are for shops, the numbers +1 202 555 0100 to 0199 are here
//! for callers: one is busy, one echoes, one speaks a greeting and listens, one has a keypad menu, one
//! refuses unencrypted media, and so on through every way in which a call can end. [`Behaviour::all`] is
//! the table.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use outdial_sandbox::Sandbox;
//!
//! let sandbox = Sandbox::builder().start().await?;
//! println!("register sandbox:sandbox at {}", sandbox.udp().expect("UDP is on by default"));
//! // … place calls, then look at what the other side saw:
//! for call in sandbox.calls() {
//!     println!("{} {:?} heard {:?}", call.dialled, call.outcome, call.digits);
//! }
//! sandbox.shutdown().await;
//! # Ok(())
//! # }
//! ```
//!
//! It shares no code with outdial's own SIP stack: SIP, SDP, RTP and their failures are implemented anew,
//! so a call between the two is a call between independent implementations.

mod behaviour;
mod builder;
mod callee;
mod digest;
mod journal;
mod media;
mod pki;
mod registrar;
mod sandbox;
mod sdp;
mod server;
mod sip;
mod speech;
mod transport;

pub use crate::behaviour::{Behaviour, EndReason};
pub use crate::builder::{Builder, InviteChallenge, SrtpPolicy};
pub use crate::digest::DigestAlgorithm;
pub use crate::journal::{CallOutcome, CallRecord, Event, Recording};
pub use crate::media::MediaCounts;
pub use crate::media::codec::Codec;
pub use crate::media::srtp::SrtpSuite;
pub use crate::pki::ServerCertificate;
pub use crate::registrar::Registration;
pub use crate::sandbox::{Events, Sandbox, StartError};
pub use crate::speech::Speech;
pub use crate::transport::Transport;

/// The Server and User-Agent header.
pub(crate) const SERVER: &str = concat!("outdial-sandbox/", env!("CARGO_PKG_VERSION"));
