//! What handles ask of the control thread.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;

use crate::call::{CallId, CallLog, Command};
use crate::pj::{CallKey, CallMedia};
use crate::provider::{Departure, DialError, E164, Shutdown};
use crate::sip::StartError;
use crate::sip::trunk::TrunkSetup;

/// See the [module](self).
pub(in crate::sip) enum Order {
    Dial(Box<DialOrder>),
    Call(CallKey, Command),
    /// Use secrets that were read again. The answer tells which trunks have new ones.
    Renew(Vec<TrunkSetup>, oneshot::Sender<Result<Vec<String>, StartError>>),
    Shutdown(Shutdown, oneshot::Sender<()>),
}

/// A call to be made.
pub(in crate::sip) struct DialOrder {
    pub(in crate::sip) key: CallKey,
    /// Index of the trunk.
    pub(in crate::sip) trunk: usize,
    pub(in crate::sip) media: Arc<CallMedia>,
    pub(in crate::sip) log: Arc<CallLog>,
    pub(in crate::sip) dialer: oneshot::Sender<Result<(), DialError>>,
    pub(in crate::sip) ring_timeout: Duration,
    pub(in crate::sip) talk_limit: Duration,
    pub(in crate::sip) invite: Invite,
    /// Who answers for the call.
    pub(in crate::sip) departure: Departure,
    /// The call that is moved to whoever answers this one.
    pub(in crate::sip) moves: Option<CallId>,
}

/// What the INVITE says.
pub(in crate::sip) struct Invite {
    /// The number, and how its trunk writes it.
    pub(in crate::sip) to: E164,
    pub(in crate::sip) target: String,
    pub(in crate::sip) from: Option<String>,
    pub(in crate::sip) headers: Vec<(String, String)>,
}
