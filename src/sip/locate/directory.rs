//! What is known of names, and which of their servers is best now.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::penalty::PenaltyBox;
use super::{Answer, Query, Ranked};

/// An answer is good for at least so long, whatever its TTL: the request that it was looked up for must find it.
const SHORTEST: Duration = Duration::from_secs(1);
/// And for so long at most. Name servers are not asked more often by this, for the resolver keeps what they say for its
/// whole TTL; but a change of `/etc/hosts` or of `/etc/resolv.conf` is noticed.
const LONGEST: Duration = Duration::from_secs(60);
/// How long servers that are known stay so while no name server answers (RFC 8767): calls go on.
const STALE: Duration = Duration::from_secs(30);
/// Names that are kept. Beside those of the trunks there may be some that servers brought up in Contact.
const MOST: usize = 256;

/// See the [module](self).
#[derive(Debug, Default)]
pub(in crate::sip) struct Directory {
    entries: HashMap<Query, Entry>,
    penalties: PenaltyBox,
}

#[derive(Debug, Default)]
struct Entry {
    known: Option<Known>,
    /// A lookup is under way.
    asked: bool,
    /// Where PJSIP was sent last, for a request that is not a call's first.
    last: Option<SocketAddr>,
}

#[derive(Debug)]
struct Known {
    result: Result<Vec<Ranked>, String>,
    till: Instant,
}

/// Where a server is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::sip) enum Located {
    /// There.
    At(SocketAddr),
    /// Nowhere, and why.
    Nowhere(String),
    /// It is not known yet; whoever asks first starts the lookup.
    Unknown {
        /// Whether nobody asked before.
        first: bool,
    },
}

impl Directory {
    /// The best server now: the first of the order without a penalty, else the one whose penalty ends first.
    pub(in crate::sip) fn locate(&mut self, now: Instant, query: &Query) -> Located {
        if let Some(address) = query.literal() {
            return Located::At(address);
        }
        if self.entries.len() >= MOST {
            self.entries.retain(|_, entry| entry.asked || entry.is_fresh(now));
        }
        let entry = self.entries.entry(query.clone()).or_default();
        match &entry.known {
            Some(known) if now < known.till => match &known.result {
                Err(detail) => Located::Nowhere(detail.clone()),
                Ok(order) => {
                    let till = |(server, _): &&Ranked| self.penalties.till(now, *server).unwrap_or(now);
                    match order.iter().min_by_key(till) {
                        Some((best, _)) => Located::At(*best),
                        None => Located::Nowhere("no address".to_owned()),
                    }
                }
            },
            _ => Located::Unknown { first: !std::mem::replace(&mut entry.asked, true) },
        }
    }

    /// Takes what a lookup came to.
    ///
    /// When the servers are those of before, with the same ranks, their order stays: which of several equals the lot chose, and where we are
    /// registered, does not change with every TTL.
    pub(in crate::sip) fn learn(&mut self, now: Instant, query: &Query, answer: Answer) {
        let entry = self.entries.entry(query.clone()).or_default();
        entry.asked = false;
        let before = entry.known.take().and_then(|known| known.result.ok());
        let (result, good_for) = match (answer.result, before) {
            (Ok(order), before) => {
                let order = before.filter(|before| same_servers(before, &order)).unwrap_or(order);
                (Ok(order), answer.ttl.clamp(SHORTEST, LONGEST))
            }
            (Err(missing), Some(before)) if !missing.is_authoritative() => {
                tracing::warn!(
                    target: "outdial::sip", host = query.host, detail = missing.detail,
                    "a name could not be looked up again; its servers are kept for now"
                );
                (Ok(before), STALE)
            }
            (Err(missing), _) => (Err(missing.detail), answer.ttl.clamp(SHORTEST, LONGEST)),
        };
        entry.known = Some(Known { result, till: now + good_for });
    }

    /// The next server for a call that failed at those it `tried`: one without a penalty.
    pub(in crate::sip) fn next(
        &self,
        now: Instant,
        query: &Query,
        tried: &[SocketAddr],
    ) -> Option<SocketAddr> {
        let order = self.order(query);
        order
            .iter()
            .copied()
            .find(|server| !tried.contains(server) && self.penalties.till(now, *server).is_none())
    }

