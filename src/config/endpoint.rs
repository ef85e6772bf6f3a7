use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use super::section::Section;
use super::values::{Nameserver, Time};
use super::{PortRange, Problem};

/// The most calls that the compiled-in tables have room for.
pub const MAX_CALLS: u32 = 4000;

/// What all trunks share: the machine's own side. The table `[endpoint]`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct EndpointConfig {
    /// The local address for SIP and RTP. Default `0.0.0.0`: each packet leaves by the address that the system's
    /// routing table chooses.
    pub bind: IpAddr,
    /// The User-Agent header field. Default: `outdial/` and the version.
    pub user_agent: String,
    /// The most calls at the same time, 1 to 4,000. Memory is set aside for each: about 22 KB. Default 32.
    pub max_calls: u32,
    /// UDP ports for RTP, two for each call. Default 16384-32767: above SIP's own ports and below those that Linux
    /// hands out by itself.
    pub rtp_ports: PortRange,
    /// The address that the world sees, where a fixed translation (NAT) stands between. Default: none.
    pub public_address: Option<IpAddr>,
    /// The name servers to ask, each an address with a port if it is not 53. Default: none, which means those of
    /// `/etc/resolv.conf`. `/etc/hosts` is looked at first in either case.
    pub nameservers: Vec<SocketAddr>,
    /// Retransmission timers of RFC 3261 section 17. Defaults 500 ms, 4 s and 5 s.
    pub timers: Timers,
}

/// Retransmission timers of SIP (RFC 3261 appendix A). The table `[endpoint.timers]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Timers {
    /// T1, the estimated round trip: a request is repeated after it, and given up after 64 of it. Default 500 ms.
    pub t1: Duration,
    /// T2, the longest pause between repetitions. Default 4 s.
    pub t2: Duration,
    /// T4, how long a message can stay in the network. Default 5 s.
    pub t4: Duration,
}

impl Default for Timers {
    fn default() -> Self {
        Self { t1: Duration::from_millis(500), t2: Duration::from_secs(4), t4: Duration::from_secs(5) }
    }
}

impl Default for EndpointConfig {
    fn default() -> Self {
        Self {
            bind: Ipv4Addr::UNSPECIFIED.into(),
            user_agent: concat!("outdial/", env!("CARGO_PKG_VERSION")).to_owned(),
            max_calls: 32,
            rtp_ports: PortRange::DEFAULT,
            public_address: None,
            nameservers: Vec::new(),
            timers: Timers::default(),
        }
    }
}

impl EndpointConfig {
    pub(super) fn read(mut section: Section<'_, '_>) -> Self {
        let mut endpoint = Self::default();
        section.set("bind", &mut endpoint.bind);
        section.set("user_agent", &mut endpoint.user_agent);
        section.set("max_calls", &mut endpoint.max_calls);
        section.set("rtp_ports", &mut endpoint.rtp_ports);
        section.set("public_address", &mut endpoint.public_address);
        if let Some(servers) = section.take::<Vec<Nameserver>>("nameservers") {
            endpoint.nameservers = servers.into_iter().map(|server| server.0).collect();
        }
        if let Some(mut timers) = section.table("timers") {
            for (key, timer) in [
                ("t1", &mut endpoint.timers.t1),
                ("t2", &mut endpoint.timers.t2),
                ("t4", &mut endpoint.timers.t4),
            ] {
                if let Some(Time(time)) = timers.take(key) {
                    *timer = time;
                }
            }
            timers.finish(&[]);
        }
        section.finish(&[
            ("port", "a trunk has its own local_port"),
            ("codecs", "each trunk has its own codecs"),
        ]);
        endpoint
    }

    pub(super) fn check(&self, problems: &mut Vec<Problem>) {
        let mut problem =
            |key: &str, message: String| problems.push(Problem::new(format!("endpoint.{key}"), message));
        if self.user_agent.trim().is_empty() || self.user_agent.chars().any(char::is_control) {
            problem("user_agent", "must be one line, and not empty".into());
        }
        if !(1..=MAX_CALLS).contains(&self.max_calls) {
            problem("max_calls", format!("must be 1 to {MAX_CALLS}"));
        } else if self.rtp_ports.pairs() < self.max_calls {
            let (pairs, calls) = (self.rtp_ports.pairs(), self.max_calls);
            problem(
                "rtp_ports",
                format!("has room for {pairs} calls, but max_calls is {calls}: two ports for each"),
            );
        }
        if self.public_address.is_some_and(|ip| ip.is_unspecified() || ip.is_multicast()) {
            problem("public_address", "must be an address that others can send to".into());
        }
        if self.nameservers.iter().any(|server| server.ip().is_unspecified() || server.port() == 0) {
            problem("nameservers", "must be addresses that packets can be sent to".into());
        }
        let Timers { t1, t2, t4 } = self.timers;
        if t1 < Duration::from_millis(50) || t1 > t2 || t2 > t4 || t4 > Duration::from_secs(60) {
            problem("timers", "must be in the order 50 ms ≤ t1 ≤ t2 ≤ t4 ≤ 60 s".into());
        }
    }
}
