//! What a model says, on its way into the playout queue.

use std::collections::VecDeque;
use std::future::pending;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use tokio::sync::OwnedMutexGuard;

use super::utterance::Utterance;
use crate::audio::{Mark, MarkOutcome, SendError, Speaker};
use crate::speech::{AdapterError, Cut, Spoken};

/// How much sound waits for its turn; then the model waits.
const MOST: Duration = Duration::from_secs(60);
/// How many utterances that are over are remembered, so that what still comes of them is not heard.
const OVER: usize = 16;

pub(super) struct Mouth {
    speaker: Speaker,
    /// The last time that the queue was cleared we know of.
    clears: u64,
    /// What is to be queued; the first one is being queued.
    ahead: VecDeque<Utterance>,
    doing: Option<Doing>,
    /// What has been queued and not been played.
    queued: VecDeque<(Utterance, Mark)>,
    /// What was played or cut.
    over: VecDeque<Arc<str>>,
}

/// What is being waited for. It goes on where it was when the waiting was dropped.
enum Doing {
    /// The turn to speak: another text is being said.
    Floor(BoxFuture<'static, OwnedMutexGuard<()>>),
    /// The next piece.
    Floored(OwnedMutexGuard<()>),
    /// Room in the queue.
    Sending(OwnedMutexGuard<()>, BoxFuture<'static, Result<(), SendError>>),
}

/// An utterance that is over.
pub(super) struct Over {
    pub(super) spoken: Spoken,
    pub(super) cut: Cut,
    /// When its first sample was played, if it was.
    pub(super) start: Option<Instant>,
}

/// What happened to something that was said.
pub(super) enum Told {
    /// It was played to its end.
    Played(Over),
    /// Somebody has cleared the queue.
    Cleared,
    /// The call has ended.
    Closed,
    /// The sound cannot be used.
    Unusable(AdapterError),
}

impl Over {
    fn new(mut utterance: Utterance, played: u64, outcome: MarkOutcome) -> Self {
        let spoken = utterance.spoken(played, outcome);
        let cut = utterance.cut(played, &spoken);
        Self { spoken, cut, start: utterance.first.as_mut().and_then(Mark::passed_at) }
    }
}

impl Mouth {
    pub(super) fn new(speaker: Speaker) -> Self {
        let clears = speaker.clears();
        Self {
            speaker,
            clears,
            ahead: VecDeque::new(),
            doing: None,
            queued: VecDeque::new(),
            over: VecDeque::new(),
        }
    }

    pub(super) fn speaker(&self) -> &Speaker {
        &self.speaker
    }

    /// Whether nothing is being said, or about to be.
    pub(super) fn is_idle(&self) -> bool {
        self.ahead.is_empty() && self.queued.is_empty()
    }

    /// Whether there is room for more.
    pub(super) fn has_room(&self) -> bool {
        let waiting: u64 = self.ahead.iter().map(Utterance::waiting).sum();
        self.speaker.rate().duration(waiting) < MOST
    }

    /// The utterance with this name, unless it is over.
    fn utterance(&mut self, id: &Arc<str>) -> Option<&mut Utterance> {
        if self.over.contains(id) {
            return None;
        }
        if let Some(place) = self.queued.iter().position(|(utterance, _)| utterance.id == *id) {
            return self.queued.get_mut(place).map(|(utterance, _)| utterance);
        }
        let place = self.ahead.iter().position(|utterance| utterance.id == *id).unwrap_or(self.ahead.len());
        if place == self.ahead.len() {
            self.ahead.push_back(Utterance::new(Arc::clone(id), self.speaker.rate()));
        }
        self.ahead.get_mut(place)
    }

    fn over(&mut self, id: &Arc<str>) {
        if self.over.len() == OVER {
            self.over.pop_front();
        }
        self.over.push_back(Arc::clone(id));
    }

    /// More sound of an utterance; what comes behind its end, or when it was cut, is not heard.
    pub(super) fn sound(&mut self, id: &Arc<str>, samples: &[i16], hz: u32) {
        if let Some(utterance) = self.utterance(id).filter(|utterance| !utterance.whole) {
            utterance.sound(samples, hz);
        }
    }

    /// More words of an utterance; returns whether it is heard.
    pub(super) fn words(&mut self, id: &Arc<str>, text: &str) -> bool {
        let utterance = self.utterance(id);
        let is_heard = utterance.is_some();
        if let Some(utterance) = utterance {
            utterance.words(text);
        }
        is_heard
    }

    pub(super) fn whole(&mut self, id: &Arc<str>) {
        if let Some(utterance) = self.ahead.iter_mut().find(|utterance| utterance.id == *id) {
            utterance.whole = true;
        }
    }

    /// Nothing more will come.
    pub(super) fn finish(&mut self) {
        self.ahead.iter_mut().for_each(|utterance| utterance.whole = true);
    }

    /// Stops at once; tells what was cut.
    pub(super) fn interrupt(&mut self) -> Vec<Over> {
        self.doing = None;
        self.speaker.clear();
        self.cleared(MarkOutcome::Cleared)
    }

    /// The queue was cleared, or the call has ended: tells what was cut.
    pub(super) fn cleared(&mut self, outcome: MarkOutcome) -> Vec<Over> {
        // Before the wire's far end answers: what it throws away it confirms as well.
        let played = self.speaker.played();
        self.clears = self.speaker.clears();
        self.doing = None;
        let queued = std::mem::take(&mut self.queued).into_iter().map(|(utterance, _)| utterance);
        let mut cut = Vec::new();
        for utterance in queued.chain(std::mem::take(&mut self.ahead)) {
            self.over(&utterance.id);
            let outcome = if utterance.is_played(played) { MarkOutcome::Played } else { outcome };
            cut.push(Over::new(utterance, played, outcome));
        }
        cut
    }

    /// Speaks, until something is to be told.
    ///
    /// # Cancel safety
    ///
    /// One that is dropped goes on where it was with the next one.
    pub(super) async fn next(&mut self) -> Told {
        loop {
            if let Err(error) = self.go_on() {
                return Told::Unusable(error);
            }
            tokio::select! {
                biased;
                error = self.speaker.voided(self.clears) => {
                    return if error == SendError::Closed { Told::Closed } else { Told::Cleared };
                }
                outcome = reached(&mut self.queued) => {
                    // The other outcomes come with what is told above.
                    if let Some((utterance, _)) = self.queued.pop_front() {
                        self.over(&utterance.id);
                        return Told::Played(Over::new(utterance, self.speaker.played(), outcome));
                    }
                }
                () = step(&mut self.doing) => {}
            }
        }
    }

    /// Does what needs no waiting.
    fn go_on(&mut self) -> Result<(), AdapterError> {
        loop {
            let Some(utterance) = self.ahead.front_mut() else { return Ok(()) };
            match self.doing.take() {
                None if utterance.is_queued() || utterance.waiting() > 0 => {
                    self.doing = Some(Doing::Floor(self.speaker.clone().own_floor().boxed()));
                    return Ok(());
                }
                Some(Doing::Floored(floor)) => match utterance.next_piece() {
                    Some(piece) => {
                        let (piece, speaker, clears) = (piece?, self.speaker.clone(), self.clears);
                        if !piece.is_empty() && utterance.first.is_none() {
                            utterance.first = Some(speaker.mark_within("the first word"));
                        }
                        let stats = speaker.stats();
                        utterance.queued_at(stats.played + stats.queued);
                        let send = async move { speaker.send_unless_cleared(&piece, clears).await };
                        self.doing = Some(Doing::Sending(floor, send.boxed()));
                        return Ok(());
                    }
                    None if utterance.is_queued() => {
                        // Another text may be said now.
                        drop(floor);
                        self.speaker.end_utterance();
                        let mark = self.speaker.mark(&*utterance.id);
                        self.queued.extend(self.ahead.pop_front().map(|utterance| (utterance, mark)));
                    }
                    None => {
                        self.doing = Some(Doing::Floored(floor));
                        return Ok(());
                    }
                },
                doing => {
                    self.doing = doing;
                    return Ok(());
                }
            }
        }
    }
}

/// Waits until the first of these has been played, or never will be.
async fn reached(queued: &mut VecDeque<(Utterance, Mark)>) -> MarkOutcome {
    match queued.front_mut() {
        Some((_, mark)) => match mark.await {
            MarkOutcome::Played => MarkOutcome::Played,
            _ => pending().await,
        },
        None => pending().await,
    }
}

/// Waits for the next step.
async fn step(doing: &mut Option<Doing>) {
    match doing {
        Some(Doing::Floor(floor)) => {
            let floor = floor.await;
            *doing = Some(Doing::Floored(floor));
        }
        Some(Doing::Sending(_, sent)) => {
            // Why it was not taken, the speaker tells.
            let _ = sent.await;
            if let Some(Doing::Sending(floor, _)) = doing.take() {
                *doing = Some(Doing::Floored(floor));
            }
        }
        Some(Doing::Floored(_)) | None => pending().await,
    }
}
