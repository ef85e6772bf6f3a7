//! Keys in both directions, as telephone events (RFC 4733) and by SIP INFO.

mod common;

use common::{Phone, Story, trunk, within};
use outdial::call::{Call, CallError, CallEvent};
use outdial_sandbox::Sandbox;

const KEYS: &str = "0123456789*#ABCD";
const ECHO: &str = "+12025550116";
const SENDS_DIGITS: &str = "+12025550114";
const SENDS_DIGITS_BY_INFO: &str = "+12025550189";

/// The keys come back, as they were pressed.
async fn come_back(call: &Call) {
    let mut events = call.events();
    let back = async {
        let mut keys = String::new();
        while keys.len() < KEYS.len() {
            if let CallEvent::Dtmf(digit) = events.next().await.expect("the call is up") {
                keys.push_str(&digit.to_string());
            }
        }
        keys
    };
    assert_eq!(within("the keys that come back", back).await, KEYS);
}

/// Sends all keys; the sandbox decodes them. Its echo sends telephone events back, which we decode.
async fn sends(config: impl FnOnce(&Sandbox) -> String, echoed: bool) {
    let sandbox = Sandbox::builder().start().await.unwrap();
    let phone = Phone::start(&config(&sandbox)).await;
    let call = phone.dial(ECHO).await;
    within("the answer", call.answered()).await.unwrap();
    within("the keys", call.send_dtmf(KEYS)).await.unwrap();
    let all = sandbox.wait_until(|sandbox| {
        let digits = sandbox.call(call.id().as_str())?.digits;
        (digits.len() >= KEYS.len()).then_some(digits)
    });
    assert_eq!(within("the keys at the sandbox", all).await, KEYS);
    if echoed {
        come_back(&call).await;
    }
    call.hangup().await;
    // No key twice, none that was not pressed.
    assert_eq!(within("the record", sandbox.call_ended(call.id().as_str())).await.digits, KEYS);
    phone.shutdown().await;
    sandbox.shutdown().await;
}

#[tokio::test]
async fn as_telephone_events_in_plain_rtp() {
    sends(|sandbox| trunk::sandbox_udp(sandbox, ""), true).await;
}

#[tokio::test]
async fn as_telephone_events_in_srtp() {
    sends(|sandbox| trunk::sandbox_tls(sandbox, ""), true).await;
}

#[tokio::test]
async fn as_telephone_events_beside_opus() {
    sends(|sandbox| trunk::sandbox_udp(sandbox, "codecs = [\"opus\"]"), true).await;
}

#[tokio::test]
async fn by_info() {
    sends(|sandbox| trunk::sandbox_udp(sandbox, "dtmf = \"info\""), false).await;
}

/// Tones in the sound, which the sandbox's echo sends back, where we find them.
async fn as_tones(codec: &str) {
    let sandbox = Sandbox::builder().start().await.unwrap();
    let config = trunk::sandbox_udp(&sandbox, format!("dtmf = \"inband\"\ncodecs = [\"{codec}\"]"));
    let phone = Phone::start(&config).await;
    let call = phone.dial(ECHO).await;
    within("the answer", call.answered()).await.unwrap();
    // Speech goes on meanwhile: the keys are heard in its place.
    let speaker = call.audio().unwrap().speaker;
    let speech = tokio::spawn(async move { speaker.send(&vec![9_000; 16_000 * 3]).await });
    within("the keys", call.send_dtmf(KEYS)).await.unwrap();
    come_back(&call).await;
    call.hangup().await;
    let record = within("the record", sandbox.call_ended(call.id().as_str())).await;
    // No telephone events, neither sent nor offered.
    assert_eq!(record.digits, "");
    assert!(!record.invite.contains("telephone-event"), "{}", record.invite);
    assert!(record.invite.contains("a=rtpmap:"), "{}", record.invite);
    let _ = speech.await;
    phone.shutdown().await;
    sandbox.shutdown().await;
}

#[tokio::test]
async fn as_tones_in_g711() {
    as_tones("pcma").await;
}

#[tokio::test]
async fn as_tones_in_g722() {
    as_tones("g722").await;
}

async fn receives(number: &str) {
    let sandbox = Sandbox::builder().start().await.unwrap();
    let phone = Phone::start(&trunk::sandbox_udp(&sandbox, "")).await;
    let call = phone.dial(number).await;
    let mut events = call.events();
    let five = async {
        let mut keys = 0;
        while keys < 5 {
            let event = events.next().await.expect("the call is up");
            keys += usize::from(matches!(event, CallEvent::Dtmf(_)));
        }
    };
    within("five keys", five).await;
    call.hangup().await;
    let story = Story::of(&call).await;
    story.assert(
        "initiated trying ringing answered dtmf-1 dtmf-2 dtmf-3 dtmf-4 dtmf-# ended",
        "completed by local: 200 OK",
    );
    phone.shutdown().await;
    sandbox.shutdown().await;
}

#[tokio::test]
async fn from_the_callee_as_telephone_events() {
    receives(SENDS_DIGITS).await;
}

#[tokio::test]
async fn from_the_callee_by_info() {
    receives(SENDS_DIGITS_BY_INFO).await;
}

#[tokio::test]
async fn what_is_no_key_is_refused_and_so_is_every_key_outside_a_conversation() {
    let sandbox = Sandbox::builder().start().await.unwrap();
    let phone = Phone::start(&trunk::sandbox_udp(&sandbox, "")).await;
    let call = phone.dial("+12025550103").await;
    assert_eq!(call.send_dtmf("1").await, Err(CallError::NotAnswered));
    assert!(matches!(call.send_dtmf("1x").await, Err(CallError::Invalid(_))));
    within("the end", call.hangup()).await;
    assert_eq!(call.send_dtmf("1").await, Err(CallError::Ended));
    phone.shutdown().await;
    sandbox.shutdown().await;
}
