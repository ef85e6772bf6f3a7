//! The threads that write recordings.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, unbounded};
use tokio::sync::oneshot;

use super::session::{Commission, Session};

/// How often it is looked what is to be written.
const LOOK: Duration = Duration::from_millis(100);
/// Encoding Opus takes about a hundredth of a processor for each call.
const MOST_THREADS: usize = 4;

/// Writes recordings and transcripts on threads of its own, which start with the first call that is to be recorded and end
/// with the last one after this was dropped.
#[derive(Default)]
pub(crate) struct Studio {
    threads: Mutex<Vec<Sender<Job>>>,
}

struct Job {
    session: Session,
    done: oneshot::Sender<Session>,
}

impl Studio {
    /// Begins to write. The session comes back when the call is over and everything is written, to be finished.
    ///
    /// # Errors
    ///
    /// No thread could be started.
    pub(crate) fn record(&self, commission: Commission) -> io::Result<oneshot::Receiver<Session>> {
        let (done, finished) = oneshot::channel();
        let job = Job { session: Session::new(commission), done };
        let mut threads = self.threads.lock().unwrap_or_else(PoisonError::into_inner);
        let most = thread::available_parallelism().map_or(1, usize::from).min(MOST_THREADS);
        if threads.len() < most {
            let thread = start(threads.len())?;
            threads.push(thread);
        }
        // In turn: calls come and go by chance, so this is fair.
        threads.rotate_left(1);
        if let Some(jobs) = threads.first() {
            // A thread ends only when this sender is gone.
            let _ = jobs.send(job);
        }
        Ok(finished)
    }
}

fn start(number: usize) -> io::Result<Sender<Job>> {
    let (jobs, inbox) = unbounded();
    thread::Builder::new().name(format!("outdial-record-{number}")).spawn(move || work(&inbox))?;
    Ok(jobs)
}

fn work(inbox: &Receiver<Job>) {
    let mut jobs: Vec<Job> = Vec::new();
    let mut due = Instant::now();
    let mut open = true;
    while open || !jobs.is_empty() {
        let next = if jobs.is_empty() {
            inbox.recv().map_err(|_| RecvTimeoutError::Disconnected)
        } else {
            inbox.recv_deadline(due)
        };
        match next {
            Ok(job) => jobs.push(job),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => {
                open = false;
                thread::sleep(due.saturating_duration_since(Instant::now()));
            }
        }
        if Instant::now() >= due {
            jobs = jobs.into_iter().filter_map(look).collect();
            due = Instant::now() + LOOK;
        }
    }
}

/// Writes what there is for one call; `None` when that was all.
fn look(mut job: Job) -> Option<Job> {
    match catch_unwind(AssertUnwindSafe(|| job.session.work())) {
        Ok(true) => Some(job),
        Ok(false) => {
            // Whoever waits for it may be gone with the runtime; the next start finishes the files then.
            let _ = job.done.send(job.session);
            None
        }
        Err(_) => {
            tracing::error!(target: "outdial::recording", "a recording was given up: its writer panicked");
            None
        }
    }
}