    /// All servers that are known for a name, best first.
    pub(in crate::sip) fn order(&self, query: &Query) -> Vec<SocketAddr> {
        let known = self.entries.get(query).and_then(|entry| entry.known.as_ref());
        let order = known.and_then(|known| known.result.as_deref().ok()).unwrap_or_default();
        order.iter().map(|(server, _)| *server).collect()
    }

    /// A server failed: it goes last for so long.
    pub(in crate::sip) fn penalise(&mut self, now: Instant, server: SocketAddr, penalty: Duration) {
        self.penalties.put(now, server, penalty);
    }

    /// PJSIP was told to go there.
    pub(in crate::sip) fn sent_to(&mut self, query: &Query, server: SocketAddr) {
        if let Some(entry) = self.entries.get_mut(query) {
            entry.last = Some(server);
        }
    }

    /// Where PJSIP went last.
    pub(in crate::sip) fn last(&self, query: &Query) -> Option<SocketAddr> {
        self.entries.get(query).and_then(|entry| entry.last)
    }
}

impl Entry {
    fn is_fresh(&self, now: Instant) -> bool {
        self.known.as_ref().is_some_and(|known| now < known.till)
    }
}

fn same_servers(one: &[Ranked], other: &[Ranked]) -> bool {
    one.len() == other.len() && one.iter().all(|server| other.contains(server))
}

#[cfg(test)]
mod tests {
    use super::super::penalty::{LONGEST_PENALTY, PENALTY};
    use super::super::{NameFault, NotFound};
    use super::*;
    use crate::config::Transport;

    const MINUTE: Duration = Duration::from_secs(60);

    fn query(host: &str) -> Query {
        Query::new(host, None, Transport::Tls, false)
    }

    fn server(last: u8) -> SocketAddr {
        SocketAddr::from(([192, 0, 2, last], 5061))
    }

    fn found(servers: &[u8], ttl: Duration) -> Answer {
        Answer { result: Ok(servers.iter().map(|last| (server(*last), (0, 0))).collect()), ttl }
    }

    fn missing(authoritative: bool, ttl: Duration) -> Answer {
        let detail = "there is no such name".to_owned();
        let fault = if authoritative { NameFault::NoSuchName } else { NameFault::NoNameServer };
        Answer { result: Err(NotFound { fault, detail }), ttl }
    }

    #[test]
    fn an_address_needs_no_lookup() {
        let mut directory = Directory::default();
        let now = Instant::now();
        assert_eq!(directory.locate(now, &query("192.0.2.1")), Located::At(server(1)));
        let ported = Query::new("2001:db8::1", Some(5070), Transport::Udp, true);
        assert_eq!(directory.locate(now, &ported), Located::At("[2001:db8::1]:5070".parse().unwrap()));
    }

    #[test]
    fn a_name_is_looked_up_once_and_known_until_its_ttl_passes() {
        let mut directory = Directory::default();
        let (now, name) = (Instant::now(), query("SIP.example.com"));
        assert_eq!(directory.locate(now, &name), Located::Unknown { first: true });
        assert_eq!(directory.locate(now, &name), Located::Unknown { first: false });
        directory.learn(now, &name, found(&[1, 2], MINUTE));
        let later = now + MINUTE - Duration::from_millis(1);
        assert_eq!(directory.locate(later, &query("sip.example.com")), Located::At(server(1)));
        assert_eq!(directory.locate(now + MINUTE, &name), Located::Unknown { first: true });
    }

    #[test]
    fn a_name_that_is_missing_is_missing_until_its_ttl_passes() {
        let mut directory = Directory::default();
        let (now, name) = (Instant::now(), query("a.example"));
        directory.learn(now, &name, missing(true, MINUTE));
        assert!(
            matches!(directory.locate(now, &name), Located::Nowhere(detail) if detail.contains("no such"))
        );
        assert_eq!(directory.locate(now + MINUTE, &name), Located::Unknown { first: true });
        // Not for a day, whatever its zone says; and never for no time at all.
        directory.learn(now, &name, missing(true, MINUTE * 60 * 24));
        assert_eq!(directory.locate(now + LONGEST, &name), Located::Unknown { first: true });
        directory.learn(now, &name, missing(true, Duration::ZERO));
        assert!(matches!(directory.locate(now, &name), Located::Nowhere(_)));
    }

