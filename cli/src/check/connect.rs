//! A connection to the trunk's first server: UDP, TCP, or TLS with a look at the certificate.

use std::io::ErrorKind;
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use outdial::config::{Transport, TrunkConfig};

use super::finding::{Finding, Findings};

/// A handshake over half the world takes a second; what takes longer than this is filtered.
pub(super) const CONNECT: Duration = Duration::from_secs(5);

/// The first address with which a connection can be made. For UDP that is the first: nothing shows before a request.
pub(super) async fn first_that_answers(
    trunk: &TrunkConfig,
    addresses: &[SocketAddr],
    findings: &mut Findings,
) -> Option<SocketAddr> {
    if trunk.transport == Transport::Udp {
        return addresses.first().copied();
    }
    let mut good = None;
    for &address in addresses {
        let tried = tokio::task::spawn_blocking(move || TcpStream::connect_timeout(&address, CONNECT)).await;
        match tried {
            Ok(Ok(_)) => {
                findings.add(Finding::ok("tcp", format!("{address} accepts connections")));
                good = good.or(Some(address));
            }
            Ok(Err(error)) => findings.add(no_connection(address, &error)),
            Err(_) => {}
        }
    }
    good
}

fn no_connection(address: SocketAddr, error: &std::io::Error) -> Finding {
    let port = address.port();
    match error.kind() {
        ErrorKind::ConnectionRefused => Finding::problem(
            "tcp",
            format!("{address} refuses: the port is closed"),
            format!(
                "nothing listens on port {port} there: look at the port (TLS is 5061 as a rule) and the transport"
            ),
        ),
        ErrorKind::TimedOut | ErrorKind::WouldBlock => Finding::problem(
            "tcp",
            format!("{address} does not answer"),
            format!(
                "a firewall drops it: permit TCP to port {port}, and ask the trunk whether it knows this address"
            ),
        ),
        ErrorKind::NetworkUnreachable | ErrorKind::HostUnreachable => Finding::problem(
            "route",
            format!("there is no way to {address}: {error}"),
            format!("look at the route: ip route get {}", address.ip()),
        ),
        _ => Finding::problem(
            "tcp",
            format!("no connection to {address}: {error}"),
            "look at the address, the port and the firewall",
        ),
    }
}
