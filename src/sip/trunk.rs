//! A trunk at run time: from its configuration to PJSIP's transport and account, and its registration.

use std::error::Error as _;
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest as _, Sha256};
use tokio::sync::watch;

use super::StartError;
use super::locate::Query;
use super::registration::{Insistence, Registration};
use super::{redirect, referral, stun};
use crate::call::SipStatus;
use crate::config::{Codec, Config, DtmfMethod, Pem, Server, Srtp, Transport, TrunkConfig};
use crate::pj::{
    AccountId, AccountSettings, CallSettings, ClientCertificate, Consent, Instance, JitterBuffer, PjError,
    SYSTEM_CA_FOLDER, SrtpPolicy, TlsSettings, TransportId, TransportKind,
};
use crate::provider::{DialError, E164, Witness};
use crate::secrets::{SecretRef, Secrets};

/// A registration that failed is tried again after so long.
const RETRY: Duration = Duration::from_secs(30);

/// A trunk whose secrets have been read, before PJSIP knows it.
pub(super) struct TrunkSetup {
    name: String,
    config: TrunkConfig,
    password: Option<SecretString>,
    kind: TransportKind,
    bind: IpAddr,
    public_address: Option<IpAddr>,
    rtp_ports: (u16, u16),
}

/// A transport that further trunks may share.
pub(super) struct Opened {
    transport: Transport,
    bind: IpAddr,
    /// What Contact and Via say instead.
    public_address: Option<IpAddr>,
    id: TransportId,
}

impl TrunkSetup {
    /// The trunk's name.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Reads the secrets of all trunks.
    pub(super) fn all(config: &Config) -> Result<Vec<Self>, StartError> {
        let secrets = config.secrets.open();
        config.trunks.iter().map(|(name, trunk)| Self::new(config, &secrets, name, trunk)).collect()
    }

    fn new(config: &Config, secrets: &Secrets, name: &str, trunk: &TrunkConfig) -> Result<Self, StartError> {
        let password = trunk.password.as_ref();
        let password = password.map(|reference| secret(secrets, name, reference)).transpose()?;
        let kind = match trunk.transport {
            Transport::Udp => TransportKind::Udp,
            Transport::Tcp => TransportKind::Tcp,
            Transport::Tls => TransportKind::Tls(tls_settings(secrets, name, trunk)?),
        };
        Ok(Self {
            name: name.to_owned(),
            password,
            kind,
            bind: config.endpoint.bind,
            public_address: trunk.public_address.or(config.endpoint.public_address),
            rtp_ports: config.endpoint.rtp_ports.ports().into_inner(),
            config: trunk.clone(),
        })
    }

    /// Asks the trunk's STUN server, if it has one, for our public address. A server that does not answer is no reason not
    /// to start: a far end that answers where packets come from needs no address.
    pub(super) async fn find_public_address(&mut self) {
        let (None, Some(server)) = (self.config.public_address, &self.config.stun_server) else { return };
        match stun::public_address(server, self.bind).await {
            Ok(address) => {
                tracing::info!(target: "outdial::sip", trunk = self.name, %address, "the public address by STUN");
                self.public_address = Some(address);
            }
            Err(error) => {
                tracing::warn!(target: "outdial::sip", trunk = self.name, %error, "no public address by STUN");
            }
        }
    }

    /// Opens, or shares, the trunk's transport and adds its account.
    pub(super) fn open(self, instance: &Instance, opened: &mut Vec<Opened>) -> Result<Trunk, StartError> {
        let failed =
            |error: PjError| StartError::Trunk { trunk: self.name.clone(), detail: error.to_string() };
        let transport = self.transport(instance, opened).map_err(failed)?;
        let registration = self.config.registrar_uri();
        let settings = AccountSettings {
            identity: self
                .config
                .address_of_record()
                .unwrap_or_else(|| self.config.from_value(None, None, false)),
            credentials: self.credentials(),
            realm: self.config.realm.clone(),
            proxy: self.config.proxy_uri().map(|uri| format!("<{uri}>")),
            transport,
            expires: seconds(self.config.register_expires),
            retry: seconds(RETRY),
            srtp: match self.config.srtp {
                Srtp::Off => SrtpPolicy::Off,
                Srtp::Optional => SrtpPolicy::Optional,
                Srtp::Required => SrtpPolicy::Required,
            },
            srtp_suites: self.config.srtp_suites.iter().map(|suite| suite.name()).collect(),
            media_address: self.bind,
            public_address: self.public_address.map(|address| address.to_string()),
            rtp_ports: Some(self.rtp_ports),
            jitter_buffer: JitterBuffer {
                min: milliseconds(self.config.jitter_buffer_min),
                max: milliseconds(self.config.jitter_buffer_max),
            },
            keep_alive: seconds(self.config.keep_alive),
            registrar: registration,
        };
        let account = instance.add_account(&settings).map_err(failed)?;
        let first =
            if settings.registrar.is_some() { Registration::Pending } else { Registration::NotRequired };
        let (registration, _) = watch::channel(first);
        Ok(Trunk {
            name: self.name,
            config: self.config,
            account,
            registration,
            settings,
            kind: self.kind,
            insistence: Insistence::default(),
            ask_again_at: None,
        })
    }

