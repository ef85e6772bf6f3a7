//! Both directions of a call on one time line, for a recorder: what Twilio plays of ours beside what comes from the callee
//! meanwhile. No I/O, no clock: times are samples since the stream began.
//!
//! Speech is sent ahead and lies in Twilio's buffer for a while, and messages come unevenly. So a second is kept open, in
//! which everything still finds its place, and speech that was sent and then cleared is taken out again.

use std::collections::VecDeque;

/// What becomes of a turn: the callee's frame, ours, and whether it is of a pause.
pub(super) type Turn<'a> = &'a mut dyn FnMut(&[i16], &[i16], bool);

/// See the [module](self).
#[derive(Debug)]
pub(super) struct Timeline {
    /// The length of a turn.
    frame: usize,
    /// Everything before it has been handed over.
    settled: u64,
    callee: VecDeque<i16>,
    agent: VecDeque<i16>,
    /// Pauses that are not over before `settled`, each from when till when.
    pauses: VecDeque<(u64, Option<u64>)>,
}

impl Timeline {
    /// A time line in turns of so many samples.
    pub(super) fn new(frame: usize) -> Self {
        Self { frame, settled: 0, callee: VecDeque::new(), agent: VecDeque::new(), pauses: VecDeque::new() }
    }

    /// The callee says this. Returns whether it came too late for its place.
    pub(super) fn callee(&mut self, at: u64, samples: &[i16]) -> bool {
        put(&mut self.callee, self.settled, at, samples);
        at < self.settled
    }

    /// The callee is to hear this.
    pub(super) fn agent(&mut self, at: u64, samples: &[i16]) {
        put(&mut self.agent, self.settled, at, samples);
    }

    /// The callee is not to hear what was to be heard from here on.
    pub(super) fn cleared(&mut self, at: u64) {
        self.agent.truncate(usize::try_from(at.saturating_sub(self.settled)).unwrap_or(usize::MAX));
    }

    /// From here on it is paused, or no longer.
    pub(super) fn pause(&mut self, at: u64, paused: bool) {
        match self.pauses.back_mut() {
            Some((_, till @ None)) if !paused => *till = Some(at),
            Some((_, None)) => {}
            _ if paused => self.pauses.push_back((at, None)),
            _ => {}
        }
    }

    /// Hands over every whole turn before `till`, which nothing can change any more.
    pub(super) fn settle(&mut self, till: u64, turn: Turn<'_>) {
        let (mut heard, mut spoken) = (vec![0; self.frame], vec![0; self.frame]);
        while self.settled + self.frame as u64 <= till {
            take(&mut self.callee, &mut heard);
            take(&mut self.agent, &mut spoken);
            let (from, to) = (self.settled, self.settled + self.frame as u64);
            self.pauses.retain(|(_, till)| till.is_none_or(|till| till > from));
            turn(&heard, &spoken, self.pauses.iter().any(|(begin, _)| *begin < to));
            self.settled = to;
        }
    }
}

/// Puts samples at their place. What is before the first place there is, is left out.
fn put(side: &mut VecDeque<i16>, settled: u64, at: u64, samples: &[i16]) {
    let late = usize::try_from(settled.saturating_sub(at)).unwrap_or(usize::MAX).min(samples.len());
    let samples = &samples[late..];
    let place = usize::try_from(at.saturating_sub(settled)).unwrap_or(usize::MAX);
    if samples.is_empty() || place > MOST {
        return;
    }
    side.resize(side.len().max(place + samples.len()), 0);
    side.range_mut(place..).zip(samples).for_each(|(to, from)| *to = *from);
}

/// No place is further ahead than this, a minute: a time stamp that says so is wrong.
const MOST: usize = 60 * 8_000;

/// Takes the first samples, silence where there are none.
fn take(side: &mut VecDeque<i16>, out: &mut [i16]) {
    let count = side.len().min(out.len());
    side.drain(..count).zip(&mut *out).for_each(|(from, to)| *to = from);
    out[count..].fill(0);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settled(timeline: &mut Timeline, till: u64) -> (Vec<i16>, Vec<i16>, Vec<bool>) {
        let (mut callee, mut agent, mut paused) = (Vec::new(), Vec::new(), Vec::new());
        timeline.settle(till, &mut |heard, spoken, is_paused| {
            callee.extend(heard);
            agent.extend(spoken);
            paused.push(is_paused);
        });
        (callee, agent, paused)
    }

    #[test]
    fn each_side_has_its_place_in_whatever_order_it_comes() {
        let mut timeline = Timeline::new(4);
        timeline.agent(6, &[5, 5]);
        assert!(!timeline.callee(2, &[1, 1]));
        assert!(!timeline.callee(0, &[2]));
        assert!(settled(&mut timeline, 3).0.is_empty());
        let (callee, agent, _) = settled(&mut timeline, 9);
        assert_eq!((callee, agent), (vec![2, 0, 1, 1, 0, 0, 0, 0], vec![0, 0, 0, 0, 0, 0, 5, 5]));
        // Too late for its place, but for the last sample of it.
        assert!(timeline.callee(6, &[7, 7, 8]));
        assert_eq!(settled(&mut timeline, 12).0, [8, 0, 0, 0]);
    }

    #[test]
    fn what_was_cleared_was_not_heard() {
        let mut timeline = Timeline::new(4);
        timeline.agent(0, &[1; 12]);
        settled(&mut timeline, 4);
        timeline.cleared(6);
        timeline.agent(7, &[2]);
        assert_eq!(settled(&mut timeline, 12).1, [1, 1, 0, 2, 0, 0, 0, 0]);
        timeline.agent(12, &[3; 4]);
        timeline.cleared(3);
        assert_eq!(settled(&mut timeline, 16).1, [0; 4]);
    }

    #[test]
    fn a_pause_counts_for_the_turns_that_it_touches() {
        let mut timeline = Timeline::new(4);
        timeline.pause(0, false);
        timeline.pause(5, true);
        timeline.pause(6, true);
        timeline.pause(12, false);
        timeline.pause(13, false);
        assert_eq!(settled(&mut timeline, 8).2, [false, true]);
        timeline.pause(18, true);
        assert_eq!(settled(&mut timeline, 24).2, [true, false, true, true]);
    }

    #[test]
    fn a_time_stamp_from_far_away_takes_no_memory() {
        let mut timeline = Timeline::new(4);
        timeline.callee(u64::MAX / 2, &[1; 4]);
        assert!(timeline.callee.is_empty());
    }
}
