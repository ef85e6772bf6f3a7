//! The voice of the program `flite`: English, small, and understood by people and recognisers on a telephone line.

use std::io::Write as _;
use std::time::Duration;

use tempfile::NamedTempFile;

use super::process::Program;
use super::{AdapterError, Speech, SpeechSink, Synthesizer, Text, wave};
use crate::audio::SampleRate;

const PROGRAM: Program = Program { name: "flite", package: "flite" };

/// The longest that it may take for a sentence; it is a hundred times faster than speech.
const SENTENCE: Duration = Duration::from_secs(20);

/// Speaks with `flite` (Debian's package of that name), sentence by sentence, at 16 kHz. A sentence can be heard when the
/// program has made the whole of it.
#[derive(Debug, Clone)]
pub struct Flite {
    voice: String,
}

impl Default for Flite {
    fn default() -> Self {
        Self::new("rms")
    }
}

impl Flite {
    /// A voice, as `flite -lv` lists them: `rms`, `slt`, `awb`, `kal16`.
    pub fn new(voice: impl Into<String>) -> Self {
        Self { voice: voice.into() }
    }

    async fn sentence(&self, text: &str, sink: &SpeechSink) -> Result<(), AdapterError> {
        // Through files that only we can read: arguments are for all eyes, and flite has no use for pipes.
        let file = || NamedTempFile::new().map_err(|error| AdapterError::io("a temporary file", error));
        let (mut words, sound) = (file()?, file()?);
        words.write_all(text.as_bytes()).map_err(|error| AdapterError::io("a temporary file", error))?;
        let mut command = PROGRAM.command();
        command.args(["-voice", &self.voice, "-f"]).arg(words.path()).arg("-o").arg(sound.path());
        let child = PROGRAM.spawn(&mut command)?;
        let ended = async { child.wait_with_output().await.map_err(|error| PROGRAM.pipe(error)) };
        let output = PROGRAM.within(SENTENCE, ended).await?;
        if !output.status.success() {
            let last_words = String::from_utf8_lossy(&output.stderr);
            return Err(PROGRAM.failed(format!("{} ({})", last_words.trim(), output.status)));
        }
        let bytes =
            std::fs::read(sound.path()).map_err(|error| AdapterError::io("a temporary file", error))?;
        wave::pass_on(PROGRAM, &bytes[..], sink).await
    }
}

impl Synthesizer for Flite {
    fn name(&self) -> &str {
        "flite"
    }

    fn synthesize(&self, mut text: Text, _: SampleRate) -> Speech {
        let voice = self.clone();
        Speech::spawn(|sink| async move {
            while let Some(sentence) = text.next_sentence().await {
                sink.saying(sentence.as_str()).await?;
                voice.sentence(&sentence, &sink).await?;
            }
            Ok(())
        })
    }
}
