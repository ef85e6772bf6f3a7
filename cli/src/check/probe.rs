//! Two questions to the trunk's server: OPTIONS (RFC 3261 section 11), and REGISTER without credentials, whose
//! challenge tells the realm. Neither changes anything there.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, Result, anyhow};
use openssl::ssl::SslStream;
use outdial::config::{Config, Transport, TrunkConfig};

use super::connect::CONNECT;
use super::finding::{Finding, Findings};
use super::response::Response;
use super::tls;

/// How long an answer may take.
const ANSWER: Duration = Duration::from_secs(6);
/// T1: over UDP a request is repeated after it, then after twice as long, and so on (RFC 3261 section 17.1.2).
const T1: Duration = Duration::from_millis(500);
/// The longest answer that is read.
const LONGEST: usize = 65_536;
/// Clocks further apart than this are wrong.
const CLOCK: Duration = Duration::from_secs(120);

/// Asks; returns whether a registration is worth trying: the server answered, or is silent, as some are to OPTIONS.
pub(super) async fn ask(
    config: &Config,
    trunk: &TrunkConfig,
    address: SocketAddr,
    findings: &mut Findings,
) -> bool {
    let (config, trunk) = (config.clone(), trunk.clone());
    let asked = tokio::task::spawn_blocking(move || talk(&config, &trunk, address)).await;
    let (found, answered) = asked.unwrap_or_default();
    findings.extend(found);
    answered
}

fn talk(config: &Config, trunk: &TrunkConfig, address: SocketAddr) -> (Vec<Finding>, bool) {
    let agent = &config.endpoint.user_agent;
    let mut findings = Vec::new();
    let wire = match trunk.transport {
        Transport::Udp => udp(address).map(Wire::Udp),
        Transport::Tcp => tcp(address).map(Wire::Tcp),
        Transport::Tls => {
            let (stream, seen) = tls::connect(config, trunk, address);
            findings.extend(seen);
            match stream {
                Some(stream) => Ok(Wire::Tls(Box::new(stream))),
                None => return (findings, false),
            }
        }
    };
    let mut wire = match wire {
        Ok(wire) => wire,
        Err(error) => {
            findings.push(Finding::problem(
                "options",
                format!("{error:#}"),
                "look at the route to the trunk",
            ));
            return (findings, false);
        }
    };
    let began = Instant::now();
    match wire.exchange("OPTIONS", agent, trunk, 1) {
        Ok(response) => {
            let server = response.server().map(|server| format!(", {server}")).unwrap_or_default();
            let time = began.elapsed().as_millis();
            let what = format!("answered {} {} after {time} ms{server}", response.code, response.phrase);
            findings.push(Finding::ok("options", what));
            findings.extend(clock(&response));
        }
        Err(error) => {
            findings.push(no_answer(trunk, address, &error));
            return (findings, trunk.register && is_silence(&error));
        }
    }
    let same_way = trunk.outbound_proxy.is_some() || trunk.registrar() == Some(&trunk.server);
    if same_way && let Ok(response) = wire.exchange("REGISTER", agent, trunk, 2) {
        findings.extend(realm(trunk, &response));
    }
    (findings, true)
}

fn silence() -> anyhow::Error {
    let what = format!("nothing came within {} s", ANSWER.as_secs());
    std::io::Error::new(ErrorKind::TimedOut, what).into()
}

fn is_silence(error: &anyhow::Error) -> bool {
    error.downcast_ref::<std::io::Error>().is_some_and(|error| error.kind() == ErrorKind::TimedOut)
}

fn no_answer(trunk: &TrunkConfig, address: SocketAddr, error: &anyhow::Error) -> Finding {
    let kind = error.downcast_ref::<std::io::Error>().map(std::io::Error::kind);
    match (trunk.transport, kind) {
        (_, Some(ErrorKind::TimedOut)) if trunk.register => Finding::warning(
            "options",
            format!("no answer to OPTIONS from {address}: {error:#}"),
            "some trunks never answer it: see whether the registration succeeds",
        ),
        (Transport::Udp, Some(ErrorKind::ConnectionRefused)) => Finding::problem(
            "options",
            format!("{address} refuses: the UDP port is closed"),
            "nothing listens there: look at the port and the transport",
        ),
        (Transport::Tls, _) if trunk.client_cert.is_none() => Finding::problem(
            "options",
            format!("the server took the connection and then went: {error:#}"),
            "it may want a client certificate (client_cert, client_key), or not know this address",
        ),
        (Transport::Tls, _) => Finding::problem(
            "client_certificate",
            format!("the server took the connection and then went: {error:#}"),
            "it does not accept this client certificate, or does not know this address",
        ),
        _ => Finding::problem(
            "options",
            format!("no SIP answer from {address}: {error:#}"),
            "the trunk drops what it does not know: tell it this machine's address, look at firewall, port and host name",
        ),
    }
}

