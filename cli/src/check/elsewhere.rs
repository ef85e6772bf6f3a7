//! Whether the server speaks another transport than the configured one: where it was asked, or at that transport's usual
//! port.

use std::net::SocketAddr;
use std::thread;
use std::time::Duration;

use anyhow::Result;
use openssl::ssl::{SslConnector, SslMethod, SslVerifyMode};
use outdial::config::{Config, Transport, TrunkConfig};

use super::finding::Finding;
use super::mistake::Mistake;
use super::tls;
use super::wire::{self, Wire};

/// A server that is there answers soon.
const PATIENCE: Duration = Duration::from_millis(1500);

/// Looks for the server; the finding says where it is.
pub(super) fn look(config: &Config, trunk: &TrunkConfig, address: SocketAddr) -> Option<Finding> {
    let agent = config.endpoint.user_agent.as_str();
    let others = [Transport::Udp, Transport::Tcp, Transport::Tls].into_iter();
    let mut places: Vec<(Transport, SocketAddr)> = Vec::new();
    for transport in others.filter(|transport| *transport != trunk.transport) {
        for port in [address.port(), transport.default_port()] {
            let place = (transport, SocketAddr::new(address.ip(), port));
            if !places.contains(&place) {
                places.push(place);
            }
        }
    }
    // The port itself says most.
    places.sort_by_key(|(_, place)| place.port() != address.port());
    let found = thread::scope(|scope| {
        let asked: Vec<_> = places
            .iter()
            .map(|&(transport, place)| scope.spawn(move || speaks(agent, trunk, transport, place)))
            .collect();
        let answered: Vec<bool> = asked.into_iter().map(|asked| asked.join().unwrap_or(false)).collect();
        places.iter().zip(answered).find(|(_, answered)| *answered).map(|(place, _)| *place)
    });
    let (transport, place) = found?;
    let (word, ours) = (transport.as_str(), trunk.transport.as_str().to_uppercase());
    let port = if place.port() == address.port() {
        String::new()
    } else {
        format!(", and port {} in server", place.port())
    };
    Some(Mistake::WrongTransport.found(
        format!(
            "{address} does not speak {ours}; a SIP server answers at {place} over {}",
            word.to_uppercase()
        ),
        format!("set transport = {word:?}{port}, or ask the trunk for its port for {ours}"),
    ))
}

/// Whether a SIP server answers there.
fn speaks(agent: &str, trunk: &TrunkConfig, transport: Transport, address: SocketAddr) -> bool {
    let mut trunk = trunk.clone();
    trunk.transport = transport;
    let wire = match transport {
        Transport::Udp => wire::udp(address).map(Wire::Udp),
        Transport::Tcp => wire::tcp(address).map(Wire::Tcp),
        Transport::Tls => unverified(&trunk, address),
    };
    let answer = wire.and_then(|mut wire| wire.exchange("OPTIONS", agent, &trunk, PATIENCE));
    match answer {
        Ok(_) => true,
        // A server that wants our certificate is one that speaks TLS.
        Err(error) => transport == Transport::Tls && tls::Alert::of(&error).is_some(),
    }
}

/// A question that holds no secret may go to a server that has not shown who it is.
fn unverified(trunk: &TrunkConfig, address: SocketAddr) -> Result<Wire> {
    let mut builder = SslConnector::builder(SslMethod::tls_client())?;
    builder.set_verify(SslVerifyMode::NONE);
    let tcp = wire::tcp(address)?;
    tcp.set_read_timeout(Some(PATIENCE))?;
    let connector = builder.build().configure()?.verify_hostname(false);
    let stream = connector.connect(trunk.expected_tls_name(), tcp).map_err(tls::not_connected)?;
    Ok(Wire::Tls(Box::new(stream)))
}
