//! Calls that last: session timers (RFC 4028) and offers within the call, again and again.
//!
//! `cargo test --test long_life half_an_hour -- --ignored --nocapture` makes the same call over thirty minutes, with an
//! offer in each; `docs/long-life.md` has what it told.

mod common;

use std::time::{Duration, Instant};

use common::phone::request;
use common::{Caller, FarEnd, Phone, Rtp, Story, trunk, within};
use outdial::call::{CallEvent, EndReason, EndedBy};

const NUMBER: &str = "+12025550123";
const FAR: f64 = 700.0;
const NEAR: f64 = 1_500.0;

/// A call with an offer in each minute: the far end's own, the far end's with another address of its sound, and ours
/// (hold and back). After each there is sound in both directions.
async fn minute_by_minute(minute: Duration, minutes: u32) {
    let mut far = FarEnd::on(trunk::loopback(30)).await;
    let mut rtp = Rtp::on(trunk::loopback(30), FAR, far.address()).await;
    far.media_at(rtp.address());
    // The caller's end is to refresh the session: after 45 s without any other offer.
    far.headers("Supported: timer\r\nSession-Expires: 90;refresher=uac\r\n");
    let phone = Phone::start(&trunk::plain(far.address(), "media_timeout = \"5s\"")).await;
    let began = Instant::now();
    let call = phone.dial(NUMBER).await;
    rtp.send_to(far.called().await);
    within("the answer", call.answered()).await.unwrap();
    let mut caller = Caller::new(&call, NEAR);
    let mut events = call.events();
    let mut until = async |wanted: CallEvent| {
        let found = async { while events.next().await.expect("the call is up") != wanted {} };
        within(&format!("{wanted:?}"), found).await;
    };
    for turn in 0..minutes {
        let next = began + minute * (turn + 1);
        rtp.hears(NEAR).await;
        caller.hears(FAR).await;
        tokio::time::sleep_until(next.into()).await;
        rtp.hears(NEAR).await;
        caller.hears(FAR).await;
        match turn % 3 {
            0 => drop(far.reinvite().await),
            1 => {
                let moved = Rtp::on(trunk::loopback(31), FAR, far.address()).await;
                far.media_at(moved.address());
                moved.send_to(far.reinvite().await);
                rtp = moved;
            }
            _ => {
                call.hold().await.unwrap();
                until(CallEvent::Held).await;
                call.resume().await.unwrap();
                until(CallEvent::Resumed).await;
            }
        }
    }
    rtp.hears(NEAR).await;
    caller.hears(FAR).await;
    let end = within("the end", call.hangup()).await;
    let story = Story::of(&call).await;
    println!(
        "{minutes} turns of {minute:?}, {:?} talked; from the caller {} UPDATEs and {} re-INVITEs\n{}\n{:#?}",
        end.talk_time,
        far.count("re-UPDATE"),
        far.count("re-INVITE"),
        story.words(),
        end.media
    );
    assert_eq!(story.ending(), "completed by local: 200 OK");
    assert!(!story.words().contains("stalled"), "{}", story.words());
    phone.shutdown().await;
}

#[tokio::test]
async fn a_call_with_an_offer_in_each_turn_stays_two_way() {
    minute_by_minute(Duration::from_secs(1), 6).await;
}

#[tokio::test]
#[ignore = "half an hour: its report is in docs/long-life.md"]
async fn half_an_hour_with_an_offer_in_each_minute() {
    minute_by_minute(Duration::from_secs(60), 30).await;
}

/// RFC 4028 section 10: the refresher sends a request half-way, and who hears none ends the call.
#[tokio::test]
async fn a_session_is_refreshed_in_time_and_one_that_is_not_ends() {
    let mut far = FarEnd::on(trunk::loopback(30)).await;
    let mut dead = FarEnd::on(trunk::loopback(31)).await;
    let rtp = Rtp::on(trunk::loopback(30), FAR, far.address()).await;
    far.media_at(rtp.address());
    dead.media_at(rtp.address());
    far.headers("Supported: timer\r\nSession-Expires: 90;refresher=uac\r\n");
    dead.headers("Supported: timer\r\nSession-Expires: 90;refresher=uas\r\n");
    let second = format!(
        "[trunks.dead]\nserver = \"{}\"\ntransport = \"udp\"\ncodecs = [\"pcmu\"]\nkeep_alive = \"0s\"\n",
        dead.address()
    );
    let phone = Phone::start(&trunk::plain(far.address(), second)).await;
    let refreshed = phone.dial_with(request(NUMBER).trunk(trunk::NAME)).await;
    rtp.send_to(far.called().await);
    let forgotten = phone.dial_with(request(NUMBER).trunk("dead")).await;
    dead.called().await;
    let (one, other) = tokio::join!(refreshed.answered(), forgotten.answered());
    assert!(one.is_ok() && other.is_ok());
    let mut caller = Caller::new(&refreshed, NEAR);
    let refresh = async {
        while far.count("re-UPDATE") + far.count("re-INVITE") == 0 {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    within("the refresh", refresh).await;
    rtp.hears(NEAR).await;
    caller.hears(FAR).await;
    let end = within("the end of the call that nobody refreshes", forgotten.ended()).await;
    assert_eq!((end.ended_by, end.reason), (EndedBy::Network, EndReason::Timeout), "{end:?}");
    assert!(dead.count("BYE") > 0);
    assert!(refreshed.end().is_none());
    within("the end", refreshed.hangup()).await;
    phone.shutdown().await;
}
