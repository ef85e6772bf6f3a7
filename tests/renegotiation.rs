//! Offers within a call: hold, another codec, more media, late offers.

mod common;

use common::phone::request;
use common::{Phone, Sipp, Story, Transcript, trunk, within};
use outdial::call::CallEvent;
use outdial_sandbox::Sandbox;

const NUMBER: &str = "+12025550123";

async fn told(scenario: &str, codecs: &str) -> (Story, Transcript) {
    let sipp = Sipp::serve(scenario).await;
    let config = trunk::config(sipp.address(), "transport = \"udp\"", format!("codecs = {codecs}"));
    let phone = Phone::start(&config).await;
    let call = phone.dial(NUMBER).await;
    let story = Story::of(&call).await;
    let transcript = sipp.finish().await;
    phone.shutdown().await;
    (story, transcript)
}

const ENDING: &str = "completed by remote: 200 OK";
const PLAIN: &str = "initiated trying ringing answered ended";

#[tokio::test]
async fn the_callee_holds_and_takes_back() {
    let (story, _) = told("reinvite-hold", "[\"pcmu\"]").await;
    story.assert("initiated trying ringing answered held resumed ended", ENDING);
}

#[tokio::test]
async fn the_callee_holds_the_old_way() {
    let (story, _) = told("reinvite-old-hold", "[\"pcmu\"]").await;
    story.assert("initiated trying ringing answered held resumed ended", ENDING);
}

#[tokio::test]
async fn video_is_declined_and_the_call_goes_on() {
    let (story, _) = told("reinvite-video", "[\"pcmu\"]").await;
    story.assert(PLAIN, ENDING);
}

#[tokio::test]
async fn the_callee_changes_the_codec() {
    let (story, _) = told("reinvite-codec", "[\"pcmu\", \"pcma\"]").await;
    story.assert(PLAIN, ENDING);
}

#[tokio::test]
async fn the_callee_asks_for_an_offer() {
    let (story, _) = told("reinvite-late-offer", "[\"pcmu\"]").await;
    story.assert(PLAIN, ENDING);
}

#[tokio::test]
async fn an_offer_that_cannot_be_taken_is_refused_and_the_call_goes_on() {
    let (story, _) = told("reinvite-useless", "[\"pcmu\"]").await;
    story.assert(PLAIN, ENDING);
}

/// RFC 3261 section 14.1: who has chosen the Call-ID waits 2.1 to 4 seconds.
#[tokio::test]
async fn a_hold_that_crosses_an_offer_of_the_callee_is_offered_again() {
    let sipp = Sipp::serve("hold-glare").await;
    let config = trunk::config(sipp.address(), "transport = \"udp\"", "codecs = [\"pcmu\"]");
    let phone = Phone::start(&config).await;
    let call = phone.dial(NUMBER).await;
    within("the answer", call.answered()).await.unwrap();
    let mut events = call.events();
    call.hold().await.unwrap();
    let held = async { while events.next().await.expect("the call is up") != CallEvent::Held {} };
    within("the hold", held).await;
    call.hangup().await;
    let story = Story::of(&call).await;
    story.assert("initiated trying ringing answered held ended", "completed by local: 200 OK");
    assert_eq!(sipp.finish().await.requests("INVITE").len(), 3);
    phone.shutdown().await;
}

/// Codecs and packet time of an offer are those of the call's own trunk, whichever trunk was dialled last.
#[tokio::test]
async fn an_offer_within_the_call_is_its_own_trunks() {
    for (scenario, we_hold) in [("hold-glare", true), ("reinvite-late-offer", false)] {
        let sipp = Sipp::serve(scenario).await;
        let sandbox = Sandbox::builder().start().await.unwrap();
        let other = format!(
            "[trunks.other]\nserver = \"{}\"\ntransport = \"udp\"\ncodecs = [\"pcma\"]\nptime = \"40ms\"\n{}",
            sandbox.udp().unwrap(),
            trunk::account(&sandbox),
        );
        let phone = Phone::start(&format!("{}\n{other}", trunk::plain(sipp.address(), ""))).await;
        let call = phone.dial_with(request(NUMBER).trunk(trunk::NAME)).await;
        let between = phone.dial_with(request("+12025550116").trunk("other")).await;
        within("the answer", between.answered()).await.unwrap();
        within("the answer", call.answered()).await.unwrap();
        if we_hold {
            let mut events = call.events();
            call.hold().await.unwrap();
            let held = async { while events.next().await.expect("the call is up") != CallEvent::Held {} };
            within("the hold", held).await;
            call.hangup().await;
        }
        Story::of(&call).await;
        between.hangup().await;
        let transcript = sipp.finish().await;
        let offers: Vec<&str> = match we_hold {
            true => transcript.requests("INVITE").iter().map(|invite| invite.body()).collect(),
            false => transcript.responses("INVITE").iter().map(|ok| ok.body()).collect(),
        };
        let offer = offers.last().expect("we offered");
        assert!(offer.contains("RTP/AVP 0 ") && !offer.contains("PCMA"), "{scenario}: {offer}");
        assert!(!offer.contains("a=ptime"), "{scenario}: {offer}");
        phone.shutdown().await;
        sandbox.shutdown().await;
    }
}
