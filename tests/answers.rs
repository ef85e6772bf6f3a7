//! Answers whose session description is late, missing or useless.

mod common;

use common::{Phone, Sipp, Story, trunk, within};
use outdial::call::CallEvent;

const NUMBER: &str = "+12025550123";

/// The answer cannot be used: the call fails, and the callee is told by ACK and BYE.
async fn useless(scenario: &str) {
    let sipp = Sipp::serve(scenario).await;
    let phone = Phone::start(&trunk::plain(sipp.address(), "")).await;
    let call = phone.dial(NUMBER).await;
    let story = Story::of(&call).await;
    story.assert("initiated trying ringing ended", "media_failed by local: 200 OK");
    assert!(story.end.detail.is_some() && story.end.talk_time.is_zero());
    let transcript = sipp.finish().await;
    transcript.request("ACK");
    transcript.request("BYE");
    phone.shutdown().await;
}

#[tokio::test]
async fn without_a_description() {
    useless("answer-no-sdp").await;
}

#[tokio::test]
async fn with_a_malformed_description() {
    useless("answer-malformed-sdp").await;
}

#[tokio::test]
async fn with_the_sound_declined() {
    useless("answer-port-zero").await;
}

#[tokio::test]
async fn with_a_codec_that_was_not_offered() {
    useless("answer-other-codec").await;
}

#[tokio::test]
async fn with_the_description_of_the_183() {
    let sipp = Sipp::serve("answer-in-183-only").await;
    let phone = Phone::start(&trunk::plain(sipp.address(), "")).await;
    let call = phone.dial(NUMBER).await;
    let answered = within("the answer", call.answered()).await.unwrap();
    assert_eq!(answered.codec, "PCMU/8000");
    call.hangup().await;
    Story::of(&call).await.assert("initiated trying early-183 answered ended", "completed by local: 200 OK");
    sipp.finish().await;
    phone.shutdown().await;
}

#[tokio::test]
async fn that_puts_the_call_on_hold_at_once() {
    for direction in ["sendonly", "inactive"] {
        let attribute = format!("a={direction}");
        let keys = [("profile", "RTP/AVP"), ("attribute", attribute.as_str())];
        let sipp = Sipp::serve_with("answer-with", &keys).await;
        let phone = Phone::start(&trunk::plain(sipp.address(), "")).await;
        let call = phone.dial(NUMBER).await;
        within("the answer", call.answered()).await.unwrap();
        let mut events = call.events();
        while within("the hold", events.next()).await != Some(CallEvent::Held) {}
        call.hangup().await;
        Story::of(&call)
            .await
            .assert("initiated trying ringing answered held ended", "completed by local: 200 OK");
        sipp.finish().await;
        phone.shutdown().await;
    }
}
