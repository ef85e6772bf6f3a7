//! TCP connections, plain or under TLS: framing by Content-Length and keep-alives (RFC 5626 section 4.4.1).

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc};
use tokio_rustls::TlsAcceptor;

use super::{Flow, Transport};
use crate::server::{Event, Server};
use crate::sip::message::frame;

/// Connections served at the same time; further ones wait in the listener's backlog.
const MAX_CONNECTIONS: usize = 512;
/// Messages that may wait for one connection to become writable.
const WRITE_QUEUE: usize = 256;
/// Bound on a TLS handshake and on a write that the peer does not read.
const PATIENCE: Duration = Duration::from_secs(10);

/// Accepts until the server is closed.
pub(crate) async fn accept(server: Arc<Server>, listener: TcpListener, tls: Option<TlsAcceptor>) {
    let permits = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    loop {
        let Ok(permit) = Arc::clone(&permits).acquire_owned().await else { return };
        let accepted = tokio::select! {
            () = server.close.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        let (socket, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        let (serving, tls) = (Arc::clone(&server), tls.clone());
        server.listeners.spawn(async move {
            serve(serving, socket, peer, tls).await;
            drop(permit);
        });
    }
}

async fn serve(server: Arc<Server>, socket: TcpStream, peer: SocketAddr, tls: Option<TlsAcceptor>) {
    let Ok(local) = socket.local_addr() else { return };
    // Small messages must not wait for an acknowledgement of the one before.
    let _ = socket.set_nodelay(true);
    let Some(acceptor) = tls else {
        return converse(server, socket, Transport::Tcp, local, peer).await;
    };
    let handshake = tokio::select! {
        () = server.close.cancelled() => return,
        handshake = tokio::time::timeout(PATIENCE, acceptor.accept(socket)) => handshake,
    };
    match handshake {
        Ok(Ok(stream)) => converse(server, stream, Transport::Tls, local, peer).await,
        Ok(Err(error)) => server.journal.tell(Event::TlsRefused { peer, reason: error.to_string() }),
        Err(_) => {
            server.journal.tell(Event::TlsRefused { peer, reason: "no handshake within 10 s".to_owned() });
        }
    }
}

async fn converse<S>(
    server: Arc<Server>,
    stream: S,
    transport: Transport,
    local: SocketAddr,
    peer: SocketAddr,
) where
    S: AsyncRead + AsyncWrite,
{
    let (mut reader, mut writer) = tokio::io::split(stream);
    let (queue, mut outgoing) = mpsc::channel::<Bytes>(WRITE_QUEUE);
    let flow = Flow::stream(transport, local, peer, queue);
    let read = async {
        let mut buffer = BytesMut::with_capacity(8192);
        loop {
            match reader.read_buf(&mut buffer).await {
                Ok(0) | Err(_) => return,
                Ok(_) => {}
            }
            if !deliver(&server, &flow, &mut buffer) {
                return;
            }
        }
    };
    let write = async {
        while let Some(bytes) = outgoing.recv().await {
            if !write_out(&mut writer, &bytes).await {
                return;
            }
        }
    };
    tokio::select! {
        () = server.close.cancelled() => {}
        () = read => {}
        () = write => {}
    }
    // The last words of calls that ended with the server.
    while let Ok(bytes) = outgoing.try_recv() {
        if !write_out(&mut writer, &bytes).await {
            return;
        }
    }
    // A close_notify lets the peer tell an orderly end from a cut; nobody waits long for it.
    let _ = tokio::time::timeout(Duration::from_millis(200), writer.shutdown()).await;
}

async fn write_out(writer: &mut (impl AsyncWrite + Unpin), bytes: &[u8]) -> bool {
    let written = tokio::time::timeout(PATIENCE, async {
        writer.write_all(bytes).await?;
        writer.flush().await
    });
    matches!(written.await, Ok(Ok(())))
}

/// Takes whole messages off the buffer; `false` when the stream is beyond repair.
fn deliver(server: &Arc<Server>, flow: &Flow, buffer: &mut BytesMut) -> bool {
    loop {
        if buffer.starts_with(b"\r\n\r\n") {
            flow.send(Bytes::from_static(b"\r\n"));
            buffer.advance(4);
            continue;
        }
        // A lone line end may be the first half of a keep-alive ping still on its way.
        if buffer.starts_with(b"\r\n") && buffer.len() > 2 && buffer[2] != b'\r' {
            buffer.advance(2);
            continue;
        }
        match frame(buffer) {
            Ok(Some(length)) => {
                let message = buffer.split_to(length);
                server.receive(&message, flow);
            }
            Ok(None) => return true,
            Err(error) => {
                tracing::debug!(peer = %flow.peer, %error, "closing a connection that does not speak SIP");
                return false;
            }
        }
    }
}
