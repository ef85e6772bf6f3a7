//! The media clock: threads that move a frame in each direction of each call, every packet time.
//!
//! A thread wakes every 5 ms and serves the streams whose turn it is, so that a thread's calls do not all send at
//! once, and packet times of 10, 20, 30 and 40 ms have the same clock. A tick that comes late is made up for as long
//! as it is late by less than a packet; after a longer stall each stream sends one packet and goes on from now, without
//! a burst.

use std::cell::Cell;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::task::Waker;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, TryRecvError, unbounded};

use super::media::{self, CallMedia, MOST_SAMPLES, PinnedStream};
use super::round::{self, Round, Rounds};
use super::thread::Registration;
use crate::audio::SampleRate;

/// The clock's grain, in milliseconds.
const SLOT_MS: u64 = 5;

/// A media clock. Dropping it ends its threads, after each has let go of its streams.
pub(crate) struct Clock {
    shards: Vec<Shard>,
    stats: Arc<Counters>,
}

struct Shard {
    orders: Option<Sender<Order>>,
    load: Arc<AtomicUsize>,
    thread: Option<JoinHandle<()>>,
}

enum Order {
    Serve(Entry),
}

/// What the clock counted since its start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct ClockStats {
    /// Times that a stream was served.
    pub(crate) served: u64,
    /// Times that a stream was served more than a packet time late, and its missed turns were left out.
    pub(crate) late: u64,
}

#[derive(Default)]
struct Counters {
    served: AtomicU64,
    late: AtomicU64,
}

/// Keeps a stream on the clock; dropping it takes the stream off when its next frame is due.
#[derive(Debug)]
pub(crate) struct OnClock(Arc<AtomicBool>);

impl Drop for OnClock {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

impl Clock {
    /// Starts `threads` threads, at least one.
    pub(crate) fn start(threads: usize) -> io::Result<Self> {
        let stats = Arc::new(Counters::default());
        let shards =
            (0..threads.max(1)).map(|index| Shard::start(index, &stats)).collect::<io::Result<_>>()?;
        Ok(Self { shards, stats })
    }

    /// Puts a stream on the emptiest thread.
    pub(crate) fn add(&self, stream: Arc<PinnedStream>, media: Arc<CallMedia>) -> OnClock {
        let off = Arc::new(AtomicBool::new(false));
        let entry = Entry::new(stream, media, Arc::clone(&off));
        let emptiest = self.shards.iter().min_by_key(|shard| shard.load.load(Ordering::Relaxed));
        if let Some(shard) = emptiest {
            shard.load.fetch_add(1, Ordering::Relaxed);
            if let Some(orders) = &shard.orders {
                // The thread ends only when this sender is gone.
                let _ = orders.send(Order::Serve(entry));
            }
        }
        OnClock(off)
    }

    /// What was counted.
    pub(crate) fn stats(&self) -> ClockStats {
        ClockStats {
            served: self.stats.served.load(Ordering::Relaxed),
            late: self.stats.late.load(Ordering::Relaxed),
        }
    }
}

impl Drop for Clock {
    fn drop(&mut self) {
        for shard in &mut self.shards {
            shard.orders = None;
        }
        for shard in &mut self.shards {
            if let Some(thread) = shard.thread.take() {
                // A thread that panicked has said so in the log; there is nothing to add here.
                let _ = thread.join();
            }
        }
    }
}

impl Shard {
    fn start(index: usize, stats: &Arc<Counters>) -> io::Result<Self> {
        let (orders, inbox) = unbounded();
        let load = Arc::new(AtomicUsize::new(0));
        let mut worker = Worker {
            inbox,
            entries: Vec::new(),
            due: Vec::new(),
            load: Arc::clone(&load),
            stats: Arc::clone(stats),
            rounds: Rounds::new()?,
            buffer: Box::new([0; MOST_SAMPLES]),
            wakes: Vec::new(),
        };
        let name = format!("outdial-media-{index}");
        let thread = thread::Builder::new().name(name.clone()).spawn(move || {
            match Registration::new(&name) {
                Ok(_registered) => worker.run(),
                Err(error) => {
                    tracing::error!(target: "outdial::media", %error, "a media thread did not start")
                }
            }
            // Streams go before the registration: letting go of one may free it.
        })?;
        Ok(Self { orders: Some(orders), load, thread: Some(thread) })
    }
}

struct Worker {
    inbox: Receiver<Order>,
    entries: Vec<Entry>,
    /// Places of those whose turn it is.
    due: Vec<usize>,
    load: Arc<AtomicUsize>,
    stats: Arc<Counters>,
    rounds: Rounds,
    /// Room for one frame of any stream.
    buffer: Box<[i16; MOST_SAMPLES]>,
    /// Tasks that wait for what this turn brought. They are woken when all streams have been served: one by one, a
    /// thread of theirs would wake, run for less time than we need for the next stream, and go to sleep again.
    wakes: Vec<Waker>,
}

impl Worker {
    fn run(&mut self) {
        request_real_time();
        let started = Instant::now();
        let mut slot: u64 = 0;
        while self.take_orders(slot) {
            self.serve(slot);
            // With nobody to serve the clock need not tick: it waits for the next stream.
            if self.entries.is_empty() {
                let Ok(Order::Serve(entry)) = self.inbox.recv() else { return };
                slot = slot_at(started, Instant::now());
                self.enlist(entry, slot);
            }
            // Behind, the streams of all missed slots have their turn at once, each of them once.
            slot = slot_at(started, Instant::now()).max(slot + 1);
            let due = started + Duration::from_millis(SLOT_MS * slot);
            if let Some(wait) = due.checked_duration_since(Instant::now()) {
                thread::sleep(wait);
            }
        }
        self.entries.clear();
    }

