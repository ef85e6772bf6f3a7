//! Hold, re-INVITE, UPDATE, reliable provisional responses, session timers.

use std::time::Duration;

use outdial::audio::SampleRate;
use outdial::call::{Call, CallEnd, CallEvent, EndReason};

use super::common::wire::Wire;
use super::common::{Sipp, Story, sound, within};
use super::manager::Manager;
use super::pbx::{
    self, ANOTHER_ANSWERS, DIRECT, ECHO, OTHER_CODEC_BY_REINVITE, OTHER_CODEC_BY_UPDATE, PLAYED, PLAYED_TOO,
    Row, SPOKEN, account, one, rows, through_kamailio, to_asterisk,
};
use super::played::Player;

fn plain(way: &str, user: &str) -> String {
    format!("codecs = [\"pcmu\"]\n{way}\n{}", account(user))
}

async fn until(call: &Call, wanted: &CallEvent, times: usize) {
    let mut events = call.events();
    let seen = async {
        let mut seen = 0;
        while seen < times {
            let event = events.next().await.expect("the call is up");
            seen += usize::from(event == *wanted);
        }
    };
    within(&format!("{wanted:?}"), seen).await;
}

#[tokio::test]
async fn reliable_provisional_responses_and_session_timers() {
    rows(vec![
        Row::new("100rel", plain(&to_asterisk("udp"), "rel"), |_| {}),
        Row::new("100rel through a proxy", plain(&through_kamailio("tcp"), "rel"), |_| {}),
        Row::new("session timer", plain(&to_asterisk("udp"), "tim"), |_| {}),
        Row::new("session timer through a proxy", plain(&through_kamailio("tcp"), "tim"), |_| {}),
    ])
    .await;
}

#[tokio::test]
async fn hold_and_resume_by_us() {
    for trunk in [
        format!("{}\n{}", to_asterisk("tls"), account("sec")),
        format!("{}\n{}", through_kamailio("tls"), account("sec")),
    ] {
        let phone = one(&trunk).await;
        let call = phone.dial(ECHO).await;
        within("the answer", call.answered()).await.unwrap();
        call.hold().await.unwrap();
        until(&call, &CallEvent::Held, 1).await;
        call.resume().await.unwrap();
        until(&call, &CallEvent::Resumed, 1).await;
        assert_eq!(within("the end", call.hangup()).await.reason, EndReason::Completed);
        phone.shutdown().await;
    }
}

/// The PBX holds, resumes, holds again; then both hold, and both take back.
#[tokio::test]
async fn hold_and_resume_by_the_pbx() {
    let phone = one(&plain(&to_asterisk("udp"), "alice")).await;
    let mut player = Player::new("tests").await;
    let call = phone.dial(PLAYED).await;
    let played = player.call().await;
    played.answer().await;
    within("the answer", call.answered()).await.unwrap();
    played.hold().await;
    until(&call, &CallEvent::Held, 1).await;
    played.resume().await;
    until(&call, &CallEvent::Resumed, 1).await;
    played.hold().await;
    until(&call, &CallEvent::Held, 2).await;
    played.resume().await;
    until(&call, &CallEvent::Resumed, 2).await;
    // The call is as good as before: an echo.
    played.go_on_at(ECHO).await;
    let echo = Echo::of(&call).await;
    let story = tokio::join!(call.hangup(), Story::of(&call)).1;
    assert_eq!(story.end.reason, EndReason::Completed, "{}", story.ending());
    echo.check(&story.end);
    phone.shutdown().await;
}

/// What was said into an echo, and what came back.
pub struct Echo {
    said: Vec<i16>,
    heard: Vec<i16>,
}

impl Echo {
    pub async fn of(call: &Call) -> Self {
        let audio = call.audio().unwrap();
        let said = sound::sweep(SampleRate::Hz16000, SPOKEN);
        let mut listener = audio.listener;
        // What was heard on hold is in the queue still.
        while listener.try_recv().is_ok() {}
        let (sent, heard) =
            tokio::join!(audio.speaker.send(&said), sound::hear(&mut listener, 2 * said.len()));
        sent.unwrap();
        Self { said, heard }
    }

    pub fn check(&self, end: &CallEnd) {
        let media = end.media.as_ref().expect("it was answered");
        sound::assert_came_back("the echo", SampleRate::Hz16000, &self.said, &self.heard, 0.9, media);
    }
}

