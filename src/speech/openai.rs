//! OpenAI's audio interface over HTTP, which servers of one's own have too.

mod synthesizer;

pub use synthesizer::OpenAiSynthesizer;

use super::service::Credential;

const NAME: &str = "openai";
const BASE: &str = "https://api.openai.com/v1";
const CREDENTIAL: Credential = Credential { header: "authorization", prefix: "Bearer " };
