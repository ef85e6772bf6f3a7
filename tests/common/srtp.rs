//! SRTP at a far end that tests steer: keys from `a=crypto` (RFC 4568), the suite that all offers have.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rtc_srtp::context::Context;
use rtc_srtp::crypto::RTCCryptoProvider as _;
use rtc_srtp::crypto::providers::RingProvider;
use rtc_srtp::protection_profile::ProtectionProfile;

/// The suite, as SDP names it.
pub const SUITE: &str = "AES_CM_128_HMAC_SHA1_80";

/// A key of ours, as it stands behind the suite.
pub const OURS: &str = "inline:AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0e";

/// Both directions of a stream.
pub struct Srtp {
    outbound: Context,
    inbound: Context,
}

impl Srtp {
    /// With two keys as they stand in `a=crypto`.
    pub fn new(ours: &str, theirs: &str) -> Self {
        Self { outbound: context(ours), inbound: context(theirs) }
    }

    /// `None` if it cannot be encrypted, for being no RTP.
    pub fn seal(&mut self, packet: &[u8]) -> Option<Vec<u8>> {
        self.outbound.encrypt_rtp(packet).ok().map(|sealed| sealed.to_vec())
    }

    /// `None` if it is not authentic.
    pub fn open(&mut self, packet: &[u8]) -> Option<Vec<u8>> {
        self.inbound.decrypt_rtp(packet).ok().map(|opened| opened.to_vec())
    }
}

fn context(crypto: &str) -> Context {
    let (_, key) = crypto.split_once("inline:").expect("a key in the SDP");
    let key = key.split(['|', ' ', '\r']).next().and_then(|key| STANDARD.decode(key).ok()).expect("a key");
    let (key, salt) = key.split_at(16);
    let provider = RingProvider::new();
    let profile = ProtectionProfile::Aes128CmHmacSha1_80;
    Context::new(key, salt, profile, None, None, provider.crypto()).expect("a key and a salt")
}
