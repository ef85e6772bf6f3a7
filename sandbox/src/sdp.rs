//! Offer and answer (RFC 3264) for one audio stream; everything else is declined.

use std::fmt::Write as _;
use std::net::{IpAddr, SocketAddr};

use sdp_types::{Media, Session};

use crate::builder::SrtpPolicy;
use crate::media::codec::Codec;
use crate::media::srtp::Crypto;

/// Which way media flows, from the sandbox's point of view.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    SendRecv,
    SendOnly,
    RecvOnly,
    Inactive,
}

impl Direction {
    pub(crate) fn sends(self) -> bool {
        matches!(self, Self::SendRecv | Self::SendOnly)
    }

    fn attribute(self) -> &'static str {
        match self {
            Self::SendRecv => "sendrecv",
            Self::SendOnly => "sendonly",
            Self::RecvOnly => "recvonly",
            Self::Inactive => "inactive",
        }
    }

    fn reversed(self) -> Self {
        match self {
            Self::SendOnly => Self::RecvOnly,
            Self::RecvOnly => Self::SendOnly,
            other => other,
        }
    }
}

/// A codec with the payload type that stands for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Format {
    pub(crate) codec: Codec,
    pub(crate) payload_type: u8,
}

/// What both sides agreed on.
#[derive(Clone, Debug)]
pub(crate) struct Agreed {
    pub(crate) format: Format,
    /// The payload type of telephone-event at the codec's clock rate.
    pub(crate) events: Option<u8>,
    /// Where the other side wants RTP.
    pub(crate) rtp: SocketAddr,
    /// Where the other side wants RTCP.
    pub(crate) rtcp: SocketAddr,
    /// Ours and theirs.
    pub(crate) crypto: Option<(Crypto, Crypto)>,
    /// From the sandbox's point of view.
    pub(crate) direction: Direction,
}

/// Why there is no agreement: the offer cannot be read, or nothing in it is acceptable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Disagreement {
    Malformed,
    NotAcceptable(&'static str),
}

/// What the sandbox would accept.
#[derive(Clone, Debug)]
pub(crate) struct Preferences {
    pub(crate) codecs: Vec<Codec>,
    pub(crate) srtp: SrtpPolicy,
}

/// An offer and the answer that follows from it.
#[derive(Clone, Debug)]
pub(crate) struct Negotiation {
    pub(crate) agreed: Agreed,
    /// Which of the offer's media lines is ours, and the others to decline.
    lines: Vec<Line>,
}

#[derive(Clone, Debug)]
enum Line {
    Audio { profile: String, ptime: u32 },
    Declined { kind: String, profile: String, format: String },
}

/// Answers an offer.
pub(crate) fn negotiate(body: &[u8], preferences: &Preferences) -> Result<Negotiation, Disagreement> {
    let session = Session::parse(body).map_err(|_| Disagreement::Malformed)?;
    if session.medias.is_empty() {
        return Err(Disagreement::Malformed);
    }
    let mut audio =
        session.medias.iter().enumerate().filter(|(_, media)| media.media == "audio" && media.port > 0);
    // An offerer that wants SRTP but could do without lists two lines or adds keys to the plain one.
    let wants = |media: &Media| match preferences.srtp {
        SrtpPolicy::Off => !is_secure(media),
        SrtpPolicy::Optional => true,
        SrtpPolicy::Required => first_crypto(media).is_some(),
    };
    let chosen = audio
        .clone()
        .find(|(_, media)| wants(media) && is_secure(media))
        .or_else(|| audio.find(|(_, media)| wants(media)))
        .ok_or(Disagreement::NotAcceptable("no audio with the encryption that is asked for"))?;
    let agreed = agree(&session, chosen.1, preferences)?;
    let line = |(index, media): (usize, &Media)| match index == chosen.0 {
        true => Line::Audio { profile: media.proto.clone(), ptime: ptime(media) },
        false => Line::Declined {
            kind: media.media.clone(),
            profile: media.proto.clone(),
            format: media.fmt.split_ascii_whitespace().next().unwrap_or("0").to_owned(),
        },
    };
    let lines = session.medias.iter().enumerate().map(line).collect();
    Ok(Negotiation { agreed, lines })
}

