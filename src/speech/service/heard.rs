//! What a recogniser was sent: to tell its times in those of the call, and to send it again.

use std::collections::VecDeque;
use std::time::Duration;

use crate::audio::{FRAME_MS, Frame};

/// How much sound is sent again at most.
const MOST: Duration = Duration::from_secs(10);
const FRAME: Duration = Duration::from_millis(FRAME_MS as u64);
/// How many gaps are known. Each one older is told as if the sound before it had been whole.
const GAPS: usize = 64;

/// The sound of one connection, and what is not final of it.
#[derive(Debug, Default)]
pub(in crate::speech) struct Heard {
    /// Since the last final words.
    kept: VecDeque<Frame>,
    /// How much was sent over this connection.
    sent: Duration,
    /// From which time of the connection on which time of the call was sent, without a gap up to the next one.
    anchors: VecDeque<(Duration, Duration)>,
}

impl Heard {
    /// A new connection was made; this is to be sent over it first.
    pub(in crate::speech) fn restart(&mut self) -> Vec<Frame> {
        self.sent = Duration::ZERO;
        self.anchors.clear();
        let again: Vec<_> = self.kept.iter().cloned().collect();
        for frame in &again {
            self.note(frame);
        }
        again
    }

    /// This is sent next.
    pub(in crate::speech) fn push(&mut self, frame: &Frame) {
        self.note(frame);
        self.kept.push_back(frame.clone());
        let oldest = frame.start().saturating_sub(MOST);
        self.forget(oldest);
    }

    /// Everything up to this time of the call is final.
    pub(in crate::speech) fn forget(&mut self, end: Duration) {
        while self.kept.front().is_some_and(|frame| frame.start() < end) {
            self.kept.pop_front();
        }
    }

    fn note(&mut self, frame: &Frame) {
        let goes_on =
            self.anchors.back().is_some_and(|(sent, call)| *call + (self.sent - *sent) == frame.start());
        if !goes_on {
            self.anchors.push_back((self.sent, frame.start()));
            if self.anchors.len() > GAPS {
                self.anchors.pop_front();
            }
        }
        self.sent += FRAME;
    }

    /// The time of the call at which what began at this time of the connection was said.
    pub(in crate::speech) fn start(&self, at: Duration) -> Duration {
        self.call_time(at, |sent| sent <= at)
    }

    /// The same for what ended then: it belongs to the sound before a gap.
    pub(in crate::speech) fn end(&self, at: Duration) -> Duration {
        self.call_time(at, |sent| sent < at)
    }

    fn call_time(&self, at: Duration, is_before: impl Fn(Duration) -> bool) -> Duration {
        let before = self.anchors.iter().rev().find(|(sent, _)| is_before(*sent));
        let (sent, call) = before.or(self.anchors.front()).copied().unwrap_or_default();
        (call + at).saturating_sub(sent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audio::{SampleRate, listen};

    /// Frames at these places, counted in frames since media began.
    fn frames(places: std::ops::Range<usize>) -> Vec<Frame> {
        let (mut listener, mut sink) = listen(SampleRate::Hz8000, Duration::from_secs(60));
        for _ in 0..places.end {
            sink.push(&[0; 160], false);
        }
        std::iter::from_fn(|| listener.try_recv().ok()).skip(places.start).collect()
    }

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn times_are_those_of_the_call_with_its_gaps() {
        let mut heard = Heard::default();
        // From 200 ms on, and after 400 ms of it a gap up to 2 s.
        for frame in frames(10..30).iter().chain(&frames(100..120)) {
            heard.push(frame);
        }
        assert_eq!((heard.start(ms(0)), heard.start(ms(100))), (ms(200), ms(300)));
        assert_eq!((heard.end(ms(400)), heard.start(ms(400))), (ms(600), ms(2_000)));
        assert_eq!(heard.end(ms(500)), ms(2_100));
    }

    #[test]
    fn what_is_not_final_is_sent_again_and_ten_seconds_at_most() {
        let mut heard = Heard::default();
        for frame in &frames(0..50) {
            heard.push(frame);
        }
        heard.forget(ms(600));
        let again = heard.restart();
        assert_eq!((again.len(), again[0].start()), (20, ms(600)));
        assert_eq!(heard.start(ms(100)), ms(700));
        for frame in &frames(50..1_000) {
            heard.push(frame);
        }
        let again = heard.restart();
        assert_eq!(again.len(), 501);
        assert_eq!(again[500].start(), ms(999 * 20));
        heard.forget(ms(20_000));
        assert!(heard.restart().is_empty());
    }
}
