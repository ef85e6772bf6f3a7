//! Finding the server (RFC 3263): from the name of a trunk to addresses, best first.
//!
//! The transport is fixed by the trunk. A name with a port is looked up by its addresses alone; one without by NAPTR,
//! then SRV, then its addresses. The [`Directory`] keeps what was found until the shortest TTL passes, and remembers
//! which servers failed; [`Lookups`] ask the name servers, away from the control thread.

mod directory;
mod failure;
mod lookup;
mod penalty;
mod records;

use std::net::SocketAddr;
use std::time::Duration;

pub(super) use directory::{Directory, Located};
pub(super) use failure::servers_fault;
pub(super) use lookup::{Found, Lookups};
pub(super) use penalty::PENALTY;

use crate::config::{Server, Transport};

/// What is to be found.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Query {
    /// A name in lower case, or an address.
    host: String,
    /// Named in the configuration or the URI.
    port: Option<u16>,
    transport: Transport,
    /// Whether to look for IPv6 addresses; else for IPv4.
    ipv6: bool,
}

impl Query {
    pub(super) fn new(host: &str, port: Option<u16>, transport: Transport, ipv6: bool) -> Self {
        Self { host: host.to_ascii_lowercase(), port, transport, ipv6 }
    }

    /// The host, if it is an address and there is nothing to look up.
    fn literal(&self) -> Option<SocketAddr> {
        let port = self.port.unwrap_or(self.transport.default_port());
        self.host.parse().ok().map(|ip| SocketAddr::new(ip, port))
    }
}

/// What a lookup came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Answer {
    /// The servers, best first and at least one; or why there is none.
    result: Result<Vec<Ranked>, NotFound>,
    /// How long that is true.
    ttl: Duration,
}

/// A server, with the priority and the weight of its SRV record; zeros without one.
type Ranked = (SocketAddr, (u16, u16));

/// Why there is no server.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{detail}")]
#[non_exhaustive]
pub struct NotFound {
    /// What kind of failure it is.
    pub fault: NameFault,
    /// The same in words, with the name.
    pub detail: String,
}

/// How a name led to no server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum NameFault {
    /// A name server says that there is no such name.
    NoSuchName,
    /// The name exists and has no address of the family that was asked for.
    NoAddress,
    /// Its SRV record says that the service is not offered (RFC 2782, a target of ".").
    NotOffered,
    /// No name server could be asked, or none knew.
    NoNameServer,
}

impl NotFound {
    /// Whether a name server said so; else none could be asked.
    fn is_authoritative(&self) -> bool {
        self.fault != NameFault::NoNameServer
    }
}

/// Finds a trunk's servers as a call does, best first: by NAPTR, SRV and address where `server` has no port, by its
/// address alone where it has one. Asks `nameservers`, or those of the system when there are none; `ipv6` chooses between
/// IPv6 and IPv4 addresses.
///
/// # Errors
///
/// [`NotFound`] when there is none. An address instead of a name is always found.
///
/// # Cancel safety
///
/// Cancel-safe: nothing is kept.
pub async fn find_servers(
    server: &Server,
    transport: Transport,
    ipv6: bool,
    nameservers: &[SocketAddr],
) -> Result<Vec<SocketAddr>, NotFound> {
    let query = Query::new(server.host(), server.port(), transport, ipv6);
    if let Some(address) = query.literal() {
        return Ok(vec![address]);
    }
    let ranked = lookup::once(nameservers, query).await.result?;
    Ok(ranked.into_iter().map(|(server, _)| server).collect())
}

impl Answer {
    /// Nobody could be asked.
    fn unknown(detail: String) -> Self {
        let fault = NameFault::NoNameServer;
        Self { result: Err(NotFound { fault, detail }), ttl: Duration::ZERO }
    }
}
