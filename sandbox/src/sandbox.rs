//! The handle of a running sandbox.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use socket2::SockRef;
use tempfile::TempDir;
use thiserror::Error;
use tokio::net::{TcpListener, UdpSocket};
use tokio::sync::broadcast;

use crate::builder::Builder;
use crate::journal::{CallRecord, Event};
use crate::pki::{self, Pki, PkiFiles};
use crate::registrar::Registration;
use crate::server::Server;
use crate::speech::{Speech, Voice};
use crate::transport::{stream, tls, udp};

/// Bytes of UDP messages that may wait for the sandbox.
const RECEIVE_BUFFER: usize = 4 << 20;

/// Why a sandbox could not start.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum StartError {
    /// An address is taken or is not this machine's.
    #[error("cannot listen on {address} for SIP over {transport}")]
    Bind {
        /// What was asked for.
        address: SocketAddr,
        /// Over which transport.
        transport: crate::Transport,
        /// The system's reason.
        source: std::io::Error,
    },
    /// The directory for certificates and recordings cannot be used.
    #[error("cannot write into {path}", path = path.display())]
    Directory {
        /// The directory.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// A certificate could not be made.
    #[error("cannot make a certificate")]
    Certificate(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The speech program that was asked for is not installed.
    #[error("{0} is not installed")]
    Speech(&'static str),
}

/// A running registrar and callee.
///
/// Dropping it stops everything without waiting; [`shutdown`](Self::shutdown) waits.
pub struct Sandbox {
    server: Arc<Server>,
    udp: Option<SocketAddr>,
    tcp: Option<SocketAddr>,
    tls: Option<SocketAddr>,
    pki: Pki,
    files: PkiFiles,
    temporary: Option<TempDir>,
}

impl Sandbox {
    /// Settings with defaults for demos and tests.
    pub fn builder() -> Builder {
        Builder::default()
    }

    pub(crate) async fn start(mut settings: Builder) -> Result<Self, StartError> {
        if settings.accounts.is_empty() {
            settings.accounts.push(("sandbox".to_owned(), "sandbox".to_owned()));
        }
        let voice = Voice::find(settings.speech).map_err(StartError::Speech)?;
        let certificate = |error: rcgen::Error| StartError::Certificate(error.into());
        let pki = Pki::new(settings.certificate).map_err(certificate)?;
        let acceptor = tls::acceptor(&pki, settings.demand_client_certificate)
            .map_err(|error| StartError::Certificate(error.into()))?;
        let (directory, temporary) = directory(settings.directory.as_deref())?;
        let files = pki
            .write(&directory)
            .map_err(|source| StartError::Directory { path: directory.clone(), source })?;

        let udp_socket = match settings.udp {
            Some(address) => Some(bind_udp(address).await?),
            None => None,
        };
        let tcp_listener = match settings.tcp {
            Some(address) => Some(listen(address, crate::Transport::Tcp).await?),
            None => None,
        };
        let tls_listener = match settings.tls {
            Some(address) => Some(listen(address, crate::Transport::Tls).await?),
            None => None,
        };

        let server = Arc::new(Server::new(settings, voice));
        let mut sandbox = Self { server, udp: None, tcp: None, tls: None, pki, files, temporary };
        let server = &sandbox.server;
        server.listeners.spawn(Arc::clone(server).sweep());
        if let Some((socket, address)) = udp_socket {
            sandbox.udp = Some(address);
            server.listeners.spawn(udp::receive(Arc::clone(server), Arc::new(socket)));
        }
        if let Some((listener, address)) = tcp_listener {
            sandbox.tcp = Some(address);
            server.listeners.spawn(stream::accept(Arc::clone(server), listener, None));
        }
        if let Some((listener, address)) = tls_listener {
            sandbox.tls = Some(address);
            server.listeners.spawn(stream::accept(Arc::clone(server), listener, Some(acceptor)));
        }
        Ok(sandbox)
    }

    /// The address of the UDP socket.
    pub fn udp(&self) -> Option<SocketAddr> {
        self.udp
    }

    /// The address of the TCP listener.
    pub fn tcp(&self) -> Option<SocketAddr> {
        self.tcp
    }

    /// The address of the TLS listener.
    pub fn tls(&self) -> Option<SocketAddr> {
        self.tls
    }

    /// The host name in the server certificate besides `localhost`, `127.0.0.1` and `::1`.
    pub fn host_name(&self) -> &'static str {
        pki::HOST
    }

    /// The first account's name.
    pub fn username(&self) -> &str {
        self.server.settings.accounts.first().map_or("sandbox", |(user, _)| user)
    }

    /// The first account's password.
    pub fn password(&self) -> &str {
        self.server.settings.accounts.first().map_or("sandbox", |(_, password)| password)
    }

    /// The realm of the challenges.
    pub fn realm(&self) -> &str {
        &self.server.settings.realm
    }

    /// The CA certificate that clients must trust, as PEM text.
    pub fn ca_pem(&self) -> &str {
        &self.pki.ca_pem
    }

    /// The file with the CA certificate.
    pub fn ca_path(&self) -> &Path {
        &self.files.ca
    }

    /// A client certificate that the CA has signed, PEM.
    pub fn client_certificate_path(&self) -> &Path {
        &self.files.client
    }

    /// The key of the client certificate, PEM.
    pub fn client_key_path(&self) -> &Path {
        &self.files.client_key
    }

    /// The voice that speaks the announcements; never [`Speech::Auto`].
    pub fn speech(&self) -> Speech {
        self.server.voice.speech()
    }

    /// Events from now on.
    pub fn events(&self) -> Events {
        Events(self.server.journal.subscribe())
    }

    /// Every call so far, oldest first, with the ones that are still up.
    pub fn calls(&self) -> Vec<CallRecord> {
        self.server.journal.calls()
    }

    /// The latest call with this Call-ID.
    pub fn call(&self, call_id: &str) -> Option<CallRecord> {
        self.server.journal.call(call_id)
    }

    /// Waits until the call with this Call-ID is over, also if it has not begun yet.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future does nothing to the call.
    pub async fn call_ended(&self, call_id: &str) -> CallRecord {
        self.wait_until(|sandbox| sandbox.call(call_id).filter(|call| call.outcome.is_some())).await
    }

    /// Waits until `condition` gives something; it is asked again after every event.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses nothing.
    pub async fn wait_until<T>(&self, mut condition: impl FnMut(&Self) -> Option<T>) -> T {
        let mut version = self.server.journal.version();
        loop {
            version.mark_unchanged();
            if let Some(value) = condition(self) {
                return value;
            }
            if version.changed().await.is_err() {
                // The journal lives as long as `self`, so its sender cannot be gone.
                std::future::pending::<()>().await;
            }
        }
    }

    /// The contacts that are registered now.
    pub fn registrations(&self) -> Vec<Registration> {
        self.server.registrations()
    }

    /// How many calls are up now, ringing ones included.
    pub fn active_calls(&self) -> usize {
        self.server.active_calls()
    }

    /// Hangs up every call, closes every connection and port, and waits for all tasks to end.
    ///
    /// Certificates in a temporary directory are removed; a directory of your own keeps its files.
    ///
    /// # Cancel safety
    ///
    /// Everything ends even if the future is dropped; what it would have waited for is then cut short.
    pub async fn shutdown(self) {
        self.server.shutdown().await;
        if let Some(Err(error)) =
            self.temporary.as_ref().map(|directory| std::fs::remove_dir_all(directory.path()))
        {
            tracing::warn!(%error, "cannot remove the temporary directory");
        }
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        self.server.abandon();
    }
}

/// Events of a sandbox, from the moment that [`Sandbox::events`] was called.
#[derive(Debug)]
pub struct Events(broadcast::Receiver<Event>);

impl Events {
    /// The next event; `None` once the sandbox is gone. A reader that falls far behind loses the oldest.
    ///
    /// # Cancel safety
    ///
    /// No event is lost when the future is dropped.
    pub async fn next(&mut self) -> Option<Event> {
        loop {
            match self.0.recv().await {
                Ok(event) => return Some(event),
                Err(broadcast::error::RecvError::Lagged(missed)) => {
                    tracing::warn!(missed, "a reader of events fell behind");
                }
                Err(broadcast::error::RecvError::Closed) => return None,
            }
        }
    }
}

fn directory(wanted: Option<&Path>) -> Result<(PathBuf, Option<TempDir>), StartError> {
    match wanted {
        Some(path) => {
            std::fs::create_dir_all(path)
                .map_err(|source| StartError::Directory { path: path.to_owned(), source })?;
            Ok((path.to_owned(), None))
        }
        None => {
            let temporary = tempfile::Builder::new()
                .prefix("outdial-sandbox-")
                .tempdir()
                .map_err(|source| StartError::Directory { path: std::env::temp_dir(), source })?;
            Ok((temporary.path().to_owned(), Some(temporary)))
        }
    }
}

async fn bind_udp(address: SocketAddr) -> Result<(UdpSocket, SocketAddr), StartError> {
    let failed = |source| StartError::Bind { address, transport: crate::Transport::Udp, source };
    let socket = UdpSocket::bind(address).await.map_err(failed)?;
    // A burst of calls from one thread comes faster than tasks are woken; the system may grant less.
    if let Err(error) = SockRef::from(&socket).set_recv_buffer_size(RECEIVE_BUFFER) {
        tracing::debug!(%error, "keeping the system's receive buffer");
    }
    // Until the reactor has seen the socket writable, answers sent without waiting would fail.
    socket.writable().await.map_err(failed)?;
    let local = socket.local_addr().map_err(failed)?;
    Ok((socket, local))
}

async fn listen(
    address: SocketAddr,
    transport: crate::Transport,
) -> Result<(TcpListener, SocketAddr), StartError> {
    let failed = |source| StartError::Bind { address, transport, source };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let local = listener.local_addr().map_err(failed)?;
    Ok((listener, local))
}
