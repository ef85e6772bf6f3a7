//! How a sandbox is set up.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use crate::digest::DigestAlgorithm;
use crate::media::codec::Codec;
use crate::pki::ServerCertificate;
use crate::speech::Speech;
use crate::{Sandbox, StartError};

/// Whether the sandbox takes encrypted media (SRTP with keys in the SDP, RFC 4568).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SrtpPolicy {
    /// Answers plain RTP only; an offer of RTP/SAVP alone is refused with 488.
    Off,
    /// Takes SRTP when it is offered and plain RTP otherwise.
    #[default]
    Optional,
    /// Refuses offers without SRTP with 488.
    Required,
}

/// With which status an INVITE without credentials is challenged; REGISTER is always challenged with 401.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum InviteChallenge {
    /// 401 with WWW-Authenticate, as a user agent server does.
    #[default]
    Unauthorized,
    /// 407 with Proxy-Authenticate, as a proxy does.
    ProxyAuthenticationRequired,
}

/// Settings of a [`Sandbox`]; made by [`Sandbox::builder`].
///
/// The defaults suit a demo and a test alike: UDP, TCP and TLS on loopback with ports from the system, the
/// account `sandbox` with the password `sandbox`, digest with SHA-256 and MD5, SRTP when it is offered.
#[derive(Clone, Debug)]
#[must_use]
pub struct Builder {
    pub(crate) udp: Option<SocketAddr>,
    pub(crate) tcp: Option<SocketAddr>,
    pub(crate) tls: Option<SocketAddr>,
    pub(crate) directory: Option<PathBuf>,
    pub(crate) realm: String,
    pub(crate) accounts: Vec<(String, String)>,
    pub(crate) authenticate: bool,
    pub(crate) invite_challenge: InviteChallenge,
    pub(crate) algorithms: Vec<DigestAlgorithm>,
    pub(crate) nonce_lifetime: Duration,
    pub(crate) min_expires: u32,
    pub(crate) max_expires: u32,
    pub(crate) require_registration: bool,
    pub(crate) account_in_from: bool,
    pub(crate) same_call_id: bool,
    pub(crate) behind_proxy: bool,
    pub(crate) refuse_registrations: Option<(u16, String)>,
    pub(crate) lose_first: u32,
    pub(crate) srtp: SrtpPolicy,
    pub(crate) codecs: Vec<Codec>,
    pub(crate) certificate: ServerCertificate,
    pub(crate) demand_client_certificate: bool,
    pub(crate) speech: Speech,
    pub(crate) greeting: Option<String>,
    pub(crate) reply: Option<String>,
    pub(crate) t1: Duration,
    pub(crate) max_call: Duration,
}

impl Default for Builder {
    fn default() -> Self {
        let loopback = Some(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)));
        Self {
            udp: loopback,
            tcp: loopback,
            tls: loopback,
            directory: None,
            realm: "sandbox".to_owned(),
            accounts: Vec::new(),
            authenticate: true,
            invite_challenge: InviteChallenge::default(),
            algorithms: vec![DigestAlgorithm::Sha256, DigestAlgorithm::Md5],
            nonce_lifetime: Duration::from_secs(300),
            min_expires: 0,
            max_expires: 3600,
            require_registration: false,
            account_in_from: false,
            same_call_id: false,
            behind_proxy: false,
            refuse_registrations: None,
            lose_first: 0,
            srtp: SrtpPolicy::default(),
            codecs: vec![Codec::Pcmu, Codec::Pcma, Codec::G722, Codec::Opus],
            certificate: ServerCertificate::default(),
            demand_client_certificate: false,
            speech: Speech::default(),
            greeting: None,
            reply: None,
            t1: Duration::from_millis(500),
            max_call: Duration::from_secs(3600),
        }
    }
}

impl Builder {
    /// The address of the UDP socket, port 0 for one from the system; `None` for no UDP.
    pub fn udp(mut self, address: impl Into<Option<SocketAddr>>) -> Self {
        self.udp = address.into();
        self
    }

    /// The address of the TCP listener, port 0 for one from the system; `None` for no TCP.
    pub fn tcp(mut self, address: impl Into<Option<SocketAddr>>) -> Self {
        self.tcp = address.into();
        self
    }

    /// The address of the TLS listener, port 0 for one from the system; `None` for no TLS.
    pub fn tls(mut self, address: impl Into<Option<SocketAddr>>) -> Self {
        self.tls = address.into();
        self
    }

    /// Where certificates and the recording of every call are written; made if it does not exist.
    ///
    /// Without one, certificates lie in a temporary directory that goes with the sandbox, and recordings
    /// are kept in memory only.
    pub fn directory(mut self, directory: impl Into<PathBuf>) -> Self {
        self.directory = Some(directory.into());
        self
    }

    /// The realm of the digest challenges; `sandbox` unless set.
    pub fn realm(mut self, realm: impl Into<String>) -> Self {
        self.realm = realm.into();
        self
    }

