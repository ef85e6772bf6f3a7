//! The bookkeeping of a playout stream: samples, marks and counters, with no lock, clock or waiting in it.

use std::collections::VecDeque;
use std::task::Waker;
use std::time::Instant;

use tokio::sync::oneshot;

use super::MarkOutcome;
use super::mark::Passed;

/// Counters of a playout stream, all in samples at the application rate unless they count events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PlayoutStats {
    /// Samples handed to the wire.
    pub played: u64,
    /// Samples queued and not yet handed to the wire.
    pub queued: u64,
    /// Samples that [`Speaker::clear`](super::Speaker::clear) removed, or that the end of the call left unplayed.
    pub discarded: u64,
    /// How often the callee heard a gap within an utterance: the queue ran dry, nothing had said that the
    /// utterance was over (`mark`, `end_utterance`, `drain` or `clear`, before or during the gap), and then it
    /// went on. Silence before the first utterance, between utterances and after the last is no underrun.
    pub underruns: u64,
    /// How much silence those gaps were, together.
    pub underrun_samples: u64,
}

/// How the stream stands towards the utterance in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Utterance {
    /// None has begun, or the last one is over.
    Idle,
    /// Samples of one have been queued. `ended`: it is all there.
    Speaking { ended: bool },
    /// It ran out of samples before it was all there; so much silence has been played instead.
    Dry { silence: u64 },
}

/// What the next packet would get, see [`PlayoutSource::due`](super::PlayoutSource::due).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Due {
    /// Speech from its first sample to its last.
    Packet,
    /// Some speech, or the end of an utterance that the resampler still holds.
    Rest,
    /// Nothing that was queued.
    Nothing,
}

/// What [`Queue::take`] found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Taken {
    /// How many samples were there.
    pub(super) count: usize,
    /// They do not continue what was taken before: the queue was cleared in between.
    pub(super) cut: bool,
    /// They continue an utterance after a gap.
    pub(super) resumed: bool,
}

/// A task to wake, once the lock is released.
#[must_use]
#[derive(Debug, Default)]
pub(super) struct Wake(Option<Waker>);

impl Wake {
    pub(super) fn wake(self) {
        self.hand_to(&mut Waker::wake);
    }

    /// Lets `wake` do it.
    pub(super) fn hand_to(self, wake: &mut dyn FnMut(Waker)) {
        if let Some(waker) = self.0 {
            wake(waker);
        }
    }
}

/// A mark without an outcome.
#[derive(Debug)]
pub(super) struct Pending {
    position: u64,
    outcome: oneshot::Sender<Passed>,
}

impl Pending {
    pub(super) fn tell(self, outcome: MarkOutcome) {
        // Nobody listens where the mark was dropped.
        let _ = self.outcome.send((outcome, Instant::now()));
    }
}

/// Marks that have an outcome, to be told of it once the lock is released.
#[must_use]
#[derive(Debug)]
pub(super) struct Resolved(VecDeque<Pending>, MarkOutcome);

impl Resolved {
    pub(super) fn tell(self) {
        for mark in self.0 {
            mark.tell(self.1);
        }
    }
}

/// Everything about a stream that both its ends touch.
#[derive(Debug)]
pub(super) struct Queue {
    samples: VecDeque<i16>,
    capacity: usize,
    /// Samples the source has taken, ever.
    taken: u64,
    /// Of those, what has been handed to the wire; the rest is in the source's resampler.
    handed: u64,
    /// Of those, what counts as played: all of it, or what the wire's far end has confirmed.
    played: u64,
    /// The wire's far end confirms what it has played.
    confirmed: bool,
    marks: VecDeque<Pending>,
    utterance: Utterance,
    cut: bool,
    resumed: bool,
    /// How often the queue has been cleared: a send that began before the last time is void.
    clears: u64,
    closed: bool,
    /// The send that waits for room. Sends take turns, so there is one at most.
    waiting: Option<Waker>,
    discarded: u64,
    underruns: u64,
    underrun_samples: u64,
}

impl Queue {
    pub(super) fn new(capacity: usize) -> Self {
        Self {
            samples: VecDeque::new(),
            capacity,
            taken: 0,
            handed: 0,
            played: 0,
            confirmed: false,
            marks: VecDeque::new(),
            utterance: Utterance::Idle,
            cut: false,
            resumed: false,
            clears: 0,
            closed: false,
            waiting: None,
            discarded: 0,
            underruns: 0,
            underrun_samples: 0,
        }
    }

    pub(super) fn is_closed(&self) -> bool {
        self.closed
    }

    pub(super) fn clears(&self) -> u64 {
        self.clears
    }

    pub(super) fn played(&self) -> u64 {
        self.played
    }

    pub(super) fn handed(&self) -> u64 {
        self.handed
    }

    /// What a packet of so many samples would get now.
    pub(super) fn due(&self, packet: usize) -> Due {
        let whole = !matches!(self.utterance, Utterance::Speaking { ended: false } | Utterance::Dry { .. });
        if self.samples.len() >= packet {
            Due::Packet
        } else if !self.samples.is_empty() || (whole && self.handed < self.taken) {
            Due::Rest
        } else {
            Due::Nothing
        }
    }

    /// From now on the wire's far end says what it has played.
    pub(super) fn await_confirmation(&mut self) {
        self.confirmed = true;
    }

    /// The wire's far end has played everything up to here. Returns whether marks are due.
    pub(super) fn confirm(&mut self, position: u64) -> bool {
        self.played = self.played.max(position.min(self.handed));
        self.marks_due()
    }

    /// Whether somebody waits for the wire's far end to have played what was handed over.
    pub(super) fn awaits_confirmation(&self) -> bool {
        self.marks.front().is_some_and(|mark| mark.position <= self.handed)
    }

