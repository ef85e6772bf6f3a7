//! The life of a call as a pure state machine: signals with their times in, events out. No I/O, no clock.
//!
//! Providers translate what they see into [`Signal`]s, in whatever order the network makes them; the machine keeps
//! the promise of [`CallEvent`]: the order, at most once where it says so, exactly one `Ended` and nothing after it.

use std::time::Instant;

use super::{Answered, CallEnd, CallEvent, EndFacts, MediaStats, SipStatus, TransferOutcome};
use crate::audio::dtmf::Digit;

/// Something a provider saw.
#[derive(Debug, Clone)]
pub(crate) enum Signal {
    /// The request left.
    Sent,
    /// A provisional answer; `media` says that sound comes with it.
    Provisional { status: SipStatus, media: bool },
    /// The callee picked up.
    Answered(Answered),
    /// A key was pressed.
    Digit(Digit),
    /// The call is, or is no longer, on hold.
    Hold(bool),
    /// News of a transfer.
    Transfer(TransferOutcome),
    /// The callee has left, and the call goes on with somebody else, whose time is counted elsewhere.
    Left,
    /// RTP has, or has no longer, stopped.
    Stalled(bool),
    /// It is over.
    Ended(Box<Ending>),
}

/// What is known about an end beside the times, which the machine knows.
#[derive(Debug, Clone)]
pub(crate) struct Ending {
    /// What led to it.
    pub(crate) facts: EndFacts,
    /// Our own words.
    pub(crate) detail: Option<String>,
    /// How the media did.
    pub(crate) media: Option<MediaStats>,
}

/// See the [module](self).
#[derive(Debug, Default)]
pub(crate) struct CallMachine {
    sent: Option<Instant>,
    trying: bool,
    ringing: bool,
    early_media: bool,
    rings_since: Option<Instant>,
    answered: Option<Instant>,
    left: Option<Instant>,
    held: bool,
    stalled: bool,
    ended: bool,
}

impl CallMachine {
    /// Takes a signal that was seen at `now` and returns the events that follow from it.
    pub(crate) fn apply(&mut self, now: Instant, signal: Signal) -> Vec<CallEvent> {
        if self.ended {
            return Vec::new();
        }
        match signal {
            Signal::Sent => self.sent(now),
            Signal::Provisional { status, media } => self.provisional(now, status, media),
            Signal::Answered(answered) => self.answer(now, answered),
            Signal::Digit(digit) if self.answered.is_some() => vec![CallEvent::Dtmf(digit)],
            Signal::Hold(on) if self.answered.is_some() && on != self.held => {
                self.held = on;
                vec![if on { CallEvent::Held } else { CallEvent::Resumed }]
            }
            Signal::Transfer(outcome) if self.answered.is_some() => {
                vec![CallEvent::TransferProgress(outcome)]
            }
            Signal::Left => {
                self.left.get_or_insert(now);
                Vec::new()
            }
            Signal::Stalled(on) if self.answered.is_some() && on != self.stalled => {
                self.stalled = on;
                vec![if on { CallEvent::MediaStalled } else { CallEvent::MediaResumed }]
            }
            // A key or a hold before the answer has no place in the order; it is not news worth breaking it for.
            Signal::Digit(_) | Signal::Hold(_) | Signal::Transfer(_) | Signal::Stalled(_) => Vec::new(),
            Signal::Ended(ending) => vec![CallEvent::Ended(self.end(now, *ending))],
        }
    }

    /// When the request left.
    pub(crate) fn sent_at(&self) -> Option<Instant> {
        self.sent
    }

    /// When the callee picked up.
    pub(crate) fn answered_at(&self) -> Option<Instant> {
        self.answered
    }

    /// Whether a 18x has come: the callee's end was reached.
    pub(crate) fn reached(&self) -> bool {
        self.rings_since.is_some()
    }

