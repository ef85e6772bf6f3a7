//! The callee's sentences, as sound.

use std::collections::VecDeque;
use std::time::Duration;

use crate::audio::{FRAME_MS, Frame};
use crate::speech::VoiceChange;

/// How much silence goes along on both sides: recognisers lose words that begin or end with the sound.
const MARGIN: Duration = Duration::from_millis(240);
/// How much sound is kept while nobody speaks: the margin, and what it takes to notice that somebody does.
const KEPT: Duration = Duration::from_millis(600);

/// Somebody spoke.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Utterance {
    pub(super) frames: Vec<Frame>,
    /// When the speech began, without the margin.
    pub(super) start: Duration,
    /// When it ended.
    pub(super) end: Duration,
}

/// Cuts a call's sound into utterances.
#[derive(Debug)]
pub(super) struct Cutter {
    longest: Duration,
    recent: VecDeque<Frame>,
    current: Option<Utterance>,
}

impl Cutter {
    /// Cuts what is longer than `longest`.
    pub(super) fn new(longest: Duration) -> Self {
        Self { longest, recent: VecDeque::new(), current: None }
    }

    /// Takes the next frame, and what the detector has found with it; returns what is to be recognised.
    pub(super) fn push(&mut self, frame: Frame, change: Option<VoiceChange>) -> Option<Utterance> {
        let now = frame.start() + Duration::from_millis(FRAME_MS.into());
        match &mut self.current {
            Some(current) => {
                current.frames.push(frame);
                current.end = now;
            }
            None => {
                let oldest = frame.start().saturating_sub(KEPT);
                while self.recent.front().is_some_and(|kept| kept.start() < oldest) {
                    self.recent.pop_front();
                }
                self.recent.push_back(frame);
            }
        }
        match change {
            Some(VoiceChange::Started { at }) => {
                let from = at.saturating_sub(MARGIN);
                let frames = self.recent.drain(..).filter(|frame| frame.start() >= from).collect();
                self.current = Some(Utterance { frames, start: at, end: now });
                None
            }
            Some(VoiceChange::Ended { at }) => {
                let mut spoken = self.current.take()?;
                self.recent =
                    spoken.frames.iter().filter(|frame| frame.start() + KEPT >= now).cloned().collect();
                spoken.frames.retain(|frame| frame.start() < at + MARGIN);
                spoken.end = at.max(spoken.start);
                Some(spoken)
            }
            None => {
                let current = self.current.as_mut()?;
                let long = now.saturating_sub(current.start) >= self.longest;
                let next = Utterance { frames: Vec::new(), start: now, end: now };
                long.then(|| std::mem::replace(current, next))
            }
        }
    }

    /// What was being said at the end of the call.
    pub(super) fn finish(&mut self) -> Option<Utterance> {
        self.current.take().filter(|spoken| !spoken.frames.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audio::{SampleRate, listen};

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    /// Pushes so many frames, with changes behind those with these numbers.
    fn cut(longest: Duration, frames: usize, changes: &[(usize, VoiceChange)]) -> (Vec<Utterance>, Cutter) {
        let (mut listener, mut sink) = listen(SampleRate::Hz8000, Duration::from_secs(60));
        let mut cutter = Cutter::new(longest);
        let mut cuts = Vec::new();
        for n in 0..frames {
            sink.push(&[0; 160], false);
            let change = changes.iter().find(|(at, _)| *at == n).map(|(_, change)| *change);
            cuts.extend(cutter.push(listener.try_recv().unwrap(), change));
        }
        (cuts, cutter)
    }

    #[test]
    fn an_utterance_has_a_margin_on_both_sides() {
        let started = VoiceChange::Started { at: ms(1_000) };
        let ended = VoiceChange::Ended { at: ms(2_000) };
        let again = VoiceChange::Started { at: ms(2_500) };
        let (cuts, mut cutter) = cut(ms(60_000), 140, &[(55, started), (125, ended), (130, again)]);
        let [cut] = &cuts[..] else { panic!("{cuts:?}") };
        assert_eq!((cut.start, cut.end), (ms(1_000), ms(2_000)));
        let span = |frames: &[Frame]| (frames[0].start(), frames[frames.len() - 1].start());
        assert_eq!((span(&cut.frames), cut.frames.len()), ((ms(760), ms(2_220)), 74));
        // What follows has its margin too, out of the pause.
        let last = cutter.finish().unwrap();
        assert_eq!(
            (span(&last.frames), last.start, last.end),
            ((ms(2_260), ms(2_780)), ms(2_500), ms(2_800))
        );
        assert_eq!(cutter.finish(), None);
    }

    #[test]
    fn what_is_long_is_cut_and_nothing_is_lost() {
        let (cuts, mut cutter) = cut(ms(1_000), 160, &[(5, VoiceChange::Started { at: ms(0) })]);
        let ends: Vec<_> = cuts.iter().map(|cut| (cut.start, cut.end, cut.frames.len())).collect();
        assert_eq!(ends, [(ms(0), ms(1_000), 50), (ms(1_000), ms(2_000), 50), (ms(2_000), ms(3_000), 50)]);
        assert_eq!(cutter.finish().unwrap().frames.len(), 10);
    }
}
