//! An INVITE that is challenged (RFC 3261 section 22) goes out once more, with the same Call-ID; never a third time.

mod common;

use common::{Phone, Sipp, Story, trunk, within};
use outdial_sandbox::{DigestAlgorithm, Event, InviteChallenge, Sandbox};

const NUMBER: &str = "+12025550123";
const KEYS: [(&str, &str); 2] = [("user", "alice"), ("password", "wonderland")];
const SERVER: [(&str, &str); 2] = [("status", "401 Unauthorized"), ("challenge", "WWW-Authenticate")];
const PROXY: [(&str, &str); 2] =
    [("status", "407 Proxy Authentication Required"), ("challenge", "Proxy-Authenticate")];

fn config(sipp: &Sipp) -> String {
    trunk::plain(sipp.address(), format!("user = \"alice\"\n{}", trunk::password("wonderland")))
}

async fn challenged(scenario: &str, keys: &[(&str, &str)], invites: usize) {
    let sipp = Sipp::serve_with(scenario, keys).await;
    let phone = Phone::start(&config(&sipp)).await;
    let call = phone.dial(NUMBER).await;
    within("the answer", call.answered()).await.unwrap();
    call.hangup().await;
    Story::of(&call).await.assert("initiated trying ringing answered ended", "completed by local: 200 OK");
    let transcript = sipp.finish().await;
    let ids: Vec<_> = transcript.requests("INVITE").iter().map(|invite| invite.header("Call-ID")).collect();
    assert_eq!(ids, vec![Some(call.id().as_str()); invites]);
    phone.shutdown().await;
}

#[tokio::test]
async fn by_a_server() {
    challenged("challenge", &KEYS, 2).await;
}

#[tokio::test]
async fn by_a_proxy() {
    challenged("challenge-proxy", &KEYS, 2).await;
}

#[tokio::test]
async fn with_a_nonce_that_became_stale() {
    challenged("challenge-stale", &KEYS, 3).await;
}

async fn for_ever(keys: &[(&str, &str)], ending: &str) {
    let sipp = Sipp::serve_with("challenge-for-ever", keys).await;
    let phone = Phone::start(&config(&sipp)).await;
    let call = phone.dial(NUMBER).await;
    let story = Story::of(&call).await;
    story.assert("initiated ended", ending);
    assert!(story.end.detail.as_deref().is_some_and(|detail| detail.contains("password")), "{:?}", story.end);
    assert_eq!(sipp.finish().await.requests("INVITE").len(), 2, "one answer to a challenge, no more");
    phone.shutdown().await;
}

#[tokio::test]
async fn for_ever_by_a_server() {
    for_ever(&SERVER, "auth_failed by remote: 401 Unauthorized").await;
}

#[tokio::test]
async fn for_ever_by_a_proxy() {
    for_ever(&PROXY, "auth_failed by remote: 407 Proxy Authentication Required").await;
}

#[tokio::test]
async fn without_a_password_the_challenge_is_the_end() {
    let sandbox = Sandbox::builder().start().await.unwrap();
    let config = trunk::plain(sandbox.udp().unwrap(), "");
    let phone = Phone::start(&config).await;
    let call = phone.dial("+12025550116").await;
    let story = Story::of(&call).await;
    assert_eq!(story.ending(), "auth_failed by remote: 401 Unauthorized");
    assert!(story.end.detail.as_deref().is_some_and(|detail| detail.contains("none is configured")));
    phone.shutdown().await;
    sandbox.shutdown().await;
}

#[tokio::test]
async fn another_realm_gets_no_password() {
    let sandbox = Sandbox::builder().realm("elsewhere").start().await.unwrap();
    let mut events = sandbox.events();
    let phone = Phone::start(&trunk::sandbox_udp(&sandbox, "realm = \"here\"")).await;
    let call = phone.dial("+12025550116").await;
    let story = Story::of(&call).await;
    assert_eq!(story.ending(), "auth_failed by remote: 401 Unauthorized");
    phone.shutdown().await;
    sandbox.shutdown().await;
    while let Some(event) = events.next().await {
        assert!(!matches!(event, Event::AuthenticationRefused { .. }), "the password was offered: {event:?}");
    }
}

#[tokio::test]
async fn with_each_digest_as_another_implementation_computes_it() {
    for (algorithm, challenge) in [
        (DigestAlgorithm::Md5, InviteChallenge::Unauthorized),
        (DigestAlgorithm::Sha256, InviteChallenge::Unauthorized),
        (DigestAlgorithm::Sha256, InviteChallenge::ProxyAuthenticationRequired),
    ] {
        let builder = Sandbox::builder().algorithms([algorithm]).invite_challenge(challenge);
        let sandbox = builder.start().await.unwrap();
        let phone = Phone::start(&trunk::sandbox_udp(&sandbox, "")).await;
        let call = phone.dial("+12025550116").await;
        within("the answer", call.answered()).await.unwrap();
        call.hangup().await;
        let record = within("the sandbox's record", sandbox.call_ended(call.id().as_str())).await;
        assert_eq!(record.user.as_deref(), Some(sandbox.username()));
        phone.shutdown().await;
        sandbox.shutdown().await;
    }
}

#[tokio::test]
async fn of_a_kind_that_is_not_known_the_challenge_is_the_end() {
    for challenge in [
        "WWW-Authenticate: NTLM realm=\"somewhere\"",
        "WWW-Authenticate: Digest realm=\"somewhere\",nonce=\"1\",qop=\"auth-int\"",
        "WWW-Authenticate: Digest realm=\"somewhere\",nonce=\"1\",algorithm=MD5-sess",
    ] {
        let keys = [("status", "401 Unauthorized"), ("header", challenge)];
        let sipp = Sipp::serve_with("refuse", &keys).await;
        let phone = Phone::start(&config(&sipp)).await;
        let call = phone.dial(NUMBER).await;
        let story = Story::of(&call).await;
        story.assert("initiated trying ended", "auth_failed by remote: 401 Unauthorized");
        let detail = story.end.detail.unwrap_or_default();
        assert!(detail.contains("other than Digest"), "{challenge}: {detail}");
        sipp.finish().await;
        phone.shutdown().await;
    }
}
