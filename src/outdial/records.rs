//! The evidence: one thread writes the ledger, the audit log and the host's sinks, one thing after the other.
//!
//! What must be kept before a call may leave is waited for; if it cannot be kept, the call does not leave. What happens
//! later cannot be undone: it is owed, and tried again until it is kept, and no new call leaves in the meantime.

use std::collections::VecDeque;
use std::error::Error as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant, SystemTime};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, unbounded};
use tokio::sync::oneshot;

use crate::audit::{AuditError, AuditEvent, AuditLog, AuditSink, CallEnded, CallStart};
use crate::call::CallEnd;
use crate::ledger::{Ledger, LedgerError, NewCall, Settled};
use crate::usage::{UsageError, UsageSink};

/// How often it is noted that the process lives while calls are up, and what is owed is tried again.
const BEAT: Duration = Duration::from_millis(500);

/// Where the audit events go.
pub(super) enum Audit {
    /// Our own log, whose file shows what was recorded.
    Ours(AuditLog),
    /// A host's.
    Host(Arc<dyn AuditSink>),
}

impl Audit {
    pub(super) fn record(&self, event: &AuditEvent) -> Result<(), AuditError> {
        match self {
            Self::Ours(log) => log.record(event),
            Self::Host(sink) => sink.record(event),
        }
    }

    pub(super) fn is_host(&self) -> bool {
        matches!(self, Self::Host(_))
    }
}

