//! What comes before the answer: ringing, early media, forks, silence, and giving up.

mod common;

use common::phone::request;
use common::{Phone, Sipp, Story, trunk, within};
use outdial::call::CallEvent;

const NUMBER: &str = "+12025550123";

#[tokio::test]
async fn early_media_is_heard_and_marked_and_the_answer_ends_it() {
    let sipp = Sipp::serve("early-media").await;
    let phone = Phone::start(&trunk::plain(sipp.address(), "")).await;
    let call = phone.dial(NUMBER).await;
    // sipp sends back what it gets, our own silence here: what counts is when it is heard.
    let mut audio = call.audio().unwrap();
    let first = within("early media", audio.listener.recv()).await.unwrap();
    assert!(first.is_early());
    within("the answer", call.answered()).await.unwrap();
    let late = async {
        loop {
            let frame = audio.listener.recv().await.expect("the call is up");
            if !frame.is_early() {
                return;
            }
        }
    };
    within("sound after the answer", late).await;
    call.hangup().await;
    let story = Story::of(&call).await;
    story.assert("initiated trying early-183 answered ended", "completed by local: 200 OK");
    assert!(!story.end.ring_time.is_zero());
    sipp.finish().await;
    phone.shutdown().await;
}

#[tokio::test]
async fn early_media_that_is_not_wanted_is_not_heard() {
    let sipp = Sipp::serve("early-media").await;
    let phone = Phone::start(&trunk::plain(sipp.address(), "early_media = false")).await;
    let call = phone.dial(NUMBER).await;
    let mut audio = call.audio().unwrap();
    let first = within("sound", audio.listener.recv()).await.unwrap();
    assert!(!first.is_early());
    call.hangup().await;
    let story = Story::of(&call).await;
    story.assert("initiated trying early-183 answered ended", "completed by local: 200 OK");
    sipp.finish().await;
    phone.shutdown().await;
}

#[tokio::test]
async fn of_two_forks_the_one_that_answers_gets_the_call() {
    let sipp = Sipp::serve("forked").await;
    let phone = Phone::start(&trunk::plain(sipp.address(), "")).await;
    let call = phone.dial(NUMBER).await;
    within("the answer", call.answered()).await.unwrap();
    call.hangup().await;
    let story = Story::of(&call).await;
    story.assert("initiated trying early-183 early-183 answered ended", "completed by local: 200 OK");
    let transcript = sipp.finish().await;
    for method in ["ACK", "BYE"] {
        let to = transcript.request(method).header("To").unwrap();
        assert!(to.ends_with(";tag=second"), "{method} to {to}");
    }
    phone.shutdown().await;
}

#[tokio::test]
async fn a_trunk_that_only_tries_is_cancelled_after_the_ring_time() {
    let sipp = Sipp::serve("trying-silence").await;
    let phone = Phone::start(&trunk::plain(sipp.address(), "ring_timeout = \"1s\"")).await;
    let call = phone.dial(NUMBER).await;
    let story = Story::of(&call).await;
    // Nothing rang, so nobody can have failed to answer.
    story.assert("initiated trying ended", "timeout by local: 487 Request Terminated");
    assert!(story.end.ring_time.is_zero());
    sipp.finish().await;
    phone.shutdown().await;
}

#[tokio::test]
async fn a_telephone_that_rings_on_is_cancelled_after_the_ring_time() {
    let sipp = Sipp::serve("ring-silence").await;
    let phone = Phone::start(&trunk::plain(sipp.address(), "")).await;
    let request = request(NUMBER).ring_timeout(std::time::Duration::from_secs(1));
    let call = phone.dial_with(request).await;
    let story = Story::of(&call).await;
    story.assert("initiated trying ringing ended", "no_answer by local: 487 Request Terminated");
    assert!(!story.end.ring_time.is_zero());
    sipp.finish().await;
    phone.shutdown().await;
}

#[tokio::test]
async fn hanging_up_before_the_answer_cancels() {
    let sipp = Sipp::serve("ring-silence").await;
    let phone = Phone::start(&trunk::plain(sipp.address(), "")).await;
    let call = phone.dial(NUMBER).await;
    ringing(&call).await;
    let end = within("the end", call.hangup()).await;
    assert_eq!(common::told(&end), "cancelled by local: 487 Request Terminated");
    Story::of(&call)
        .await
        .assert("initiated trying ringing ended", "cancelled by local: 487 Request Terminated");
    sipp.finish().await;
    phone.shutdown().await;
}

#[tokio::test]
async fn a_cancel_that_crosses_the_answer_hangs_up() {
    let sipp = Sipp::serve("cancel-crosses-answer").await;
    let phone = Phone::start(&trunk::plain(sipp.address(), "")).await;
    let call = phone.dial(NUMBER).await;
    ringing(&call).await;
    within("the end", call.hangup()).await;
    let story = Story::of(&call).await;
    // The callee did pick up, but for us the call was over: no `answered`, and ACK and BYE all the same.
    story.assert("initiated trying ringing ended", "cancelled by local: 200 OK");
    let transcript = sipp.finish().await;
    transcript.request("ACK");
    transcript.request("BYE");
    phone.shutdown().await;
}

#[tokio::test]
async fn dropping_the_last_handle_hangs_up() {
    let sipp = Sipp::serve("ring-silence").await;
    let phone = Phone::start(&trunk::plain(sipp.address(), "")).await;
    let call = phone.dial(NUMBER).await;
    ringing(&call).await;
    let events = call.events();
    let another = call.clone();
    drop(call);
    assert!(another.end().is_none());
    drop(another);
    let story = Story::told_by(events).await;
    story.assert("initiated trying ringing ended", "cancelled by local: 487 Request Terminated");
    sipp.finish().await;
    phone.shutdown().await;
}

async fn ringing(call: &outdial::call::Call) {
    let mut events = call.events();
    let rings = async { while events.next().await.expect("it goes on") != CallEvent::Ringing {} };
    within("ringing", rings).await;
}
