//! A stream on its way to a recorder.

use std::time::{Duration, Instant};

use super::media::WIRE;
use super::timeline::Timeline;
use crate::audio::DuplexSink;

/// For so long everything may still find its place.
const OPEN: Duration = Duration::from_secs(1);

/// Keeps the time line of a stream, and hands it to the recorder turn by turn.
pub(super) struct Taping {
    recorder: DuplexSink,
    began: Instant,
    timeline: Timeline,
    /// A place of the callee's stream: in samples since ours began, and in milliseconds of Twilio's clock.
    anchor: Option<(u64, u64)>,
    /// Where the callee's next piece is if it bears no time.
    next: u64,
}

impl Taping {
    pub(super) fn begin(mut recorder: DuplexSink, now: Instant) -> Self {
        recorder.set_wire_rate(WIRE);
        recorder.begin(Duration::ZERO);
        Self { recorder, began: now, timeline: Timeline::new(WIRE.frame_len()), anchor: None, next: 0 }
    }

    /// Speech was sent that is played from this moment on.
    pub(super) fn agent(&mut self, at: Instant, samples: &[i16]) {
        self.timeline.agent(self.place(at), samples);
    }

    /// Nothing that was sent is played from this moment on.
    pub(super) fn cleared(&mut self, at: Instant) {
        self.timeline.cleared(self.place(at));
    }

    /// A piece of the callee's sound arrived, with its time on Twilio's clock in milliseconds. The first one says how the two
    /// clocks stand to each other; one that is too far off says it anew.
    pub(super) fn callee(&mut self, arrived: Instant, timestamp: Option<u64>, samples: &[i16]) {
        let place = self.place(arrived);
        let by_clock = |(base, since): (u64, u64), stamp: u64| {
            base.saturating_add(stamp.saturating_sub(since) * u64::from(WIRE.hz() / 1_000))
        };
        let at = match (self.anchor, timestamp) {
            (Some(anchor), Some(stamp)) => by_clock(anchor, stamp),
            (Some(_), None) => self.next,
            (None, _) => {
                self.recorder.listener_begins(WIRE.duration(place));
                place
            }
        };
        // What comes after a stall of the network is late and not wrong; it stands where it belongs, if that is open.
        let ahead = at > place + WIRE.samples_in(OPEN) as u64;
        let at = if ahead { place } else { at };
        if self.anchor.is_none() || ahead {
            self.anchor = timestamp.map(|stamp| (at, stamp)).or(self.anchor);
        }
        self.next = at + samples.len() as u64;
        if self.timeline.callee(at, samples) {
            // From here on it is as late as this: the clocks have drifted apart, or the way has become longer.
            self.anchor = timestamp.map(|stamp| (place, stamp)).or(self.anchor);
        }
    }

    /// Hands over what nothing can change any more.
    pub(super) fn look(&mut self, now: Instant) {
        self.timeline.pause(self.place(now), self.recorder.control().is_paused());
        let till = now.checked_sub(OPEN).map_or(0, |at| self.place(at));
        self.settle(till);
    }

    /// The stream is over: what was sent and not played is not heard any more.
    pub(super) fn finish(mut self, now: Instant) {
        self.cleared(now);
        self.look(now);
        self.settle(self.place(now));
    }

    fn settle(&mut self, till: u64) {
        let Self { recorder, timeline, .. } = self;
        timeline.settle(till, &mut |heard, spoken, paused| recorder.turn(heard, spoken, paused));
    }

    fn place(&self, at: Instant) -> u64 {
        WIRE.samples_in(at.saturating_duration_since(self.began)) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audio::{Batch, Between, DuplexSource, duplex};

    fn taping(start: Instant) -> (Taping, DuplexSource) {
        let (sink, source) = duplex(true, false);
        (Taping::begin(sink, start), source)
    }

    /// Both sides of what was recorded.
    fn recorded(mut source: DuplexSource) -> (Vec<i16>, Vec<i16>) {
        let mut batch = Batch::default();
        assert!(source.take(&mut batch).ended);
        assert!(batch.steps.iter().all(|step| matches!(step.what, Between::Rate(WIRE))));
        batch.samples.chunks_exact(2).map(|pair| (pair[0], pair[1])).unzip()
    }

    /// A conversation of two seconds in pieces of 20 ms, which come at these times.
    fn converse(arrival: impl Fn(u64) -> u64) -> (Vec<i16>, Vec<i16>) {
        let start = Instant::now();
        let at = |ms: u64| start + Duration::from_millis(ms);
        let (mut taping, source) = taping(start);
        let mut pieces: Vec<(u64, u64)> = (0..100).map(|n| (arrival(n), n)).collect();
        pieces.sort_unstable();
        let mut pieces = pieces.into_iter().peekable();
        for ms in (0..=2_000).step_by(10) {
            while let Some((came, n)) = pieces.next_if(|(came, _)| *came <= ms) {
                taping.callee(at(came), Some(7 + n * 20), &[n as i16 + 1; 160]);
            }
            if ms == 500 {
                // Three frames at once, which are played one after the other.
                for n in 0..3 {
                    taping.agent(at(ms + 20 * n), &[-1; 160]);
                }
            }
            if ms == 540 {
                taping.cleared(at(ms));
            }
            taping.look(at(ms));
        }
        taping.finish(at(2_000));
        recorded(source)
    }

    #[test]
    fn both_sides_stand_where_the_callee_s_ear_has_them() {
        let (callee, agent) = converse(|n| 20 * n);
        assert_eq!((callee.len(), agent.len()), (16_000, 16_000));
        for (n, frame) in callee.chunks_exact(160).enumerate() {
            assert!(frame.iter().all(|sample| *sample == n as i16 + 1), "frame {n}");
        }
        let spoken: Vec<usize> = (0..16_000).filter(|n| agent[*n] != 0).collect();
        assert_eq!((spoken[0], spoken.len()), (4_000, 320), "two frames of 20 ms, and the third was cleared");
    }

    #[test]
    fn an_uneven_network_moves_nothing() {
        // A stall of 600 ms, after which everything comes at once.
        let (callee, _) = converse(|n| if (20..50).contains(&n) { 1_000 } else { 20 * n });
        for (n, frame) in callee.chunks_exact(160).enumerate() {
            assert!(frame.iter().all(|sample| *sample == n as i16 + 1), "frame {n}");
        }
    }

    #[test]
    fn what_is_missing_is_silence() {
        let (callee, _) = converse(|n| if n % 10 == 9 { 9_999 } else { 20 * n });
        let silent = callee.chunks_exact(160).filter(|frame| frame.iter().all(|sample| *sample == 0)).count();
        assert_eq!(silent, 10);
    }
}
