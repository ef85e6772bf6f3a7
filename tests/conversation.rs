//! Speaking and listening at once: who interrupts whom, by voice and by key, and what was heard until then.

mod bench;
mod common;
mod fake_twilio;

use std::time::Duration;

use bench::Bench;
use common::voice::{ToneEars, Tones};
use common::{Phone, trunk, within};
use outdial::audio::MarkOutcome;
use outdial::call::CallEvent;
use outdial::speech::{BargeIn, Conversation, VoiceActivity, VoiceChange};
use outdial_sandbox::{Builder, Sandbox, Speech};

const GREETS: &str = "+12025550101";
const SENDS_DIGITS: &str = "+12025550114";
const LISTENS: &str = "+12025550109";

const NUMBERS: &str =
    "One two three four five six seven eight nine one two three four five six seven eight nine.";

/// Callees with a voice: a melody is none.
fn speaking() -> Builder {
    let greeting = "Good morning, this is the garage. What can we do for you?";
    Sandbox::builder().speech(Speech::EspeakNg).greeting(greeting)
}

async fn sandbox() -> Sandbox {
    speaking().start().await.unwrap()
}

/// A provider whose callees have a voice.
async fn bench() -> Bench {
    Bench::with(speaking()).await
}

/// Says the numbers to somebody and tells how that ended and what was heard.
async fn say_numbers(bench: Bench, number: &str, barge_in: BargeIn) -> (MarkOutcome, String, String) {
    let call = bench.dial(number).await;
    let conversation = Conversation::start(&call, Tones::new("tones"), ToneEars::new("ears")).unwrap();
    conversation.set_barge_in(barge_in);
    let spoken = within("the numbers", conversation.say(NUMBERS)).await.unwrap();
    // An interruption is of what is being said, and of nothing that comes later.
    conversation.set_barge_in(BargeIn::Never);
    within("the last word", conversation.say("Nine.")).await.unwrap();
    assert_eq!(conversation.call().id(), call.id());
    let heard = bench.hang_up(call.clone()).await;
    if let Bench::Twilio(_, fake) = &bench {
        let record = fake.call(call.id().as_str());
        let cleared = usize::from(spoken.outcome == MarkOutcome::Cleared);
        assert_eq!(record.clears, cleared);
        // What Twilio had and had not played was taken back: it was told before its buffer ran dry.
        assert_eq!(record.thrown_away_ms > 0, cleared == 1, "{} ms taken back", record.thrown_away_ms);
    }
    drop((conversation, call));
    bench.finish().await;
    (spoken.outcome, spoken.text, heard)
}

fn normal(text: &str) -> String {
    text.replace('.', "").to_lowercase().trim().to_owned()
}

/// The callee begins to speak in the middle of the numbers.
async fn the_voice_interrupts(bench: Bench) {
    let (outcome, said, heard) = say_numbers(bench, GREETS, BargeIn::ByVoice).await;
    assert_eq!(outcome, MarkOutcome::Cleared);
    let count = said.split_whitespace().count();
    assert!(count < 12, "the greeting interrupted only behind {said:?}");
    let heard = heard.strip_suffix("nine").expect("what was said next").trim();
    // The word that was broken off may be heard, and is not counted.
    let numbers = normal(NUMBERS);
    assert!(
        numbers.starts_with(heard) && heard.starts_with(&normal(&said)),
        "heard {heard:?}, told {said:?}"
    );
    assert!(heard.split_whitespace().count() <= count + 2, "heard {heard:?}, told {said:?}");
}

#[tokio::test]
async fn the_callee_s_voice_interrupts_and_the_words_are_known() {
    the_voice_interrupts(bench().await).await;
}

/// What Twilio still had is taken back with a `clear`, and the words that were played are known by its marks.
#[tokio::test]
async fn the_callee_s_voice_interrupts_over_twilio() {
    the_voice_interrupts(Bench::twilio().await).await;
}

#[tokio::test]
async fn what_must_be_heard_is_not_interrupted() {
    let (outcome, said, heard) = say_numbers(bench().await, GREETS, BargeIn::Never).await;
    assert_eq!((outcome, said.as_str()), (MarkOutcome::Played, NUMBERS));
    assert_eq!(heard, format!("{} nine", normal(NUMBERS)));
}

#[tokio::test]
async fn a_key_interrupts_where_keys_do() {
    let (outcome, said, _) = say_numbers(bench().await, SENDS_DIGITS, BargeIn::ByKey).await;
    assert_eq!(outcome, MarkOutcome::Cleared);
    assert!(said.len() < NUMBERS.len() / 2, "{said:?}");
    // Neither a voice where keys do, nor keys where a voice does.
    let (outcome, _, _) = say_numbers(bench().await, GREETS, BargeIn::ByKey).await;
    assert_eq!(outcome, MarkOutcome::Played);
    let (outcome, _, _) = say_numbers(bench().await, SENDS_DIGITS, BargeIn::ByVoice).await;
    assert_eq!(outcome, MarkOutcome::Played);
}

/// The answer is read while nobody speaks and while somebody does; a conversation that is gone has left the call up.
#[tokio::test]
async fn the_call_outlives_the_conversation() {
    let sandbox = sandbox().await;
    let phone = Phone::start(&trunk::sandbox_udp(&sandbox, "")).await;
    let call = phone.dial(LISTENS).await;
    let conversation = Conversation::start(&call, Tones::new("tones"), ToneEars::new("ears")).unwrap();
    within("the answer", call.answered()).await.unwrap();
    drop(conversation);
    let spoken = within("the speech", call.say(&Tones::new("tones"), "One.")).await.unwrap();
    assert_eq!(spoken.outcome, MarkOutcome::Played);
    within("the end", call.ended()).await;
    let mut events = call.events();
    while let Some(event) = within("the events", events.next()).await {
        assert!(!matches!(event, CallEvent::SpeechFailed { .. }), "{event:?}");
    }
    phone.shutdown().await;
    sandbox.shutdown().await;
}

/// The callee's sentence, through a telephone line, is found where it is.
#[tokio::test]
async fn voice_activity_finds_the_greeting() {
    let sandbox = sandbox().await;
    let phone = Phone::start(&trunk::sandbox_udp(&sandbox, "codecs = [\"pcmu\"]")).await;
    let call = phone.dial(GREETS).await;
    let mut listener = call.audio().unwrap().listener;
    let mut activity = VoiceActivity::new(listener.rate());
    let (mut started, mut ended, mut loudest) = (None, None, Duration::ZERO);
    while ended.is_none() {
        let frame = within("a frame", listener.recv()).await.expect("the call is up");
        if loudest.is_zero() && frame.samples().iter().any(|sample| sample.unsigned_abs() > 2_000) {
            loudest = frame.start();
        }
        match activity.frame(&frame) {
            Some(VoiceChange::Started { at }) => started = started.or(Some(at)),
            Some(VoiceChange::Ended { at }) => ended = Some(at),
            None => {}
        }
    }
    let (started, ended) = (started.unwrap(), ended.unwrap());
    assert!(started.abs_diff(loudest) < Duration::from_millis(300), "{started:?}, first sound {loudest:?}");
    assert!(ended > started + Duration::from_millis(500), "{started:?} to {ended:?}");
    call.hangup().await;
    phone.shutdown().await;
    sandbox.shutdown().await;
}
