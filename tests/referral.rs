//! A callee that asks for the call to be moved to somebody else (REFER): refused, unless the operator permits it, and then
//! under all the rules that any call is under.

mod common;

use std::net::SocketAddr;
use std::time::Duration;

use common::phone::{request, turn};
use common::{Caller, FarEnd, Rtp, Story, trunk, within};
use outdial::audit::verify_file;
use outdial::call::{Call, CallEvent, EndReason, EndedBy};
use outdial::ledger::LedgerReader;
use outdial::{Config, DialProvider, Outdial, Shutdown};
use rust_decimal::Decimal;
use serde_json::Value;
use tempfile::TempDir;
use tokio::sync::MutexGuard;

const CALLEE: &str = "+12025550123";
const OTHER: &str = "<sip:+12025550177@pbx.example.com>";
/// Tones that G.711 carries and that are no multiples of each other.
const FIRST: f64 = 700.0;
const SECOND: f64 = 1_100.0;
const NEAR: f64 = 1_500.0;

/// A call with a callee, and somebody else to whom it may be moved; both are behind one trunk.
struct Scene {
    outdial: Outdial,
    folder: TempDir,
    trunk: FarEnd,
    call: Call,
    caller: Caller,
    first: Rtp,
    second: Rtp,
    _turn: MutexGuard<'static, ()>,
}

/// The key by which the operator permits it.
const PERMITTED: &str = "callee_transfer_prefixes = [\"+1202555\", \"+1900\", \"+49\"]\n";

impl Scene {
    /// `keys` are added to the trunk, `tables` to the configuration.
    async fn new(keys: &str, tables: &str) -> Self {
        let turn = turn().await;
        let folder = tempfile::tempdir().unwrap();
        let mut trunk = FarEnd::on(trunk::loopback(30)).await;
        let nobody = SocketAddr::new(trunk::loopback(99), 9);
        let first = Rtp::on(trunk::loopback(30), FIRST, nobody).await;
        let second = Rtp::on(trunk::loopback(31), SECOND, nobody).await;
        trunk.media_at(first.address());
        let text = trunk::plain(
            trunk.address(),
            format!(
                "{keys}[trunks.test.tariff]\nrates = [{{ prefix = \"\", price = \"0.60\", increment = \"1/1\" }}]\n\
                 [records]\nfolder = {:?}\nsession = \"s1\"\n{tables}",
                folder.path()
            ),
        );
        let config = Config::parse(&text).unwrap_or_else(|error| panic!("{error}\n{text}"));
        let outdial = within("the start", Outdial::from_config(&config)).await.unwrap();
        let call = within("the call", outdial.dial_with(request(CALLEE))).await.unwrap();
        first.send_to(trunk.called().await);
        within("the answer", call.answered()).await.unwrap();
        let mut caller = Caller::new(&call, NEAR);
        first.hears(NEAR).await;
        caller.hears(FIRST).await;
        trunk.media_at(second.address());
        trunk.speak_in(0);
        Self { outdial, folder, trunk, call, caller, first, second, _turn: turn }
    }

    /// There is sound between the caller and whoever the call was moved to, and none with who was there before.
    async fn talks_with_the_second(&mut self) {
        self.second.hears(NEAR).await;
        self.caller.hears(SECOND).await;
        let before = self.first.packets();
        assert!(self.caller.most_of(FIRST, Duration::from_millis(500)).await < 0.2);
        assert_eq!(self.first.packets(), before, "the first one is still spoken to");
    }

    /// The audit log's events, when everything is over.
    async fn records(self) -> Vec<Value> {
        within("the shutdown", self.outdial.shutdown(Shutdown::HangUp)).await;
        let log = self.folder.path().join("audit/s1/wire.jsonl");
        assert!(verify_file(&log).unwrap().is_intact());
        let text = std::fs::read_to_string(log).unwrap();
        let event = |line| serde_json::from_str::<Value>(line).unwrap()["event"].take();
        text.lines().skip(1).map(event).collect()
    }
}

/// The transfers in the records: whose wish, where to, what came of it.
fn transfers(events: &[Value]) -> Vec<String> {
    let transfers = events.iter().filter(|event| event["type"] == "voice.call.transfer");
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    transfers.map(|e| format!("{} {} {}", text(&e["by"]), text(&e["target"]), text(&e["outcome"]))).collect()
}

fn count(events: &[Value], kind: &str) -> usize {
    events.iter().filter(|event| event["type"] == kind).count()
}

