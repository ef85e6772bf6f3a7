//! SRTP with keys from the SDP (RFC 3711, RFC 4568, RFC 6188, RFC 7714).

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use rand::RngExt as _;
use rtc_srtp::context::Context;
use rtc_srtp::crypto::RTCCryptoProvider as _;
use rtc_srtp::crypto::providers::RingProvider;
use rtc_srtp::option::{srtcp_replay_protection, srtp_replay_protection};
use rtc_srtp::protection_profile::ProtectionProfile;

/// Packets that may arrive out of order and still be told from replays.
const REPLAY_WINDOW: usize = 128;

/// A crypto suite of `a=crypto`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SrtpSuite {
    /// `AES_CM_128_HMAC_SHA1_80`
    AesCm128HmacSha1_80,
    /// `AES_CM_128_HMAC_SHA1_32`
    AesCm128HmacSha1_32,
    /// `AES_256_CM_HMAC_SHA1_80`
    Aes256CmHmacSha1_80,
    /// `AES_256_CM_HMAC_SHA1_32`
    Aes256CmHmacSha1_32,
    /// `AEAD_AES_128_GCM`
    AeadAes128Gcm,
    /// `AEAD_AES_256_GCM`
    AeadAes256Gcm,
}

impl SrtpSuite {
    const ALL: [Self; 6] = [
        Self::AesCm128HmacSha1_80,
        Self::AesCm128HmacSha1_32,
        Self::Aes256CmHmacSha1_80,
        Self::Aes256CmHmacSha1_32,
        Self::AeadAes128Gcm,
        Self::AeadAes256Gcm,
    ];

    fn profile(self) -> ProtectionProfile {
        match self {
            Self::AesCm128HmacSha1_80 => ProtectionProfile::Aes128CmHmacSha1_80,
            Self::AesCm128HmacSha1_32 => ProtectionProfile::Aes128CmHmacSha1_32,
            Self::Aes256CmHmacSha1_80 => ProtectionProfile::Aes256CmHmacSha1_80,
            Self::Aes256CmHmacSha1_32 => ProtectionProfile::Aes256CmHmacSha1_32,
            Self::AeadAes128Gcm => ProtectionProfile::AeadAes128Gcm,
            Self::AeadAes256Gcm => ProtectionProfile::AeadAes256Gcm,
        }
    }

    /// The name in SDP.
    pub fn name(self) -> &'static str {
        match self {
            Self::AesCm128HmacSha1_80 => "AES_CM_128_HMAC_SHA1_80",
            Self::AesCm128HmacSha1_32 => "AES_CM_128_HMAC_SHA1_32",
            Self::Aes256CmHmacSha1_80 => "AES_256_CM_HMAC_SHA1_80",
            Self::Aes256CmHmacSha1_32 => "AES_256_CM_HMAC_SHA1_32",
            Self::AeadAes128Gcm => "AEAD_AES_128_GCM",
            Self::AeadAes256Gcm => "AEAD_AES_256_GCM",
        }
    }

    fn key_and_salt_length(self) -> (usize, usize) {
        let profile = self.profile();
        (profile.key_len(), profile.salt_len())
    }
}

impl fmt::Display for SrtpSuite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// One `a=crypto` line: tag, suite, and master key with salt behind it.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Crypto {
    pub(crate) tag: u32,
    pub(crate) suite: SrtpSuite,
    key: Vec<u8>,
}

impl Crypto {
    /// A fresh key for a suite.
    pub(crate) fn generate(tag: u32, suite: SrtpSuite) -> Self {
        let (key, salt) = suite.key_and_salt_length();
        let mut rng = rand::rng();
        Self { tag, suite, key: (0..key + salt).map(|_| rng.random()).collect() }
    }

    /// Reads the value of an `a=crypto` attribute.
    ///
    /// `None` for suites, key lengths, MKIs and session parameters that the sandbox does not know; the
    /// caller's other lines remain (RFC 4568 section 5.1.2).
    pub(crate) fn parse(value: &str) -> Option<Self> {
        let mut parts = value.split_ascii_whitespace();
        let (tag, suite, key) = (parts.next()?, parts.next()?, parts.next()?);
        if parts.next().is_some() {
            return None;
        }
        let suite = SrtpSuite::ALL.into_iter().find(|known| known.name().eq_ignore_ascii_case(suite))?;
        let inline = key.strip_prefix("inline:")?;
        let mut fields = inline.split('|');
        let encoded = fields.next()?;
        // What follows is the lifetime and, with a colon in it, an MKI, which would change every packet.
        if fields.any(|field| field.contains(':')) {
            return None;
        }
        let key = STANDARD.decode(encoded).or_else(|_| STANDARD_NO_PAD.decode(encoded)).ok()?;
        let (key_length, salt_length) = suite.key_and_salt_length();
        (key.len() == key_length + salt_length).then_some(Self { tag: tag.parse().ok()?, suite, key })
    }