/// The PBX bridges us to a telephone and moves the sound: a re-INVITE with the telephone's address, after which it
/// relays nothing any more.
#[tokio::test]
async fn a_reinvite_that_moves_the_sound_elsewhere() {
    let manager = Manager::new().await;
    let telephone = "127.0.0.30:5060".parse().unwrap();
    let sipp = Sipp::serve_at("direct-media", telephone).await;
    let wire = Wire::listen();
    let phone = one(&plain(&to_asterisk("udp"), "direct")).await;
    let call = phone.dial(DIRECT).await;
    within("the answer", call.answered()).await.unwrap();
    let moved = async {
        while !wire.heard("INVITE ").iter().any(|invite| invite.contains("c=IN IP4 127.0.0.30")) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    within("the re-INVITE", moved).await;
    let echo = Echo::of(&call).await;
    let end = within("the end", call.hangup()).await;
    echo.check(&end);
    let gone = manager.told("Gone", call.id().as_str()).await;
    let sent = end.media.unwrap().packets_sent;
    assert!(gone.count("Received") + 20 < sent, "it went through the PBX: {gone:?}, {sent} packets");
    sipp.finish().await;
    phone.shutdown().await;
}

/// A new connected line, told in the call by UPDATE without media. The call goes on and its sound with it.
#[tokio::test]
async fn a_new_connected_line_by_update() {
    let wire = Wire::listen();
    let row = Row::new("UPDATE", plain(&to_asterisk("udp"), "upd"), |_| {});
    rows(vec![Row { number: ANOTHER_ANSWERS, ..row }]).await;
    let updates = wire.heard("UPDATE ");
    assert!(updates.iter().any(|update| update.contains("\"Reception\" <sip:4711@")), "{updates:?}");
}

/// Another codec in the middle of a call, offered by re-INVITE and by UPDATE: the echo is as good with the new one.
#[tokio::test]
async fn another_codec_in_the_middle_of_a_call() {
    for way in [to_asterisk("udp"), through_kamailio("tcp")] {
        for (number, method, format, theirs) in [
            (OTHER_CODEC_BY_REINVITE, "INVITE ", "RTP/AVP 8", "alaw"),
            (OTHER_CODEC_BY_UPDATE, "UPDATE ", "RTP/AVP 9", "g722"),
        ] {
            let manager = Manager::new().await;
            let wire = Wire::listen();
            let codecs = "codecs = [\"pcmu\", \"pcma\", \"g722\"]";
            let phone = one(&format!("{codecs}\n{way}\n{}", account("alice"))).await;
            let call = phone.dial(number).await;
            let answered = within("the answer", call.answered()).await.unwrap();
            assert_eq!(answered.codec, "PCMU/8000");
            let offered = async {
                while !wire.heard(method).iter().any(|offer| offer.contains(format)) {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            };
            within(&format!("the {method}"), offered).await;
            let echo = Echo::of(&call).await;
            let end = within("the end", call.hangup()).await;
            assert_eq!(end.reason, EndReason::Completed, "{end:?}");
            let gone = manager.told("Gone", call.id().as_str()).await;
            assert!(gone.get("Codec").contains(theirs), "{gone:?}");
            echo.check(&end);
            phone.shutdown().await;
        }
    }
}

/// The interval that we offer is too brief for the PBX, which says so with 422 and gets the one that it wants.
#[tokio::test]
async fn a_session_interval_that_is_too_brief() {
    for way in [to_asterisk("udp"), through_kamailio("tcp")] {
        let wire = Wire::listen();
        rows(vec![Row::new("422", plain(&way, "slow"), |_| {})]).await;
        let refused = wire.heard("SIP/2.0 422");
        assert!(refused.iter().any(|answer| answer.contains("Min-SE: 2400")), "{refused:?}");
        let taken = wire.heard("SIP/2.0 200");
        assert!(taken.iter().any(|answer| answer.contains("Session-Expires: 2400")), "{taken:?}");
    }
}

/// Both ends hold at once, and take back at once: whoever is first, and whoever is refused for the moment (491), the call is
/// as good as before.
#[tokio::test]
async fn both_ends_hold_at_once() {
    let phone = one(&plain(&to_asterisk("udp"), "alice")).await;
    let mut player = Player::new("crossing").await;
    let call = phone.dial(PLAYED_TOO).await;
    let played = player.call().await;
    played.answer().await;
    within("the answer", call.answered()).await.unwrap();
    // Where the PBX's offer comes first, ours is refused here; otherwise they cross, or come one after the other.
    let (held, ()) = tokio::join!(call.hold(), played.hold());
    println!("hold: {held:?}");
    until(&call, &CallEvent::Held, 1).await;
    // A refused offer is made again within four seconds; both are through then.
    tokio::time::sleep(Duration::from_secs(5)).await;
    let (resumed, ()) = tokio::join!(call.resume(), played.resume());
    println!("resume: {resumed:?}");
    tokio::time::sleep(Duration::from_secs(5)).await;
    if held.is_ok() && resumed.is_err() {
        call.resume().await.unwrap();
    }
    until(&call, &CallEvent::Resumed, 1).await;
    played.go_on_at(ECHO).await;
    let echo = Echo::of(&call).await;
    let end = within("the end", call.hangup()).await;
    assert_eq!(end.reason, EndReason::Completed, "{end:?}");
    echo.check(&end);
    phone.shutdown().await;
}

/// A callee behind TLS whose certificate has a name, scenario by scenario.
#[tokio::test]
async fn sipp_over_tls() {
    for (scenario, we_hang_up) in [("answer", true), ("refreshed-by-callee", false)] {
        let sipp = Sipp::serve_tls(scenario, &pbx::folder()).await;
        let trunk = format!(
            "server = \"{}\"\nca_file = {:?}\ntls_server_name = \"asterisk.test\"\nsrtp = \"off\"\n\
             codecs = [\"pcmu\"]",
            sipp.address(),
            pbx::pki("ca.pem"),
        );
        let phone = one(&trunk).await;
        let call = phone.dial(ECHO).await;
        within("the answer", call.answered()).await.unwrap();
        if we_hang_up {
            call.hangup().await;
        }
        let side = if we_hang_up { "local" } else { "remote" };
        let story = Story::of(&call).await;
        assert_eq!(story.ending(), format!("completed by {side}: 200 OK"), "{scenario}");
        sipp.finish().await;
        phone.shutdown().await;
    }
}
