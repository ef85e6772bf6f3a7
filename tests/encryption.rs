//! SRTP offered, taken, refused and downgraded. Where it is required there is no call without it.

mod common;

use std::time::Duration;

use common::{Phone, Sipp, Story, sound, trunk, within};
use outdial::audio::SampleRate;
use outdial::call::{CallEvent, MediaFault};
use outdial_sandbox::{CallRecord, Sandbox, SrtpPolicy};

const NUMBER: &str = "+12025550123";
const REQUIRED: &str = "srtp = \"required\"\nallow_sdes_without_tls = true";
const ECHO: &str = "+12025550116";
const ENCRYPTED_ONLY: &str = "+12025550115";
const DOWNGRADES: &str = "+12025550172";
const WRONG_KEY: &str = "+12025550173";

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

/// The call is up for all that SIP knows. That nothing is heard is told, and nobody hears noise instead.
#[tokio::test]
async fn a_key_that_is_not_the_callees_stalls_the_sound() {
    let sandbox = Sandbox::builder().start().await.unwrap();
    let phone = Phone::start(&trunk::sandbox_tls(&sandbox, "media_timeout = \"1s\"")).await;
    let call = phone.dial(WRONG_KEY).await;
    let mut listener = call.audio().unwrap().listener;
    within("the answer", call.answered()).await.unwrap();
    let mut events = call.events();
    let stalled = async { while events.next().await.expect("the call is up") != CallEvent::MediaStalled {} };
    within("the stall", stalled).await;
    while let Ok(Some(frame)) = tokio::time::timeout(Duration::ZERO, listener.recv()).await {
        assert!(frame.samples().iter().all(|sample| *sample == 0), "noise");
    }
    call.hangup().await;
    let story = Story::of(&call).await;
    story.assert("initiated trying ringing answered stalled ended", "completed by local: 200 OK");
    assert_eq!(story.end.media.unwrap().packets_received, 0);
    phone.shutdown().await;
    sandbox.shutdown().await;
}

/// One suite on offer is the one that is used; of several it is the first that the callee's end has.
#[tokio::test]
async fn every_suite() {
    for (offered, used) in [
        ("\"AES_CM_128_HMAC_SHA1_80\"", "AES_CM_128_HMAC_SHA1_80"),
        ("\"AES_CM_128_HMAC_SHA1_32\"", "AES_CM_128_HMAC_SHA1_32"),
        ("\"AES_256_CM_HMAC_SHA1_80\"", "AES_256_CM_HMAC_SHA1_80"),
        ("\"AES_256_CM_HMAC_SHA1_32\"", "AES_256_CM_HMAC_SHA1_32"),
        ("\"AEAD_AES_128_GCM\"", "AEAD_AES_128_GCM"),
        ("\"AEAD_AES_256_GCM\"", "AEAD_AES_256_GCM"),
        ("\"AES_CM_128_HMAC_SHA1_32\", \"AEAD_AES_256_GCM\"", "AES_CM_128_HMAC_SHA1_32"),
    ] {
        let sandbox = Sandbox::builder().srtp(SrtpPolicy::Required).start().await.unwrap();
        let phone = Phone::start(&trunk::sandbox_tls(&sandbox, format!("srtp_suites = [{offered}]"))).await;
        let call = phone.dial(ECHO).await;
        let mut audio = call.audio().unwrap();
        let answered = within("the answer", call.answered()).await.unwrap();
        assert_eq!(answered.srtp.as_deref(), Some(used), "{offered}");
        let said = sound::sweep(SampleRate::Hz16000, 500);
        let (sent, heard) =
            tokio::join!(audio.speaker.send(&said), sound::hear(&mut audio.listener, 3 * said.len()),);
        sent.unwrap();
        let likeness = sound::likeness(SampleRate::Hz16000, &said[1600..3200], &heard);
        assert!(likeness > 0.9, "{used}: {likeness}");
        call.hangup().await;
        let record = within("the sandbox's record", sandbox.call_ended(call.id().as_str())).await;
        assert_eq!(record.srtp.map(|suite| suite.to_string()).as_deref(), Some(used));
        assert_eq!(record.invite.matches("a=crypto:").count(), offered.split(", ").count());
        phone.shutdown().await;
        sandbox.shutdown().await;
    }
}

#[tokio::test]
async fn required_and_early_media_in_the_clear() {
    let sipp = Sipp::serve("early-plain-answer").await;
    let phone = Phone::start(&trunk::plain(sipp.address(), REQUIRED)).await;
    let call = phone.dial(NUMBER).await;
    let story = Story::of(&call).await;
    story.assert("initiated trying early-183 ended", "media_failed by local: 200 OK");
    assert_eq!((story.end.media_fault, story.end.talk_time), (Some(MediaFault::Srtp), Duration::ZERO));
    // The answer that crossed our CANCEL was hung up on.
    sipp.finish().await.request("BYE");
    phone.shutdown().await;
}

#[tokio::test]
async fn required_and_answered_without_a_key_that_fits() {
    let short = "a=crypto:2 AES_CM_128_HMAC_SHA1_80 inline:AAAA";
    let unoffered = "a=crypto:99 AES_CM_128_HMAC_SHA1_80 inline:AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEB";
    for attribute in [short, unoffered, "a=sendrecv"] {
        let sipp =
            Sipp::serve_with("answer-with", &[("profile", "RTP/SAVP"), ("attribute", attribute)]).await;
        let phone = Phone::start(&trunk::plain(sipp.address(), REQUIRED)).await;
        let call = phone.dial(NUMBER).await;
        let story = Story::of(&call).await;
        story.assert("initiated trying ringing ended", "media_failed by local: 200 OK");
        assert_eq!(story.end.media_fault, Some(MediaFault::Srtp), "{attribute}");
        sipp.finish().await.request("BYE");
        phone.shutdown().await;
    }
}
