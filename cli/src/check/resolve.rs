//! From the trunk's name to addresses, as calls find them.

use std::net::SocketAddr;

use outdial::config::{Config, TrunkConfig};
use outdial::sip::{NameFault, NotFound, find_servers};

use super::finding::{Finding, Findings};
use super::mistake::Mistake;

/// The addresses of the first hop, best first; the finding says which, or why there are none.
pub(super) async fn addresses(
    config: &Config,
    trunk: &TrunkConfig,
    findings: &mut Findings,
) -> Vec<SocketAddr> {
    let (server, ipv6) = (trunk.first_hop(), config.endpoint.bind.is_ipv6());
    let port = server.port().unwrap_or(trunk.transport.default_port());
    if let Some(ip) = server.ip() {
        if ip.is_ipv6() != ipv6 {
            findings.add(other_family(&ip.to_string(), &ip.to_string(), ipv6));
            return Vec::new();
        }
        findings.add(Finding::ok("dns", format!("{ip} is an address, there is nothing to resolve")));
        return vec![SocketAddr::new(ip, port)];
    }
    let nameservers = &config.endpoint.nameservers;
    match find_servers(server, trunk.transport, ipv6, nameservers).await {
        Ok(found) => {
            let list: Vec<String> = found.iter().map(SocketAddr::to_string).collect();
            findings.add(Finding::ok("dns", format!("{} is {}", server.host(), list.join(", "))));
            found
        }
        Err(missing) => {
            let other = match missing.fault {
                NameFault::NoAddress => find_servers(server, trunk.transport, !ipv6, nameservers).await.ok(),
                _ => None,
            };
            findings.add(match other.as_deref() {
                Some([first, ..]) => other_family(server.host(), &first.ip().to_string(), ipv6),
                _ => no_server(server.host(), &missing),
            });
            Vec::new()
        }
    }
}

fn no_server(host: &str, missing: &NotFound) -> Finding {
    let what = missing.detail.clone();
    match missing.fault {
        NameFault::NoSuchName => Mistake::NoSuchName
            .found(what, format!("look at the spelling of {host} with the trunk's operator: dig {host}")),
        NameFault::NoAddress => Mistake::NoAddress.found(
            what,
            format!("ask the trunk's operator for the right name: dig {host} A, dig {host} SRV"),
        ),
        NameFault::NotOffered => Mistake::NotOffered.found(what, "set another transport (udp, tcp or tls)"),
        _ => Mistake::NoNameServer.found(
            what,
            "look at /etc/resolv.conf, or at nameservers under [endpoint], and whether port 53 is permitted",
        ),
    }
}

fn other_family(host: &str, address: &str, ipv6: bool) -> Finding {
    let (theirs, ours, bind) = if ipv6 { ("IPv4", "IPv6", "0.0.0.0") } else { ("IPv6", "IPv4", "::") };
    Mistake::AddressFamily.found(
        format!("{host} is reached by {theirs} only ({address}), and this side uses {ours}"),
        format!("set bind = \"{bind}\" under [endpoint]"),
    )
}
