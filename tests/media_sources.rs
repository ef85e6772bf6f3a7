//! Where the far end's sound comes from, and goes to, in the middle of a call: who moves it, and who does not.

mod common;

use std::net::SocketAddr;
use std::time::Duration;

use common::{Caller, FarEnd, Phone, Rtp, Story, trunk, within};
use outdial::call::{Call, CallEvent};

const NUMBER: &str = "+12025550123";
/// Tones that G.711 carries and that are no multiples of each other.
const FAR: f64 = 700.0;
const NEAR: f64 = 1_500.0;
const STRANGER: f64 = 2_300.0;

/// A call between an endpoint and a far end, with sound in both directions.
struct Scene {
    phone: Phone,
    far: FarEnd,
    call: Call,
    caller: Caller,
    rtp: Rtp,
    /// Where the caller's end wants the sound to.
    near: SocketAddr,
}

impl Scene {
    async fn new(more: &str) -> Self {
        let rtp = Rtp::on(trunk::loopback(30), FAR, nobody()).await;
        let scene = Self::told(more, rtp.address(), rtp).await;
        scene.both().await
    }

    /// The far end's SDP names one address, and its sound comes from another.
    async fn told(more: &str, signalled: SocketAddr, rtp: Rtp) -> Self {
        let mut far = FarEnd::on(trunk::loopback(30)).await;
        far.media_at(signalled);
        let phone = Phone::start(&trunk::plain(far.address(), more)).await;
        let call = phone.dial(NUMBER).await;
        let near = far.called().await;
        rtp.send_to(near);
        within("the answer", call.answered()).await.unwrap();
        let caller = Caller::new(&call, NEAR);
        Self { phone, far, call, caller, rtp, near }
    }

    /// Waits until there is sound in both directions.
    async fn both(mut self) -> Self {
        self.rtp.hears(NEAR).await;
        self.caller.hears(FAR).await;
        self
    }

    /// A stream of somebody else's, from another host.
    async fn stranger(&self) -> Rtp {
        Rtp::on(trunk::loopback(66), STRANGER, self.near).await
    }

    async fn end(self) {
        let Self { phone, call, .. } = self;
        within("the end", call.hangup()).await;
        assert_eq!(Story::of(&call).await.ending(), "completed by local: 200 OK");
        phone.shutdown().await;
    }
}

/// An address that nobody sends anything to.
fn nobody() -> SocketAddr {
    SocketAddr::new(trunk::loopback(99), 9)
}

#[tokio::test]
async fn a_stranger_gets_no_sound_and_is_not_heard() {
    let mut scene = Scene::new("").await;
    let stranger = scene.stranger().await;
    // Many packets between two of the far end's, and a steady stream beside it.
    stranger.burst(500).await;
    assert!(scene.caller.most_of(STRANGER, Duration::from_secs(1)).await < 0.2);
    let mut scene = scene.both().await;
    // Not even while the far end is silent.
    scene.rtp.pause();
    stranger.burst(500).await;
    assert!(scene.caller.most_of(STRANGER, Duration::from_secs(2)).await < 0.2);
    scene.rtp.hears(NEAR).await;
    assert_eq!(stranger.packets(), 0, "the stranger gets the caller's sound");
    scene.rtp.say(FAR);
    scene.both().await.end().await;
}

#[tokio::test]
async fn a_far_end_whose_translation_changes_is_followed() {
    let mut scene = Scene::new("").await;
    let elsewhere = Rtp::on(trunk::loopback(31), FAR, scene.near).await;
    elsewhere.continue_from(&scene.rtp);
    scene.rtp = elsewhere;
    scene.both().await.end().await;
}

#[tokio::test]
async fn a_far_end_that_begins_anew_on_another_port_is_followed() {
    let mut scene = Scene::new("").await;
    scene.rtp = Rtp::on(trunk::loopback(30), FAR, scene.near).await;
    scene.both().await.end().await;
}

#[tokio::test]
async fn an_offer_moves_the_sound_to_another_host() {
    let mut scene = Scene::new("").await;
    let elsewhere = Rtp::on(trunk::loopback(32), FAR, scene.near).await;
    scene.far.media_at(elsewhere.address());
    let near = scene.far.reinvite().await;
    elsewhere.send_to(near);
    scene.rtp = elsewhere;
    scene.both().await.end().await;
}

#[tokio::test]
async fn another_ssrc_is_heard_and_so_is_a_sequence_that_wraps() {
    let rtp = Rtp::on(trunk::loopback(30), FAR, nobody()).await;
    rtp.pause();
    rtp.begin_before_the_wrap();
    let scene = Scene::told("", rtp.address(), rtp).await;
    scene.rtp.say(FAR);
    let mut scene = scene.both().await;
    let wrapped = async {
        while scene.rtp.sequence() > 60_000 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    within("the wrap", wrapped).await;
    // After it, and not because of what was before.
    scene.rtp.say(900.0);
    scene.caller.hears(900.0).await;
    scene.rtp.change_ssrc(0x0bad_cafe);
    scene.rtp.say(1_100.0);
    scene.caller.hears(1_100.0).await;
    scene.rtp.hears(NEAR).await;
    let call = scene.call.clone();
    scene.end().await;
    // A wrap is no loss.
    let media = call.end().and_then(|end| end.media).unwrap();
    assert!(media.packets_lost < 100 && media.packets_received > 40, "{media:?}");
}

#[tokio::test]
async fn silence_is_told_and_so_is_its_end() {
    let mut scene = Scene::new("media_timeout = \"1s\"").await;
    let mut events = scene.call.events();
    let mut until = async |wanted: CallEvent| {
        let found = async { while events.next().await.expect("the call is up") != wanted {} };
        within(&format!("{wanted:?}"), found).await;
    };
    scene.rtp.pause();
    until(CallEvent::MediaStalled).await;
    // A stranger's packets are no sign of life.
    let stranger = scene.stranger().await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    drop(stranger);
    scene.rtp.say(FAR);
    until(CallEvent::MediaResumed).await;
    scene.caller.hears(FAR).await;
    within("the end", scene.call.hangup()).await;
    let story = Story::of(&scene.call).await;
    story.assert("initiated answered stalled flowing ended", "completed by local: 200 OK");
    scene.phone.shutdown().await;
}

/// The far end does not know its own address, as behind a translation.
#[tokio::test]
async fn a_far_end_that_is_not_where_it_says_is_found_and_stays_found() {
    let rtp = Rtp::on(trunk::loopback(33), FAR, nobody()).await;
    let mut scene = Scene::told("", nobody(), rtp).await.both().await;
    // A re-INVITE with the same address does not send the sound back there.
    scene.far.reinvite().await;
    let stranger = scene.stranger().await;
    scene = scene.both().await;
    assert_eq!(stranger.packets(), 0);
    scene.end().await;
}

#[tokio::test]
async fn a_trunk_that_is_where_it_says_can_be_held_to_it() {
    let rtp = Rtp::on(trunk::loopback(33), FAR, nobody()).await;
    let mut scene = Scene::told("symmetric_rtp = false", nobody(), rtp).await;
    assert!(scene.caller.most_of(FAR, Duration::from_secs(1)).await < 0.2);
    assert_eq!(scene.rtp.packets(), 0);
    scene.far.media_at(scene.rtp.address());
    scene.far.reinvite().await;
    scene.both().await.end().await;
}
