//! TLS as PJSIP does it, with OpenSSL and the same rules, and every fault of the certificate by name.

mod alert;
mod client;

use std::fs::File;
use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Result;
use openssl::asn1::Asn1Time;
use openssl::ssl::{
    self, HandshakeError, SslConnector, SslMethod, SslRef, SslStream, SslVerifyMode, SslVersion,
};
use openssl::x509::verify::X509CheckFlags;
use openssl::x509::{X509NameRef, X509Ref, X509VerifyResult};
use outdial::config::{Config, TrunkConfig};

use super::elsewhere;
use super::finding::Finding;
use super::mistake::Mistake;
use super::request::Request;
use super::wire::{self, CONNECT, Wire};
pub(super) use alert::Alert;

/// Where PJSIP looks for authorities when none are named.
const SYSTEM_CA_FOLDER: &str = "/etc/ssl/certs";
/// A certificate that expires within so many days is worth a line.
const SOON: i32 = 21;

// The verdicts of x509_vfy.h that mean something of their own to an operator.
const NOT_YET_VALID: i32 = 9;
const EXPIRED: i32 = 10;
const SELF_SIGNED: i32 = 18;
/// No issuer's certificate, one of another key than the signature's, or one that signed itself and is not trusted.
const NO_CHAIN: [i32; 6] = [2, 7, 19, 20, 21, 27];
const HOSTNAME_MISMATCH: i32 = 62;
const IP_MISMATCH: i32 = 64;

// Reasons of sslerr.h.
const WRONG_VERSION_NUMBER: i32 = 267;
const UNEXPECTED_EOF: i32 = 294;

/// Connects and shakes hands. The stream is there if the certificate was accepted; the findings say what was seen.
pub(super) fn connect(
    config: &Config,
    trunk: &TrunkConfig,
    address: SocketAddr,
) -> (Option<SslStream<TcpStream>>, Vec<Finding>) {
    // It has been said already what is wrong with them.
    if trunk.ca_file.as_ref().is_some_and(|path| File::open(path).is_err())
        || !client::is_there(config, trunk)
    {
        return (None, vec![Finding::skipped("tls", "not tried: a certificate or key cannot be read")]);
    }
    match try_connect(config, trunk, address) {
        Ok((stream, faults)) => {
            let findings = verdict(trunk, &stream, &faults);
            let good = faults.is_empty() || trunk.danger_accept_any_certificate;
            (good.then_some(stream), findings)
        }
        Err(error) => (None, vec![no_tls(config, trunk, address, &error)]),
    }
}

/// What to do about a certificate of ours that is not taken.
pub(super) const ASK_WHO_SIGNS: &str =
    "ask the trunk which authority must have signed it, and whether it knows this one";

/// Whether the server breaks off with a client that shows no certificate: some say nothing when they refuse one.
pub(super) fn wants_certificate(config: &Config, trunk: &TrunkConfig, address: SocketAddr) -> bool {
    if trunk.client_cert.is_none() {
        return false;
    }
    let mut bare = trunk.clone();
    (bare.client_cert, bare.client_key) = (None, None);
    let asked = try_connect(config, &bare, address).and_then(|(stream, _)| {
        let request = Request::options(&config.endpoint.user_agent, &bare);
        Wire::Tls(Box::new(stream)).exchange(&request, wire::ANSWER)
    });
    asked.is_err_and(|error| Alert::of(&error).is_some_and(Alert::wants_certificate))
}

fn no_tls(config: &Config, trunk: &TrunkConfig, address: SocketAddr, error: &anyhow::Error) -> Finding {
    if let Some(client::Unusable { what, remedy }) = error.downcast_ref() {
        return Mistake::ClientCertificateUnusable.found(what, *remedy);
    }
    if let Some(authorities) = error.downcast_ref::<Authorities>() {
        return Mistake::CertificateFile.found(
            format!("ca_file: {authorities}"),
            "it must hold the trunk's authority as PEM: -----BEGIN CERTIFICATE-----",
        );
    }
    if let Some(alert) = Alert::of(error) {
        return alert.finding(trunk);
    }
    elsewhere::look(config, trunk, address).unwrap_or_else(|| {
        Mistake::TlsFailed.found(
            format!("no TLS with {address}: {}", in_words(error)),
            "is this the TLS port (5061 as a rule), and does the server know TLS 1.2? A server that wants a client \
             certificate needs client_cert and client_key",
        )
    })
}

