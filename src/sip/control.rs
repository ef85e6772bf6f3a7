//! The control thread: it alone uses PJSIP, and all that happens to a call happens here, one thing after the other.

mod commands;
mod events;
mod leaving;
mod moving;
mod order;
mod placing;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, TryRecvError, unbounded};
use leaving::Leaving;
use moving::NotMoved;
pub(super) use order::{DialOrder, Invite, Order};
use placing::Waiting;

use super::StartError;
use super::active::ActiveCall;
use super::connections::Connections;
use super::endpoint::Counters;
use super::locate::{Directory, Found, Lookups, Query};
use super::trunk::{Trunk, TrunkSetup};
use crate::call::{LocalCause, Signal};
use crate::pj::{CallKey, Clock, Instance, PjEvent, Waker};
use crate::provider::{CapacityLimit, DialError, Shutdown};

/// The longest that a poll waits: limits and time-outs are looked at this often.
const TICK: Duration = Duration::from_millis(50);
/// How often it is looked whether RTP still comes.
const MEDIA_CHECK: Duration = Duration::from_secs(1);

/// See the [module](self).
///
/// Fields are dropped in the order in which they stand: what pins streams of PJSIP's goes before the clock, whose
/// threads use them, and that before PJSIP.
pub(super) struct Control {
    calls: HashMap<CallKey, ActiveCall>,
    events: Receiver<PjEvent>,
    clock: Clock,
    instance: Instance,
    waker: Waker,
    orders: Receiver<Order>,
    trunks: Vec<Trunk>,
    max_calls: usize,
    by_call_id: HashMap<String, CallKey>,
    connections: Connections,
    directory: Directory,
    lookups: Lookups,
    found: Receiver<Found>,
    /// What goes on when a name has been looked up.
    waiting: Vec<(Query, Waiting)>,
    /// Calls whose move came to nothing before anything rang, and how to tell of one.
    not_moved: Receiver<NotMoved>,
    not_moved_in: Sender<NotMoved>,
    /// Whether addresses are IPv6.
    ipv6: bool,
    counters: Arc<Counters>,
    media_checked: Instant,
    leaving: Option<Leaving>,
}

/// What the control thread is made of.
pub(super) struct Parts {
    pub(super) clock: Clock,
    pub(super) instance: Instance,
    pub(super) waker: Waker,
    pub(super) orders: Receiver<Order>,
    pub(super) events: Receiver<PjEvent>,
    pub(super) trunks: Vec<Trunk>,
    pub(super) max_calls: usize,
    pub(super) counters: Arc<Counters>,
    /// Name servers to ask instead of the system's.
    pub(super) nameservers: Vec<SocketAddr>,
    pub(super) ipv6: bool,
}

impl Control {
    pub(super) fn new(parts: Parts) -> Self {
        let Parts { clock, instance, waker, orders, events, trunks, max_calls, counters, nameservers, ipv6 } =
            parts;
        let (found_in, found) = unbounded();
        let (not_moved_in, not_moved) = unbounded();
        let lookups = Lookups::new(nameservers, found_in, waker.clone());
        Self {
            clock,
            instance,
            waker,
            orders,
            events,
            trunks,
            max_calls,
            calls: HashMap::new(),
            by_call_id: HashMap::new(),
            connections: Connections::default(),
            directory: Directory::default(),
            lookups,
            found,
            waiting: Vec::new(),
            not_moved,
            not_moved_in,
            ipv6,
            counters,
            media_checked: Instant::now(),
            leaving: None,
        }
    }

    /// Runs until a shutdown is complete.
    pub(super) fn run(mut self) {
        loop {
            // Cleared before the queues are looked at: what comes after the look wakes the poll below.
            self.waker.acknowledge();
            self.take_events();
            self.take_found();
            self.take_orders();
            self.take_not_moved();
            self.look_at_the_time();
            if self.has_left() {
                break;
            }
            self.instance.poll(TICK);
        }
        let done = self.leaving.take().map(|leaving| leaving.done).unwrap_or_default();
        // Joins the media threads and destroys PJSUA before anybody is told that it is over.
        drop(self);
        for done in done {
            let _ = done.send(());
        }
    }

