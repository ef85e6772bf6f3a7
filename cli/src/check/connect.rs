//! A connection to the trunk's first server: UDP, TCP, or TLS with a look at the certificate.

use std::io::ErrorKind;
use std::net::{SocketAddr, TcpStream};

use outdial::config::{Config, Transport, TrunkConfig};

use super::elsewhere;
use super::finding::{Finding, Findings, Status};
use super::mistake::Mistake;
use super::wire::CONNECT;

/// The addresses with which a connection can be made, in their order. For UDP all: nothing shows before a request.
pub(super) async fn those_that_answer(
    config: &Config,
    trunk: &TrunkConfig,
    addresses: Vec<SocketAddr>,
    findings: &mut Findings,
) -> Vec<SocketAddr> {
    if trunk.transport == Transport::Udp {
        return addresses;
    }
    let mut good = Vec::new();
    let mut bad = Vec::new();
    for address in addresses {
        let tried = tokio::task::spawn_blocking(move || TcpStream::connect_timeout(&address, CONNECT)).await;
        match tried {
            Ok(Ok(_)) => {
                findings.add(Finding::ok("port", format!("{address} accepts connections")));
                good.push(address);
            }
            Ok(Err(error)) => bad.push((address, error)),
            Err(_) => {}
        }
    }
    for (address, error) in bad {
        let finding = no_connection(config, trunk, address, error).await;
        // Calls go to the next server; one that is down for good should not be listed.
        let status = if good.is_empty() { finding.status } else { Status::Warning };
        findings.add(Finding { status, ..finding });
    }
    good
}

async fn no_connection(
    config: &Config,
    trunk: &TrunkConfig,
    address: SocketAddr,
    error: std::io::Error,
) -> Finding {
    if error.kind() == ErrorKind::ConnectionRefused {
        let (config, trunk) = (config.clone(), trunk.clone());
        let looked = tokio::task::spawn_blocking(move || elsewhere::look(&config, &trunk, address)).await;
        if let Ok(Some(finding)) = looked {
            return finding;
        }
    }
    let port = address.port();
    match error.kind() {
        ErrorKind::ConnectionRefused => Mistake::PortClosed.found(
            format!("{address} refuses: the port is closed"),
            format!(
                "nothing listens on port {port} there: look at the port (TLS is 5061 as a rule) and the transport"
            ),
        ),
        ErrorKind::TimedOut | ErrorKind::WouldBlock => Mistake::SilentDrop.found(
            format!("{address} does not answer"),
            format!(
                "a firewall drops it: permit TCP to port {port}, and ask the trunk whether it knows this address"
            ),
        ),
        ErrorKind::NetworkUnreachable | ErrorKind::HostUnreachable => Mistake::NoRoute.found(
            format!("there is no way to {address}: {error}"),
            format!("look at the route and at firewalls that reject: ip route get {}", address.ip()),
        ),
        ErrorKind::PermissionDenied => Mistake::BlockedHere.found(
            format!("this machine may not connect to {address}: {error}"),
            "its own firewall forbids it: nft list ruleset",
        ),
        _ => Mistake::NoRoute.found(
            format!("no connection to {address}: {error}"),
            "look at the address, the port and the firewall",
        ),
    }
}
