//! What the sound of an answered test call says.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use outdial::call::{Answered, CallEnd, MediaStats};

use crate::check::finding::Finding;
use crate::check::mistake::Mistake;
use crate::check::network::is_private;

/// A call that was shorter than this proves no silence.
const LONG_ENOUGH: Duration = Duration::from_secs(2);
/// Percent of our packets that may be lost before the callee hardly hears us.
const HARDLY_HEARD: f32 = 50.0;

/// See the [module](self).
pub(super) struct Sound {
    codec: String,
    /// The SRTP suite.
    srtp: Option<String>,
    /// Where the callee's end wants our sound.
    remote: Option<SocketAddr>,
    /// The address that this side says it has.
    public: Option<IpAddr>,
    /// Where the signalling goes.
    server: Option<SocketAddr>,
    talked: Duration,
    stats: MediaStats,
}

impl Sound {
    pub(super) fn new(
        public: Option<IpAddr>,
        server: Option<SocketAddr>,
        answered: Answered,
        end: &CallEnd,
    ) -> Self {
        let stats = end.media.clone().unwrap_or_default();
        let Answered { codec, srtp, remote, .. } = answered;
        Self { codec, srtp, remote, public, server, talked: end.talk_time, stats }
    }

    /// What was agreed on, and whether it came.
    pub(super) fn findings(&self) -> Vec<Finding> {
        let codec = Finding::ok("codec", format!("{} was agreed on", self.codec));
        let srtp = Finding::ok(
            "srtp",
            match &self.srtp {
                Some(suite) => format!("the sound is encrypted, {suite}"),
                None => "the sound is not encrypted".to_owned(),
            },
        );
        vec![codec, srtp, self.packets()]
    }

    fn packets(&self) -> Finding {
        let stats = &self.stats;
        let came = stats.packets_received > 0;
        if let Some(remote) = self.remote.filter(|remote| self.leads_nowhere(remote.ip(), came)) {
            return Mistake::RtpToPrivate.found(
                format!("the trunk wants the sound sent to {remote}, a private address{}", self.silence(came)),
                "the trunk must tell its public address: Asterisk external_media_address, FreeSWITCH ext-rtp-ip",
            );
        }
        if !came && self.talked < LONG_ENOUGH {
            return Finding::skipped("rtp", "the callee hung up before its sound could be judged");
        }
        if !came {
            return self.no_rtp_back();
        }
        if let Some(lost) = stats.loss_sent_percent.filter(|lost| *lost > HARDLY_HEARD) {
            return Mistake::NotHeard.found(
                format!("the callee's end has lost {lost:.0} % of our packets"),
                "permit UDP out to every address and port that the trunk uses for sound",
            );
        }
        let mos = stats.mos.map(|mos| format!(", MOS {mos:.1}")).unwrap_or_default();
        let (sent, received, lost) =
            (stats.packets_sent, stats.packets_received, stats.loss_received_percent);
        Finding::ok("rtp", format!("{sent} packets sent, {received} received, {lost:.1} % lost{mos}"))
    }

    /// A private address elsewhere than the server's own leads nowhere, unless both are in private networks and sound
    /// comes.
    fn leads_nowhere(&self, media: IpAddr, came: bool) -> bool {
        let Some(server) = self.server.map(|server| server.ip()) else { return false };
        let reachable = media == server || media.is_loopback();
        is_private(media) && !reachable && !(came && is_private(server))
    }

    fn silence(&self, came: bool) -> &'static str {
        if came { "" } else { ", and no sound comes back" }
    }

    fn no_rtp_back(&self) -> Finding {
        let to = self.remote.map(|remote| format!(" to {remote}")).unwrap_or_default();
        let what = format!(
            "answered, {} packets sent{to}, none came back in {:.0} s",
            self.stats.packets_sent,
            self.talked.as_secs_f64()
        );
        let translated = self.public.is_none() && self.server.is_some_and(|server| !is_private(server.ip()));
        let remedy = if translated {
            "permit UDP in to rtp_ports; behind a translator (NAT) set public_address, and switch SIP ALG off"
        } else {
            "permit UDP in to rtp_ports of [endpoint]; see at the trunk where it sends the sound, and whether the callee's end \
             sends any"
        };
        Mistake::NoRtpBack.found(what, remedy)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cause(
        server: &str,
        media: &str,
        received: u64,
        talked: u64,
        lost: Option<f32>,
    ) -> Option<&'static str> {
        let mut stats = MediaStats::default();
        (stats.packets_received, stats.loss_sent_percent) = (received, lost);
        let sound = Sound {
            codec: "PCMA/8000".to_owned(),
            srtp: None,
            remote: Some(SocketAddr::new(media.parse().unwrap(), 4000)),
            public: None,
            server: Some(SocketAddr::new(server.parse().unwrap(), 5060)),
            talked: Duration::from_secs(talked),
            stats,
        };
        sound.packets().cause
    }

    #[test]
    fn a_table_of_silences() {
        let table = [
            ("198.51.100.1", "198.51.100.1", 200, 4, None, None),
            ("198.51.100.1", "203.0.113.9", 200, 4, Some(1.0), None),
            ("198.51.100.1", "198.51.100.1", 0, 4, None, Some("no_rtp_back")),
            // Too short to tell.
            ("198.51.100.1", "198.51.100.1", 0, 1, None, None),
            ("198.51.100.1", "10.0.0.5", 200, 4, None, Some("rtp_to_private_address")),
            ("198.51.100.1", "10.0.0.5", 0, 0, None, Some("rtp_to_private_address")),
            // A PBX whose sound is on another machine of the same house.
            ("10.0.0.4", "10.0.0.5", 200, 4, None, None),
            ("10.0.0.4", "10.0.0.5", 0, 4, None, Some("rtp_to_private_address")),
            ("10.0.0.4", "10.0.0.4", 0, 4, None, Some("no_rtp_back")),
            ("127.0.0.1", "127.0.0.2", 0, 4, None, Some("no_rtp_back")),
            ("198.51.100.1", "198.51.100.1", 200, 4, Some(97.0), Some("not_heard")),
        ];
        for (server, media, received, talked, lost, expected) in table {
            assert_eq!(
                cause(server, media, received, talked, lost),
                expected,
                "{server} {media} {received} {talked}"
            );
        }
    }
}
