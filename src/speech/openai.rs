//! OpenAI's audio interface over HTTP, which servers of one's own have too.

mod synthesizer;
mod transcriber;
mod utterance;

pub use synthesizer::OpenAiSynthesizer;
pub use transcriber::OpenAiTranscriber;

use super::service::Credential;

const NAME: &str = "openai";
const BASE: &str = "https://api.openai.com/v1";
const CREDENTIAL: Credential = Credential { header: "authorization", prefix: "Bearer " };
