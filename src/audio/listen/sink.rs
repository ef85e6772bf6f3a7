//! The clock's end of a listen stream.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Waker;
use std::time::Duration;

use super::Shared;
use super::queue::{Head, ListenStats};
use crate::audio::fade::{self, Release};
use crate::audio::frame::MOST_SAMPLES;
use crate::audio::{Frame, Resampler, SampleRate, lock};

/// The clock's end of a listen stream: takes what the wire brought, in time and at the wire rate.
///
/// It belongs to the thread that receives packets. [`push`](Self::push) does not wait, and does not allocate
/// except after a change of the wire rate.
///
/// Dropping it ends the stream: the [`Listener`](super::Listener) reads what is queued and then gets `None`. What
/// had not filled a frame by then is lost, 20 ms at most.
#[derive(Debug)]
pub struct ListenSink {
    shared: Arc<Shared>,
    wire: SampleRate,
    converter: Option<Converter>,
    frame: Assembler,
    /// Whether what was pushed last was early media.
    early: bool,
    /// The way down from the last sample before a change of the wire rate.
    patch: Option<Release>,
    /// The next samples come up after such a change, in the middle of a sound.
    onset: bool,
}

impl ListenSink {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        let rate = shared.rate;
        let frame = Assembler::new(rate.frame_len());
        Self { shared, wire: rate, converter: None, frame, early: false, patch: None, onset: false }
    }

    /// The application rate.
    pub fn rate(&self) -> SampleRate {
        self.shared.rate
    }

    /// The wire rate; the application rate until it is set.
    pub fn wire_rate(&self) -> SampleRate {
        self.wire
    }

    /// How much has been pushed, as time since media began.
    pub(crate) fn position(&self) -> Duration {
        self.rate().duration(self.frame.head.position + self.frame.filled as u64)
    }

    /// Sets the rate of what is [pushed](Self::push), when the call has negotiated a codec, or another one. The
    /// same rate again changes nothing. What the old rate's resampler still delayed, 5 ms at most, is lost;
    /// positions stay exact and the border does not click.
    pub fn set_wire_rate(&mut self, wire: SampleRate) {
        if wire == self.wire {
            return;
        }
        if let Some(mut converter) = self.converter.take() {
            self.deliver(&converter.finish(), &mut Waker::wake);
        }
        self.wire = wire;
        self.converter = (wire != self.rate()).then(|| Converter::new(wire, self.rate()));
        if self.frame.last != 0 {
            let mut patch = Release::new(self.rate());
            patch.arm(self.frame.last);
            self.patch = Some(patch);
            self.onset = true;
        }
    }

    /// Takes `samples`, any number of them, at the wire rate, in the order of the wire, silence and concealed loss
    /// included: positions count what is pushed. `early` marks media from before the answer.
    pub fn push(&mut self, samples: &[i16], early: bool) {
        self.push_and(samples, early, &mut Waker::wake);
    }

    /// [`push`](Self::push), but the task that waits for the frame is handed to `wake`.
    pub(crate) fn push_and(&mut self, samples: &[i16], early: bool, wake: &mut dyn FnMut(Waker)) {
        if self.shared.deaf.load(Ordering::Relaxed) {
            return;
        }
        self.early = early;
        if std::mem::take(&mut self.onset) {
            let mut samples = samples.to_vec();
            fade::attack(&mut samples, self.wire);
            self.convert(&samples, wake);
        } else {
            self.convert(samples, wake);
        }
    }

    /// Takes a frame of another stream, at the wire rate, which keeps its place in time: frames that are missing there
    /// are missing here.
    pub(crate) fn push_frame(&mut self, frame: &Frame) {
        let position = frame.position() * u64::from(self.rate().hz()) / u64::from(self.wire.hz());
        self.frame.skip_to(position);
        self.push(frame.samples(), frame.is_early());
    }

    /// What both ends share, for those who ask the memory for it in advance.
    pub(crate) fn record(&self) -> &(impl Sized + use<>) {
        &*self.shared
    }

    /// Shows `look` where in memory the next frame will be.
    pub(crate) fn look_ahead(&self, look: impl FnOnce(&[i16])) {
        look(lock(&self.shared.queue).next());
    }

    fn convert(&mut self, samples: &[i16], wake: &mut dyn FnMut(Waker)) {
        match self.converter.take() {
            None => self.deliver(samples, wake),
            Some(mut converter) => {
                let mut room = [0; MOST_SAMPLES];
                let frame = &mut room[..self.rate().frame_len()];
                let mut rest = samples;
                loop {
                    let count = converter.fill(frame, &mut rest);
                    if count == 0 {
                        break;
                    }
                    self.deliver(&frame[..count], wake);
                }
                self.converter = Some(converter);
            }
        }
    }

    /// Counters, the same as [`Listener::stats`](super::Listener::stats).
    pub fn stats(&self) -> ListenStats {
        lock(&self.shared.queue).stats()
    }

    /// Cuts `samples`, at the application rate, into frames and queues those that are complete.
    fn deliver(&mut self, samples: &[i16], wake: &mut dyn FnMut(Waker)) {
        let mut rest = samples;
        while !rest.is_empty() {
            if self.patch.is_none()
                && let Some((head, samples)) = self.frame.pass(&mut rest, self.early)
            {
                let waiting = lock(&self.shared.queue).push(head, samples);
                if let Some(waker) = waiting {
                    wake(waker);
                }
                continue;
            }
            let count = self.frame.append(rest, self.early, self.patch.as_mut());
            rest = &rest[count..];
            if let Some((head, samples)) = self.frame.complete() {
                let waiting = lock(&self.shared.queue).push(head, samples);
                if let Some(waker) = waiting {
                    wake(waker);
                }
            }
        }
    }
}