    fn take_orders(&mut self) {
        loop {
            match self.orders.try_recv() {
                Ok(order) => self.order(order),
                Err(TryRecvError::Empty) => return,
                Err(TryRecvError::Disconnected) => {
                    // Nobody is left who could ask for anything: neither endpoint nor call.
                    self.leave(Shutdown::HangUp, None);
                    return;
                }
            }
            // What an order caused is known before the next one: a slot that became free must not be used by two.
            self.take_events();
        }
    }

    fn order(&mut self, order: Order) {
        match order {
            Order::Dial(order) => self.dial(*order),
            Order::Call(key, command) => self.command(key, command),
            Order::Renew(setups, done) => {
                // Nobody waits for the answer any more if it cannot be sent.
                let _ = done.send(self.renew(setups));
            }
            Order::Shutdown(how, done) => self.leave(how, Some(done)),
        }
    }

    fn renew(&mut self, setups: Vec<TrunkSetup>) -> Result<Vec<String>, StartError> {
        let mut renewed = Vec::new();
        for setup in setups {
            let name = setup.name().to_owned();
            let Some(trunk) = self.trunks.iter_mut().find(|trunk| trunk.name() == name) else { continue };
            match trunk.renew(&self.instance, setup) {
                Ok(true) => renewed.push(name),
                Ok(false) => {}
                Err(error) => return Err(StartError::Trunk { trunk: name, detail: error.to_string() }),
            }
        }
        Ok(renewed)
    }

    fn dial(&mut self, order: DialOrder) {
        let moves = order.moves.clone();
        let mut call = ActiveCall::new(order);
        if let Err(error) = self.admit(&call).and_then(|()| self.take_the_place_of(moves.as_ref(), &mut call))
        {
            return call.refuse(error);
        }
        let key = call.key;
        self.by_call_id.insert(call.id().to_owned(), key);
        self.calls.insert(key, call);
        self.count_calls();
        self.place(Instant::now(), key);
    }

    fn admit(&self, call: &ActiveCall) -> Result<(), DialError> {
        if self.leaving.is_some() {
            return Err(DialError::ShutDown);
        }
        let trunk = &self.trunks[call.trunk];
        if self.calls.len() >= self.max_calls {
            let max = u32::try_from(self.max_calls).unwrap_or(u32::MAX);
            return Err(DialError::AtCapacity { limit: CapacityLimit::Calls, max });
        }
        let on_trunk = |other: &&ActiveCall| other.trunk == call.trunk && !other.succession.has_left();
        let on_trunk = self.calls.values().filter(on_trunk).count();
        if let Some(max) = trunk.max_calls().filter(|max| on_trunk >= *max as usize) {
            return Err(DialError::AtCapacity {
                limit: CapacityLimit::TrunkCalls(trunk.name().to_owned()),
                max,
            });
        }
        trunk.refusal().map_or(Ok(()), Err)
    }

    /// Ends a call for a reason of ours.
    fn end(&mut self, key: CallKey, cause: LocalCause, detail: Option<String>) {
        let now = Instant::now();
        let Some(call) = self.calls.get_mut(&key) else { return };
        call.blame(cause, detail.clone());
        if call.is_ending() {
            return;
        }
        call.ending(now);
        if let Some(successor) = call.succession.successor() {
            self.end(successor, cause, detail);
        }
        // It may have ended with the one that took its place.
        let Some(call) = self.calls.get_mut(&key) else { return };
        match call.slot {
            Some(slot) => {
                if let Err(error) = self.instance.hang_up(slot) {
                    tracing::debug!(target: "outdial::sip", %error, "hang-up refused: the call is over already");
                }
            }
            None => self.conclude(now, key),
        }
    }

