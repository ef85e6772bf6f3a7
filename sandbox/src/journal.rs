//! What happened in a sandbox: events as they come, and one record per call.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use tokio::sync::{broadcast, watch};

use crate::behaviour::Behaviour;
use crate::digest::DigestAlgorithm;
use crate::media::MediaCounts;
use crate::media::codec::Codec;
use crate::media::srtp::SrtpSuite;
use crate::transport::Transport;

/// Events that a slow reader may fall behind before it loses the oldest.
const EVENT_BACKLOG: usize = 1024;
/// Call records kept; the oldest go first.
const MAX_RECORDS: usize = 10_000;
/// Samples kept in memory, about an hour of calls; the oldest recordings go first.
const MAX_SAMPLES: usize = 32 << 20;

/// Something that happened, for live logs and for tests that wait.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Event {
    /// A REGISTER was accepted.
    Registered {
        /// The account.
        user: String,
        /// The Contact URI that is now bound.
        contact: String,
        /// For how many seconds.
        expires: u32,
        /// The transport that it came over.
        transport: Transport,
        /// The hash that the client chose; `None` when nothing was asked for.
        algorithm: Option<DigestAlgorithm>,
    },
    /// A binding was removed by its owner.
    Unregistered {
        /// The account.
        user: String,
        /// The Contact URI that is no longer bound.
        contact: String,
    },
    /// Credentials were offered and not accepted.
    AuthenticationRefused {
        /// The method of the request, `REGISTER` or `INVITE` as a rule.
        method: String,
        /// Who asked.
        peer: SocketAddr,
        /// What was wrong: `wrong password`, `unknown user`, `stale nonce` …
        reason: &'static str,
    },
    /// A TLS handshake failed; the peer has told why, or has not come to the point within 10 s.
    TlsRefused {
        /// Who asked.
        peer: SocketAddr,
        /// The TLS library's words.
        reason: String,
    },
    /// An INVITE was accepted for handling.
    CallStarted(Box<CallRecord>),
    /// The caller was told that the telephone rings (180 or 183).
    CallRinging {
        /// The Call-ID header.
        call_id: String,
    },
    /// The call was answered with a 200.
    CallAnswered(Box<CallRecord>),
    /// The caller's ACK for the 200 has arrived.
    CallConfirmed {
        /// The Call-ID header.
        call_id: String,
    },
    /// A key was heard from the caller (RFC 4733 or SIP INFO).
    Digit {
        /// The Call-ID header.
        call_id: String,
        /// `0`–`9`, `*`, `#` or `A`–`D`.
        digit: char,
    },
    /// The call is over; the record is complete.
    CallEnded(Box<CallRecord>),
}

/// How a call ended, as the sandbox saw it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CallOutcome {
    /// The caller sent BYE.
    CallerHungUp {
        /// The Reason header of the BYE.
        reason: Option<String>,
    },
    /// The sandbox sent BYE.
    CalleeHungUp,
    /// The caller sent CANCEL before an answer.
    Cancelled {
        /// The Reason header of the CANCEL.
        reason: Option<String>,
    },
    /// The INVITE was refused with this status.
    Refused(u16),
    /// The 200 was never acknowledged.
    NeverAcknowledged,
    /// The caller vanished, or the call reached the sandbox's limit of duration.
    TimedOut,
    /// The sandbox was shut down while the call was up.
    Shutdown,
}

impl fmt::Display for CallOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CallerHungUp { .. } => f.write_str("caller hung up"),
            Self::CalleeHungUp => f.write_str("callee hung up"),
            Self::Cancelled { .. } => f.write_str("cancelled by the caller"),
            Self::Refused(status) => write!(f, "refused with {status}"),
            Self::NeverAcknowledged => f.write_str("answer never acknowledged"),
            Self::TimedOut => f.write_str("timed out"),
            Self::Shutdown => f.write_str("sandbox shut down"),
        }
    }
}

/// What the callee heard: 16-bit mono PCM.
#[derive(Clone, Debug)]
pub struct Recording {
    /// Samples in order; lost packets are silence of their length. Of old calls only the WAV file is left
    /// once newer recordings fill an hour.
    pub samples: Arc<[i16]>,
    /// In Hz: 8000, or 16000 for G.722.
    pub sample_rate: u32,
    /// The WAV file with the same samples, when a directory was given.
    pub wav: Option<PathBuf>,
}

