//! The sandbox's middle: takes messages from the transports and gives them to registrar and calls.

mod admission;

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub(crate) use crate::journal::{Event, Journal};

use crate::behaviour::{Arrival, Behaviour};
use crate::builder::Builder;
use crate::callee::{Call, Input};
use crate::digest::Authenticator;
use crate::registrar::Registrar;
use crate::sip::header::uri_user;
use crate::sip::message::{Message, Start};
use crate::sip::request::Request;
use crate::sip::transaction::{Received, ServerTransaction, Timers, Transactions};
use crate::sip::{ALLOW, EXTENSIONS, token};
use crate::speech::Voice;
use crate::transport::Flow;

/// Calls at the same time; further ones get 503.
const MAX_CALLS: usize = 5_000;
/// Requests of a dialog that may wait for its call.
const INPUT_QUEUE: usize = 64;

pub(crate) struct Server {
    pub(crate) settings: Builder,
    /// Ends the calls.
    pub(crate) cancel: CancellationToken,
    /// Ends the transports, once the calls have said goodbye over them.
    pub(crate) close: CancellationToken,
    /// Calls, their media and their retransmissions.
    pub(crate) tasks: TaskTracker,
    /// Transports and housekeeping.
    pub(crate) listeners: TaskTracker,
    pub(crate) journal: Journal,
    pub(crate) transactions: Arc<Transactions>,
    pub(crate) voice: Voice,
    registrar: Mutex<Registrar>,
    authenticator: Mutex<Authenticator>,
    calls: Mutex<HashMap<DialogKey, (u64, mpsc::Sender<Input>)>>,
    /// Tells a call from an earlier one with the same key.
    next_call: AtomicU64,
    to_lose: AtomicU32,
}

/// What the requests of one caller's dialog have in common: Call-ID and the caller's tag.
pub(crate) type DialogKey = (String, String);

impl Server {
    pub(crate) fn new(settings: Builder, voice: Voice) -> Self {
        let (cancel, tasks) = (CancellationToken::new(), TaskTracker::new());
        let timers = Timers { t1: settings.t1 };
        let mut authenticator =
            Authenticator::new(settings.realm.clone(), settings.algorithms.clone(), settings.nonce_lifetime);
        authenticator.same_call_id = settings.same_call_id;
        Self {
            journal: Journal::new(),
            transactions: Arc::new(Transactions::new(timers, cancel.clone(), tasks.clone())),
            voice,
            registrar: Mutex::default(),
            authenticator: Mutex::new(authenticator),
            calls: Mutex::default(),
            next_call: AtomicU64::new(0),
            to_lose: AtomicU32::new(settings.lose_first),
            settings,
            cancel,
            close: CancellationToken::new(),
            tasks,
            listeners: TaskTracker::new(),
        }
    }

    /// Takes one message off the network. Nothing that arrives may panic or block.
    pub(crate) fn receive(self: &Arc<Self>, bytes: &[u8], flow: &Flow) {
        if bytes.iter().all(u8::is_ascii_whitespace) {
            return;
        }
        let message = match Message::parse(bytes) {
            Ok(message) => message,
            Err(error) => {
                tracing::debug!(peer = %flow.peer, %error, "not SIP");
                return;
            }
        };
        if matches!(message.start, Start::Response { .. }) {
            return self.transactions.receive_response(message);
        }
        let lose = |left: u32| left.checked_sub(1);
        if self.to_lose.fetch_update(Ordering::Relaxed, Ordering::Relaxed, lose).is_ok() {
            return;
        }
        let request = match Request::new(message.clone()) {
            Ok(request) => request,
            Err(missing) => return refuse_malformed(&message, missing, flow),
        };
        if request.method == "INVITE" && request.to.tag().is_none() && self.is_lost(&request) {
            return;
        }
        match self.transactions.receive(request, flow) {
            Received::New(transaction) => self.dispatch(transaction),
            Received::Ack(ack) => {
                let key = dialog_key(&ack);
                self.pass_on(&key, Input::Ack(Box::new(ack)));
            }
            Received::Absorbed => {}
        }
    }

    fn dispatch(self: &Arc<Self>, transaction: ServerTransaction) {
        let request = Arc::clone(&transaction.request);
        let key = dialog_key(&request);
        let required = request.message.values("Require");
        let unsupported: Vec<_> =
            required.into_iter().filter(|option| !EXTENSIONS.contains(option)).collect();
        if !unsupported.is_empty() && request.method != "CANCEL" {
            let refusal = transaction.response(420, "Bad Extension");
            return transaction.respond(&refusal.with("Unsupported", unsupported.join(", ")));
        }
        match request.method.as_str() {
            "CANCEL" => {
                if !self.pass_on(&key, Input::Cancel(transaction.clone())) {
                    transaction.reply(481, "Call/Transaction Does Not Exist");
                }
            }
            _ if request.to.tag().is_some() => {
                if !self.pass_on(&key, Input::Request(transaction.clone())) {
                    transaction.reply(481, "Call/Transaction Does Not Exist");
                }
            }
            "REGISTER" => self.register(&transaction),
            "INVITE" => self.invite(transaction, key),
            "OPTIONS" => {
                let answer = transaction.response(200, "OK").with("Allow", ALLOW);
                transaction.respond(&answer.with("Accept", "application/sdp").with("Supported", "100rel"));
            }
            "BYE" | "UPDATE" | "INFO" | "PRACK" | "REFER" | "NOTIFY" => {
                transaction.reply(481, "Call/Transaction Does Not Exist");
            }
            _ => transaction.respond(&transaction.response(405, "Method Not Allowed").with("Allow", ALLOW)),
        }
    }

