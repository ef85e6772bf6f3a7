//! Offers within a call: hold, another codec, more media, late offers.

mod common;

use common::{Phone, Sipp, Story, Transcript, trunk};

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
