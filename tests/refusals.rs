//! A call that is refused tells the reason that the status, the Reason header and the ringing before it add up to.

mod common;

use common::{Phone, Sipp, Story, trunk};
use outdial::call::Call;

const NUMBER: &str = "+12025550123";
/// Where a scenario wants a further header and there is nothing to say.
const NOTHING: &str = "X-Nothing: here";

async fn refused(scenario: &str, status: &str, header: &str, more: &str) -> Story {
    let sipp = Sipp::serve_with(scenario, &[("status", status), ("header", header)]).await;
    let phone = Phone::start(&trunk::plain(sipp.address(), more)).await;
    let call: Call = phone.dial(NUMBER).await;
    let story = Story::of(&call).await;
    let transcript = sipp.finish().await;
    assert_eq!(transcript.requests("INVITE").len(), 1, "a refusal is no reason to ask again");
    phone.shutdown().await;
    story
}

/// Refused at once.
async fn at_once(status: &str, header: &str, ending: &str) -> Story {
    let story = refused("refuse", status, header, "").await;
    story.assert("initiated trying ended", ending);
    assert!(story.end.ring_time.is_zero() && story.end.talk_time.is_zero() && story.end.media.is_none());
    story
}

/// Refused after ringing.
async fn rung(status: &str, header: &str, ending: &str) {
    let story = refused("ring-refuse", status, header, "").await;
    story.assert("initiated trying ringing ended", ending);
    assert!(!story.end.ring_time.is_zero() && story.end.talk_time.is_zero());
}

#[tokio::test]
async fn a_redirect_is_refused_unless_it_is_allowed() {
    let contact = "Contact: <sip:+12025550177@127.0.0.1:9>";
    at_once("302 Moved Temporarily", contact, "failed by remote: 302 Moved Temporarily").await;
}

#[tokio::test]
async fn a_redirect_is_not_followed_where_we_may_not_call() {
    // Without a number in international form, as a request of the far end's choice, and as no SIP address.
    for target in ["sip:911@127.0.0.1:9", "sip:x@127.0.0.1:9?Replaces=1", "tel:+12025550177"] {
        let contact = format!("Contact: <{target}>");
        let story = refused("refuse", "302 Moved Temporarily", &contact, "allow_redirects = true").await;
        story.assert("initiated trying ended", "failed by remote: 302 Moved Temporarily");
    }
}

#[tokio::test]
async fn a_redirect_is_followed_where_it_is_allowed() {
    let sipp = Sipp::serve("redirect-followed").await;
    let phone = Phone::start(&trunk::plain(sipp.address(), "allow_redirects = true")).await;
    let call = phone.dial(NUMBER).await;
    common::within("the answer", call.answered()).await.unwrap();
    call.hangup().await;
    Story::of(&call).await.assert("initiated trying ringing answered ended", "completed by local: 200 OK");
    let transcript = sipp.finish().await;
    let ids: Vec<_> = transcript.requests("INVITE").iter().map(|invite| invite.header("Call-ID")).collect();
    assert_eq!(ids, [Some(call.id().as_str()); 2]);
    phone.shutdown().await;
}

#[tokio::test]
async fn forbidden() {
    at_once("403 Forbidden", NOTHING, "rejected by remote: 403 Forbidden").await;
}

#[tokio::test]
async fn not_found_with_a_cause() {
    let reason = "Reason: Q.850;cause=1;text=\"Unallocated (unassigned) number\"";
    let story = at_once("404 Not Found", reason, "not_found by remote: 404 Not Found (1)").await;
    assert_eq!(story.end.q850.unwrap().text.as_deref(), Some("Unallocated (unassigned) number"));
}

#[tokio::test]
async fn a_cause_says_more_than_a_generic_status() {
    let reason = "Reason: Q.850;cause=17";
    at_once("480 Temporarily Unavailable", reason, "busy by remote: 480 Temporarily Unavailable (17)").await;
}

#[tokio::test]
async fn timed_out_before_ringing_and_after() {
    at_once("408 Request Timeout", NOTHING, "timeout by remote: 408 Request Timeout").await;
    rung("408 Request Timeout", NOTHING, "no_answer by remote: 408 Request Timeout").await;
}

#[tokio::test]
async fn unavailable_before_ringing_and_after() {
    let status = "480 Temporarily Unavailable";
    at_once(status, NOTHING, "unreachable by remote: 480 Temporarily Unavailable").await;
    rung(status, NOTHING, "no_answer by remote: 480 Temporarily Unavailable").await;
}

#[tokio::test]
async fn incomplete() {
    at_once("484 Address Incomplete", NOTHING, "not_found by remote: 484 Address Incomplete").await;
}

#[tokio::test]
async fn busy() {
    at_once("486 Busy Here", NOTHING, "busy by remote: 486 Busy Here").await;
    rung("600 Busy Everywhere", NOTHING, "busy by remote: 600 Busy Everywhere").await;
}

#[tokio::test]
async fn no_common_media() {
    let warning = "Warning: 305 127.0.0.1 \"Incompatible media format\"";
    at_once("488 Not Acceptable Here", warning, "media_failed by remote: 488 Not Acceptable Here").await;
}

#[tokio::test]
async fn the_server_fails() {
    at_once("500 Server Internal Error", NOTHING, "unreachable by remote: 500 Server Internal Error").await;
}

#[tokio::test]
async fn the_server_asks_to_wait() {
    let story = at_once(
        "503 Service Unavailable",
        "Retry-After: 120",
        "unreachable by remote: 503 Service Unavailable",
    )
    .await;
    assert_eq!(story.end.retry_after.map(|wait| wait.as_secs()), Some(120));
}

#[tokio::test]
async fn declined_by_a_person_or_by_the_network() {
    rung("603 Decline", NOTHING, "declined by remote: 603 Decline").await;
    at_once("603 Decline", NOTHING, "rejected by remote: 603 Decline").await;
    rung("603 Network Blocked", NOTHING, "rejected by remote: 603 Network Blocked").await;
}

#[tokio::test]
async fn phrases_and_statuses_that_no_standard_knows() {
    at_once("499 Gefällt mir nicht", NOTHING, "failed by remote: 499 Gefällt mir nicht").await;
    at_once("699 Nowhere", NOTHING, "failed by remote: 699 Nowhere").await;
}
