//! The transaction layer: duplicates are absorbed, final answers are repeated, requests of our own are
//! retransmitted (RFC 3261 section 17), every timer with an end.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::message::{Message, Start};
use super::request::Request;
use super::token;
use crate::transport::Flow;

/// Transactions remembered at the same time; requests beyond are dropped.
const MAX_TRANSACTIONS: usize = 20_000;

/// T1, T2 and the time after which a transaction is given up, 64·T1.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Timers {
    pub(crate) t1: Duration,
}

impl Timers {
    const T2: Duration = Duration::from_secs(4);

    pub(crate) fn give_up(self) -> Duration {
        self.t1 * 64
    }

    /// The retransmission interval after `interval`.
    pub(crate) fn next(self, interval: Duration) -> Duration {
        (interval * 2).min(Self::T2.max(self.t1))
    }
}

#[derive(Debug)]
struct Entry {
    last: Mutex<Option<Bytes>>,
    /// When the final answer was sent; until then the transaction lives as long as its owner.
    completed: Mutex<Option<Instant>>,
    created: Instant,
    acknowledged: CancellationToken,
}

/// All transactions of a sandbox.
pub(crate) struct Transactions {
    pub(crate) timers: Timers,
    servers: Mutex<HashMap<String, Arc<Entry>>>,
    clients: Mutex<HashMap<String, mpsc::Sender<Message>>>,
    cancel: CancellationToken,
    tasks: TaskTracker,
}

/// What the transaction layer made of a request.
pub(crate) enum Received {
    /// A request seen for the first time.
    New(ServerTransaction),
    /// An ACK for a 2xx, which is no transaction.
    Ack(Request),
    /// A retransmission or an ACK for a refusal; nothing is left to do.
    Absorbed,
}

impl Transactions {
    pub(crate) fn new(timers: Timers, cancel: CancellationToken, tasks: TaskTracker) -> Self {
        Self { timers, servers: Mutex::default(), clients: Mutex::default(), cancel, tasks }
    }

    /// Sorts out a request that arrived on `flow`.
    pub(crate) fn receive(&self, request: Request, flow: &Flow) -> Received {
        let mut servers = self.servers.lock().unwrap_or_else(PoisonError::into_inner);
        let key = key(&request);
        if let Some(entry) = servers.get(&key) {
            if request.method == "ACK" {
                entry.acknowledged.cancel();
            } else if let Some(last) = entry.last.lock().unwrap_or_else(PoisonError::into_inner).clone() {
                flow.to(request.response_address(flow.peer)).send(last);
            }
            // The ACK for a 2xx has a branch of its own, but some clients reuse the INVITE's.
            let accepted = request.method == "ACK" && entry.accepted();
            return if accepted { Received::Ack(request) } else { Received::Absorbed };
        }
        if request.method == "ACK" {
            return Received::Ack(request);
        }
        if servers.len() >= MAX_TRANSACTIONS {
            tracing::warn!("more than {MAX_TRANSACTIONS} transactions, dropping a request");
            return Received::Absorbed;
        }
        let entry = Arc::new(Entry {
            last: Mutex::default(),
            completed: Mutex::default(),
            created: Instant::now(),
            acknowledged: CancellationToken::new(),
        });
        servers.insert(key, Arc::clone(&entry));
        Received::New(ServerTransaction {
            flow: flow.to(request.response_address(flow.peer)),
            source: flow.clone(),
            request: Arc::new(request),
            entry,
            tag: token(),
            timers: self.timers,
            cancel: self.cancel.clone(),
            tasks: self.tasks.clone(),
        })
    }

    /// Hands a response to the request of ours that it answers; strays are dropped.
    pub(crate) fn receive_response(&self, response: Message) {
        let branch = response
            .values("Via")
            .first()
            .and_then(|via| super::header::Via::parse(via))
            .map(|via| via.branch().to_owned());
        let clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = branch.and_then(|branch| clients.get(&branch)) {
            // A full queue means that the owner has seen enough of them.
            let _ = client.try_send(response);
        }
    }

    /// Sends a request of our own; its branch must be in its Via already.
    pub(crate) fn begin(self: &Arc<Self>, request: &Message, branch: &str, flow: &Flow) -> ClientTransaction {
        let (sender, responses) = mpsc::channel(16);
        self.clients.lock().unwrap_or_else(PoisonError::into_inner).insert(branch.to_owned(), sender);
        let bytes = request.encode();
        flow.send(bytes.clone());
        ClientTransaction {
            transactions: Arc::clone(self),
            branch: branch.to_owned(),
            request: request.clone(),
            responses,
            bytes,
            flow: flow.clone(),
        }
    }

    /// Removes what has been over for 64·T1; call it now and then.
    pub(crate) fn sweep(&self, now: Instant) {
        let age = self.timers.give_up();
        let mut servers = self.servers.lock().unwrap_or_else(PoisonError::into_inner);
        servers.retain(|_, entry| {
            let completed = *entry.completed.lock().unwrap_or_else(PoisonError::into_inner);
            match completed {
                Some(at) => now.duration_since(at) < age,
                // Only the map holds it: nobody will ever answer.
                None => Arc::strong_count(entry) > 1 || now.duration_since(entry.created) < age,
            }
        });
    }
}

