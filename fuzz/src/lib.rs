//! What strangers and operators can say, as functions over bytes.
//!
//! Each [`Target`] hands its input to the code that meets it in a call. It returns nothing: an input is wrong if it ends
//! the process, or if a sanitizer says so. `cargo xtask fuzz` has a fuzzer make up inputs, starting from those in
//! `fuzz/corpus/`; this package's tests run the latter through the targets in every build.

mod config;
mod dns;
mod media;
mod pjlib;
mod rtp;
mod sdp;
mod sip;
mod srtp;
mod stun;

use std::sync::{Mutex, PoisonError};

/// PJLIB's globals are one per process.
static TURN: Mutex<()> = Mutex::new(());

/// A place where the world outside hands us bytes.
pub struct Target {
    /// Also that of its program and of its folder in `fuzz/corpus/`.
    pub name: &'static str,
    run: fn(&[u8]),
}

impl Target {
    /// Runs one input. Threads take turns.
    pub fn run(&self, input: &[u8]) {
        let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        (self.run)(input);
    }
}

/// `outdial.toml`.
pub const CONFIG: Target = Target { name: "config", run: config::run };
/// The answer of a name server.
pub const DNS: Target = Target { name: "dns", run: dns::run };
/// RTP and RTCP packets into a stream.
pub const RTP: Target = Target { name: "rtp", run: rtp::run };
/// A session description, as an offer and as an answer, with its keys.
pub const SDP: Target = Target { name: "sdp", run: sdp::run };
/// A SIP message, through the gate and through PJSIP's parser.
pub const SIP: Target = Target { name: "sip", run: sip::run };
/// SRTP and SRTCP packets into a stream.
pub const SRTP: Target = Target { name: "srtp", run: srtp::run };
/// The answer of a STUN server.
pub const STUN: Target = Target { name: "stun", run: stun::run };

/// All of them.
pub const TARGETS: [&Target; 7] = [&CONFIG, &DNS, &RTP, &SDP, &SIP, &SRTP, &STUN];
