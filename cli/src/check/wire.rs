//! One connection of our own to a SIP server, and requests over it without credentials. The stack that carries calls is
//! PJSIP's; this one sees what PJSIP does not tell.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use openssl::ssl::SslStream;
use outdial::config::TrunkConfig;

use super::connect::CONNECT;
use super::response::Response;

/// How long an answer may take.
pub(super) const ANSWER: Duration = Duration::from_secs(6);
/// T1: over UDP a request is repeated after it, then after twice as long, and so on (RFC 3261 section 17.1.2).
const T1: Duration = Duration::from_millis(500);
/// The longest answer that is read.
const LONGEST: usize = 65_536;

/// A way to the server.
pub(super) enum Wire {
    Udp(UdpSocket),
    Tcp(TcpStream),
    Tls(Box<SslStream<TcpStream>>),
}

pub(super) fn udp(address: SocketAddr) -> Result<UdpSocket> {
    let any = if address.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
    let socket = UdpSocket::bind(any)?;
    socket.connect(address).with_context(|| format!("there is no way to {address}"))?;
    Ok(socket)
}

pub(super) fn tcp(address: SocketAddr) -> Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&address, CONNECT)?;
    stream.set_read_timeout(Some(CONNECT))?;
    stream.set_write_timeout(Some(CONNECT))?;
    Ok(stream)
}

impl Wire {
    /// Our own address.
    pub(super) fn local(&self) -> Result<SocketAddr> {
        Ok(match self {
            Self::Udp(socket) => socket.local_addr()?,
            Self::Tcp(stream) => stream.local_addr()?,
            Self::Tls(stream) => stream.get_ref().local_addr()?,
        })
    }

    /// Sends a request and waits for its final answer.
    pub(super) fn exchange(
        &mut self,
        method: &str,
        agent: &str,
        trunk: &TrunkConfig,
        patience: Duration,
    ) -> Result<Response> {
        let call_id = format!("{:032x}", rand::random::<u128>());
        let request = request(method, agent, trunk, self.local()?, &call_id);
        let matches =
            |response: &Response| response.code >= 200 && response.header("call-id") == Some(&call_id);
        match self {
            Self::Udp(socket) => exchange_udp(socket, &request, patience, matches),
            Self::Tcp(stream) => exchange_stream(stream, &request, patience, matches),
            Self::Tls(stream) => exchange_stream(stream.as_mut(), &request, patience, matches),
        }
    }
}

fn request(method: &str, agent: &str, trunk: &TrunkConfig, local: SocketAddr, call_id: &str) -> String {
    let target = match method {
        "REGISTER" => trunk.registrar_uri(),
        _ => None,
    };
    let target =
        target.unwrap_or_else(|| format!("sip:{};transport={}", trunk.server, trunk.transport.as_str()));
    let transport = trunk.transport.as_str().to_uppercase();
    let own =
        trunk.address_of_record().unwrap_or_else(|| format!("sip:anonymous@{}", trunk.server.uri_host()));
    let to = if method == "REGISTER" { own.clone() } else { target.clone() };
    let route = trunk.proxy_uri().map(|proxy| format!("Route: <{proxy}>\r\n")).unwrap_or_default();
    let (branch, tag) = (rand::random::<u64>(), rand::random::<u64>());
    format!(
        "{method} {target} SIP/2.0\r\n\
         Via: SIP/2.0/{transport} {local};rport;branch=z9hG4bK{branch:016x}\r\n\
         Max-Forwards: 70\r\n\
         {route}From: <{own}>;tag={tag:016x}\r\n\
         To: <{to}>\r\n\
         Call-ID: {call_id}\r\n\
         CSeq: 1 {method}\r\n\
         User-Agent: {agent}\r\n\
         Accept: application/sdp\r\n\
         Content-Length: 0\r\n\r\n"
    )
}

