//! One connection of our own to a SIP server, and requests over it without credentials. The stack that carries calls is
//! PJSIP's; this one sees what PJSIP does not tell.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use openssl::ssl::SslStream;

use super::foreign::{self, Foreign};
use super::request::Request;
use super::response::Response;

/// A handshake over half the world takes a second; what takes longer than this is filtered.
pub(super) const CONNECT: Duration = Duration::from_secs(5);
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
    pub(super) fn exchange(&mut self, request: &Request<'_>, patience: Duration) -> Result<Response> {
        let text = request.text(self.local()?);
        let (call_id, sequence) = (request.call_id.as_str(), request.sequence);
        let matches = |response: &Response| {
            let ours = response.header("call-id") == Some(call_id) && response.sequence() == Some(sequence);
            response.code >= 200 && ours
        };
        match self {
            Self::Udp(socket) => exchange_udp(socket, &text, patience, matches),
            Self::Tcp(stream) => exchange_stream(stream, &text, patience, matches),
            Self::Tls(stream) => exchange_stream(stream.as_mut(), &text, patience, matches),
        }
    }
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
                Ok(count) => {
                    let packet = buffer.get(..count).unwrap_or_default();
                    match Response::parse(packet) {
                        Some(response) if matches(&response) => return Ok(response),
                        Some(_) => {}
                        None if packet == request.as_bytes() => return Err(Foreign::echo().into()),
                        None => foreign::look_at(packet, true)?,
                    }
                }
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
    // A server that does not want us may have gone already: what it said before that, an alert of TLS, is still there to be
    // read, and says more than the broken pipe.
    let _ = stream.write_all(request.as_bytes()).and_then(|()| stream.flush());
    let give_up = Instant::now() + patience;
    let (mut got, mut piece) = (Vec::new(), [0; 4096]);
    while left_until(give_up).is_some() && got.len() < LONGEST {
        let count = match stream.read(&mut piece) {
            Ok(0) => {
                foreign::look_at(&got, true)?;
                return Err(closed());
            }
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
        foreign::look_at(&got, false)?;
    }
    foreign::look_at(&got, true)?;
    Err(silence(patience))
}

/// The first whole response of a stream, and its length (RFC 3261 section 18.3). Empty lines between messages, which
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

    /// A server that said something, and went before it was asked.
    struct Gone<'a>(&'a [u8]);

    impl Read for Gone<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            self.0.read(buffer)
        }
    }

    impl Write for Gone<'_> {
        fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
            Err(ErrorKind::BrokenPipe.into())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn what_a_server_said_before_it_went_is_read() {
        let said = b"220 mail.example.com ESMTP\r\n";
        let error = exchange_stream(&mut Gone(said), "OPTIONS", ANSWER, |_| true).unwrap_err();
        assert!(error.to_string().contains("mail"), "{error:#}");
        let error = exchange_stream(&mut Gone(b""), "OPTIONS", ANSWER, |_| true).unwrap_err();
        assert_eq!(kind(&error), Some(ErrorKind::UnexpectedEof));
    }
}
