//! What is kept of what is said in a call: from the plan to the record of the finished files.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::Instant;

use super::Attempt;
use crate::audio::{DuplexSink, DuplexSource, duplex};
use crate::audit::{AuditEvent, CallRecorded};
use crate::call::{CallEvent, Scribe, WeakCall};
use crate::config::Config;
use crate::provider::{DialRequest, Record};
use crate::recording::{Commission, Outcome, ScribeDesk, Session};

/// How long those who still have something to tell of a call that is over may take: the last words of a recogniser.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// The ends of what is to be kept, each until somebody takes it.
#[derive(Default)]
pub(super) struct Keeping {
    record: Record,
    sink: Option<DuplexSink>,
    source: Option<DuplexSource>,
    /// Until the call is over.
    desk: Option<Arc<ScribeDesk>>,
}

impl Keeping {
    pub(super) fn of(request: &DialRequest, config: &Config) -> Self {
        let record = request.record.unwrap_or_default();
        if record == Record::Nothing {
            return Self::default();
        }
        let (sink, source) = duplex(record.sound(), config.recording.start_paused);
        let desk = Arc::new(ScribeDesk::new(source.control().clone()));
        Self { record, sink: Some(sink), source: Some(source), desk: Some(desk) }
    }

    /// For the provider.
    pub(super) fn recorder(&mut self) -> Option<DuplexSink> {
        self.sink.take()
    }

    pub(super) fn scribe(&self) -> Option<Arc<dyn Scribe>> {
        let desk = self.desk.as_ref().filter(|_| self.record.transcript())?;
        Some(Arc::clone(desk) as Arc<dyn Scribe>)
    }
}

/// What is being kept.
pub(super) struct Recording {
    desk: Arc<ScribeDesk>,
    written: oneshot::Receiver<Session>,
}

impl Attempt {
    /// The callee has answered.
    pub(super) fn begin_recording(&self, call: &WeakCall) -> Option<Recording> {
        let (source, desk, record) = {
            let keeping = &mut self.state().keeping;
            (keeping.source.take()?, keeping.desk.clone()?, keeping.record)
        };
        let state = if source.control().is_paused() { "paused" } else { "started" };
        let log = Arc::clone(call.log());
        let config = &self.shared.config;
        let commission = Commission {
            record,
            folder: config.recordings(),
            format: config.recording.format,
            call_id: log.id().to_string(),
            agent_id: self.request.agent.to_string(),
            provider: self.provider,
            source,
            desk: Arc::clone(&desk),
            tell: Box::new(move |fault| {
                let call = log.id();
                tracing::warn!(target: "outdial::recording", %call, error = %fault, "what is said is not all kept");
                let (kind, error, over) = (fault.kind(), fault.to_string(), fault.is_final());
                log.append([CallEvent::RecordingFault { kind, error, over }]);
            }),
        };
        match self.shared.studio.record(commission) {
            Ok(written) => {
                self.tell_recording(state, 0);
                Some(Recording { desk, written })
            }
            Err(error) => {
                tracing::error!(target: "outdial::recording", %error, "a call is not recorded: no thread");
                None
            }
        }
    }

    /// Pauses or continues it. False if nothing is kept.
    pub(super) fn set_paused(&self, paused: bool) -> bool {
        let Some(desk) = self.state().keeping.desk.clone() else { return false };
        if let Some(at_ms) = desk.pause(paused) {
            self.tell_recording(if paused { "paused" } else { "resumed" }, at_ms);
        }
        true
    }

    /// The call is over: completes the files, and records what they are.
    pub(super) async fn end_recording(&self, recording: Option<Recording>) {
        drop(self.state().keeping.desk.take());
        let Some(Recording { desk, written }) = recording else { return };
        desk.call_ended();
        let patience = Instant::now() + LAST_WORDS;
        // The writer has one, and so have we.
        while Arc::strong_count(&desk) > 2 && Instant::now() < patience {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        desk.close();
        let Ok(session) = written.await else { return };
        let finished = tokio::task::spawn_blocking(move || session.finish()).await;
        for outcome in finished.unwrap_or_default() {
            self.tell_recorded(outcome);
        }
    }

    fn tell_recording(&self, state: &str, at_ms: u64) {
        let Some(call_id) = self.call_id() else { return };
        let (agent_id, state) = (self.request.agent.to_string(), state.to_owned());
        let event = AuditEvent::Recording { agent_id, call_id, state, at_ms };
        self.shared.records.tell(move |book| book.note(event));
    }

    fn tell_recorded(&self, outcome: Outcome) {
        let Some(call_id) = self.call_id() else { return };
        let Outcome { what, kept, length, paused, lost, fault } = outcome;
        let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        if let Some(fault) = &fault {
            tracing::error!(target: "outdial::recording", call = call_id, what, error = %fault, "it ends too early");
        }
        let recorded = CallRecorded {
            agent_id: self.request.agent.to_string(),
            call_id,
            what: what.to_owned(),
            file: kept.as_ref().map(|kept| kept.name.clone()),
            sha256: kept.as_ref().map(|kept| kept.sha256.clone()),
            bytes: kept.map(|kept| kept.bytes),
            duration_ms: length.map(millis),
            paused_ms: millis(paused),
            lost_ms: millis(lost),
            fault: fault.map(|fault| fault.kind().to_owned()),
            consent: self.request.consent.clone(),
            recovered: false,
        };
        self.shared.records.tell(move |book| book.note(AuditEvent::Recorded(Box::new(recorded))));
    }
}
