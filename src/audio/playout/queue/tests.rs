//! The queue against a model that is too simple to be wrong: every sample ever accepted has a number.

use proptest::prelude::*;
use tokio::sync::oneshot::error::TryRecvError;

use super::*;

#[derive(Debug, Clone)]
enum Step {
    Push(usize),
    Take(usize),
    Mark,
    Clear,
    EndUtterance,
    Close,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => (0..400_usize).prop_map(Step::Push),
        8 => prop_oneof![Just(160), 0..500_usize].prop_map(Step::Take),
        4 => Just(Step::Mark),
        1 => Just(Step::Clear),
        1 => Just(Step::EndUtterance),
    ];
    (prop::collection::vec(step, 1..200), any::<bool>()).prop_map(|(mut steps, close)| {
        if close {
            steps.push(Step::Close);
        }
        steps
    })
}

struct Given {
    position: u64,
    outcome: oneshot::Receiver<Passed>,
    expected: Option<MarkOutcome>,
}

proptest! {
    #[test]
    fn no_sample_is_lost_or_doubled_and_each_mark_resolves_once_in_order(
        steps in steps(),
        capacity in 1..1_000_usize,
        held in 0..100_u64,
    ) {
        let mut queue = Queue::new(capacity);
        let mut next_number = 0_i16; // of the next sample to be accepted
        let mut expected = VecDeque::new(); // the numbers that are queued
        let (mut taken, mut played, mut discarded) = (0_u64, 0_u64, 0_u64);
        let mut marks: Vec<Given> = Vec::new();
        for step in steps {
            match step {
                Step::Push(count) => {
                    let samples: Vec<i16> = (0..count).map(|n| next_number.wrapping_add(n as i16)).collect();
                    let accepted = queue.push(&samples);
                    prop_assert_eq!(accepted, count.min(capacity - expected.len()));
                    expected.extend(&samples[..accepted]);
                    next_number = next_number.wrapping_add(accepted as i16);
                }
                Step::Take(count) => {
                    let mut out = vec![0; count];
                    let found = queue.take(&mut out);
                    prop_assert_eq!(found.count, count.min(expected.len()));
                    for sample in &out[..found.count] {
                        prop_assert_eq!(Some(*sample), expected.pop_front());
                    }
                    taken += found.count as u64;
                    // A resampler holds some samples back, until it is flushed with silence.
                    let in_flight = if found.count < count { 0 } else { held };
                    let (wake, due) = queue.advance(in_flight);
                    wake.wake();
                    played = played.max(taken.saturating_sub(in_flight));
                    let reached: Vec<_> = std::iter::from_fn(|| queue.pop_reached()).collect();
                    prop_assert_eq!(due, !reached.is_empty());
                    reached.into_iter().for_each(|mark| mark.tell(MarkOutcome::Played));
                }
                Step::Mark => {
                    let (sender, outcome) = oneshot::channel();
                    let (position, resolved) = queue.mark(sender, true);
                    resolved.tell();
                    prop_assert_eq!(position, taken + expected.len() as u64);
                    marks.push(Given { position, outcome, expected: None });
                }
                Step::Clear => {
                    let (count, resolved, wake) = queue.clear();
                    resolved.tell();
                    wake.wake();
                    prop_assert_eq!(count, expected.len());
                    discarded += count as u64;
                    expected.clear();
                    for mark in marks.iter_mut().filter(|mark| mark.expected.is_none()) {
                        mark.expected = Some(MarkOutcome::Cleared);
                    }
                }
                Step::EndUtterance => queue.end_utterance(),
                Step::Close => {
                    let (resolved, wake) = queue.close();
                    resolved.tell();
                    wake.wake();
                    discarded += taken - played + expected.len() as u64;
                    taken = played;
                    expected.clear();
                    for mark in marks.iter_mut().filter(|mark| mark.expected.is_none()) {
                        mark.expected = Some(MarkOutcome::Ended);
                    }
                }
            }
            for mark in marks.iter_mut().filter(|mark| mark.expected.is_none()) {
                if mark.position <= played {
                    mark.expected = Some(MarkOutcome::Played);
                }
            }
            for mark in &mut marks {
                // A receiver gives its value once: put it back for the next look.
                match (mark.outcome.try_recv(), mark.expected) {
                    (Ok(passed), expected) => {
                        prop_assert_eq!(Some(passed.0), expected);
                        let (sender, outcome_again) = oneshot::channel();
                        sender.send(passed).expect("the receiver is here");
                        mark.outcome = outcome_again;
                    }
                    (Err(TryRecvError::Empty), expected) => prop_assert_eq!(expected, None),
                    (Err(TryRecvError::Closed), _) => prop_assert!(false, "a mark was dropped"),
                }
            }
            let stats = queue.stats();
            prop_assert_eq!((stats.played, stats.discarded), (played, discarded));
            prop_assert_eq!(stats.queued, taken - played + expected.len() as u64);
        }
    }
}
