//! The clock's end of a playout stream.

use std::sync::Arc;
use std::task::Waker;

use super::queue::{Due, Pending, PlayoutStats, Taken};
use super::{MarkOutcome, Shared};
use crate::audio::fade::{self, Release};
use crate::audio::frame::MOST_SAMPLES;
use crate::audio::{Resampler, SampleRate, lock};

/// The clock's end of a playout stream: gives the wire its samples, in time and at the wire rate.
///
/// It belongs to the thread that makes packets. [`pull`](Self::pull) does not wait, and does not allocate once it
/// has been called with the longest packet. Dropping it ends the stream: the [`Speaker`](super::Speaker) gets
/// [`SendError::Closed`](super::SendError::Closed) from then on, and marks that are left resolve as
/// [`MarkOutcome::Ended`].
#[derive(Debug)]
pub struct PlayoutSource {
    shared: Arc<Shared>,
    wire: SampleRate,
    converter: Option<Converter>,
    /// The way down to silence, at the application rate, behind the last sample that was taken.
    release: Release,
    /// The last pull ended in silence, so that the release may still be under way.
    ran_short: bool,
    /// The way down from the last sample before a change of the wire rate, at the new wire rate.
    patch: Option<Release>,
    /// The next speech comes up after such a change, in the middle of a sound.
    onset: bool,
    last_out: i16,
}

/// What a pull gave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pulled {
    /// Something that the application queued, or the tail of it.
    Speech,
    /// Nothing was queued: every sample is zero.
    Silence,
}

impl PlayoutSource {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        let rate = shared.rate;
        Self {
            shared,
            wire: rate,
            converter: None,
            release: Release::new(rate),
            ran_short: true,
            patch: None,
            onset: false,
            last_out: 0,
        }
    }

    /// The application rate.
    pub fn rate(&self) -> SampleRate {
        self.shared.rate
    }

    /// The wire rate; the application rate until it is set.
    pub fn wire_rate(&self) -> SampleRate {
        self.wire
    }

    /// Sets the rate of what [`pull`](Self::pull) gives, when the call has negotiated a codec, or another one. The
    /// same rate again changes nothing. What the old rate's resampler still held, 5 ms at most beside what a
    /// packet of no whole number of blocks left over, is lost; the border does not click.
    pub fn set_wire_rate(&mut self, wire: SampleRate) {
        if wire == self.wire {
            return;
        }
        self.wire = wire;
        self.converter = (wire != self.rate()).then(|| Converter::new(self.rate(), wire));
        if self.last_out != 0 {
            let mut patch = Release::new(wire);
            patch.arm(self.last_out);
            self.patch = Some(patch);
            self.onset = true;
        }
    }

    /// Fills `out`, of any length, with the next samples for the wire, at the wire rate: what was queued, and
    /// silence where there is nothing. Marks that are passed resolve, and a send that waits for room goes on.
    pub fn pull(&mut self, out: &mut [i16]) -> Pulled {
        self.pull_and(out, &mut Waker::wake)
    }

    /// [`pull`](Self::pull), but the task that waits for room is handed to `wake`.
    pub(crate) fn pull_and(&mut self, out: &mut [i16], wake: &mut dyn FnMut(Waker)) -> Pulled {
        let pulled = match self.converter.take() {
            None => self.pull_straight(out, wake),
            Some(mut converter) => {
                let pulled = self.pull_converted(&mut converter, out, wake);
                self.converter = Some(converter);
                pulled
            }
        };
        if let Some(patch) = &mut self.patch {
            patch.mix_into(out);
            if patch.is_over() {
                self.patch = None;
            }
        }
        self.last_out = out.last().copied().unwrap_or(self.last_out);
        pulled
    }

    /// What both ends share, for those who ask the memory for it in advance.
    pub(crate) fn record(&self) -> &(impl Sized + use<>) {
        &*self.shared
    }

    /// Shows `look` where in memory the samples of the next packet are, as far as they are in one piece.
    pub(crate) fn look_ahead(&self, look: impl FnOnce(&[i16])) {
        let queue = lock(&self.shared.queue);
        look(queue.next(self.shared.rate.frame_len()));
    }

    /// From now on a sample counts as played, for marks and [`Speaker::played`](super::Speaker::played), when
    /// [`confirm`](Self::confirm) says so and not when it is pulled: for a wire whose far end keeps a buffer of its own
    /// and tells what it has played.
    pub fn await_confirmation(&mut self) {
        lock(&self.shared.queue).await_confirmation();
    }

    /// How much has been pulled: samples at the application rate, what the resampler still holds not counted. On this
    /// scale the far end [confirms](Self::confirm).
    pub fn handed(&self) -> u64 {
        lock(&self.shared.queue).handed()
    }

    /// The far end has played everything up to this place. Marks that it has passed resolve.
    pub fn confirm(&mut self, position: u64) {
        if lock(&self.shared.queue).confirm(position) {
            self.tell_marks();
        }
    }

    /// Whether a mark waits for nothing but its confirmation.
    pub fn awaits_confirmation(&self) -> bool {
        lock(&self.shared.queue).awaits_confirmation()
    }

    /// What a packet of 20 ms would get now: for those who send ahead of the callee's clock, and must not take from an
    /// empty queue before its time.
    pub fn due(&self) -> Due {
        lock(&self.shared.queue).due(self.rate().frame_len())
    }

    /// How often the speaker was [cleared](super::Speaker::clear): a far end with a buffer is to be told.
    pub fn clears(&self) -> u64 {
        lock(&self.shared.queue).clears()
    }

    /// Counters, the same as [`Speaker::stats`](super::Speaker::stats).
    pub fn stats(&self) -> PlayoutStats {
        lock(&self.shared.queue).stats()
    }

    fn pull_straight(&mut self, out: &mut [i16], wake: &mut dyn FnMut(Waker)) -> Pulled {
        let sounding = !self.release.is_over();
        let taken = self.take(out, |_| 0, wake);
        if taken.count > 0 || sounding { Pulled::Speech } else { Pulled::Silence }
    }

    fn pull_converted(
        &mut self,
        converter: &mut Converter,
        out: &mut [i16],
        wake: &mut dyn FnMut(Waker),
    ) -> Pulled {
        let sounding = !self.release.is_over();
        let sounding = sounding || converter.in_flight() > 0;
        let needed = converter.needed(out.len());
        let (mut room, mut longer) = ([0; MOST_SAMPLES], std::mem::take(&mut converter.longer));
        let input = if needed <= MOST_SAMPLES {
            &mut room[..needed]
        } else {
            longer.resize(needed, 0);
            &mut longer[..]
        };
        let in_flight = |speech| {
            converter.account(speech, needed, out.len());
            converter.in_flight()
        };
        let taken = self.take(input, in_flight, wake);
        converter.convert(input, out);
        converter.longer = longer;
        if taken.count > 0 || sounding { Pulled::Speech } else { Pulled::Silence }
    }

    /// Fills `out` from the queue, at the application rate, and tells the queue how much of what was taken is
    /// still `in_flight` after this pull.
    fn take(
        &mut self,
        out: &mut [i16],
        in_flight: impl FnOnce(usize) -> u64,
        wake: &mut dyn FnMut(Waker),
    ) -> Taken {
        let mut queue = lock(&self.shared.queue);
        let taken = queue.take(out);
        let (waiting, marks_due) = queue.advance(in_flight(taken.count));
        drop(queue);
        waiting.hand_to(wake);
        if marks_due {
            self.tell_marks();
        }
        self.shape(out, taken);
        taken
    }

    fn tell_marks(&self) {
        while let Some(mark) = self.pop_reached() {
            mark.tell(MarkOutcome::Played);
        }
    }

    /// The next mark that is due; the lock is released when this returns.
    fn pop_reached(&self) -> Option<Pending> {
        lock(&self.shared.queue).pop_reached()
    }

    /// Takes the clicks out of the borders between speech and silence.
    fn shape(&mut self, out: &mut [i16], taken: Taken) {
        let (speech, silence) = out.split_at_mut(taken.count);
        if !speech.is_empty() && (taken.resumed || std::mem::take(&mut self.onset)) {
            fade::attack(speech, self.shared.rate);
        }
        if taken.cut || self.ran_short {
            self.release.mix_into(speech);
        }
        if let Some(&last) = speech.last() {
            self.release.arm(last);
        }
        silence.fill_with(|| self.release.next());
        self.ran_short = !silence.is_empty();
    }
}

