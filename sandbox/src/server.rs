//! The sandbox's middle: takes messages from the transports and gives them to registrar and calls.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub(crate) use crate::journal::{Event, Journal};

use crate::behaviour::{Arrival, Behaviour};
use crate::builder::{Builder, InviteChallenge};
use crate::callee::{Call, Input};
use crate::digest::{Authenticator, Verdict};
use crate::registrar::{Limits, Outcome, Registrar};
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
    calls: Mutex<HashMap<DialogKey, mpsc::Sender<Input>>>,
    to_lose: AtomicU32,
}

/// What the requests of one caller's dialog have in common: Call-ID and the caller's tag.
pub(crate) type DialogKey = (String, String);

impl Server {
    pub(crate) fn new(settings: Builder, voice: Voice) -> Self {
        let (cancel, tasks) = (CancellationToken::new(), TaskTracker::new());
        let timers = Timers { t1: settings.t1 };
        let authenticator =
            Authenticator::new(settings.realm.clone(), settings.algorithms.clone(), settings.nonce_lifetime);
        Self {
            journal: Journal::new(),
            transactions: Arc::new(Transactions::new(timers, cancel.clone(), tasks.clone())),
            voice,
            registrar: Mutex::default(),
            authenticator: Mutex::new(authenticator),
            calls: Mutex::default(),
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
        calls.get(key).is_some_and(|call| call.try_send(input).is_ok())
    }

    /// Whether a number that plays deaf was dialled.
    fn is_lost(&self, request: &Request) -> bool {
        let behaviour = uri_user(&request.uri).and_then(Behaviour::dialled);
        behaviour.is_some_and(|behaviour| behaviour.arrival == Arrival::NeverHeard)
    }

    fn register(&self, transaction: &ServerTransaction) {
        if let Some((status, phrase)) = &self.settings.refuse_registrations {
            return transaction.reply(*status, phrase);
        }
        let request = &transaction.request;
        let account = uri_user(&request.to.uri).unwrap_or_default().to_owned();
        let (user, algorithm) = if self.settings.authenticate {
            match self.authenticate(transaction, InviteChallenge::Unauthorized) {
                Some((user, algorithm)) => (user, Some(algorithm)),
                None => return,
            }
        } else {
            (account.clone(), None)
        };
        if user != account {
            return transaction.reply(403, "Forbidden: not your address of record");
        }
        let now = Instant::now();
        let limits =
            Limits { min_expires: self.settings.min_expires, max_expires: self.settings.max_expires };
        let mut registrar = self.registrar.lock().unwrap_or_else(PoisonError::into_inner);
        match registrar.apply(now, &user, &request.message, &request.call_id, request.cseq, limits) {
            Outcome::Bad(what) => transaction.reply(400, &format!("Bad Request: {what}")),
            Outcome::TooBrief(seconds) => {
                let refusal = transaction.response(423, "Interval Too Brief");
                transaction.respond(&refusal.with("Min-Expires", seconds.to_string()));
            }
            Outcome::Ok { changed } => {
                let mut answer = transaction.response(200, "OK");
                for binding in registrar.of(now, &user) {
                    // Rounded up, or a client would see every registration a second short.
                    let left = binding.expires_at.duration_since(now).as_secs_f64().ceil();
                    answer.push("Contact", format!("<{}>;expires={left}", binding.contact));
                }
                transaction.respond(&answer);
                let transport = transaction.source.transport;
                for (contact, expires) in changed {
                    let user = user.clone();
                    self.journal.tell(match expires {
                        0 => Event::Unregistered { user, contact },
                        _ => Event::Registered { user, contact, expires, transport, algorithm },
                    });
                }
            }
        }
    }

    fn invite(self: &Arc<Self>, transaction: ServerTransaction, key: DialogKey) {
        let request = Arc::clone(&transaction.request);
        let dialled = uri_user(&request.uri).unwrap_or_default().to_owned();
        let behaviour = Behaviour::dialled(&dialled);
        if let Some(Arrival::ChallengedForever(challenge)) = behaviour.map(|behaviour| behaviour.arrival) {
            return self.challenge(&transaction, challenge, false);
        }
        let user = if self.settings.authenticate {
            match self.authenticate(&transaction, self.settings.invite_challenge) {
                Some((user, _)) => Some(user),
                None => return,
            }
        } else {
            None
        };
        if self.settings.require_registration && !self.is_registered(user.as_deref(), &request) {
            return transaction.reply(403, "Forbidden: not registered");
        }
        let Some(behaviour) = behaviour else {
            let refusal = transaction.response(404, "Not Found");
            let hint = "399 sandbox \"dial +12025550100 to +12025550199, see outdial sandbox --list\"";
            return transaction.respond(&refusal.with("Warning", hint));
        };
        let (sender, input) = mpsc::channel(INPUT_QUEUE);
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
            calls.insert(key.clone(), sender);
        }
        let call = Call::new(Arc::clone(self), transaction, input, behaviour, dialled, user);
        let server = Arc::clone(self);
        self.tasks.spawn(async move {
            // Also on a panic in a call the dialog must not stay behind.
            let _entry = CallEntry { server, key };
            call.run().await;
        });
    }

