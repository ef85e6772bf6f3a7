//! What is on the wire.

use clap::ValueEnum;

/// The codec of all calls of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Codec {
    Pcmu,
    Pcma,
    G722,
    Opus,
}

impl Codec {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Pcmu => "pcmu",
            Self::Pcma => "pcma",
            Self::G722 => "g722",
            Self::Opus => "opus",
        }
    }

    /// The start of its `a=rtpmap` value (RFC 3551, RFC 7587).
    pub(super) const fn encoding(self) -> &'static str {
        match self {
            Self::Pcmu => "PCMU/8000",
            Self::Pcma => "PCMA/8000",
            Self::G722 => "G722/8000",
            Self::Opus => "opus/48000/2",
        }
    }

    /// Its static payload type (RFC 3551 table 4).
    pub(super) const fn payload_type(self) -> Option<u8> {
        match self {
            Self::Pcmu => Some(0),
            Self::Pcma => Some(8),
            Self::G722 => Some(9),
            Self::Opus => None,
        }
    }

    /// Bytes of a 20 ms packet: RTP header, payload, and the tag of AEAD_AES_256_GCM. Opus at 16 kHz varies about 80.
    pub(super) const fn packet(self, srtp: bool) -> usize {
        let payload = if matches!(self, Self::Opus) { 80 } else { 160 };
        12 + payload + if srtp { 16 } else { 0 }
    }
}
