//! The one door to PJSIP, and the only place of this crate with `unsafe`.
//!
//! [`Instance`] is PJSUA: one per process, owned by the control thread and used from it alone (it is `!Send`). What
//! happens inside comes out as [`PjEvent`]s through a channel: a trampoline copies what it needs, sends it and
//! returns. The media clock's threads ([`Clock`]) are the only others that call into PJMEDIA, on streams that are
//! pinned by their group lock ([`PinnedStream`]).
//!
//! PJSIP reports a pool that cannot grow, and a message that it cannot parse, by `longjmp`. It does so inside its own
//! calls only: no trampoline here calls a function that parses or allocates from a pool that is guarded that way,
//! and no function here is called by PJSIP with such a frame below it that a jump would cross.

mod account;
mod call;
mod callbacks;
mod clock;
mod codec;
mod error;
mod event;
mod instance;
mod log;
mod media;
mod offer;
mod record;
mod refer;
mod resolver;
mod round;
mod strings;
mod thread;
mod transport;
mod wake;
mod wire;

pub(crate) use account::{AccountId, AccountSettings, JitterBuffer, SrtpPolicy};
pub(crate) use call::{CallSlot, OutboundCall};
pub(crate) use clock::{Clock, ClockStats, OnClock};
pub(crate) use error::PjError;
pub(crate) use event::{CallKey, Connection, Method, NegotiatedMedia, PjEvent, TransportFailure};
pub(crate) use instance::{Instance, InstanceSettings, StartFailure};
pub(crate) use media::{CallMedia, PinnedStream, QueueCounters, StreamStats};
pub(crate) use offer::CallSettings;
pub(crate) use refer::Consent;
pub(crate) use resolver::{Protocol, Question};
pub(crate) use thread::take_precedence;
pub(crate) use transport::{ClientCertificate, SYSTEM_CA_FOLDER, TlsSettings, TransportId, TransportKind};
pub(crate) use wake::Waker;
pub(crate) use wire::Refusal;
