//! Idempotency keys of calls that this process is making; the ledger has those of earlier ones.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use crate::call::WeakCall;
use crate::provider::{AgentId, DialError, DialRequest, E164};

/// See the [module](self).
#[derive(Default)]
pub(super) struct Keys(Mutex<HashMap<String, Entry>>);

struct Entry {
    agent: AgentId,
    to: E164,
    state: State,
}

enum State {
    /// Somebody dials. The channel closes when it is known what came of it.
    Dialling(watch::Receiver<()>),
    Up(WeakCall),
}

/// What a key stands for.
pub(super) enum Found {
    /// A call of this process.
    Up(WeakCall),
    /// Nothing in this process; whoever asked dials, and holds the key meanwhile.
    Nothing(Claim),
}

/// The right to dial for a key, and the duty to say what came of it: dropped, it frees the key.
pub(super) struct Claim {
    keys: Arc<Keys>,
    key: String,
    kept: bool,
    _dialling: watch::Sender<()>,
}

impl Keys {
    /// Finds the call of a key, or claims it. While somebody else dials for it, it waits.
    ///
    /// # Cancel safety
    ///
    /// Cancel-safe: nothing is claimed until it returns.
    pub(super) async fn claim(
        self: &Arc<Self>,
        key: &str,
        request: &DialRequest,
    ) -> Result<Found, DialError> {
        loop {
            let mut dialling = {
                let mut entries = self.entries();
                match entries.get(key) {
                    Some(entry) => {
                        same(request, entry.agent.as_str(), entry.to.as_str())?;
                        match &entry.state {
                            State::Up(call) => return Ok(Found::Up(call.clone())),
                            State::Dialling(done) => done.clone(),
                        }
                    }
                    None => {
                        let (sender, done) = watch::channel(());
                        let (agent, to) = (request.agent.clone(), request.to.clone());
                        entries.insert(key.to_owned(), Entry { agent, to, state: State::Dialling(done) });
                        let (keys, key) = (Arc::clone(self), key.to_owned());
                        return Ok(Found::Nothing(Claim { keys, key, kept: false, _dialling: sender }));
                    }
                }
            };
            // Nothing is ever sent: it ends when the sender goes.
            while dialling.changed().await.is_ok() {}
        }
    }

    /// The call is over, and the ledger has its end.
    pub(super) fn forget(&self, key: &str) {
        self.entries().remove(key);
    }

    fn entries(&self) -> MutexGuard<'_, HashMap<String, Entry>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Claim {
    /// The key.
    pub(super) fn key(&self) -> &str {
        &self.key
    }

    /// From now on the key stands for this call.
    pub(super) fn keep(mut self, call: WeakCall) {
        if let Some(entry) = self.keys.entries().get_mut(&self.key) {
            entry.state = State::Up(call);
            self.kept = true;
        }
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        if !self.kept {
            self.keys.forget(&self.key);
        }
    }
}

/// A key stands for one call: another agent or number with it is a mistake, and must neither get that call nor ring.
pub(super) fn same(request: &DialRequest, agent: &str, to: &str) -> Result<(), DialError> {
    if request.agent.as_str() == agent && request.to.as_str() == to {
        return Ok(());
    }
    Err(DialError::InvalidRequest {
        field: "idempotency_key",
        problem: "stands for a call of another agent or to another number".to_owned(),
    })
}