/// Reads the answer to an offer of ours, made with [`offer`].
pub(crate) fn accept(body: &[u8], ours: Option<&Crypto>) -> Result<Agreed, Disagreement> {
    let session = Session::parse(body).map_err(|_| Disagreement::Malformed)?;
    let audio = session.medias.iter().find(|media| media.media == "audio");
    let audio = audio.filter(|media| media.port > 0).ok_or(Disagreement::NotAcceptable("audio declined"))?;
    let codecs = vec![Codec::Pcmu, Codec::Pcma, Codec::G722, Codec::Opus];
    let srtp = if ours.is_some() { SrtpPolicy::Required } else { SrtpPolicy::Off };
    let mut agreed = agree(&session, audio, &Preferences { codecs, srtp })?;
    if let (Some(ours), Some((generated, _))) = (ours, &mut agreed.crypto) {
        *generated = ours.clone();
    }
    Ok(agreed)
}

fn agree(session: &Session, audio: &Media, preferences: &Preferences) -> Result<Agreed, Disagreement> {
    let crypto = match preferences.srtp {
        SrtpPolicy::Off => None,
        _ => first_crypto(audio),
    };
    if is_secure(audio) && crypto.is_none() {
        return Err(Disagreement::NotAcceptable("no known crypto suite"));
    }
    let formats = formats(audio);
    let format = formats.iter().find(|format| preferences.codecs.contains(&format.codec));
    let format = *format.ok_or(Disagreement::NotAcceptable("no common codec"))?;
    let rate = format.codec.clock_rate();
    let connection =
        audio.connections.first().or(session.connection.as_ref()).ok_or(Disagreement::Malformed)?;
    let ip = connection.connection_address.split('/').next().unwrap_or_default().trim();
    let ip: IpAddr =
        ip.parse().map_err(|_| Disagreement::NotAcceptable("connection address is not an IP address"))?;
    let rtcp_port = audio
        .get_first_attribute_value("rtcp")
        .flatten()
        .and_then(|value| value.split_ascii_whitespace().next())
        .and_then(|port| port.parse().ok())
        .unwrap_or_else(|| audio.port.saturating_add(1));
    // 0.0.0.0 is how hold was said before RFC 3264.
    let theirs = if ip.is_unspecified() { Direction::Inactive } else { direction(session, audio) };
    Ok(Agreed {
        format,
        events: events(audio, rate),
        rtp: SocketAddr::new(ip, audio.port),
        rtcp: SocketAddr::new(ip, rtcp_port),
        crypto: crypto.map(|theirs| (Crypto::generate(theirs.tag, theirs.suite), theirs)),
        direction: theirs.reversed(),
    })
}

fn is_secure(media: &Media) -> bool {
    media.proto.starts_with("RTP/SAVP")
}

fn first_crypto(media: &Media) -> Option<Crypto> {
    media.get_attribute_values("crypto").flatten().find_map(Crypto::parse)
}

fn formats(media: &Media) -> Vec<Format> {
    let listed = media.fmt.split_ascii_whitespace().filter_map(|format| format.parse::<u8>().ok());
    let known = listed.filter_map(|payload_type| {
        let codec = match rtpmap(media, payload_type) {
            Some(rtpmap) => Codec::from_rtpmap(rtpmap)?,
            None => [Codec::Pcmu, Codec::Pcma, Codec::G722]
                .into_iter()
                .find(|codec| codec.static_payload_type() == Some(payload_type))?,
        };
        Some(Format { codec, payload_type })
    });
    known.collect()
}

/// Milliseconds of sound in a packet, unless the other side asks for others.
const PTIME: u32 = 20;

/// The packet time that is asked for. The sandbox asks for the same: it sends packets of 20 ms and reads any.
fn ptime(media: &Media) -> u32 {
    let named = media.get_first_attribute_value("ptime").flatten();
    named.and_then(|value| value.trim().parse().ok()).unwrap_or(PTIME)
}

fn events(media: &Media, rate: u32) -> Option<u8> {
    let name = format!("telephone-event/{rate}");
    let listed = media.fmt.split_ascii_whitespace().filter_map(|format| format.parse::<u8>().ok());
    let mut events = listed.filter(|payload_type| {
        rtpmap(media, *payload_type).is_some_and(|rtpmap| rtpmap.trim().eq_ignore_ascii_case(&name))
    });
    events.next()
}

fn rtpmap(media: &Media, payload_type: u8) -> Option<&str> {
    let wanted = payload_type.to_string();
    media.get_attribute_values("rtpmap").flatten().find_map(|value| {
        let (number, name) = value.split_once(' ')?;
        (number == wanted).then_some(name)
    })
}