#[tokio::test]
async fn the_call_goes_on_with_whoever_it_is_moved_to() {
    let mut scene = Scene::new(PERMITTED, "").await;
    assert_eq!(scene.trunk.refer(OTHER).await, "202 Accepted");
    scene.second.send_to(scene.trunk.called().await);
    assert_eq!(
        scene.trunk.got("INVITE").await.header("To"),
        format!("sip:+12025550177@{}", scene.trunk.address().ip())
    );
    assert_eq!(scene.trunk.told_to_the_end().await, ["100 Trying active", "200 OK terminated"]);
    scene.trunk.bye().await;
    scene.talks_with_the_second().await;
    // Holds and keys go to where the sound is.
    within("the hold", scene.call.hold()).await.unwrap();
    let offer = scene.trunk.got("re-INVITE").await;
    assert_ne!(offer.header("Call-ID"), scene.call.id().as_str());
    let mut events = scene.call.events();
    let held = async { while events.next().await != Some(CallEvent::Held) {} };
    within("the news of it", held).await;
    let end = within("the end", scene.call.hangup()).await;
    assert_eq!((end.reason, end.ended_by), (EndReason::Completed, EndedBy::Local));
    let words = Story::of(&scene.call).await.words();
    assert!(words.starts_with("initiated answered transfer-100 moved held"), "{words}");
    assert_eq!(scene.trunk.calls(), 2);
    scene.trunk.got("BYE").await;

    let (folder, talk) = (scene.folder.path().to_owned(), end.talk_time);
    within("the shutdown", scene.outdial.shutdown(Shutdown::HangUp)).await;
    let calls = LedgerReader::open(&folder).unwrap().calls(None).unwrap();
    assert_eq!(calls.len(), 2);
    // Each has its own time and its own price.
    assert!(calls.iter().all(|call| call.cost_usd > Decimal::ZERO), "{calls:?}");
    let other = calls.iter().find(|call| call.call_id.as_deref() != Some(scene.call.id().as_str())).unwrap();
    let other = other.end.as_ref().unwrap();
    assert!(other.talk_time > Duration::ZERO && other.reason == EndReason::Completed, "{other:?}");
    assert!(talk > Duration::ZERO);
    let events = scene.records().await;
    assert_eq!(transfers(&events), ["callee +1***0177 requested", "callee  completed"]);
    assert_eq!((count(&events, "voice.call.start"), count(&events, "voice.call.end")), (2, 2));
}

#[tokio::test]
async fn nothing_is_dialled_where_nobody_permits_it() {
    let mut scene = Scene::new("", "").await;
    assert_eq!(scene.trunk.refer(OTHER).await, "603 Decline");
    scene.caller.hears(FIRST).await;
    assert_eq!(scene.trunk.calls(), 1);
    within("the end", scene.call.hangup()).await;
    let events = scene.records().await;
    assert_eq!(transfers(&events), ["callee +1***0177 refused"]);
    assert_eq!(count(&events, "voice.call.start"), 1);
}

/// What a callee may not make us call, whatever is permitted to agents.
#[tokio::test]
async fn a_forbidden_target_is_refused_at_once() {
    let rules = "[policy]\nallow_premium = true\nallow_emergency = true\ndeny_prefixes = [\"+12025550\"]\n\
                 allow_prefixes = [\"+12025550123\", \"+12025550177\"]\nallow_countries = [\"US\", \"DE\"]\n";
    let mut scene = Scene::new(PERMITTED, rules).await;
    for target in [
        // Premium rate, emergency, denied, outside the trunk's list.
        "<sip:+19002345678@pbx>",
        "<tel:+1-900-234-5678>",
        "<sip:+4911212345@pbx>",
        "<sip:+12025550178@pbx>",
        "<sip:+13105550100@pbx>",
        "<sip:0019002345678@pbx>",
        // Somebody else's dialog, another method, no number.
        "<sip:+12025550177@pbx?Replaces=1%3Bto-tag%3D2%3Bfrom-tag%3D3>",
        "<sip:+12025550177@pbx;method=BYE>",
        "<sip:reception@pbx>",
    ] {
        assert_eq!(scene.trunk.refer(target).await, "603 Decline", "{target}");
    }
    scene.caller.hears(FIRST).await;
    assert_eq!((scene.trunk.calls(), scene.trunk.count("NOTIFY")), (1, 0));
    // The same call may be moved where it may.
    assert_eq!(scene.trunk.refer(OTHER).await, "202 Accepted");
    scene.second.send_to(scene.trunk.called().await);
    scene.talks_with_the_second().await;
    // The second call is nobody's to move again.
    scene.trunk.speak_in(1);
    assert_eq!(scene.trunk.refer(OTHER).await, "603 Decline");
    within("the end", scene.call.hangup()).await;
    let events = scene.records().await;
    assert_eq!(transfers(&events).iter().filter(|transfer| transfer.ends_with("refused")).count(), 10);
    assert_eq!(count(&events, "voice.call.start"), 2);
}

