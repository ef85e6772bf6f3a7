//! A SIP server that answers what a test has it answer, and a name server of the same kind.

use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// A datagram server with a thread of its own, until it is dropped.
pub struct Peer {
    address: SocketAddr,
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Peer {
    /// Each datagram is given to `answer`, and what that returns is sent back.
    pub fn datagrams(mut answer: impl FnMut(&[u8]) -> Vec<Vec<u8>> + Send + 'static) -> Self {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        socket.set_read_timeout(Some(Duration::from_millis(50))).expect("a socket");
        let address = socket.local_addr().expect("a socket");
        let over = Arc::new(AtomicBool::new(false));
        let theirs = Arc::clone(&over);
        let thread = std::thread::spawn(move || {
            let mut packet = vec![0; 65_536];
            while !theirs.load(Ordering::Relaxed) {
                match socket.recv_from(&mut packet) {
                    Ok((length, from)) => {
                        for response in answer(&packet[..length]) {
                            let _ = socket.send_to(&response, from);
                        }
                    }
                    Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
                    // An ICMP error of an earlier answer.
                    Err(_) => {}
                }
            }
        });
        Self { address, over, thread: Some(thread) }
    }

    /// A SIP server. `answer` gets each request's method and text, and returns the status line's rest with further headers
    /// and a body after an empty line: `"403 Forbidden\r\n"`. ACK is never answered; `None` is silence.
    pub fn sip(mut answer: impl FnMut(&str, &str) -> Option<String> + Send + 'static) -> Self {
        Self::datagrams(move |packet| {
            let text = String::from_utf8_lossy(packet);
            let method = text.split(' ').next().unwrap_or_default().to_owned();
            if method == "ACK" || !text.contains(" SIP/2.0\r\n") {
                return Vec::new();
            }
            answer(&method, &text).map(|said| response(&text, &said).into_bytes()).into_iter().collect()
        })
    }

    /// A name server. `answer` gets a name in lower case and the type of the record, and returns the response code and the
    /// data of the records; `None` is silence.
    pub fn dns(answer: impl Fn(&str, u16) -> Option<(u8, Vec<Vec<u8>>)> + Send + 'static) -> Self {
        Self::datagrams(move |query| dns_answer(query, &answer).into_iter().collect())
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// A response that belongs to a request.
fn response(request: &str, said: &str) -> String {
    let (head, body) = said.split_once("\r\n\r\n").unwrap_or((said.trim_end(), ""));
    let head = head.trim_end();
    let mut text = format!("SIP/2.0 {head}\r\n");
    for line in request.lines().map(|line| line.trim_end_matches('\r')).take_while(|line| !line.is_empty()) {
        let name = line.split(':').next().unwrap_or_default().to_ascii_lowercase();
        match name.as_str() {
            "via" | "from" | "call-id" | "cseq" => text.push_str(&format!("{line}\r\n")),
            "to" if line.contains("tag=") => text.push_str(&format!("{line}\r\n")),
            "to" => text.push_str(&format!("{line};tag=peer\r\n")),
            _ => {}
        }
    }
    text.push_str(&format!("Content-Length: {}\r\n\r\n{body}", body.len()));
    text
}

/// One question, answered (RFC 1035 section 4).
fn dns_answer(query: &[u8], answer: &impl Fn(&str, u16) -> Option<(u8, Vec<Vec<u8>>)>) -> Option<Vec<u8>> {
    let mut at = 12;
    let mut labels = Vec::new();
    while query[at] != 0 {
        let length = usize::from(query[at]);
        labels.push(String::from_utf8_lossy(&query[at + 1..=at + length]).to_ascii_lowercase());
        at += length + 1;
    }
    let kind = u16::from_be_bytes([query[at + 1], query[at + 2]]);
    let (code, records) = answer(&labels.join("."), kind)?;
    let mut text = query[..2].to_vec();
    // A response, recursion available, with one question and the records.
    text.extend([0x81, 0x80 | code, 0, 1, 0, records.len() as u8, 0, 0, 0, 0]);
    text.extend(&query[12..at + 5]);
    for data in records {
        // The name is the question's.
        text.extend([0xc0, 12]);
        text.extend(kind.to_be_bytes());
        text.extend([0, 1, 0, 0, 0, 60]);
        text.extend((data.len() as u16).to_be_bytes());
        text.extend(data);
    }
    Some(text)
}
