//! How much of each thing a message may have, and why.
//!
//! Where PJSIP keeps a thing in an array, the limit is below the size of the array, whatever PJSIP does when it is
//! full. Everything is far above what PBXs and trunks send, and above the valid torture messages of RFC 4475.

/// Header fields of a message. The longest messages of PBXs have about 40; RFC 4475 §3.1.1.7 has 34 Via fields alone.
pub const HEADERS: usize = 100;

/// Bytes of one header field with its continuation lines. The longest that trunks send are Identity fields of 1 to 1.5
/// KB (RFC 8224). PJSIP prints URIs into buffers of 256 bytes and reads messages of 4,000 in all.
pub const HEADER_LENGTH: usize = 2_048;

/// Bytes of the start line. RFC 3261 sets no limit; a request URI beyond this is no telephone number.
pub const START_LINE_LENGTH: usize = 1_024;

/// Via values. A request passes at most 70 hops (RFC 3261 §8.1.1.6).
pub const VIAS: usize = 70;

/// Record-Route and Route values, each. They are copied into every request of the dialog, which soon does not fit a
/// message any more: 16 at 100 bytes are 1,600 bytes.
pub const ROUTES: usize = 16;

/// Service-Route values of a registrar (RFC 3608). PJSUA keeps at most 8, with ours.
pub const SERVICE_ROUTES: usize = 7;

/// Contact values. The answer to a REGISTER lists all bindings of the address (RFC 3261 §10.3), PJSIP looks at 10.
pub const CONTACTS: usize = 32;

/// Challenges in WWW-Authenticate and Proxy-Authenticate together: a realm or two, in each of the three algorithms of
/// RFC 7616.
pub const CHALLENGES: usize = 8;

/// Lines of one session description or body part before we stop to read: a 4,000 byte message has no more.
pub const SDP_LINES: usize = 512;

/// Media descriptions (m=). A call has audio, perhaps video and text, and lines of those that were declined, which stay
/// (RFC 3264 §8.2). PJSIP keeps 16, the old ones and what is added.
pub const MEDIA: usize = 8;

/// Formats of one media description. PJSIP keeps 32; beyond 24 nobody has codecs.
pub const FORMATS: usize = 24;

/// Attributes of the session or of one media description. PJSIP keeps 68. Those with many have ICE candidates.
pub const ATTRIBUTES: usize = 60;

/// Keys (a=crypto) of one media description. RFC 4568, 6188 and 7714 define ten suites; PJSIP kept tags of 64 lines on
/// its stack (CVE-2026-57162).
pub const CRYPTO: usize = 16;

/// Digits of the tag of a key (RFC 4568 §9.1: 1*9DIGIT).
pub const CRYPTO_TAG_DIGITS: usize = 9;

/// Highest RTP payload type (RFC 3550 §5.1: seven bits).
pub const PAYLOAD_TYPE: u32 = 127;

/// Parts of a multipart body: a session description and metadata.
pub const PARTS: usize = 8;

/// Multiparts inside multiparts, which RFC 4475 §3.1.1.11 has none of: one for a signed body (RFC 3261 §23.4) in
/// another.
pub const PART_DEPTH: usize = 2;

/// Elements of XML inside each other. Conference and presence documents have fewer than ten; PJSIP's parser takes a
/// stack frame for each.
pub const XML_DEPTH: usize = 32;
