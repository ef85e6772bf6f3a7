use std::os::unix::fs::PermissionsExt;

use super::*;
use crate::call::EndReason;
use crate::ledger::LedgerReader;

fn at(ms: i64) -> SystemTime {
    time(1_800_000_000_000 + ms)
}

fn call(id: Option<&str>, key: Option<&str>) -> NewCall {
    NewCall {
        call_id: id.map(str::to_owned),
        agent: AgentId::new("a").unwrap(),
        provider: "sip",
        trunk: "main".into(),
        to: E164::parse("+12025550100").unwrap(),
        labels: BTreeMap::from([("campaign".into(), "7".into())]),
        consent: Some("form 7".into()),
        day: "2027-01-15".into(),
        key: key.map(|key| (key.to_owned(), at(60_000))),
        started_at: at(0),
    }
}

fn settled(cost: &str) -> Option<Settled> {
    Some(Settled { cost_usd: cost.parse().unwrap(), rated: true, ..Settled::default() })
}

#[test]
fn one_process_owns_it_and_only_the_owner_reads_its_files() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("records");
    let ledger = Ledger::open(&place).unwrap();
    assert!(matches!(Ledger::open(&place), Err(LedgerError::Locked { .. })));
    ledger.begin(&call(Some("c1"), None)).unwrap();
    for entry in std::fs::read_dir(&place).unwrap() {
        let entry = entry.unwrap();
        assert_eq!(entry.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{:?}", entry.path());
    }
    assert_eq!(std::fs::metadata(&place).unwrap().permissions().mode() & 0o777, 0o700);
    drop(ledger);
    assert!(Ledger::open(&place).is_ok());
}

#[test]
fn a_newer_file_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    drop(Ledger::open(folder.path()).unwrap());
    Connection::open(folder.path().join(FILE)).unwrap().pragma_update(None, "user_version", 2).unwrap();
    assert!(matches!(Ledger::open(folder.path()), Err(LedgerError::Newer { version: 2 })));
}

#[test]
fn a_key_stands_for_its_call_within_its_time_and_over_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = Ledger::open(folder.path()).unwrap();
    let row = ledger.begin(&call(Some("c1"), Some("k"))).unwrap();
    drop(ledger);
    let ledger = Ledger::open(folder.path()).unwrap();
    let found = ledger.by_key("k", at(59_999)).unwrap().unwrap();
    assert_eq!((found.call_id.as_str(), found.to.as_str(), found.end), ("c1", "+12025550100", None));
    assert!(ledger.by_key("k", at(60_000)).unwrap().is_none());
    assert!(ledger.by_key("other", at(0)).unwrap().is_none());
    let end = CallEnd { reason: EndReason::Busy, ..CallEnd::default() };
    ledger.finish(row, at(5_000), &end, false, settled("0")).unwrap();
    assert_eq!(ledger.by_key("k", at(1)).unwrap().unwrap().end, Some(end));
    ledger.free_key(row).unwrap();
    assert!(ledger.by_key("k", at(1)).unwrap().is_none());
}

#[test]
fn what_a_dead_process_left_open_is_found_with_its_time() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = Ledger::open(folder.path()).unwrap();
    let answered = ledger.begin(&call(Some("c1"), None)).unwrap();
    ledger.answered(answered, at(2_000)).unwrap();
    let _ringing = ledger.begin(&call(Some("c2"), None)).unwrap();
    let over = ledger.begin(&call(Some("c3"), None)).unwrap();
    ledger.finish(over, at(3_000), &CallEnd::default(), false, settled("0.024")).unwrap();
    let unsettled = ledger.begin(&call(Some("c4"), None)).unwrap();
    ledger.finish(unsettled, at(3_000), &CallEnd::default(), false, None).unwrap();
    let never_left = ledger.begin(&call(None, None)).unwrap();
    ledger.strike(never_left).unwrap();
    ledger.beat(at(9_500)).unwrap();
    drop(ledger);
    let ledger = Ledger::open(folder.path()).unwrap();
    let open = ledger.unfinished().unwrap();
    let told: Vec<_> =
        open.iter().map(|call| (call.call_id.as_deref(), call.talked, call.end.is_some())).collect();
    assert_eq!(
        told,
        [
            (Some("c1"), Some(Duration::from_millis(7_500)), false),
            (Some("c2"), None, false),
            (Some("c4"), None, true),
        ]
    );
    assert_eq!(
        ledger.spent_on("2027-01-15").unwrap(),
        [(AgentId::new("a").unwrap(), "0.024".parse().unwrap())]
    );
    assert_eq!(ledger.attempts_on("2027-01-15").unwrap(), [(E164::parse("+12025550100").unwrap(), 4)]);
    assert_eq!(ledger.attempts_on("2027-01-16").unwrap(), []);
}

#[test]
fn others_read_what_the_owner_writes() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = Ledger::open(folder.path()).unwrap();
    let row = ledger.begin(&call(Some("c1"), None)).unwrap();
    ledger.begin(&call(Some("c2"), None)).unwrap();
    let end =
        CallEnd { reason: EndReason::Completed, talk_time: Duration::from_secs(61), ..CallEnd::default() };
    ledger.finish(row, at(63_000), &end, true, settled("0.024")).unwrap();
    let reader = LedgerReader::open(folder.path()).unwrap();
    let records = reader.calls(None).unwrap();
    assert_eq!(records.len(), 2);
    assert_eq!(records[0].end.as_ref().map(|end| end.reason), Some(EndReason::Completed));
    assert!(records[0].recovered && records[1].end.is_none());
    let usage = records[0].usage().unwrap();
    assert_eq!(
        (usage.call_id.as_str(), usage.cost_usd, usage.answered),
        ("c1", "0.024".parse().unwrap(), true)
    );
    assert!(records[1].usage().is_none());
    assert_eq!(reader.calls(Some(at(1))).unwrap().len(), 0);
}
