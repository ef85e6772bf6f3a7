//! The codecs: G.711 and G.722 to and from PCM, Opus as bytes only.

use std::fmt;

use audio_codec_algorithms::{decode_alaw, decode_ulaw, encode_alaw, encode_ulaw};
use ezk_g722::libg722::{Bitrate, decoder, encoder};

/// An audio codec that the sandbox negotiates.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Codec {
    /// G.711 µ-law, 8 kHz.
    Pcmu,
    /// G.711 A-law, 8 kHz.
    Pcma,
    /// G.722 at 64 kbit/s, 16 kHz (its RTP clock says 8 kHz, RFC 3551 section 4.5.2).
    G722,
    /// Opus (RFC 7587). The sandbox neither encodes nor decodes it: only the numbers that echo take it.
    Opus,
}

impl Codec {
    /// The encoding name and rate of `a=rtpmap`.
    pub(crate) fn rtpmap(self) -> &'static str {
        match self {
            Self::Pcmu => "PCMU/8000",
            Self::Pcma => "PCMA/8000",
            Self::G722 => "G722/8000",
            Self::Opus => "opus/48000/2",
        }
    }

    pub(crate) fn from_rtpmap(rtpmap: &str) -> Option<Self> {
        let known = [Self::Pcmu, Self::Pcma, Self::G722, Self::Opus];
        let bare = rtpmap.trim().trim_end_matches("/1");
        known.into_iter().find(|codec| codec.rtpmap().eq_ignore_ascii_case(bare))
    }

    /// The static payload type, which needs no `a=rtpmap` (RFC 3551 table 4).
    pub(crate) fn static_payload_type(self) -> Option<u8> {
        match self {
            Self::Pcmu => Some(0),
            Self::Pcma => Some(8),
            Self::G722 => Some(9),
            Self::Opus => None,
        }
    }

    /// RTP timestamp units per second.
    pub(crate) fn clock_rate(self) -> u32 {
        match self {
            Self::Opus => 48_000,
            _ => 8_000,
        }
    }

    /// Samples per second of the PCM on the other side of the codec; `None` where there is none.
    pub(crate) fn sample_rate(self) -> Option<u32> {
        match self {
            Self::Pcmu | Self::Pcma => Some(8_000),
            Self::G722 => Some(16_000),
            Self::Opus => None,
        }
    }
}

impl fmt::Display for Codec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Pcmu => "PCMU",
            Self::Pcma => "PCMA",
            Self::G722 => "G722",
            Self::Opus => "opus",
        })
    }
}

/// Both directions of one codec with their state.
pub(crate) struct Transcoder {
    codec: Codec,
    g722: Option<Box<(encoder::Encoder, decoder::Decoder)>>,
}

impl Transcoder {
    pub(crate) fn new(codec: Codec) -> Self {
        let g722 = (codec == Codec::G722).then(|| {
            let encoder = encoder::Encoder::new(Bitrate::Mode1_64000, false, false);
            Box::new((encoder, decoder::Decoder::new(Bitrate::Mode1_64000, false, false)))
        });
        Self { codec, g722 }
    }

    /// The payload of a frame at [`Codec::sample_rate`]; empty for Opus.
    pub(crate) fn encode(&mut self, frame: &[i16]) -> Vec<u8> {
        match (self.codec, &mut self.g722) {
            (Codec::Pcmu, _) => frame.iter().map(|sample| encode_ulaw(*sample)).collect(),
            (Codec::Pcma, _) => frame.iter().map(|sample| encode_alaw(*sample)).collect(),
            (Codec::G722, Some(state)) => state.0.encode(frame),
            _ => Vec::new(),
        }
    }

    /// The samples of a payload at [`Codec::sample_rate`]; empty for Opus.
    pub(crate) fn decode(&mut self, payload: &[u8]) -> Vec<i16> {
        match (self.codec, &mut self.g722) {
            (Codec::Pcmu, _) => payload.iter().map(|byte| decode_ulaw(*byte)).collect(),
            (Codec::Pcma, _) => payload.iter().map(|byte| decode_alaw(*byte)).collect(),
            (Codec::G722, Some(state)) => state.1.decode(payload),
            _ => Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tone(rate: u32) -> Vec<i16> {
        let step = 440.0 * std::f64::consts::TAU / f64::from(rate);
        (0..rate / 2).map(|n| ((f64::from(n) * step).sin() * 8000.0) as i16).collect()
    }

    /// Largest normalised correlation over small delays.
    fn correlation(a: &[i16], b: &[i16]) -> f64 {
        let dot = |x: &[i16], y: &[i16]| -> f64 {
            x.iter().zip(y).map(|(p, q)| f64::from(*p) * f64::from(*q)).sum()
        };
        let at = |delay: usize| {
            let (x, y) = (&a[..a.len() - delay], &b[delay..]);
            dot(x, y) / (dot(x, x) * dot(y, y)).sqrt()
        };
        (0..64).map(at).fold(f64::MIN, f64::max)
    }

    #[test]
    fn every_codec_with_pcm_returns_the_tone() {
        for codec in [Codec::Pcmu, Codec::Pcma, Codec::G722] {
            let rate = codec.sample_rate().unwrap();
            let mut transcoder = Transcoder::new(codec);
            let sent = tone(rate);
            let mut heard = Vec::new();
            for frame in sent.chunks(rate as usize / 50) {
                let payload = transcoder.encode(frame);
                assert_eq!(payload.len(), 160, "{codec}");
                heard.extend(transcoder.decode(&payload));
            }
            assert_eq!(heard.len(), sent.len());
            assert!(correlation(&sent, &heard) > 0.99, "{codec}");
        }
    }

    #[test]
    fn rtpmaps() {
        assert_eq!(Codec::from_rtpmap("pcmu/8000/1"), Some(Codec::Pcmu));
        assert_eq!(Codec::from_rtpmap("opus/48000/2"), Some(Codec::Opus));
        assert_eq!(Codec::from_rtpmap("PCMU/16000"), None);
    }
}
