//! The voice of the program `espeak-ng`: hundreds of languages, no key, and quick; it sounds like a machine.

use std::process::Stdio;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::process::Program;
use super::{AdapterError, Speech, SpeechSink, Synthesizer, Text, wave};
use crate::audio::SampleRate;

const PROGRAM: Program = Program { name: "espeak-ng", package: "espeak-ng" };

/// Speaks with `espeak-ng` (Debian's package of that name), sentence by sentence, at 22,050 Hz. The sound of a sentence
/// is passed on while the program makes it.
#[derive(Debug, Clone)]
pub struct Espeak {
    voice: String,
    words_per_minute: u16,
}

impl Default for Espeak {
    fn default() -> Self {
        Self { voice: "en-us".to_owned(), words_per_minute: 160 }
    }
}

impl Espeak {
    /// A voice, as `espeak-ng --voices` lists them: `en-us`, `de`, `fr+f3`.
    pub fn new(voice: impl Into<String>) -> Self {
        Self { voice: voice.into(), ..Self::default() }
    }

    /// How fast it speaks; 160 words per minute unless said otherwise.
    #[must_use]
    pub fn words_per_minute(mut self, words: u16) -> Self {
        self.words_per_minute = words;
        self
    }

    async fn sentence(&self, text: &str, sink: &SpeechSink) -> Result<(), AdapterError> {
        let mut command = PROGRAM.command();
        // By standard input: a text may begin with a hyphen, and arguments are for all eyes.
        command.args(["--stdin", "--stdout", "-b", "1", "-v", &self.voice, "-s"]);
        command.arg(self.words_per_minute.to_string()).stdin(Stdio::piped());
        let mut child = PROGRAM.spawn(&mut command)?;
        let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let (Some(mut stdin), Some(stdout), Some(mut stderr)) = (stdin, stdout, stderr) else {
            return Err(PROGRAM.failed("it has no pipes"));
        };
        // A sentence is shorter than a pipe: it is written before it is read. If it is not read, the status tells.
        let _ = stdin.write_all(text.as_bytes()).await;
        drop(stdin);
        let sound = wave::pass_on(PROGRAM, stdout, sink).await;
        if let Err(AdapterError::Stopped | AdapterError::TimedOut { .. }) = sound {
            return sound;
        }
        let mut last_words = String::new();
        let _ = stderr.read_to_string(&mut last_words).await;
        let status = child.wait().await.map_err(|error| PROGRAM.pipe(error))?;
        if status.success() {
            sound
        } else {
            Err(PROGRAM.failed(format!("{} ({status})", last_words.trim())))
        }
    }
}

impl Synthesizer for Espeak {
    fn name(&self) -> &str {
        "espeak"
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
