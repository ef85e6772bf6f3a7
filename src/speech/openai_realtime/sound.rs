//! Sound as the service takes and gives it.

use audio_codec_algorithms::{decode_ulaw, encode_ulaw};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::audio::SampleRate;
use crate::speech::service::samples;

/// The format of both directions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    /// 16-bit little-endian PCM.
    Pcm,
    /// G.711.
    MuLaw,
}

impl Format {
    pub(super) fn rate(self) -> SampleRate {
        match self {
            Self::Pcm => SampleRate::Hz24000,
            Self::MuLaw => SampleRate::Hz8000,
        }
    }

    pub(super) fn json(self) -> Value {
        match self {
            Self::Pcm => json!({ "type": "audio/pcm", "rate": 24_000 }),
            Self::MuLaw => json!({ "type": "audio/pcmu" }),
        }
    }

    pub(super) fn encode(self, samples: &[i16]) -> String {
        let bytes: Vec<u8> = match self {
            Self::Pcm => samples.iter().flat_map(|sample| sample.to_le_bytes()).collect(),
            Self::MuLaw => samples.iter().map(|sample| encode_ulaw(*sample)).collect(),
        };
        STANDARD.encode(bytes)
    }

    /// `None` for what is no base64. `odd` keeps a byte whose other half is still to come.
    pub(super) fn decode(self, text: &str, odd: &mut Option<u8>) -> Option<Vec<i16>> {
        let bytes = STANDARD.decode(text).ok()?;
        Some(match self {
            Self::Pcm => samples(&bytes, odd),
            Self::MuLaw => bytes.into_iter().map(decode_ulaw).collect(),
        })
    }
}
