//! The handle of the SIP provider.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use async_trait::async_trait;
use crossbeam_channel::{Sender, unbounded};
use futures_util::future::join_all;
use tokio::sync::{oneshot, watch};

use super::control::{Control, DialOrder, Invite, Order, Parts};
use super::registration::Registration;
use super::trunk::{Dialling, Trunk, TrunkSetup};
use super::{StartError, gate};
use crate::audio;
use crate::call::{Audio, Call, CallControl, CallId, CallLog, Command};
use crate::config::{Config, DtmfMethod, Route, Transport};
use crate::pj::{
    self, CallKey, CallMedia, Clock, ClockStats, Instance, InstanceSettings, Refusal, StartFailure, Waker,
};
use crate::provider::{DialError, DialProvider, DialRequest, Shutdown};

/// Calls that one media thread carries before another one is worth its wake-ups.
const CALLS_PER_MEDIA_THREAD: u32 = 500;
/// Slots for calls that are over for us while PJSIP still says goodbye.
const SLOTS_FOR_GOODBYES: u32 = 16;
/// Speech that an application may queue ahead; what is queued can be cleared at once, so it delays no barge-in.
const PLAYOUT: Duration = Duration::from_millis(500);
/// Sound that waits for an application that is busy.
const LISTEN: Duration = Duration::from_millis(200);
/// How long a dial waits for a trunk's first registration.
const FIRST_REGISTRATION: Duration = Duration::from_secs(8);

/// What an endpoint counts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct EndpointStats {
    /// Calls from `dial` to `Ended`.
    pub calls: usize,
    /// Call slots that PJSIP holds.
    pub pjsip_calls: usize,
    /// Audio frames moved, both directions as one, since the start.
    pub frames: u64,
    /// Frames left out because a media thread ran more than a packet time late.
    pub late_frames: u64,
    /// Panics caught in callbacks: faults of this library.
    pub callback_panics: u64,
    /// Messages that the [`gate`] kept from PJSIP.
    pub refused_messages: u64,
}

/// The SIP provider: one per process, since PJSIP is. A cheap clone.
///
/// Dropping the last handle, of the endpoint and of its calls, shuts down in the background;
/// [`shutdown`](Self::shutdown) is the orderly way.
#[derive(Clone)]
pub struct Endpoint(Arc<Shared>);

struct Shared {
    orders: Orders,
    config: Config,
    trunks: Vec<Dialling>,
    next_key: AtomicU64,
    counters: Arc<Counters>,
}

/// The way to the control thread.
#[derive(Clone)]
struct Orders {
    sender: Sender<Order>,
    waker: Waker,
}

impl Orders {
    fn send(&self, order: Order) -> bool {
        let sent = self.sender.send(order).is_ok();
        self.waker.wake();
        sent
    }
}

#[derive(Default)]
pub(super) struct Counters {
    calls: AtomicUsize,
    pjsip_calls: AtomicUsize,
    frames: AtomicU64,
    late_frames: AtomicU64,
    panics: AtomicU64,
    refused: Mutex<BTreeMap<&'static str, u64>>,
}

impl Counters {
    pub(super) fn refused(&self, reason: &'static str) {
        *self.refused.lock().unwrap_or_else(PoisonError::into_inner).entry(reason).or_default() += 1;
    }

    pub(super) fn calls(&self, calls: usize, pjsip_calls: u32, clock: ClockStats) {
        self.calls.store(calls, Ordering::Relaxed);
        self.pjsip_calls.store(pjsip_calls as usize, Ordering::Relaxed);
        self.frames.store(clock.served, Ordering::Relaxed);
        self.late_frames.store(clock.late, Ordering::Relaxed);
    }

    pub(super) fn panicked(&self) {
        self.panics.fetch_add(1, Ordering::Relaxed);
    }
}