fn exchange_udp(
    socket: &UdpSocket,
    request: &str,
    patience: Duration,
    matches: impl Fn(&Response) -> bool,
) -> Result<Response> {
    let (give_up, mut pause) = (Instant::now() + patience, T1);
    let mut buffer = vec![0; LONGEST];
    loop {
        socket.send(request.as_bytes())?;
        let again = (Instant::now() + pause).min(give_up);
        pause *= 2;
        while let Some(left) = left_until(again) {
            socket.set_read_timeout(Some(left))?;
            match socket.recv(&mut buffer) {
                Ok(count) => match buffer.get(..count).and_then(Response::parse) {
                    Some(response) if matches(&response) => return Ok(response),
                    _ => {}
                },
                Err(error) if is_timeout(&error) => break,
                Err(error) => return Err(error.into()),
            }
        }
        if left_until(give_up).is_none() {
            return Err(silence(patience));
        }
    }
}

fn exchange_stream(
    stream: &mut (impl Read + Write),
    request: &str,
    patience: Duration,
    matches: impl Fn(&Response) -> bool,
) -> Result<Response> {
    stream.write_all(request.as_bytes())?;
    stream.flush()?;
    let give_up = Instant::now() + patience;
    let (mut got, mut piece) = (Vec::new(), [0; 4096]);
    while left_until(give_up).is_some() && got.len() < LONGEST {
        let count = match stream.read(&mut piece) {
            Ok(0) => return Err(closed()),
            Ok(count) => count,
            Err(error) if is_timeout(&error) => break,
            Err(error) => return Err(error.into()),
        };
        got.extend_from_slice(piece.get(..count).unwrap_or_default());
        while let Some((response, length)) = take(&got) {
            got.drain(..length);
            if matches(&response) {
                return Ok(response);
            }
        }
    }
    Err(silence(patience))
}

/// The first whole message of a stream, and its length (RFC 3261 section 18.3). Empty lines between messages, which
/// keep connections alive, are part of it.
fn take(bytes: &[u8]) -> Option<(Response, usize)> {
    let blank = bytes.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
    let message = bytes.get(blank..)?;
    let head = message.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
    let response = Response::parse(message.get(..head)?)?;
    let body: usize = response.header("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    let length = head.checked_add(body)?;
    (message.len() >= length).then_some((response, blank + length))
}

fn left_until(time: Instant) -> Option<Duration> {
    time.checked_duration_since(Instant::now()).filter(|left| !left.is_zero())
}

fn is_timeout(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
}

fn silence(patience: Duration) -> anyhow::Error {
    let what = format!("nothing came within {} s", patience.as_secs());
    std::io::Error::new(ErrorKind::TimedOut, what).into()
}

fn closed() -> anyhow::Error {
    std::io::Error::new(ErrorKind::UnexpectedEof, "it closed the connection").into()
}

/// The kind of an input or output error behind this one.
pub(super) fn kind(error: &anyhow::Error) -> Option<ErrorKind> {
    error.chain().find_map(|cause| cause.downcast_ref::<std::io::Error>()).map(std::io::Error::kind)
}

/// Whether nothing came.
pub(super) fn is_silence(error: &anyhow::Error) -> bool {
    kind(error).is_some_and(|kind| matches!(kind, ErrorKind::TimedOut | ErrorKind::WouldBlock))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_of_a_stream_are_taken_one_by_one() {
        let one = "SIP/2.0 100 Trying\r\nl: 0\r\n\r\n";
        let two = "SIP/2.0 200 OK\r\nContent-Length: 3\r\n\r\nabc";
        let both = format!("\r\n{one}{two}");
        let (first, length) = take(both.as_bytes()).unwrap();
        assert_eq!((first.code, length), (100, one.len() + 2));
        let (second, rest) = take(&both.as_bytes()[length..]).unwrap();
        assert_eq!((second.code, rest), (200, two.len()));
        assert!(take(&two.as_bytes()[..two.len() - 1]).is_none());
    }
}
