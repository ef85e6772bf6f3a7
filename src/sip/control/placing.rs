//! Sending a call to a server: the lookup before it, and the next server when one fails.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use super::Control;
use crate::call::LocalCause;
use crate::pj::{CallKey, CallSettings, OutboundCall, PjError, Question};
use crate::provider::DialError;
use crate::sip::active::ActiveCall;
use crate::sip::locate::{self, Located, Query};

/// What waits for a lookup.
#[derive(Clone, Copy)]
pub(super) enum Waiting {
    /// A call, to be made.
    Call(CallKey),
    /// Another request of PJSIP's.
    Request(Question),
}

impl Control {
    /// Goes on with what waited for lookups that are done.
    pub(super) fn take_found(&mut self) {
        while let Ok((query, answer)) = self.found.try_recv() {
            let now = Instant::now();
            self.directory.learn(now, &query, answer);
            let (ready, still) =
                std::mem::take(&mut self.waiting).into_iter().partition(|(other, _)| *other == query);
            self.waiting = still;
            let ready: Vec<(Query, Waiting)> = ready;
            for (query, waiting) in ready {
                match waiting {
                    Waiting::Call(key) => self.place(now, key),
                    Waiting::Request(question) => self.resolve(now, question, query),
                }
                self.take_events();
            }
        }
    }

    /// Makes a call as soon as it is known where its server is.
    pub(super) fn place(&mut self, now: Instant, key: CallKey) {
        let Some(call) = self.calls.get(&key) else { return };
        if call.is_abandoned() {
            // Nothing was sent, and nobody is there to be told.
            self.remove(key);
            return;
        }
        let destination = self.trunks[call.trunk].destination();
        match self.locate(now, destination, Waiting::Call(key)) {
            Some(Ok(server)) => self.invite(key, server),
            Some(Err(detail)) => self.refuse(key, detail, None),
            None => {}
        }
    }

    /// Where the best server of a name is, or why there is none. When that is not known yet, `waiting` goes on later.
    fn locate(&mut self, now: Instant, query: Query, waiting: Waiting) -> Option<Result<SocketAddr, String>> {
        match self.directory.locate(now, &query) {
            Located::At(server) => Some(Ok(server)),
            Located::Nowhere(detail) => Some(Err(detail)),
            Located::Unknown { first } => {
                if first {
                    self.lookups.ask(query.clone());
                }
                self.waiting.push((query, waiting));
                None
            }
        }
    }

    /// Tells PJSIP where a request goes that is not a call's first.
    pub(super) fn resolve(&mut self, now: Instant, question: Question, query: Query) {
        match self.locate(now, query.clone(), Waiting::Request(question)) {
            Some(Ok(server)) => {
                self.directory.sent_to(&query, server);
                self.instance.resolved(question, Some(server));
            }
            Some(Err(detail)) => {
                tracing::warn!(target: "outdial::sip", detail, "no server for a request");
                self.instance.resolved(question, None);
            }
            None => {}
        }
    }

    /// Sends the INVITE of a call to a server.
    fn invite(&mut self, key: CallKey, server: SocketAddr) {
        let Some(call) = self.calls.get_mut(&key) else { return };
        let trunk = &self.trunks[call.trunk];
        call.goes_to(server);
        let outbound = OutboundCall {
            key,
            account: trunk.account(),
            target: &call.invite.target,
            from: call.invite.from.as_deref(),
            call_id: call.id(),
            headers: &call.invite.headers,
            server,
        };
        let witness = call.departure.witness().filter(|_| call.succession.predecessor.is_none());
        let consent = witness.and_then(|witness| trunk.consent(Arc::clone(witness)));
        let redirects = trunk.redirects(&call.invite.to, call.departure.witness().map(Arc::clone));
        let settings = CallSettings { redirects, consent, ..trunk.call_settings() };
        match self.instance.make_call(&outbound, settings) {
            Ok(slot) => call.slot = Some(slot),
            Err(error) => {
                // The reason may have come beside the error: the connection that failed. And the call's end with it,
                // by which it may be on its way to another server already.
                self.take_events();
                let same = |call: &ActiveCall| call.slot.is_none() && call.server() == Some(server);
                if self.calls.get(&key).is_some_and(same) {
                    let detail = self.failure_of_call(key).unwrap_or_else(|| error.to_string());
                    self.refuse(key, detail, Some(error));
                }
            }
        }
    }

    /// Makes a call that failed before it rang again, with another server, when the failure was the server's and
    /// another one may do better. `own` is PJSIP's code for what happened.
    pub(super) fn goes_elsewhere(&mut self, now: Instant, key: CallKey, own: u16) -> bool {
        let leaving = self.leaving.as_ref().is_some_and(|leaving| leaving.hung_up);
        let Some(call) = self.calls.get_mut(&key) else { return false };
        let facts = call.facts();
        if leaving || call.is_ending() || call.is_answered() || call.has_rung() || call.is_abandoned() {
            return false;
        }
        let Some(penalty) = locate::servers_fault(facts.final_status.as_ref(), facts.retry_after, own) else {
            return false;
        };
        let Some(server) = call.server_failed() else { return false };
        self.directory.penalise(now, server, penalty);
        let trunk = &self.trunks[call.trunk];
        let Some(next) = self.directory.next(now, &trunk.destination(), call.tried()) else { return false };
        tracing::warn!(
            target: "outdial::sip", trunk = trunk.name(), call = call.id(), %server, %next, code = own,
            "a server failed; the call goes to the next one"
        );
        self.invite(key, next);
        true
    }

    /// A call cannot be made.
    pub(super) fn refuse(&mut self, key: CallKey, detail: String, error: Option<PjError>) {
        let Some(mut call) = self.remove(key) else { return };
        let trunk = self.trunks[call.trunk].name().to_owned();
        if call.is_unsent() {
            call.refuse(if error.as_ref().is_some_and(PjError::is_address_in_use) {
                DialError::Media { detail: "all RTP ports of the range are in use".into() }
            } else {
                let source = error.map(|error| Box::new(error) as Box<_>);
                DialError::Unreachable { trunk, detail, source }
            });
        } else {
            // It was made before, with a server that failed.
            call.blame(LocalCause::TransportFailed, Some(detail));
            let (now, predecessor, facts) =
                (Instant::now(), call.succession.predecessor, call.facts().clone());
            call.conclude(now);
            if let Some(predecessor) = predecessor {
                self.successor_ended(now, predecessor, &facts);
            }
        }
    }
}
