//! SIP transports: UDP, TCP, TLS (RFC 3261 §18).

use std::ffi::c_int;

use pjsip_sys as sys;
use secrecy::{ExposeSecret, SecretString};

use super::error::{PjError, check};
use super::instance::Instance;
use super::record::filled;
use super::strings;

/// Which protocol carries SIP.
#[derive(Debug, Clone)]
pub(crate) enum TransportKind {
    Udp,
    Tcp,
    Tls(TlsSettings),
}

/// How to trust, and to be trusted. TLS 1.2 and 1.3 only.
#[derive(Debug, Clone)]
pub(crate) struct TlsSettings {
    /// PEM file of the certificate authorities; the system's own are used when there is none.
    pub(crate) ca_file: Option<String>,
    /// Our own certificate, for a server that demands one.
    pub(crate) client: Option<ClientCertificate>,
    /// Check chain, host name and expiry. Off only for an operator who says so.
    pub(crate) verify: bool,
    /// The name that the certificate must have; the host that the request goes to when there is none.
    pub(crate) server_name: Option<String>,
    /// Whether a wildcard in the certificate stands for one label of that name.
    pub(crate) allow_wildcard: bool,
}

/// Our certificate and its private key, in PEM.
#[derive(Debug, Clone)]
pub(crate) enum ClientCertificate {
    /// Paths of the certificate chain and of the key, which PJSIP reads for each connection; and the SHA-256 of what they
    /// held, by which a renewal is noticed.
    Files { certificate: String, key: String, contents: [u8; 32] },
    /// The certificate and the key themselves, with the authorities beside them: PJSIP takes either all from files or
    /// all from memory.
    Memory { certificate: SecretString, key: SecretString, authorities: SecretString },
}

impl TransportKind {
    /// Whether a server that asks who we are sees the same with both.
    pub(crate) fn shows_the_same_certificate(&self, other: &Self) -> bool {
        let client = |kind: &Self| match kind {
            Self::Tls(tls) => tls.client.clone(),
            Self::Udp | Self::Tcp => None,
        };
        match (client(self), client(other)) {
            (None, None) => true,
            (
                Some(ClientCertificate::Files { contents, .. }),
                Some(ClientCertificate::Files { contents: other, .. }),
            ) => contents == other,
            (
                Some(ClientCertificate::Memory { certificate, key, .. }),
                Some(ClientCertificate::Memory { certificate: other, key: other_key, .. }),
            ) => {
                certificate.expose_secret() == other.expose_secret()
                    && key.expose_secret() == other_key.expose_secret()
            }
            _ => false,
        }
    }
}

/// A transport of PJSUA's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TransportId(pub(super) sys::pjsua_transport_id);

impl Instance {
    /// Opens a transport on `address`, or on all addresses, at `port`, or at one that the system chooses.
    #[doc(alias = "pjsua_transport_create")]
    pub(crate) fn add_transport(
        &self,
        kind: &TransportKind,
        address: Option<std::net::IpAddr>,
        port: u16,
        public_address: Option<&str>,
    ) -> Result<TransportId, PjError> {
        // SAFETY: a record of numbers and texts, for which zeros are valid; the function fills it.
        let mut config = unsafe { filled(|config| sys::pjsua_transport_config_default(config)) };
        let address_text = address.map(|address| address.to_string()).unwrap_or_default();
        config.port = u32::from(port);
        config.bound_addr = strings::lend(&address_text);
        config.public_addr = strings::lend(public_address.unwrap_or_default());
        // An ACK and the request after it are two small segments: with Nagle's algorithm the second one would wait for
        // the far end's delayed acknowledgement, 40 ms on each call that is challenged.
        let mut no_delay: c_int = 1;
        let mut unheard = UNHEARD_MS;
        if !matches!(kind, TransportKind::Udp) {
            config.sockopt_params = tcp_options([
                (libc::TCP_NODELAY, &mut no_delay),
                // A firewall that has forgotten the connection lets nothing through, and says nothing.
                (libc::TCP_USER_TIMEOUT, &mut unheard),
            ]);
            config.tls_setting.sockopt_params = config.sockopt_params;
        }
        let mut protocol = match kind {
            TransportKind::Udp => sys::PJSIP_TRANSPORT_UDP,
            TransportKind::Tcp => sys::PJSIP_TRANSPORT_TCP,
            TransportKind::Tls(_) => sys::PJSIP_TRANSPORT_TLS,
        };
        if address.is_some_and(|address| address.is_ipv6()) {
            protocol |= sys::PJSIP_TRANSPORT_IPV6;
        }
        if let TransportKind::Tls(tls) = kind {
            let setting = &mut config.tls_setting;
            setting.proto = sys::PJ_SSL_SOCK_PROTO_TLS1_2 | sys::PJ_SSL_SOCK_PROTO_TLS1_3;
            setting.verify_server = sys::pj_bool_t::from(tls.verify);
            // A connection that somebody else opens to us must show a certificate of the same authority.
            setting.verify_client = sys::pj_bool_t::from(tls.verify);
            setting.require_client_cert = sys::pj_bool_t::from(tls.verify);
            setting.server_name = strings::lend(tls.server_name.as_deref().unwrap_or_default());
            setting.allow_wildcard = sys::pj_bool_t::from(tls.allow_wildcard);
            setting.timeout.sec = 10;
            match &tls.ca_file {
                Some(file) => setting.ca_list_file = strings::lend(file),
                None => setting.ca_list_path = strings::lend(SYSTEM_CA_FOLDER),
            }
            match &tls.client {
                None => {}
                Some(ClientCertificate::Files { certificate, key, .. }) => {
                    setting.cert_file = strings::lend(certificate);
                    setting.privkey_file = strings::lend(key);
                }
                Some(ClientCertificate::Memory { certificate, key, authorities }) => {
                    setting.ca_list_file = strings::lend("");
                    setting.ca_list_path = strings::lend("");
                    setting.ca_buf = strings::lend(authorities.expose_secret());
                    setting.cert_buf = strings::lend(certificate.expose_secret());
                    setting.privkey_buf = strings::lend(key.expose_secret());
                }
            }
        }
        let mut id = 0;
        // SAFETY: PJSUA runs on this thread; it copies what it keeps of the record and the texts.
        let status = unsafe { sys::pjsua_transport_create(protocol, &raw const *config, &raw mut id) };
        check("pjsua_transport_create", status)?;
        Ok(TransportId(id))
    }
}

/// How long what we sent may go unacknowledged, a keep-alive for example, before the connection is given up and made
/// again (RFC 5482), in milliseconds. The kernel's own limit is a quarter of an hour.
const UNHEARD_MS: c_int = 20_000;

/// A list of socket options of TCP. PJSIP copies the values, which must live till then.
fn tcp_options<const N: usize>(values: [(c_int, &mut c_int); N]) -> sys::pj_sockopt_params {
    // SAFETY: a record of numbers and pointers, for which zeros are valid.
    let mut options: sys::pj_sockopt_params = unsafe { std::mem::zeroed() };
    options.cnt = N as u32;
    for (option, (name, value)) in options.options.iter_mut().zip(values) {
        option.level = libc::IPPROTO_TCP;
        option.optname = name;
        option.optlen = size_of::<c_int>() as c_int;
        option.optval = std::ptr::from_mut(value).cast();
    }
    options
}

/// Where Debian, Ubuntu and most others keep the certificate authorities, hashed for OpenSSL.
pub(crate) const SYSTEM_CA_FOLDER: &str = "/etc/ssl/certs";
