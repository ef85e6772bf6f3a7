//! What is kept of one call: its recording, its transcript, or both.

use std::io::Write as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::file::{Kept, Unfinished, stem};
use super::tape::{Recorded, Tape};
use super::transcript::{Line, wall};
use super::{Fault, ScribeDesk};
use crate::audio::{Batch, DuplexSource, Progress};
use crate::config::RecordingFormat;
use crate::provider::Record;

/// What is to be kept, of which call, and where.
pub(crate) struct Commission {
    pub(crate) record: Record,
    pub(crate) folder: PathBuf,
    pub(crate) format: RecordingFormat,
    pub(crate) call_id: String,
    pub(crate) agent_id: String,
    pub(crate) provider: &'static str,
    pub(crate) source: DuplexSource,
    pub(crate) desk: Arc<ScribeDesk>,
    /// Is told of each fault when it happens.
    pub(crate) tell: Box<dyn Fn(&Fault) + Send>,
}

/// See the [module](self).
pub(crate) struct Session {
    commission: Commission,
    tape: Option<Tape>,
    transcript: Option<Transcript>,
    batch: Batch,
    last: Option<Progress>,
    told_lost: Duration,
    told_lines: u64,
}

/// What was kept of a call.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// `recording` or `transcript`.
    pub(crate) what: &'static str,
    /// `None` if there is no file.
    pub(crate) kept: Option<Kept>,
    /// How long the recording is.
    pub(crate) length: Option<Duration>,
    pub(crate) paused: Duration,
    pub(crate) lost: Duration,
    pub(crate) fault: Option<Fault>,
}

impl Session {
    pub(super) fn new(commission: Commission) -> Self {
        let stem = stem(&commission.call_id);
        let record = commission.record;
        let tape = record.sound().then(|| Tape::new(commission.folder.clone(), &stem, commission.format));
        let transcript = record
            .transcript()
            .then(|| Transcript { name: format!("{stem}.jsonl"), ..Transcript::default() });
        Self {
            commission,
            tape,
            transcript,
            batch: Batch::default(),
            last: None,
            told_lost: Duration::ZERO,
            told_lines: 0,
        }
    }

    /// Writes what has come. Returns false when nothing more will.
    pub(super) fn work(&mut self) -> bool {
        let progress = self.commission.source.take(&mut self.batch);
        let tell = &self.commission.tell;
        if let Some(fault) = self.tape.as_mut().and_then(|tape| tape.take(&self.batch)) {
            tell(fault);
        }
        if progress.lost > self.told_lost {
            tell(&Fault::Gap(millis(progress.lost - self.told_lost)));
            self.told_lost = progress.lost;
        }
        self.last = Some(progress);
        let written = self.commission.desk.take();
        if written.lost > self.told_lines {
            tell(&Fault::LinesLost(written.lost - self.told_lines));
            self.told_lines = written.lost;
        }
        if let Some(transcript) = &mut self.transcript
            && progress.has_begun
            && let Some(fault) = transcript.write(&self.commission, &written.text)
        {
            tell(fault);
        }
        // Whoever else had the desk may be gone without a word, with its runtime.
        let closed = written.closed || Arc::strong_count(&self.commission.desk) == 1;
        !(progress.ended && closed)
    }

    /// Completes the files, which takes as long as reading them. Of a call that nobody answered there are none.
    pub(crate) fn finish(self) -> Vec<Outcome> {
        let Some(progress) = self.last.filter(|progress| progress.has_begun) else { return Vec::new() };
        let sound = self.tape.map(Tape::finish).map(|Recorded { kept, length, fault }| Outcome {
            what: "recording",
            kept,
            length: Some(length),
            paused: progress.paused,
            lost: progress.lost,
            fault,
        });
        let words = self.transcript.map(|transcript| {
            let (kept, fault) = transcript.finish();
            let (paused, lost) = (progress.paused, Duration::ZERO);
            Outcome { what: "transcript", kept, length: None, paused, lost, fault }
        });
        sound.into_iter().chain(words).collect()
    }
}

/// The file of the words.
#[derive(Default)]
struct Transcript {
    name: String,
    file: Option<Unfinished>,
    /// Bytes of whole lines.
    good: u64,
    fault: Option<Fault>,
}

impl Transcript {
    /// Appends whole lines, and begins with one about the call. Returns the fault that has ended it, once.
    fn write(&mut self, commission: &Commission, lines: &str) -> Option<&Fault> {
        if self.fault.is_some() {
            return None;
        }
        if let Err(error) = self.try_write(commission, lines) {
            if let Some(file) = &self.file
                && let Err(error) = file.truncate(self.good)
            {
                tracing::warn!(target: "outdial::recording", %error, "a transcript could not be ended cleanly");
            }
            self.fault = Some(error.into());
        }
        self.fault.as_ref()
    }

    fn try_write(&mut self, commission: &Commission, lines: &str) -> std::io::Result<()> {
        if self.file.is_none() {
            self.file = Some(Unfinished::create(&commission.folder, &self.name)?);
            let answered = commission.source.control().begun().map(|begun| begun.wall);
            let first = Line::Call {
                call_id: &commission.call_id,
                agent_id: &commission.agent_id,
                provider: commission.provider,
                answered_at: answered.map(|answered| wall(answered, 0)).unwrap_or_default(),
            };
            self.append(&first.text())?;
        }
        self.append(lines)
    }

    fn append(&mut self, lines: &str) -> std::io::Result<()> {
        if let Some(file) = &self.file
            && !lines.is_empty()
        {
            file.file().write_all(lines.as_bytes())?;
            self.good += lines.len() as u64;
        }
        Ok(())
    }

    fn finish(self) -> (Option<Kept>, Option<Fault>) {
        match self.file.map(Unfinished::finish) {
            None => (None, self.fault),
            Some(Ok(kept)) => (Some(kept), self.fault),
            Some(Err(error)) => (None, Some(self.fault.unwrap_or(error.into()))),
        }
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
