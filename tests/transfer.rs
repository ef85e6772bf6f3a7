//! Handing a callee over: to a number, and to whoever is on another call.

mod common;

use std::time::Duration;

use common::phone::request;
use common::{FarEnd, Phone, Story, trunk, within};
use outdial::call::{Call, CallError, CallEvent, EndedBy, TransferOutcome};
use outdial_sandbox::{Sandbox, Speech};

const NUMBER: &str = "+12025550123";

/// Waits for the first piece of news of a transfer that is not on the way any more.
async fn outcome(call: &Call) -> TransferOutcome {
    let mut events = call.events();
    let found = async {
        loop {
            match events.next().await.expect("the call is up") {
                CallEvent::TransferProgress(TransferOutcome::Progress(_)) => {}
                CallEvent::TransferProgress(outcome) => return outcome,
                _ => {}
            }
        }
    };
    within("the outcome", found).await
}

/// Two far ends with a call each.
struct Scene {
    phone: Phone,
    callee: FarEnd,
    agent: FarEnd,
    /// With the callee, and with whom the callee is to be connected.
    calls: (Call, Call),
}

impl Scene {
    async fn new() -> Self {
        let mut callee = FarEnd::on(trunk::loopback(30)).await;
        let mut agent = FarEnd::on(trunk::loopback(31)).await;
        callee.media_at((trunk::loopback(30), 9_000).into());
        agent.media_at((trunk::loopback(31), 9_000).into());
        let second = format!(
            "[trunks.agent]\nserver = \"{}\"\ntransport = \"udp\"\ncodecs = [\"pcmu\"]\nkeep_alive = \"0s\"\n",
            agent.address()
        );
        let phone = Phone::start(&trunk::plain(callee.address(), second)).await;
        let one = phone.dial_with(request(NUMBER).trunk(trunk::NAME)).await;
        callee.called().await;
        let other = phone.dial_with(request(NUMBER).trunk("agent")).await;
        agent.called().await;
        let (answered, too) = tokio::join!(one.answered(), other.answered());
        assert!(answered.is_ok() && too.is_ok());
        Self { phone, callee, agent, calls: (one, other) }
    }
}

#[tokio::test]
async fn the_callee_is_connected_with_whoever_is_on_the_other_call() {
    let Scene { phone, mut callee, mut agent, calls: (call, other) } = Scene::new().await;
    within("the REFER", call.transfer_to(&other)).await.unwrap();
    let refer = callee.got("REFER").await;
    // RFC 3891 section 3: the tags as the agent's end has them, its own one as to-tag.
    let ours = agent.got("INVITE").await;
    let from_tag = ours.header("From").split_once("tag=").unwrap().1.to_owned();
    let replaces = format!("Replaces={}%3Bto-tag%3Dstranger%3Bfrom-tag%3D{from_tag}", other.id());
    let to = refer.header("Refer-To");
    assert!(to.starts_with("<sip:+12025550123@") && to.contains(&replaces), "{to} without {replaces}");
    callee.notify("100 Trying", false).await;
    callee.notify("200 OK", true).await;
    assert!(matches!(outcome(&call).await, TransferOutcome::Completed(status) if status.code == 200));
    // The agent's end hangs up on the call that was replaced; the callee's end leaves it to us.
    agent.bye().await;
    let (end, replaced) = tokio::join!(within("the end", call.ended()), within("the end", other.ended()));
    assert_eq!((end.ended_by, replaced.ended_by), (EndedBy::Local, EndedBy::Remote));
    callee.got("BYE").await;
    Story::of(&call).await.assert(
        "initiated answered transfer-100 transfer-100 transferred ended",
        "completed by local: 200 OK",
    );
    phone.shutdown().await;
}

#[tokio::test]
async fn a_far_end_that_hangs_up_after_a_transfer_is_not_hung_up_on() {
    let Scene { phone, mut callee, agent: _agent, calls: (call, other) } = Scene::new().await;
    within("the REFER", call.transfer("sip:somebody@pbx.example.com")).await.unwrap();
    callee.got("REFER").await;
    callee.notify("200 OK", true).await;
    callee.bye().await;
    assert_eq!(within("the end", call.ended()).await.ended_by, EndedBy::Remote);
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(callee.count("BYE"), 0);
    within("the end", other.hangup()).await;
    phone.shutdown().await;
}

#[tokio::test]
async fn a_transfer_that_fails_leaves_both_calls_up() {
    let sandbox = Sandbox::builder().speech(Speech::Melodies).start().await.unwrap();
    let phone = Phone::start(&trunk::sandbox_udp(&sandbox, "")).await;
    let other = phone.dial("+12025550116").await;
    within("the answer", other.answered()).await.unwrap();
    // Accepts and then tells that the target is busy; refuses at once.
    for (number, code) in [("+12025550193", 486), ("+12025550194", 603)] {
        let call = phone.dial(number).await;
        within("the answer", call.answered()).await.unwrap();
        within("the REFER", call.transfer_to(&other)).await.unwrap();
        let outcome = outcome(&call).await;
        assert!(
            matches!(&outcome, TransferOutcome::Failed(status) if status.code == code),
            "{number}: {outcome:?}"
        );
        tokio::time::sleep(Duration::from_secs(3)).await;
        assert!(call.end().is_none() && other.end().is_none());
        within("the end", call.hangup()).await;
    }
    within("the end", other.hangup()).await;
    phone.shutdown().await;
    sandbox.shutdown().await;
}

#[tokio::test]
async fn only_two_answered_calls_can_be_connected() {
    let sandbox = Sandbox::builder().speech(Speech::Melodies).start().await.unwrap();
    let phone = Phone::start(&trunk::sandbox_udp(&sandbox, "")).await;
    let call = phone.dial("+12025550116").await;
    within("the answer", call.answered()).await.unwrap();
    let ringing = phone.dial("+12025550103").await;
    assert_eq!(call.transfer_to(&ringing).await, Err(CallError::NotAnswered));
    assert_eq!(ringing.transfer_to(&call).await, Err(CallError::NotAnswered));
    assert!(matches!(call.transfer_to(&call).await, Err(CallError::Invalid(_))));
    within("the end", ringing.hangup()).await;
    assert!(matches!(call.transfer_to(&ringing).await, Err(CallError::Invalid(_))));
    within("the end", call.hangup()).await;
    assert!(call.transfer_to(&ringing).await.is_err());
    phone.shutdown().await;
    sandbox.shutdown().await;
}
