//! The recogniser of the program `pocketsphinx_continuous`: English, no key, and reliable where a grammar says what can
//! come.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::{Child, ChildStdin};

use super::process::Program;
use super::{
    AdapterError, Transcriber, Transcript, TranscriptEvent, Transcription, TranscriptionSink, VoiceActivity,
    VoiceChange,
};
use crate::audio::{Frame, Listener, SampleRate};

const PROGRAM: Program = Program { name: "pocketsphinx_continuous", package: "pocketsphinx" };
/// Where Debian's package `pocketsphinx-en-us` has its models.
const MODELS: &str = "/usr/share/pocketsphinx/model/en-us";
/// Sound before a voice was noticed that the recogniser hears as well, in frames: 400 ms.
const BEFORE: usize = 20;
/// How long it may take to understand a sentence that is over.
const DECODING: Duration = Duration::from_secs(30);

/// Understands English with `pocketsphinx` (Debian's packages `pocketsphinx` and `pocketsphinx-en-us`), sentence by
/// sentence: it tells when the callee begins and stops to speak, and final words after each pause of half a second, but
/// nothing in between.
///
/// With a [grammar](Self::with_grammar) it understands telephone speech well, and takes everything for what the grammar
/// has: a sentence that is not in it comes out as the one that is most like it. Without one
/// ([`with_language_model`](Self::with_language_model)) it understands perhaps two sentences of three.
///
/// One process waits for each call; it has its models loaded when the callee begins to speak.
#[derive(Debug, Clone)]
pub struct Pocketsphinx {
    search: Search,
    models: PathBuf,
}

#[derive(Debug, Clone)]
enum Search {
    Grammar(Arc<str>),
    LanguageModel,
}

impl Pocketsphinx {
    /// What the callee can say, as a grammar in JSGF.
    pub fn with_grammar(jsgf: impl Into<Arc<str>>) -> Self {
        Self { search: Search::Grammar(jsgf.into()), models: MODELS.into() }
    }

    /// What the callee can say, as sentences. Punctuation is left out.
    pub fn with_sentences<S: AsRef<str>>(sentences: impl IntoIterator<Item = S>) -> Self {
        let mut grammar = "#JSGF V1.0;\ngrammar sentences;\npublic <sentence> =".to_owned();
        for (n, sentence) in sentences.into_iter().enumerate() {
            let bar = if n == 0 { "" } else { "|" };
            let letter = |c: char| if c.is_alphabetic() || c == '\'' { c } else { ' ' };
            let words: String = sentence.as_ref().to_lowercase().chars().map(letter).collect();
            let _ = write!(grammar, "{bar} {} ", words.split_whitespace().collect::<Vec<_>>().join(" "));
        }
        grammar.push_str(";\n");
        Self::with_grammar(grammar)
    }

    /// Anything, by the language model of the package.
    pub fn with_language_model() -> Self {
        Self { search: Search::LanguageModel, models: MODELS.into() }
    }

    /// Models of another folder, with `en-us` (acoustic), `cmudict-en-us.dict` and `en-us.lm.bin` in it.
    #[must_use]
    pub fn models(mut self, folder: impl Into<PathBuf>) -> Self {
        self.models = folder.into();
        self
    }

    /// Starts a process that loads its models and waits for sound.
    fn start(&self, grammar: Option<&Path>) -> Result<Decoder, AdapterError> {
        if !self.models.join("cmudict-en-us.dict").exists() {
            return Err(AdapterError::MissingProgram {
                program: "the model en-us of pocketsphinx",
                package: "pocketsphinx-en-us",
            });
        }
        let mut command = PROGRAM.command();
        command.stdin(Stdio::piped()).arg("-hmm").arg(self.models.join("en-us"));
        command.arg("-dict").arg(self.models.join("cmudict-en-us.dict"));
        match grammar {
            Some(grammar) => command.arg("-jsgf").arg(grammar),
            None => command.arg("-lm").arg(self.models.join("en-us.lm.bin")),
        };
        // What is speech is known already; its own opinion would cut sentences into pieces.
        command.args(["-remove_silence", "no", "-infile", "/dev/stdin"]);
        let mut child = PROGRAM.spawn(&mut command)?;
        let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let (Some(stdin), Some(mut stdout), Some(stderr)) = (stdin, stdout, stderr) else {
            return Err(PROGRAM.failed("it has no pipes"));
        };
        // It writes a great deal about itself; what it says of faults is kept.
        let errors = tokio::spawn(async move {
            let (mut lines, mut last) = (BufReader::new(stderr).lines(), None);
            while let Ok(Some(line)) = lines.next_line().await {
                if line.starts_with("ERROR") || line.starts_with("FATAL") {
                    last.get_or_insert(line);
                }
            }
            last
        });
        let words = tokio::spawn(async move {
            let mut words = String::new();
            stdout.read_to_string(&mut words).await.map(|_| words)
        });
        Ok(Decoder { child, stdin, errors, words })
    }
}

