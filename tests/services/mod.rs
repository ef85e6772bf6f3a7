//! Services on this machine that follow the messages which the vendors publish, and break them where a test wants it.
#![allow(dead_code, unreachable_pub)] // Every test uses another part of it.

pub mod http;
pub mod log;
pub mod realtime;
pub mod tls;
pub mod websocket;

use std::time::Duration;

use outdial::audio::SampleRate;
use outdial::speech::{Access, AdapterError, ApiKey, Limits, Piece, Speech, Synthesizer, Text};
use secrecy::SecretString;

use crate::common::voice::Tones;
use crate::common::within;

/// The key of the tests; a text to search for.
pub const KEY: &str = "sk-marker-0123456789";

/// Time limits that a test can wait for, and that a busy machine keeps.
pub fn limits() -> Limits {
    let seconds = Duration::from_secs;
    Limits::default().connect(seconds(30)).first_byte(seconds(30)).idle(seconds(30))
}

/// A service at this address.
pub fn access(url: &str) -> Access {
    Access::from(ApiKey::from(SecretString::from(KEY))).base_url(url).limits(limits())
}

/// Time limits for a service that is silent.
pub fn impatient() -> Limits {
    let short = Duration::from_millis(300);
    limits().first_byte(short).idle(short)
}

/// What a synthesizer made of a text.
#[derive(Debug, Default)]
pub struct Said {
    pub text: Vec<String>,
    pub samples: Vec<i16>,
    pub hz: u32,
    pub error: Option<AdapterError>,
}

impl Said {
    /// The error's word for machines, or `-`.
    pub fn kind(&self) -> &'static str {
        self.error.as_ref().map_or("-", AdapterError::kind)
    }
}

/// Everything that comes of a speech.
pub async fn said(mut speech: Speech) -> Said {
    let mut said = Said::default();
    while let Some(piece) = within("a piece", speech.next()).await {
        match piece {
            Ok(Piece::Saying(text)) => said.text.push(text),
            Ok(Piece::Sound { samples, hz }) => {
                said.samples.extend(samples);
                said.hz = hz;
            }
            Ok(other) => panic!("{other:?}"),
            Err(error) => said.error = Some(error),
        }
    }
    said
}

/// The sound of a text of the words that the tests know, as bytes of 16-bit little-endian PCM.
pub async fn pcm(text: &str, hz: u32) -> Vec<u8> {
    let tones = Tones { hz, ..Tones::new("tones") };
    bytes(&said(tones.synthesize(Text::from(text), SampleRate::Hz8000)).await.samples)
}

pub fn bytes(samples: &[i16]) -> Vec<u8> {
    samples.iter().flat_map(|sample| sample.to_le_bytes()).collect()
}

/// Waits until something is so.
pub async fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    within(what, async {
        while !is_so() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}
