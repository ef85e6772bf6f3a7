//! What of SIP the sandbox speaks, written from the RFCs and shared with no other stack.

pub(crate) mod header;
pub(crate) mod message;
pub(crate) mod request;
pub(crate) mod transaction;

use rand::RngExt as _;

/// Methods that the sandbox answers; the value of its Allow header.
pub(crate) const ALLOW: &str =
    "INVITE, ACK, CANCEL, BYE, OPTIONS, REGISTER, UPDATE, INFO, PRACK, REFER, NOTIFY";

/// Option tags that a Require header may name.
pub(crate) const EXTENSIONS: [&str; 2] = ["100rel", "timer"];

/// A fresh tag, branch or nonce part: 16 hexadecimal digits.
pub(crate) fn token() -> String {
    format!("{:016x}", rand::rng().random::<u64>())
}

/// The branch of a new transaction, with the magic cookie of RFC 3261 section 8.1.1.7.
pub(crate) fn branch() -> String {
    format!("z9hG4bK{}", token())
}