/// What broke a handshake off.
pub(super) fn not_connected(error: HandshakeError<TcpStream>) -> anyhow::Error {
    match error {
        HandshakeError::SetupFailure(stack) => stack.into(),
        // The socket's own time-out.
        HandshakeError::WouldBlock(_) => std::io::Error::from(ErrorKind::TimedOut).into(),
        HandshakeError::Failure(half) => half.into_error().into(),
    }
}

/// What a handshake met, in words; OpenSSL's own are of no use to an operator.
fn in_words(error: &anyhow::Error) -> String {
    let is = |kind| wire::kind(error) == Some(kind);
    let stack = error.downcast_ref::<ssl::Error>().and_then(ssl::Error::ssl_error);
    let codes = stack.map(|stack| stack.errors().iter().map(|error| error.reason_code()).collect::<Vec<_>>());
    let codes = codes.unwrap_or_default();
    if is(ErrorKind::TimedOut) {
        format!("it takes the connection and does not answer within {} s", CONNECT.as_secs())
    } else if codes.contains(&WRONG_VERSION_NUMBER) {
        "what it answers is not TLS".to_owned()
    } else if codes.contains(&UNEXPECTED_EOF)
        || is(ErrorKind::ConnectionReset)
        || is(ErrorKind::UnexpectedEof)
    {
        "it takes the connection and closes it".to_owned()
    } else {
        format!("{error:#}")
    }
}

/// The authorities cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{path} has no certificate that can be read")]
struct Authorities {
    path: String,
}

fn try_connect(
    config: &Config,
    trunk: &TrunkConfig,
    address: SocketAddr,
) -> Result<(SslStream<TcpStream>, Vec<X509VerifyResult>)> {
    let mut builder = SslConnector::builder(SslMethod::tls_client())?;
    builder.set_min_proto_version(Some(SslVersion::TLS1_2))?;
    match &trunk.ca_file {
        Some(path) => {
            builder.set_ca_file(path).map_err(|_| Authorities { path: path.display().to_string() })?
        }
        None => builder.load_verify_locations(None, Some(Path::new(SYSTEM_CA_FOLDER)))?,
    }
    client::present(config, trunk, &mut builder)?;
    // All faults are collected: the first one hides the others otherwise.
    let faults = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&faults);
    builder.set_verify_callback(SslVerifyMode::PEER, move |fine, context| {
        if !fine {
            seen.lock().unwrap_or_else(PoisonError::into_inner).push(context.error());
        }
        true
    });
    let name = trunk.expected_tls_name();
    let mut configuration = builder.build().configure()?;
    // What names to accept is said below.
    configuration.set_verify_hostname(false);
    let parameters = configuration.param_mut();
    match name.parse::<IpAddr>() {
        Ok(ip) => parameters.set_ip(ip)?,
        Err(_) => {
            // RFC 5922 section 7.2: no wildcards in SIP, unless the operator permits one label.
            parameters.set_hostflags(if trunk.allow_wildcard_certificate {
                X509CheckFlags::NO_PARTIAL_WILDCARDS
            } else {
                X509CheckFlags::NO_WILDCARDS
            });
            parameters.set_host(name)?;
        }
    }
    let stream = configuration.connect(name, wire::tcp(address)?).map_err(not_connected)?;
    let faults = std::mem::take(&mut *faults.lock().unwrap_or_else(PoisonError::into_inner));
    Ok((stream, faults))
}

fn verdict(trunk: &TrunkConfig, stream: &SslStream<TcpStream>, faults: &[X509VerifyResult]) -> Vec<Finding> {
    let ssl = stream.ssl();
    let Some(certificate) = ssl.peer_certificate() else {
        return vec![
            Mistake::UnknownAuthority.found("the server shows no certificate", "ask the trunk's operator"),
        ];
    };
    let has = |codes: &[i32]| faults.iter().find(|fault| codes.contains(&fault.as_raw()));
    let mut findings = Vec::new();

    let name = trunk.expected_tls_name();
    findings.push(if has(&[HOSTNAME_MISMATCH, IP_MISMATCH]).is_some() {
        let names = names(&certificate);
        if names.iter().any(|pattern| is_covered(name, pattern)) {
            Mistake::WildcardName.found(
                format!("the certificate is for {name} only by {}", names.join(", ")),
                "SIP knows no wildcards (RFC 5922): set allow_wildcard_certificate = true if the trunk means it so",
            )
        } else if names.is_empty() {
            Mistake::WrongHost.found(
                format!("the certificate has no name at all, so not {name}"),
                "the trunk's operator must make one with its host as subjectAltName",
            )
        } else {
            let names = names.join(", ");
            Mistake::WrongHost.found(
                format!("the certificate is not for {name}, but for {names}"),
                format!("name one of {names} as server or tls_server_name, if it is the trunk's"),
            )
        }
    } else {
        Finding::ok("tls_hostname", format!("the certificate is for {name}"))
    });

    let others = |fault: &&X509VerifyResult| {
        ![NOT_YET_VALID, EXPIRED, HOSTNAME_MISMATCH, IP_MISMATCH].contains(&fault.as_raw())
    };
    findings.push(match faults.iter().find(others) {
        Some(fault) if fault.as_raw() == SELF_SIGNED => Mistake::SelfSigned.found(
            "the certificate is signed by itself",
            "if that is meant so, name the certificate itself as ca_file",
        ),
        Some(fault) if NO_CHAIN.contains(&fault.as_raw()) => unknown(trunk, ssl),
        Some(fault) => Mistake::CertificateUnsuitable.found(
            format!("the certificate, or one that signed it, is not fit for a server: {}", fault.error_string()),
            "the trunk's operator must have a proper one made: for a server, signed by an authority, with keys and hashes of today",
        ),
        None => Finding::ok("tls_chain", format!("{}, {}", ssl.version_str(), issuer(&certificate))),
    });

    findings.push(expiry(&certificate, has(&[EXPIRED]).is_some(), has(&[NOT_YET_VALID]).is_some()));
    findings
}

