//! What a host can prove afterwards: every call, refused or made, is in the audit log, the ledger and the host's sinks.

mod common;

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use common::phone::{request, turn};
use common::{trunk, within};
use outdial::audit::{AuditError, AuditEvent, AuditSink, verify_file};
use outdial::call::TransferOutcome;
use outdial::ledger::{CallRecord, LedgerError, LedgerReader};
use outdial::usage::{UsageError, UsageEvent, UsageSink};
use outdial::{
    Call, CallError, CallEvent, Config, DialError, DialProvider, EndReason, Outdial, OutdialError, Shutdown,
};
use outdial_sandbox::{Sandbox, Speech};
use rust_decimal::Decimal;
use serde_json::Value;
use tempfile::TempDir;
use tokio::sync::MutexGuard;

/// Answers, and stays until the caller hangs up.
const ANSWERS: &str = "+12025550116";
/// Rings for ever.
const RINGS: &str = "+12025550103";
const BUSY: &str = "+12025550102";

/// A host with its own folder and a telephone company of its own.
struct Host {
    sandbox: Sandbox,
    folder: TempDir,
    more: String,
    _turn: MutexGuard<'static, ()>,
}

impl Host {
    /// `more` is added to the configuration at its end.
    async fn new(more: &str) -> Self {
        let turn = turn().await;
        let sandbox = Sandbox::builder().speech(Speech::Melodies).start().await.unwrap();
        Self { sandbox, folder: tempfile::tempdir().unwrap(), more: more.to_owned(), _turn: turn }
    }

    fn config(&self) -> Config {
        let tariff =
            "[trunks.test.tariff]\nrates = [{ prefix = \"1\", price = \"0.60\", increment = \"1/1\" }]";
        let text = trunk::sandbox_udp(
            &self.sandbox,
            format!(
                "{tariff}\n[records]\nfolder = {:?}\nsession = \"s1\"\n{}",
                self.folder.path(),
                self.more
            ),
        );
        Config::parse(&text).unwrap_or_else(|error| panic!("{error}\n{text}"))
    }

    async fn start(&self) -> Outdial {
        within("the start", Outdial::from_config(&self.config()))
            .await
            .unwrap_or_else(|error| panic!("{error:?}"))
    }

    fn log(&self) -> std::path::PathBuf {
        self.folder.path().join("audit/s1/wire.jsonl")
    }

    /// The events of the audit log, which must verify.
    fn events(&self) -> Vec<Value> {
        let report = verify_file(self.log()).unwrap();
        assert!(report.is_intact() && report.warnings.is_empty(), "{report:?}");
        events(&self.log())
    }

    fn calls(&self) -> Vec<CallRecord> {
        LedgerReader::open(self.folder.path()).unwrap().calls(None).unwrap()
    }

    async fn finish(self, outdial: Outdial) {
        within("the shutdown", outdial.shutdown(Shutdown::HangUp)).await;
        self.sandbox.shutdown().await;
    }
}

fn events(log: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(log).unwrap();
    let lines = text.lines().skip(1).map(|line| serde_json::from_str::<Value>(line).unwrap()["event"].take());
    lines.collect()
}

fn types(events: &[Value]) -> Vec<&str> {
    events.iter().map(|event| event["type"].as_str().unwrap()).collect()
}

async fn dial(outdial: &Outdial, number: &str) -> Call {
    within("the call", outdial.dial_with(request(number))).await.unwrap_or_else(|error| panic!("{error}"))
}

async fn rule(outdial: &Outdial, number: &str) -> String {
    match within("the refusal", outdial.dial_with(request(number))).await {
        Ok(call) => panic!("a call came to be: {call:?}"),
        Err(DialError::Refused { rule, .. }) => rule.to_owned(),
        Err(other) => other.kind().to_owned(),
    }
}