/// A process that waits for a sentence.
struct Decoder {
    child: Child,
    stdin: ChildStdin,
    errors: tokio::task::JoinHandle<Option<String>>,
    words: tokio::task::JoinHandle<std::io::Result<String>>,
}

impl Decoder {
    async fn hear(&mut self, frame: &Frame) -> Result<(), AdapterError> {
        let bytes: Vec<u8> = frame.samples().iter().flat_map(|sample| sample.to_le_bytes()).collect();
        let write = async {
            // A process that is gone tells why when it is asked for its words.
            let _ = self.stdin.write_all(&bytes).await;
            Ok(())
        };
        PROGRAM.within(DECODING, write).await
    }

    /// The words of the sentence, which is over.
    async fn finish(mut self) -> Result<String, AdapterError> {
        drop(self.stdin);
        let work = async {
            let words = self.words.await.map_err(|error| PROGRAM.failed(error.to_string()))?;
            let errors = self.errors.await.ok().flatten();
            let status = self.child.wait().await.map_err(|error| PROGRAM.pipe(error))?;
            match (status.success(), errors) {
                (true, _) => words.map_err(|error| PROGRAM.pipe(error)),
                (false, errors) => Err(PROGRAM.failed(errors.unwrap_or_else(|| status.to_string()))),
            }
        };
        PROGRAM.within(DECODING, work).await
    }
}

impl Transcriber for Pocketsphinx {
    fn name(&self) -> &str {
        "pocketsphinx"
    }

    fn rate(&self, _: SampleRate) -> SampleRate {
        SampleRate::Hz16000
    }

    fn transcribe(&self, mut listener: Listener) -> Transcription {
        let settings = self.clone();
        Transcription::spawn(|sink| async move {
            let grammar = match &settings.search {
                Search::Grammar(grammar) => Some(
                    tempfile::NamedTempFile::new()
                        .and_then(|mut file| file.write_all(grammar.as_bytes()).map(|()| file))
                        .map_err(|error| AdapterError::io("a temporary file", error))?,
                ),
                Search::LanguageModel => None,
            };
            let start = || settings.start(grammar.as_ref().map(tempfile::NamedTempFile::path));
            let mut ear = Ear { decoder: start()?, before: VecDeque::with_capacity(BEFORE), begun: None };
            let mut activity = VoiceActivity::new(SampleRate::Hz16000);
            while let Some(frame) = listener.recv().await {
                let change = activity.frame(&frame);
                if let Some(VoiceChange::Started { at }) = change {
                    ear.begin(at).await?;
                    sink.tell(TranscriptEvent::SpeechStarted { at }).await?;
                }
                ear.hear(frame).await?;
                if let Some(VoiceChange::Ended { at }) = change {
                    // The next one loads its models meanwhile.
                    let next = Ear { decoder: start()?, before: ear.before.clone(), begun: None };
                    std::mem::replace(&mut ear, next).end(at, &sink).await?;
                }
            }
            // The call may have ended in the middle of a sentence.
            let at = ear.before.back().map_or(Duration::ZERO, Frame::start);
            ear.end(at, &sink).await
        })
    }
}

/// What listens to a call.
struct Ear {
    decoder: Decoder,
    /// The last frames.
    before: VecDeque<Frame>,
    /// When the sentence began that is being heard.
    begun: Option<Duration>,
}

impl Ear {
    async fn begin(&mut self, at: Duration) -> Result<(), AdapterError> {
        self.begun = Some(at);
        for frame in &self.before {
            self.decoder.hear(frame).await?;
        }
        Ok(())
    }

    async fn hear(&mut self, frame: Frame) -> Result<(), AdapterError> {
        if self.begun.is_some() {
            self.decoder.hear(&frame).await?;
        }
        if self.before.len() == BEFORE {
            self.before.pop_front();
        }
        self.before.push_back(frame);
        Ok(())
    }

    /// The sentence is over, if there was one: tells its words.
    async fn end(self, at: Duration, sink: &TranscriptionSink) -> Result<(), AdapterError> {
        let Some(begun) = self.begun else { return Ok(()) };
        sink.tell(TranscriptEvent::SpeechEnded { at }).await?;
        let words = self.decoder.finish().await?;
        let text = words.split_whitespace().collect::<Vec<_>>().join(" ");
        if !text.is_empty() {
            sink.tell(TranscriptEvent::Final(Transcript::new(text, begun, at))).await?;
        }
        Ok(())
    }
}
