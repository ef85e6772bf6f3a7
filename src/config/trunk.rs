mod check;

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::hints::HINTS;
use super::section::Section;
use super::values::Time;
use super::{
    Codec, DtmfMethod, FromUser, IdentityHeader, NumberFormat, Pem, Profile, Server, Srtp, SrtpSuite,
    Transport, tariff,
};
use crate::provider::{CallerId, Record};
use crate::secrets::SecretRef;
use crate::usage::Tariff;

/// One way to the telephone network: a carrier's trunk or a PBX. The table `[trunks.NAME]`.
///
/// [`new`](Self::new) has the defaults; each field says its own.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct TrunkConfig {
    /// What kind of trunk it is: where the defaults of the other settings are from. Default `generic`, whose defaults
    /// are named here.
    pub profile: Profile,
    /// Where calls are sent. The only setting without a default, but for profiles of carriers whose customers share
    /// one.
    pub server: Server,
    /// Whether to register (RFC 3261 section 10). Carriers that know their customers by address do not want it.
    /// Default false.
    pub register: bool,
    /// Where to register. Default: the server.
    pub registrar: Option<Server>,
    /// The account: the user part of the address that is registered, and of From where nothing else is said.
    pub user: Option<String>,
    /// The user name of digest authentication. Default: `user`.
    pub auth_user: Option<String>,
    /// The password of digest authentication.
    pub password: Option<SecretRef>,
    /// The only realm that gets the password. Default: any, since many trunks challenge with a realm that is not
    /// their domain.
    pub realm: Option<String>,
    /// A proxy through which every request goes, REGISTER and INVITE alike.
    pub outbound_proxy: Option<Server>,
    /// How messages travel. Default TLS.
    pub transport: Transport,

    /// The certificates, in PEM, that may have signed the server's. Default: those of the system.
    pub ca_file: Option<PathBuf>,
    /// Our certificate with its chain, in PEM, for a server that asks for one. Needs `client_key`.
    pub client_cert: Option<Pem>,
    /// The private key that belongs to it, in PEM.
    pub client_key: Option<Pem>,
    /// The name that the server's certificate must have. Default: the host of the proxy or the server.
    pub tls_server_name: Option<String>,
    /// Whether `*.example.com` in the server's certificate stands for one label, as on the web. RFC 5922 section 7.2
    /// forbids it in SIP, and some carriers use it all the same. Default false.
    pub allow_wildcard_certificate: bool,
    /// Accepts every certificate: expired, of another name, signed by anybody. Whoever stands between reads the
    /// calls and the keys of their sound. Default false.
    pub danger_accept_any_certificate: bool,
    /// Whether the sound is encrypted. Default: `required` with TLS, else `off`.
    pub srtp: Srtp,
    /// Permits SRTP without TLS, where the keys (RFC 4568) travel readable to everybody on the way. Default false.
    pub allow_sdes_without_tls: bool,
    /// The crypto suites to offer, best first; the peer chooses one. Default AEAD_AES_256_GCM, AES_CM_128_HMAC_SHA1_80,
    /// AES_CM_128_HMAC_SHA1_32.
    pub srtp_suites: Vec<SrtpSuite>,

    /// Codecs to offer, the best first. Default G.722, PCMA, PCMU: wide-band to a PBX, and what every carrier
    /// takes. Their payload types are static, so the offer stays short and the first packet under the 1,300 bytes
    /// from which SIP leaves UDP (RFC 3261 section 18.1.1); add `opus` where the peer is known to have it.
    pub codecs: Vec<Codec>,
    /// The length of the packets we ask for: 10, 20, 30, 40 or 60 ms. Default 20 ms.
    pub ptime: Duration,
    /// How key presses are sent. Default RFC 4733.
    pub dtmf: DtmfMethod,
    /// Whether the callee's sound is delivered before the answer: ring tones, announcements. Default true.
    pub early_media: bool,
    /// How much of the callee's sound waits at least in the jitter buffer, so that packets which the network delays
    /// unevenly are heard without a gap: 0 to 500 ms, in steps of the codec's frame. It is added to the delay of
    /// every word. Default 20 ms, one packet.
    pub jitter_buffer_min: Duration,
    /// How much may wait there when packets come unevenly: the buffer grows and shrinks by itself. What comes later
    /// still counts as lost. 20 to 1,000 ms, and no less than `jitter_buffer_min`. Default 200 ms.
    pub jitter_buffer_max: Duration,
    /// After how long without RTP the sound counts as stalled; zero turns the watch off. Default 30 s.
    pub media_timeout: Duration,
    /// Whether RTP may come from elsewhere than SDP says: from behind a translation (NAT), or a far end that moves without
    /// an offer (RFC 4961). Turned off, an answer or an offer alone says where the far end is. Default true.
    pub symmetric_rtp: bool,

    /// The caller that the callee is shown, where neither agent nor request says another.
    pub caller_id: Option<CallerId>,
    /// The name shown beside it.
    pub caller_name: Option<String>,
    /// Who is in From: the caller id, or the account. Default the caller.
    pub from: FromUser,
    /// The user part of From, whatever `from` says.
    pub from_user: Option<String>,
    /// The domain of From and of the address that is registered. Default: the registrar's or the server's host.
    pub from_domain: Option<String>,
    /// Which header field carries the caller id beside From. Default none.
    pub identity: IdentityHeader,
    /// Whether the callee is shown no caller (RFC 3323, RFC 3325 section 9.3): From is anonymous, or the account without
    /// its name, and `Privacy: id` asks the network to keep what `identity` tells it. Default false.
    pub hide_caller: bool,
    /// A number of ours for the Diversion header field (RFC 5806), which some carriers ask for.
    pub diversion: Option<CallerId>,
    /// How the dialled number is written. Default `e164`.
    pub number_format: NumberFormat,
    /// How the caller id is written. Default: like `number_format`, but without a prefix.
    pub caller_format: Option<NumberFormat>,
    /// Whether `user=phone` is added to the dialled address (RFC 3261 section 19.1.1). Default false.
    pub user_phone: bool,

    /// The most calls at the same time on this trunk. Default: as many as the endpoint permits.
    pub max_calls: Option<u32>,
    /// The most calls that begin within one second on this trunk. Default: no limit of its own.
    pub calls_per_second: Option<u32>,
    /// How long it may ring. Default 60 s.
    pub ring_timeout: Duration,
    /// How long a call may last from its answer. Default 2 h.
    pub talk_limit: Duration,
    /// Whether a redirect (3xx) is followed, at most five times in a call. It can point to any host, and the call is at the
    /// trunk's expense: a target that is a telephone number must be one in international form that the rules permit, and
    /// no emergency, premium-rate or satellite number. Default false.
    pub allow_redirects: bool,
    /// First digits of the numbers that a callee may have the call moved to (REFER, RFC 3515); `+` alone for every number
    /// that the rules permit. The call goes on with whoever answers there, at the trunk's expense. Emergency,
    /// premium-rate and satellite numbers are never among them. Default none: a callee moves nothing.
    pub callee_transfer_prefixes: Vec<String>,
    /// For how long to register at a time; the registrar may shorten it. 1 min to 24 h. Default 10 min.
    pub register_expires: Duration,
    /// How often an empty packet keeps a translation (NAT) on the way open; zero for never. Default 30 s.
    pub keep_alive: Duration,

    /// The local port for SIP. Default: any free one.
    pub local_port: Option<u16>,
    /// The address that this trunk sees, if it is another than the endpoint's.
    pub public_address: Option<IpAddr>,
    /// A STUN server (RFC 8489) that is asked at the start for the address that this trunk sees; port 3478 if it says none.
    /// For a translation (NAT) whose address is not known beforehand; a `public_address` of the trunk's goes before it.
    /// Default: none.
    pub stun_server: Option<Server>,

    /// What calls over this trunk cost. Default: unknown.
    pub tariff: Option<Tariff>,
    /// What is kept of what is said in calls over it. Default: as `[recording]` says.
    pub record: Option<Record>,
}