    fn end_by_id(&mut self, call_id: &str, cause: LocalCause) {
        if let Some(key) = self.by_call_id.get(call_id).copied() {
            self.end(key, cause, None);
        }
    }

    fn conclude(&mut self, now: Instant, key: CallKey) {
        let Some(call) = self.calls.get_mut(&key) else { return };
        let successor = call.succession.successor();
        if !call.is_overdue(now) && successor.is_some_and(|successor| self.calls.contains_key(&successor)) {
            // The one that took its place is not over yet: it ends with that one.
            if let Some(call) = self.calls.get_mut(&key) {
                call.left_by_callee(now);
            }
            return;
        }
        if let Some(call) = self.remove(key) {
            let (predecessor, facts) = (call.succession.predecessor, call.facts().clone());
            call.conclude(now);
            if let Some(predecessor) = predecessor {
                self.successor_ended(now, predecessor, &facts);
            }
        }
    }

    fn remove(&mut self, key: CallKey) -> Option<ActiveCall> {
        let call = self.calls.remove(&key)?;
        self.by_call_id.remove(call.id());
        self.count_calls();
        Some(call)
    }

    fn call_by_id(&mut self, call_id: &str) -> Option<&mut ActiveCall> {
        let key = self.by_call_id.get(call_id)?;
        self.calls.get_mut(key)
    }

    fn count_calls(&self) {
        self.counters.calls(self.calls.len(), self.instance.active_calls(), self.clock.stats());
    }

    /// Why the connection that a call was to take failed.
    fn failure_of_call(&self, key: CallKey) -> Option<String> {
        let call = self.calls.get(&key)?;
        let trunk = &self.trunks[call.trunk];
        self.connections.failure(|failure| match (failure.address, call.server()) {
            (Some(failed), Some(server)) => failed == server,
            _ => trunk.is_reached_by(&failure.remote.0),
        })
    }

    fn look_at_the_time(&mut self) {
        let now = Instant::now();
        let check_media = now.duration_since(self.media_checked) >= MEDIA_CHECK;
        if check_media {
            self.media_checked = now;
            self.count_calls();
        }
        let mut overdue = Vec::new();
        let mut limited = Vec::new();
        let mut offers = Vec::new();
        let mut stalls = Vec::new();
        let mut let_go = Vec::new();
        for call in self.calls.values_mut() {
            offers.extend(call.offer_due(now).map(|offer| (call.key, offer)));
            if call.lets_go(now) {
                let_go.extend(call.slot);
            }
            if call.is_overdue(now) {
                overdue.push(call.key);
            } else if let Some(limit) = call.limit_reached(now) {
                limited.push((call.key, limit));
            } else if let Some(timeout) = self.trunks[call.trunk].media_timeout().filter(|_| check_media) {
                let stalled = call.watch_media(now, timeout);
                stalls.extend(call.succession.predecessor.zip(stalled));
            }
        }
        for (key, stalled) in stalls {
            if let Some(call) = self.calls.get_mut(&key) {
                call.signal(now, Signal::Stalled(stalled));
            }
        }
        for slot in let_go {
            if let Err(error) = self.instance.hang_up(slot) {
                tracing::debug!(target: "outdial::sip", %error, "hang-up refused: the call is over already");
            }
        }
        for key in overdue {
            self.conclude(now, key);
        }
        for (key, offer) in offers {
            if let Err(error) = self.offer(key, offer) {
                tracing::debug!(target: "outdial::sip", %error, "an offer was not sent again");
            }
        }
        for (key, limit) in limited {
            self.end(key, limit, None);
        }
        for trunk in self.trunks.iter_mut().filter(|_| self.leaving.is_none()) {
            if trunk.is_registration_due(now)
                && let Err(error) = self.instance.set_registration(trunk.account(), true)
            {
                tracing::warn!(target: "outdial::sip", %error, trunk = trunk.name(), "not registered again");
            }
        }
        self.go_on_leaving(now);
    }
}
