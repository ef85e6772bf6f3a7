//! The UDP socket.

use std::sync::Arc;

use tokio::net::UdpSocket;

use super::Flow;
use crate::server::Server;
use crate::sip::message::MAX_MESSAGE;

/// Receives until the server is closed.
pub(crate) async fn receive(server: Arc<Server>, socket: Arc<UdpSocket>) {
    let Ok(local) = socket.local_addr() else { return };
    let mut buffer = vec![0; MAX_MESSAGE];
    loop {
        let received = tokio::select! {
            () = server.close.cancelled() => return,
            received = socket.recv_from(&mut buffer) => received,
        };
        match received {
            Ok((length, peer)) => {
                let flow = Flow::datagram(Arc::clone(&socket), local, peer);
                server.receive(&buffer[..length], &flow);
            }
            // ICMP errors of earlier sends come back here on some systems; the socket itself is fine.
            Err(error) => {
                tracing::debug!(%error, "UDP receive");
                tokio::task::yield_now().await;
            }
        }
    }
}