    /// Takes what is in the inbox; false when the clock is gone.
    fn take_orders(&mut self, slot: u64) -> bool {
        loop {
            match self.inbox.try_recv() {
                Ok(Order::Serve(entry)) => self.enlist(entry, slot),
                Err(TryRecvError::Empty) => return true,
                Err(TryRecvError::Disconnected) => return false,
            }
        }
    }

    /// Gives a new stream the sub-slot that the fewest others of its packet time have.
    fn enlist(&mut self, mut entry: Entry, slot: u64) {
        let period = entry.turn.period;
        let turns =
            |phase: u64| self.entries.iter().filter(|other| other.turn.next % period == phase).count();
        let phase = (0..period).min_by_key(|phase| turns(*phase)).unwrap_or_default();
        entry.turn.next = slot - slot % period + phase;
        // Not a turn that is over.
        entry.turn.take(slot);
        self.entries.push(entry);
    }

    fn serve(&mut self, slot: u64) {
        self.due.clear();
        let (mut served, mut late) = (0, 0);
        for (index, entry) in self.entries.iter_mut().enumerate() {
            if let Some(missed) = entry.turn.take(slot) {
                self.due.push(index);
                entry.missed.set(missed);
            }
        }
        for due in self.due.chunks(round::MOST) {
            let round = self.rounds.begin();
            for entry in serve_round(&self.entries, due, round, &mut self.buffer, &mut self.wakes) {
                served += 1;
                late += u64::from(entry.missed.get() > 0);
            }
        }
        for waker in self.wakes.drain(..) {
            waker.wake();
        }
        let gone = self.due.len() - served;
        if gone > 0 {
            self.entries.retain(|entry| !entry.gone.get());
            self.load.fetch_sub(gone, Ordering::Relaxed);
        }
        self.stats.served.fetch_add(served as u64, Ordering::Relaxed);
        self.stats.late.fetch_add(late, Ordering::Relaxed);
    }
}

/// Serves those streams of a round that are still on the clock, and returns them.
fn serve_round<'a>(
    entries: &'a [Entry],
    due: &'a [usize],
    mut round: Round<'a>,
    buffer: &mut [i16; MOST_SAMPLES],
    wakes: &mut Vec<Waker>,
) -> impl Iterator<Item = &'a Entry> {
    let due = due.iter().map(|index| &entries[*index]);
    for step in 0..PREFETCH_STEPS {
        due.clone().for_each(|entry| entry.prefetch(step));
    }
    // Looked at when they are due: at each slot it would cost each call a cache line.
    due.clone().for_each(|entry| entry.gone.set(entry.off.load(Ordering::Acquire)));
    let serving = due.filter(|entry| !entry.gone.get());
    serving.clone().for_each(|entry| entry.read(&mut round));
    for (place, entry) in serving.clone().enumerate() {
        round.deliver(place);
        entry.frame(buffer, wakes);
    }
    serving
}

fn slot_at(started: Instant, now: Instant) -> u64 {
    u64::try_from(now.duration_since(started).as_millis()).unwrap_or(u64::MAX) / SLOT_MS
}

/// When a stream's frames are due, in slots.
#[derive(Debug, Clone, Copy)]
struct Turn {
    period: u64,
    next: u64,
}

impl Turn {
    /// Whether a frame is due by `slot`, and then how many turns were missed and are left out. The one after is in the
    /// same phase as ever.
    fn take(&mut self, slot: u64) -> Option<u64> {
        let missed = slot.checked_sub(self.next)? / self.period;
        self.next += (missed + 1) * self.period;
        Some(missed)
    }
}

