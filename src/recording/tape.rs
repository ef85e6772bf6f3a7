//! The sound of a call on its way into a file.

use std::path::PathBuf;
use std::time::Duration;

use super::Fault;
use super::convert::PairConverter;
use super::file::{Kept, Unfinished};
use super::format::SoundFile;
use crate::audio::{Batch, Between, SampleRate};
use crate::config::RecordingFormat;

/// Writes batches of turns. The file has the rate of the first turn.
pub(super) struct Tape {
    folder: PathBuf,
    name: String,
    format: RecordingFormat,
    state: State,
    /// The rate of what comes.
    rate: SampleRate,
    file_rate: SampleRate,
    converter: Option<PairConverter>,
    converted: Vec<i16>,
    /// Pairs that were written, and those of them that may not be readable yet.
    pairs: u64,
    unflushed: u64,
    fault: Option<Fault>,
}

enum State {
    Waiting,
    Open(Box<SoundFile>),
    /// It could not be written to its end; what there is of it.
    Ended(Option<Unfinished>),
}

/// A recording that is over.
#[derive(Debug)]
pub(super) struct Recorded {
    /// `None` if there is no file.
    pub(super) kept: Option<Kept>,
    pub(super) length: Duration,
    pub(super) fault: Option<Fault>,
}

impl Tape {
    pub(super) fn new(folder: PathBuf, stem: &str, format: RecordingFormat) -> Self {
        Self {
            folder,
            name: format!("{stem}.{}", format.extension()),
            format,
            state: State::Waiting,
            rate: SampleRate::default(),
            file_rate: SampleRate::default(),
            converter: None,
            converted: Vec::new(),
            pairs: 0,
            unflushed: 0,
            fault: None,
        }
    }

    /// Writes a batch. Returns the fault that has ended the recording, once.
    pub(super) fn take(&mut self, batch: &Batch) -> Option<&Fault> {
        if matches!(self.state, State::Ended(_)) {
            return None;
        }
        match self.write_batch(batch) {
            Ok(()) => None,
            Err(fault) => {
                self.break_off(fault);
                self.fault.as_ref()
            }
        }
    }

    fn write_batch(&mut self, batch: &Batch) -> Result<(), Fault> {
        let mut from = 0;
        for step in &batch.steps {
            self.write(&batch.samples[2 * from..2 * step.at])?;
            from = step.at;
            match step.what {
                Between::Rate(rate) => self.follow(rate)?,
                Between::Silence(count) => self.write_silence(count)?,
            }
        }
        self.write(&batch.samples[2 * from..])
    }

    fn follow(&mut self, rate: SampleRate) -> Result<(), Fault> {
        self.rate = rate;
        if matches!(self.state, State::Waiting) {
            self.file_rate = rate;
            let file = Unfinished::create(&self.folder, &self.name)?;
            self.state = State::Open(Box::new(SoundFile::begin(file, self.format, rate)?));
        }
        self.end_conversion()?;
        self.converter = (rate != self.file_rate).then(|| PairConverter::new(rate, self.file_rate));
        Ok(())
    }

    fn end_conversion(&mut self) -> Result<(), Fault> {
        let Some(converter) = self.converter.take() else { return Ok(()) };
        let mut rest = Vec::new();
        converter.finish(&mut rest);
        self.put(&rest)
    }

    fn write_silence(&mut self, count: u64) -> Result<(), Fault> {
        let second = vec![0; 2 * self.rate.samples(1_000)];
        let mut left = 2 * count;
        while left > 0 {
            let piece = second.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            self.write(&second[..piece])?;
            left -= piece as u64;
        }
        Ok(())
    }

    fn write(&mut self, samples: &[i16]) -> Result<(), Fault> {
        let Some(converter) = &mut self.converter else { return self.put(samples) };
        let mut converted = std::mem::take(&mut self.converted);
        converted.clear();
        converter.push(samples, &mut converted);
        let written = self.put(&converted);
        self.converted = converted;
        written
    }

    fn put(&mut self, samples: &[i16]) -> Result<(), Fault> {
        let State::Open(file) = &mut self.state else { return Ok(()) };
        if samples.is_empty() {
            return Ok(());
        }
        file.write(samples)?;
        self.pairs += samples.len() as u64 / 2;
        self.unflushed += samples.len() as u64 / 2;
        if self.unflushed >= u64::from(self.file_rate.hz()) {
            file.flush()?;
            self.unflushed = 0;
        }
        Ok(())
    }

    fn break_off(&mut self, fault: Fault) {
        let state = std::mem::replace(&mut self.state, State::Ended(None));
        if let State::Open(file) = state {
            self.pairs = file.good_pairs();
            self.state = State::Ended(Some(file.abandon()));
        }
        self.fault = Some(fault);
    }

    /// Completes the file, which reads it once.
    pub(super) fn finish(mut self) -> Recorded {
        if let Err(fault) = self.end_conversion() {
            self.break_off(fault);
        }
        let file = match self.state {
            State::Waiting => None,
            State::Ended(file) => file,
            State::Open(file) => {
                let (file, finished) = file.finish();
                self.fault = finished.err();
                Some(file)
            }
        };
        let kept = file.and_then(|file| match file.finish() {
            Ok(kept) => Some(kept),
            Err(error) => {
                self.fault.get_or_insert(error.into());
                None
            }
        });
        Recorded { kept, length: self.file_rate.duration(self.pairs), fault: self.fault }
    }
}

#[cfg(test)]
mod tests;