    fn credentials(&self) -> Option<(String, SecretString)> {
        let password = self.password.clone();
        password.zip(self.config.auth_user()).map(|(password, user)| (user.to_owned(), password))
    }

    /// Plain transports on one address are one; each TLS trunk has its own authorities and certificate.
    fn transport(&self, instance: &Instance, opened: &mut Vec<Opened>) -> Result<TransportId, PjError> {
        let kind = self.config.transport;
        let own = matches!(self.kind, TransportKind::Tls(_)) || self.config.local_port.is_some();
        let place = (kind, self.bind, self.public_address);
        let shared =
            opened.iter().find(|other| !own && (other.transport, other.bind, other.public_address) == place);
        if let Some(shared) = shared {
            return Ok(shared.id);
        }
        let bind = Some(self.bind).filter(|address| !address.is_unspecified());
        let port = self.config.local_port.unwrap_or_default();
        let public_address = self.public_address.map(|address| address.to_string());
        let id = instance.add_transport(&self.kind, bind, port, public_address.as_deref())?;
        if !own {
            let public_address = self.public_address;
            opened.push(Opened { transport: kind, bind: self.bind, public_address, id });
        }
        Ok(id)
    }
}

fn tls_settings(secrets: &Secrets, name: &str, trunk: &TrunkConfig) -> Result<TlsSettings, StartError> {
    let refuse = |detail: String| StartError::Trunk { trunk: name.to_owned(), detail };
    let text = |path: &Path| {
        // PJSIP says of a missing or unreadable file that something went wrong with TLS; this says what.
        std::fs::read_to_string(path).map_err(|error| refuse(format!("{}: {error}", path.display())))
    };
    if let Some(path) = &trunk.ca_file {
        text(path)?;
    }
    let ca_file = trunk.ca_file.as_ref().map(|path| path.display().to_string());
    let client = match (&trunk.client_cert, &trunk.client_key) {
        (Some(Pem::File(certificate)), Some(Pem::File(key))) => {
            let digest = Sha256::new().chain_update(text(certificate)?).chain_update(text(key)?);
            Some(ClientCertificate::Files {
                certificate: certificate.display().to_string(),
                key: key.display().to_string(),
                contents: digest.finalize().into(),
            })
        }
        (Some(certificate), Some(key)) => {
            let pem = |pem: &Pem| match pem {
                Pem::File(path) => text(path).map(SecretString::from),
                Pem::Secret(reference) => secret(secrets, name, reference),
            };
            let bundle = Path::new(SYSTEM_CA_FOLDER).join("ca-certificates.crt");
            Some(ClientCertificate::Memory {
                certificate: pem(certificate)?,
                key: pem(key)?,
                authorities: text(trunk.ca_file.as_ref().unwrap_or(&bundle))?.into(),
            })
        }
        _ => None,
    };
    Ok(TlsSettings {
        ca_file,
        client,
        verify: !trunk.danger_accept_any_certificate,
        server_name: trunk.tls_server_name.clone(),
        allow_wildcard: trunk.allow_wildcard_certificate,
    })
}

fn secret(secrets: &Secrets, trunk: &str, reference: &SecretRef) -> Result<SecretString, StartError> {
    secrets.resolve(reference).map_err(|error| {
        let cause = error.source().map(|cause| format!(": {cause}")).unwrap_or_default();
        StartError::Trunk { trunk: trunk.to_owned(), detail: format!("{error}{cause}") }
    })
}

fn seconds(time: Duration) -> u32 {
    u32::try_from(time.as_secs()).unwrap_or(u32::MAX)
}

fn milliseconds(time: Duration) -> u16 {
    u16::try_from(time.as_millis()).unwrap_or(u16::MAX)
}

