//! What an agent writes is heard, and what the callee says is read, over SIP and over Twilio alike; an adapter that
//! fails in the middle of a call leaves no dead line.

mod bench;
mod common;
mod fake_twilio;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bench::Bench;
use common::voice::{Fault, PAUSE_MS, ToneEars, Tones, WORD_MS};
use common::within;
use futures_util::stream;
use outdial::audio::{MarkOutcome, SampleRate};
use outdial::call::{Call, CallError, CallEvent};
use outdial::speech::{
    FallbackSynthesizer, FallbackTranscriber, Recording, Synthesizer, Text, Transcriber, TranscriptEvent,
};

const ECHO: &str = "+12025550116";
const LISTENS: &str = "+12025550109";

/// The failures among a call's events: who failed, why, who went on.
async fn failures(call: &Call) -> Vec<String> {
    let mut events = call.events();
    let mut failures = Vec::new();
    while let Some(event) = within("an event", events.next()).await {
        if let CallEvent::SpeechFailed { adapter, kind, fallback, .. } = event {
            failures.push(format!("{adapter} {kind} {}", fallback.as_deref().unwrap_or("-")));
        }
    }
    failures
}

/// What is said comes back as an echo and is understood: the round trip of everything.
async fn a_conversation_with_an_echo(bench: Bench) {
    let call = bench.dial(ECHO).await;
    // As a host holds them.
    let voice: Box<dyn Synthesizer> = Box::new(Tones::new("tones"));
    let ears: Arc<dyn Transcriber> = Arc::new(ToneEars::new("ears"));
    let mut transcription = call.transcribe(&ears).unwrap();
    assert_eq!(call.transcribe(&ears).unwrap_err(), CallError::AudioTaken);
    let spoken = within("the speech", call.say(&voice, "One two three.")).await.unwrap();
    assert_eq!((spoken.outcome, spoken.text.as_str()), (MarkOutcome::Played, "One two three."));
    assert!(spoken.unplayed.is_empty() && spoken.failures.is_empty());
    let mut seen = Vec::new();
    let words = loop {
        match within("the echo", transcription.next()).await.unwrap().unwrap() {
            TranscriptEvent::Final(words) => break words,
            event => seen.push(event),
        }
    };
    assert_eq!(words.text, "one two three");
    assert!(words.end - words.start >= Duration::from_millis(600), "{words:?}");
    let TranscriptEvent::SpeechStarted { at } = seen[0] else { panic!("{seen:?}") };
    assert_eq!(at, words.start);
    let partial = |event: &TranscriptEvent| match event {
        TranscriptEvent::Partial(words) => words.text.clone(),
        other => panic!("{other:?}"),
    };
    assert_eq!(seen[1..].iter().map(partial).collect::<Vec<_>>(), ["one", "one two", "one two three"]);
    assert!(
        matches!(within("the end", transcription.next()).await, Some(Ok(TranscriptEvent::SpeechEnded { at })) if at == words.end)
    );
    assert_eq!(bench.hang_up(call.clone()).await, "one two three");
    assert!(within("the end of the stream", transcription.next()).await.is_none());
    let late = within("speech after the end", call.say(&voice, "Four.")).await.unwrap();
    assert_eq!((late.outcome, late.text.as_str()), (MarkOutcome::Ended, ""));
    drop(call);
    bench.finish().await;
}

#[tokio::test]
async fn what_is_said_is_understood_over_sip() {
    a_conversation_with_an_echo(Bench::sip().await).await;
}

#[tokio::test]
async fn what_is_said_is_understood_over_twilio() {
    a_conversation_with_an_echo(Bench::twilio().await).await;
}

/// A text of which each sentence is written when the one before has been heard.
async fn text_that_is_being_written(bench: Bench) {
    let call = bench.dial(ECHO).await;
    within("the answer", call.answered()).await.unwrap();
    let speaker = call.speaker().unwrap();
    let pieces = stream::unfold(0, move |n| {
        let speaker = speaker.clone();
        async move {
            let piece = *["One", " two. T", "hree. Four"].get(n)?;
            if n == 2 {
                let heard = async {
                    while speaker.played() < u64::from(16 * 2 * (WORD_MS + PAUSE_MS)) {
                        tokio::time::sleep(Duration::from_millis(5)).await;
                    }
                };
                within("the first sentence, while the second is being written", heard).await;
            }
            Some((piece, n + 1))
        }
    });
    let voice = Tones::new("tones");
    let spoken = within("the speech", call.say_stream(&voice, pieces)).await.unwrap();
    assert_eq!(spoken.text, "One two. Three. Four");
    assert_eq!(bench.hang_up(call).await, "one two three four");
    bench.finish().await;
}