/// The chain leads to nobody who is trusted, or is not whole.
fn unknown(trunk: &TrunkConfig, ssl: &SslRef) -> Finding {
    let shown: Vec<&X509Ref> = ssl.peer_cert_chain().into_iter().flatten().collect();
    let last = shown.last().map_or_else(|| "nobody".to_owned(), |last| common_name(last.issuer_name()));
    let what =
        format!("nobody whom this machine trusts has signed the certificate: {last:?} is unknown here");
    let trusted = match &trunk.ca_file {
        Some(path) => format!("{} does not hold it: have the right file from the trunk", path.display()),
        None => "name it with ca_file if it is the trunk's own authority; is the package ca-certificates installed?".to_owned(),
    };
    let whole = if shown.len() > 1 {
        ""
    } else {
        "; if it is an intermediate authority only, the server must send its certificate along (a full chain)"
    };
    Mistake::UnknownAuthority.found(what, format!("{trusted}{whole}"))
}

fn expiry(certificate: &X509Ref, expired: bool, not_yet: bool) -> Finding {
    let days = Asn1Time::days_from_now(0)
        .and_then(|now| now.diff(certificate.not_after()))
        .map_or(0, |left| left.days);
    let until = certificate.not_after();
    if expired {
        return Mistake::CertificateExpired.found(
            format!("the certificate, or one that signed it, has expired; the server's own ends {until}"),
            "the trunk's operator must renew it; if the date is to come, this machine's clock is wrong",
        );
    }
    if not_yet {
        return Mistake::NotYetValid.found(
            format!("the certificate begins only {}", certificate.not_before()),
            "this machine's clock is behind (timedatectl), or the certificate was made too early",
        );
    }
    let what = format!("the certificate is good for {days} more days, until {until}");
    if days < SOON {
        Mistake::ExpiresSoon.suspected(what, "ask the trunk's operator when it is renewed")
    } else {
        Finding::ok("tls_expiry", what)
    }
}

/// Whether `*.example.com` would stand for the name, as it does on the web.
fn is_covered(name: &str, pattern: &str) -> bool {
    let rest = pattern.strip_prefix('*').filter(|rest| rest.starts_with('.'));
    let label = rest.and_then(|rest| {
        name.to_ascii_lowercase().strip_suffix(&rest.to_ascii_lowercase()).map(str::to_owned)
    });
    label.is_some_and(|label| !label.is_empty() && !label.contains('.'))
}

fn names(certificate: &X509Ref) -> Vec<String> {
    let alternatives = certificate.subject_alt_names();
    alternatives
        .iter()
        .flatten()
        .filter_map(|name| {
            let address = name.ipaddress().and_then(|bytes| match bytes.len() {
                4 => <[u8; 4]>::try_from(bytes).ok().map(IpAddr::from),
                16 => <[u8; 16]>::try_from(bytes).ok().map(IpAddr::from),
                _ => None,
            });
            name.dnsname().map(str::to_owned).or_else(|| address.map(|ip| ip.to_string()))
        })
        .take(5)
        .collect()
}

fn issuer(certificate: &X509Ref) -> String {
    format!("signed by {}", common_name(certificate.issuer_name()))
}

/// The last, most particular part of a name.
fn common_name(name: &X509NameRef) -> String {
    let last = name.entries().last().and_then(|entry| entry.data().to_string().ok());
    last.unwrap_or_else(|| "somebody without a name".to_owned())
}