/// A trunk that PJSIP knows; it belongs to the control thread.
pub(super) struct Trunk {
    name: String,
    config: TrunkConfig,
    account: AccountId,
    registration: watch::Sender<Registration>,
    /// What PJSIP knows.
    settings: AccountSettings,
    kind: TransportKind,
    insistence: Insistence,
    /// When the registrar is asked again that refused us.
    ask_again_at: Option<Instant>,
}

impl Trunk {
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn account(&self) -> AccountId {
        self.account
    }

    /// What its calls want of PJSIP.
    pub(super) fn call_settings(&self) -> CallSettings {
        let codecs = self.config.codecs.iter().map(|codec| match codec {
            Codec::Pcmu => "PCMU",
            Codec::Pcma => "PCMA",
            Codec::G722 => "G722",
            Codec::Opus => "opus",
            // Of the several rates that PJSIP knows.
            Codec::L16 => "L16/16000/1",
        });
        CallSettings {
            codecs: codecs.collect(),
            ptime: self.config.ptime,
            telephone_events: self.config.dtmf != DtmfMethod::Inband,
            redirects: None,
            consent: None,
        }
    }

    /// The number that a callee's Refer-To names.
    pub(super) fn referred_to(&self, refer_to: &str) -> Option<E164> {
        referral::number(refer_to, &self.config.number_format)
    }

    /// Says which redirects of a call to this number are followed; `None` for none.
    pub(super) fn redirects(&self, dialled: &E164, witness: Option<Arc<dyn Witness>>) -> Option<Consent> {
        redirect::consent(&self.config, dialled, witness)
    }

    /// Says where callees may have their calls moved to; `None` for nowhere.
    pub(super) fn consent(&self, witness: Arc<dyn Witness>) -> Option<Consent> {
        referral::consent(&self.config, witness)
    }

    pub(super) fn requires_srtp(&self) -> bool {
        self.config.srtp == Srtp::Required
    }

    pub(super) fn max_calls(&self) -> Option<u32> {
        self.config.max_calls
    }

    pub(super) fn media_timeout(&self) -> Option<Duration> {
        Some(self.config.media_timeout).filter(|timeout| !timeout.is_zero())
    }

    /// Whether RTP may come from elsewhere than SDP says.
    pub(super) fn symmetric_rtp(&self) -> bool {
        self.config.symmetric_rtp
    }

    pub(super) fn dtmf(&self) -> DtmfMethod {
        self.config.dtmf
    }

    /// Takes secrets that were read again. Calls that are up go on with what they began with; further ones, and the
    /// registration, use the new ones. Returns whether anything changed.
    pub(super) fn renew(&mut self, instance: &Instance, setup: TrunkSetup) -> Result<bool, PjError> {
        let credentials = setup.credentials();
        let same = |old: &Option<(String, SecretString)>| match (old, &credentials) {
            (Some((_, old)), Some((_, new))) => old.expose_secret() == new.expose_secret(),
            (old, new) => old.is_none() && new.is_none(),
        };
        let other_certificate = !setup.kind.shows_the_same_certificate(&self.kind);
        if same(&self.settings.credentials) && !other_certificate {
            return Ok(false);
        }
        let mut settings = AccountSettings { credentials, ..self.settings.clone() };
        if other_certificate {
            // The connections of the calls that are up stay with the old one.
            let bind = Some(setup.bind).filter(|address| !address.is_unspecified());
            let public_address = settings.public_address.as_deref();
            settings.transport = instance.add_transport(&setup.kind, bind, 0, public_address)?;
        }
        instance.modify_account(self.account, &settings)?;
        self.settings = settings;
        self.kind = setup.kind;
        if self.settings.registrar.is_some() {
            (self.insistence, self.ask_again_at) = (Insistence::default(), None);
            self.registration.send_replace(Registration::Pending);
            instance.set_registration(self.account, true)?;
        }
        tracing::info!(target: "outdial::sip", trunk = self.name, "the trunk has new secrets");
        Ok(true)
    }

