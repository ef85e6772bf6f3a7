//! An even port for RTP and the odd one above it for RTCP (RFC 3550 section 11), from the system.

use std::io::{Error, ErrorKind};
use std::net::{IpAddr, SocketAddr};

use tokio::net::UdpSocket;

/// Attempts at a free pair.
const ATTEMPTS: usize = 64;

pub(crate) struct Ports {
    pub(crate) rtp: UdpSocket,
    pub(crate) rtcp: UdpSocket,
    /// Of the RTP socket.
    pub(crate) address: SocketAddr,
}

impl Ports {
    pub(crate) async fn open(ip: IpAddr) -> std::io::Result<Self> {
        // Sockets of failed attempts stay open until a pair is found, or the system might offer them again.
        let mut rejected = Vec::new();
        for _ in 0..ATTEMPTS {
            let socket = UdpSocket::bind((ip, 0)).await?;
            let address = socket.local_addr()?;
            if address.port() % 2 == 0
                && let Ok(rtcp) = UdpSocket::bind((ip, address.port() + 1)).await
            {
                // Until the reactor has seen a socket writable, sends without waiting would fail.
                tokio::try_join!(socket.writable(), rtcp.writable())?;
                return Ok(Self { rtp: socket, rtcp, address });
            }
            rejected.push(socket);
        }
        Err(Error::new(ErrorKind::AddrInUse, "no pair of free ports for RTP and RTCP"))
    }
}
