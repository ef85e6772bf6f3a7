//! The recording of what the callee says.

use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use outdial::audio::{Frame, SampleRate, wav};

/// A gap in what was heard is filled with silence, unless it is longer than this: then something else is wrong.
const LONGEST_GAP: Duration = Duration::from_secs(60);

/// A WAV file in the making. A thread of its own writes it, so that a slow disk makes no gap.
pub(super) struct Recorder {
    path: PathBuf,
    rate: SampleRate,
    frames: mpsc::Sender<Frame>,
    writer: JoinHandle<Result<u64, wav::WavError>>,
}

/// A complete recording.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Recording {
    pub(super) path: PathBuf,
    pub(super) length: Duration,
}

impl Recorder {
    pub(super) fn create(path: &Path, rate: SampleRate) -> Result<Self> {
        let problem = || format!("cannot record to {}", path.display());
        let file = wav::Writer::create(path, rate).with_context(problem)?;
        let (frames, incoming) = mpsc::channel();
        let writer = thread::Builder::new().name("recorder".into()).spawn(move || write(file, &incoming))?;
        Ok(Self { path: path.to_owned(), rate, frames, writer })
    }

    /// Appends what was heard; frames that were lost on the way are silence of their length.
    pub(super) fn write(&self, frame: &Frame) {
        // A writer that failed is gone, and says why at the end.
        let _ = self.frames.send(frame.clone());
    }

    /// Completes the file.
    pub(super) async fn finish(self) -> Result<Recording> {
        drop(self.frames);
        let written = tokio::task::spawn_blocking(move || self.writer.join()).await?;
        let samples = written
            .map_err(|_| anyhow!("the recorder panicked"))?
            .with_context(|| format!("cannot record to {}", self.path.display()))?;
        Ok(Recording { length: self.rate.duration(samples), path: self.path })
    }
}

fn write(mut file: wav::Writer, frames: &mpsc::Receiver<Frame>) -> Result<u64, wav::WavError> {
    let mut first = None;
    for frame in frames {
        let begin = *first.get_or_insert(frame.position());
        let gap = frame.position().saturating_sub(begin).saturating_sub(file.len());
        if gap > 0 && frame.rate().duration(gap) <= LONGEST_GAP {
            file.write(&vec![0; usize::try_from(gap).unwrap_or(0)])?;
        }
        file.write(frame.samples())?;
    }
    let length = file.len();
    file.finish()?;
    Ok(length)
}