#[tokio::test]
async fn a_sentence_is_heard_while_the_next_is_being_written_over_sip() {
    text_that_is_being_written(Bench::sip().await).await;
}

#[tokio::test]
async fn a_sentence_is_heard_while_the_next_is_being_written_over_twilio() {
    text_that_is_being_written(Bench::twilio().await).await;
}

/// The speech is stopped behind some words: the synthesizer stops, and the words that were played are known.
async fn a_clear_in_the_middle(bench: Bench, tells_words: bool) {
    let call = bench.dial(ECHO).await;
    within("the answer", call.answered()).await.unwrap();
    let voice = Tones { tells_words, ..Tones::new("tones") };
    let speaker = call.speaker().unwrap();
    let numbers = "One two three four five six seven eight nine ".repeat(40);
    let word = u64::from(16 * (WORD_MS + PAUSE_MS));
    let (spoken, waiting, ()) = tokio::join!(
        within("the speech", call.say(&voice, numbers.as_str())),
        within("another one, which waits for its turn", call.say(&voice, "Nine nine nine.")),
        async {
            while speaker.played() < 3 * word {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            assert_eq!(voice.working.load(Ordering::SeqCst), 2);
            speaker.clear();
        }
    );
    let spoken = spoken.unwrap();
    assert_eq!(spoken.outcome, MarkOutcome::Cleared);
    let count = spoken.text.split_whitespace().count();
    let taken_up = format!("{}{}", spoken.text, spoken.unplayed);
    assert!(numbers.starts_with(&taken_up) && !spoken.unplayed.is_empty(), "{spoken:?}");
    let waiting = waiting.unwrap();
    assert_eq!((waiting.outcome, waiting.text.as_str()), (MarkOutcome::Cleared, ""));
    let stopped = async {
        while voice.working.load(Ordering::SeqCst) > 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    within("the end of the synthesizer", stopped).await;
    // What is said next is heard.
    within("the speech", call.say(&voice, "Eight eight.")).await.unwrap();
    let heard = bench.hang_up(call).await;
    let (before, after) = heard.split_at(heard.find("eight eight").expect("what was said next"));
    assert_eq!(after, "eight eight");
    let heard: Vec<_> = before.split_whitespace().map(str::to_lowercase).collect();
    // The last word may have been broken off behind enough of it to be understood; where the synthesizer does not tell
    // words apart, the border is an estimate.
    let (least, most) = if tells_words { (count, count + 2) } else { (count.saturating_sub(2), count + 2) };
    assert!((least..=most).contains(&heard.len()), "heard {heard:?}, told {:?}", spoken.text);
    assert!(count >= 2, "{spoken:?}");
    bench.finish().await;
}

#[tokio::test]
async fn a_clear_stops_the_synthesizer_and_tells_the_words_over_sip() {
    a_clear_in_the_middle(Bench::sip().await, true).await;
}

#[tokio::test]
async fn words_are_estimated_where_the_synthesizer_tells_sentences() {
    a_clear_in_the_middle(Bench::sip().await, false).await;
}

#[tokio::test]
async fn a_clear_stops_the_synthesizer_and_tells_the_words_over_twilio() {
    a_clear_in_the_middle(Bench::twilio().await, true).await;
}

/// Each fault behind the second word, the fourth of the text at the latest: another voice goes on.
#[tokio::test]
async fn another_voice_goes_on_when_one_fails() {
    let bench = Bench::sip().await;
    let faults = [(Fault::Error, "cut_off"), (Fault::Panic, "panicked"), (Fault::Silence, "timed_out")];
    for (fault, kind) in faults {
        let call = bench.dial(ECHO).await;
        let first = Tones { fails: Some((2, fault)), ..Tones::new("first") };
        // Of another rate, so that it shows that the sound is converted anew.
        let second = Tones { hz: 22_050, ..Tones::new("second") };
        let voice = FallbackSynthesizer::new(first, second).patience(Duration::from_millis(500));
        let text = Text::from_pieces(stream::iter(["One t", "wo three. Fo", "ur five."]));
        let spoken = within("the speech", call.say(&voice, text)).await.unwrap();
        assert_eq!(spoken.outcome, MarkOutcome::Played, "{fault:?}");
        assert_eq!(spoken.failures.len(), 1, "{fault:?}");
        let heard = bench.hang_up(call.clone()).await;
        // The word behind which it broke off may be heard twice.
        assert!(
            ["one two three four five", "one two two three four five"].contains(&heard.as_str()),
            "{heard}"
        );
        assert_eq!(failures(&call).await, [format!("first {kind} second")]);
    }
    bench.finish().await;
}

#[tokio::test]
async fn a_recording_is_the_last_resort_and_without_one_the_failure_is_told() {
    let bench = Bench::twilio().await;
    let call = bench.dial(ECHO).await;
    let silent = Tones { fails: Some((0, Fault::End)), ..Tones::new("silent") };
    let broken = Tones { fails: Some((0, Fault::Error)), ..Tones::new("broken") };
    // "seven" as a recording: 1,200 + … Hz, by the script's table.
    let tone: Vec<i16> = (0..8_000)
        .map(|n| ((f64::from(n) * std::f64::consts::TAU * 2_300.0 / 16_000.0).sin() * 8_000.0) as i16)
        .collect();
    let prompt = Recording::new(tone, SampleRate::Hz16000);
    let voice = FallbackSynthesizer::new(silent, FallbackSynthesizer::new(broken.clone(), prompt));
    let spoken = within("the speech", call.say(&voice, "One.")).await.unwrap();
    assert_eq!((spoken.outcome, spoken.failures.len()), (MarkOutcome::Played, 2));
    let error = within("the speech", call.say(&broken, "Two.")).await.unwrap_err();
    assert_eq!((error.source.kind(), error.spoken.text.as_str()), ("cut_off", ""));
    assert_eq!(bench.hang_up(call.clone()).await, "seven");
    assert_eq!(
        failures(&call).await,
        ["silent cut_off broken, else recording", "broken cut_off recording", "broken cut_off -"]
    );
    drop(call);
    bench.finish().await;
}

#[tokio::test]
async fn other_ears_go_on_when_some_fail_and_hear_the_sentence_again() {
    for fault in [Fault::Error, Fault::Panic, Fault::End] {
        let bench = Bench::sip().await;
        let call = bench.dial(ECHO).await;
        let first = ToneEars { fails: Some((4, fault)), ..ToneEars::new("first") };
        let second = ToneEars { rate: SampleRate::Hz16000, ..ToneEars::new("second") };
        let ears = FallbackTranscriber::new(first, second);
        let mut transcription = call.transcribe(&ears).unwrap();
        let voice = Tones::new("tones");
        let understood = async {
            let (mut finals, mut starts) = (Vec::new(), 0);
            while finals.len() < 2 {
                match within("words", transcription.next()).await.unwrap().unwrap() {
                    TranscriptEvent::Final(words) => finals.push(words),
                    TranscriptEvent::SpeechStarted { .. } => starts += 1,
                    _ => {}
                }
            }
            assert_eq!(starts, 2, "each sentence begins once");
            finals
        };
        let speak = async {
            within("the speech", call.say(&voice, "One two three.")).await.unwrap();
            // The echo's silence ends the sentence.
            tokio::time::sleep(Duration::from_millis(700)).await;
            within("the speech", call.say(&voice, "Four five six.")).await.unwrap();
        };
        let (finals, ()) = tokio::join!(understood, speak);
        let texts: Vec<_> = finals.iter().map(|words| words.text.as_str()).collect();
        assert_eq!(texts, ["one two three", "four five six"], "{fault:?}");
        assert!(finals[1].start > finals[0].end, "{finals:?}");
        bench.hang_up(call.clone()).await;
        let kind = if fault == Fault::Panic { "panicked" } else { "cut_off" };
        assert_eq!(failures(&call).await, [format!("first {kind} second")]);
        drop((call, transcription));
        bench.finish().await;
    }
}

/// A transcription that nobody needs any more stops its recogniser, and the call goes on.
#[tokio::test]
async fn a_transcription_that_is_dropped_stops() {
    let bench = Bench::sip().await;
    let call = bench.dial(LISTENS).await;
    let ears = ToneEars::new("ears");
    let transcription = call.transcribe(&ears).unwrap();
    within("the answer", call.answered()).await.unwrap();
    assert_eq!(ears.working.load(Ordering::SeqCst), 1);
    drop(transcription);
    let stopped = async {
        while ears.working.load(Ordering::SeqCst) > 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    within("the end of the recogniser", stopped).await;
    assert!(call.end().is_none());
    bench.hang_up(call).await;
    bench.finish().await;
}
