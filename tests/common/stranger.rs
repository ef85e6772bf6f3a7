//! A SIP peer over UDP that says what a test has it say, right or wrong.

use std::net::SocketAddr;

use tokio::net::UdpSocket;
use tokio::task::JoinHandle;

use super::trunk;

/// A running peer. It ends with the test.
pub struct Stranger {
    address: SocketAddr,
    task: JoinHandle<()>,
}

/// A message as it came.
#[derive(Clone)]
pub struct Received {
    text: String,
    pub us: SocketAddr,
}

impl Stranger {
    /// Listens; what `say` returns goes back to where the message came from.
    pub async fn new(mut say: impl FnMut(&Received) -> Vec<Vec<u8>> + Send + 'static) -> Self {
        let socket = UdpSocket::bind((trunk::loopback(200), 0)).await.expect("loopback has a port");
        let us = socket.local_addr().expect("it is bound");
        let task = tokio::spawn(async move {
            let mut packet = vec![0; 65_536];
            while let Ok((length, from)) = socket.recv_from(&mut packet).await {
                for message in say(&Received::new(&packet[..length], us)) {
                    // A peer that is gone shows in the test.
                    let _ = socket.send_to(&message, from).await;
                }
            }
        });
        Self { address: us, task }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Stranger {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Received {
    /// A message that came to `us`.
    pub fn new(bytes: &[u8], us: SocketAddr) -> Self {
        Self { text: String::from_utf8_lossy(bytes).into_owned(), us }
    }

    /// Of a response: `200 OK`.
    pub fn status(&self) -> &str {
        self.text.lines().next().and_then(|line| line.strip_prefix("SIP/2.0 ")).unwrap_or_default()
    }

    /// The URI in Contact.
    pub fn contact(&self) -> &str {
        let contact = self.header("Contact");
        let inside = contact.split_once('<').and_then(|(_, rest)| rest.split_once('>'));
        inside.map_or(contact, |(uri, _)| uri)
    }

    /// The `a=crypto` of its SDP with this suite.
    pub fn crypto(&self, suite: &str) -> Option<&str> {
        let mut lines = self.text.lines().filter_map(|line| line.strip_prefix("a=crypto:"));
        lines.find(|crypto| crypto.split(' ').nth(1) == Some(suite))
    }

    /// How many media its SDP has.
    pub fn media_lines(&self) -> usize {
        self.text.lines().filter(|line| line.starts_with("m=")).count()
    }

    /// Where the SDP wants the sound to.
    pub fn media(&self) -> Option<SocketAddr> {
        let line = |prefix: &str| self.text.lines().find_map(|line| line.strip_prefix(prefix));
        let ip = line("c=IN IP4 ").or_else(|| line("c=IN IP6 "))?;
        let port = line("m=audio ")?.split(' ').next()?;
        Some(SocketAddr::new(ip.trim().parse().ok()?, port.parse().ok()?))
    }

    /// `INVITE`, or `SIP/2.0` for a response.
    pub fn method(&self) -> &str {
        self.text.split(' ').next().unwrap_or_default()
    }

    pub fn header(&self, name: &str) -> &str {
        let prefix = format!("{name}: ");
        self.text.lines().find_map(|line| line.strip_prefix(&prefix)).unwrap_or_default()
    }

    /// What follows the header.
    pub fn body(&self) -> &str {
        self.text.split_once("\r\n\r\n").map_or("", |(_, body)| body)
    }

    /// Whether it belongs to a dialog.
    pub fn is_inside(&self) -> bool {
        self.header("To").contains("tag=")
    }

    /// A response to it; `extra` are whole header lines.
    pub fn respond(&self, status: &str, extra: &str, body: &[u8]) -> Vec<u8> {
        let tag = if self.is_inside() { "" } else { ";tag=stranger" };
        let head = format!(
            "SIP/2.0 {status}\r\nVia: {}\r\nFrom: {}\r\nTo: {}{tag}\r\nCall-ID: {}\r\nCSeq: {}\r\n{extra}",
            self.header("Via"),
            self.header("From"),
            self.header("To"),
            self.header("Call-ID"),
            self.header("CSeq"),
        );
        self.with_body(head, body)
    }

    /// A request inside the dialog that this request of the caller's, an ACK for example, belongs to. `contact` is
    /// the caller's.
    pub fn request(&self, method: &str, sequence: u32, contact: &str, body: &[u8]) -> Vec<u8> {
        let head = format!(
            "{method} {contact} SIP/2.0\r\nVia: SIP/2.0/UDP {};branch=z9hG4bK{sequence}{method}{call}\r\n\
             Max-Forwards: 70\r\nFrom: {}\r\nTo: {}\r\nCall-ID: {call}\r\nCSeq: {sequence} {method}\r\n",
            self.us,
            self.header("To"),
            self.header("From"),
            call = self.header("Call-ID"),
        );
        self.with_body(head, body)
    }

    /// The ACK for it, a final response.
    pub fn acknowledge(&self, contact: &str) -> Vec<u8> {
        let head = format!(
            "ACK {contact} SIP/2.0\r\nVia: {}\r\nMax-Forwards: 70\r\nFrom: {}\r\nTo: {}\r\nCall-ID: {}\r\n\
             CSeq: {} ACK\r\n",
            self.header("Via"),
            self.header("From"),
            self.header("To"),
            self.header("Call-ID"),
            self.header("CSeq").split(' ').next().unwrap_or_default(),
        );
        self.with_body(head, b"")
    }

    fn with_body(&self, head: String, body: &[u8]) -> Vec<u8> {
        let contact = if head.contains("\r\nContact:") {
            String::new()
        } else {
            format!("Contact: <sip:stranger@{}>\r\n", self.us)
        };
        let kind = if body.is_empty() { "" } else { "Content-Type: application/sdp\r\n" };
        let head = format!("{head}{contact}{kind}Content-Length: {}\r\n\r\n", body.len());
        [head.as_bytes(), body].concat()
    }
}
