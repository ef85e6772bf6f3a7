//! Where SIP messages come in and go out: one UDP socket, TCP and TLS listeners and their connections.

pub(crate) mod stream;
pub(crate) mod tls;
pub(crate) mod udp;

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use tokio::net::UdpSocket;
use tokio::sync::mpsc;

/// The transport under SIP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Transport {
    /// RFC 3261 over UDP.
    Udp,
    /// RFC 3261 over TCP.
    Tcp,
    /// SIP over TLS 1.2 or 1.3.
    Tls,
}

impl Transport {
    /// Whether the transport delivers in order and without loss, so that SIP does not retransmit.
    pub(crate) fn is_reliable(self) -> bool {
        self != Self::Udp
    }

    /// The value of the URI parameter `transport`.
    pub(crate) fn uri_param(self) -> &'static str {
        match self {
            Self::Udp => "udp",
            Self::Tcp => "tcp",
            Self::Tls => "tls",
        }
    }
}

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Udp => "UDP",
            Self::Tcp => "TCP",
            Self::Tls => "TLS",
        })
    }
}

/// The way back to whoever sent a message: a UDP peer, or the connection that it came on.
#[derive(Clone, Debug)]
pub(crate) struct Flow {
    pub(crate) transport: Transport,
    /// The socket's own address, which may be a wildcard.
    local: SocketAddr,
    pub(crate) peer: SocketAddr,
    link: Link,
}

#[derive(Clone, Debug)]
enum Link {
    Datagram(Arc<UdpSocket>),
    Stream(mpsc::Sender<Bytes>),
}

impl Flow {
    fn datagram(socket: Arc<UdpSocket>, local: SocketAddr, peer: SocketAddr) -> Self {
        Self { transport: Transport::Udp, local, peer, link: Link::Datagram(socket) }
    }

    fn stream(transport: Transport, local: SocketAddr, peer: SocketAddr, queue: mpsc::Sender<Bytes>) -> Self {
        Self { transport, local, peer, link: Link::Stream(queue) }
    }

    /// The same flow with another UDP destination; a connection has only one.
    pub(crate) fn to(&self, peer: SocketAddr) -> Self {
        match self.link {
            Link::Datagram(_) => Self { peer, ..self.clone() },
            Link::Stream(_) => self.clone(),
        }
    }

    /// Hands a message to the socket without waiting.
    ///
    /// What a full socket or queue does not take is lost, as on a network; SIP's timers repair it.
    pub(crate) fn send(&self, bytes: Bytes) {
        let sent = match &self.link {
            Link::Datagram(socket) => socket.try_send_to(&bytes, self.peer).is_ok(),
            Link::Stream(queue) => queue.try_send(bytes).is_ok(),
        };
        if !sent {
            tracing::debug!(transport = %self.transport, peer = %self.peer, "a message could not be sent");
        }
    }

    /// The sandbox's address for headers and SDP: of a wildcard socket, the one that faces the peer.
    pub(crate) fn local(&self) -> SocketAddr {
        if !self.local.ip().is_unspecified() {
            return self.local;
        }
        let facing = || {
            let probe = std::net::UdpSocket::bind((self.local.ip(), 0))?;
            // Connecting a UDP socket sends nothing; it only chooses a route.
            probe.connect(self.peer)?;
            probe.local_addr()
        };
        let ip = facing().map_or(self.local.ip(), |address: SocketAddr| address.ip());
        SocketAddr::new(ip, self.local.port())
    }
}
