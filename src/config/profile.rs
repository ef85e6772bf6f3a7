//! What is known of each kind of trunk. Sources and both sides' configuration are in `docs/trunks/`.

use serde::{Deserialize, Deserializer};

use super::values::{Word, word, words};
use super::{Codec, FromUser, IdentityHeader, Server, Srtp, Transport, TrunkConfig};

/// A kind of trunk, `profile = "asterisk"`: it brings defaults for the keys of the trunk's table, each of which can be
/// set otherwise. `outdial check --explain` shows what comes of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Profile {
    /// A SIP trunk of which nothing is known: the defaults of [`TrunkConfig`].
    #[default]
    Generic,
    /// Asterisk 20 to 22 with `chan_pjsip`, as one of its endpoints.
    Asterisk,
    /// FreeSWITCH 1.10, as a user of its directory.
    Freeswitch,
    /// Kamailio with its default configuration, as one of its subscribers.
    Kamailio,
    /// Sonetel's trunk.
    Sonetel,
    /// Voxbone, today Bandwidth.
    Voxbone,
    /// A Sonus, today Ribbon, session border controller.
    Sonus,
    /// The termination side of Twilio's Elastic SIP Trunking.
    TwilioElastic,
    /// Telnyx.
    Telnyx,
}

words!(
    Profile:
    "generic" = Generic,
    "asterisk" = Asterisk,
    "freeswitch" = Freeswitch,
    "kamailio" = Kamailio,
    "sonetel" = Sonetel,
    "voxbone" = Voxbone,
    "sonus" = Sonus,
    "twilio-elastic" = TwilioElastic,
    "telnyx" = Telnyx,
);

impl Profile {
    /// Every profile, the generic one first.
    pub fn all() -> impl Iterator<Item = Self> {
        Self::WORDS.iter().map(|(_, profile)| *profile)
    }

    /// Its name in the configuration.
    pub fn name(self) -> &'static str {
        self.word()
    }

    /// The server that all customers share, where there is one.
    pub fn server(self) -> Option<Server> {
        let host = match self {
            Self::Sonetel => "sip.sonetel.com",
            Self::Voxbone => "outbound.voxbone.com",
            Self::Telnyx => "sip.telnyx.com",
            _ => return None,
        };
        host.parse().ok()
    }

    /// A trunk of this kind with its defaults.
    pub fn trunk(self, server: Server) -> TrunkConfig {
        let mut trunk = TrunkConfig::new(server);
        trunk.profile = self;
        match self {
            Self::Generic => {}
            // It looks for the endpoint by the user of From, and believes P-Asserted-Identity where
            // trust_id_inbound says so.
            Self::Asterisk | Self::Kamailio => {
                trunk.from = FromUser::Account;
                trunk.identity = IdentityHeader::Pai;
            }
            Self::Freeswitch => {
                trunk.from = FromUser::Account;
                trunk.identity = IdentityHeader::Rpid;
            }
            // The number that is shown is chosen in the account.
            Self::Sonetel => {
                trunk.register = true;
                trunk.from = FromUser::Account;
                plain(&mut trunk);
            }
            Self::Voxbone => plain(&mut trunk),
            Self::Sonus => {
                trunk.identity = IdentityHeader::Pai;
                trunk.codecs = vec![Codec::Pcma, Codec::Pcmu];
            }
            // The certificate is for *.pstn.twilio.com; other codecs are answered 415.
            Self::TwilioElastic => {
                trunk.allow_wildcard_certificate = true;
                trunk.codecs = vec![Codec::Pcmu, Codec::Pcma];
            }
            // With the account in From a call is refused (403 D35): it has the number.
            Self::Telnyx => trunk.codecs = vec![Codec::G722, Codec::Pcmu, Codec::Pcma],
        }
        trunk
    }

    /// What such a trunk cannot be, each with the key that should be changed.
    pub(super) fn check(self, trunk: &TrunkConfig, problem: &mut impl FnMut(&str, &str)) {
        if self != Self::TwilioElastic {
            return;
        }
        let host = trunk.server.host();
        if !(host.ends_with(".twilio.com") && host.contains(".pstn.")) {
            problem(
                "server",
                "must be NAME.pstn.twilio.com: Twilio leaves calls to other hosts without an answer",
            );
        }
        if trunk.register {
            problem("register", "must be false: Twilio's trunks take no registrations");
        }
    }
}

/// G.711 over UDP, where nothing says that the carrier takes more.
fn plain(trunk: &mut TrunkConfig) {
    trunk.transport = Transport::Udp;
    trunk.srtp = Srtp::Off;
    trunk.codecs = vec![Codec::Pcma, Codec::Pcmu];
}
