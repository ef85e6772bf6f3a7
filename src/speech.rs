//! Speech in calls: a [`Synthesizer`] says what an agent writes, a [`Transcriber`] writes what the callee says.
//!
//! Neither knows what carries the call: they have text on one side and 16-bit mono PCM on the other. A [`Call`] brings
//! them together with its sound:
//!
//! ```no_run
//! use outdial::Call;
//! use outdial::speech::{Synthesizer, TranscriptEvent, Transcriber};
//!
//! async fn ask(
//!     call: &Call,
//!     voice: &dyn Synthesizer,
//!     ears: &dyn Transcriber,
//! ) -> Result<Option<String>, Box<dyn std::error::Error>> {
//!     let mut transcription = call.transcribe(ears)?;
//!     call.say(voice, "Does Tuesday at ten suit you?").await?;
//!     while let Some(event) = transcription.next().await {
//!         if let TranscriptEvent::Final(words) = event? {
//!             return Ok(Some(words.text));
//!         }
//!     }
//!     Ok(None) // the call has ended
//! }
//! ```
//!
//! - [`Conversation`] does both at once, and stops speaking when the callee begins to; [`VoiceActivity`] notices.
//! - [`Dialogue`] does both with one model that hears and speaks, a [`SpeechToSpeech`], in the place of voice and ears.
//! - [`Text`] is what is to be said: a sentence, or the pieces of a language model as they come. [`Speech`] is the sound
//!   that a synthesizer makes of it, [`Spoken`] what the callee has really heard of it.
//! - [`Transcription`] is the stream of what was understood.
//! - [`FallbackSynthesizer`] and [`FallbackTranscriber`] go on with another adapter when one fails in the middle of a
//!   call; [`Recording`] is a prompt to fall back on when nobody can speak. Each failure is told, as
//!   [`CallEvent::SpeechFailed`](crate::call::CallEvent::SpeechFailed) among the call's events too.
//!
//! - Adapters to services on the network, each with a cargo feature of its own: `OpenAiSynthesizer` and
//!   `OpenAiTranscriber` (`openai`),
//!   `ElevenLabs` (`elevenlabs`), `Deepgram` (`deepgram`) and `OpenAiRealtime` (`openai-realtime`). `Access` says where a service is and which key it wants.
//!
//! A host with a pipeline of its own uses [`Call::audio`] and none of this. [`say`] and [`transcribe`] are for those who
//! hold the streams and want one half.
//!
//! # Writing an adapter
//!
//! An adapter is a struct with its settings and one trait with one method that returns at once: it starts a task with
//! [`Speech::spawn`], [`Transcription::spawn`] or [`ModelSession::spawn`], which ends with the stream that it feeds. Whatever goes wrong in the
//! task, a panic included, is an [`AdapterError`] at the stream's end. Buffers on both sides have bounds; a time limit
//! for each thing that it waits for is the adapter's own.
//!
//! [`Call`]: crate::call::Call
//! [`Call::audio`]: crate::call::Call::audio

mod activity;
mod call;
mod conversation;
mod convert;
#[cfg(feature = "deepgram")]
mod deepgram;
mod dialogue;
#[cfg(feature = "elevenlabs")]
mod elevenlabs;
mod error;
#[cfg(feature = "espeak")]
mod espeak;
mod fallback;
#[cfg(feature = "flite")]
mod flite;
#[cfg(feature = "openai")]
mod openai;
#[cfg(feature = "openai-realtime")]
mod openai_realtime;
#[cfg(feature = "pocketsphinx")]
mod pocketsphinx;
#[cfg(any(feature = "espeak", feature = "flite", feature = "pocketsphinx"))]
mod process;
mod recording;
mod say;
mod script;
#[cfg(feature = "_service")]
mod service;
mod synthesizer;
mod text;
mod transcribe;
mod transcriber;
#[cfg(any(feature = "espeak", feature = "flite"))]
mod wave;

pub use activity::{VoiceActivity, VoiceChange};
pub use conversation::{BargeIn, Conversation};
#[cfg(feature = "deepgram")]
pub use deepgram::Deepgram;
pub use dialogue::{
    Cut, Dialogue, DialogueEvent, ModelEvent, ModelOrder, ModelOrders, ModelSession, ModelSink,
    SpeechToSpeech, ToolCall,
};
#[cfg(feature = "elevenlabs")]
pub use elevenlabs::ElevenLabs;
pub use error::{AdapterError, Failure};
#[cfg(feature = "espeak")]
pub use espeak::Espeak;
pub use fallback::{FallbackSynthesizer, FallbackTranscriber};
#[cfg(feature = "flite")]
pub use flite::Flite;
#[cfg(feature = "openai")]
pub use openai::{OpenAiSynthesizer, OpenAiTranscriber};
#[cfg(feature = "openai-realtime")]
pub use openai_realtime::OpenAiRealtime;
#[cfg(feature = "pocketsphinx")]
pub use pocketsphinx::Pocketsphinx;
pub use recording::Recording;
pub use say::{SayError, say};
pub use script::Spoken;
#[cfg(feature = "_service")]
pub use service::{Access, ApiKey, Limits};
pub use synthesizer::{Piece, Speech, SpeechSink, Stopped, Synthesizer};
pub use text::Text;
pub use transcribe::transcribe;
pub use transcriber::{Transcriber, Transcript, TranscriptEvent, Transcription, TranscriptionSink};