/// One call to the sandbox. Times are those of the sandbox's clock.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct CallRecord {
    /// The Call-ID header.
    pub call_id: String,
    /// The user part of the Request-URI as it was dialled.
    pub dialled: String,
    /// The entry of the table that the dialled number chose.
    pub behaviour: &'static Behaviour,
    /// The From URI.
    pub from: String,
    /// The account whose credentials were accepted; `None` without authentication.
    pub user: Option<String>,
    /// The transport of the INVITE.
    pub transport: Transport,
    /// Where the INVITE came from.
    pub peer: SocketAddr,
    /// The whole INVITE as it was received, headers and body.
    pub invite: String,
    /// When the INVITE arrived.
    pub started: SystemTime,
    /// When the first 180 or 183 was sent.
    pub ringing: Option<SystemTime>,
    /// When the 200 was sent.
    pub answered: Option<SystemTime>,
    /// When the ACK for the 200 arrived.
    pub confirmed: Option<SystemTime>,
    /// When the call was over.
    pub ended: Option<SystemTime>,
    /// The negotiated codec.
    pub codec: Option<Codec>,
    /// The negotiated SRTP suite; `None` for plain RTP.
    pub srtp: Option<SrtpSuite>,
    /// The keys heard from the caller, in order.
    pub digits: String,
    /// Packets and failures, once the call is over.
    pub media: MediaCounts,
    /// What the callee heard; `None` before the end, without sound, or for a codec that it cannot decode.
    pub recording: Option<Recording>,
    /// The status of the caller's answer to a request that the sandbox sent in the dialog, with its method.
    pub replies: Vec<(&'static str, u16)>,
    /// Rules that the caller's stack broke, in words; empty is how it should be.
    pub faults: Vec<String>,
    /// How it ended.
    pub outcome: Option<CallOutcome>,
}

impl CallRecord {
    /// From the first 180 or 183 to the answer or the end; `None` if it never rang or still does.
    pub fn ring_time(&self) -> Option<Duration> {
        self.answered.or(self.ended)?.duration_since(self.ringing?).ok()
    }

    /// From the 200 to the end; `None` without an answer or while the call is up.
    pub fn talk_time(&self) -> Option<Duration> {
        self.ended?.duration_since(self.answered?).ok()
    }
}

/// Collects records and tells events.
pub(crate) struct Journal {
    events: broadcast::Sender<Event>,
    calls: Mutex<Vec<CallRecord>>,
    version: watch::Sender<u64>,
}

impl Journal {
    pub(crate) fn new() -> Self {
        Self {
            events: broadcast::channel(EVENT_BACKLOG).0,
            calls: Mutex::default(),
            version: watch::channel(0).0,
        }
    }

    pub(crate) fn tell(&self, event: Event) {
        tracing::debug!(?event);
        // No receiver is no fault.
        let _ = self.events.send(event);
        self.changed();
    }

    fn changed(&self) {
        self.version.send_modify(|version| *version = version.wrapping_add(1));
    }

    pub(crate) fn subscribe(&self) -> broadcast::Receiver<Event> {
        self.events.subscribe()
    }

    /// Changes whenever an event is told or a record is stored.
    pub(crate) fn version(&self) -> watch::Receiver<u64> {
        self.version.subscribe()
    }

    pub(crate) fn calls(&self) -> Vec<CallRecord> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The latest call with that Call-ID.
    pub(crate) fn call(&self, call_id: &str) -> Option<CallRecord> {
        let calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
        calls.iter().rev().find(|call| call.call_id == call_id).cloned()
    }

    /// Stores a record, in place of an earlier state of the same call.
    pub(crate) fn store(&self, record: &CallRecord) {
        self.insert(record);
        self.changed();
    }

    fn insert(&self, record: &CallRecord) {
        let mut calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
        let same = |old: &&mut CallRecord| old.call_id == record.call_id && old.started == record.started;
        match calls.iter_mut().rev().find(same) {
            Some(old) => *old = record.clone(),
            None => {
                if calls.len() >= MAX_RECORDS {
                    calls.remove(0);
                }
                calls.push(record.clone());
            }
        }
        if record.recording.is_some() {
            forget_oldest(&mut calls);
        }
    }
}

/// Lets go of recordings beyond [`MAX_SAMPLES`]; their WAV files stay.
fn forget_oldest(calls: &mut [CallRecord]) {
    let mut total = 0;
    for recording in calls.iter_mut().rev().filter_map(|call| call.recording.as_mut()) {
        total += recording.samples.len();
        if total > MAX_SAMPLES {
            recording.samples = Arc::from([]);
        }
    }
}