fn direction(session: &Session, media: &Media) -> Direction {
    for direction in [Direction::SendRecv, Direction::SendOnly, Direction::RecvOnly, Direction::Inactive] {
        if media.has_attribute(direction.attribute()) {
            return direction;
        }
    }
    let named = [Direction::SendOnly, Direction::RecvOnly, Direction::Inactive];
    named
        .into_iter()
        .find(|direction| session.has_attribute(direction.attribute()))
        .unwrap_or(Direction::SendRecv)
}

/// The sandbox's side of a session description: its address and a version that grows.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Origin {
    pub(crate) address: SocketAddr,
    pub(crate) id: u32,
    pub(crate) version: u32,
}

impl Origin {
    fn head(self) -> String {
        let (ip, id, version) = (self.address.ip(), self.id, self.version);
        let family = if ip.is_ipv4() { "IP4" } else { "IP6" };
        format!(
            "v=0\r\no=sandbox {id} {version} IN {family} {ip}\r\ns=outdial sandbox\r\nc=IN {family} {ip}\r\nt=0 0\r\n"
        )
    }
}

impl Negotiation {
    /// The text of the answer.
    pub(crate) fn answer(&self, origin: Origin) -> String {
        let mut text = origin.head();
        for line in &self.lines {
            match line {
                Line::Audio { profile, ptime } => {
                    let packets = Packets { profile, ptime: *ptime };
                    let crypto = self.agreed.crypto.as_ref().map(|(ours, _)| ours);
                    let formats = [self.agreed.format];
                    let events = self.agreed.events;
                    audio(&mut text, origin, packets, &formats, events, crypto, self.agreed.direction);
                }
                Line::Declined { kind, profile, format } => {
                    let _ = write!(text, "m={kind} 0 {profile} {format}\r\n");
                }
            }
        }
        text
    }
}

/// The text of an offer of ours.
pub(crate) fn offer(
    origin: Origin,
    formats: &[Format],
    events: Option<u8>,
    crypto: Option<&Crypto>,
    direction: Direction,
) -> String {
    let mut text = origin.head();
    let profile = if crypto.is_some() { "RTP/SAVP" } else { "RTP/AVP" };
    audio(&mut text, origin, Packets { profile, ptime: PTIME }, formats, events, crypto, direction);
    text
}

/// What packets are like.
#[derive(Clone, Copy)]
struct Packets<'a> {
    profile: &'a str,
    /// In milliseconds.
    ptime: u32,
}

