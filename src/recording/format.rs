//! The file of a recording, whichever its format.

use super::ogg::OggFile;
use super::wav::WavFile;
use super::{Fault, file::Unfinished};
use crate::audio::SampleRate;
use crate::config::RecordingFormat;

/// A recording that is being written, in pairs of samples: the callee's, ours.
pub(super) struct SoundFile {
    file: Unfinished,
    kind: Kind,
}

enum Kind {
    Wav(WavFile),
    Ogg(Box<OggFile>),
}

impl SoundFile {
    /// Writes the header. If that cannot be written, there is no file.
    pub(super) fn begin(file: Unfinished, format: RecordingFormat, rate: SampleRate) -> Result<Self, Fault> {
        let begun = file.writer().map_err(Fault::from).and_then(|writer| match format {
            RecordingFormat::Wav => WavFile::begin(writer, rate).map(Kind::Wav),
            RecordingFormat::OggOpus => OggFile::begin(writer, rate).map(|ogg| Kind::Ogg(Box::new(ogg))),
        });
        match begun {
            Ok(kind) => Ok(Self { file, kind }),
            Err(fault) => {
                file.discard();
                Err(fault)
            }
        }
    }

    pub(super) fn write(&mut self, samples: &[i16]) -> Result<(), Fault> {
        match &mut self.kind {
            Kind::Wav(wav) => wav.write(samples),
            Kind::Ogg(ogg) => ogg.write(samples),
        }
    }

    /// Makes what has been written readable, should the process die.
    pub(super) fn flush(&mut self) -> Result<(), Fault> {
        match &mut self.kind {
            Kind::Wav(wav) => wav.flush(),
            // A page is flushed when it is full, once a second.
            Kind::Ogg(_) => Ok(()),
        }
    }

    /// Completes the format; the file itself is to be finished by the caller.
    pub(super) fn finish(self) -> (Unfinished, Result<(), Fault>) {
        let good = self.good_length();
        let finished = match self.kind {
            Kind::Wav(wav) => wav.finish(),
            Kind::Ogg(ogg) => ogg.finish(),
        };
        let finished = match finished {
            Ok(()) => Ok(()),
            Err(fault) => Err(cut(&self.file, good).err().unwrap_or(fault)),
        };
        (self.file, finished)
    }

    /// Ends the file where it was still good: nothing more can be written.
    pub(super) fn abandon(self) -> Unfinished {
        let good = self.good_length();
        drop(self.kind);
        if let Err(error) = cut(&self.file, good) {
            tracing::warn!(target: "outdial::recording", %error, "a recording could not be ended cleanly");
        }
        self.file
    }

    /// How many pairs are in the file when nothing more can be written.
    pub(super) fn good_pairs(&self) -> u64 {
        match &self.kind {
            Kind::Wav(wav) => wav.good_pairs(),
            Kind::Ogg(ogg) => ogg.good_pairs(),
        }
    }

    fn good_length(&self) -> u64 {
        match &self.kind {
            Kind::Wav(wav) => wav.good_length(),
            Kind::Ogg(ogg) => ogg.good_length(),
        }
    }
}

fn cut(file: &Unfinished, good: u64) -> Result<(), Fault> {
    Ok(file.truncate(good)?)
}
