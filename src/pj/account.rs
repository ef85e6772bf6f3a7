//! PJSUA accounts: a trunk's identity, registration and media settings.

use std::ffi::c_void;
use std::net::IpAddr;
use std::ptr;

use pjsip_sys as sys;
use secrecy::{ExposeSecret, SecretString};

use super::error::{PjError, check};
use super::instance::Instance;
use super::record::filled;
use super::strings;
use super::transport::TransportId;

/// An account of PJSUA's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct AccountId(pub(super) sys::pjsua_acc_id);

/// Whether media is encrypted (RFC 3711, keys by RFC 4568).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SrtpPolicy {
    /// Plain RTP.
    Off,
    /// Encrypted when the callee's end agrees.
    Optional,
    /// Encrypted, or no call.
    Required,
}

/// How much of what came waits until it is heard, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct JitterBuffer {
    /// At least, however evenly packets come.
    pub(crate) min: u16,
    /// At most, however unevenly.
    pub(crate) max: u16,
}

impl JitterBuffer {
    /// As PJSUA keeps it for us, where it has a place for a pointer that nobody follows.
    fn to_user_data(self) -> *mut c_void {
        ptr::without_provenance_mut(usize::from(self.max) << 16 | usize::from(self.min))
    }

    /// Back from there; `None` for an account that has none.
    pub(super) fn from_user_data(data: *const c_void) -> Option<Self> {
        let (min, max) = ((data.addr() & 0xFFFF) as u16, (data.addr() >> 16) as u16);
        (max > 0).then_some(Self { min, max })
    }
}

/// What an account is made of.
#[derive(Debug, Clone)]
pub(crate) struct AccountSettings {
    /// Our address of record: a name-addr or a URI.
    pub(crate) identity: String,
    /// Where to register; `None` for a trunk that knows us by our address.
    pub(crate) registrar: Option<String>,
    /// Digest user name and password.
    pub(crate) credentials: Option<(String, SecretString)>,
    /// The realm that may have our password; `None` for whichever asks.
    pub(crate) realm: Option<String>,
    /// Route set of every request, for a proxy.
    pub(crate) proxy: Option<String>,
    /// The transport to use.
    pub(crate) transport: TransportId,
    /// Registration time in seconds, as asked for.
    pub(crate) expires: u32,
    /// Seconds until a failed registration is tried again.
    pub(crate) retry: u32,
    /// Encryption of media.
    pub(crate) srtp: SrtpPolicy,
    /// Names of the crypto suites on offer, best first (RFC 4568 §6.2).
    pub(crate) srtp_suites: Vec<&'static str>,
    /// Where RTP is bound; an unspecified address is all of its family.
    pub(crate) media_address: IpAddr,
    /// What SDP says instead of the bound address.
    pub(crate) public_address: Option<String>,
    /// First and last RTP port; the system chooses when there is none.
    pub(crate) rtp_ports: Option<(u16, u16)>,
    /// The least and the most that waits in the jitter buffer, in milliseconds.
    pub(crate) jitter_buffer: JitterBuffer,
    /// Seconds between keep-alive packets (RFC 5626 §3.5.1) on UDP; 0 for none.
    pub(crate) keep_alive: u32,
}

/// Digest algorithms that we answer (RFC 7616, RFC 8760), strongest first.
const ALGORITHMS: [sys::pjsip_auth_algorithm_type; 2] =
    [sys::PJSIP_AUTH_ALGORITHM_SHA256, sys::PJSIP_AUTH_ALGORITHM_MD5];

impl Instance {
    /// Adds an account and, if it has a registrar, begins to register.
    #[doc(alias = "pjsua_acc_add")]
    pub(crate) fn add_account(&self, settings: &AccountSettings) -> Result<AccountId, PjError> {
        with_config(settings, |config| {
            let mut id = 0;
            // SAFETY: PJSUA runs on this thread; it copies the record and its texts into the account's pool.
            let status = unsafe { sys::pjsua_acc_add(config, sys::PJ_FALSE as i32, &raw mut id) };
            check("pjsua_acc_add", status)?;
            Ok(AccountId(id))
        })
    }

    /// Changes an account. Calls that are up keep what they began with; nothing is registered anew by it.
    #[doc(alias = "pjsua_acc_modify")]
    pub(crate) fn modify_account(
        &self,
        account: AccountId,
        settings: &AccountSettings,
    ) -> Result<(), PjError> {
        with_config(settings, |config| {
            // SAFETY: PJSUA runs on this thread and checks the account; it copies the record and its texts.
            check("pjsua_acc_modify", unsafe { sys::pjsua_acc_modify(account.0, config) })
        })
    }

    /// Registers anew, or takes the registration back (RFC 3261 §10.2.2).
    #[doc(alias = "pjsua_acc_set_registration")]
    pub(crate) fn set_registration(&self, account: AccountId, registered: bool) -> Result<(), PjError> {
        // SAFETY: PJSUA runs on this thread and checks the account.
        check("pjsua_acc_set_registration", unsafe {
            sys::pjsua_acc_set_registration(account.0, sys::pj_bool_t::from(registered))
        })
    }
}