    fn sent(&mut self, now: Instant) -> Vec<CallEvent> {
        // The same request goes out again with credentials (RFC 3261 §22) or to the next target: still one call.
        if self.sent.replace(self.sent.unwrap_or(now)).is_some() {
            Vec::new()
        } else {
            vec![CallEvent::Initiated]
        }
    }

    fn provisional(&mut self, now: Instant, status: SipStatus, media: bool) -> Vec<CallEvent> {
        let mut events = self.sent(now);
        if self.answered.is_some() {
            return events;
        }
        if status.code > 100 {
            self.rings_since.get_or_insert(now);
        }
        if media {
            self.early_media = true;
            events.push(CallEvent::EarlyMedia(status));
        } else if status.code == 180 && !self.ringing && !self.early_media {
            self.ringing = true;
            events.push(CallEvent::Ringing);
        } else if !self.trying && !self.ringing && !self.early_media {
            self.trying = true;
            events.push(CallEvent::Trying);
        }
        events
    }

    fn answer(&mut self, now: Instant, answered: Answered) -> Vec<CallEvent> {
        if self.answered.is_some() {
            return Vec::new();
        }
        let mut events = self.sent(now);
        self.answered = Some(now);
        events.push(CallEvent::Answered(answered));
        events
    }

    fn end(&mut self, now: Instant, ending: Ending) -> CallEnd {
        self.ended = true;
        let Ending { mut facts, detail, media } = ending;
        facts.answered = self.answered.is_some();
        facts.provisional_18x = self.reached();
        let mut end = facts.into_end();
        end.ring_time = self
            .rings_since
            .map(|since| self.answered.unwrap_or(now).duration_since(since))
            .unwrap_or_default();
        let till = self.left.unwrap_or(now);
        end.talk_time = self.answered.map(|since| till.duration_since(since)).unwrap_or_default();
        end.detail = detail;
        end.media = media;
        end
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;
    use crate::call::EndReason;

    fn provisional(code: u16, media: bool) -> Signal {
        Signal::Provisional { status: SipStatus::new(code, "x"), media }
    }

    fn answered() -> Signal {
        Signal::Answered(Answered { codec: "PCMU/8000".into(), srtp: None, remote: None })
    }

    fn ended() -> Signal {
        let facts = EndFacts { bye_from_remote: true, ..EndFacts::default() };
        Signal::Ended(Box::new(Ending { facts, detail: None, media: None }))
    }

    /// The names of the events that follow from signals that come a second apart.
    fn events(signals: Vec<Signal>) -> Vec<CallEvent> {
        let (mut machine, start) = (CallMachine::default(), Instant::now());
        let times = (0..).map(|second| start + Duration::from_secs(second));
        times.zip(signals).flat_map(|(now, signal)| machine.apply(now, signal)).collect()
    }

    fn names(signals: Vec<Signal>) -> Vec<&'static str> {
        events(signals).iter().map(name).collect()
    }

