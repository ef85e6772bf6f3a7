//! Calls to a real PBX: Asterisk 22, configured by `tests/asterisk/`. `cargo xtask peers up` starts it.

mod common;

use std::net::TcpStream;
use std::path::PathBuf;

use common::{Phone, Story, sound, trunk, within};
use outdial::audio::SampleRate;
use outdial::call::EndReason;
use outdial::sip::Registration;

const PBX: &str = "127.0.0.10";
const ECHO: &str = "+12025550100";
const BUSY: &str = "+12025550102";
const RINGS: &str = "+12025550103";
const EARLY_MEDIA: &str = "+12025550105";
const HANGS_UP: &str = "+12025550109";
const CONGESTION: &str = "+12025550112";
const SENDS_DIGITS: &str = "+12025550114";
const READS_DIGITS: &str = "+12025550115";
const REJECTED: &str = "+12025550122";
const NO_SUCH_NUMBER: &str = "+12025550123";
const TRANSFERS_US: &str = "+12025550150";

/// Where the peers' certificates are, as `cargo xtask peers` decides it.
fn pki(file: &str) -> String {
    let named = std::env::var_os("OUTDIAL_PEERS").map(PathBuf::from);
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let cache = cache.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache")));
    let folder = named.or_else(|| Some(cache?.join("outdial-peers"))).expect("HOME is set");
    folder.join("pki").join(file).display().to_string()
}

/// An endpoint with an account of Asterisk's; the test fails, and says what to do, where Asterisk does not run.
async fn phone(user: &str, server: &str, more: &str) -> Phone {
    assert!(TcpStream::connect((PBX, 5061)).is_ok(), "Asterisk does not run: cargo xtask peers up");
    let account =
        format!("register = true\nuser = {user:?}\n{}\n{more}", trunk::password(&format!("{user}pw")));
    let phone = Phone::start(&trunk::config(server, &account, "")).await;
    let state = phone.registration(|state| *state != Registration::Pending).await;
    assert!(matches!(state, Registration::Registered { .. }), "{state:?}");
    phone
}

async fn over_tls(user: &str) -> Phone {
    phone(user, &format!("{PBX}:5061"), &format!("ca_file = {:?}\ncodecs = [\"pcmu\"]", pki("ca.pem"))).await
}

async fn over_udp(user: &str) -> Phone {
    phone(user, PBX, "transport = \"udp\"\ncodecs = [\"pcmu\"]").await
}

/// Speaks into the echo and hears it back.
async fn echoes(phone: &Phone, srtp: bool) {
    let call = phone.dial(ECHO).await;
    let audio = call.audio().unwrap();
    let answered = within("the answer", call.answered()).await.unwrap();
    assert_eq!(answered.srtp.is_some(), srtp, "{answered:?}");
    let spoken = sound::sweep(SampleRate::Hz16000, 1000);
    let mut listener = audio.listener;
    let (sent, heard) =
        tokio::join!(audio.speaker.send(&spoken), sound::hear(&mut listener, 2 * spoken.len()));
    sent.unwrap();
    // Piece by piece: on a busy machine Asterisk, which has no real-time priority, leaves out a frame now and then.
    let alike = spoken.chunks(3200).map(|piece| sound::likeness(SampleRate::Hz16000, piece, &heard));
    let alike: Vec<f64> = alike.collect();
    assert!(alike.iter().filter(|likeness| **likeness > 0.9).count() >= 3, "{alike:?}");
    let end = within("the end", call.hangup()).await;
    assert_eq!(end.reason, EndReason::Completed);
    assert_eq!(end.media.unwrap().packets_lost, 0);
}

#[tokio::test]
async fn an_echo_over_tls_with_srtp() {
    let phone = over_tls("sec").await;
    echoes(&phone, true).await;
    phone.shutdown().await;
}

#[tokio::test]
async fn an_echo_with_a_client_certificate() {
    let more = format!(
        "ca_file = {:?}\nclient_cert = {:?}\nclient_key = {:?}\ncodecs = [\"pcma\"]",
        pki("ca.pem"),
        pki("client.pem"),
        pki("client.key"),
    );
    let phone = phone("sec", &format!("{PBX}:5062"), &more).await;
    echoes(&phone, true).await;
    phone.shutdown().await;
}