impl TrunkConfig {
    /// A trunk with the defaults.
    pub fn new(server: Server) -> Self {
        Self {
            profile: Profile::Generic,
            server,
            register: false,
            registrar: None,
            user: None,
            auth_user: None,
            password: None,
            realm: None,
            outbound_proxy: None,
            transport: Transport::Tls,
            ca_file: None,
            client_cert: None,
            client_key: None,
            tls_server_name: None,
            allow_wildcard_certificate: false,
            danger_accept_any_certificate: false,
            srtp: Srtp::Required,
            allow_sdes_without_tls: false,
            srtp_suites: SrtpSuite::DEFAULT.to_vec(),
            codecs: vec![Codec::G722, Codec::Pcma, Codec::Pcmu],
            ptime: Duration::from_millis(20),
            dtmf: DtmfMethod::Rfc4733,
            early_media: true,
            jitter_buffer_min: Duration::from_millis(20),
            jitter_buffer_max: Duration::from_millis(200),
            media_timeout: Duration::from_secs(30),
            symmetric_rtp: true,
            caller_id: None,
            caller_name: None,
            from: FromUser::Caller,
            from_user: None,
            from_domain: None,
            identity: IdentityHeader::None,
            hide_caller: false,
            diversion: None,
            number_format: NumberFormat::E164,
            caller_format: None,
            user_phone: false,
            max_calls: None,
            calls_per_second: None,
            ring_timeout: Duration::from_secs(60),
            talk_limit: Duration::from_secs(2 * 60 * 60),
            allow_redirects: false,
            callee_transfer_prefixes: Vec::new(),
            register_expires: Duration::from_secs(10 * 60),
            keep_alive: Duration::from_secs(30),
            local_port: None,
            public_address: None,
            stun_server: None,
            tariff: None,
            record: None,
        }
    }

