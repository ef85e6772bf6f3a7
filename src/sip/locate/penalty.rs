//! Servers that failed, for a while.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// How long a server that failed goes last. To find out by UDP that one is silent takes 32 s of a call's ring time, so
/// that the calls that come close behind must not try it first; and a server that was only restarted has its share of
/// the calls again soon.
pub(in crate::sip) const PENALTY: Duration = Duration::from_secs(30);

/// The longest that a server may ask to be left alone (Retry-After): an answer must not put it away for a day.
pub(super) const LONGEST_PENALTY: Duration = Duration::from_secs(600);

/// See the [module](self).
#[derive(Debug, Default)]
pub(super) struct PenaltyBox(HashMap<SocketAddr, Instant>);

impl PenaltyBox {
    /// Puts a server last for so long.
    pub(super) fn put(&mut self, now: Instant, server: SocketAddr, penalty: Duration) {
        self.0.retain(|_, till| now < *till);
        let till = self.0.entry(server).or_insert(now);
        *till = (*till).max(now + penalty.min(LONGEST_PENALTY));
    }

    /// When the server's penalty ends, if it has one.
    pub(super) fn till(&self, now: Instant, server: SocketAddr) -> Option<Instant> {
        self.0.get(&server).copied().filter(|till| now < *till)
    }
}
