//! Whoever hangs up, the call ends once and says by whom and why.

mod common;

use common::{Phone, Sipp, Story, trunk, within};

const NUMBER: &str = "+12025550123";

#[tokio::test]
async fn we_hang_up() {
    let sipp = Sipp::serve("answer").await;
    let phone = Phone::start(&trunk::plain(sipp.address(), "")).await;
    let call = phone.dial(NUMBER).await;
    let answered = within("the answer", call.answered()).await.unwrap();
    assert_eq!((answered.codec.as_str(), &answered.srtp), ("PCMU/8000", &None));
    assert_eq!(answered.remote.map(|remote| remote.ip()), Some(sipp.address().ip()));
    let end = within("the end", call.hangup()).await;
    let story = Story::of(&call).await;
    assert_eq!(story.end, end);
    story.assert("initiated trying ringing answered ended", "completed by local: 200 OK");
    assert!(end.media.is_some());
    let transcript = sipp.finish().await;
    assert_eq!(transcript.request("INVITE").header("Call-ID"), Some(call.id().as_str()));
    // Hanging up a second time changes nothing.
    assert_eq!(call.hangup().await, end);
    phone.shutdown().await;
}

/// Both hang up at once: each end answers the other's BYE, and the call ends once.
#[tokio::test]
async fn both_hang_up_at_once() {
    let sipp = Sipp::serve("bye-crosses-bye").await;
    let phone = Phone::start(&trunk::plain(sipp.address(), "")).await;
    let call = phone.dial(NUMBER).await;
    within("the answer", call.answered()).await.unwrap();
    within("the end", call.hangup()).await;
    let story = Story::of(&call).await;
    story.assert("initiated answered ended", "completed by local: 200 OK");
    sipp.finish().await;
    phone.shutdown().await;
}

#[tokio::test]
async fn the_callee_hangs_up_and_says_why() {
    let sipp =
        Sipp::serve_with("answer-bye", &[("header", "Reason: Q.850;cause=31;text=\"Normal, unspecified\"")])
            .await;
    let phone = Phone::start(&trunk::plain(sipp.address(), "")).await;
    let call = phone.dial(NUMBER).await;
    let story = Story::of(&call).await;
    story.assert("initiated trying ringing answered ended", "completed by remote: 200 OK (31)");
    let cause = story.end.q850.as_ref().unwrap();
    assert_eq!(cause.text.as_deref(), Some("Normal, unspecified"));
    sipp.finish().await;
    phone.shutdown().await;
}
