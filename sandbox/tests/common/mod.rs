//! A scripted SIP client: text out, text in, and a socket for RTP. It shares nothing with the sandbox.
#![allow(dead_code, unreachable_pub)] // Every test binary uses another part of it.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use md5::{Digest, Md5};
use outdial_sandbox::{Sandbox, Transport};
use sha2::Sha256;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

/// A safety net, far above what anything here takes.
pub const PATIENCE: Duration = Duration::from_secs(60);

pub fn unique() -> String {
    format!("{:032x}", rand::random::<u128>())
}

trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

enum Wire {
    Datagram(UdpSocket),
    Stream(Box<dyn Stream>, Vec<u8>),
}

/// A received message, request or response.
#[derive(Clone, Debug)]
pub struct Received {
    pub first_line: String,
    pub headers: Vec<(String, String)>,
    pub body: String,
}

impl Received {
    fn parse(text: &str) -> Self {
        let (head, body) = text.split_once("\r\n\r\n").expect("an empty line");
        let mut lines = head.split("\r\n");
        let first_line = lines.next().expect("a first line").to_owned();
        let header = |line: &str| {
            let (name, value) = line.split_once(':').expect("a colon");
            (name.trim().to_owned(), value.trim().to_owned())
        };
        Self { first_line, headers: lines.map(header).collect(), body: body.to_owned() }
    }

    pub fn status(&self) -> u16 {
        let status = self.first_line.strip_prefix("SIP/2.0 ").and_then(|rest| rest.get(..3));
        status.and_then(|status| status.parse().ok()).unwrap_or(0)
    }

    pub fn phrase(&self) -> &str {
        self.first_line.splitn(3, ' ').nth(2).unwrap_or_default()
    }

    pub fn method(&self) -> &str {
        self.first_line.split(' ').next().unwrap_or_default()
    }

    pub fn all(&self, name: &str) -> Vec<&str> {
        self.headers.iter().filter(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_str()).collect()
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.all(name).first().copied()
    }

    pub fn to_tag(&self) -> Option<&str> {
        self.header("To")?.split_once(";tag=").map(|(_, tag)| tag)
    }
}

/// One caller with one Call-ID.
pub struct Client {
    wire: Wire,
    server: SocketAddr,
    local: SocketAddr,
    transport: Transport,
    pub user: String,
    pub password: String,
    pub call_id: String,
    pub from_tag: String,
    pub to_tag: Option<String>,
    pub cseq: u32,
    pub branch: String,
    pub prefer: &'static str,
    /// The Contact of the last answer, and the Route headers that lead there.
    pub target: Option<String>,
    pub routes: Vec<String>,
    set_aside: VecDeque<Received>,
}

impl Client {
    pub async fn new(sandbox: &Sandbox, transport: Transport) -> Self {
        let server = match transport {
            Transport::Udp => sandbox.udp(),
            Transport::Tcp => sandbox.tcp(),
            Transport::Tls => sandbox.tls(),
        }
        .expect("the transport is on");
        let any = SocketAddr::new(server.ip(), 0);
        let (wire, local) = match transport {
            Transport::Udp => {
                let socket = UdpSocket::bind(any).await.unwrap();
                socket.connect(server).await.unwrap();
                let local = socket.local_addr().unwrap();
                (Wire::Datagram(socket), local)
            }
            Transport::Tcp => {
                let stream = TcpStream::connect(server).await.unwrap();
                let local = stream.local_addr().unwrap();
                (Wire::Stream(Box::new(stream), Vec::new()), local)
            }
            Transport::Tls => {
                let stream = TcpStream::connect(server).await.unwrap();
                let local = stream.local_addr().unwrap();
                let stream = handshake(stream, tls_config(sandbox.ca_pem()), "localhost").await.unwrap();
                (Wire::Stream(Box::new(stream), Vec::new()), local)
            }
        };
        Self {
            wire,
            server,
            local,
            transport,
            user: sandbox.username().to_owned(),
            password: sandbox.password().to_owned(),
            call_id: unique(),
            from_tag: unique(),
            to_tag: None,
            cseq: 0,
            branch: String::new(),
            prefer: "SHA-256",
            target: None,
            routes: Vec::new(),
            set_aside: VecDeque::new(),
        }
    }

    pub async fn send_raw(&mut self, bytes: &[u8]) {
        match &mut self.wire {
            Wire::Datagram(socket) => {
                socket.send(bytes).await.unwrap();
            }
            Wire::Stream(stream, _) => stream.write_all(bytes).await.unwrap(),
        }
    }

