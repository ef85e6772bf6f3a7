//! Recordings and transcripts: what was said in a call, on disk.
//!
//! Nothing is kept unless the configuration or a request says so ([`Record`](crate::provider::Record)). A call that is to
//! be recorded leaves `CALLID.wav` or `CALLID.opus` (the callee left, the agent right) and, for its words,
//! `CALLID.jsonl`, in the folder of `[recording]`; `docs/recording.md` has their contents.
//! [`pause_recording`](crate::Call::pause_recording) and [`resume_recording`](crate::Call::resume_recording) stop and
//! continue both.
//!
//! The media clocks hand over the sound of both directions turn by turn, which makes the time line: see
//! `audio::duplex`. Threads of their own write it. A disk that is slow or full costs a recording its sound, and nothing
//! else: the call goes on, and [`RecordingFault`](crate::call::CallEvent::RecordingFault) tells.

mod convert;
mod file;
mod format;
mod leftover;
mod ogg;
mod scribe;
mod session;
mod studio;
mod tape;
mod transcript;
mod wav;

pub(crate) use file::make_folder;
pub(crate) use leftover::{Leftover, finish_leftovers};
pub(crate) use scribe::ScribeDesk;
pub(crate) use session::{Commission, Outcome, Session};
pub(crate) use studio::Studio;

/// Why a recording or a transcript has a hole or an early end.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Fault {
    /// There is no room left.
    #[error("the disk is full")]
    DiskFull(#[source] std::io::Error),
    /// It cannot be written for another reason.
    #[error("{0}")]
    Io(#[source] std::io::Error),
    /// The file has become as long as one of its kind can be.
    #[error("a file of this format cannot be longer")]
    TooLong,
    /// The encoder refused.
    #[error("the encoder failed: {0}")]
    Encoder(String),
    /// The disk was too slow for a while; silence stands for what is missing.
    #[error("the disk was too slow: {0} ms of the recording are missing")]
    Gap(u64),
    /// The disk was too slow for the transcript.
    #[error("the disk was too slow: {0} lines of the transcript are missing")]
    LinesLost(u64),
}

impl Fault {
    /// A word for machines that stays the same.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::DiskFull(_) => "disk_full",
            Self::Io(_) => "io",
            Self::TooLong => "too_long",
            Self::Encoder(_) => "encoder",
            Self::Gap(_) | Self::LinesLost(_) => "gap",
        }
    }

    /// Whether nothing follows it in the file.
    pub(crate) fn is_final(&self) -> bool {
        !matches!(self, Self::Gap(_) | Self::LinesLost(_))
    }
}

impl From<std::io::Error> for Fault {
    fn from(error: std::io::Error) -> Self {
        use std::io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
        match error.kind() {
            StorageFull | QuotaExceeded | FileTooLarge => Self::DiskFull(error),
            _ => Self::Io(error),
        }
    }
}