#[tokio::test]
async fn a_call_has_its_start_keys_and_end_in_the_log_and_its_cost_in_the_ledger() {
    let host = Host::new("").await;
    let outdial = host.start().await;
    let call = dial(&outdial, ANSWERS).await;
    within("the answer", call.answered()).await.unwrap();
    call.send_dtmf("12").await.unwrap();
    call.send_dtmf_masked("4711").await.unwrap();
    // The callee says something, so that there is a time to pay for.
    within("a frame", call.audio().unwrap().listener.recv()).await.unwrap();
    let end = within("the end", call.hangup()).await;
    let busy = within("the end", dial(&outdial, BUSY).await.ended()).await;
    assert_eq!(busy.reason, EndReason::Busy);
    within("the shutdown", outdial.shutdown(Shutdown::HangUp)).await;

    let events = host.events();
    let expected = [
        "voice.credential.used",
        "voice.call.start",
        "voice.call.dtmf",
        "voice.call.dtmf",
        "voice.call.end",
        "voice.call.start",
        "voice.call.end",
    ];
    assert_eq!(types(&events), expected);
    assert_eq!((&events[0]["source"], &events[0]["trunk"]), (&"file".into(), &"test".into()));
    let start = &events[1];
    assert_eq!((&start["callId"], &start["to"]), (&call.id().as_str().into(), &"+1***0116".into()));
    assert_eq!((&start["provider"], &start["trunk"]), (&"sip".into(), &"test".into()));
    assert_eq!((&events[2]["digits"], &events[3]["digits"]), (&"12".into(), &"****".into()));
    let told = &events[4];
    assert_eq!((&told["reason"], &told["recovered"]), (&"completed".into(), &false.into()));
    assert_eq!(told["talkMs"], u64::try_from(end.talk_time.as_millis()).unwrap());
    assert_eq!((&events[6]["reason"], &events[6]["sipCode"]), (&"busy".into(), &486.into()));
    assert_eq!(events[6]["costUsd"], 0.0);

    let calls = host.calls();
    assert_eq!(calls.len(), 2);
    let usage = calls[0].usage().unwrap();
    assert_eq!(usage.call_id, call.id().as_str());
    // A cent for each second that has begun.
    let cents = end.talk_time.as_millis().div_ceil(1000);
    assert_eq!(usage.cost_usd, Decimal::new(cents.try_into().unwrap(), 2));
    assert_eq!(told["costUsd"].to_string(), usage.cost_usd.to_string());
    assert_eq!(calls[0].end.as_ref().map(|end| end.reason), Some(EndReason::Completed));
    assert!(calls[1].usage().is_some_and(|usage| usage.cost_usd.is_zero() && usage.rated && !usage.answered));
    host.sandbox.shutdown().await;
}

#[tokio::test]
async fn what_a_rule_forbids_leaves_no_packet_and_a_record() {
    let list = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(list.path(), "+1 202 555 0117\n").unwrap();
    let more = format!(
        "[policy]\ndo_not_call = {:?}\nattempts_per_day = 1\ndeny_prefixes = [\"+4930\"]\n[agents.tester]\nmax_calls = 1",
        list.path()
    );
    let host = Host::new(&more).await;
    let outdial = host.start().await;
    assert_eq!(rule(&outdial, "+19002345678").await, "premium_rate");
    assert_eq!(rule(&outdial, "+881612345678").await, "satellite");
    assert_eq!(rule(&outdial, "+4911212345").await, "emergency");
    assert_eq!(rule(&outdial, "+4930123456").await, "denied_prefix");
    assert_eq!(rule(&outdial, "+12025550117").await, "do_not_call");
    let stranger = outdial::DialRequest::new("stranger".parse().unwrap(), ANSWERS.parse().unwrap());
    assert_eq!(outdial.dial_with(stranger).await.unwrap_err().kind(), "unknown_agent");
    assert!(host.sandbox.calls().is_empty());

    let call = dial(&outdial, ANSWERS).await;
    assert_eq!(rule(&outdial, RINGS).await, "at_capacity");
    within("the answer", call.answered()).await.unwrap();
    let refused = call.transfer("+19002345678").await.unwrap_err();
    assert!(matches!(refused, CallError::Policy { rule: "premium_rate", .. }), "{refused:?}");
    within("the end", call.hangup()).await;
    assert_eq!(rule(&outdial, ANSWERS).await, "attempts");
    // The list counts as it is now.
    std::fs::write(list.path(), "nobody\n").unwrap();
    assert_eq!(rule(&outdial, RINGS).await, "do_not_call");
    assert_eq!(host.sandbox.calls().len(), 1);
    assert_eq!(outdial.refusals().values().sum::<u64>(), 9);
    within("the shutdown", outdial.shutdown(Shutdown::HangUp)).await;

    let events = host.events();
    let refused: Vec<_> = events.iter().filter(|event| event["type"] == "voice.call.refused").collect();
    assert_eq!(refused.len(), 9);
    assert_eq!((&refused[0]["rule"], &refused[0]["to"]), (&"premium_rate".into(), &"+1***5678".into()));
    assert_eq!((&refused[0]["kind"], &refused[0]["provider"]), (&"refused".into(), &"sip".into()));
    assert_eq!(host.calls().len(), 1);
    host.sandbox.shutdown().await;
}

