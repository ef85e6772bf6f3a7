//! RTP and RTCP packets into a stream.

use crate::media::{Packets, Stream, loopback, send};

/// It is RTCP.
const CONTROL: u8 = 1;
/// The media clock ticks afterwards.
const TICK: u8 = 2;
/// Longest packet that a transport receives (`PJMEDIA_MAX_MRU`).
const LONGEST: usize = 2_000;

/// The first byte chooses the codec.
pub(crate) fn run(input: &[u8]) {
    let Some((&codec, packets)) = input.split_first() else { return };
    let transport = loopback();
    // SAFETY: the transport has just been made.
    let mut stream = unsafe { Stream::new(codec, transport) };
    for (flags, packet) in Packets(packets).take(64) {
        if packet.len() <= LONGEST {
            // SAFETY: the transport lives as long as the stream.
            unsafe { send(transport, flags & CONTROL != 0, packet) };
        }
        if flags & TICK != 0 {
            stream.tick();
        }
    }
}