    /// Where it registers, if it does.
    pub fn registrar(&self) -> Option<&Server> {
        self.register.then(|| self.registrar.as_ref().unwrap_or(&self.server))
    }

    /// The user name for digest authentication, if there is one.
    pub fn auth_user(&self) -> Option<&str> {
        self.auth_user.as_deref().or(self.user.as_deref())
    }

    /// The first server on the way: the outbound proxy, or the server itself.
    pub fn first_hop(&self) -> &Server {
        self.outbound_proxy.as_ref().unwrap_or(&self.server)
    }

    /// The name that the certificate of the first server on the way must have.
    pub fn expected_tls_name(&self) -> &str {
        self.tls_server_name.as_deref().unwrap_or(self.first_hop().host())
    }

    /// Reads a table. Paths that are not absolute are taken from `base`.
    pub(super) fn read(mut section: Section<'_, '_>, base: Option<&Path>) -> Option<Self> {
        let s = &mut section;
        let profile: Profile = s.take("profile").unwrap_or_default();
        const SERVER: &str = "the host of the trunk or PBX, such as \"sip.example.com\"";
        let server = match profile.server() {
            Some(shared) => Some(s.take("server").unwrap_or(shared)),
            None => s.require("server", SERVER),
        };
        // Without a server the rest is still read, for its own mistakes.
        let missing = server.is_none();
        let mut trunk = profile.trunk(server.unwrap_or_else(Server::placeholder));
        let usual = trunk.transport;
        s.set("register", &mut trunk.register);
        s.set("registrar", &mut trunk.registrar);
        s.set("user", &mut trunk.user);
        s.set("auth_user", &mut trunk.auth_user);
        s.set("password", &mut trunk.password);
        s.set("realm", &mut trunk.realm);
        s.set("outbound_proxy", &mut trunk.outbound_proxy);
        s.set("transport", &mut trunk.transport);
        if trunk.transport != usual {
            // What the profile says of encryption goes with its own transport.
            let tls = trunk.transport == Transport::Tls;
            trunk.srtp = if tls { Srtp::Required } else { Srtp::Off };
            trunk.allow_wildcard_certificate &= tls;
        }
        s.set("ca_file", &mut trunk.ca_file);
        s.set("client_cert", &mut trunk.client_cert);
        s.set("client_key", &mut trunk.client_key);
        s.set("tls_server_name", &mut trunk.tls_server_name);
        s.set("allow_wildcard_certificate", &mut trunk.allow_wildcard_certificate);
        s.set("danger_accept_any_certificate", &mut trunk.danger_accept_any_certificate);
        s.set("srtp", &mut trunk.srtp);
        s.set("allow_sdes_without_tls", &mut trunk.allow_sdes_without_tls);
        s.set("srtp_suites", &mut trunk.srtp_suites);
        s.set("codecs", &mut trunk.codecs);
        s.set("dtmf", &mut trunk.dtmf);
        s.set("early_media", &mut trunk.early_media);
        s.set("symmetric_rtp", &mut trunk.symmetric_rtp);
        s.set("caller_id", &mut trunk.caller_id);
        s.set("caller_name", &mut trunk.caller_name);
        s.set("from", &mut trunk.from);
        s.set("from_user", &mut trunk.from_user);
        s.set("from_domain", &mut trunk.from_domain);
        s.set("identity", &mut trunk.identity);
        s.set("hide_caller", &mut trunk.hide_caller);
        s.set("diversion", &mut trunk.diversion);
        s.set("number_format", &mut trunk.number_format);
        s.set("caller_format", &mut trunk.caller_format);
        s.set("user_phone", &mut trunk.user_phone);
        s.set("max_calls", &mut trunk.max_calls);
        s.set("calls_per_second", &mut trunk.calls_per_second);
        s.set("allow_redirects", &mut trunk.allow_redirects);
        if let Some(written) = s.take::<Vec<String>>("callee_transfer_prefixes") {
            trunk.callee_transfer_prefixes =
                written.iter().map(|prefix| prefix.strip_prefix('+').unwrap_or(prefix).to_owned()).collect();
        }
        s.set("local_port", &mut trunk.local_port);
        s.set("public_address", &mut trunk.public_address);
        s.set("stun_server", &mut trunk.stun_server);
        s.set("record", &mut trunk.record);
        for (key, field) in [
            ("ptime", &mut trunk.ptime),
            ("jitter_buffer_min", &mut trunk.jitter_buffer_min),
            ("jitter_buffer_max", &mut trunk.jitter_buffer_max),
            ("media_timeout", &mut trunk.media_timeout),
            ("ring_timeout", &mut trunk.ring_timeout),
            ("talk_limit", &mut trunk.talk_limit),
            ("register_expires", &mut trunk.register_expires),
            ("keep_alive", &mut trunk.keep_alive),
        ] {
            if let Some(Time(time)) = s.take(key) {
                *field = time;
            }
        }
        trunk.tariff = section.table("tariff").and_then(tariff::read);
        section.finish(HINTS);
        if let Some(base) = base {
            trunk.resolve_paths(base);
        }
        (!missing).then_some(trunk)
    }

