//! Speaking and listening at once: who interrupts whom, by voice and by key, and what was heard until then.

mod common;

use std::time::Duration;

use common::voice::{ToneEars, Tones, words_in};
use common::{Phone, trunk, within};
use outdial::audio::{MarkOutcome, SampleRate};
use outdial::call::CallEvent;
use outdial::speech::{BargeIn, Conversation, VoiceActivity, VoiceChange};
use outdial_sandbox::{Sandbox, Speech};

const GREETS: &str = "+12025550101";
const SENDS_DIGITS: &str = "+12025550114";
const LISTENS: &str = "+12025550109";

const NUMBERS: &str =
    "One two three four five six seven eight nine one two three four five six seven eight nine.";

async fn sandbox() -> Sandbox {
    // A voice: a melody is none.
    let greeting = "Good morning, this is the garage. What can we do for you?";
    Sandbox::builder().speech(Speech::EspeakNg).greeting(greeting).start().await.unwrap()
}

/// Says the numbers to somebody and tells how that ended and what was heard.
async fn say_numbers(number: &str, barge_in: BargeIn) -> (MarkOutcome, String, String) {
    let sandbox = sandbox().await;
    let phone = Phone::start(&trunk::sandbox_udp(&sandbox, "codecs = [\"pcmu\"]")).await;
    let call = phone.dial(number).await;
    let conversation = Conversation::start(&call, Tones::new("tones"), ToneEars::new("ears")).unwrap();
    conversation.set_barge_in(barge_in);
    let spoken = within("the numbers", conversation.say(NUMBERS)).await.unwrap();
    // An interruption is of what is being said, and of nothing that comes later.
    conversation.set_barge_in(BargeIn::Never);
    within("the last word", conversation.say("Nine.")).await.unwrap();
    assert_eq!(conversation.call().id(), call.id());
    within("the end", call.hangup()).await;
    let record = within("the record", sandbox.call_ended(call.id().as_str())).await;
    let heard = words_in(&record.recording.unwrap().samples, SampleRate::Hz8000).join(" ");
    drop((conversation, call));
    phone.shutdown().await;
    sandbox.shutdown().await;
    (spoken.outcome, spoken.text, heard)
}

fn normal(text: &str) -> String {
    text.replace('.', "").to_lowercase().trim().to_owned()
}

#[tokio::test]
async fn the_callee_s_voice_interrupts_and_the_words_are_known() {
    let (outcome, said, heard) = say_numbers(GREETS, BargeIn::ByVoice).await;
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
async fn what_must_be_heard_is_not_interrupted() {
    let (outcome, said, heard) = say_numbers(GREETS, BargeIn::Never).await;
    assert_eq!((outcome, said.as_str()), (MarkOutcome::Played, NUMBERS));
    assert_eq!(heard, format!("{} nine", normal(NUMBERS)));
}

#[tokio::test]
async fn a_key_interrupts_where_keys_do() {
    let (outcome, said, _) = say_numbers(SENDS_DIGITS, BargeIn::ByKey).await;
    assert_eq!(outcome, MarkOutcome::Cleared);
    assert!(said.len() < NUMBERS.len() / 2, "{said:?}");
    // Neither a voice where keys do, nor keys where a voice does.
    let (outcome, _, _) = say_numbers(GREETS, BargeIn::ByKey).await;
    assert_eq!(outcome, MarkOutcome::Played);
    let (outcome, _, _) = say_numbers(SENDS_DIGITS, BargeIn::ByVoice).await;
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
