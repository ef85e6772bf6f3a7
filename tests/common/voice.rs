//! A synthesizer and a recogniser that follow a script: each word is a tone, and each tone a word.
//!
//! What one says the other understands, so that a test sees what really went through a call.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use outdial::audio::{Listener, SampleRate};
use outdial::speech::{
    AdapterError, Speech, Synthesizer, Text, Transcriber, Transcript, TranscriptEvent, Transcription,
};

use super::sound::tone_share;

/// The words that both know.
pub const WORDS: [&str; 9] = ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine"];
/// How long a word sounds, and the silence behind it.
pub const WORD_MS: u32 = 200;
pub const PAUSE_MS: u32 = 100;

fn frequency(word: usize) -> f64 {
    500.0 + 300.0 * word as f64
}

/// Where in [`WORDS`] a word is, whatever stands around it.
fn place(word: &str) -> usize {
    let word = word.trim_matches(|c: char| !c.is_alphanumeric()).to_lowercase();
    WORDS.iter().position(|known| *known == word).unwrap_or_else(|| panic!("{word:?} is no word"))
}

/// How an adapter fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    Error,
    Panic,
    Silence,
    /// It ends as if everything were done.
    End,
}

/// Says words as tones.
#[derive(Debug, Clone)]
pub struct Tones {
    pub name: &'static str,
    /// What it makes, whatever the call wants.
    pub hz: u32,
    /// Tells each word, not each sentence.
    pub tells_words: bool,
    /// Fails behind so many words.
    pub fails: Option<(usize, Fault)>,
    /// How many of its tasks are at work.
    pub working: Arc<AtomicUsize>,
}

impl Tones {
    pub fn new(name: &'static str) -> Self {
        Self { name, hz: 16_000, tells_words: true, fails: None, working: Arc::default() }
    }

    /// A word, with the silence behind it.
    fn word(&self, word: usize) -> Vec<i16> {
        let samples = |ms: u32| (self.hz * ms / 1_000) as usize;
        let omega = std::f64::consts::TAU * frequency(word) / f64::from(self.hz);
        let count = samples(WORD_MS);
        let ramp = samples(10) as f64;
        let tone = (0..count).map(|n| {
            let edge = (n.min(count - n) as f64 / ramp).min(1.0);
            ((omega * n as f64).sin() * edge * 8_000.0) as i16
        });
        tone.chain(std::iter::repeat_n(0, samples(PAUSE_MS))).collect()
    }
}

/// Counts a task for as long as it lives.
struct AtWork(Arc<AtomicUsize>);

impl Drop for AtWork {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Synthesizer for Tones {
    fn name(&self) -> &str {
        self.name
    }

    fn synthesize(&self, mut text: Text, _: SampleRate) -> Speech {
        let voice = self.clone();
        voice.working.fetch_add(1, Ordering::SeqCst);
        let at_work = AtWork(Arc::clone(&voice.working));
        Speech::spawn(move |sink| async move {
            let _at_work = at_work;
            let mut said = 0;
            while let Some(sentence) = text.next_sentence().await {
                if !voice.tells_words {
                    sink.saying(sentence.as_str()).await?;
                }
                for word in sentence.split_inclusive(' ') {
                    match voice.fails {
                        Some((after, fault)) if said == after => match fault {
                            Fault::Error => return Err(AdapterError::CutOff { service: voice.name.into() }),
                            Fault::Panic => panic!("the script says so"),
                            Fault::Silence => std::future::pending().await,
                            Fault::End => return Ok(()),
                        },
                        _ => {}
                    }
                    if voice.tells_words {
                        sink.saying(word).await?;
                    }
                    sink.sound(&voice.word(place(word)), voice.hz).await?;
                    said += 1;
                }
            }
            Ok(())
        })
    }
}

/// Understands tones.
#[derive(Debug, Clone)]
pub struct ToneEars {
    pub name: &'static str,
    pub rate: SampleRate,
    /// Fails behind so many words.
    pub fails: Option<(usize, Fault)>,
    pub working: Arc<AtomicUsize>,
}

impl ToneEars {
    pub fn new(name: &'static str) -> Self {
        Self { name, rate: SampleRate::Hz8000, fails: None, working: Arc::default() }
    }

