//! Sentences are spoken by a synthetic voice, go through a call, and are understood by a recogniser; and it is shown that
//! it hears and does not guess.
//!
//! The callee's voice is flite, as the recogniser's grammar is closed: what it has to choose from are eight sentences.

mod common;

use std::time::Duration;

use common::{Phone, trunk, within};
use outdial::Call;
use outdial::speech::{AdapterError, Espeak, Flite, Pocketsphinx, Synthesizer, Text, TranscriptEvent};
use outdial_sandbox::{Sandbox, Speech};

const GREETS: &str = "+12025550101";
const ECHO: &str = "+12025550116";

const SENTENCES: [&str; 8] = [
    "the parcel has arrived this morning",
    "my number has changed since last year",
    "please call me back on thursday",
    "i would like to speak to a person",
    "the doctor can see you at four",
    "nobody is at home right now",
    "that price is too high for us",
    "we will bring the children as well",
];

fn ears() -> Pocketsphinx {
    Pocketsphinx::with_sentences(SENTENCES)
}

async fn sandbox(voice: Speech, greeting: &str) -> Sandbox {
    Sandbox::builder().speech(voice).greeting(greeting).start().await.unwrap()
}

/// What is understood of a greeting within so many seconds after its end, or of ten seconds of silence.
async fn understood(call: &Call) -> Vec<String> {
    let mut transcription = call.transcribe(&ears()).unwrap();
    within("the answer", call.answered()).await.unwrap();
    let mut texts = Vec::new();
    let listen = async {
        loop {
            match transcription.next().await {
                Some(Ok(TranscriptEvent::Final(words))) => texts.push(words.text),
                Some(Ok(_)) => {}
                Some(Err(error)) => panic!("{error}"),
                None => return,
            }
        }
    };
    // The greeting and the tone behind it take about four seconds.
    let _ = tokio::time::timeout(Duration::from_secs(6), listen).await;
    call.hangup().await;
    // What was on its way when the call ended.
    while let Some(event) = within("the rest", transcription.next()).await {
        if let TranscriptEvent::Final(words) = event.unwrap() {
            texts.push(words.text);
        }
    }
    texts
}

/// What is understood of the callee's greeting.
async fn of_a_greeting(voice: Speech, greeting: &str, srtp: bool, codec: &str) -> Vec<String> {
    let sandbox = sandbox(voice, greeting).await;
    let codecs = format!("codecs = [\"{codec}\"]");
    let config =
        if srtp { trunk::sandbox_tls(&sandbox, codecs) } else { trunk::sandbox_udp(&sandbox, codecs) };
    let phone = Phone::start(&config).await;
    let call = phone.dial(GREETS).await;
    let texts = understood(&call).await;
    drop(call);
    phone.shutdown().await;
    sandbox.shutdown().await;
    texts
}

#[tokio::test]
async fn a_callee_is_understood_over_plain_pcmu() {
    let texts = of_a_greeting(Speech::Flite, SENTENCES[4], false, "pcmu").await;
    assert_eq!(texts.first().map(String::as_str), Some(SENTENCES[4]), "{texts:?}");
}

#[tokio::test]
async fn a_callee_is_understood_over_encrypted_g722() {
    let texts = of_a_greeting(Speech::Flite, SENTENCES[6], true, "g722").await;
    assert_eq!(texts.first().map(String::as_str), Some(SENTENCES[6]), "{texts:?}");
}

/// With the same grammar: silence has no words, and a melody of the same length is not the sentence.
#[tokio::test]
async fn silence_and_a_melody_are_not_the_sentence() {
    let texts = of_a_greeting(Speech::Flite, "", false, "pcmu").await;
    assert!(!texts.iter().any(|text| SENTENCES.contains(&text.as_str())), "of nothing: {texts:?}");
    let texts = of_a_greeting(Speech::Melodies, SENTENCES[4], false, "pcmu").await;
    assert!(!texts.iter().any(|text| text == SENTENCES[4]), "of a melody: {texts:?}");
}

/// What we say is understood when it comes back: both directions, and the way of the synthesizer too.
#[tokio::test]
async fn our_own_voice_is_understood_over_encrypted_opus() {
    let sandbox = sandbox(Speech::Melodies, "").await;
    let phone = Phone::start(&trunk::sandbox_tls(&sandbox, "codecs = [\"opus\"]")).await;
    for sentence in [SENTENCES[1], SENTENCES[3]] {
        let call = phone.dial(ECHO).await;
        let mut transcription = call.transcribe(&ears()).unwrap();
        within("the answer", call.answered()).await.unwrap();
        within("the sentence", call.say(&Flite::default(), sentence)).await.unwrap();
        let mut seen = Vec::new();
        let text = loop {
            match within("the words", transcription.next()).await.unwrap().unwrap() {
                TranscriptEvent::Final(words) => break words,
                other => seen.push(other),
            }
        };
        assert_eq!(text.text, sentence);
        assert!(
            matches!(seen[..], [TranscriptEvent::SpeechStarted { at }, TranscriptEvent::SpeechEnded { at: end }]
            if at == text.start && end == text.end && end > at + Duration::from_secs(1)),
            "{seen:?}"
        );
        call.hangup().await;
        drop((call, transcription));
    }
    phone.shutdown().await;
    sandbox.shutdown().await;
}

/// Programs that fail, and settings that they do not know, are errors that say so.
#[tokio::test]
async fn what_a_program_does_not_like_is_told() {
    async fn error_of(voice: &dyn Synthesizer) -> AdapterError {
        let mut speech = voice.synthesize(Text::from("Hello there."), outdial::audio::SampleRate::Hz16000);
        loop {
            match within("the speech", speech.next()).await {
                Some(Ok(_)) => {}
                Some(Err(error)) => return error,
                None => panic!("it spoke"),
            }
        }
    }
    let error = error_of(&Espeak::new("klingon-on-mars")).await;
    assert_eq!(error.kind(), "program", "{error}");
    let sandbox = sandbox(Speech::Flite, SENTENCES[0]).await;
    let phone = Phone::start(&trunk::sandbox_udp(&sandbox, "")).await;
    let missing = Pocketsphinx::with_language_model().models("/nowhere");
    for (ears, kind) in
        [(Pocketsphinx::with_sentences(["xyzzyq plugh"]), "program"), (missing, "missing_program")]
    {
        let call = phone.dial(GREETS).await;
        let mut transcription = call.transcribe(&ears).unwrap();
        let error = loop {
            match within("the recogniser", transcription.next()).await {
                Some(Ok(_)) => {}
                Some(Err(error)) => break error,
                None => panic!("no error"),
            }
        };
        assert_eq!(error.kind(), kind, "{error}");
        call.hangup().await;
        drop((call, transcription));
    }
    phone.shutdown().await;
    sandbox.shutdown().await;
}
