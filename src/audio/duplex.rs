//! Both directions of a call, turn by turn, for a recorder: what the wire brought and what went out on it at the same
//! time.
//!
//! The clock that serves a call owns the [`DuplexSink`] and gives it, in each turn, the frame from the callee and the frame
//! to the callee. It never waits: the sink holds a lock for a copy, and what a slow reader leaves no room for becomes
//! silence of the same length, which is counted. Whoever writes it down owns the [`DuplexSource`] and takes batches.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

use super::{SampleRate, lock};

#[cfg(test)]
mod tests;

/// How much sound waits for a reader that is busy, such as with a slow disk.
const CAPACITY: Duration = Duration::from_secs(4);
/// A step between two streams of a call that is shorter than this is the clock's own unevenness.
const LEAST_GAP: Duration = Duration::from_millis(10);

/// Makes the two ends. Without `sound` the time is kept and no sound; `paused` is how it begins.
pub(crate) fn duplex(sound: bool, paused: bool) -> (DuplexSink, DuplexSource) {
    let control = DuplexControl(Arc::new(Shared {
        sound,
        paused: AtomicBool::new(paused),
        state: Mutex::new(State::default()),
    }));
    let sink = DuplexSink {
        control: control.clone(),
        rate: SampleRate::default(),
        heard: Vec::new(),
        begun: false,
        since: None,
        new_stream: true,
    };
    (sink, DuplexSource { control })
}

#[derive(Debug)]
struct Shared {
    sound: bool,
    paused: AtomicBool,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    batch: Batch,
    begun: Option<Begun>,
    /// The rate of the latest turn.
    rate: Option<SampleRate>,
    /// Where the stream to the listener begins on the time line of the call, in milliseconds.
    listening_ms: i64,
    paused: Duration,
    lost: Duration,
    ended: bool,
}

/// When the first turn was.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Begun {
    pub(crate) at: Instant,
    pub(crate) wall: SystemTime,
}

/// What has come since the reader looked last.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    /// Samples in pairs: the callee's, ours.
    pub(crate) samples: Vec<i16>,
    /// What stands between them, in order.
    pub(crate) steps: Vec<Step>,
}

/// Something in front of a pair of samples.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Step {
    /// How many pairs of the batch are before it.
    pub(crate) at: usize,
    pub(crate) what: Between,
}

/// See [`Step`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Between {
    /// From here on the samples have this rate.
    Rate(SampleRate),
    /// So many pairs of silence: nothing was on the wire, or there was no room for it.
    Silence(u64),
}

/// Pauses a recording and tells its time line. A cheap clone.
#[derive(Debug, Clone)]
pub(crate) struct DuplexControl(Arc<Shared>);

impl DuplexControl {
    /// From the next turn on there is silence instead of sound, or sound again.
    pub(crate) fn pause(&self, paused: bool) {
        self.0.paused.store(paused, Ordering::Release);
    }

    pub(crate) fn is_paused(&self) -> bool {
        self.0.paused.load(Ordering::Acquire)
    }

    /// When the first turn was, if there was one.
    pub(crate) fn begun(&self) -> Option<Begun> {
        lock(&self.0.state).begun
    }

    /// Where the listener's stream begins on the time line, in milliseconds: less than 0 if it heard early media.
    pub(crate) fn listening_ms(&self) -> i64 {
        lock(&self.0.state).listening_ms
    }
}

/// The clock's end. Dropping it ends the recording.
#[derive(Debug)]
pub(crate) struct DuplexSink {
    control: DuplexControl,
    rate: SampleRate,
    /// What the callee said in the turn that is under way.
    heard: Vec<i16>,
    begun: bool,
    /// When the latest turn began, and how long it lasts.
    since: Option<(Instant, Duration)>,
    /// A stream has begun whose first turn is to come.
    new_stream: bool,
}

