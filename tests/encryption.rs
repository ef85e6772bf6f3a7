//! SRTP offered, taken, refused and downgraded. Where it is required there is no call without it.

mod common;

use common::{Phone, Story, trunk, within};
use outdial_sandbox::{CallRecord, Sandbox, SrtpPolicy};

const ECHO: &str = "+12025550116";
const ENCRYPTED_ONLY: &str = "+12025550115";
const DOWNGRADES: &str = "+12025550172";

/// Calls, hangs up once it is answered, and returns what both ends say.
async fn call(policy: SrtpPolicy, number: &str, more: &str) -> (Story, Option<String>, CallRecord) {
    let sandbox = Sandbox::builder().srtp(policy).start().await.unwrap();
    let phone = Phone::start(&trunk::sandbox_tls(&sandbox, more)).await;
    let call = phone.dial(number).await;
    let srtp = match within("the answer", call.answered()).await {
        Ok(answered) => {
            call.hangup().await;
            answered.srtp
        }
        Err(_) => None,
    };
    let story = Story::of(&call).await;
    let record = within("the sandbox's record", sandbox.call_ended(call.id().as_str())).await;
    phone.shutdown().await;
    sandbox.shutdown().await;
    (story, srtp, record)
}

#[tokio::test]
async fn required_and_taken() {
    let (story, srtp, record) = call(SrtpPolicy::Required, ECHO, "").await;
    assert_eq!(story.ending(), "completed by local: 200 OK");
    let suite = srtp.expect("the media is encrypted");
    assert_eq!(record.srtp.map(|suite| suite.to_string()), Some(suite.clone()));
    assert_eq!(story.end.media.and_then(|media| media.srtp), Some(suite));
    assert!(record.invite.contains("RTP/SAVP ") && record.invite.contains("a=crypto:"), "{}", record.invite);
}

#[tokio::test]
async fn required_and_refused() {
    let (story, _, record) = call(SrtpPolicy::Off, ECHO, "").await;
    assert_eq!(story.ending(), "media_failed by remote: 488 Not Acceptable Here");
    assert!(!record.invite.contains("RTP/AVP "), "{}", record.invite);
}

#[tokio::test]
async fn required_and_downgraded() {
    let (story, srtp, record) = call(SrtpPolicy::Optional, DOWNGRADES, "").await;
    story.assert("initiated trying ringing ended", "media_failed by local: 200 OK");
    assert_eq!(srtp, None);
    assert!(story.end.detail.as_deref().is_some_and(|detail| detail.contains("SRTP")), "{:?}", story.end);
    assert_eq!((record.media.received, record.digits.as_str()), (0, ""), "media went out in the clear");
}

#[tokio::test]
async fn optional_and_taken() {
    let (story, srtp, record) = call(SrtpPolicy::Optional, ECHO, "srtp = \"optional\"").await;
    assert_eq!(story.ending(), "completed by local: 200 OK");
    assert!(srtp.is_some() && record.srtp.is_some());
}

#[tokio::test]
async fn optional_and_left_out() {
    let (story, srtp, record) = call(SrtpPolicy::Off, ECHO, "srtp = \"optional\"").await;
    assert_eq!(story.ending(), "completed by local: 200 OK");
    assert!(srtp.is_none() && record.srtp.is_none());
}

#[tokio::test]
async fn off_where_the_callee_requires_it() {
    let (story, _, record) = call(SrtpPolicy::Optional, ENCRYPTED_ONLY, "srtp = \"off\"").await;
    assert_eq!(story.ending(), "media_failed by remote: 488 Not Acceptable Here");
    assert!(!record.invite.contains("a=crypto:"), "{}", record.invite);
}