/// Writes the settings as PJSUA wants them, for as long as `use_it` runs.
fn with_config<T>(
    settings: &AccountSettings,
    use_it: impl FnOnce(*const sys::pjsua_acc_config) -> Result<T, PjError>,
) -> Result<T, PjError> {
    // SAFETY: a record of numbers, texts and links, for which zeros are valid; the function fills it.
    let mut config = unsafe { filled(|config| sys::pjsua_acc_config_default(config)) };
    config.id = strings::lend(&settings.identity);
    config.transport_id = settings.transport.0;
    if let Some(registrar) = &settings.registrar {
        config.reg_uri = strings::lend(registrar);
        config.reg_timeout = settings.expires;
        config.reg_retry_interval = settings.retry;
        config.reg_first_retry_interval = settings.retry.min(5);
        config.reg_retry_random_interval = settings.retry.div_ceil(5);
        // A registrar that does not answer leaves this long to find it again, or another one, before it forgets us.
        config.reg_delay_before_refresh = (settings.expires / 6).clamp(5, 60);
    }
    if let Some(proxy) = &settings.proxy {
        config.proxy[0] = strings::lend(proxy);
        config.proxy_cnt = 1;
    }
    if let Some((user, password)) = &settings.credentials {
        for (entry, algorithm) in config.cred_info.iter_mut().zip(ALGORITHMS) {
            entry.realm = strings::lend(settings.realm.as_deref().unwrap_or("*"));
            entry.scheme = strings::lend("Digest");
            entry.username = strings::lend(user);
            entry.data_type = sys::PJSIP_CRED_DATA_PLAIN_PASSWD as i32;
            entry.data = strings::lend(password.expose_secret());
            entry.algorithm_type = algorithm;
        }
        config.cred_count = ALGORITHMS.len() as u32;
    }
    // A registrar must not choose our Contact or Via: nobody calls us, and a bad `received` would poison both.
    config.allow_contact_rewrite = 0;
    config.allow_via_rewrite = 0;
    config.allow_sdp_nat_rewrite = 0;
    config.use_rfc5626 = 0;
    config.ka_interval = settings.keep_alive;
    config.user_data = settings.jitter_buffer.to_user_data();
    config.drop_calls_on_reg_fail = 0;
    config.mwi_enabled = 0;
    // A re-INVITE just to narrow the codec list confuses some servers; we can hear every codec that we offer.
    config.lock_codec = 0;
    config.use_srtp = match settings.srtp {
        SrtpPolicy::Off => sys::PJMEDIA_SRTP_DISABLED,
        SrtpPolicy::Optional => sys::PJMEDIA_SRTP_OPTIONAL,
        SrtpPolicy::Required => sys::PJMEDIA_SRTP_MANDATORY,
    };
    // Whether keys may go over an unencrypted signalling path is decided, and refused, by the configuration.
    config.srtp_secure_signaling = 0;
    config.srtp_opt.keying_count = 1;
    config.srtp_opt.keying[0] = sys::PJMEDIA_SRTP_KEYING_SDES;
    config.srtp_opt.crypto_count = settings.srtp_suites.len() as u32;
    for (crypto, suite) in config.srtp_opt.crypto.iter_mut().zip(&settings.srtp_suites) {
        // SAFETY: a record of texts and numbers, for which zeros are valid; without a key PJMEDIA makes one.
        *crypto = unsafe { std::mem::zeroed() };
        crypto.name = strings::lend(suite);
    }
    let media_address = Some(settings.media_address).filter(|address| !address.is_unspecified());
    let media_address = media_address.map(|address| address.to_string()).unwrap_or_default();
    let (first, last) = settings.rtp_ports.unwrap_or_default();
    config.rtp_cfg.port = u32::from(first);
    config.rtp_cfg.port_range = u32::from(last.saturating_sub(first));
    // Each trunk begins anywhere: those that begin at the same pair would meet at each call.
    config.rtp_cfg.randomize_port = 1;
    config.rtp_cfg.bound_addr = strings::lend(&media_address);
    config.rtp_cfg.public_addr = strings::lend(settings.public_address.as_deref().unwrap_or_default());
    // One family, said beforehand: otherwise PJSUA looks at each call which ones this host has.
    config.ipv6_media_use = match settings.media_address {
        IpAddr::V4(_) => sys::PJSUA_IPV6_DISABLED,
        IpAddr::V6(_) => sys::PJSUA_IPV6_ENABLED_USE_IPV6_ONLY,
    };
    // A registration taken back and made at the same time can cross on the way. The binding is replaced instead.
    config.disable_reg_on_modify = sys::PJ_TRUE as sys::pj_bool_t;
    use_it(&raw const *config)
}