impl Drop for PlayoutSource {
    fn drop(&mut self) {
        let (marks, wake) = lock(&self.shared.queue).close();
        marks.tell();
        wake.wake();
        self.shared.voided.notify_waiters();
    }
}

/// The way from the application rate to another wire rate, in whole blocks.
#[derive(Debug)]
struct Converter {
    resampler: Resampler,
    /// Room for what a packet of more than 20 ms takes from the queue.
    longer: Vec<i16>,
    /// The last block that was converted; what is behind `spare_from` has not been given out yet. Empty unless
    /// packets are no whole number of blocks long.
    spare: Vec<i16>,
    spare_from: usize,
    /// Samples that went in, at the application rate, silence included.
    fed: u64,
    /// Where on that scale the last sample of speech ended.
    speech_end: u64,
    /// Samples given out, at the wire rate.
    given: u64,
}

impl Converter {
    fn new(rate: SampleRate, wire: SampleRate) -> Self {
        let resampler = Resampler::new(rate, wire);
        let spare = vec![0; resampler.block_out()];
        Self {
            resampler,
            longer: Vec::new(),
            spare_from: spare.len(),
            spare,
            fed: 0,
            speech_end: 0,
            given: 0,
        }
    }

    /// How many samples, in whole blocks, have to go in for `out` samples to come out.
    fn needed(&self, out: usize) -> usize {
        let spare = self.spare.len() - self.spare_from;
        out.saturating_sub(spare).div_ceil(self.resampler.block_out()) * self.resampler.block_in()
    }

    /// Notes a pull: `fed` samples go in, the first `speech` of them from the queue, and `given` come out.
    fn account(&mut self, speech: usize, fed: usize, given: usize) {
        if speech > 0 {
            self.speech_end = self.fed + speech as u64;
        }
        self.fed += fed as u64;
        self.given += given as u64;
    }

    /// How many samples of speech went in and have not come out yet.
    fn in_flight(&self) -> u64 {
        let (from, to) = (u64::from(self.resampler.from().hz()), u64::from(self.resampler.to().hz()));
        let heard = (self.given * from / to).saturating_sub(self.resampler.delay() as u64);
        self.speech_end.saturating_sub(heard)
    }

    fn convert(&mut self, input: &[i16], out: &mut [i16]) {
        let spare = &self.spare[self.spare_from..];
        let (head, out) = out.split_at_mut(spare.len().min(out.len()));
        head.copy_from_slice(&spare[..head.len()]);
        self.spare_from += head.len();

        let mut blocks = out.chunks_exact_mut(self.resampler.block_out());
        let mut input = input.chunks_exact(self.resampler.block_in());
        for (block, input) in blocks.by_ref().zip(input.by_ref()) {
            self.resampler.process(input, block);
        }
        let rest = blocks.into_remainder();
        if let Some(input) = input.next() {
            self.resampler.process(input, &mut self.spare);
            rest.copy_from_slice(&self.spare[..rest.len()]);
            self.spare_from = rest.len();
        }
    }
}