impl Drop for ListenSink {
    fn drop(&mut self) {
        let waiting = lock(&self.shared.queue).end();
        if let Some(waker) = waiting {
            waker.wake();
        }
    }
}

/// The frame that is being filled.
#[derive(Debug)]
struct Assembler {
    samples: Box<[i16]>,
    filled: usize,
    head: Head,
    last: i16,
}

impl Assembler {
    fn new(frame_len: usize) -> Self {
        Self { samples: vec![0; frame_len].into(), filled: 0, head: Head::default(), last: 0 }
    }

    /// The next frame stands at this position, if that is not behind us. What has been begun is not moved.
    fn skip_to(&mut self, position: u64) {
        if self.filled == 0 && position > self.head.position {
            self.head.position = position;
        }
    }

    /// Takes a whole frame off the front of `rest`, which need not be kept, if nothing has been begun.
    fn pass<'a>(&mut self, rest: &mut &'a [i16], early: bool) -> Option<(Head, &'a [i16])> {
        if self.filled > 0 {
            return None;
        }
        let (frame, behind) = rest.split_at_checked(self.samples.len())?;
        *rest = behind;
        let head = Head { early, ..self.head };
        self.last = frame.last().copied().unwrap_or(self.last);
        self.head.position += frame.len() as u64;
        Some((head, frame))
    }

    /// Takes samples until the frame is full; returns how many.
    fn append(&mut self, samples: &[i16], early: bool, patch: Option<&mut Release>) -> usize {
        if self.filled == 0 {
            self.head.early = early;
        }
        let count = samples.len().min(self.samples.len() - self.filled);
        let space = &mut self.samples[self.filled..][..count];
        space.copy_from_slice(&samples[..count]);
        if let Some(patch) = patch {
            patch.mix_into(space);
        }
        self.last = space.last().copied().unwrap_or(self.last);
        self.filled += count;
        count
    }

    /// The frame, once it is full; the next one begins behind it.
    fn complete(&mut self) -> Option<(Head, &[i16])> {
        if self.filled < self.samples.len() {
            return None;
        }
        let head = self.head;
        self.filled = 0;
        self.head.position += self.samples.len() as u64;
        Some((head, &self.samples))
    }
}

/// The way from a wire rate to another application rate, in whole blocks.
#[derive(Debug)]
struct Converter {
    resampler: Resampler,
    /// The block that is being filled; empty between packets that are whole blocks long.
    input: Vec<i16>,
}

impl Converter {
    fn new(wire: SampleRate, rate: SampleRate) -> Self {
        let resampler = Resampler::new(wire, rate);
        let input = Vec::with_capacity(resampler.block_in());
        Self { resampler, input }
    }

    /// Takes samples off the front of `rest` and converts each block that there is, as long as there is room in `out`;
    /// returns how much that gave.
    fn fill(&mut self, out: &mut [i16], rest: &mut &[i16]) -> usize {
        let blocks = out.chunks_exact_mut(self.resampler.block_out());
        let given = blocks.map(|out| self.block(out, rest)).take_while(|&given| given);
        given.count() * self.resampler.block_out()
    }

    /// Converts a block; false if there is none.
    fn block(&mut self, out: &mut [i16], rest: &mut &[i16]) -> bool {
        let block = self.resampler.block_in();
        if self.input.is_empty() && rest.len() >= block {
            let (whole, behind) = rest.split_at(block);
            *rest = behind;
            self.resampler.process(whole, out);
            return true;
        }
        let (part, behind) = rest.split_at(rest.len().min(block - self.input.len()));
        *rest = behind;
        self.input.extend_from_slice(part);
        if self.input.len() < block {
            return false;
        }
        self.resampler.process(&self.input, out);
        self.input.clear();
        true
    }

    /// Converts what had not filled a block, so that it has its time in the stream.
    fn finish(&mut self) -> Vec<i16> {
        let count = self.input.len() * self.resampler.block_out() / self.resampler.block_in();
        self.input.resize(self.resampler.block_in(), 0);
        let mut output = vec![0; self.resampler.block_out()];
        self.resampler.process(&self.input, &mut output);
        output.truncate(count);
        output
    }
}