#[tokio::test]
async fn a_key_rings_once_at_the_same_time_afterwards_and_after_a_restart() {
    let host = Host::new("").await;
    let outdial = host.start().await;
    let keyed = |number: &str| request(number).idempotency_key("appointment-1");
    let (first, second) = within("both", async {
        tokio::join!(outdial.dial_with(keyed(ANSWERS)), outdial.dial_with(keyed(ANSWERS)))
    })
    .await;
    let (first, second) = (first.unwrap(), second.unwrap());
    assert_eq!(first.id(), second.id());
    // Either handle keeps the one call up.
    drop(first);
    within("the answer", second.answered()).await.unwrap();
    let other = outdial.dial_with(keyed(BUSY)).await.unwrap_err();
    assert!(matches!(other, DialError::InvalidRequest { field: "idempotency_key", .. }), "{other}");
    let end = within("the end", second.hangup()).await;
    let third = outdial.dial_with(keyed(ANSWERS)).await.unwrap();
    assert_eq!((third.id(), third.ended().await.reason), (second.id(), end.reason));
    within("the shutdown", outdial.shutdown(Shutdown::HangUp)).await;

    let outdial = host.start().await;
    let fourth = outdial.dial_with(keyed(ANSWERS)).await.unwrap();
    assert_eq!(
        (fourth.id(), fourth.ended().await.talk_time.as_millis()),
        (second.id(), end.talk_time.as_millis())
    );
    assert!(fourth.audio().is_err() && fourth.send_dtmf("1").await == Err(CallError::Ended));
    // A refusal rings nowhere and leaves the key free.
    let refused = outdial.dial_with(request("+19002345678").idempotency_key("k2")).await.unwrap_err();
    assert_eq!(refused.kind(), "refused");
    let fifth = outdial.dial_with(request(BUSY).idempotency_key("k2")).await.unwrap();
    assert_ne!(fifth.id(), second.id());
    within("the end", fifth.ended()).await;
    assert_eq!(host.sandbox.calls().len(), 2);
    host.finish(outdial).await;
}

#[tokio::test]
async fn a_call_is_hung_up_when_the_money_of_the_day_is_gone() {
    let host = Host::new("[policy]\nspend_per_day = \"0.03\"").await;
    let outdial = host.start().await;
    let call = dial(&outdial, ANSWERS).await;
    let end = within("the end", call.ended()).await;
    assert_eq!((end.reason, end.ended_by.as_str()), (EndReason::Policy, "local"), "{end:?}");
    assert!(end.detail.as_ref().is_some_and(|detail| detail.contains("money")), "{end:?}");
    assert!(!end.talk_time.is_zero());
    within("the shutdown", outdial.shutdown(Shutdown::HangUp)).await;
    let spent = host.calls()[0].cost_usd;
    assert!(!spent.is_zero() && spent <= "0.03".parse().unwrap(), "{spent}");

    // What is left of the day's money is known after a restart.
    let host_events = host.events();
    assert_eq!(host_events.last().unwrap()["reason"], "policy");
    host.sandbox.shutdown().await;
}