/// What the server's clock says of ours; most servers do not say.
fn clock(response: &Response) -> Option<Finding> {
    let theirs = httpdate::parse_http_date(response.header("date")?).ok()?;
    let ours = SystemTime::now();
    let apart = ours.duration_since(theirs).or_else(|_| theirs.duration_since(ours)).ok()?;
    Some(if apart <= CLOCK {
        Finding::ok("clock", "agrees with the trunk's")
    } else {
        Finding::warning(
            "clock",
            format!("{} s away from the trunk's", apart.as_secs()),
            "let the clock be set by the network: timedatectl set-ntp true",
        )
    })
}

/// The realm that will be asked for, against the configured one.
fn realm(trunk: &TrunkConfig, response: &Response) -> Option<Finding> {
    let realm = response.realm()?;
    Some(match &trunk.realm {
        Some(configured) if *configured != realm => Finding::problem(
            "realm",
            format!("the trunk asks for the realm {realm:?}, configured is {configured:?}"),
            format!("set realm = {realm:?}, or leave it out"),
        ),
        _ => Finding::ok("realm", format!("the trunk asks for a password of the realm {realm:?}")),
    })
}

enum Wire {
    Udp(UdpSocket),
    Tcp(TcpStream),
    Tls(Box<SslStream<TcpStream>>),
}

fn udp(address: SocketAddr) -> Result<UdpSocket> {
    let any = if address.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
    let socket = UdpSocket::bind(any)?;
    socket.connect(address).with_context(|| format!("there is no way to {address}"))?;
    Ok(socket)
}

fn tcp(address: SocketAddr) -> Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&address, CONNECT)?;
    stream.set_read_timeout(Some(CONNECT))?;
    Ok(stream)
}

impl Wire {
    fn local(&self) -> Result<SocketAddr> {
        Ok(match self {
            Self::Udp(socket) => socket.local_addr()?,
            Self::Tcp(stream) => stream.local_addr()?,
            Self::Tls(stream) => stream.get_ref().local_addr()?,
        })
    }

    /// Sends a request and waits for its final answer.
    fn exchange(&mut self, method: &str, agent: &str, trunk: &TrunkConfig, number: u32) -> Result<Response> {
        let call_id = format!("{:032x}", rand::random::<u128>());
        let request = request(method, agent, trunk, self.local()?, &call_id, number);
        let matches =
            |response: &Response| response.code >= 200 && response.header("call-id") == Some(&call_id);
        match self {
            Self::Udp(socket) => exchange_udp(socket, &request, matches),
            Self::Tcp(stream) => exchange_stream(stream, &request, matches),
            Self::Tls(stream) => exchange_stream(stream.as_mut(), &request, matches),
        }
    }
}

fn request(
    method: &str,
    agent: &str,
    trunk: &TrunkConfig,
    local: SocketAddr,
    call_id: &str,
    number: u32,
) -> String {
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
         CSeq: {number} {method}\r\n\
         User-Agent: {agent}\r\n\
         Accept: application/sdp\r\n\
         Content-Length: 0\r\n\r\n"
    )
}

fn exchange_udp(socket: &UdpSocket, request: &str, matches: impl Fn(&Response) -> bool) -> Result<Response> {
    let (give_up, mut pause) = (Instant::now() + ANSWER, T1);
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
            return Err(silence());
        }
    }
}

fn exchange_stream(
    stream: &mut (impl Read + Write),
    request: &str,
    matches: impl Fn(&Response) -> bool,
) -> Result<Response> {
    stream.write_all(request.as_bytes())?;
    stream.flush()?;
    let give_up = Instant::now() + ANSWER;
    let (mut got, mut piece) = (Vec::new(), [0; 4096]);
    while left_until(give_up).is_some() && got.len() < LONGEST {
        let count = match stream.read(&mut piece) {
            Ok(0) => return Err(anyhow!("it closed the connection")),
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
    Err(silence())
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
