//! Asking name servers, on a thread of its own.

use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant, SystemTime};

use crossbeam_channel::Sender;
use hickory_resolver::TokioResolver;
use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolverConfig};
use hickory_resolver::lookup::Lookup;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::op::ResponseCode;
use hickory_resolver::proto::rr::{RData, RecordType};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::records::{self, Naptr, Srv};
use super::{Answer, NameFault, NotFound, Query, Ranked};
use crate::pj::Waker;

/// A name server that does not answer is asked again after so long, and another one asked.
const TRY: Duration = Duration::from_secs(2);
/// How often it is asked again.
const TRIES: usize = 2;
/// No lookup takes longer.
const LONGEST: Duration = Duration::from_secs(15);
/// The longest that a name counts as missing (RFC 2308 §5 lets us choose): an operator who mends it does not wait long.
const LONGEST_MISSING: Duration = Duration::from_secs(15 * 60);
/// SRV records that are looked at, and addresses of each: what a zone may cost us.
const MOST_TARGETS: usize = 16;
const MOST_ADDRESSES: usize = 8;
/// What the system says of names.
const SYSTEM: [&str; 2] = ["/etc/resolv.conf", "/etc/hosts"];

/// A lookup's answer on its way to the control thread.
pub(in crate::sip) type Found = (Query, Answer);

/// Looks names up in the background. The thread starts with the first name and ends when this is dropped.
pub(in crate::sip) struct Lookups {
    nameservers: Vec<SocketAddr>,
    found: Sender<Found>,
    waker: Waker,
    running: Option<Running>,
}

struct Running {
    /// Dropped first: the thread ends with it.
    queries: Option<mpsc::UnboundedSender<Query>>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.queries = None;
        if let Some(thread) = self.thread.take() {
            // It gives lookups under way up at once.
            let _ = thread.join();
        }
    }
}

impl Lookups {
    /// With these name servers, or those of the system. Answers go to `found`, and the control thread is woken.
    pub(in crate::sip) fn new(nameservers: Vec<SocketAddr>, found: Sender<Found>, waker: Waker) -> Self {
        Self { nameservers, found, waker, running: None }
    }

    /// Looks a name up; the answer comes in any case.
    pub(in crate::sip) fn ask(&mut self, query: Query) {
        let refuse = |error: String| {
            let _ = self.found.send((query.clone(), Answer::unknown(error)));
            self.waker.wake();
        };
        if self.running.is_none() {
            match self.start() {
                Ok(running) => self.running = Some(running),
                Err(error) => return refuse(format!("no thread for looking names up: {error}")),
            }
        }
        let queries = self.running.as_ref().and_then(|running| running.queries.as_ref());
        if queries.is_none_or(|queries| queries.send(query.clone()).is_err()) {
            refuse("the thread for looking names up has ended".to_owned());
        }
    }

    fn start(&self) -> std::io::Result<Running> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (queries, mut asked) = mpsc::unbounded_channel::<Query>();
        let (found, waker) = (self.found.clone(), self.waker.clone());
        let mut resolver = Resolver::new(self.nameservers.clone());
        let serve = async move {
            while let Some(query) = asked.recv().await {
                let (resolver, found, waker) = (resolver.current(), found.clone(), waker.clone());
                tokio::spawn(async move {
                    let answer = answer(resolver, query.clone()).await;
                    let _ = found.send((query, answer));
                    waker.wake();
                });
            }
        };
        let thread =
            thread::Builder::new().name("outdial-names".to_owned()).spawn(move || runtime.block_on(serve))?;
        Ok(Running { queries: Some(queries), thread: Some(thread) })
    }
}

/// The resolver, made anew when the system's files change.
struct Resolver {
    nameservers: Vec<SocketAddr>,
    made: Option<(Arc<TokioResolver>, [Option<SystemTime>; 2])>,
}

impl Resolver {
    fn new(nameservers: Vec<SocketAddr>) -> Self {
        Self { nameservers, made: None }
    }

    fn current(&mut self) -> Result<Arc<TokioResolver>, String> {
        let changed = SYSTEM.map(|path| fs::metadata(path).and_then(|data| data.modified()).ok());
        if let Some((resolver, files)) = &self.made
            && *files == changed
        {
            return Ok(Arc::clone(resolver));
        }
        let resolver = Arc::new(make(&self.nameservers)?);
        self.made = Some((Arc::clone(&resolver), changed));
        Ok(resolver)
    }
}

