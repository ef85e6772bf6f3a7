//! Two questions to the trunk's server: OPTIONS (RFC 3261 section 11), and REGISTER without credentials, whose
//! challenge tells the realm. Where there is no registration and OPTIONS is challenged, the answer to that challenge tells
//! whether user and password are right. None of it changes anything there.

use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant, SystemTime};

use outdial::call::SipStatus;
use outdial::config::{Config, Transport, TrunkConfig};
use secrecy::ExposeSecret as _;

use super::account::Refusal;
use super::digest::Credentials;
use super::elsewhere;
use super::finding::Finding;
use super::foreign::Foreign;
use super::mistake::Mistake;
use super::network::is_private;
use super::request::Request;
use super::response::Response;
use super::tls::{self, Alert};
use super::wire::{self, ANSWER, Wire};

/// Clocks further apart than this are wrong.
const CLOCK: Duration = Duration::from_secs(120);

/// What the server said, for what is looked at next.
#[derive(Debug, Clone, Default)]
pub(super) struct Answers {
    /// Whether it said anything.
    pub(super) answered: bool,
    /// Whether a registration is worth trying: the server answered, or is silent, as some are to OPTIONS.
    pub(super) reached: bool,
    /// To REGISTER without credentials.
    pub(super) register: Option<Response>,
    /// Whether the realm is known to be wrong.
    pub(super) wrong_realm: bool,
    /// Whether the trunk takes our user and password, where that was asked without a registration.
    pub(super) credentials: Option<bool>,
}

/// Asks the server at `address`.
pub(super) async fn ask(
    config: &Config,
    trunk: &TrunkConfig,
    address: SocketAddr,
) -> (Vec<Finding>, Answers) {
    let (config, trunk) = (config.clone(), trunk.clone());
    let asked = tokio::task::spawn_blocking(move || talk(&config, &trunk, address)).await;
    asked.unwrap_or_default()
}

/// What a registrar answers to a REGISTER of somebody who cannot exist; nobody's account is touched.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Stranger {
    /// Without credentials.
    pub(super) first: Option<u16>,
    /// With a password that cannot be right, where one was asked for.
    pub(super) last: Option<u16>,
}

/// Asks the registrar as a stranger; with a password only if it is to be known what a wrong one leads to.
pub(super) async fn as_stranger(
    config: &Config,
    trunk: &TrunkConfig,
    address: SocketAddr,
    with_password: bool,
) -> Stranger {
    let (config, mut trunk) = (config.clone(), trunk.clone());
    trunk.user = Some(format!("nobody{:08x}", rand::random::<u32>()));
    trunk.auth_user = None;
    let asked = tokio::task::spawn_blocking(move || {
        let mut wire = open(&config, &trunk, address, &mut Vec::new())?.ok()?;
        let request = Request::register(&config.endpoint.user_agent, &trunk);
        let first = wire.exchange(&request, ANSWER).ok()?;
        let password = format!("{:016x}", rand::random::<u64>());
        let own = Credentials { user: trunk.auth_user()?, password: &password };
        let answer = own.answer(&first, request.method, &request.uri()).filter(|_| with_password);
        let last = answer.and_then(|answer| wire.exchange(&request.with(answer), ANSWER).ok());
        Some(Stranger { first: Some(first.code), last: last.map(|last| last.code) })
    });
    asked.await.ok().flatten().unwrap_or_default()
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
        let request = Request::options(agent, trunk);
        let response = wire.exchange(&request, ANSWER)?;
        Ok((wire, request, response))
    });
    let (mut wire, request, response) = match asked {
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
    (answers.answered, answers.reached) = (true, true);
    let same_way = trunk.outbound_proxy.is_some()
        || trunk.registrar().is_none_or(|registrar| *registrar == trunk.server);
    let mut challenge = Some(response.clone()).filter(is_asked);
    if same_way
        && (trunk.register || trunk.realm.is_some())
        && let Ok(response) = wire.exchange(&Request::register(agent, trunk), ANSWER)
    {
        challenge = Some(response.clone());
        answers.register = trunk.register.then_some(response);
    }
    if let Some(finding) = challenge.as_ref().and_then(not_understood) {
        answers.reached = false;
        findings.push(finding);
    } else if let Some(finding) = challenge.as_ref().and_then(|response| realm(trunk, response)) {
        answers.wrong_realm = finding.cause.is_some();
        findings.push(finding);
    }
    // With a registration the registrar tells, and nobody is locked out for a second wrong answer.
    if !trunk.register && answers.reached && !answers.wrong_realm {
        let finding = credentials(config, trunk, &mut wire, request, &response);
        answers.credentials = finding.as_ref().map(|finding| finding.cause.is_none());
        findings.extend(finding);
    }
    (findings, answers)
}