impl Endpoint {
    /// Starts PJSIP with the trunks of a configuration, and begins to register those that want it.
    ///
    /// # Errors
    ///
    /// [`StartError::AlreadyRunning`] while another endpoint of this process lives; else what is wrong with the
    /// configuration, a secret or a trunk. After an error nothing is left running.
    ///
    /// # Cancel safety
    ///
    /// An endpoint whose start is cancelled shuts down by itself.
    pub async fn start(config: &Config) -> Result<Self, StartError> {
        config.validate()?;
        let mut setups = TrunkSetup::all(config)?;
        join_all(setups.iter_mut().map(TrunkSetup::find_public_address)).await;
        let settings = InstanceSettings {
            user_agent: config.endpoint.user_agent.clone(),
            max_calls: config.endpoint.max_calls + SLOTS_FOR_GOODBYES,
            gate: judge,
            keep_alive: keep_alive(config),
            timers: (config.endpoint.timers.t1, config.endpoint.timers.t2, config.endpoint.timers.t4),
        };
        let max_calls = config.endpoint.max_calls;
        let counters = Arc::new(Counters::default());
        let (sender, orders) = unbounded();
        let (started, starting) = oneshot::channel();
        let theirs = Arc::clone(&counters);
        let ipv6 = config.endpoint.bind.is_ipv6();
        let nameservers = config.endpoint.nameservers.clone();
        thread::Builder::new().name("outdial-control".to_owned()).spawn(move || {
            pj::take_precedence();
            let (events_in, events) = unbounded();
            let parts = set_up(&settings, setups, events_in).map(|(instance, clock, waker, trunks)| Parts {
                ipv6,
                nameservers,
                clock,
                instance,
                waker,
                orders,
                events,
                trunks,
                max_calls: max_calls as usize,
                counters: theirs,
            });
            match parts {
                Ok(parts) => {
                    let trunks = parts.trunks.iter().map(Trunk::dialling).collect::<Vec<_>>();
                    // When nobody waits any more there is no sender of orders either, and the loop ends at once.
                    let _ = started.send(Ok((parts.waker.clone(), trunks)));
                    Control::new(parts).run();
                }
                Err(error) => {
                    let _ = started.send(Err(error));
                }
            }
        })?;
        let (waker, trunks) = starting.await.unwrap_or_else(|_| {
            Err(StartError::Pjsip("the control thread ended while it was starting".to_owned()))
        })?;
        let orders = Orders { sender, waker };
        let config = config.clone();
        Ok(Self(Arc::new(Shared { orders, config, trunks, next_key: AtomicU64::new(1), counters })))
    }

    /// The names of the trunks.
    pub fn trunks(&self) -> impl Iterator<Item = &str> {
        self.0.trunks.iter().map(Dialling::name)
    }

    /// Follows a trunk's registration; `None` for a name that is not configured.
    #[must_use]
    pub fn registration(&self, trunk: &str) -> Option<watch::Receiver<Registration>> {
        self.0.trunks.iter().find(|dialling| dialling.name() == trunk).map(Dialling::registration)
    }

    /// What was counted; a snapshot that is up to a second old.
    #[must_use]
    pub fn stats(&self) -> EndpointStats {
        let counters = &self.0.counters;
        EndpointStats {
            calls: counters.calls.load(Ordering::Relaxed),
            pjsip_calls: counters.pjsip_calls.load(Ordering::Relaxed),
            frames: counters.frames.load(Ordering::Relaxed),
            late_frames: counters.late_frames.load(Ordering::Relaxed),
            callback_panics: counters.panics.load(Ordering::Relaxed),
            refused_messages: self.refused_messages().values().sum(),
        }
    }

    /// How many messages the [`gate`] kept from PJSIP, by the [label](gate::Reason::label) of the reason.
    #[must_use]
    pub fn refused_messages(&self) -> BTreeMap<&'static str, u64> {
        self.0.counters.refused.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Reads the secrets of all trunks again and uses those that have changed: a new password or client certificate
    /// registers its trunk anew. Calls that are up go on undisturbed, with what they began with. Returns the names of the
    /// trunks that have new secrets.
    ///
    /// # Errors
    ///
    /// [`StartError::Trunk`] if a secret cannot be read, and then nothing is changed; or if PJSIP refuses one.
    ///
    /// # Cancel safety
    ///
    /// Once the secrets are read they are used even if the future is dropped.
    pub async fn renew_secrets(&self) -> Result<Vec<String>, StartError> {
        let config = self.0.config.clone();
        let read = tokio::task::spawn_blocking(move || TrunkSetup::all(&config)).await;
        let setups = read.map_err(|error| StartError::Pjsip(error.to_string()))??;
        let (done, renewed) = oneshot::channel();
        if !self.0.orders.send(Order::Renew(setups, done)) {
            return Ok(Vec::new());
        }
        // An endpoint that has been shut down has no trunks.
        renewed.await.unwrap_or_else(|_| Ok(Vec::new()))
    }

    /// Ends all calls as `how` says, takes registrations back, frees PJSIP and returns when all that is done; another
    /// endpoint can then be started. Bounded: 5.5 seconds plus the time to drain. A second shutdown waits for the
    /// first.
    ///
    /// # Cancel safety
    ///
    /// Once polled the endpoint shuts down even if the future is dropped.
    pub async fn shutdown(&self, how: Shutdown) {
        let (done, finished) = oneshot::channel();
        if self.0.orders.send(Order::Shutdown(how, done)) {
            // An error says that the control thread is gone, which is what was asked for.
            let _ = finished.await;
        }
    }
}