fn audio(
    text: &mut String,
    origin: Origin,
    packets: Packets<'_>,
    formats: &[Format],
    events: Option<u8>,
    crypto: Option<&Crypto>,
    direction: Direction,
) {
    let numbers: Vec<String> =
        formats.iter().map(|format| format.payload_type).chain(events).map(|n| n.to_string()).collect();
    // Writing to a String cannot fail.
    let _ = write!(text, "m=audio {} {} {}\r\n", origin.address.port(), packets.profile, numbers.join(" "));
    for Format { codec, payload_type } in formats {
        let _ = write!(text, "a=rtpmap:{payload_type} {}\r\n", codec.rtpmap());
    }
    if let (Some(events), Some(format)) = (events, formats.first()) {
        let rate = format.codec.clock_rate();
        let _ = write!(text, "a=rtpmap:{events} telephone-event/{rate}\r\na=fmtp:{events} 0-15\r\n");
    }
    if let Some(crypto) = crypto {
        let _ = write!(text, "a=crypto:{crypto}\r\n");
    }
    let _ = write!(text, "a=ptime:{}\r\na={}\r\n", packets.ptime, direction.attribute());
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "inline:WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz";

    fn body(media: &str) -> String {
        format!("v=0\r\no=- 1 1 IN IP4 10.0.0.1\r\ns=-\r\nc=IN IP4 10.0.0.1\r\nt=0 0\r\n{media}")
    }

    fn negotiated(media: &str, srtp: SrtpPolicy) -> Result<Negotiation, Disagreement> {
        let codecs = vec![Codec::Pcmu, Codec::Pcma, Codec::G722];
        negotiate(body(media).as_bytes(), &Preferences { codecs, srtp })
    }

    fn origin() -> Origin {
        Origin { address: "127.0.0.1:4000".parse().unwrap(), id: 1, version: 1 }
    }

    #[test]
    fn the_callers_order_and_numbers_are_kept() {
        let media = "m=audio 5000 RTP/AVP 96 8 0 101\r\na=rtpmap:96 opus/48000/2\r\na=rtpmap:8 PCMA/8000\r\n\
            a=rtpmap:101 telephone-event/8000\r\na=sendonly\r\n";
        let negotiation = negotiated(media, SrtpPolicy::Optional).unwrap();
        let agreed = &negotiation.agreed;
        assert_eq!(agreed.format, Format { codec: Codec::Pcma, payload_type: 8 });
        assert_eq!((agreed.events, agreed.direction), (Some(101), Direction::RecvOnly));
        assert_eq!(agreed.rtp, "10.0.0.1:5000".parse().unwrap());
        assert_eq!(agreed.rtcp.port(), 5001);
        let answer = negotiation.answer(origin());
        assert!(answer.contains("m=audio 4000 RTP/AVP 8 101\r\n"), "{answer}");
        assert!(answer.contains("a=recvonly\r\n"), "{answer}");
        let caller_view = accept(answer.as_bytes(), None).unwrap();
        assert_eq!(caller_view.format, agreed.format);
    }

    #[test]
    fn other_media_are_declined_in_their_place() {
        let media = "m=video 6000 RTP/AVP 97\r\na=rtpmap:97 H264/90000\r\nm=audio 5000 RTP/AVP 0\r\nm=text 7000 RTP/AVP 98 99\r\n";
        let answer = negotiated(media, SrtpPolicy::Off).unwrap().answer(origin());
        let lines: Vec<_> = answer.lines().filter(|line| line.starts_with("m=")).collect();
        assert_eq!(lines, ["m=video 0 RTP/AVP 97", "m=audio 4000 RTP/AVP 0", "m=text 0 RTP/AVP 98"]);
    }

    #[test]
    fn encryption_follows_the_policy() {
        let plain = "m=audio 5000 RTP/AVP 0\r\n".to_owned();
        let secure = format!("m=audio 5002 RTP/SAVP 0\r\na=crypto:3 AES_CM_128_HMAC_SHA1_80 {KEY}\r\n");
        let best_effort = format!("m=audio 5004 RTP/AVP 0\r\na=crypto:1 AES_CM_128_HMAC_SHA1_32 {KEY}\r\n");
        let both = format!("{plain}{secure}");
        let unknown = format!("m=audio 5006 RTP/SAVP 0\r\na=crypto:1 NONE {KEY}\r\n");
        use SrtpPolicy::{Off, Optional, Required};
        for (media, policy, expected) in [
            (&plain, Off, Some((5000, None))),
            (&plain, Optional, Some((5000, None))),
            (&plain, Required, None),
            (&secure, Off, None),
            (&secure, Optional, Some((5002, Some(3)))),
            (&secure, Required, Some((5002, Some(3)))),
            (&both, Off, Some((5000, None))),
            (&both, Optional, Some((5002, Some(3)))),
            (&best_effort, Off, Some((5004, None))),
            (&best_effort, Required, Some((5004, Some(1)))),
            (&unknown, Optional, None),
        ] {
            let got = negotiated(media, policy)
                .ok()
                .map(|n| (n.agreed.rtp.port(), n.agreed.crypto.map(|(ours, _)| ours.tag)));
            assert_eq!(got, expected, "{policy:?} {media}");
        }
    }

    #[test]
    fn what_cannot_be_agreed_on() {
        assert_eq!(
            negotiate(b"hello", &Preferences { codecs: vec![], srtp: SrtpPolicy::Off }).unwrap_err(),
            Disagreement::Malformed
        );
        assert_eq!(negotiated("", SrtpPolicy::Off).unwrap_err(), Disagreement::Malformed);
        let g729 = negotiated("m=audio 5000 RTP/AVP 18\r\n", SrtpPolicy::Off).unwrap_err();
        assert_eq!(g729, Disagreement::NotAcceptable("no common codec"));
        assert!(negotiated("m=audio 0 RTP/AVP 0\r\n", SrtpPolicy::Off).is_err());
        assert_eq!(
            accept(body("m=audio 0 RTP/AVP 0\r\n").as_bytes(), None).unwrap_err(),
            Disagreement::NotAcceptable("audio declined")
        );
    }

    #[test]
    fn old_style_hold() {
        let media = "m=audio 5000 RTP/AVP 0\r\nc=IN IP4 0.0.0.0\r\n";
        assert_eq!(negotiated(media, SrtpPolicy::Off).unwrap().agreed.direction, Direction::Inactive);
    }
}
