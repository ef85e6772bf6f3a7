//! Transfers by REFER: ours, and those that the PBX asks for.

use outdial::call::{CallEvent, EndReason, EndedBy, TransferOutcome};
use outdial::ledger::LedgerReader;
use outdial::{Config, DialProvider as _, Outdial, Shutdown};

use super::common::phone::{request, turn};
use super::common::{Story, trunk, within};
use super::manager::Manager;
use super::pbx::{
    BRIDGED_ECHO, TRANSFERS_US, TRANSFERS_US_TO_ECHO, account, one, through_kamailio, to_asterisk,
};
use super::signalling::Echo;

fn plain(way: &str) -> String {
    format!("codecs = [\"pcmu\"]\n{way}\n{}", account("alice"))
}

/// The PBX passes the party that we talk with on to another number, tells how that went, and lets us go.
#[tokio::test]
async fn a_blind_transfer_and_its_outcome() {
    for way in [to_asterisk("udp"), through_kamailio("tcp")] {
        let phone = one(&plain(&way)).await;
        let call = phone.dial(BRIDGED_ECHO).await;
        within("the answer", call.answered()).await.unwrap();
        within("the REFER", call.transfer(BRIDGED_ECHO)).await.unwrap();
        let story = Story::of(&call).await;
        assert!(story.words().contains(" transferred ended"), "{}", story.words());
        assert_eq!(story.end.reason, EndReason::Completed, "{}", story.ending());
        phone.shutdown().await;
    }
}

/// Two calls that the PBX has passed on become one, which is the PBX's alone.
#[tokio::test]
async fn two_calls_are_connected_by_an_attended_transfer() {
    let phone = one(&plain(&to_asterisk("udp"))).await;
    let (call, other) = (phone.dial(BRIDGED_ECHO).await, phone.dial(BRIDGED_ECHO).await);
    for call in [&call, &other] {
        within("the answer", call.answered()).await.unwrap();
    }
    within("the REFER", call.transfer_to(&other)).await.unwrap();
    let (story, replaced) = tokio::join!(Story::of(&call), Story::of(&other));
    assert!(story.words().ends_with("transferred ended"), "{}", story.words());
    assert_eq!((story.end.reason, replaced.end.reason), (EndReason::Completed, EndReason::Completed));
    phone.shutdown().await;
}

#[tokio::test]
async fn a_blind_transfer_to_nowhere_is_told_and_the_call_goes_on() {
    let phone = one(&plain(&to_asterisk("udp"))).await;
    let call = phone.dial(BRIDGED_ECHO).await;
    within("the answer", call.answered()).await.unwrap();
    // Not in its dial plan: the PBX refuses at once.
    within("the REFER", call.transfer("sip:nobody@127.0.0.10")).await.unwrap();
    let mut events = call.events();
    let failed = async {
        loop {
            let event = events.next().await.expect("the call is up");
            if super::common::story::word(&event).starts_with("not-transferred") {
                return;
            }
        }
    };
    within("the refusal", failed).await;
    call.hangup().await;
    assert_eq!(Story::of(&call).await.ending(), "completed by local: 200 OK");
    phone.shutdown().await;
}

/// Toll fraud by REFER: the callee asks us to call a premium number.
#[tokio::test]
async fn a_transfer_that_the_pbx_asks_for_is_refused() {
    let manager = Manager::new().await;
    let phone = one(&plain(&to_asterisk("udp"))).await;
    let call = phone.dial(TRANSFERS_US).await;
    let story = Story::of(&call).await;
    assert_eq!(story.end.reason, EndReason::Completed, "{}", story.ending());
    assert_eq!(manager.told("Transferred", call.id().as_str()).await.get("Status"), "FAILURE");
    assert_eq!(phone.stats().calls, 0);
    phone.shutdown().await;
}

/// A receptionist who puts the caller through: where the operator permits it the call goes on with whoever answers there.
#[tokio::test]
async fn the_pbx_has_the_call_moved_to_another_number() {
    for way in [to_asterisk("udp"), through_kamailio("tcp")] {
        let _turn = turn().await;
        let manager = Manager::new().await;
        let folder = tempfile::tempdir().unwrap();
        let trunk = format!("{}\ncallee_transfer_prefixes = [\"+12025550100\"]", plain(&way));
        let text = format!(
            "[endpoint]\nbind = \"{}\"\n[trunks.pbx]\nkeep_alive = \"0s\"\n{trunk}\n[records]\nfolder = {:?}\n",
            trunk::loopback(1),
            folder.path()
        );
        let outdial = Outdial::from_config(&Config::parse(&text).unwrap()).await.unwrap();
        let call = within("the call", outdial.dial_with(request(TRANSFERS_US_TO_ECHO))).await.unwrap();
        let mut events = call.events();
        let moved = async {
            loop {
                match events.next().await.expect("the call is up") {
                    CallEvent::TransferProgress(TransferOutcome::Moved(_)) => return,
                    CallEvent::Ended(end) => panic!("{end:?}"),
                    _ => {}
                }
            }
        };
        within("the other party", moved).await;
        assert_eq!(manager.told("Transferred", call.id().as_str()).await.get("Status"), "SUCCESS");
        let echo = Echo::of(&call).await;
        let end = within("the end", call.hangup()).await;
        assert_eq!((end.reason, end.ended_by), (EndReason::Completed, EndedBy::Local), "{end:?}");
        within("the shutdown", outdial.shutdown(Shutdown::HangUp)).await;
        let calls = LedgerReader::open(folder.path()).unwrap().calls(None).unwrap();
        let second = calls.iter().find(|other| other.call_id.as_deref() != Some(call.id().as_str())).unwrap();
        echo.check(second.end.as_ref().unwrap());
    }
}