    fn resolve_paths(&mut self, base: &Path) {
        // Joining an absolute path gives that path.
        let absolute = |path: &mut PathBuf| *path = base.join(&*path);
        if let Some(SecretRef::File(path)) = &mut self.password {
            absolute(path);
        }
        if let Some(path) = &mut self.ca_file {
            absolute(path);
        }
        for pem in [&mut self.client_cert, &mut self.client_key].into_iter().flatten() {
            match pem {
                Pem::File(path) | Pem::Secret(SecretRef::File(path)) => absolute(path),
                Pem::Secret(_) => {}
            }
        }
    }

    /// The user part of From, where it is not the caller id.
    pub(super) fn fixed_from_user(&self) -> Option<&String> {
        let account = self.user.as_ref().filter(|_| self.from == FromUser::Account);
        self.from_user.as_ref().or(account)
    }

    /// Whether a caller id would be configured and yet shown nowhere.
    pub(super) fn caller_goes_nowhere(&self, caller: Option<&CallerId>) -> bool {
        let Some(caller) = caller else { return false };
        let fixed = self.fixed_from_user();
        self.identity == IdentityHeader::None && fixed.is_some_and(|user| *user != self.caller_user(caller))
    }
}

pub(super) const NOWHERE: &str = "would be shown nowhere: From has the account or from_user; choose a header field for it with identity = \"pai\", \"ppi\" or \"rpid\"";