    /// What to say of a challenge that could not be met; `answered` tells whether it came in spite of an answer.
    pub(super) fn credentials_failed(&self, answered: bool) -> &'static str {
        if self.config.password.is_none() {
            "the trunk asks for a password and none is configured"
        } else if !answered && self.config.realm.is_some() {
            "the trunk asks for the password of another realm than the configured one, or for an unknown kind of digest"
        } else if !answered {
            "the trunk asks for a kind of authentication other than Digest by MD5, SHA-256 or SHA-512-256 with qop=auth"
        } else if self.config.realm.is_some() {
            "the trunk refused the user name or the password, or asked for another realm than the configured one"
        } else {
            "the trunk refused the user name or the password"
        }
    }

    /// How this trunk writes a number.
    pub(super) fn request_uri(&self, number: &E164) -> String {
        self.config.request_uri(number)
    }

    /// What stands for the servers that its calls go to.
    pub(super) fn destination(&self) -> Query {
        self.query(self.config.first_hop())
    }

    /// What stands for the servers that it registers with.
    pub(super) fn registrar(&self) -> Query {
        let proxy = self.config.outbound_proxy.as_ref();
        self.query(proxy.or(self.config.registrar()).unwrap_or(&self.config.server))
    }

    fn query(&self, server: &Server) -> Query {
        Query::new(server.host(), server.port(), self.config.transport, self.settings.media_address.is_ipv6())
    }

    /// Whether a connection to `host` is this trunk's.
    pub(super) fn is_reached_by(&self, host: &str) -> bool {
        let registrar = self.config.registrar().map(|server| server.host());
        let hosts = [Some(self.config.first_hop().host()), Some(self.config.server.host()), registrar];
        hosts.into_iter().flatten().any(|name| name.eq_ignore_ascii_case(host))
    }

    /// What handles need to know.
    pub(super) fn dialling(&self) -> Dialling {
        Dialling { name: self.name.clone(), registration: self.registration.subscribe() }
    }

    pub(super) fn is_registered(&self) -> bool {
        matches!(*self.registration.borrow(), Registration::Registered { .. })
    }

    /// Why no call can be made now, if so.
    pub(super) fn refusal(&self) -> Option<DialError> {
        refusal(&self.name, &self.registration.borrow())
    }

    /// The registrar answered, or did not.
    pub(super) fn registered(
        &mut self,
        now: Instant,
        code: u16,
        phrase: String,
        expires: u32,
        error: Option<String>,
    ) {
        let state = match (code, error) {
            (200..=299, None) if expires > 0 => {
                Registration::Registered { expires: Duration::from_secs(expires.into()) }
            }
            (200..=299, None) => Registration::Unregistered,
            (401 | 407, _) => Registration::Failed {
                status: Some(SipStatus::new(code, phrase)),
                detail: self.credentials_failed(true).to_owned(),
            },
            // PJSIP reports what never was on the wire as 408, 502 and 503 of its own.
            (code, error) => {
                let said = SipStatus::new(code, phrase);
                let detail = error.unwrap_or_else(|| format!("the registrar answered {said}"));
                Registration::Failed { status: (code > 0).then_some(said), detail }
            }
        };
        match &state {
            Registration::Failed { detail, .. } => {
                tracing::warn!(target: "outdial::sip", trunk = self.name, detail, "not registered");
            }
            state => tracing::info!(target: "outdial::sip", trunk = self.name, ?state, "registration"),
        }
        self.ask_again_at = self.insistence.after(&state).map(|pause| now + pause);
        self.registration.send_replace(state);
    }

    /// Whether the registrar is to be asked again now.
    pub(super) fn is_registration_due(&mut self, now: Instant) -> bool {
        self.ask_again_at.take_if(|at| now >= *at).is_some()
    }
}

/// What handles know of a trunk.
pub(super) struct Dialling {
    name: String,
    registration: watch::Receiver<Registration>,
}

impl Dialling {
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn registration(&self) -> watch::Receiver<Registration> {
        self.registration.clone()
    }

    /// Why no call can be made now, if so.
    pub(super) fn refusal(&self) -> Option<DialError> {
        refusal(&self.name, &self.registration.borrow())
    }

    /// Waits for the first answer of the registrar, but not for ever.
    pub(super) async fn registered_or_given_up(&self, longest: Duration) {
        let mut registration = self.registration();
        let known = registration.wait_for(|state| *state != Registration::Pending);
        // Without an answer the call is tried all the same: the trunk may know us by other means.
        let _ = tokio::time::timeout(longest, known).await;
    }
}

/// With credentials that the registrar refused, a call would be refused too, and the account might be locked.
fn refusal(trunk: &str, registration: &Registration) -> Option<DialError> {
    if !registration.credentials_refused() {
        return None;
    }
    let Registration::Failed { status, detail } = registration else { return None };
    let code = status.as_ref().map(|status| status.code);
    Some(DialError::TrunkUnavailable { trunk: trunk.to_owned(), code, detail: detail.clone() })
}