fn make(nameservers: &[SocketAddr]) -> Result<TokioResolver, String> {
    let provider = TokioRuntimeProvider::default();
    let mut builder = if nameservers.is_empty() {
        TokioResolver::builder(provider.clone()).unwrap_or_else(|error| {
            // Names of /etc/hosts are found all the same.
            tracing::warn!(target: "outdial::sip", %error, "no name server: /etc/resolv.conf is of no use");
            TokioResolver::builder_with_config(ResolverConfig::default(), provider)
        })
    } else {
        TokioResolver::builder_with_config(configured(nameservers), provider)
    };
    let options = builder.options_mut();
    options.timeout = options.timeout.min(TRY);
    options.attempts = options.attempts.min(TRIES);
    options.negative_max_ttl = Some(LONGEST_MISSING);
    builder.build().map_err(|error| error.to_string())
}

/// Name servers that the operator named.
fn configured(nameservers: &[SocketAddr]) -> ResolverConfig {
    let server = |address: &SocketAddr| {
        let connections = [ConnectionConfig::udp(), ConnectionConfig::tcp()].map(|mut connection| {
            connection.port = address.port();
            connection
        });
        NameServerConfig::new(address.ip(), true, connections.to_vec())
    };
    ResolverConfig::from_parts(None, Vec::new(), nameservers.iter().map(server).collect())
}

/// One lookup with a resolver of its own.
pub(super) async fn once(nameservers: &[SocketAddr], query: Query) -> Answer {
    answer(make(nameservers).map(Arc::new), query).await
}

async fn answer(resolver: Result<Arc<TokioResolver>, String>, query: Query) -> Answer {
    let resolver = match resolver {
        Ok(resolver) => resolver,
        Err(error) => return Answer::unknown(error),
    };
    let host = query.host.clone();
    // On a task of its own, so that even a fault in it is an answer.
    let lookup = tokio::spawn(async move { Finder { resolver, query, ttl: Duration::MAX }.find().await });
    match tokio::time::timeout(LONGEST, lookup).await {
        Ok(Ok(answer)) => answer,
        Ok(Err(error)) => Answer::unknown(format!("{host}: {error}")),
        Err(_) => Answer::unknown(format!("{host}: no name server answered")),
    }
}

/// One lookup.
struct Finder {
    resolver: Arc<TokioResolver>,
    query: Query,
    /// The shortest of the TTLs seen.
    ttl: Duration,
}

impl Finder {
    async fn find(mut self) -> Answer {
        let result = match self.query.port {
            Some(port) => self.addresses_of(vec![(self.query.host.clone(), port, (0, 0))]).await,
            None => self.service().await,
        };
        match result {
            Ok(order) => Answer { result: Ok(order), ttl: self.ttl },
            Err((missing, ttl)) => Answer { result: Err(missing), ttl },
        }
    }

    /// RFC 3263 §4.2: by NAPTR and SRV, else by the addresses of the name itself.
    async fn service(&mut self) -> Result<Vec<Ranked>, (NotFound, Duration)> {
        let (host, transport) = (self.query.host.clone(), self.query.transport);
        let usual_name = records::usual_name(transport, &host);
        // Together: most names have no NAPTR record, and some name servers never answer such a question.
        let (naptr, usual) =
            tokio::join!(self.resolver.lookup(host.as_str(), RecordType::NAPTR), self.srv(&usual_name));
        let naptr =
            naptr.map(|lookup| lookup.answers().iter().filter_map(|record| naptr_of(&record.data)).collect());
        let named = naptr.ok().and_then(|records| records::named(records, transport));
        let found = match named {
            Some(name) => self.srv(&name).await.or(usual),
            None => usual,
        };
        let Some((servers, ttl)) = found else {
            return self.addresses_of(vec![(host, transport.default_port(), (0, 0))]).await;
        };
        self.ttl = self.ttl.min(ttl);
        if records::is_refused(&servers) {
            let detail = format!("{host} offers no SIP over {}", transport.as_str().to_uppercase());
            return Err((NotFound { fault: NameFault::NotOffered, detail }, ttl));
        }
        let mut servers = records::in_order(servers, |most| rand::random_range(0..=most));
        servers.truncate(MOST_TARGETS);
        let hosts = servers.into_iter().map(|srv| (srv.target, srv.port, (srv.priority, srv.weight)));
        self.addresses_of(hosts.collect()).await
    }