impl DuplexSink {
    #[cfg_attr(
        not(any(feature = "twilio", test)),
        expect(dead_code, reason = "for streams with time stamps")
    )]
    pub(crate) fn control(&self) -> &DuplexControl {
        &self.control
    }

    /// A stream begins, the first one or another. Time that passes between two of them is silence.
    pub(crate) fn set_wire_rate(&mut self, rate: SampleRate) {
        self.rate = rate;
        self.new_stream = true;
    }

    /// The first turn is now; later calls change nothing. The listener has heard so much before it.
    pub(crate) fn begin(&mut self, listened: Duration) {
        if !std::mem::replace(&mut self.begun, true) {
            let mut state = lock(&self.control.0.state);
            state.begun = Some(Begun { at: Instant::now(), wall: SystemTime::now() });
            state.listening_ms = -i64::try_from(listened.as_millis()).unwrap_or(i64::MAX);
        }
    }

    /// The listener's stream begins so long after the first turn.
    #[cfg_attr(
        not(any(feature = "twilio", test)),
        expect(dead_code, reason = "for streams with time stamps")
    )]
    pub(crate) fn listener_begins(&self, after: Duration) {
        lock(&self.control.0.state).listening_ms = i64::try_from(after.as_millis()).unwrap_or(i64::MAX);
    }

    /// What the callee said in this turn; so many turns before it were left out.
    pub(crate) fn heard(&mut self, samples: &[i16], missed: u64) {
        let now = Instant::now();
        let length = self.rate.duration(samples.len() as u64);
        let silent = match self.since.replace((now, length)) {
            // The clock of another stream has another phase.
            Some((at, lasted)) if std::mem::take(&mut self.new_stream) => {
                now.saturating_duration_since(at + lasted)
            }
            Some(_) => length * u32::try_from(missed).unwrap_or(u32::MAX),
            None => Duration::ZERO,
        };
        self.new_stream = false;
        if silent >= LEAST_GAP {
            self.put_silence(self.rate.samples_in(silent) as u64);
        }
        self.heard.clear();
        self.heard.extend_from_slice(samples);
    }

    /// What went out in this turn. A turn in which nothing was [heard](Self::heard), because it is not to be recorded, is
    /// none.
    pub(crate) fn spoken(&mut self, samples: &[i16]) {
        let heard = std::mem::take(&mut self.heard);
        if !heard.is_empty() {
            self.turn(&heard, samples, self.control.is_paused());
        }
        self.heard = heard;
        self.heard.clear();
    }

    /// A turn of both directions. What is missing in one of them is silence.
    pub(crate) fn turn(&mut self, heard: &[i16], spoken: &[i16], paused: bool) {
        let shared = &self.control.0;
        let count = heard.len().max(spoken.len());
        let mut state = lock(&shared.state);
        if paused {
            state.paused += self.rate.duration(count as u64);
        }
        if !shared.sound {
            return;
        }
        state.follow(self.rate);
        if state.is_full(self.rate, count) {
            state.lost += self.rate.duration(count as u64);
            return state.skip(count as u64);
        }
        let samples = &mut state.batch.samples;
        if paused {
            samples.resize(samples.len() + 2 * count, 0);
            return;
        }
        samples.reserve(2 * count);
        for index in 0..count {
            let sample = |frame: &[i16]| frame.get(index).copied().unwrap_or_default();
            samples.extend([sample(heard), sample(spoken)]);
        }
    }

    /// Nothing was on the wire for so many samples.
    fn put_silence(&self, count: u64) {
        let mut state = lock(&self.control.0.state);
        if self.control.0.sound {
            state.follow(self.rate);
            state.skip(count);
        }
    }
}

impl Drop for DuplexSink {
    fn drop(&mut self) {
        lock(&self.control.0.state).ended = true;
    }
}

impl State {
    fn follow(&mut self, rate: SampleRate) {
        if self.rate != Some(rate) {
            self.rate = Some(rate);
            let at = self.batch.samples.len() / 2;
            self.batch.steps.push(Step { at, what: Between::Rate(rate) });
        }
    }

    fn is_full(&self, rate: SampleRate, more: usize) -> bool {
        self.batch.samples.len() / 2 + more > rate.samples_in(CAPACITY)
    }

    fn skip(&mut self, count: u64) {
        let here = self.batch.samples.len() / 2;
        match self.batch.steps.last_mut() {
            Some(Step { at, what: Between::Silence(silent) }) if *at == here => *silent += count,
            _ => self.batch.steps.push(Step { at: here, what: Between::Silence(count) }),
        }
    }
}

/// What the reader is told beside the batch.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Progress {
    /// There was a turn: the callee has answered.
    pub(crate) has_begun: bool,
    /// Nothing will follow.
    pub(crate) ended: bool,
    /// How much has been silenced by pauses so far.
    pub(crate) paused: Duration,
    /// How much there was no room for so far.
    pub(crate) lost: Duration,
}

/// The reader's end.
#[derive(Debug)]
pub(crate) struct DuplexSource {
    control: DuplexControl,
}

impl DuplexSource {
    pub(crate) fn control(&self) -> &DuplexControl {
        &self.control
    }

    /// Takes what there is, in exchange for an empty batch whose memory is used again.
    pub(crate) fn take(&mut self, batch: &mut Batch) -> Progress {
        batch.samples.clear();
        batch.steps.clear();
        let mut state = lock(&self.control.0.state);
        std::mem::swap(&mut state.batch, batch);
        Progress {
            has_begun: state.begun.is_some(),
            ended: state.ended,
            paused: state.paused,
            lost: state.lost,
        }
    }
}
