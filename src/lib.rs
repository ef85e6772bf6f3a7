//! Outbound telephone calls for agent runtimes, over the SIP trunk or PBX that a business already has.
//!
//! ```no_run
//! use outdial::audio::wav;
//! use outdial::{AgentId, Config, DialProvider, E164, Outdial, Shutdown};
//!
//! #[tokio::main]
//! async fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let outdial = Outdial::from_config(&Config::load("outdial.toml")?).await?;
//!     let call = outdial.dial(&AgentId::new("reminders")?, &E164::parse("+12025550101")?).await?;
//!
//!     let audio = call.audio()?;
//!     if call.answered().await.is_ok() {
//!         audio.speaker.send(&wav::read("prompt.wav", audio.speaker.rate())?).await?;
//!         audio.speaker.drain().await; // the last word has left
//!     }
//!     let end = call.hangup().await;
//!     println!("{}: {}, talked {:?}", call.id(), end.reason, end.talk_time);
//!     outdial.shutdown(Shutdown::HangUp).await;
//!     Ok(())
//! }
//! ```
//!
//! # Where to look
//!
//! - [`Config`]: what `outdial.toml` says of trunks and agents; [`secrets`]: where passwords are.
//! - [`DialProvider`]: the contract between a runtime and whatever carries its calls. [`Outdial`] is the one for hosts:
//!   everything that a configuration names, with [rules](policy) before and records ([`audit`], [`ledger`], [`usage`])
//!   behind each call. [`Endpoint`] is SIP alone and [`Twilio`] one account of
//!   Twilio alone (feature `twilio`, on by default), without them.
//! - [`Call`]: the handle. [`CallEvent`]s tell what happens, [`CallEnd`] how it ended, and [`EndReason`] why.
//! - [`audio`]: the [`Speaker`](audio::Speaker) and the [`Listener`](audio::Listener), 16-bit mono PCM in both
//!   directions.
//! - [`speech`]: what an agent says and hears as text: [`say`](Call::say), [`transcribe`](Call::transcribe), and the
//!   traits of synthesizers and recognisers.
//!
//! # Threads
//!
//! ```text
//! tokio tasks ──commands──▶ control thread ──▶ PJSIP            SIP, timers, call set-up
//!      ▲                          │ callbacks: copy, send, return
//!      └──────── events ──────────┘
//! tokio tasks ◀──listen queue── media clock threads, 20 ms ──▶ RTP
//!             ──playout queue─▶
//! ```
//!
//! PJSIP is one instance per process, and one thread of ours uses it. No task ever waits in a lock that PJSIP holds, no
//! callback runs code of the application, and dropping a handle posts a message and returns. Host names are looked up on a
//! thread of their own, which starts with the first name.

pub mod audio;
pub mod audit;
mod build_info;
pub mod call;
pub mod config;
pub mod ledger;
pub mod metrics;
mod outdial;
#[allow(unsafe_code)]
mod pj;
pub mod policy;
pub mod provider;
pub mod recording;
pub mod secrets;
pub mod sip;
pub mod speech;
#[cfg(feature = "twilio")]
pub mod twilio;
pub mod usage;

mod ecma;
#[cfg(any(feature = "twilio", feature = "_service"))]
mod https;
mod timestamp;

pub use build_info::{BuildInfo, build_info};
pub use call::{Call, CallEnd, CallError, CallEvent, CallId, EndReason};
pub use config::Config;
pub use outdial::{Outdial, OutdialBuilder, OutdialError};
pub use provider::{AgentId, CallerId, DialError, DialProvider, DialRequest, E164, Shutdown};
pub use sip::Endpoint;
#[cfg(feature = "twilio")]
pub use twilio::Twilio;

/// The programs of the README and of the book are compiled like those in the documentation.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

#[cfg(doctest)]
#[doc = include_str!("../docs/hosts.md")]
struct Hosts;

#[cfg(doctest)]
#[doc = include_str!("../docs/recording.md")]
struct RecordingPage;

#[cfg(doctest)]
#[doc = include_str!("../docs/sandbox.md")]
struct SandboxPage;

#[cfg(all(doctest, feature = "espeak", feature = "flite"))]
#[doc = include_str!("../docs/speech.md")]
struct SpeechPage;

#[cfg(all(doctest, feature = "prometheus"))]
#[doc = include_str!("../docs/metrics.md")]
struct MetricsPage;

#[cfg(all(doctest, feature = "openai", feature = "elevenlabs", feature = "deepgram"))]
#[doc = include_str!("../docs/speech-adapters.md")]
struct SpeechAdapters;
