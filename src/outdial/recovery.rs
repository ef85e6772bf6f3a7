//! What an earlier process left behind: calls that were up when it died get their end and their cost. Nothing is dialled.

use std::collections::HashMap;
use std::time::{Duration, SystemTime};

use super::OutdialError;
use super::records::{Audit, Book, RecordsError};
use crate::audit::{AuditEvent, CallEnded, CallRecorded, CallStart};
use crate::call::{CallEnd, EndReason, EndedBy};
use crate::config::Config;
use crate::ledger::{OpenCall, Settled};
use crate::provider::{AgentId, E164};
use crate::recording::{Leftover, finish_leftovers, make_folder};

/// Ends what is open.
pub(super) fn recover(book: &Book, config: &Config) -> Result<(), RecordsError> {
    let mut open: HashMap<String, CallStart> = match &book.audit {
        Audit::Ours(log) => log.left_open().into_iter().map(|start| (start.call_id.clone(), start)).collect(),
        Audit::Host(_) => HashMap::new(),
    };
    for call in book.ledger.unfinished()? {
        let known = call.call_id.as_ref().and_then(|id| open.remove(id));
        recover_call(book, config, &call, known)?;
    }
    // The ledger has these ends, or never knew the calls.
    for start in open.into_values() {
        let record = book.ledger.record_of(&start.call_id)?;
        let end = record.as_ref().and_then(|record| record.end.clone()).unwrap_or_else(|| died(None));
        let cost = record.filter(|record| record.rated).map(|record| record.cost_usd);
        record_end(book, &start, &end, cost.and_then(|cost| cost.try_into().ok()))?;
    }
    if book.usage.is_some() {
        for row in book.ledger.undelivered()? {
            book.deliver(row)?;
        }
    }
    Ok(())
}

/// Completes recordings and transcripts of calls that were up, as far as they go, and makes the folder for those to come
/// where the configuration asks for any.
pub(super) fn finish_recordings(book: &Book, config: &Config) -> Result<(), OutdialError> {
    let folder = config.recordings();
    if config.records_anything() {
        make_folder(&folder).map_err(|source| OutdialError::Recordings { folder: folder.clone(), source })?;
    }
    let ours = |call: &str| book.ledger.record_of(call).is_ok_and(|record| record.is_some());
    for Leftover { call_id, what, kept } in finish_leftovers(&folder, ours) {
        let Some(call) = book.ledger.record_of(&call_id).map_err(RecordsError::from)? else { continue };
        let recorded = CallRecorded {
            agent_id: call.agent_id,
            call_id,
            what: what.to_owned(),
            file: Some(kept.name),
            sha256: Some(kept.sha256),
            bytes: Some(kept.bytes),
            duration_ms: None,
            paused_ms: 0,
            lost_ms: 0,
            fault: None,
            consent: call.consent,
            recovered: true,
        };
        book.audit.record(&AuditEvent::Recorded(Box::new(recorded))).map_err(RecordsError::from)?;
    }
    Ok(())
}

fn recover_call(
    book: &Book,
    config: &Config,
    call: &OpenCall,
    known: Option<CallStart>,
) -> Result<(), RecordsError> {
    // A SIP request leaves after its start is recorded. A web service may have been asked before the call had a name.
    let announced = known.is_some() || call.announced;
    if call.end.is_none() && !announced && call.provider == "sip" {
        return Ok(book.ledger.strike(call.row)?);
    }
    let id = call.call_id.clone().unwrap_or_else(|| format!("attempt-{}", call.row));
    let start = match known {
        Some(start) => start,
        None => {
            let agent = AgentId::new(&call.agent).map_err(|_| damaged())?;
            let mut start = CallStart::new(&agent, id.clone(), &call.provider, &call.to);
            start.trunk = Some(call.trunk.clone());
            if call.end.is_none() && !announced {
                book.ledger.name(call.row, &id)?;
                book.audit.record(&AuditEvent::CallStart(start.clone()))?;
            }
            start
        }
    };
    let end = call.end.clone().unwrap_or_else(|| died(call.talked));
    let settled = rate(config, &call.trunk, &call.to, end.talk_time);
    if call.end.is_none() {
        tracing::warn!(
            target: "outdial::records", call = id, to = call.to.masked(), talked = ?end.talk_time,
            "a call was up when the process died; it is ended in the records"
        );
        book.ledger.finish(call.row, SystemTime::now(), &end, true, Some(settled))?;
    } else if !call.settled {
        book.ledger.settle(call.row, settled)?;
    }
    let cost = settled.rated.then_some(settled.cost_usd).and_then(|cost| cost.try_into().ok());
    let told = match &book.audit {
        // Its file shows the end of every call that is not open in it.
        Audit::Ours(_) => call.end.is_some() && !announced,
        Audit::Host(_) => call.end.is_some() && !call.announced,
    };
    if !told {
        record_end(book, &start, &end, cost)?;
    }
    if book.audit.is_host() {
        book.ledger.announced(call.row, true)?;
    }
    Ok(())
}

