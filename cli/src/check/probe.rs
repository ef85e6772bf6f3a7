//! Two questions to the trunk's server: OPTIONS (RFC 3261 section 11), and REGISTER without credentials, whose
//! challenge tells the realm. Neither changes anything there.

use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant, SystemTime};

use outdial::config::{Config, Transport, TrunkConfig};

use super::elsewhere;
use super::finding::{Finding, Findings};
use super::mistake::Mistake;
use super::network::is_private;
use super::response::Response;
use super::tls::{self, Alert};
use super::wire::{self, ANSWER, Wire};

/// Clocks further apart than this are wrong.
const CLOCK: Duration = Duration::from_secs(120);

/// What the server said, for what is looked at next.
#[derive(Debug, Clone, Default)]
pub(super) struct Answers {
    /// Whether a registration is worth trying: the server answered, or is silent, as some are to OPTIONS.
    pub(super) reached: bool,
    /// To REGISTER without credentials.
    pub(super) register: Option<Response>,
    /// Whether the realm is known to be wrong.
    pub(super) wrong_realm: bool,
}

/// Asks the server at `address`.
pub(super) async fn ask(
    config: &Config,
    trunk: &TrunkConfig,
    address: SocketAddr,
    findings: &mut Findings,
) -> Answers {
    let (config, trunk) = (config.clone(), trunk.clone());
    let asked = tokio::task::spawn_blocking(move || talk(&config, &trunk, address)).await;
    let (found, answers) = asked.unwrap_or_default();
    findings.extend(found);
    answers
}

/// What the registrar answers to somebody else's REGISTER without credentials; nobody's account is touched.
pub(super) async fn as_stranger(
    config: &Config,
    trunk: &TrunkConfig,
    address: SocketAddr,
) -> Option<Response> {
    let (config, mut trunk) = (config.clone(), trunk.clone());
    trunk.user = Some(format!("nobody{:08x}", rand::random::<u32>()));
    let asked = tokio::task::spawn_blocking(move || {
        let mut wire = open(&config, &trunk, address, &mut Vec::new())?.ok()?;
        wire.exchange("REGISTER", &config.endpoint.user_agent, &trunk, ANSWER).ok()
    });
    asked.await.ok().flatten()
}

/// A connection; `None` when TLS failed, of which the findings tell.
fn open(
    config: &Config,
    trunk: &TrunkConfig,
    address: SocketAddr,
    findings: &mut Vec<Finding>,
) -> Option<anyhow::Result<Wire>> {
    Some(match trunk.transport {
        Transport::Udp => wire::udp(address).map(Wire::Udp),
        Transport::Tcp => wire::tcp(address).map(Wire::Tcp),
        Transport::Tls => {
            let (stream, seen) = tls::connect(config, trunk, address);
            findings.extend(seen);
            Ok(Wire::Tls(Box::new(stream?)))
        }
    })
}

fn talk(config: &Config, trunk: &TrunkConfig, address: SocketAddr) -> (Vec<Finding>, Answers) {
    let agent = &config.endpoint.user_agent;
    let mut findings = Vec::new();
    let mut answers = Answers::default();
    let Some(opened) = open(config, trunk, address, &mut findings) else { return (findings, answers) };
    let began = Instant::now();
    let asked = opened.and_then(|mut wire| {
        let response = wire.exchange("OPTIONS", agent, trunk, ANSWER)?;
        Ok((wire, response))
    });
    let (mut wire, response) = match asked {
        Ok(asked) => asked,
        Err(error) => {
            findings.push(no_answer(config, trunk, address, &error));
            answers.reached = trunk.register && wire::is_silence(&error);
            return (findings, answers);
        }
    };
    let server = response.server().map(|server| format!(", {server}")).unwrap_or_default();
    let time = began.elapsed().as_millis();
    let what = format!("answered {} {} after {time} ms{server}", response.code, response.phrase);
    findings.push(Finding::ok("options", what));
    findings.extend(clock(&response));
    if let Ok(local) = wire.local() {
        findings.extend(offered_address(config, trunk, local.ip(), address.ip(), &response));
    }
    answers.reached = true;
    let same_way = trunk.outbound_proxy.is_some()
        || trunk.registrar().is_none_or(|registrar| *registrar == trunk.server);
    let mut challenge = Some(response).filter(|response| response.realm().is_some());
    if same_way
        && (trunk.register || trunk.realm.is_some())
        && let Ok(response) = wire.exchange("REGISTER", agent, trunk, ANSWER)
    {
        challenge = Some(response.clone());
        answers.register = trunk.register.then_some(response);
    }
    if let Some(finding) = challenge.as_ref().and_then(|response| realm(trunk, response)) {
        answers.wrong_realm = finding.cause.is_some();
        findings.push(finding);
    }
    (findings, answers)
}