/// One stream on the clock.
struct Entry {
    stream: Arc<PinnedStream>,
    media: Arc<CallMedia>,
    off: Arc<AtomicBool>,
    turn: Turn,
    /// Frames until RTCP is read.
    control_in: Cell<u32>,
    /// Turns that were left out before this one.
    missed: Cell<u64>,
    /// It was taken off the clock.
    gone: Cell<bool>,
}

/// Steps of [`Entry::prefetch`].
const PREFETCH_STEPS: u32 = 4;

/// RTCP comes every few seconds, and tells nothing that could not wait.
const FRAMES_PER_CONTROL: u32 = 50;

impl Entry {
    fn new(stream: Arc<PinnedStream>, media: Arc<CallMedia>, off: Arc<AtomicBool>) -> Self {
        let microseconds = stream.samples_per_frame() as u64 * 1_000_000 / u64::from(stream.clock_rate());
        let period = (microseconds / (1000 * SLOT_MS)).max(1);
        if let (Ok(rate), Some(queues)) = (SampleRate::try_from(stream.clock_rate()), media.queues().as_mut())
        {
            queues.set_wire_rate(rate);
        }
        let turn = Turn { period, next: 0 };
        Self { stream, media, off, turn, control_in: 0.into(), missed: 0.into(), gone: false.into() }
    }

    /// Asks the memory for what a turn needs: each step looks at what the one before has asked for.
    fn prefetch(&self, step: u32) {
        match step {
            0 => {
                media::prefetch(&*self.stream);
                media::prefetch(&*self.media);
                media::prefetch(&*self.off);
            }
            1 => self.stream.prefetch(0),
            _ => {
                self.stream.prefetch(step - 1);
                if let Some(queues) = self.media.queues().as_ref() {
                    queues.prefetch(step - 2);
                }
            }
        }
    }

    fn read<'a>(&'a self, round: &mut Round<'a>) {
        let left = self.control_in.get();
        self.control_in.set(left.checked_sub(1).unwrap_or(FRAMES_PER_CONTROL - 1));
        round.read(&self.stream, left == 0);
    }

    /// Moves one frame each way, after the turns that were left out.
    fn frame(&self, buffer: &mut [i16; MOST_SAMPLES], wakes: &mut Vec<Waker>) {
        let frame = &mut buffer[..self.stream.samples_per_frame()];
        let mut queues = self.media.queues();
        let Some(queues) = queues.as_mut() else { return };
        self.stream.receive(frame);
        let mut wake = |waker| wakes.push(waker);
        queues.hear_keys(frame);
        self.media.hear(queues, frame, self.missed.get(), &mut wake);
        queues.speak(frame, &mut wake);
        self.stream.send(frame);
    }
}

/// Asks for the real-time scheduler: with it a thousand calls keep their 20 ms within half a millisecond.
fn request_real_time() {
    // SAFETY: the record is complete; 0 is the calling thread.
    let refused = unsafe {
        let parameters = libc::sched_param { sched_priority: 10 };
        libc::sched_setscheduler(0, libc::SCHED_FIFO, &raw const parameters) != 0
    };
    if refused {
        tracing::info!(
            target: "outdial::media",
            "real-time scheduling is not permitted, packets may leave some milliseconds late; permit it by \
             CAP_SYS_NICE, by LimitRTPRIO=10 in the systemd unit, or by `rtprio 10` in limits.conf"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::Turn;

    /// The slots in which a stream with packets of 20 ms is served, when the clock wakes in these.
    fn served(wakes: impl IntoIterator<Item = u64>) -> (Vec<u64>, u64) {
        let mut turn = Turn { period: 4, next: 2 };
        let mut late = 0;
        let mut slots = Vec::new();
        for slot in wakes {
            if let Some(missed) = turn.take(slot) {
                slots.push(slot);
                late += missed;
            }
        }
        (slots, late)
    }

    #[test]
    fn a_stream_is_served_once_a_packet_time() {
        assert_eq!(served(0..16), (vec![2, 6, 10, 14], 0));
    }

    #[test]
    fn a_tick_that_is_late_by_less_than_a_packet_is_made_up_for() {
        // The clock slept through slots 6 to 8: the packet leaves late, and the next one in time.
        assert_eq!(served((0..6).chain(9..16)), (vec![2, 9, 10, 14], 0));
    }

    #[test]
    fn a_stall_of_200_ms_is_followed_by_one_packet_and_not_by_ten() {
        assert_eq!(served((0..4).chain(44..56)), (vec![2, 44, 46, 50, 54], 9));
    }
}