    /// Hands something to a call; `false` when there is no such call or it does not keep up.
    fn pass_on(&self, key: &DialogKey, input: Input) -> bool {
        let calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
        calls.get(key).is_some_and(|(_, call)| call.try_send(input).is_ok())
    }

    /// Whether a number that plays deaf was dialled.
    fn is_lost(&self, request: &Request) -> bool {
        let behaviour = uri_user(&request.uri).and_then(Behaviour::dialled);
        behaviour.is_some_and(|behaviour| behaviour.arrival == Arrival::NeverHeard)
    }

    fn invite(self: &Arc<Self>, transaction: ServerTransaction, key: DialogKey) {
        let request = Arc::clone(&transaction.request);
        let dialled = uri_user(&request.uri).unwrap_or_default().to_owned();
        let behaviour = Behaviour::dialled(&dialled);
        if let Some(Arrival::ChallengedForever(challenge)) = behaviour.map(|behaviour| behaviour.arrival) {
            return self.challenge(&transaction, challenge, false);
        }
        let Some(user) = self.admit(&transaction) else { return };
        let Some(behaviour) = behaviour else {
            let refusal = transaction.response(404, "Not Found");
            let hint = "399 sandbox \"dial +12025550100 to +12025550199, see outdial sandbox --list\"";
            return transaction.respond(&refusal.with("Warning", hint));
        };
        let (sender, input) = mpsc::channel(INPUT_QUEUE);
        let number = self.next_call.fetch_add(1, Ordering::Relaxed);
        {
            let mut calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
            if self.cancel.is_cancelled() {
                return transaction.reply(503, "Service Unavailable: shutting down");
            }
            if calls.contains_key(&key) {
                return transaction.reply(482, "Loop Detected");
            }
            if calls.len() >= MAX_CALLS {
                return transaction.reply(503, "Service Unavailable");
            }
            calls.insert(key.clone(), (number, sender));
        }
        let entry = CallEntry { server: Arc::clone(self), key, number };
        let call = Call::new(Arc::clone(self), entry, transaction, input, behaviour, dialled, user);
        self.tasks.spawn(call.run());
    }

    pub(crate) fn registrations(&self) -> Vec<crate::Registration> {
        self.registrar.lock().unwrap_or_else(PoisonError::into_inner).all(Instant::now())
    }

    pub(crate) fn active_calls(&self) -> usize {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Hangs up every call, then closes every transport.
    pub(crate) async fn shutdown(&self) {
        self.cancel.cancel();
        self.tasks.close();
        self.tasks.wait().await;
        self.close.cancel();
        self.listeners.close();
        self.listeners.wait().await;
    }

    /// Ends everything without waiting.
    pub(crate) fn abandon(&self) {
        self.cancel.cancel();
        self.close.cancel();
    }

    /// Forgets old transactions until the server is closed.
    pub(crate) async fn sweep(self: Arc<Self>) {
        loop {
            tokio::select! {
                () = self.close.cancelled() => return,
                () = tokio::time::sleep(std::time::Duration::from_secs(1)) => {}
            }
            self.transactions.sweep(Instant::now());
        }
    }
}

/// A call's place in the table; it goes with the call.
pub(crate) struct CallEntry {
    server: Arc<Server>,
    key: DialogKey,
    number: u64,
}

impl CallEntry {
    /// From now on a request of this dialog finds nobody, and an INVITE begins anew.
    pub(crate) fn remove(&self) {
        let mut calls = self.server.calls.lock().unwrap_or_else(PoisonError::into_inner);
        if calls.get(&self.key).is_some_and(|(number, _)| *number == self.number) {
            calls.remove(&self.key);
        }
    }
}

impl Drop for CallEntry {
    fn drop(&mut self) {
        self.remove();
    }
}

fn dialog_key(request: &Request) -> DialogKey {
    (request.call_id.clone(), request.from.tag().unwrap_or_default().to_owned())
}

/// Answers 400 to what can be answered at all.
fn refuse_malformed(message: &Message, missing: &str, flow: &Flow) {
    tracing::debug!(peer = %flow.peer, missing, "malformed request");
    if missing == "Via" || message.method() == Some("ACK") {
        return;
    }
    let mut response = Message::response(400, &format!("Bad Request: {missing}"));
    for name in ["Via", "From", "To", "Call-ID", "CSeq"] {
        response.copy(name, message);
    }
    if let Some(to) = message.header("To") {
        response.set("To", format!("{to};tag={}", token()));
    }
    flow.send(response.encode());
}
