//! Another adapter goes on when one fails: never a dead line.

mod synthesizer;
mod transcriber;

pub use synthesizer::FallbackSynthesizer;
pub use transcriber::FallbackTranscriber;