    fn marks_due(&self) -> bool {
        self.marks.front().is_some_and(|mark| mark.position <= self.played)
    }

    /// Where the next sample to be queued will stand.
    fn end(&self) -> u64 {
        self.taken + self.samples.len() as u64
    }

    pub(super) fn stats(&self) -> PlayoutStats {
        PlayoutStats {
            played: self.played,
            queued: self.end() - self.played,
            discarded: self.discarded,
            underruns: self.underruns,
            underrun_samples: self.underrun_samples,
        }
    }

    /// Queues as much of `samples` as there is room for; returns how much that was.
    pub(super) fn push(&mut self, samples: &[i16]) -> usize {
        let count = samples.len().min(self.capacity - self.samples.len());
        if count == 0 || self.closed {
            return 0;
        }
        if let Utterance::Dry { silence } = self.utterance {
            self.underruns += 1;
            self.underrun_samples += silence;
            self.resumed = true;
        }
        self.utterance = Utterance::Speaking { ended: false };
        let wanted = self.samples.len() + count;
        if wanted > self.samples.capacity() {
            // Twice as much each time, and never more than can be used.
            let room = wanted.max(2 * self.samples.capacity()).min(self.capacity);
            self.samples.reserve_exact(room - self.samples.len());
        }
        self.samples.extend(&samples[..count]);
        count
    }

    /// Wakes this task when there is room again.
    pub(super) fn wait(&mut self, waker: &Waker) {
        match &mut self.waiting {
            Some(waiting) => waiting.clone_from(waker),
            None => self.waiting = Some(waker.clone()),
        }
    }

    /// The next samples, `most` of them at most, as far as they are in one piece.
    pub(super) fn next(&self, most: usize) -> &[i16] {
        let (front, _) = self.samples.as_slices();
        &front[..front.len().min(most)]
    }

    /// Moves samples to the front of `out`, as many as there are. What they mean for `played` the source says
    /// next, with [`advance`](Self::advance).
    pub(super) fn take(&mut self, out: &mut [i16]) -> Taken {
        let count = out.len().min(self.samples.len());
        let (front, back) = self.samples.as_slices();
        let split = count.min(front.len());
        out[..split].copy_from_slice(&front[..split]);
        out[split..count].copy_from_slice(&back[..count - split]);
        self.samples.drain(..count);
        self.taken += count as u64;
        let taken = Taken { count, cut: self.cut, resumed: self.resumed };
        (self.cut, self.resumed) = (false, false);

        let missing = (out.len() - count) as u64;
        if missing > 0 {
            self.utterance = match self.utterance {
                Utterance::Idle | Utterance::Speaking { ended: true } => Utterance::Idle,
                Utterance::Speaking { ended: false } => Utterance::Dry { silence: missing },
                Utterance::Dry { silence } => Utterance::Dry { silence: silence + missing },
            };
        }
        taken
    }

    /// All that was taken has been handed over but for the last `in_flight` samples. Returns the waiting send, if the
    /// queue is half empty (a task that were woken for each frame would cost more than the frame), and whether
    /// marks are due.
    pub(super) fn advance(&mut self, in_flight: u64) -> (Wake, bool) {
        self.handed = self.handed.max(self.taken.saturating_sub(in_flight));
        if !self.confirmed {
            self.played = self.handed;
        }
        let room = self.samples.len() <= self.capacity / 2;
        let wake = Wake(if room { self.waiting.take() } else { None });
        (wake, self.marks_due())
    }

    /// Removes the first mark, if it has been played. One at a time: a list of them would have to be allocated.
    pub(super) fn pop_reached(&mut self) -> Option<Pending> {
        if self.marks.front()?.position > self.played { None } else { self.marks.pop_front() }
    }

    /// Sets a mark behind everything queued, which is a `whole` utterance or not. Returns where it stands, and the mark itself if it has an outcome
    /// already.
    pub(super) fn mark(&mut self, outcome: oneshot::Sender<Passed>, whole: bool) -> (u64, Resolved) {
        if whole {
            self.end_utterance();
        }
        let position = self.end();
        let mark = Pending { position, outcome };
        let resolved = if self.closed {
            Resolved([mark].into(), MarkOutcome::Ended)
        } else if position <= self.played {
            Resolved([mark].into(), MarkOutcome::Played)
        } else {
            self.marks.push_back(mark);
            Resolved(VecDeque::new(), MarkOutcome::Played)
        };
        (position, resolved)
    }

    /// What is queued is a whole utterance: running dry behind it is no underrun.
    pub(super) fn end_utterance(&mut self) {
        self.utterance = match self.utterance {
            Utterance::Speaking { .. } => Utterance::Speaking { ended: true },
            Utterance::Idle | Utterance::Dry { .. } => Utterance::Idle,
        };
    }

    /// Removes everything that is queued. Returns how much that was.
    pub(super) fn clear(&mut self) -> (usize, Resolved, Wake) {
        let count = self.samples.len();
        self.samples.clear();
        self.discarded += count as u64;
        self.utterance = Utterance::Idle;
        self.cut = true;
        self.resumed = false;
        self.clears += 1;
        (count, Resolved(std::mem::take(&mut self.marks), MarkOutcome::Cleared), Wake(self.waiting.take()))
    }

    /// The call is over: nothing will be taken any more.
    pub(super) fn close(&mut self) -> (Resolved, Wake) {
        self.closed = true;
        self.discarded += self.end() - self.played;
        // What was taken and not played is lost with the resampler; end() is where the stream ended.
        self.taken = self.played;
        self.samples = VecDeque::new();
        (Resolved(std::mem::take(&mut self.marks), MarkOutcome::Ended), Wake(self.waiting.take()))
    }
}

#[cfg(test)]
mod tests;
