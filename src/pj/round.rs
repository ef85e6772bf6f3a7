//! A round of the media clock: sockets are read one after the other, then streams are served, then packets are sent.

use std::io;
use std::ptr::NonNull;

use pjsip_sys as sys;

use super::media::PinnedStream;

/// So many streams are served in a round at most.
pub(super) const MOST: usize = sys::PJSYS_RTP_ROUND_MOST as usize;

/// What a media thread keeps for its rounds: packets that have come, and packets that wait to be sent.
#[derive(Debug)]
pub(super) struct Rounds(NonNull<sys::pjsys_rtp_round>);

// SAFETY: memory of its own. Between two rounds nothing tells which thread had the last one.
unsafe impl Send for Rounds {}

impl Rounds {
    pub(super) fn new() -> io::Result<Self> {
        // SAFETY: allocates, and nothing else.
        let round = NonNull::new(unsafe { sys::pjsys_rtp_round_create() });
        round.map(Self).ok_or_else(|| io::ErrorKind::OutOfMemory.into())
    }

    /// Begins a round of the streams that are [read](Round::read), and [`MOST`] at most.
    pub(super) fn begin(&mut self) -> Round<'_> {
        Round { rounds: self }
    }
}

impl Drop for Rounds {
    fn drop(&mut self) {
        // SAFETY: nobody takes part: a round borrows this.
        unsafe { sys::pjsys_rtp_round_destroy(self.0.as_ptr()) };
    }
}

/// A round. Dropping it sends what waits; the streams must live until then.
#[derive(Debug)]
pub(super) struct Round<'a> {
    rounds: &'a mut Rounds,
}

impl<'a> Round<'a> {
    /// Reads what has come for a stream, with `control` RTCP too.
    pub(super) fn read(&mut self, stream: &'a PinnedStream, control: bool) {
        // SAFETY: the stream keeps its transport and the sockets, and is borrowed for as long as the round lasts; the
        // transport ignores what comes when it is stopped or destroyed. This thread is registered with PJLIB.
        unsafe {
            let transport = stream.transport().as_ptr();
            sys::pjsys_rtp_round_read(self.rounds.0.as_ptr(), transport, sys::pj_bool_t::from(control));
        }
    }

    /// Puts what was read for the `place`th stream into its jitter buffer.
    pub(super) fn deliver(&mut self, place: usize) {
        // SAFETY: as for `read`; there is nothing to deliver for a place that nobody has.
        unsafe { sys::pjsys_rtp_round_deliver(self.rounds.0.as_ptr(), place as u32) };
    }
}

impl Drop for Round<'_> {
    fn drop(&mut self) {
        // SAFETY: the streams that take part are still borrowed.
        unsafe { sys::pjsys_rtp_round_end(self.rounds.0.as_ptr()) };
    }
}
