//! The words that the configuration's keys take.

use std::fmt;
use std::marker::PhantomData;
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use serde::de::{self, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

use crate::secrets::SecretRef;

/// How SIP messages travel to a trunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Transport {
    /// UDP, port 5060.
    Udp,
    /// TCP, port 5060.
    Tcp,
    /// TLS 1.2 or newer over TCP, port 5061.
    #[default]
    Tls,
}

impl Transport {
    /// The value of the `transport` parameter of a SIP URI (RFC 3261 section 19.1.1).
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Udp => "udp",
            Self::Tcp => "tcp",
            Self::Tls => "tls",
        }
    }

    /// The port where a server listens if none is named (RFC 3261 section 19.1.2).
    pub const fn default_port(self) -> u16 {
        match self {
            Self::Udp | Self::Tcp => 5060,
            Self::Tls => 5061,
        }
    }
}

/// Whether the sound is encrypted (SRTP, RFC 3711, with keys by SDES, RFC 4568).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Srtp {
    /// Never.
    Off,
    /// Offered, and left out if the peer does not want it.
    Optional,
    /// Always; a call that the peer will not encrypt fails.
    Required,
}

/// A codec to offer. The clock rate of the wire is the codec's own; the application's is chosen per call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Codec {
    /// G.711 μ-law, 8 kHz, 64 kbit/s.
    Pcmu,
    /// G.711 A-law, 8 kHz, 64 kbit/s.
    Pcma,
    /// G.722, 16 kHz, 64 kbit/s.
    G722,
    /// Opus (RFC 6716), 48 kHz.
    Opus,
    /// Linear 16-bit PCM, 16 kHz mono, 256 kbit/s. For loopback tests.
    L16,
}

impl Codec {
    /// The encoding name and the clock rate as SDP has them (RFC 3551, RFC 7587): G.722's is 8000 for historical
    /// reasons.
    pub const fn encoding(self) -> &'static str {
        match self {
            Self::Pcmu => "PCMU/8000",
            Self::Pcma => "PCMA/8000",
            Self::G722 => "G722/8000",
            Self::Opus => "opus/48000/2",
            Self::L16 => "L16/16000",
        }
    }
}

/// How key presses are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum DtmfMethod {
    /// As telephone events among the RTP packets (RFC 4733).
    #[default]
    Rfc4733,
    /// As SIP INFO requests with `application/dtmf-relay`.
    Info,
    /// As tones in the sound (ITU-T Q.23), for lines that carry nothing else. Keys of the callee are looked for there
    /// too, and telephone events are not offered. Needs a codec that keeps tones: G.711, G.722 or L16.
    Inband,
}

/// How a number is written for a trunk.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub enum NumberFormat {
    /// `+12025550100`.
    #[default]
    E164,
    /// `12025550100`.
    Digits,
    /// The digits after a prefix of `0–9 * # +`, at most 16: `0012025550100`. For an international access code, an
    /// outside line of a PBX, or a carrier's technical prefix.
    Prefix(String),
}

impl<'de> Deserialize<'de> for NumberFormat {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Format;
        impl<'de> Visitor<'de> for Format {
            type Value = NumberFormat;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("\"e164\", \"digits\" or { prefix = \"00\" }")
            }

            fn visit_str<E: de::Error>(self, word: &str) -> Result<NumberFormat, E> {
                match word {
                    "e164" => Ok(NumberFormat::E164),
                    "digits" => Ok(NumberFormat::Digits),
                    _ => Err(E::invalid_value(de::Unexpected::Str(word), &self)),
                }
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<NumberFormat, A::Error> {
                let mut prefix = None;
                while let Some(key) = map.next_key::<String>()? {
                    if key != "prefix" {
                        return Err(de::Error::unknown_field(&key, &["prefix"]));
                    }
                    prefix = Some(map.next_value::<String>()?);
                }
                let prefix = prefix.ok_or_else(|| de::Error::missing_field("prefix"))?;
                let dialable = |b: u8| b.is_ascii_digit() || b"*#+".contains(&b);
                if prefix.is_empty() || prefix.len() > 16 || !prefix.bytes().all(dialable) {
                    return Err(de::Error::custom("a prefix is 1 to 16 of the keys 0-9, * and #, or +"));
                }
                Ok(NumberFormat::Prefix(prefix))
            }
        }
        deserializer.deserialize_any(Format)
    }
}

/// Who is in From.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum FromUser {
    /// The caller id, where there is one: what carriers want.
    #[default]
    Caller,
    /// The account, whatever the caller id: what PBXs want, which look for it there. The caller id goes into the header
    /// field that `identity` names.
    Account,
}

/// Which header field carries the caller id beside From.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum IdentityHeader {
    /// None: the caller id is what From says.
    #[default]
    None,
    /// P-Asserted-Identity (RFC 3325 section 9.1).
    Pai,
    /// P-Preferred-Identity (RFC 3325 section 9.2).
    Ppi,
    /// Remote-Party-ID, never standardised, of old PBXs and of FreeSWITCH.
    Rpid,
}

/// A name server: `192.0.2.53`, `[2001:db8::53]:5353`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Nameserver(pub(super) SocketAddr);

impl<'de> Deserialize<'de> for Nameserver {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let usual = |ip: IpAddr| SocketAddr::new(ip, 53);
        let address = text.parse::<SocketAddr>().ok().or_else(|| text.parse().ok().map(usual));
        address.map(Self).ok_or_else(|| {
            de::Error::custom("a name server is an address, such as 192.0.2.53 or 192.0.2.53:5353")
        })
    }
}

