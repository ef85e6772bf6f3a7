//! The crypto suites of SRTP.

use serde::{Deserialize, Deserializer};

use super::values::{Word, word, words};

/// How SRTP encrypts, by the name that SDP has for it (RFC 4568 section 6.2, RFC 6188, RFC 7714).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum SrtpSuite {
    /// AES-GCM with keys of 256 bits (RFC 7714).
    AeadAes256Gcm,
    /// AES-GCM with keys of 128 bits (RFC 7714).
    AeadAes128Gcm,
    /// AES in counter mode with keys of 256 bits, and tags of 80 bits (RFC 6188).
    Aes256CmHmacSha1Tag80,
    /// The same with tags of 32 bits.
    Aes256CmHmacSha1Tag32,
    /// AES in counter mode with keys of 128 bits, and tags of 80 bits (RFC 4568): what everybody has.
    AesCm128HmacSha1Tag80,
    /// The same with tags of 32 bits.
    AesCm128HmacSha1Tag32,
}

words!(
    SrtpSuite:
    "AEAD_AES_256_GCM" = AeadAes256Gcm,
    "AEAD_AES_128_GCM" = AeadAes128Gcm,
    "AES_256_CM_HMAC_SHA1_80" = Aes256CmHmacSha1Tag80,
    "AES_256_CM_HMAC_SHA1_32" = Aes256CmHmacSha1Tag32,
    "AES_CM_128_HMAC_SHA1_80" = AesCm128HmacSha1Tag80,
    "AES_CM_128_HMAC_SHA1_32" = AesCm128HmacSha1Tag32,
);

impl SrtpSuite {
    /// What is offered where nothing else is said, best first. A longer list lengthens the INVITE beyond the 1,300 bytes
    /// from which SIP leaves UDP (RFC 3261 section 18.1.1).
    pub const DEFAULT: [Self; 3] =
        [Self::AeadAes256Gcm, Self::AesCm128HmacSha1Tag80, Self::AesCm128HmacSha1Tag32];

    /// Its name in SDP.
    pub fn name(self) -> &'static str {
        self.word()
    }
}