    fn name(event: &CallEvent) -> &'static str {
        match event {
            CallEvent::Initiated => "initiated",
            CallEvent::Trying => "trying",
            CallEvent::Ringing => "ringing",
            CallEvent::EarlyMedia(_) => "early",
            CallEvent::Answered(_) => "answered",
            CallEvent::Dtmf(_) => "dtmf",
            CallEvent::Held => "held",
            CallEvent::Resumed => "resumed",
            CallEvent::TransferProgress(_) => "transfer",
            CallEvent::MediaStalled => "stalled",
            CallEvent::MediaResumed => "flowing",
            CallEvent::SpeechFailed { .. } => "speech-failed",
            CallEvent::RecordingFault { .. } => "recording-fault",
            CallEvent::Ended(_) => "ended",
        }
    }

    fn digit() -> Signal {
        Signal::Digit(Digit::try_from('1').unwrap())
    }

    #[test]
    fn a_table_of_lives() {
        use Signal::{Hold, Sent, Stalled};
        let table: Vec<(Vec<Signal>, &[&str])> = vec![
            (
                vec![Sent, provisional(100, false), provisional(180, false), answered(), ended()],
                &["initiated", "trying", "ringing", "answered", "ended"],
            ),
            // Repeated requests and answers are no news.
            (
                vec![Sent, Sent, provisional(180, false), provisional(180, false), answered(), answered()],
                &["initiated", "ringing", "answered"],
            ),
            // What comes out of order is left out, or the order would be broken.
            (vec![Sent, provisional(180, false), provisional(100, false)], &["initiated", "ringing"]),
            (
                vec![Sent, provisional(183, true), provisional(180, false), provisional(183, true)],
                &["initiated", "early", "early"],
            ),
            (vec![Sent, digit(), Hold(true), ended()], &["initiated", "ended"]),
            (vec![Sent, answered(), provisional(180, false)], &["initiated", "answered"]),
            // A request that was never seen leaving has left if it was answered.
            (vec![provisional(180, false)], &["initiated", "ringing"]),
            // States that are told once are told when they change.
            (
                vec![Sent, answered(), Hold(false), Hold(true), Hold(true), Hold(false), digit(), digit()],
                &["initiated", "answered", "held", "resumed", "dtmf", "dtmf"],
            ),
            (
                vec![Sent, answered(), Stalled(true), Stalled(true), Stalled(false), ended()],
                &["initiated", "answered", "stalled", "flowing", "ended"],
            ),
            // Nothing comes after the end.
            (vec![Sent, ended(), ended(), answered(), digit()], &["initiated", "ended"]),
        ];
        for (signals, expected) in table {
            assert_eq!(names(signals.clone()), expected, "{signals:?}");
        }
    }

    #[test]
    fn ring_and_talk_times_are_counted_from_the_18x_and_the_answer() {
        let signals = vec![Signal::Sent, provisional(180, false), digit(), answered(), digit(), ended()];
        let Some(CallEvent::Ended(end)) = events(signals).pop() else { panic!("no end") };
        assert_eq!((end.ring_time, end.talk_time), (Duration::from_secs(2), Duration::from_secs(2)));
        assert_eq!(end.reason, EndReason::Completed);
        // Whoever takes the callee's place has a time of their own.
        let signals = vec![Signal::Sent, answered(), Signal::Left, digit(), Signal::Left, ended()];
        let Some(CallEvent::Ended(end)) = events(signals).pop() else { panic!("no end") };
        assert_eq!(end.talk_time, Duration::from_secs(1));
        let Some(CallEvent::Ended(end)) = events(vec![Signal::Sent, ended()]).pop() else { panic!("no end") };
        assert_eq!((end.ring_time, end.talk_time), (Duration::ZERO, Duration::ZERO));
    }

    fn any_signal() -> impl Strategy<Value = Signal> {
        prop_oneof![
            Just(Signal::Sent),
            (100u16..200, any::<bool>()).prop_map(|(code, media)| provisional(code, media)),
            Just(answered()),
            Just(digit()),
            any::<bool>().prop_map(Signal::Hold),
            any::<bool>().prop_map(Signal::Stalled),
            Just(Signal::Left),
            Just(ended()),
        ]
    }

    proptest! {
        #[test]
        fn whatever_comes_the_promise_is_kept(signals in prop::collection::vec(any_signal(), 0..40)) {
            const ORDER: [&str; 6] = ["initiated", "trying", "ringing", "early", "answered", "ended"];
            let names = names(signals);
            for once in ["initiated", "trying", "ringing", "answered", "ended"] {
                prop_assert!(names.iter().filter(|name| **name == once).count() <= 1);
            }
            let ranks: Vec<_> = names.iter().filter_map(|name| ORDER.iter().position(|o| o == name)).collect();
            prop_assert!(ranks.is_sorted(), "{:?}", names);
            let during = |name: &&&str| !ORDER.contains(*name);
            let answered = names.iter().position(|name| *name == "answered");
            let first = names.iter().position(|name| during(&name));
            prop_assert!(first.is_none() || answered < first);
            prop_assert!(names.iter().position(|name| *name == "ended").is_none_or(|at| at + 1 == names.len()));
        }
    }
}