/// Why something was not kept.
#[derive(Debug, thiserror::Error)]
pub(super) enum RecordsError {
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    #[error(transparent)]
    Audit(#[from] AuditError),
    #[error(transparent)]
    Usage(#[from] UsageError),
    #[error("the records are closed")]
    Closed,
}

impl RecordsError {
    /// The error with what is behind it, in one line.
    pub(super) fn told(&self) -> String {
        let mut text = self.to_string();
        let mut cause = self.source();
        while let Some(error) = cause {
            text = format!("{text}: {error}");
            cause = error.source();
        }
        text
    }
}

/// What the thread works with.
pub(super) struct Book {
    pub(super) ledger: Ledger,
    pub(super) audit: Audit,
    pub(super) usage: Option<Arc<dyn UsageSink>>,
    owed: VecDeque<Owed>,
    /// Calls that have begun and not ended.
    up: u64,
    beaten: Instant,
}

/// Something that has happened and is to be kept, in order.
enum Owed {
    Audit(AuditEvent),
    Finish { row: i64, at: SystemTime, end: Box<CallEnd>, settled: Option<Settled> },
    Settle { row: i64, settled: Settled },
    FreeKey { row: i64 },
    Announced { row: i64, ended: bool },
    Deliver { row: i64 },
}

impl Book {
    pub(super) fn new(ledger: Ledger, audit: Audit, usage: Option<Arc<dyn UsageSink>>) -> Self {
        Self { ledger, audit, usage, owed: VecDeque::new(), up: 0, beaten: Instant::now() }
    }

    /// Enters a call that is about to leave.
    pub(super) fn begin(&mut self, call: &NewCall) -> Result<i64, RecordsError> {
        self.pay()?;
        let row = self.ledger.begin(call)?;
        self.up += 1;
        Ok(row)
    }

    /// Records the start of a call. Without a record it must not leave.
    pub(super) fn start(&mut self, row: i64, start: CallStart) -> Result<(), RecordsError> {
        self.pay()?;
        self.audit.record(&AuditEvent::CallStart(start))?;
        if self.audit.is_host() {
            self.owe([Owed::Announced { row, ended: false }]);
        }
        Ok(())
    }

    /// Takes out a call that never left.
    pub(super) fn strike(&mut self, row: i64) {
        self.up = self.up.saturating_sub(1);
        if let Err(error) = self.ledger.strike(row) {
            // The next start finds it without a start in the audit log, and strikes it.
            tracing::warn!(target: "outdial::records", %error, "a call that never left stays in the ledger");
        }
    }

    /// Something happened.
    pub(super) fn note(&mut self, event: AuditEvent) {
        self.owe([Owed::Audit(event)]);
    }

    /// A call is over. Without its cost `settle` follows.
    pub(super) fn finish(
        &mut self,
        row: i64,
        end: CallEnd,
        settled: Option<Settled>,
        ended: CallEnded,
        free_key: bool,
    ) {
        self.up = self.up.saturating_sub(1);
        let at = SystemTime::now();
        let finish = Owed::Finish { row, at, end: Box::new(end), settled };
        let free = free_key.then_some(Owed::FreeKey { row });
        let announced = self.audit.is_host().then_some(Owed::Announced { row, ended: true });
        let deliver = settled.map(|_| Owed::Deliver { row });
        let event = Owed::Audit(AuditEvent::CallEnd(Box::new(ended)));
        // The ledger first: of a call that has its end there, the next start can end the record too.
        self.owe([Some(finish), free, Some(event), announced, deliver].into_iter().flatten());
    }

    /// The cost of a call that is over.
    pub(super) fn settle(&mut self, row: i64, settled: Settled) {
        self.owe([Owed::Settle { row, settled }, Owed::Deliver { row }]);
    }

    /// Keeps what must be kept, now or as soon as it can be.
    fn owe(&mut self, owed: impl IntoIterator<Item = Owed>) {
        let before = self.owed.len();
        self.owed.extend(owed);
        if let Err(error) = self.pay()
            && before == 0
        {
            let error = error.told();
            tracing::error!(target: "outdial::records", error, "records cannot be written; no call is made until they are");
        }
    }

    /// Keeps everything that is owed, oldest first.
    fn pay(&mut self) -> Result<(), RecordsError> {
        while let Some(first) = self.owed.front() {
            self.keep(first)?;
            self.owed.pop_front();
        }
        Ok(())
    }

    fn keep(&self, owed: &Owed) -> Result<(), RecordsError> {
        match owed {
            Owed::Audit(event) => self.audit.record(event)?,
            Owed::Finish { row, at, end, settled } => self.ledger.finish(*row, *at, end, false, *settled)?,
            Owed::Settle { row, settled } => self.ledger.settle(*row, *settled)?,
            Owed::FreeKey { row } => self.ledger.free_key(*row)?,
            Owed::Announced { row, ended } => self.ledger.announced(*row, *ended)?,
            Owed::Deliver { row } => self.deliver(*row)?,
        }
        Ok(())
    }

    /// Hands a settled call to the host's usage sink, if there is one.
    pub(super) fn deliver(&self, row: i64) -> Result<(), RecordsError> {
        if let Some(sink) = &self.usage
            && let Some(event) = self.ledger.record(row)?.and_then(|record| record.usage())
        {
            sink.record(&event)?;
        }
        Ok(self.ledger.delivered(row)?)
    }

    fn look_at_the_time(&mut self) {
        if self.beaten.elapsed() < BEAT {
            return;
        }
        self.beaten = Instant::now();
        if self.pay().is_ok() && self.up > 0 {
            self.beat();
        }
    }

    fn beat(&self) {
        if let Err(error) = self.ledger.beat(SystemTime::now()) {
            tracing::warn!(target: "outdial::records", %error, "the ledger does not know that the process lives");
        }
    }
}

type Job = Box<dyn FnOnce(&mut Book) + Send>;

/// The way to the thread.
pub(super) struct Records {
    jobs: Mutex<Option<(Sender<Job>, JoinHandle<()>)>>,
}

impl Records {
    pub(super) fn start(book: Book) -> std::io::Result<Self> {
        let (sender, jobs) = unbounded();
        let thread =
            thread::Builder::new().name("outdial-records".to_owned()).spawn(move || work(book, &jobs))?;
        Ok(Self { jobs: Mutex::new(Some((sender, thread))) })
    }

    /// Has something done, and does not wait for it.
    pub(super) fn tell(&self, job: impl FnOnce(&mut Book) + Send + 'static) {
        if let Some((jobs, _)) = &*self.jobs.lock().unwrap_or_else(PoisonError::into_inner) {
            // The thread lives as long as this sender.
            let _ = jobs.send(Box::new(job));
        }
    }

    /// Has something done and waits for it.
    pub(super) async fn ask<T: Send + 'static>(
        &self,
        job: impl FnOnce(&mut Book) -> Result<T, RecordsError> + Send + 'static,
    ) -> Result<T, RecordsError> {
        let (reply, answer) = oneshot::channel();
        self.tell(move |book| {
            // Nobody waits any more if the future was dropped.
            let _ = reply.send(job(book));
        });
        answer.await.unwrap_or(Err(RecordsError::Closed))
    }

    /// Writes what is still to be written and lets go of the files.
    pub(super) async fn close(&self) {
        let taken = self.jobs.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some((jobs, thread)) = taken {
            drop(jobs);
            // A thread that panicked has let go of the files too.
            let _ = tokio::task::spawn_blocking(move || thread.join()).await;
        }
    }
}

fn work(mut book: Book, jobs: &Receiver<Job>) {
    book.beat();
    loop {
        match jobs.recv_timeout(BEAT) {
            Ok(job) => {
                // A host's sink is code of others.
                if catch_unwind(AssertUnwindSafe(|| job(&mut book))).is_err() {
                    tracing::error!(target: "outdial::records", "a sink panicked");
                }
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => break,
        }
        book.look_at_the_time();
    }
    if let Err(error) = book.pay() {
        let (error, lost) = (error.told(), book.owed.len());
        tracing::error!(target: "outdial::records", error, lost, "records were not written; the next start recovers the calls");
    }
}