#[tokio::test]
async fn an_echo_over_udp_tcp_and_with_g722() {
    for more in ["transport = \"udp\"\ncodecs = [\"g722\"]", "transport = \"tcp\"\ncodecs = [\"pcma\"]"] {
        let phone = phone("alice", PBX, more).await;
        echoes(&phone, false).await;
        phone.shutdown().await;
    }
}

#[tokio::test]
async fn sha_256_reliable_provisional_responses_and_session_timers() {
    for user in ["sha", "rel", "tim"] {
        let phone = over_udp(user).await;
        echoes(&phone, false).await;
        phone.shutdown().await;
    }
}

#[tokio::test]
async fn every_end_that_a_dial_plan_has() {
    let phone = over_udp("alice").await;
    for (number, reason) in [
        (BUSY, EndReason::Busy),
        (CONGESTION, EndReason::Unreachable),
        (REJECTED, EndReason::Rejected),
        (NO_SUCH_NUMBER, EndReason::NotFound),
        (HANGS_UP, EndReason::Completed),
    ] {
        let call = phone.dial(number).await;
        let story = Story::of(&call).await;
        assert_eq!(story.end.reason, reason, "{number}: {}", story.ending());
    }
    let call = phone.dial(RINGS).await;
    let mut events = call.events();
    while within("the ringing", events.next()).await != Some(outdial::call::CallEvent::Ringing) {}
    let end = within("the end", call.hangup()).await;
    assert_eq!((end.reason, end.sip.map(|status| status.code)), (EndReason::Cancelled, Some(487)));
    phone.shutdown().await;
}

#[tokio::test]
async fn early_media_is_heard_before_the_answer() {
    let phone = over_udp("alice").await;
    let call = phone.dial(EARLY_MEDIA).await;
    let mut listener = call.audio().unwrap().listener;
    let mut early = Vec::new();
    while let Some(frame) = within("a frame", listener.recv()).await {
        if !frame.is_early() {
            break;
        }
        early.extend_from_slice(frame.samples());
    }
    // A tenth of a second from the middle: Asterisk's tone is not exactly as high as it says.
    let part = &early[early.len() / 2..][..1600];
    let share = sound::tone_share(SampleRate::Hz16000, part, 440.0);
    assert!(share > 0.8, "{share}");
    let story = tokio::join!(call.hangup(), Story::of(&call)).1;
    assert!(story.words().contains("early-183 answered"), "{}", story.words());
    phone.shutdown().await;
}

#[tokio::test]
async fn digits_in_both_directions() {
    let phone = over_tls("sec").await;
    let call = phone.dial(SENDS_DIGITS).await;
    let story = Story::of(&call).await;
    assert!(story.words().contains("dtmf-1 dtmf-2 dtmf-3 dtmf-4 dtmf-#"), "{}", story.words());
    let call = phone.dial(READS_DIGITS).await;
    within("the answer", call.answered()).await.unwrap();
    within("the digits", call.send_dtmf("1942")).await.unwrap();
    let story = Story::of(&call).await;
    assert!(story.words().contains("dtmf-1 dtmf-9 dtmf-4 dtmf-2"), "{}", story.words());
    phone.shutdown().await;
}

#[tokio::test]
async fn hold_and_resume_by_us() {
    let phone = over_tls("sec").await;
    let call = phone.dial(ECHO).await;
    within("the answer", call.answered()).await.unwrap();
    let mut events = call.events();
    call.hold().await.unwrap();
    while within("the hold", events.next()).await != Some(outdial::call::CallEvent::Held) {}
    call.resume().await.unwrap();
    while within("the resumption", events.next()).await != Some(outdial::call::CallEvent::Resumed) {}
    assert_eq!(within("the end", call.hangup()).await.reason, EndReason::Completed);
    phone.shutdown().await;
}

/// Toll fraud by REFER: the callee asks us to call a premium number.
#[tokio::test]
async fn a_transfer_that_the_pbx_asks_for_is_refused() {
    let phone = over_udp("alice").await;
    let call = phone.dial(TRANSFERS_US).await;
    let story = Story::of(&call).await;
    assert_eq!(story.end.reason, EndReason::Completed, "{}", story.ending());
    assert_eq!(phone.stats().calls, 0);
    phone.shutdown().await;
}
