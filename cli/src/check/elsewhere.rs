//! Whether the server speaks another transport than the configured one, where it was asked or at that transport's usual
//! port; or whether the port is another service's.

use std::net::SocketAddr;
use std::thread;
use std::time::Duration;

use anyhow::Result;
use openssl::ssl::{SslConnector, SslMethod, SslVerifyMode};
use outdial::config::{Config, Transport, TrunkConfig};

use super::finding::Finding;
use super::foreign::Foreign;
use super::mistake::Mistake;
use super::request::Request;
use super::tls;
use super::wire::{self, Wire};

/// A server that is there answers soon.
const PATIENCE: Duration = Duration::from_millis(1500);

/// Looks for the server; the finding says where it is, or what is in its place.
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
    let found: Vec<(Transport, SocketAddr, Voice)> = thread::scope(|scope| {
        let ask = |&(transport, place)| {
            let asked = scope.spawn(move || voice(agent, trunk, transport, place));
            (transport, place, asked)
        };
        let asked: Vec<_> = places.iter().map(ask).collect();
        let heard = asked
            .into_iter()
            .map(|(transport, place, asked)| (transport, place, asked.join().unwrap_or(Voice::Nothing)));
        heard.collect()
    });
    let ours = trunk.transport.as_str().to_uppercase();
    let Some((transport, place, _)) = found.iter().find(|(.., voice)| *voice == Voice::Sip) else {
        return found.into_iter().find_map(|(_, place, voice)| match voice {
            Voice::Foreign(kind) if place == address => Some(no_sip(address, &kind)),
            _ => None,
        });
    };
    let word = transport.as_str();
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

/// The port is another service's.
pub(super) fn no_sip(address: SocketAddr, kind: &str) -> Finding {
    Mistake::NoSipAnswer.found(
        format!("{address} answers, but not in SIP: it is {kind}"),
        "that port is another service's: ask the trunk for the port of SIP (5060, or 5061 for TLS, as a rule)",
    )
}

/// What answers at a place.
#[derive(Debug, PartialEq, Eq)]
enum Voice {
    Sip,
    /// Another kind of server.
    Foreign(String),
    Nothing,
}

fn voice(agent: &str, trunk: &TrunkConfig, transport: Transport, address: SocketAddr) -> Voice {
    let mut trunk = trunk.clone();
    trunk.transport = transport;
    let wire = match transport {
        Transport::Udp => wire::udp(address).map(Wire::Udp),
        Transport::Tcp => wire::tcp(address).map(Wire::Tcp),
        Transport::Tls => unverified(&trunk, address),
    };
    match wire.and_then(|mut wire| wire.exchange(&Request::options(agent, &trunk), PATIENCE)) {
        Ok(_) => Voice::Sip,
        // A server that wants our certificate is one that speaks TLS.
        Err(error) if transport == Transport::Tls && tls::Alert::of(&error).is_some() => Voice::Sip,
        Err(error) => match error.downcast_ref::<Foreign>() {
            Some(kind) => Voice::Foreign(kind.to_string()),
            None => Voice::Nothing,
        },
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
