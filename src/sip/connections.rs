//! The connections to the trunks: which are up, what waits for one, and why one failed.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use crate::pj::{Connection, TransportFailure};

/// How long the failures are remembered: a call that fails by one is told so within this time.
const MEMORY: Duration = Duration::from_secs(5);

#[derive(Default)]
pub(super) struct Connections {
    up: HashSet<Connection>,
    /// Call-IDs of the INVITEs that PJSIP keeps until their connection is up.
    waiting: HashMap<Connection, Vec<String>>,
    failures: Vec<(Instant, TransportFailure)>,
}

impl Connections {
    /// Whether an INVITE that was handed to a transport is on its way now. If not, [`connected`](Self::connected) will
    /// name its Call-ID, or the call fails with its connection.
    pub(super) fn carries(&mut self, connection: Option<Connection>, call_id: &str) -> bool {
        let Some(connection) = connection.filter(|connection| !self.up.contains(connection)) else {
            return true;
        };
        self.waiting.entry(connection).or_default().push(call_id.to_owned());
        false
    }

    /// A connection is up. Returns the Call-IDs whose INVITEs it takes along.
    pub(super) fn connected(&mut self, connection: Connection) -> Vec<String> {
        self.up.insert(connection);
        self.waiting.remove(&connection).unwrap_or_default()
    }

    /// A connection is no more; another one may get its name.
    pub(super) fn gone(&mut self, connection: Connection) {
        self.up.remove(&connection);
        self.waiting.remove(&connection);
    }

    pub(super) fn failed(&mut self, now: Instant, failure: TransportFailure) {
        tracing::warn!(
            target: "outdial::sip", host = failure.remote.0, port = failure.remote.1, cause = failure.cause,
            "a connection failed"
        );
        self.failures.retain(|(at, _)| now.duration_since(*at) < MEMORY);
        self.failures.push((now, failure));
    }

    /// Why the latest of these connections failed, if one did just now.
    pub(super) fn failure(&self, concerns: impl Fn(&TransportFailure) -> bool) -> Option<String> {
        let (_, failure) =
            self.failures.iter().rev().find(|(at, failure)| at.elapsed() < MEMORY && concerns(failure))?;
        Some(failure.cause.clone())
    }
}
