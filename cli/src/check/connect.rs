//! A connection to the trunk's first server: UDP, TCP, or TLS with a look at the certificate.

use std::io::ErrorKind;
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use outdial::config::{Config, Transport, TrunkConfig};

use super::elsewhere;
use super::finding::{Finding, Findings, Status};
use super::mistake::Mistake;

/// A handshake over half the world takes a second; what takes longer than this is filtered.
pub(super) const CONNECT: Duration = Duration::from_secs(5);

/// The first address with which a connection can be made. For UDP that is the first: nothing shows before a request.
pub(super) async fn first_that_answers(
    config: &Config,
    trunk: &TrunkConfig,
    addresses: &[SocketAddr],
    findings: &mut Findings,
) -> Option<SocketAddr> {
    if trunk.transport == Transport::Udp {
        return addresses.first().copied();
    }
    let mut good = None;
    let mut bad = Vec::new();
    for &address in addresses {
        let tried = tokio::task::spawn_blocking(move || TcpStream::connect_timeout(&address, CONNECT)).await;
        match tried {
            Ok(Ok(_)) => {
                findings.add(Finding::ok("port", format!("{address} accepts connections")));
                good = good.or(Some(address));
            }
            Ok(Err(error)) => bad.push((address, error)),
            Err(_) => {}
        }
    }
    for (address, error) in bad {
        let finding = no_connection(config, trunk, address, error).await;
        // Calls go to the next server; one that is down for good should not be listed.
        let status = if good.is_some() { Status::Warning } else { finding.status };
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
