//! Session timers (RFC 4028): an interval that is too brief, and refreshes by the callee. Ours are in `long_life`.

mod common;

use common::{Phone, Sipp, Story, trunk, within};

const NUMBER: &str = "+12025550123";

#[tokio::test]
async fn an_interval_that_is_too_brief_is_asked_for_anew() {
    let sipp = Sipp::serve("session-too-brief").await;
    let phone = Phone::start(&trunk::plain(sipp.address(), "")).await;
    let call = phone.dial(NUMBER).await;
    within("the answer", call.answered()).await.unwrap();
    call.hangup().await;
    assert_eq!(Story::of(&call).await.ending(), "completed by local: 200 OK");
    let transcript = sipp.finish().await;
    let [first, second] = transcript.requests("INVITE")[..] else { panic!("{transcript:#?}") };
    let interval = |invite: &common::sipp::Message, name| {
        let value = invite.header(name).unwrap_or_default();
        value.split(';').next().unwrap_or_default().parse::<u32>().unwrap()
    };
    assert!(interval(first, "Session-Expires") < 3600);
    assert_eq!((interval(second, "Session-Expires"), interval(second, "Min-SE")), (3600, 3600));
    assert_eq!(first.header("Call-ID"), second.header("Call-ID"));
    phone.shutdown().await;
}

#[tokio::test]
async fn the_callee_refreshes_the_session() {
    let sipp = Sipp::serve("refreshed-by-callee").await;
    let phone = Phone::start(&trunk::plain(sipp.address(), "")).await;
    let story = Story::of(&phone.dial(NUMBER).await).await;
    story.assert("initiated answered ended", "completed by remote: 200 OK");
    sipp.finish().await;
    phone.shutdown().await;
}
