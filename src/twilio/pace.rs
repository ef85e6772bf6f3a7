//! How far ahead of the callee's ear speech is sent. No I/O, no clock.

use std::time::{Duration, Instant};

use crate::audio::{Due, FRAME_MS};

const FRAME: Duration = Duration::from_millis(FRAME_MS as u64);

/// How often it is looked what is due.
pub(super) const LOOK: Duration = Duration::from_millis(FRAME_MS as u64 / 2);

/// How much speech Twilio may have in store: enough that a late wake-up or packet is not heard, little enough that
/// what is in its hands is soon said. What is not sent yet can be cleared without asking anybody.
const LEAD: Duration = Duration::from_millis(60);

/// Keeps Twilio's buffer filled and small: it knows how much speech was sent and how fast it is played.
///
/// A pause of ours, however long, is never made up for by sending faster: that would be a delay for the rest of the
/// utterance.
#[derive(Debug)]
pub(super) struct Pace {
    /// When the far end will have played everything it was sent.
    filled_till: Instant,
    /// Till when silence has been accounted for.
    silent_till: Instant,
}

impl Pace {
    pub(super) fn new(now: Instant) -> Self {
        Self { filled_till: now, silent_till: now }
    }

    /// Whether a frame is to be pulled.
    pub(super) fn wants(&self, now: Instant, due: Due) -> bool {
        let ahead = self.filled_till.saturating_duration_since(now);
        match due {
            Due::Packet => ahead + FRAME <= LEAD,
            // The far end would run dry before the next look.
            Due::Rest => ahead < LOOK,
            // A frame late: so much is left to an application that speaks frame by frame.
            Due::Nothing => now >= self.quiet_since() + FRAME,
        }
    }

    /// A frame was sent.
    pub(super) fn sent(&mut self, now: Instant) {
        self.filled_till = self.filled_till.max(now) + FRAME;
    }

    /// A frame of silence was pulled, which is not sent: Twilio plays silence by itself.
    pub(super) fn silent(&mut self, now: Instant) {
        // Silence that nobody looked at is not made up for either.
        let since = self.quiet_since().max(now.checked_sub(2 * FRAME).unwrap_or(now));
        self.silent_till = since + FRAME;
    }

    /// The far end's buffer was emptied.
    pub(super) fn cleared(&mut self, now: Instant) {
        self.filled_till = now;
    }

    /// When the far end will have played everything.
    pub(super) fn filled_till(&self) -> Instant {
        self.filled_till
    }

    fn quiet_since(&self) -> Instant {
        self.filled_till.max(self.silent_till)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Frames sent at each of these times, in milliseconds, with so many frames queued at the start.
    fn sent(looks: &[u64], mut queued: usize) -> Vec<usize> {
        let start = Instant::now();
        let mut pace = Pace::new(start);
        let mut counts = Vec::new();
        for look in looks {
            let now = start + Duration::from_millis(*look);
            let mut count = 0;
            while queued > 0 && pace.wants(now, Due::Packet) {
                queued -= 1;
                count += 1;
                pace.sent(now);
            }
            counts.push(count);
        }
        counts
    }

    #[test]
    fn speech_begins_with_the_lead_and_goes_on_at_the_callee_s_pace() {
        assert_eq!(sent(&[0, 20, 40, 60, 80], 100), [3, 1, 1, 1, 1]);
        assert_eq!(sent(&[0, 10, 20, 30, 40], 100), [3, 0, 1, 0, 1]);
    }

    #[test]
    fn a_late_look_is_made_up_for_while_the_far_end_still_has_speech() {
        assert_eq!(sent(&[0, 50, 60, 80], 100), [3, 2, 1, 1]);
    }

    #[test]
    fn a_long_pause_of_ours_builds_up_no_delay() {
        // 1 s late: what was not said then is said now, and the rest waits where it can be cleared.
        assert_eq!(sent(&[0, 20, 1_020, 1_040], 100), [3, 1, 3, 1]);
    }

    #[test]
    fn an_application_that_speaks_frame_by_frame_is_not_rushed() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut pace = Pace::new(start);
        assert!(pace.wants(start, Due::Packet));
        pace.sent(start);
        // The far end is dry after 20 ms; until 20 ms later the next frame is just late.
        assert!(!pace.wants(at(10), Due::Nothing) && !pace.wants(at(39), Due::Nothing));
        assert!(pace.wants(at(40), Due::Nothing));
        // The end of an utterance does not wait so long.
        assert!(!pace.wants(at(10), Due::Rest) && pace.wants(at(11), Due::Rest));
    }

    #[test]
    fn silence_lasts_as_long_as_it_lasts() {
        let start = Instant::now();
        let mut pace = Pace::new(start);
        let mut frames = 0;
        for ms in (0..=1_000).step_by(10) {
            let now = start + Duration::from_millis(ms);
            if pace.wants(now, Due::Nothing) {
                pace.silent(now);
                frames += 1;
            }
        }
        assert_eq!(frames, 50);
        // Speech after it has the whole lead.
        assert!(pace.wants(start + Duration::from_secs(1), Due::Packet));
        pace.sent(start + Duration::from_secs(1));
        assert!(pace.wants(start + Duration::from_secs(1), Due::Packet));
    }
}