    /// The SRV records of a name; none when there are none, or when none could be had.
    async fn srv(&self, name: &str) -> Option<(Vec<Srv>, Duration)> {
        let lookup = self.resolver.srv_lookup(name).await.ok()?;
        let servers: Vec<Srv> = lookup.answers().iter().filter_map(|record| srv_of(&record.data)).collect();
        (!servers.is_empty()).then(|| (servers, time_left(&lookup)))
    }

    /// The addresses of hosts, in their order, each once.
    async fn addresses_of(
        &mut self,
        hosts: Vec<(String, u16, (u16, u16))>,
    ) -> Result<Vec<Ranked>, (NotFound, Duration)> {
        let mut lookups = JoinSet::new();
        for (index, (host, ..)) in hosts.iter().enumerate() {
            let (resolver, host, ipv6) = (Arc::clone(&self.resolver), host.clone(), self.query.ipv6);
            lookups.spawn(async move {
                let found = if ipv6 {
                    resolver.ipv6_lookup(host.as_str()).await
                } else {
                    resolver.ipv4_lookup(host.as_str()).await
                };
                (index, found)
            });
        }
        let mut found: Vec<_> = lookups.join_all().await;
        found.sort_by_key(|(index, _)| *index);
        let mut order: Vec<Ranked> = Vec::new();
        let mut missing = None;
        for ((_, found), (host, port, rank)) in found.into_iter().zip(hosts) {
            match found {
                Ok(lookup) => {
                    self.ttl = self.ttl.min(time_left(&lookup));
                    let addresses = lookup.answers().iter().filter_map(|record| ip_of(&record.data));
                    for ip in addresses.take(MOST_ADDRESSES) {
                        let server = SocketAddr::new(ip, port);
                        if order.iter().all(|(other, _)| *other != server) {
                            order.push((server, rank));
                        }
                    }
                }
                Err(error) => missing = Some(not_found(&host, self.query.ipv6, &error)),
            }
        }
        if order.is_empty() {
            let nothing = || {
                let detail = format!("{} has no address", self.query.host);
                (NotFound { fault: NameFault::NoAddress, detail }, Duration::ZERO)
            };
            return Err(missing.unwrap_or_else(nothing));
        }
        Ok(order)
    }
}

fn time_left(lookup: &Lookup) -> Duration {
    lookup.valid_until().saturating_duration_since(Instant::now())
}

fn srv_of(data: &RData) -> Option<Srv> {
    let RData::SRV(srv) = data else { return None };
    Some(Srv { priority: srv.priority, weight: srv.weight, port: srv.port, target: srv.target.to_ascii() })
}

fn naptr_of(data: &RData) -> Option<Naptr> {
    let RData::NAPTR(naptr) = data else { return None };
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Some(Naptr {
        order: naptr.order,
        preference: naptr.preference,
        flags: text(&naptr.flags),
        service: text(&naptr.services),
        replacement: naptr.replacement.to_ascii(),
    })
}

fn ip_of(data: &RData) -> Option<IpAddr> {
    match data {
        RData::A(address) => Some(IpAddr::V4(address.0)),
        RData::AAAA(address) => Some(IpAddr::V6(address.0)),
        _ => None,
    }
}

fn not_found(host: &str, ipv6: bool, error: &NetError) -> (NotFound, Duration) {
    let host = host.trim_end_matches('.');
    let NetError::Dns(DnsError::NoRecordsFound(none)) = error else {
        let detail = format!("{host} could not be looked up: {error}");
        return (NotFound { fault: NameFault::NoNameServer, detail }, Duration::ZERO);
    };
    let (fault, detail) = match none.response_code {
        ResponseCode::NXDomain => (NameFault::NoSuchName, format!("there is no host {host}")),
        ResponseCode::NoError => {
            let family = if ipv6 { "IPv6" } else { "IPv4" };
            (NameFault::NoAddress, format!("{host} has no {family} address"))
        }
        code => (NameFault::NoNameServer, format!("{host} could not be looked up: {code}")),
    };
    let ttl = Duration::from_secs(none.negative_ttl.unwrap_or_default().into());
    (NotFound { fault, detail }, ttl)
}
