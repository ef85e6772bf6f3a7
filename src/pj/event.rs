//! What PJSIP tells, copied out of its memory.

use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};

use crossbeam_channel::Sender;

use super::account::AccountId;
use super::media::PinnedStream;
use super::resolver::{Protocol, Question};
use super::wake::Waker;

/// Our own name for a call. PJSUA's call slots are used again as soon as they are free; this never is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct CallKey(pub(crate) u64);

/// The methods whose fate matters to a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Method {
    Invite,
    Ack,
    Cancel,
    Bye,
    Other,
}

/// What the answer settled.
#[derive(Debug, Clone)]
pub(crate) struct NegotiatedMedia {
    /// Encoding name and clock rate, `PCMU/8000`.
    pub(crate) codec: String,
    /// The crypto suite, when SRTP is active.
    pub(crate) srtp: Option<String>,
    /// Where our RTP goes.
    pub(crate) remote: Option<SocketAddr>,
}

/// A connection that could not be made, or was lost.
#[derive(Debug, Clone)]
pub(crate) struct TransportFailure {
    /// The far end as the trunk named it, and its port.
    pub(crate) remote: (String, u16),
    /// The far end's address.
    pub(crate) address: Option<SocketAddr>,
    /// Why, in words for an operator; for TLS with what is wrong with the certificate.
    pub(crate) cause: String,
}

/// Names a connection of TCP or TLS for as long as it lives; only ever compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Connection(pub(super) usize);

/// One thing that happened inside PJSIP.
#[derive(Debug)]
pub(crate) enum PjEvent {
    /// A request left for the transport, towards `server`. A connection may still be in the making: it keeps the
    /// request until it is up, or fails.
    RequestSent {
        call_id: String,
        /// The tag of From, which tells several attempts of one call apart.
        tag: String,
        method: Method,
        server: Option<SocketAddr>,
        connection: Option<Connection>,
        /// Whether it answers a challenge.
        authorized: bool,
    },
    /// PJSIP wants to know where a host is, and waits for
    /// [`Instance::resolved`](super::Instance::resolved).
    Resolve { question: Question, host: String, port: Option<u16>, protocol: Protocol },
    /// A connection is up; what waited for it is on its way.
    Connected(Connection),
    /// A connection is no more.
    ConnectionGone(Connection),
    /// A response to one of our requests came in.
    Response {
        call_id: String,
        /// The tag of From: our own.
        tag: String,
        method: Method,
        code: u16,
        phrase: String,
        reason: Option<String>,
        retry_after: Option<u32>,
        /// The Warning headers (RFC 3261 §20.43).
        warning: Option<String>,
        has_sdp: bool,
        secure_media: bool,
    },
    /// The callee hung up.
    ByeReceived { call_id: String, reason: Option<String> },
    /// The callee's answer was taken and acknowledged.
    Confirmed { key: CallKey, media: Option<NegotiatedMedia> },
    /// PJSUA is done with the call; its own status, which may be nothing that was on the wire.
    Disconnected { key: CallKey, code: u16, phrase: String },
    /// An audio stream began; it is pinned until the event's receiver lets it go.
    Stream { key: CallKey, stream: PinnedStream },
    /// The media changed.
    MediaState { key: CallKey, on_hold: bool },
    /// A key was pressed at the other end.
    Digit { key: CallKey, digit: char },
    /// A NOTIFY told how a transfer goes.
    TransferStatus { key: CallKey, code: u16, phrase: String, last: bool },
    /// The callee asks for the call to be moved (REFER), to what Refer-To says. `taken` if that was agreed to: then it
    /// waits for [`Instance::tell_referrer`](super::Instance::tell_referrer).
    Referred { key: CallKey, target: String, taken: bool },
    /// An answer, or none, to REGISTER.
    Registration { account: AccountId, code: u16, phrase: String, expires: u32, error: Option<String> },
    /// A connection failed.
    TransportFailed(TransportFailure),
    /// The gate refused a message.
    Refused { reason: &'static str },
    /// A trampoline panicked: a fault of ours.
    Panicked { callback: &'static str, message: String },
}

struct Sink {
    events: Sender<PjEvent>,
    waker: Option<Waker>,
}

/// Where events go. PJSUA is one per process and its callbacks carry no pointer of ours, so this is a static too.
static SINK: Mutex<Option<Sink>> = Mutex::new(None);

/// Sets or clears the receiver of all events.
pub(super) fn install(events: Option<Sender<PjEvent>>) {
    *SINK.lock().unwrap_or_else(PoisonError::into_inner) = events.map(|events| Sink { events, waker: None });
}

/// Says how the control thread is woken by events that come from another thread.
pub(super) fn install_waker(waker: Waker) {
    if let Some(sink) = SINK.lock().unwrap_or_else(PoisonError::into_inner).as_mut() {
        sink.waker = Some(waker);
    }
}

/// Sends an event; a trampoline on the control thread calls this, and the loop reads the channel after its poll.
pub(super) fn emit(event: PjEvent) {
    if let Some(sink) = SINK.lock().unwrap_or_else(PoisonError::into_inner).as_ref() {
        // The receiver lives as long as the instance; when it is gone nobody is left to care.
        let _ = sink.events.send(event);
    }
}

/// As [`emit`], from a thread of PJMEDIA.
pub(super) fn emit_and_wake(event: PjEvent) {
    let guard = SINK.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(sink) = guard.as_ref() {
        let _ = sink.events.send(event);
        if let Some(waker) = &sink.waker {
            waker.wake();
        }
    }
}
