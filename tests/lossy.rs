//! A bad network: packets are lost, delayed, swapped and repeated, and the call goes on. What is heard of a lost packet,
//! sample by sample, is in `pjsip-sys/tests/loss.rs`, where no clock runs.

mod common;

use common::phone::request;
use common::sound::{hear, sweep};
use common::{Phone, Story, trunk, within};
use outdial::audio::SampleRate;
use outdial::call::MediaStats;
use outdial_sandbox::Sandbox;

const LOSES_PACKETS: &str = "+12025550185";
const JITTER: &str = "+12025550186";
const REORDERS: &str = "+12025550187";
const REPEATS: &str = "+12025550188";
const ECHO: &str = "+12025550116";

/// Speaks for three seconds and listens for four, over `number`. Fails if the sound stops on the way, or is counted as
/// stalled.
async fn conversation(phone: &Phone, number: &str) -> MediaStats {
    const RATE: SampleRate = SampleRate::Hz16000;
    let call = phone.dial_with(request(number).audio_rate(RATE)).await;
    let mut audio = call.audio().unwrap();
    within("the answer", call.answered()).await.unwrap();
    let said = sweep(RATE, 3_000);
    let (sent, heard) = tokio::join!(
        within("the playout", audio.speaker.send(&said)),
        hear(&mut audio.listener, RATE.samples(4_000)),
    );
    sent.unwrap();
    let loud = heard
        .chunks(RATE.frame_len())
        .filter(|frame| frame.iter().any(|sample| sample.unsigned_abs() > 1_000));
    assert!(loud.count() > 50, "the echo does not go on");
    call.hangup().await;
    let story = Story::of(&call).await;
    assert_eq!(story.ending(), "completed by local: 200 OK");
    assert!(!story.words().contains("stalled"), "{}", story.words());
    story.end.media.unwrap()
}

#[tokio::test]
async fn calls_over_a_bad_network_go_on() {
    let sandbox = Sandbox::builder().start().await.unwrap();
    let (mut lost, mut scores) = (Vec::new(), Vec::new());
    for codec in ["pcmu", "g722", "opus"] {
        let phone = Phone::start(&trunk::sandbox_udp(&sandbox, format!("codecs = [\"{codec}\"]"))).await;
        let (lossy, jittery, reordered, repeated) = tokio::join!(
            conversation(&phone, LOSES_PACKETS),
            conversation(&phone, JITTER),
            conversation(&phone, REORDERS),
            conversation(&phone, REPEATS),
        );
        for (what, media) in [("jitter", &jittery), ("reordering", &reordered), ("repetition", &repeated)] {
            assert!(media.packets_received > 100, "{codec}, {what}: {media:?}");
        }
        // A packet that came twice is discarded once, though it may be several frames, and was heard.
        let (twice, of) = (repeated.packets_discarded, repeated.packets_received);
        assert!((of / 16..of / 8).contains(&twice), "{codec}, one in eleven came twice: {repeated:?}");
        assert!(repeated.mos > lossy.mos, "{codec}: {repeated:?}, {lossy:?}");
        lost.push(lossy.packets_lost);
        scores.push((lossy.mos, codec));
        phone.shutdown().await;
    }
    assert!(lost.iter().all(|lost| *lost >= 5), "packets lost: {lost:?}");
    // What a packet in twenty costs by G.107, with concealment.
    assert!(scores.iter().all(|(mos, _)| mos.is_some_and(|mos| (2.0..4.4).contains(&mos))), "{scores:?}");
    sandbox.shutdown().await;
}

/// The trunk says how much waits in the jitter buffer: the echo cannot come sooner.
#[tokio::test]
async fn the_jitter_buffer_is_as_deep_as_the_trunk_says() {
    const RATE: SampleRate = SampleRate::Hz8000;
    let sandbox = Sandbox::builder().start().await.unwrap();
    let more = "codecs = [\"pcmu\"]\njitter_buffer_min = \"400ms\"\njitter_buffer_max = \"600ms\"";
    let phone = Phone::start(&trunk::sandbox_udp(&sandbox, more)).await;
    let call = phone.dial_with(request(ECHO).audio_rate(RATE)).await;
    let mut audio = call.audio().unwrap();
    within("the answer", call.answered()).await.unwrap();
    // What waits in the listener's own queue came before.
    while audio.listener.try_recv().is_ok() {}
    audio.speaker.try_send(&vec![8_000; RATE.frame_len()]).unwrap();
    let mut frames = 0;
    loop {
        let frame = within("a frame", audio.listener.recv()).await.expect("the call is up");
        frames += 1;
        if frame.samples().iter().any(|sample| sample.unsigned_abs() > 1_000) {
            break;
        }
    }
    assert!(frames >= 18, "the echo came after {frames} frames of 20 ms");
    call.hangup().await;
    phone.shutdown().await;
    sandbox.shutdown().await;
}
