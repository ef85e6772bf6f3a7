//! Hold, re-INVITE, UPDATE, reliable provisional responses, session timers.

use outdial::call::{Call, CallEvent, EndReason};

use super::common::{Phone, Story, within};
use super::pbx::{ANOTHER_ANSWERS, ECHO, PLAYED, Row, account, one, rows, through_kamailio, to_asterisk};
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
    hears_itself(&phone, &call).await;
    let story = tokio::join!(call.hangup(), Story::of(&call)).1;
    assert_eq!(story.end.reason, EndReason::Completed, "{}", story.ending());
    phone.shutdown().await;
}

async fn hears_itself(_phone: &Phone, call: &Call) {
    use outdial::audio::SampleRate;

    use super::common::sound;
    let audio = call.audio().unwrap();
    let spoken = sound::sweep(SampleRate::Hz16000, 500);
    let mut listener = audio.listener;
    // What was heard on hold is in the queue still.
    while listener.try_recv().is_ok() {}
    let (sent, heard) =
        tokio::join!(audio.speaker.send(&spoken), sound::hear(&mut listener, 4 * spoken.len()));
    sent.unwrap();
    let alike = spoken.chunks(1600).map(|piece| sound::likeness(SampleRate::Hz16000, piece, &heard));
    let alike: Vec<f64> = alike.collect();
    assert!(alike.iter().filter(|likeness| **likeness > 0.9).count() >= 3, "{alike:?}");
}

/// A new connected line, told in the call: without media by UPDATE, with an offer by re-INVITE. The call goes on and its
/// sound with it.
#[tokio::test]
async fn a_new_connected_line_by_update_and_by_reinvite() {
    rows(vec![
        Row { number: ANOTHER_ANSWERS, ..Row::new("UPDATE", plain(&to_asterisk("udp"), "upd"), |_| {}) },
        Row { number: ANOTHER_ANSWERS, ..Row::new("re-INVITE", plain(&to_asterisk("udp"), "rei"), |_| {}) },
    ])
    .await;
}