    fn is_registered(&self, user: Option<&str>, request: &Request) -> bool {
        let user = user.or_else(|| uri_user(&request.from.uri));
        let registrar = self.registrar.lock().unwrap_or_else(PoisonError::into_inner);
        user.is_some_and(|user| !registrar.of(Instant::now(), user).is_empty())
    }

    /// The user whose credentials hold; otherwise the challenge or refusal has been sent.
    fn authenticate(
        &self,
        transaction: &ServerTransaction,
        challenge: InviteChallenge,
    ) -> Option<(String, crate::DigestAlgorithm)> {
        let request = &transaction.request;
        let name = match challenge {
            InviteChallenge::Unauthorized => "Authorization",
            InviteChallenge::ProxyAuthenticationRequired => "Proxy-Authorization",
        };
        // A credentials header holds one set of comma-separated parameters and is no list.
        let credentials = request.message.lines(name);
        let accounts = &self.settings.accounts;
        let password = |user: &str| {
            accounts.iter().find(|(name, _)| name == user).map(|(_, password)| password.as_str())
        };
        let verdict = {
            let mut authenticator = self.authenticator.lock().unwrap_or_else(PoisonError::into_inner);
            authenticator.verify(Instant::now(), &request.method, &credentials, password)
        };
        let stale = verdict == Verdict::Stale;
        let reason = match verdict {
            Verdict::Accepted { user, algorithm } => return Some((user, algorithm)),
            Verdict::Missing => None,
            Verdict::Stale => Some("stale nonce"),
            Verdict::Refused(reason) => Some(reason),
        };
        if let Some(reason) = reason {
            let (method, peer) = (request.method.clone(), transaction.source.peer);
            self.journal.tell(Event::AuthenticationRefused { method, peer, reason });
        }
        self.challenge(transaction, challenge, stale);
        None
    }

    fn challenge(&self, transaction: &ServerTransaction, challenge: InviteChallenge, stale: bool) {
        let (mut response, name) = match challenge {
            InviteChallenge::Unauthorized => (transaction.response(401, "Unauthorized"), "WWW-Authenticate"),
            InviteChallenge::ProxyAuthenticationRequired => {
                (transaction.response(407, "Proxy Authentication Required"), "Proxy-Authenticate")
            }
        };
        let mut authenticator = self.authenticator.lock().unwrap_or_else(PoisonError::into_inner);
        for value in authenticator.challenges(Instant::now(), stale) {
            response.push(name, value);
        }
        drop(authenticator);
        transaction.respond(&response);
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

/// Takes a call out of the table when it is over.
struct CallEntry {
    server: Arc<Server>,
    key: DialogKey,
}

impl Drop for CallEntry {
    fn drop(&mut self) {
        self.server.calls.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.key);
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