    /// The text of a request in this client's dialog; a new branch and CSeq unless it is an ACK or CANCEL.
    pub fn request(&mut self, method: &str, uri: &str, headers: &[(&str, &str)], body: &str) -> String {
        match method {
            "CANCEL" => {}
            "ACK" => self.branch = format!("z9hG4bK{}", unique()),
            _ => {
                self.cseq += 1;
                self.branch = format!("z9hG4bK{}", unique());
            }
        }
        let to_tag = match (&self.to_tag, method) {
            (Some(tag), _) if method != "CANCEL" => format!(";tag={tag}"),
            _ => String::new(),
        };
        let to = if method == "REGISTER" { format!("sip:{}@sandbox", self.user) } else { uri.to_owned() };
        let mut text = format!(
            "{method} {uri} SIP/2.0\r\nVia: SIP/2.0/{} {};branch={};rport\r\nMax-Forwards: 70\r\n\
             From: <sip:{}@sandbox>;tag={}\r\nTo: <{to}>{to_tag}\r\nCall-ID: {}\r\nCSeq: {} {method}\r\n\
             Contact: <sip:{}@{}>\r\n",
            self.transport,
            self.local,
            self.branch,
            self.user,
            self.from_tag,
            self.call_id,
            self.cseq,
            self.user,
            self.local,
        );
        for (name, value) in headers {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        if !body.is_empty() && !headers.iter().any(|(name, _)| *name == "Content-Type") {
            text.push_str("Content-Type: application/sdp\r\n");
        }
        text.push_str(&format!("Content-Length: {}\r\n\r\n{body}", body.len()));
        text
    }

    pub async fn send(&mut self, method: &str, uri: &str, headers: &[(&str, &str)], body: &str) {
        let text = self.request(method, uri, headers, body);
        self.send_raw(text.as_bytes()).await;
    }

    /// The next message, whatever it is.
    pub async fn receive(&mut self) -> Received {
        if let Some(received) = self.set_aside.pop_front() {
            return received;
        }
        self.receive_from_wire().await
    }

    async fn receive_from_wire(&mut self) -> Received {
        tokio::time::timeout(PATIENCE, self.read()).await.expect("the sandbox says something")
    }

    async fn read(&mut self) -> Received {
        match &mut self.wire {
            Wire::Datagram(socket) => {
                let mut buffer = vec![0; 65_536];
                let length = socket.recv(&mut buffer).await.unwrap();
                Received::parse(std::str::from_utf8(&buffer[..length]).unwrap())
            }
            Wire::Stream(stream, buffer) => loop {
                if let Some(length) = whole(buffer) {
                    let message: Vec<u8> = buffer.drain(..length).collect();
                    return Received::parse(std::str::from_utf8(&message).unwrap());
                }
                let mut chunk = [0; 4096];
                let length = stream.read(&mut chunk).await.unwrap();
                assert!(length > 0, "the sandbox closed the connection");
                buffer.extend_from_slice(&chunk[..length]);
            },
        }
    }

    /// The next message for which `wanted` holds; others stay for later.
    pub async fn receive_where(&mut self, wanted: impl Fn(&Received) -> bool) -> Received {
        if let Some(index) = self.set_aside.iter().position(&wanted) {
            return self.set_aside.remove(index).unwrap();
        }
        loop {
            let received = self.receive_from_wire().await;
            if wanted(&received) {
                return received;
            }
            self.set_aside.push_back(received);
        }
    }

    /// The next final response to the last request of `method`.
    pub async fn final_response(&mut self, method: &str) -> Received {
        let cseq = format!("{} {method}", self.cseq);
        self.receive_where(|received| received.status() >= 200 && received.header("CSeq") == Some(&cseq))
            .await
    }

    /// A response of exactly this status.
    pub async fn response(&mut self, status: u16) -> Received {
        self.receive_where(|received| received.status() == status).await
    }

    /// The next request of the sandbox, not answered yet.
    pub async fn incoming(&mut self, method: &str) -> Received {
        self.receive_where(|received| received.method() == method).await
    }

    /// Answers a request of the sandbox.
    pub async fn answer(&mut self, request: &Received, status: u16, body: &str) {
        let mut text = format!("SIP/2.0 {status} Answer\r\n");
        for name in ["Via", "From", "To", "Call-ID", "CSeq"] {
            for value in request.all(name) {
                text.push_str(&format!("{name}: {value}\r\n"));
            }
        }
        text.push_str(&format!("Contact: <sip:{}@{}>\r\n", self.user, self.local));
        if !body.is_empty() {
            text.push_str("Content-Type: application/sdp\r\n");
        }
        text.push_str(&format!("Content-Length: {}\r\n\r\n{body}", body.len()));
        self.send_raw(text.as_bytes()).await;
    }

    /// Sends a request and, once challenged, sends it again with credentials; the final response to that.
    pub async fn authenticated(
        &mut self,
        method: &str,
        uri: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Received {
        self.send(method, uri, headers, body).await;
        let challenge = self.final_response(method).await;
        if !matches!(challenge.status(), 401 | 407) {
            return challenge;
        }
        self.retry(&challenge, method, uri, headers, body).await;
        self.final_response(method).await
    }

    /// Sends the request again with credentials for a challenge.
    pub async fn retry(
        &mut self,
        challenge: &Received,
        method: &str,
        uri: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) {
        if method == "INVITE" {
            self.ack_refusal(challenge, uri).await;
        }
        let credentials = self.credentials(challenge, method, uri, 1);
        let mut headers = headers.to_vec();
        headers.push((credentials.0, &credentials.1));
        self.send(method, uri, &headers, body).await;
    }

    /// Header name and value for a challenge, by the preferred algorithm.
    pub fn credentials(
        &self,
        challenge: &Received,
        method: &str,
        uri: &str,
        count: u32,
    ) -> (&'static str, String) {
        let (asks, answers) = match challenge.status() {
            401 => ("WWW-Authenticate", "Authorization"),
            _ => ("Proxy-Authenticate", "Proxy-Authorization"),
        };
        let wanted = format!("algorithm={}", self.prefer);
        let challenge = challenge.all(asks).into_iter().find(|value| value.contains(&wanted));
        let challenge = challenge.expect("a challenge for the preferred algorithm");
        let quoted = |name: &str| {
            let (_, rest) = challenge.split_once(&format!("{name}=\"")).expect("a parameter");
            rest.split_once('"').expect("a closing quote").0.to_owned()
        };
        let (realm, nonce) = (quoted("realm"), quoted("nonce"));
        let hash = |text: String| match self.prefer {
            "MD5" => hex(&Md5::digest(text)),
            _ => hex(&Sha256::digest(text)),
        };
        let secret = hash(format!("{}:{realm}:{}", self.user, self.password));
        let request = hash(format!("{method}:{uri}"));
        let response = hash(format!("{secret}:{nonce}:{count:08x}:abcd:auth:{request}"));
        let value = format!(
            "Digest username=\"{}\", realm=\"{realm}\", nonce=\"{nonce}\", uri=\"{uri}\", \
             response=\"{response}\", algorithm={}, cnonce=\"abcd\", qop=auth, nc={count:08x}",
            self.user, self.prefer
        );
        (answers, value)
    }

    /// The ACK for a refusal, which belongs to the INVITE's transaction.
    pub async fn ack_refusal(&mut self, refusal: &Received, uri: &str) {
        let text = format!(
            "ACK {uri} SIP/2.0\r\nVia: SIP/2.0/{} {};branch={};rport\r\nFrom: <sip:{}@sandbox>;tag={}\r\n\
             To: {}\r\nCall-ID: {}\r\nCSeq: {} ACK\r\nContent-Length: 0\r\n\r\n",
            self.transport,
            self.local,
            self.branch,
            self.user,
            self.from_tag,
            refusal.header("To").expect("a To header"),
            self.call_id,
            self.cseq,
        );
        self.send_raw(text.as_bytes()).await;
    }

    /// The final response to an INVITE, challenged or not; a 2xx is acknowledged, a refusal too.
    pub async fn invite(&mut self, number: &str, sdp: &str) -> Received {
        self.invite_with(number, &[], sdp).await
    }

    pub async fn invite_with(&mut self, number: &str, headers: &[(&str, &str)], sdp: &str) -> Received {
        let uri = self.uri(number);
        let response = self.authenticated("INVITE", &uri, headers, sdp).await;
        self.to_tag = response.to_tag().map(str::to_owned);
        if response.status() < 300 {
            self.follow(&response);
            self.send_within("ACK").await;
        } else {
            self.ack_refusal(&response, &uri).await;
        }
        response
    }

    pub async fn bye(&mut self) -> Received {
        self.send_within("BYE").await;
        self.final_response("BYE").await
    }

    /// Learns target and route set from an answer (RFC 3261 section 12.1.2).
    pub fn follow(&mut self, answer: &Received) {
        let contact = answer.header("Contact").expect("a Contact").trim_matches(['<', '>']);
        self.target = Some(contact.to_owned());
        self.routes = answer.all("Record-Route").into_iter().rev().map(str::to_owned).collect();
        self.to_tag = answer.to_tag().map(str::to_owned);
    }

    /// A request to the target by the route set.
    pub async fn send_within(&mut self, method: &str) {
        let target = self.target.clone().unwrap_or_else(|| format!("sip:sandbox@{}", self.server));
        let routes = self.routes.clone();
        let headers: Vec<_> = routes.iter().map(|route| ("Route", route.as_str())).collect();
        self.send(method, &target, &headers, "").await;
    }

    pub fn uri(&self, number: &str) -> String {
        format!("sip:{number}@{}", self.server)
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn whole(buffer: &[u8]) -> Option<usize> {
    let head = buffer.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
    let text = String::from_utf8_lossy(&buffer[..head]).to_ascii_lowercase();
    let (_, rest) = text.split_once("content-length:")?;
    let length: usize = rest.split("\r\n").next()?.trim().parse().ok()?;
    (buffer.len() >= head + length).then_some(head + length)
}

pub fn tls_config(ca_pem: &str) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(ca_pem.as_bytes()).unwrap()).unwrap();
    let provider = Arc::new(tokio_rustls::rustls::crypto::ring::default_provider());
    ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth()
}

pub async fn handshake(
    stream: TcpStream,
    config: ClientConfig,
    name: &str,
) -> std::io::Result<tokio_rustls::client::TlsStream<TcpStream>> {
    let name = ServerName::try_from(name.to_owned()).unwrap();
    TlsConnector::from(Arc::new(config)).connect(name, stream).await
}

/// The caller's RTP socket.
pub struct Rtp {
    pub socket: UdpSocket,
    pub port: u16,
}

impl Rtp {
    pub async fn new() -> Self {
        Self::bind("127.0.0.1:0").await
    }

    pub async fn bind(address: &str) -> Self {
        let socket = UdpSocket::bind(address).await.unwrap();
        let port = socket.local_addr().unwrap().port();
        Self { socket, port }
    }

    /// An offer of PCMU, PCMA and RFC 4733 events, with more attribute lines.
    pub fn offer(&self, profile: &str, attributes: &str) -> String {
        format!(
            "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n\
             m=audio {} {profile} 0 8 101\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:8 PCMA/8000\r\n\
             a=rtpmap:101 telephone-event/8000\r\n{attributes}",
            self.port
        )
    }

    pub fn plain_offer(&self) -> String {
        self.offer("RTP/AVP", "")
    }

    pub async fn receive(&self) -> Vec<u8> {
        let mut buffer = vec![0; 2048];
        let received = tokio::time::timeout(PATIENCE, self.socket.recv(&mut buffer));
        let length = received.await.expect("a packet").unwrap();
        buffer.truncate(length);
        buffer
    }
}

/// An RTP packet.
pub fn packet(payload_type: u8, sequence: u16, timestamp: u32, payload: &[u8]) -> Vec<u8> {
    rtp_types::RtpPacketBuilder::<&[u8], &[u8]>::new()
        .payload_type(payload_type)
        .sequence_number(sequence)
        .timestamp(timestamp)
        .ssrc(0x1234_5678)
        .payload(payload)
        .write_vec()
        .unwrap()
}

/// Where an SDP answer wants RTP.
pub fn media_address(sdp: &str) -> SocketAddr {
    let port = sdp.lines().find_map(|line| line.strip_prefix("m=audio ")).expect("an audio line");
    let port = port.split(' ').next().unwrap().parse().unwrap();
    SocketAddr::from(([127, 0, 0, 1], port))
}

/// Runs futures side by side on one task until all are done.
pub async fn join_all<F: Future<Output = ()>>(futures: impl Iterator<Item = F>) {
    let mut pending: Vec<_> = futures.map(Box::pin).collect();
    std::future::poll_fn(|context| {
        pending.retain_mut(|future| future.as_mut().poll(context).is_pending());
        if pending.is_empty() { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
}