    fn context(&self) -> Option<Context> {
        let (key, salt) = self.key.split_at(self.suite.key_and_salt_length().0);
        let (rtp, rtcp) = (srtp_replay_protection(REPLAY_WINDOW), srtcp_replay_protection(REPLAY_WINDOW));
        let provider = RingProvider::new();
        Context::new(key, salt, self.suite.profile(), Some(rtp), Some(rtcp), provider.crypto()).ok()
    }
}

impl fmt::Display for Crypto {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} inline:{}", self.tag, self.suite, STANDARD.encode(&self.key))
    }
}

impl fmt::Debug for Crypto {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.tag, self.suite)
    }
}

/// Protects what is sent with one key and opens what is received with the other.
pub(crate) struct SrtpSession {
    outbound: Context,
    inbound: Context,
}

impl SrtpSession {
    pub(crate) fn new(ours: &Crypto, theirs: &Crypto) -> Option<Self> {
        Some(Self { outbound: ours.context()?, inbound: theirs.context()? })
    }

    pub(crate) fn protect_rtp(&mut self, packet: &[u8]) -> Option<Vec<u8>> {
        self.outbound.encrypt_rtp(packet).ok().map(|bytes| bytes.to_vec())
    }

    pub(crate) fn open_rtp(&mut self, packet: &[u8]) -> Option<Vec<u8>> {
        self.inbound.decrypt_rtp(packet).ok().map(|bytes| bytes.to_vec())
    }

    pub(crate) fn protect_rtcp(&mut self, packet: &[u8]) -> Option<Vec<u8>> {
        self.outbound.encrypt_rtcp(packet).ok().map(|bytes| bytes.to_vec())
    }

    pub(crate) fn open_rtcp(&mut self, packet: &[u8]) -> Option<Vec<u8>> {
        self.inbound.decrypt_rtcp(packet).ok().map(|bytes| bytes.to_vec())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_suite_opens_what_it_protects_and_nothing_else() {
        let packet = rtp_types::RtpPacketBuilder::<&[u8], &[u8]>::new()
            .payload_type(0)
            .sequence_number(7)
            .timestamp(160)
            .ssrc(1)
            .payload(&[1, 2, 3, 4])
            .write_vec()
            .unwrap();
        for suite in SrtpSuite::ALL {
            let (a, b) = (Crypto::generate(1, suite), Crypto::generate(1, suite));
            let b_parsed = Crypto::parse(&b.to_string()).unwrap();
            let mut alice = SrtpSession::new(&a, &b_parsed).unwrap();
            let mut bob = SrtpSession::new(&b, &a).unwrap();
            let mut wire = alice.protect_rtp(&packet).unwrap();
            assert!(!wire.windows(4).any(|window| window == [1, 2, 3, 4]), "{suite}");
            assert_eq!(bob.open_rtp(&wire).as_deref(), Some(&packet[..]), "{suite}");
            assert_eq!(bob.open_rtp(&wire), None, "{suite}: a replay");
            wire[3] ^= 1;
            assert_eq!(bob.open_rtp(&wire), None, "{suite}: tampered");
        }
    }

    #[test]
    fn lines_that_cannot_be_honoured_are_passed_over() {
        let good = "1 AES_CM_128_HMAC_SHA1_80 inline:WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz|2^20";
        assert!(Crypto::parse(good).is_some());
        for line in [
            "1 AES_CM_128_HMAC_SHA1_80 inline:WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz|2^20|1:4",
            "1 AES_CM_128_HMAC_SHA1_80 inline:AAAA",
            "1 F8_128_HMAC_SHA1_80 inline:WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz",
            "1 AES_CM_128_HMAC_SHA1_80 inline:WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz UNENCRYPTED_SRTP",
            "x AES_CM_128_HMAC_SHA1_80",
            "",
        ] {
            assert!(Crypto::parse(line).is_none(), "{line}");
        }
    }
}