/// Whether a password is asked for.
fn is_asked(response: &Response) -> bool {
    matches!(response.code, 401 | 407)
}

/// A challenge that nobody here can answer.
fn not_understood(response: &Response) -> Option<Finding> {
    let anybody = Credentials { user: "", password: "" };
    if !is_asked(response) || anybody.answer(response, "", "").is_some() {
        return None;
    }
    let asked = response.header("www-authenticate").or_else(|| response.header("proxy-authenticate"));
    let asked = asked.map_or("does not say how".to_owned(), |asked| {
        format!("asks by {:?}", super::response::shown(asked))
    });
    Some(Mistake::ChallengeNotUnderstood.found(
        format!("{} {}: the trunk wants a password and {asked}", response.code, response.phrase),
        "only Digest with MD5 or SHA-256 and qop auth is spoken here (RFC 7616): have the trunk ask so",
    ))
}

/// Whether the trunk takes our user and password, if it asks for them.
fn credentials(
    config: &Config,
    trunk: &TrunkConfig,
    wire: &mut Wire,
    mut request: Request<'_>,
    challenge: &Response,
) -> Option<Finding> {
    let password = config.secrets.open().resolve(trunk.password.as_ref()?).ok()?;
    let own = Credentials { user: trunk.auth_user()?, password: password.expose_secret() };
    let uri = request.uri();
    let mut said = challenge.clone();
    // A second time only where the server calls its own nonce stale.
    for _ in 0..2 {
        request = request.with(own.answer(Some(&said).filter(|said| is_asked(said))?, "OPTIONS", &uri)?);
        said = wire.exchange(&request, ANSWER).ok()?;
        if !(is_asked(&said) && said.is_stale()) {
            break;
        }
    }
    if said.code == 403 {
        // Of the password, or of OPTIONS: it does not say.
        return None;
    }
    if !is_asked(&said) {
        return Some(Finding::ok(
            "credentials",
            format!("the trunk takes user {:?} and the password", own.user),
        ));
    }
    let refusal = Refusal {
        trunk,
        status: Some(&SipStatus::new(said.code, said.phrase.clone())),
        detail: "the trunk refused the user name or the password",
        first: Some(challenge.code),
        stale: said.is_stale(),
        stranger: Stranger::default(),
    };
    Some(refusal.finding())
}

fn no_answer(config: &Config, trunk: &TrunkConfig, address: SocketAddr, error: &anyhow::Error) -> Finding {
    let kind = wire::kind(error);
    if let Some(alert) = Alert::of(error) {
        return alert.finding(trunk);
    }
    match kind {
        // Linux says "invalid argument" of a route that is a black hole.
        Some(ErrorKind::NetworkUnreachable | ErrorKind::HostUnreachable | ErrorKind::InvalidInput) => {
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
    if let Some(kind) = error.downcast_ref::<Foreign>() {
        return elsewhere::no_sip(address, &kind.to_string());
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
        (Transport::Tls, _) if !wire::is_silence(error) && tls::wants_certificate(config, trunk, address) => {
            Mistake::ClientCertificateRefused.found(
                "the server wants a client certificate, and closes the connection when it has seen ours",
                tls::ASK_WHO_SIGNS,
            )
        }
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