fn no_answer(config: &Config, trunk: &TrunkConfig, address: SocketAddr, error: &anyhow::Error) -> Finding {
    let kind = wire::kind(error);
    if let Some(alert) = Alert::of(error) {
        return alert.finding(trunk);
    }
    match kind {
        Some(ErrorKind::NetworkUnreachable | ErrorKind::HostUnreachable) => {
            return Mistake::NoRoute.found(
                format!("there is no way to {address}: {error:#}"),
                format!("look at the route and at firewalls that reject: ip route get {}", address.ip()),
            );
        }
        Some(ErrorKind::PermissionDenied) => {
            return Mistake::BlockedHere.found(
                format!("this machine may not send to {address}: {error:#}"),
                "its own firewall forbids it: nft list ruleset",
            );
        }
        _ => {}
    }
    if let Some(found) = elsewhere::look(config, trunk, address) {
        return found;
    }
    match (trunk.transport, kind) {
        (Transport::Udp, Some(ErrorKind::ConnectionRefused)) => Mistake::PortClosed.found(
            format!("{address} refuses: the UDP port is closed"),
            "nothing listens there: look at the port and the transport",
        ),
        _ if wire::is_silence(error) && trunk.register => Finding::warning(
            "options",
            format!("no answer to OPTIONS from {address}: {error:#}"),
            "some trunks never answer it: see whether the registration succeeds",
        ),
        (Transport::Udp, _) if wire::is_silence(error) => Mistake::SilentDrop.found(
            format!("{address} is silent: {error:#}"),
            "a firewall drops it, or the trunk ignores whom it does not know: tell it this machine's address, permit UDP",
        ),
        (Transport::Tls, _) if !wire::is_silence(error) => Mistake::ConnectionClosed.found(
            format!("the server took the connection and then went: {error:#}"),
            if trunk.client_cert.is_some() {
                "it does not accept this client certificate, or does not know this address"
            } else {
                "it may want a client certificate (client_cert, client_key), or not know this address"
            },
        ),
        (_, Some(ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset | ErrorKind::BrokenPipe)) => {
            Mistake::ConnectionClosed.found(
                format!("{address} took the connection and then went: {error:#}"),
                "it may be another service's port, or a trunk that does not know this machine's address",
            )
        }
        _ => Mistake::NoSipAnswer.found(
            format!("no SIP answer from {address}: {error:#}"),
            "the trunk drops what it does not know: tell it this machine's address, look at port and host name",
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
        Mistake::ClockWrong.suspected(
            format!("{} s away from the trunk's", apart.as_secs()),
            "let the clock be set by the network: timedatectl set-ntp true",
        )
    })
}

/// Whether the address that we offer for sound is one that a server out there can send to.
fn offered_address(
    config: &Config,
    trunk: &TrunkConfig,
    local: IpAddr,
    server: IpAddr,
    response: &Response,
) -> Option<Finding> {
    let public = trunk.public_address.or(config.endpoint.public_address);
    let seen = response.received().filter(|seen| *seen != local);
    let offered = public.unwrap_or(local);
    if !is_private(offered) || is_private(server) {
        return None;
    }
    let address =
        seen.map_or_else(|| "this machine's public address".to_owned(), |seen| format!("\"{seen}\""));
    let sees = seen.map(|seen| format!(", and the trunk sees {seen}")).unwrap_or_default();
    Some(Mistake::PrivateOffered.suspected(
        format!("the sound is asked for at the private address {offered}{sees}"),
        format!("set public_address = {address} under [endpoint], unless the trunk sends to where our sound comes from"),
    ))
}

/// The realm that will be asked for, against the configured one.
fn realm(trunk: &TrunkConfig, response: &Response) -> Option<Finding> {
    let realm = response.realm()?;
    Some(match &trunk.realm {
        Some(configured) if *configured != realm => Mistake::WrongRealm.found(
            format!("the trunk asks for the realm {realm:?}, configured is {configured:?}"),
            format!("set realm = {realm:?}, or leave it out"),
        ),
        _ => Finding::ok("realm", format!("the trunk asks for a password of the realm {realm:?}")),
    })
}
