//! The Twilio provider: calls by Twilio's REST interface, their sound over Twilio Media Streams.
//!
//! [`Twilio`] is the handle. It orders a call with `POST Calls.json`, whose TwiML tells Twilio to open a WebSocket to us
//! as soon as the callee answers. A small HTTP server takes those WebSockets and Twilio's status callbacks; it stands
//! behind the operator's reverse proxy, which has the certificate. Each call is one task that owns the call's state
//! machine, so everything that happens to a call happens there, in order.
//!
//! What Twilio has no means for is told as [`CallError::Unsupported`](crate::CallError::Unsupported): hold, transfer and
//! sending key presses.

mod account;
mod active;
mod error;
mod line;
mod media;
mod message;
mod ordering;
mod pace;
mod price;
mod provider;
mod rest;
mod retry;
mod server;
mod signature;
mod status;
mod taping;
mod timeline;
mod token;
mod twiml;

pub use error::TwilioError;
pub use provider::Twilio;