impl Entry {
    fn accepted(&self) -> bool {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        last.as_ref().is_some_and(|bytes| bytes.starts_with(b"SIP/2.0 2"))
    }
}

fn key(request: &Request) -> String {
    let method = if request.method == "ACK" { "INVITE" } else { &request.method };
    let (branch, sent_by) = (request.via.branch(), &request.via.sent_by);
    // Call-ID and CSeq also tell apart clients that predate the magic cookie.
    format!("{branch} {sent_by} {method} {} {}", request.call_id, request.cseq)
}

/// One received request and the answers to it.
#[derive(Clone, Debug)]
pub(crate) struct ServerTransaction {
    pub(crate) request: Arc<Request>,
    /// Where answers go.
    flow: Flow,
    /// Where the request came from.
    pub(crate) source: Flow,
    /// The To tag of answers, unless the request carries one.
    pub(crate) tag: String,
    entry: Arc<Entry>,
    timers: Timers,
    cancel: CancellationToken,
    tasks: TaskTracker,
}

impl ServerTransaction {
    /// An answer to this request, not sent yet.
    pub(crate) fn response(&self, status: u16, phrase: &str) -> Message {
        let tag = (status > 100).then_some(self.tag.as_str());
        self.request.response(status, phrase, tag, self.source.peer).with("Server", crate::SERVER)
    }

    /// Answers with nothing but status and phrase.
    pub(crate) fn reply(&self, status: u16, phrase: &str) {
        self.respond(&self.response(status, phrase));
    }

    /// Sends an answer. A refusal of an INVITE is repeated until its ACK, over UDP (timers G and H).
    pub(crate) fn respond(&self, response: &Message) {
        let Start::Response { status, .. } = response.start else { return };
        let bytes = response.encode();
        *self.entry.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(bytes.clone());
        self.flow.send(bytes.clone());
        if status < 200 {
            return;
        }
        *self.entry.completed.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
        if self.request.method == "INVITE" && status >= 300 && !self.flow.transport.is_reliable() {
            let (flow, timers) = (self.flow.clone(), self.timers);
            let (acknowledged, cancel) = (self.entry.acknowledged.clone(), self.cancel.clone());
            self.tasks.spawn(async move {
                let give_up = tokio::time::Instant::now() + timers.give_up();
                let mut interval = timers.t1;
                loop {
                    tokio::select! {
                        () = acknowledged.cancelled() => return,
                        () = cancel.cancelled() => return,
                        () = tokio::time::sleep_until(give_up) => return,
                        () = tokio::time::sleep(interval) => flow.send(bytes.clone()),
                    }
                    interval = timers.next(interval);
                }
            });
        }
    }

    /// Sends the last answer once more, as a 200 is repeated by the dialog until its ACK.
    pub(crate) fn repeat(&self) {
        if let Some(last) = self.entry.last.lock().unwrap_or_else(PoisonError::into_inner).clone() {
            self.flow.send(last);
        }
    }
}

/// One request that the sandbox sent.
pub(crate) struct ClientTransaction {
    transactions: Arc<Transactions>,
    branch: String,
    request: Message,
    responses: mpsc::Receiver<Message>,
    bytes: Bytes,
    flow: Flow,
}

impl ClientTransaction {
    /// The final response; `None` after 64·T1 without one. Retransmits over UDP meanwhile.
    ///
    /// A refusal of an INVITE is acknowledged here; the ACK for a 2xx is the dialog's.
    ///
    /// Cancel safe: a second call waits on, with the timers begun anew.
    pub(crate) async fn final_response(&mut self) -> Option<Message> {
        let timers = self.transactions.timers;
        let give_up = tokio::time::Instant::now() + timers.give_up();
        let mut interval = timers.t1;
        let is_invite = self.request.method() == Some("INVITE");
        let mut repeat = !self.flow.transport.is_reliable();
        loop {
            tokio::select! {
                response = self.responses.recv() => {
                    let response = response?;
                    if response.status() >= Some(200) {
                        if is_invite && response.status() >= Some(300) {
                            self.acknowledge(&response);
                        }
                        return Some(response);
                    }
                    repeat &= !is_invite;
                }
                () = tokio::time::sleep_until(give_up) => return None,
                () = tokio::time::sleep(interval), if repeat => {
                    self.flow.send(self.bytes.clone());
                    interval = timers.next(interval);
                }
            }
        }
    }
}

impl ClientTransaction {
    /// The ACK that belongs to the transaction (RFC 3261 section 17.1.1.3).
    fn acknowledge(&self, refusal: &Message) {
        let Start::Request { uri, .. } = &self.request.start else { return };
        let mut ack = Message::request("ACK", uri);
        for name in ["Via", "Route", "Max-Forwards", "From", "Call-ID"] {
            ack.copy(name, &self.request);
        }
        ack.copy("To", refusal);
        let cseq = self.request.header("CSeq").unwrap_or_default();
        ack.push("CSeq", cseq.replace("INVITE", "ACK"));
        self.flow.send(ack.encode());
    }
}

impl Drop for ClientTransaction {
    fn drop(&mut self) {
        let mut clients = self.transactions.clients.lock().unwrap_or_else(PoisonError::into_inner);
        clients.remove(&self.branch);
    }
}
