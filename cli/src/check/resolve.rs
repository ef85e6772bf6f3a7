//! From the trunk's name to addresses.

use std::net::SocketAddr;
use std::time::Duration;

use outdial::config::TrunkConfig;
use tokio::net::lookup_host;
use tokio::time::timeout;

use super::finding::{Finding, Findings};

/// Resolvers give up by themselves after some seconds for each server; this is beyond that.
const PATIENCE: Duration = Duration::from_secs(15);

/// The addresses of the first hop; the finding says which, or why there are none.
pub(super) async fn addresses(trunk: &TrunkConfig, findings: &mut Findings) -> Vec<SocketAddr> {
    let server = trunk.first_hop();
    let port = server.port().unwrap_or(trunk.transport.default_port());
    if let Some(ip) = server.ip() {
        findings.add(Finding::ok("dns", format!("{ip} is an address, there is nothing to resolve")));
        return vec![SocketAddr::new(ip, port)];
    }
    let host = server.host();
    let found = timeout(PATIENCE, lookup_host((host, port))).await;
    let problem = |why: String| {
        let remedy =
            format!("look at the spelling of {host} and at this machine's resolver: getent hosts {host}");
        Finding::problem("dns", why, remedy)
    };
    match found {
        Err(_) => findings.add(problem(format!("no resolver answered for {host}"))),
        Ok(Err(error)) => findings.add(problem(format!("{host} does not resolve: {error}"))),
        Ok(Ok(found)) => {
            let found: Vec<SocketAddr> = found.collect();
            let list: Vec<String> = found.iter().map(|address| address.ip().to_string()).collect();
            if found.is_empty() {
                findings.add(problem(format!("{host} has no address")));
            } else {
                findings.add(Finding::ok("dns", format!("{host} is {}", list.join(", "))));
            }
            return found;
        }
    }
    Vec::new()
}