/// The rules that ask for more than the number come after the 202, which they take back.
#[tokio::test]
async fn a_rule_that_refuses_the_second_call_leaves_the_first() {
    let mut scene = Scene::new(PERMITTED, "[policy]\nmax_calls = 1\n").await;
    assert_eq!(scene.trunk.refer(OTHER).await, "202 Accepted");
    assert_eq!(
        scene.trunk.told_to_the_end().await,
        ["100 Trying active", "503 Service Unavailable terminated"]
    );
    scene.caller.hears(FIRST).await;
    assert_eq!(scene.trunk.calls(), 1);
    within("the end", scene.call.hangup()).await;
    Story::of(&scene.call)
        .await
        .assert("initiated answered transfer-100 not-transferred-503 ended", "completed by local: 200 OK");
    let events = scene.records().await;
    assert_eq!(transfers(&events), ["callee +1***0177 requested", "callee  failed"]);
    assert_eq!(count(&events, "voice.call.refused"), 1);
}

#[tokio::test]
async fn a_target_that_is_busy_leaves_the_first_call_and_may_be_tried_twice_more() {
    let mut scene = Scene::new(PERMITTED, "").await;
    scene.trunk.answers_with("486 Busy Here");
    for times in 1..=3 {
        assert_eq!(scene.trunk.refer(OTHER).await, "202 Accepted");
        let told = async {
            while scene.trunk.told().len() < 2 * times {
                tokio::time::sleep(Duration::from_millis(10)).await
            }
        };
        within("the outcome", told).await;
        assert_eq!(scene.trunk.told()[2 * times - 1], "486 Busy Here terminated");
        scene.caller.hears(FIRST).await;
    }
    // No more: each time somebody's telephone may ring.
    assert_eq!(scene.trunk.refer(OTHER).await, "202 Accepted");
    let told = async {
        while scene.trunk.told().len() < 8 {
            tokio::time::sleep(Duration::from_millis(10)).await
        }
    };
    within("the outcome", told).await;
    assert_eq!(scene.trunk.told()[7], "603 Decline terminated");
    assert_eq!(scene.trunk.calls(), 4);
    within("the end", scene.call.hangup()).await;
    let events = scene.records().await;
    assert_eq!((count(&events, "voice.call.start"), count(&events, "voice.call.end")), (4, 4));
}

/// As most PBXs do it: the callee's end hangs up as soon as it knows that we agree.
#[tokio::test]
async fn the_callee_may_be_gone_before_the_other_answers() {
    let mut scene = Scene::new(PERMITTED, "").await;
    scene.trunk.answers_with("180 Ringing");
    assert_eq!(scene.trunk.refer(OTHER).await, "202 Accepted");
    scene.second.send_to(scene.trunk.called().await);
    scene.trunk.bye().await;
    assert!(scene.call.end().is_none());
    scene.trunk.pick_up().await;
    scene.talks_with_the_second().await;
    scene.trunk.speak_in(1);
    scene.trunk.bye().await;
    let end = within("the end", scene.call.ended()).await;
    assert_eq!((end.reason, end.ended_by), (EndReason::Completed, EndedBy::Remote));
    let events = scene.records().await;
    assert_eq!((count(&events, "voice.call.start"), count(&events, "voice.call.end")), (2, 2));
}

#[tokio::test]
async fn who_hangs_up_meanwhile_hangs_up_on_both() {
    let mut scene = Scene::new(PERMITTED, "").await;
    scene.trunk.answers_with("180 Ringing");
    assert_eq!(scene.trunk.refer(OTHER).await, "202 Accepted");
    scene.trunk.called().await;
    let end = within("the end", scene.call.hangup()).await;
    assert_eq!((end.reason, end.ended_by), (EndReason::Completed, EndedBy::Local));
    scene.trunk.got("CANCEL").await;
    scene.trunk.got("BYE").await;
    let events = scene.records().await;
    assert_eq!((count(&events, "voice.call.start"), count(&events, "voice.call.end")), (2, 2));
}

/// A callee's end that does not hang up is hung up on.
#[tokio::test]
async fn we_let_go_of_a_callee_that_stays() {
    let mut scene = Scene::new(PERMITTED, "").await;
    assert_eq!(scene.trunk.refer(OTHER).await, "202 Accepted");
    scene.second.send_to(scene.trunk.called().await);
    scene.trunk.got("BYE").await;
    assert!(scene.call.end().is_none());
    scene.talks_with_the_second().await;
    scene.trunk.speak_in(1);
    scene.trunk.bye().await;
    assert_eq!(within("the end", scene.call.ended()).await.ended_by, EndedBy::Remote);
    scene.records().await;
}