    #[test]
    fn the_order_stays_while_the_servers_do() {
        let mut directory = Directory::default();
        let (now, name) = (Instant::now(), query("a.example"));
        directory.learn(now, &name, found(&[2, 1], MINUTE));
        directory.learn(now, &name, found(&[1, 2], MINUTE));
        assert_eq!(directory.order(&name), [server(2), server(1)]);
        directory.learn(now, &name, found(&[1, 2, 3], MINUTE));
        assert_eq!(directory.order(&name), [server(1), server(2), server(3)]);
        // The same ones, with other priorities.
        let swapped = [3, 2, 1].map(|last| (server(last), (3 - u16::from(last), 0))).to_vec();
        directory.learn(now, &name, Answer { result: Ok(swapped), ttl: MINUTE });
        assert_eq!(directory.order(&name), [server(3), server(2), server(1)]);
    }

    #[test]
    fn servers_are_kept_while_no_name_server_answers_and_go_when_one_says_so() {
        let mut directory = Directory::default();
        let (now, name) = (Instant::now(), query("a.example"));
        directory.learn(now, &name, found(&[1], MINUTE));
        directory.learn(now, &name, missing(false, Duration::ZERO));
        assert_eq!(directory.locate(now, &name), Located::At(server(1)));
        assert_eq!(directory.locate(now + STALE, &name), Located::Unknown { first: true });
        directory.learn(now, &name, missing(true, Duration::ZERO));
        assert!(matches!(directory.locate(now, &name), Located::Nowhere(_)));
    }

    #[test]
    fn a_server_that_failed_goes_last_for_a_while() {
        let mut directory = Directory::default();
        let (now, name) = (Instant::now(), query("a.example"));
        directory.learn(now, &name, found(&[1, 2, 3], MINUTE));
        directory.penalise(now, server(1), PENALTY);
        assert_eq!(directory.locate(now, &name), Located::At(server(2)));
        assert_eq!(directory.locate(now + PENALTY, &name), Located::At(server(1)));
        // A shorter penalty does not shorten a longer one, and a day is not granted.
        directory.penalise(now, server(2), MINUTE * 60 * 24);
        directory.penalise(now, server(2), PENALTY);
        assert_eq!(directory.locate(now, &name), Located::At(server(3)));
        directory.penalise(now, server(3), PENALTY * 2);
        // All have failed: the one whose penalty ends first.
        assert_eq!(directory.locate(now, &name), Located::At(server(1)));
        let later = now + LONGEST_PENALTY;
        directory.learn(later, &name, found(&[1, 2, 3], MINUTE));
        directory.penalise(later, server(1), PENALTY);
        assert_eq!(directory.locate(later, &name), Located::At(server(2)));
    }

    #[test]
    fn a_call_goes_to_each_server_once_and_to_none_with_a_penalty() {
        let mut directory = Directory::default();
        let (now, name) = (Instant::now(), query("a.example"));
        directory.learn(now, &name, found(&[1, 2, 3], MINUTE));
        directory.penalise(now, server(2), PENALTY);
        assert_eq!(directory.next(now, &name, &[server(1)]), Some(server(3)));
        assert_eq!(directory.next(now, &name, &[server(1), server(3)]), None);
        // The answer may be older than its TTL by the time that a call fails.
        assert_eq!(directory.next(now + MINUTE * 2, &name, &[server(1)]), Some(server(2)));
    }

    #[test]
    fn names_that_nobody_asks_for_are_forgotten() {
        let mut directory = Directory::default();
        let now = Instant::now();
        for index in 0..MOST {
            directory.learn(now, &query(&format!("{index}.example")), found(&[1], MINUTE));
        }
        assert_eq!(directory.locate(now + MINUTE, &query("new.example")), Located::Unknown { first: true });
        assert_eq!(directory.entries.len(), 1);
    }
}