#[async_trait]
impl DialProvider for Endpoint {
    async fn dial_with(&self, request: DialRequest) -> Result<Call, DialError> {
        request.validate()?;
        request.refuse_key()?;
        let route = self.0.config.route(&request)?;
        let found = self.0.trunks.iter().enumerate().find(|(_, trunk)| trunk.name() == route.trunk_name);
        let (trunk, dialling) = found.ok_or_else(|| DialError::UnknownTrunk(route.trunk_name.to_owned()))?;
        dialling.registered_or_given_up(FIRST_REGISTRATION).await;
        if let Some(error) = dialling.refusal() {
            return Err(error);
        }
        let invite = Invite {
            to: request.to.clone(),
            target: route.trunk.request_uri(&request.to),
            from: Some(route.trunk.from_value(
                route.caller_id.as_ref(),
                route.caller_name.as_deref(),
                route.hide_caller,
            )),
            headers: headers(&route, &request),
        };
        let (speaker, source) = audio::playout(route.audio_rate, PLAYOUT);
        let (listener, sink) = audio::listen(route.audio_rate, LISTEN);
        let key = CallKey(self.0.next_key.fetch_add(1, Ordering::Relaxed));
        let mut media = CallMedia::new(source, sink, route.trunk.early_media);
        if route.trunk.dtmf == DtmfMethod::Inband {
            media = media.with_keys_in_band(key);
        }
        if let Some(recorder) = request.departure.recorder() {
            media = media.with_recorder(recorder);
        }
        let log = CallLog::new(new_call_id());
        request.departure.leaving(log.id()).await?;
        let (dialer, sent) = oneshot::channel();
        let order = DialOrder {
            key,
            trunk,
            media: Arc::new(media),
            log: Arc::clone(&log),
            dialer,
            ring_timeout: route.ring_timeout,
            talk_limit: route.talk_limit,
            invite,
            departure: request.departure.clone(),
            moves: request.moves.clone(),
        };
        if !self.0.orders.send(Order::Dial(Box::new(order))) {
            return Err(DialError::ShutDown);
        }
        // From here on a dial that is dropped drops this handle, which hangs up: before the INVITE, after it, and also
        // when the answer that it has left lies there unread.
        let control = CallHandle { key, orders: self.0.orders.clone() };
        let call = Call::new(log, Box::new(control), Audio { speaker, listener });
        sent.await.unwrap_or(Err(DialError::ShutDown))?;
        Ok(call)
    }
}

/// The INVITE's further headers: who calls, as the trunk wants it told, and the request's own.
fn headers(route: &Route<'_>, request: &DialRequest) -> Vec<(String, String)> {
    let (caller, name) = (route.caller_id.as_ref(), route.caller_name.as_deref());
    let identity = route.trunk.identity_headers(caller, name, route.hide_caller);
    let own = request.headers.iter();
    let own = own.map(|header| (header.name().to_owned(), header.value().to_owned()));
    identity.into_iter().map(|(name, value)| (name.to_owned(), value)).chain(own).collect()
}

/// A call's way to the control thread.
struct CallHandle {
    key: CallKey,
    orders: Orders,
}

impl CallControl for CallHandle {
    fn provider(&self) -> &'static str {
        "sip"
    }

    fn send(&self, command: Command) {
        // When the control thread is gone the call has ended, and a dropped reply says so.
        self.orders.send(Order::Call(self.key, command));
    }
}

/// The gate, as the wire asks it.
fn judge(message: &[u8]) -> Option<Refusal> {
    match gate::inspect(message) {
        gate::Verdict::Pass => None,
        gate::Verdict::Drop(reason) => Some(Refusal { status: None, reason: reason.label() }),
        gate::Verdict::Answer { status, reason } => {
            Some(Refusal { status: Some(status), reason: reason.label() })
        }
    }
}

type Running = (Instance, Clock, Waker, Vec<Trunk>);

fn set_up(
    settings: &InstanceSettings,
    setups: Vec<TrunkSetup>,
    events: Sender<crate::pj::PjEvent>,
) -> Result<Running, StartError> {
    let (instance, waker) = Instance::start(settings, events).map_err(|failure| match failure {
        StartFailure::AlreadyRunning => StartError::AlreadyRunning,
        StartFailure::Pj(error) => StartError::Pjsip(error.to_string()),
    })?;
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let threads = cores.min(settings.max_calls.div_ceil(CALLS_PER_MEDIA_THREAD) as usize);
    let clock = Clock::start(threads)?;
    let mut opened = Vec::new();
    let trunks =
        setups.into_iter().map(|setup| setup.open(&instance, &mut opened)).collect::<Result<Vec<_>, _>>()?;
    Ok((instance, clock, waker, trunks))
}

/// PJSIP has one interval for the connections of all trunks: the shortest that one of them asks for.
fn keep_alive(config: &Config) -> Duration {
    let connected = config.trunks.values().filter(|trunk| trunk.transport != Transport::Udp);
    let asked = connected.map(|trunk| trunk.keep_alive).filter(|interval| !interval.is_zero());
    asked.min().unwrap_or_default()
}

/// 128 random bits as 32 lower-case hexadecimal digits: unguessable, and nothing that a host's log would redact.
fn new_call_id() -> CallId {
    CallId::new(format!("{:032x}", rand::random::<u128>()))
}

#[cfg(test)]
mod tests {
    use super::new_call_id;

    #[test]
    fn a_call_id_is_32_lower_case_hexadecimal_digits() {
        for _ in 0..1000 {
            let id = new_call_id();
            assert_eq!(id.as_str().len(), 32);
            assert!(id.as_str().bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b)), "{id}");
        }
    }
}