    /// An account in place of `sandbox` with the password `sandbox`; each further call adds one.
    pub fn account(mut self, user: impl Into<String>, password: impl Into<String>) -> Self {
        self.accounts.push((user.into(), password.into()));
        self
    }

    /// Asks nobody for a password, as a trunk does that knows its customers by their address.
    pub fn without_authentication(mut self) -> Self {
        self.authenticate = false;
        self
    }

    /// How an INVITE without credentials is challenged.
    pub fn invite_challenge(mut self, challenge: InviteChallenge) -> Self {
        self.invite_challenge = challenge;
        self
    }

    /// The digest algorithms offered, in this order; each is a challenge of its own (RFC 8760).
    pub fn algorithms(mut self, algorithms: impl Into<Vec<DigestAlgorithm>>) -> Self {
        self.algorithms = algorithms.into();
        self
    }

    /// How long a nonce may be used before it is answered with `stale=true`; five minutes unless set.
    pub fn nonce_lifetime(mut self, lifetime: Duration) -> Self {
        self.nonce_lifetime = lifetime;
        self
    }

    /// The shortest registration in seconds; shorter ones are answered with 423 and Min-Expires.
    pub fn min_expires(mut self, seconds: u32) -> Self {
        self.min_expires = seconds;
        self
    }

    /// The longest registration in seconds; longer ones are shortened in the 200. 3600 unless set.
    pub fn max_expires(mut self, seconds: u32) -> Self {
        self.max_expires = seconds;
        self
    }

    /// Refuses an INVITE with 403 unless its user is registered.
    pub fn require_registration(mut self) -> Self {
        self.require_registration = true;
        self
    }

    /// Refuses an INVITE with 403 unless the user of its From is the account, as some trunks do to callers
    /// who put a number there.
    pub fn account_in_from(mut self) -> Self {
        self.account_in_from = true;
        self
    }

    /// Refuses credentials with 403 unless they come under the Call-ID that was challenged.
    pub fn same_call_id_on_retry(mut self) -> Self {
        self.same_call_id = true;
        self
    }

    /// Answers as if a proxy stood before the callee: Contact is an address that nobody can reach, and
    /// Record-Route is the way to it. Callers must send ACK and BYE to the one by way of the other.
    pub fn behind_proxy(mut self) -> Self {
        self.behind_proxy = true;
        self
    }

    /// Answers every REGISTER with this status, credentials or not.
    pub fn refuse_registrations(mut self, status: u16, phrase: impl Into<String>) -> Self {
        self.refuse_registrations = Some((status, phrase.into()));
        self
    }

    /// Loses the first requests that arrive, as a bad network does.
    pub fn lose_first(mut self, requests: u32) -> Self {
        self.lose_first = requests;
        self
    }

    /// Whether media may, must or must not be encrypted.
    pub fn srtp(mut self, policy: SrtpPolicy) -> Self {
        self.srtp = policy;
        self
    }

    /// The codecs that the sandbox accepts; the caller's order decides among them.
    pub fn codecs(mut self, codecs: impl Into<Vec<Codec>>) -> Self {
        self.codecs = codecs.into();
        self
    }

    /// What is wrong with the TLS server certificate.
    pub fn certificate(mut self, certificate: ServerCertificate) -> Self {
        self.certificate = certificate;
        self
    }

    /// Accepts TLS clients only with a certificate of the sandbox's CA, such as
    /// [`Sandbox::client_certificate_path`].
    pub fn demand_client_certificate(mut self) -> Self {
        self.demand_client_certificate = true;
        self
    }

    /// Which voice speaks the sandbox's announcements.
    pub fn speech(mut self, speech: Speech) -> Self {
        self.speech = speech;
        self
    }

    /// The words of the spoken greeting of +1 202 555 0101.
    pub fn greeting(mut self, text: impl Into<String>) -> Self {
        self.greeting = Some(text.into());
        self
    }

    /// What +1 202 555 0101 says when the caller has spoken and been silent for a second, in the place of the tone behind
    /// its greeting.
    pub fn reply(mut self, text: impl Into<String>) -> Self {
        self.reply = Some(text.into());
        self
    }

    /// SIP's timer T1, 500 ms unless set: retransmissions begin there and end after 64 times it.
    pub fn t1(mut self, t1: Duration) -> Self {
        self.t1 = t1.max(Duration::from_millis(1));
        self
    }

    /// The longest call; the sandbox hangs up after that. One hour unless set.
    pub fn max_call(mut self, duration: Duration) -> Self {
        self.max_call = duration;
        self
    }

    /// Opens the sockets and begins to answer.
    ///
    /// # Errors
    ///
    /// When an address cannot be bound, a certificate cannot be made, or the directory cannot be written.
    ///
    /// # Cancel safety
    ///
    /// A dropped future leaves nothing running and no port open.
    pub async fn start(self) -> Result<Sandbox, StartError> {
        Sandbox::start(self).await
    }
}
