//! What a server says when it breaks TLS off (RFC 8446 section 6). With TLS 1.3 it speaks of our certificate only after
//! the handshake, when the first answer is read.

use openssl::error::ErrorStack;
use openssl::ssl;
use outdial::config::TrunkConfig;

use crate::check::finding::Finding;
use crate::check::mistake::Mistake;

/// OpenSSL counts the alerts of the peer from here on (sslerr.h).
const FIRST: i32 = 1000;

/// A fatal alert, by its number in RFC 8446 appendix B.2.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::check) struct Alert(u8);

impl Alert {
    const HANDSHAKE_FAILURE: u8 = 40;
    const BAD_CERTIFICATE: u8 = 42;
    const CERTIFICATE_EXPIRED: u8 = 45;
    const CERTIFICATE_UNKNOWN: u8 = 46;
    const UNKNOWN_CA: u8 = 48;
    const ACCESS_DENIED: u8 = 49;
    const DECRYPT_ERROR: u8 = 51;
    const PROTOCOL_VERSION: u8 = 70;
    const INSUFFICIENT_SECURITY: u8 = 71;
    const UNRECOGNIZED_NAME: u8 = 112;
    const CERTIFICATE_REQUIRED: u8 = 116;

    /// The alert behind an error of OpenSSL's, if there is one.
    pub(in crate::check) fn of(error: &anyhow::Error) -> Option<Self> {
        let stack = error.chain().find_map(|cause| {
            let inner = cause.downcast_ref::<std::io::Error>().and_then(|error| error.get_ref());
            let of_inner = inner.and_then(|inner| inner.downcast_ref::<ssl::Error>());
            cause
                .downcast_ref::<ssl::Error>()
                .or(of_inner)
                .and_then(ssl::Error::ssl_error)
                .or_else(|| cause.downcast_ref::<ErrorStack>())
        })?;
        let codes = stack.errors().iter().map(|error| error.reason_code() - FIRST);
        codes.into_iter().find_map(|code| u8::try_from(code).ok().filter(|code| *code > 0)).map(Self)
    }

    /// Whether it is what servers say to a client that has shown no certificate.
    pub(in crate::check) fn wants_certificate(self) -> bool {
        matches!(self.0, Self::CERTIFICATE_REQUIRED | Self::HANDSHAKE_FAILURE | Self::BAD_CERTIFICATE)
    }

    /// What it means to an operator.
    pub(in crate::check) fn finding(self, trunk: &TrunkConfig) -> Finding {
        let ours = trunk.client_cert.is_some();
        match self.0 {
            _ if !ours && self.wants_certificate() => Mistake::ClientCertificateMissing.found(
                format!(
                    "the server breaks TLS off as it does without a client certificate (alert {})",
                    self.0
                ),
                "set client_cert and client_key; the trunk says who must sign it",
            ),
            Self::BAD_CERTIFICATE..=Self::ACCESS_DENIED
            | Self::DECRYPT_ERROR
            | Self::CERTIFICATE_REQUIRED
                if ours =>
            {
                let why = match self.0 {
                    Self::UNKNOWN_CA => "it does not know who signed it",
                    Self::CERTIFICATE_EXPIRED => "it has expired, by the server's clock",
                    Self::ACCESS_DENIED => "it is valid, and not permitted",
                    Self::CERTIFICATE_UNKNOWN => "it does not like something about it",
                    Self::CERTIFICATE_REQUIRED => "it has not taken it for one",
                    _ => "it takes it for damaged or unsuitable",
                };
                Mistake::ClientCertificateRefused.found(
                    format!("the server refuses our client certificate: {why} (alert {})", self.0),
                    super::ASK_WHO_SIGNS,
                )
            }
            Self::UNRECOGNIZED_NAME => Mistake::WrongHost.found(
                format!("the server does not know the name {}", trunk.expected_tls_name()),
                "name the trunk's own host as server or tls_server_name",
            ),
            Self::PROTOCOL_VERSION | Self::INSUFFICIENT_SECURITY | Self::HANDSHAKE_FAILURE => {
                Mistake::TlsFailed.found(
                    format!(
                        "the server and this side have no TLS version or cipher in common (alert {})",
                        self.0
                    ),
                    "the server must know TLS 1.2 or 1.3 with a cipher of today",
                )
            }
            _ => Mistake::TlsFailed
                .found(format!("the server breaks TLS off (alert {})", self.0), "ask the trunk's operator"),
        }
    }
}