#[tokio::test]
async fn a_dial_that_nobody_waits_for_is_ended_and_recorded() {
    let host = Host::new("").await;
    let outdial = host.start().await;
    let dialled = tokio::time::timeout(Duration::from_millis(1), outdial.dial_with(request(RINGS))).await;
    drop(dialled);
    let over = async {
        while outdial.calls() > 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    within("the end", over).await;
    within("the shutdown", outdial.shutdown(Shutdown::HangUp)).await;
    let events = host.events();
    let of = |name: &str| events.iter().filter(|event| event["type"] == name).count();
    assert_eq!(of("voice.call.start"), of("voice.call.end"));
    assert_eq!(of("voice.call.start") + of("voice.call.refused"), 1, "{events:?}");
    assert_eq!(host.calls().len(), of("voice.call.start"));
    host.sandbox.shutdown().await;
}

#[tokio::test]
async fn a_transfer_is_recorded_when_it_is_asked_for_and_when_it_failed() {
    let host = Host::new("").await;
    let outdial = host.start().await;
    // Accepts, and reports that the target is busy.
    let call = dial(&outdial, "+12025550193").await;
    within("the answer", call.answered()).await.unwrap();
    let mut events = call.events();
    call.transfer("+12025550102").await.unwrap();
    while !matches!(
        within("the outcome", events.next()).await,
        Some(CallEvent::TransferProgress(TransferOutcome::Failed(_)))
    ) {}
    within("the end", call.hangup()).await;
    within("the shutdown", outdial.shutdown(Shutdown::HangUp)).await;
    let events = host.events();
    let transfers: Vec<_> = events.iter().filter(|event| event["type"] == "voice.call.transfer").collect();
    assert_eq!(transfers.len(), 2, "{events:?}");
    assert_eq!(
        (&transfers[0]["outcome"], &transfers[0]["target"]),
        (&"requested".into(), &"+1***0102".into())
    );
    assert_eq!((&transfers[1]["outcome"], &transfers[1]["sipCode"]), (&"failed".into(), &486.into()));
    assert_eq!(events.last().unwrap()["type"], "voice.call.end");
    host.sandbox.shutdown().await;
}

#[tokio::test]
async fn two_processes_cannot_own_the_same_records() {
    let host = Host::new("").await;
    let outdial = host.start().await;
    let second = Outdial::from_config(&host.config()).await;
    assert!(matches!(second, Err(OutdialError::Ledger(LedgerError::Locked { .. }))));
    drop(second);
    within("the end", dial(&outdial, BUSY).await.ended()).await;
    host.finish(outdial).await;
}

/// A host's own sinks, which fail on request.
#[derive(Default)]
struct Sinks {
    audit: Mutex<Vec<Value>>,
    usage: Mutex<Vec<UsageEvent>>,
    full: std::sync::atomic::AtomicBool,
}

impl Sinks {
    fn full(&self) -> bool {
        self.full.load(std::sync::atomic::Ordering::SeqCst)
    }

    fn fill(&self, full: bool) {
        self.full.store(full, std::sync::atomic::Ordering::SeqCst);
    }
}

impl AuditSink for Sinks {
    fn record(&self, event: &AuditEvent) -> Result<(), AuditError> {
        if self.full() {
            return Err(AuditError::Sink("no space left".into()));
        }
        self.audit.lock().unwrap().push(serde_json::to_value(event).unwrap());
        Ok(())
    }
}

impl UsageSink for Sinks {
    fn record(&self, event: &UsageEvent) -> Result<(), UsageError> {
        if self.full() {
            return Err(UsageError("no space left".into()));
        }
        self.usage.lock().unwrap().push(event.clone());
        Ok(())
    }
}

#[tokio::test]
async fn a_full_disk_stops_dialling_and_nothing_is_lost_when_there_is_room_again() {
    let host = Host::new("").await;
    let sinks = Arc::new(Sinks::default());
    let outdial =
        Outdial::builder(&host.config()).audit(sinks.clone()).usage(sinks.clone()).start().await.unwrap();
    let call = dial(&outdial, ANSWERS).await;
    within("the answer", call.answered()).await.unwrap();
    sinks.fill(true);
    within("the end", call.hangup()).await;
    assert_eq!(rule(&outdial, BUSY).await, "records");
    assert_eq!(rule(&outdial, BUSY).await, "records");
    assert_eq!(host.sandbox.calls().len(), 1);
    sinks.fill(false);
    let again = async {
        loop {
            match outdial.dial_with(request(BUSY)).await {
                Ok(call) => return call,
                Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
            }
        }
    };
    within("the end", within("a dial", again).await.ended()).await;
    within("the shutdown", outdial.shutdown(Shutdown::HangUp)).await;
    let events = sinks.audit.lock().unwrap().clone();
    let calls: Vec<_> =
        events.iter().filter(|e| e["type"] == "voice.call.start" || e["type"] == "voice.call.end").collect();
    let told: Vec<_> =
        calls.iter().map(|e| (e["type"].as_str().unwrap(), e["callId"] == call.id().as_str())).collect();
    let expected = [
        ("voice.call.start", true),
        ("voice.call.end", true),
        ("voice.call.start", false),
        ("voice.call.end", false),
    ];
    assert_eq!(told, expected);
    let usage = sinks.usage.lock().unwrap().clone();
    assert_eq!(
        usage.iter().map(|event| event.reason).collect::<Vec<_>>(),
        [EndReason::Completed, EndReason::Busy]
    );
    assert!(!host.log().exists());
    host.sandbox.shutdown().await;
}
