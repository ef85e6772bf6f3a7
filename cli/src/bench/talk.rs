//! Many calls in which both sides speak all the time.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Instant;

use anyhow::{Context as _, Result};
use outdial::call::{Call, CallEnd};
use tokio::task::JoinSet;

use super::probe::{self, Found};
use super::rig;

/// Calls that are probed at the end; the others speak on meanwhile.
const PROBED: usize = 20;

/// What the calls are to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Phase {
    /// Speak and listen.
    Talking,
    /// The same, and note when frames come.
    Measuring,
    /// Probe some, speak in the others.
    Probing,
    /// End.
    Over,
}

/// All calls.
pub(super) struct Talk {
    phase: Arc<AtomicU8>,
    probed: JoinSet<Result<Heard>>,
    others: JoinSet<Result<Heard>>,
}

/// What one call, or all of them, came to.
#[derive(Default)]
pub(super) struct Heard {
    pub(super) calls: Vec<Call>,
    /// Microseconds between frames at the application.
    pub(super) intervals: Vec<u32>,
    pub(super) found: Found,
    pub(super) underruns: u64,
    pub(super) dropped: u64,
}

impl Talk {
    /// Begins to speak `sound`, again and again, and to listen in all calls.
    pub(super) fn begin(calls: Vec<Call>, sound: Arc<[i16]>) -> Self {
        let phase = Arc::new(AtomicU8::new(Phase::Talking as u8));
        let (mut probed, mut others) = (JoinSet::new(), JoinSet::new());
        for (index, call) in calls.into_iter().enumerate() {
            let is_probed = index < PROBED;
            let tasks = if is_probed { &mut probed } else { &mut others };
            tasks.spawn(converse(call, Arc::clone(&sound), Arc::clone(&phase), is_probed));
        }
        Self { phase, probed, others }
    }

    pub(super) fn enter(&self, phase: Phase) {
        self.phase.store(phase as u8, Ordering::Relaxed);
    }

    /// Probes some calls while the others go on, then tells what was heard in all.
    pub(super) async fn finish(self) -> Result<Heard> {
        self.enter(Phase::Probing);
        let probed = self.probed.join_all().await;
        self.phase.store(Phase::Over as u8, Ordering::Relaxed);
        let others = self.others.join_all().await;
        let mut all = Heard::default();
        for heard in probed.into_iter().chain(others) {
            all.add(heard?);
        }
        Ok(all)
    }
}

impl Heard {
    fn add(&mut self, other: Self) {
        self.calls.extend(other.calls);
        self.intervals.extend(other.intervals);
        self.found.round_trips.extend(other.found.round_trips);
        self.found.clears.extend(other.found.clears);
        self.found.lost += other.found.lost;
        self.underruns += other.underruns;
        self.dropped += other.dropped;
    }
}

async fn converse(call: Call, sound: Arc<[i16]>, phase: Arc<AtomicU8>, probed: bool) -> Result<Heard> {
    let audio = call.audio()?;
    let (speaker, mut listener) = (audio.speaker, audio.listener);
    let speaking = tokio::spawn(rig::speak(speaker.clone(), sound));
    let mut heard = Heard::default();
    let mut last: Option<Instant> = None;
    loop {
        listener.recv().await.context("a call ended early")?;
        let now = Instant::now();
        let phase = phase.load(Ordering::Relaxed);
        if phase == Phase::Measuring as u8 {
            heard.intervals.extend(last.map(|last| rig::micros(now - last)));
            last = Some(now);
        } else if phase == Phase::Over as u8 || (probed && phase == Phase::Probing as u8) {
            break;
        }
    }
    speaking.abort();
    heard.underruns = speaker.stats().underruns;
    heard.dropped = listener.stats().dropped;
    speaker.clear();
    if probed {
        heard.found = probe::probe(speaker, listener).await?;
    }
    heard.calls.push(call);
    Ok(heard)
}

/// Hangs up in all calls at once and waits for their ends.
pub(super) async fn hang_up_all(calls: Vec<Call>) -> Vec<CallEnd> {
    let mut tasks = JoinSet::new();
    for call in calls {
        tasks.spawn(async move { call.hangup().await });
    }
    tasks.join_all().await
}