fn record_end(
    book: &Book,
    start: &CallStart,
    end: &CallEnd,
    cost_usd: Option<f64>,
) -> Result<(), RecordsError> {
    let ended = CallEnded { recovered: true, cost_usd, ..CallEnded::new(start, end) };
    Ok(book.audit.record(&AuditEvent::CallEnd(Box::new(ended)))?)
}

fn died(talked: Option<Duration>) -> CallEnd {
    CallEnd {
        reason: EndReason::Failed,
        ended_by: EndedBy::Local,
        detail: Some("the process died during the call".to_owned()),
        talk_time: talked.unwrap_or_default(),
        ..CallEnd::default()
    }
}

fn damaged() -> crate::ledger::LedgerError {
    crate::ledger::LedgerError::Damaged { what: "agent" }
}

/// What a call costs by the contract of its trunk. Time is counted in whole milliseconds, as the records have it.
pub(super) fn rate(config: &Config, trunk: &str, to: &E164, talk: Duration) -> Settled {
    let talk = Duration::from_millis(u64::try_from(talk.as_millis()).unwrap_or(u64::MAX));
    let tariff = config.carrier(trunk).and_then(|(_, carrier)| carrier.tariff());
    tariff.and_then(|tariff| tariff.charge(to, (!talk.is_zero()).then_some(talk))).into()
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::{Arc, Mutex};

    use serde_json::Value;

    use super::*;
    use crate::audit::{AuditError, AuditLog, AuditSink, verify_file};
    use crate::ledger::{Ledger, LedgerReader, NewCall};
    use crate::usage::{UsageError, UsageEvent, UsageSink};

    fn config() -> Config {
        let tariff =
            "[trunks.main.tariff]\nrates = [{ prefix = \"1\", price = \"0.06\", increment = \"1/1\" }]";
        Config::parse(&format!("[trunks.main]\nserver = \"h\"\n{tariff}")).unwrap()
    }

    fn call(id: Option<&str>, provider: &'static str) -> NewCall {
        NewCall {
            call_id: id.map(str::to_owned),
            agent: AgentId::new("a").unwrap(),
            provider,
            trunk: "main".into(),
            to: E164::parse("+12025550100").unwrap(),
            labels: Default::default(),
            consent: None,
            day: "2026-11-22".into(),
            key: None,
            started_at: SystemTime::now(),
        }
    }

    fn start(id: &str) -> AuditEvent {
        let (agent, to) = (AgentId::new("a").unwrap(), E164::parse("+12025550100").unwrap());
        AuditEvent::CallStart(CallStart::new(&agent, id, "sip", &to))
    }

    fn log(folder: &Path) -> AuditLog {
        AuditLog::take(folder.join("wire.jsonl"), "s").unwrap()
    }

    /// The events of a log, as type, call and whether recovered.
    fn told(folder: &Path) -> Vec<(String, String, bool)> {
        let path = folder.join("wire.jsonl");
        assert!(verify_file(&path).unwrap().is_intact());
        let text = std::fs::read_to_string(path).unwrap();
        text.lines()
            .skip(1)
            .map(|line| in_short(&serde_json::from_str::<Value>(line).unwrap()["event"]))
            .collect()
    }

    fn in_short(event: &Value) -> (String, String, bool) {
        let text = |key: &str| event[key].as_str().unwrap().to_owned();
        (text("type"), text("callId"), event["recovered"].as_bool().unwrap_or(false))
    }

    fn is(kind: &str, call: &str, recovered: bool) -> (String, String, bool) {
        (format!("voice.call.{kind}"), call.to_owned(), recovered)
    }

    #[test]
    fn each_moment_of_dying_leaves_one_end_for_each_start() {
        let folder = tempfile::tempdir().unwrap();
        let ledger = Ledger::open(folder.path()).unwrap();
        let audit = log(folder.path());
        // Died before the start was recorded: the INVITE never left.
        ledger.begin(&call(Some("unsent"), "sip")).unwrap();
        // Died while it rang, and while people talked.
        ledger.begin(&call(Some("rang"), "sip")).unwrap();
        audit.record(&start("rang")).unwrap();
        let talked = ledger.begin(&call(Some("talked"), "sip")).unwrap();
        audit.record(&start("talked")).unwrap();
        let now = SystemTime::now();
        ledger.answered(talked, now).unwrap();
        ledger.beat(now + Duration::from_millis(2_500)).unwrap();
        // Died between the end in the ledger and the one in the log.
        let over = ledger.begin(&call(Some("over"), "sip")).unwrap();
        audit.record(&start("over")).unwrap();
        let end = CallEnd { reason: EndReason::Busy, ..CallEnd::default() };
        ledger.finish(over, now, &end, false, Some(Settled { rated: true, ..Settled::default() })).unwrap();
        // Died after a web service was asked, before it gave the call a name; and while its price was awaited.
        let nameless = ledger.begin(&call(None, "twilio")).unwrap();
        let unpriced = ledger.begin(&call(Some("CA1"), "twilio")).unwrap();
        audit.record(&start("CA1")).unwrap();
        let end = CallEnd { talk_time: Duration::from_secs(61), ..CallEnd::default() };
        ledger.finish(unpriced, now, &end, false, None).unwrap();
        audit
            .record(&AuditEvent::CallEnd(Box::new(CallEnded::new(
                &CallStart::new(
                    &AgentId::new("a").unwrap(),
                    "CA1",
                    "twilio",
                    &E164::parse("+12025550100").unwrap(),
                ),
                &end,
            ))))
            .unwrap();
        drop((ledger, audit));

        let open = || Book::new(Ledger::open(folder.path()).unwrap(), Audit::Ours(log(folder.path())), None);
        recover(&open(), &config()).unwrap();
        let nameless = format!("attempt-{nameless}");
        let mut events = told(folder.path()).split_off(5);
        events.sort();
        let mut expected = vec![
            is("start", &nameless, false),
            is("end", &nameless, true),
            is("end", "rang", true),
            is("end", "talked", true),
            is("end", "over", true),
        ];
        expected.sort();
        assert_eq!(events, expected);
        let calls = LedgerReader::open(folder.path()).unwrap().calls(None).unwrap();
        let cost = |id: &str| {
            let call = calls.iter().find(|call| call.call_id.as_deref() == Some(id)).unwrap();
            (call.cost_usd.to_string(), call.recovered, call.usage().is_some())
        };
        assert_eq!(calls.len(), 5);
        assert_eq!(cost("talked"), ("0.003".into(), true, true));
        assert_eq!(cost("rang"), ("0".into(), true, true));
        assert_eq!(cost("over"), ("0".into(), false, true));
        assert_eq!(cost("CA1"), ("0.061".into(), false, true));
        // A second start finds nothing to do.
        let before = told(folder.path());
        recover(&open(), &config()).unwrap();
        assert_eq!(told(folder.path()), before);
    }

    /// A host's sinks.
    #[derive(Default)]
    struct Sinks {
        audit: Mutex<Vec<(String, String, bool)>>,
        usage: Mutex<Vec<(String, bool)>>,
    }

    impl AuditSink for Sinks {
        fn record(&self, event: &AuditEvent) -> Result<(), AuditError> {
            self.audit.lock().unwrap().push(in_short(&serde_json::to_value(event).unwrap()));
            Ok(())
        }
    }

    impl UsageSink for Sinks {
        fn record(&self, event: &UsageEvent) -> Result<(), UsageError> {
            self.usage.lock().unwrap().push((event.call_id.clone(), event.recovered));
            Ok(())
        }
    }

    #[test]
    fn a_host_s_sinks_get_what_they_do_not_have() {
        let folder = tempfile::tempdir().unwrap();
        let ledger = Ledger::open(folder.path()).unwrap();
        ledger.begin(&call(Some("unsent"), "sip")).unwrap();
        let rang = ledger.begin(&call(Some("rang"), "sip")).unwrap();
        ledger.announced(rang, false).unwrap();
        let over = ledger.begin(&call(Some("over"), "sip")).unwrap();
        ledger.announced(over, false).unwrap();
        ledger.finish(over, SystemTime::now(), &CallEnd::default(), false, Some(Settled::default())).unwrap();
        let whole = ledger.begin(&call(Some("whole"), "sip")).unwrap();
        ledger.announced(whole, true).unwrap();
        ledger
            .finish(whole, SystemTime::now(), &CallEnd::default(), false, Some(Settled::default()))
            .unwrap();
        ledger.delivered(whole).unwrap();
        drop(ledger);

        let sinks = Arc::new(Sinks::default());
        let book = || {
            Book::new(Ledger::open(folder.path()).unwrap(), Audit::Host(sinks.clone()), Some(sinks.clone()))
        };
        recover(&book(), &config()).unwrap();
        let (audit, usage) = (sinks.audit.lock().unwrap().clone(), sinks.usage.lock().unwrap().clone());
        assert_eq!(audit, [is("end", "rang", true), is("end", "over", true)]);
        assert_eq!(usage, [("rang".to_owned(), true), ("over".to_owned(), false)]);
        recover(&book(), &config()).unwrap();
        assert_eq!((sinks.audit.lock().unwrap().len(), sinks.usage.lock().unwrap().len()), (2, 2));
    }
}