/// A certificate or a private key in PEM: a file, or a secret that holds the text itself.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Pem {
    /// A file.
    File(PathBuf),
    /// A secret with the PEM text as its value.
    Secret(SecretRef),
}

impl<'de> Deserialize<'de> for Pem {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Source;
        impl<'de> Visitor<'de> for Source {
            type Value = Pem;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a path, or a reference such as { source = \"store\", id = \"SIP_KEY\" }")
            }

            fn visit_str<E: de::Error>(self, path: &str) -> Result<Pem, E> {
                if path.is_empty() {
                    return Err(E::custom("the path is empty"));
                }
                // A key pasted here must not end up in an error about a missing file of that name.
                if path.contains("-----BEGIN") || path.contains('\n') {
                    return Err(E::custom("this is a path, not the place for the PEM text itself"));
                }
                Ok(Pem::File(path.into()))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Pem, A::Error> {
                SecretRef::deserialize(de::value::MapAccessDeserializer::new(map)).map(Pem::Secret)
            }
        }
        deserializer.deserialize_any(Source)
    }
}

/// A range of UDP ports for RTP, written `"16384-32767"`. Each call takes an even port and the odd one above it
/// (RFC 3550 section 11).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PortRange {
    first: u16,
    last: u16,
}

impl PortRange {
    pub(super) const DEFAULT: Self = Self { first: 16384, last: 32767 };

    /// A range with both ends in it.
    ///
    /// # Errors
    ///
    /// A sentence that says what is wrong: a port below 1,024, or not room for one pair.
    pub fn new(first: u16, last: u16) -> Result<Self, &'static str> {
        let range = Self { first, last };
        if first < 1024 {
            Err("ports below 1024 belong to the system")
        } else if range.pairs() == 0 {
            Err("the range has no room for an even port and the one above it")
        } else {
            Ok(range)
        }
    }

    /// Both ends.
    pub fn ports(self) -> RangeInclusive<u16> {
        self.first..=self.last
    }

    /// How many calls have room in it: pairs of an even port and the next.
    pub fn pairs(self) -> u32 {
        let first = u32::from(self.first).next_multiple_of(2);
        (u32::from(self.last) + 1).saturating_sub(first) / 2
    }
}

impl fmt::Display for PortRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.first, self.last)
    }
}

impl<'de> Deserialize<'de> for PortRange {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let ends =
            text.split_once('-').and_then(|(a, b)| Some((a.trim().parse().ok()?, b.trim().parse().ok()?)));
        let (first, last) =
            ends.ok_or_else(|| de::Error::custom("a range of ports is written \"16384-32767\""))?;
        Self::new(first, last).map_err(de::Error::custom)
    }
}

/// A length of time as people write it: `"90s"`, `"2h"`, `"1m 30s"`.
#[derive(Clone, Copy)]
pub(super) struct Time(pub(super) Duration);

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl Visitor<'_> for Text {
            type Value = Time;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a time with its unit, such as \"90s\" or \"2h\"")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Time, E> {
                humantime::parse_duration(text)
                    .map(Time)
                    .map_err(|e| E::custom(format_args!("{e}: a time is written \"90s\" or \"2h\"")))
            }

            fn visit_i64<E: de::Error>(self, number: i64) -> Result<Time, E> {
                Err(E::custom(format_args!("a time needs its unit: \"{number}s\" for {number} seconds")))
            }
        }
        deserializer.deserialize_any(Text)
    }
}

/// A value that is one of a few words.
pub(super) trait Word: Copy + PartialEq + 'static {
    /// Each value with its word.
    const WORDS: &'static [(&'static str, Self)];

    /// The word for the value.
    fn word(self) -> &'static str {
        Self::WORDS.iter().find(|(_, value)| *value == self).map_or("?", |(word, _)| word)
    }
}

/// Reads a word, in any case, and answers everything else with the list of them.
pub(super) fn word<'de, D: Deserializer<'de>, T: Word>(deserializer: D) -> Result<T, D::Error> {
    struct Words<T>(PhantomData<T>);
    impl<T: Word> Visitor<'_> for Words<T> {
        type Value = T;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            let words: Vec<String> = T::WORDS.iter().map(|(word, _)| format!("\"{word}\"")).collect();
            write!(f, "one of {}", words.join(", "))
        }

        fn visit_str<E: de::Error>(self, text: &str) -> Result<T, E> {
            let found = T::WORDS.iter().find(|(word, _)| word.eq_ignore_ascii_case(text));
            found.map(|(_, value)| *value).ok_or_else(|| E::invalid_value(de::Unexpected::Str(text), &self))
        }
    }
    deserializer.deserialize_any(Words(PhantomData))
}

/// The words of a type, for its `Deserialize` and for showing its values.
macro_rules! words {
    ($type:ident: $($word:literal = $value:ident),+ $(,)?) => {
        impl Word for $type {
            const WORDS: &'static [(&'static str, Self)] = &[$(($word, Self::$value)),+];
        }

        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                word(deserializer)
            }
        }
    };
}

pub(super) use words;

words!(Transport: "udp" = Udp, "tcp" = Tcp, "tls" = Tls);
words!(Srtp: "off" = Off, "optional" = Optional, "required" = Required);
words!(Codec: "pcmu" = Pcmu, "pcma" = Pcma, "g722" = G722, "opus" = Opus, "l16" = L16);
words!(DtmfMethod: "rfc4733" = Rfc4733, "info" = Info, "inband" = Inband);
words!(FromUser: "caller" = Caller, "account" = Account);
words!(IdentityHeader: "none" = None, "pai" = Pai, "ppi" = Ppi, "rpid" = Rpid);