    fn word(&self, samples: &[i16]) -> Option<usize> {
        let loud = samples.iter().any(|sample| sample.unsigned_abs() > 1_000);
        let share = |word: &usize| tone_share(self.rate, samples, frequency(*word));
        if loud { (0..WORDS.len()).find(|word| share(word) > 0.8) } else { None }
    }
}

/// Silence that ends a sentence, in frames.
const SENTENCE: u32 = 15;
/// So many frames in a row make a word.
const WORD: u32 = 4;

impl Transcriber for ToneEars {
    fn name(&self) -> &str {
        self.name
    }

    fn rate(&self, _: SampleRate) -> SampleRate {
        self.rate
    }

    fn transcribe(&self, mut listener: Listener) -> Transcription {
        let ears = self.clone();
        ears.working.fetch_add(1, Ordering::SeqCst);
        let at_work = AtWork(Arc::clone(&ears.working));
        Transcription::spawn(move |sink| async move {
            let _at_work = at_work;
            let (mut words, mut finder, mut quiet) = (Vec::new(), WordFinder::default(), 0);
            let (mut start, mut end, mut count) = (Duration::ZERO, Duration::ZERO, 0);
            let frame_time = Duration::from_millis(20);
            loop {
                let frame = listener.recv().await;
                let word = frame.as_ref().and_then(|frame| ears.word(frame.samples()));
                let now = frame.as_ref().map_or(end, |frame| frame.start());
                let found = finder.frame(word);
                quiet = if word.is_some() { 0 } else { quiet + 1 };
                if word.is_some() {
                    end = now + frame_time;
                }
                if let Some(word) = found {
                    match ears.fails {
                        Some((after, fault)) if count == after => match fault {
                            Fault::Error => return Err(AdapterError::CutOff { service: ears.name.into() }),
                            Fault::Panic => panic!("the script says so"),
                            Fault::Silence => std::future::pending().await,
                            Fault::End => return Ok(()),
                        },
                        _ => count += 1,
                    }
                    if words.is_empty() {
                        start = end - frame_time * WORD;
                        sink.tell(TranscriptEvent::SpeechStarted { at: start }).await?;
                    }
                    words.push(WORDS[word]);
                    sink.tell(TranscriptEvent::Partial(Transcript::new(words.join(" "), start, end))).await?;
                }
                if !words.is_empty() && (quiet == SENTENCE || frame.is_none()) {
                    let text = std::mem::take(&mut words).join(" ");
                    sink.tell(TranscriptEvent::Final(Transcript::new(text, start, end))).await?;
                    sink.tell(TranscriptEvent::SpeechEnded { at: end }).await?;
                }
                if frame.is_none() {
                    return Ok(());
                }
            }
        })
    }
}

/// Finds words in frames. What is missing in the middle of a word, as a jitter buffer leaves it out when the machine is
/// busy, does not make two of it.
#[derive(Default)]
struct WordFinder {
    word: Option<usize>,
    run: u32,
    gap: u32,
}

impl WordFinder {
    /// The word that became one with this frame.
    fn frame(&mut self, word: Option<usize>) -> Option<usize> {
        let Some(word) = word else {
            self.gap += 1;
            return None;
        };
        if self.word != Some(word) || self.gap > 3 {
            (self.word, self.run) = (Some(word), 0);
        }
        self.gap = 0;
        self.run += 1;
        (self.run == WORD).then_some(word)
    }
}

/// The words in a recording.
pub fn words_in(samples: &[i16], rate: SampleRate) -> Vec<&'static str> {
    let ears = ToneEars { rate, ..ToneEars::new("test") };
    let mut finder = WordFinder::default();
    let frames = samples.chunks_exact(rate.frame_len());
    frames.filter_map(|frame| finder.frame(ears.word(frame))).map(|word| WORDS[word]).collect()
}
