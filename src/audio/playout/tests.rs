use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use super::*;

/// Counts how often a task would have been woken.
#[derive(Default)]
struct Wakes(AtomicUsize);

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

impl Wakes {
    fn count(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

fn poll<F: Future>(future: Pin<&mut F>, wakes: &Arc<Wakes>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(&Waker::from(Arc::clone(wakes))))
}

fn now<F: Future + Unpin>(future: &mut F) -> Option<F::Output> {
    match poll(Pin::new(future), &Arc::default()) {
        Poll::Ready(output) => Some(output),
        Poll::Pending => None,
    }
}

/// 8 kHz at both ends, room for 100 ms.
fn telephone() -> (Speaker, PlayoutSource) {
    playout(SampleRate::Hz8000, Duration::from_millis(100))
}

fn pull(source: &mut PlayoutSource) -> Vec<i16> {
    let mut packet = vec![-1; source.wire_rate().frame_len()];
    source.pull(&mut packet);
    packet
}

#[test]
fn a_full_queue_waits_for_half_of_it_to_be_played() {
    let (speaker, mut source) = telephone();
    let wakes = Arc::default();
    let samples: Vec<i16> = (1..=1_000).collect();
    let mut send = pin!(speaker.send(&samples));
    assert!(poll(send.as_mut(), &wakes).is_pending());
    assert_eq!(speaker.stats().queued, 800);

    assert_eq!(pull(&mut source), samples[..160]);
    assert_eq!(pull(&mut source), samples[160..320]);
    assert_eq!(wakes.count(), 0, "480 of 800 samples are left: not worth a wake-up yet");
    assert_eq!(pull(&mut source), samples[320..480]);
    assert_eq!(wakes.count(), 1);
    assert_eq!(pull(&mut source), samples[480..640]);
    assert_eq!(wakes.count(), 1, "a task that was woken is not woken again");

    assert_eq!(poll(send, &wakes), Poll::Ready(Ok(())));
    assert_eq!(pull(&mut source), samples[640..800]);
    assert_eq!(pull(&mut source)[..], samples[800..960]);
    assert_eq!(pull(&mut source)[..40], samples[960..]);
    assert_eq!((speaker.played(), wakes.count()), (1_000, 1));
}

#[test]
fn a_cancelled_send_leaves_what_it_queued() {
    let (speaker, mut source) = telephone();
    let samples: Vec<i16> = (1..=1_000).collect();
    {
        let mut send = pin!(speaker.send(&samples));
        assert!(poll(send.as_mut(), &Arc::default()).is_pending());
    }
    assert_eq!(speaker.stats().queued, 800);
    assert_eq!(pull(&mut source), samples[..160]);
    assert_eq!(speaker.try_send(&[7; 500]), Ok(160), "the turn is free again");
}

#[test]
fn sends_of_two_tasks_are_not_mixed() {
    let (speaker, mut source) = telephone();
    let other = speaker.clone();
    let (one, two) = ([1; 1_000], [2; 400]);
    let wakes = Arc::default();
    let mut first = pin!(speaker.send(&one));
    let mut second = pin!(other.send(&two));
    assert!(poll(first.as_mut(), &wakes).is_pending());
    assert!(poll(second.as_mut(), &wakes).is_pending());
    assert_eq!(speaker.try_send(&[3; 10]), Ok(0), "nor with a third");
    let mut heard = Vec::new();
    for _ in 0..4 {
        heard.extend(pull(&mut source));
    }
    assert_eq!(poll(first, &wakes), Poll::Ready(Ok(())));
    assert_eq!(poll(second, &wakes), Poll::Ready(Ok(())));
    for _ in 0..5 {
        heard.extend(pull(&mut source));
    }
    assert_eq!(heard[..1_000], one);
    assert_eq!(heard[1_000..1_400], two);
}

#[test]
fn clear_stops_the_speech_within_the_frame() {
    let (speaker, mut source) = telephone();
    let wakes = Arc::default();
    let samples = [10_000; 1_000];
    let mut send = pin!(speaker.send(&samples));
    assert!(poll(send.as_mut(), &wakes).is_pending());
    let mut mark = speaker.mark("greeting");
    pull(&mut source);

    assert_eq!(speaker.clear(), 640);
    assert_eq!(now(&mut mark), Some(MarkOutcome::Cleared));
    assert_eq!(wakes.count(), 1);
    assert_eq!(poll(send, &wakes), Poll::Ready(Err(SendError::Cleared)));

    let fade = pull(&mut source);
    assert!(fade.is_sorted_by(|a, b| a >= b) && fade[0] > 9_000, "{fade:?}");
    assert!(fade[24..].iter().all(|&sample| sample == 0));
    assert_eq!(source.pull(&mut [0; 160]), Pulled::Silence);
    assert_eq!(speaker.stats(), PlayoutStats { played: 160, discarded: 640, ..Default::default() });

    assert_eq!(speaker.try_send(&[5; 160]), Ok(160));
    assert_eq!(pull(&mut source), [5; 160], "the next utterance is played as it is");
}

#[test]
fn speech_right_after_clear_does_not_click() {
    let (speaker, mut source) = telephone();
    speaker.try_send(&[12_000; 480]).expect("the call is up");
    pull(&mut source);
    speaker.clear();
    let next = crate::audio::measure::tone(200.0, 4_000.0, SampleRate::Hz8000, 160);
    speaker.try_send(&next).expect("the call is up");
    let heard = pull(&mut source);
    let step = crate::audio::measure::steepest(&[&[12_000], &heard[..]].concat());
    assert!(step <= 12_000 / 24 + 4_000 / 6, "{step}");
    assert_eq!(heard[24..], next[24..]);
}

#[test]
fn a_change_of_the_wire_rate_does_not_click() {
    for before in SampleRate::ALL {
        for after in SampleRate::ALL {
            let (speaker, mut source) = playout(SampleRate::Hz16000, Duration::from_secs(1));
            source.set_wire_rate(before);
            speaker.try_send(&[12_000; 8_000]).expect("the call is up");
            for _ in 0..5 {
                pull(&mut source);
            }
            let mut heard = vec![12_000];
            source.set_wire_rate(after);
            heard.extend(pull(&mut source));
            heard.extend(pull(&mut source));
            let step = crate::audio::measure::steepest(&heard);
            let limit = 1.5 * 12_000.0 / after.samples(3) as f64;
            assert!(f64::from(step) <= limit, "{before} to {after}: {step} over {limit}");
            assert_eq!(heard.last(), Some(&12_000));
            assert_eq!(source.wire_rate(), after);
        }
    }
}

#[test]
fn clear_through_a_resampler_is_silent_by_the_next_frame() {
    for wire in SampleRate::ALL {
        let (speaker, mut source) = playout(SampleRate::Hz16000, Duration::from_secs(1));
        source.set_wire_rate(wire);
        let speech = crate::audio::measure::tone(400.0, 12_000.0, SampleRate::Hz16000, 8_000);
        speaker.try_send(&speech).expect("the call is up");
        for _ in 0..5 {
            pull(&mut source);
        }
        speaker.clear();
        let last = pull(&mut source);
        // Delay of the filter, fade, and what the filter rings.
        let old = wire.samples(5 + 3 + 5);
        assert!(last[old..].iter().all(|&sample| sample == 0), "{wire}: {last:?}");
        assert_eq!(source.pull(&mut last.clone()), Pulled::Silence);
        assert_eq!(speaker.played(), 1_600);
    }
}

#[test]
fn marks_tell_when_they_are_passed() {
    let (speaker, mut source) = telephone();
    let mut before = speaker.mark("nothing to play");
    assert_eq!(now(&mut before), Some(MarkOutcome::Played));

    speaker.try_send(&[1; 200]).expect("the call is up");
    let mut first = speaker.mark("first");
    speaker.try_send(&[1; 120]).expect("the call is up");
    let mut second = speaker.mark("second");
    assert_eq!((first.name(), first.position(), second.position()), ("first", 200, 320));
    pull(&mut source);
    assert_eq!(now(&mut first), None);
    pull(&mut source);
    assert_eq!(now(&mut first), Some(MarkOutcome::Played));
    assert_eq!(now(&mut second), Some(MarkOutcome::Played));

    speaker.try_send(&[1; 200]).expect("the call is up");
    let mut third = speaker.mark("third");
    drop(source);
    assert_eq!(now(&mut third), Some(MarkOutcome::Ended));
    assert_eq!(now(&mut speaker.mark("too late")), Some(MarkOutcome::Ended));
}

/// A mark waits for the samples that the resampler holds back, too.
#[test]
fn a_mark_is_passed_when_the_wire_has_the_samples() {
    let (speaker, mut source) = playout(SampleRate::Hz16000, Duration::from_secs(1));
    source.set_wire_rate(SampleRate::Hz8000);
    speaker.try_send(&[1_000; 320]).expect("the call is up");
    let mut mark = speaker.mark("word");
    pull(&mut source);
    assert_eq!((now(&mut mark), speaker.played()), (None, 320 - 80));
    assert_eq!(source.pull(&mut [0; 160]), Pulled::Speech);
    assert_eq!((now(&mut mark), speaker.played()), (Some(MarkOutcome::Played), 320));
}

#[test]
fn drain_waits_for_sends_and_for_the_last_sample() {
    let (speaker, mut source) = telephone();
    let wakes = Arc::default();
    let samples = [1; 900];
    let mut send = pin!(speaker.send(&samples));
    assert!(poll(send.as_mut(), &wakes).is_pending());
    let mut drain = pin!(speaker.drain());
    assert!(poll(drain.as_mut(), &wakes).is_pending());
    for _ in 0..5 {
        pull(&mut source);
    }
    assert_eq!(poll(send, &wakes), Poll::Ready(Ok(())));
    assert!(poll(drain.as_mut(), &wakes).is_pending());
    pull(&mut source);
    assert_eq!(poll(drain, &wakes), Poll::Ready(MarkOutcome::Played));
}

#[test]
fn the_end_of_the_call_ends_everything() {
    let (speaker, mut source) = telephone();
    let wakes = Arc::default();
    let samples = [1; 900];
    let mut send = pin!(speaker.send(&samples));
    assert!(poll(send.as_mut(), &wakes).is_pending());
    pull(&mut source);
    drop(source);
    assert_eq!(wakes.count(), 1);
    assert_eq!(poll(send, &wakes), Poll::Ready(Err(SendError::Closed)));
    assert_eq!(speaker.try_send(&samples), Err(SendError::Closed));
    assert!(speaker.is_closed());
    assert_eq!(speaker.stats(), PlayoutStats { played: 160, discarded: 640, ..Default::default() });
    assert_eq!(now(&mut pin!(speaker.drain())), Some(MarkOutcome::Ended));
}

#[test]
fn underruns_are_gaps_within_an_utterance() {
    let (speaker, mut source) = telephone();
    let gaps = |speaker: &Speaker| (speaker.stats().underruns, speaker.stats().underrun_samples);
    let say = |samples: &[i16]| assert_eq!(speaker.try_send(samples), Ok(samples.len()));
    pull(&mut source);
    say(&[1; 160]);
    pull(&mut source);
    assert_eq!(gaps(&speaker), (0, 0), "silence before the first word is none");
    pull(&mut source);
    pull(&mut source);
    assert_eq!(gaps(&speaker), (0, 0), "nobody knows yet whether more follows");
    say(&[1; 100]);
    assert_eq!(gaps(&speaker), (1, 320));
    pull(&mut source);
    say(&[1; 100]);
    assert_eq!(gaps(&speaker), (2, 380));

    speaker.end_utterance();
    pull(&mut source);
    say(&[1; 100]);
    assert_eq!(gaps(&speaker), (2, 380), "between utterances is none");
    drop(speaker.mark("said"));
    pull(&mut source);
    say(&[1; 100]);
    pull(&mut source);
    drop(speaker.mark("said, it turned out"));
    say(&[1; 100]);
    pull(&mut source);
    speaker.clear();
    say(&[1; 160]);
    pull(&mut source);
    pull(&mut source);
    assert_eq!(gaps(&speaker), (2, 380));
}

#[test]
fn speech_that_runs_dry_ends_and_resumes_without_a_click() {
    let (speaker, mut source) = telephone();
    speaker.try_send(&[12_000; 160]).expect("the call is up");
    let mut heard = [0; 160].to_vec();
    for _ in 0..3 {
        heard.extend(pull(&mut source));
    }
    speaker.try_send(&[12_000; 160]).expect("the call is up");
    heard.extend(pull(&mut source));
    assert_eq!(heard[160..320], [12_000; 160], "what was in time is untouched");
    let step = crate::audio::measure::steepest(&heard[160..]);
    assert!(step <= 12_000 / 24, "{step}");
}

#[test]
fn a_stream_costs_memory_only_for_what_is_queued() {
    let (speaker, source) = playout(SampleRate::Hz48000, Duration::from_secs(3_600));
    assert_eq!(speaker.try_send(&[1; 960]), Ok(960));
    assert_eq!(source.stats().queued, 960);
    let (speaker, _source) = playout(SampleRate::Hz8000, Duration::ZERO);
    assert_eq!(speaker.try_send(&[1; 960]), Ok(320), "at least two frames");
}

/// The real thing: a clock thread that is faster than any call, two tasks that speak, one that interrupts.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clock_thread_and_tasks_get_along() {
    let (speaker, mut source) = playout(SampleRate::Hz16000, Duration::from_millis(60));
    source.set_wire_rate(SampleRate::Hz8000);
    let over = Arc::new(AtomicBool::new(false));
    let clock = std::thread::spawn({
        let over = Arc::clone(&over);
        move || {
            let mut packet = [0; 160];
            while !over.load(Ordering::Relaxed) {
                source.pull(&mut packet);
                std::thread::yield_now();
            }
        }
    });
    let talk = |samples: usize| {
        let speaker = speaker.clone();
        tokio::spawn(async move {
            let mut cleared = 0;
            for _ in 0..200 {
                cleared += usize::from(speaker.send(&vec![1_000; samples]).await == Err(SendError::Cleared));
            }
            assert_ne!(speaker.drain().await, MarkOutcome::Ended);
            cleared
        })
    };
    let talkers = [talk(500), talk(1_100)];
    for _ in 0..50 {
        tokio::task::yield_now().await;
        speaker.clear();
    }
    let mut cleared = 0;
    for talker in talkers {
        cleared += talker.await.expect("it has not panicked");
    }
    assert_eq!(speaker.drain().await, MarkOutcome::Played);
    let stats = speaker.stats();
    assert_eq!(stats.queued, 0);
    let sent = 200 * (500 + 1_100);
    // A cleared send is not queued to its end; everything else was played or discarded.
    let least = sent - cleared as u64 * 1_100;
    assert!((least..=sent).contains(&(stats.played + stats.discarded)), "{stats:?}, {cleared} cleared");
    over.store(true, Ordering::Relaxed);
    clock.join().expect("the clock has not panicked");
}

/// A wire whose far end has a buffer: what it was given is not what it has played.
#[test]
fn where_the_far_end_confirms_a_mark_waits_for_it() {
    let (speaker, mut source) = telephone();
    source.await_confirmation();
    speaker.try_send(&[7; 320]).expect("the call is up");
    let mut word = speaker.mark("word");
    pull(&mut source);
    pull(&mut source);
    assert_eq!((source.handed(), speaker.played(), source.awaits_confirmation()), (320, 0, true));
    assert_eq!(now(&mut word), None);
    source.confirm(160);
    assert_eq!((now(&mut word), speaker.played(), speaker.stats().queued), (None, 160, 160));
    // More than was ever given cannot have been played.
    source.confirm(1_000);
    assert_eq!((now(&mut word), speaker.played()), (Some(MarkOutcome::Played), 320));
    assert!(!source.awaits_confirmation());

    // The same for a drain that finds the queue empty and the far end still playing.
    speaker.try_send(&[7; 160]).expect("the call is up");
    pull(&mut source);
    let mut drain = pin!(speaker.drain());
    assert!(poll(drain.as_mut(), &Arc::default()).is_pending());
    source.confirm(480);
    assert_eq!(poll(drain.as_mut(), &Arc::default()), Poll::Ready(MarkOutcome::Played));

    speaker.try_send(&[7; 160]).expect("the call is up");
    pull(&mut source);
    let mut cleared = speaker.mark("cleared");
    speaker.clear();
    assert_eq!((now(&mut cleared), source.clears()), (Some(MarkOutcome::Cleared), 1));
}

#[test]
fn the_source_tells_what_a_packet_would_get() {
    let (speaker, mut source) = playout(SampleRate::Hz16000, Duration::from_millis(100));
    source.set_wire_rate(SampleRate::Hz8000);
    assert_eq!(source.due(), Due::Nothing);
    speaker.try_send(&[1_000; 330]).expect("the call is up");
    assert_eq!(source.due(), Due::Packet);
    pull(&mut source);
    assert_eq!(source.due(), Due::Rest);
    pull(&mut source);
    // The resampler holds the end of what may go on; only an utterance that is over has to get out.
    speaker.try_send(&[1_000; 320]).expect("the call is up");
    pull(&mut source);
    assert_eq!(source.due(), Due::Nothing);
    speaker.end_utterance();
    assert_eq!(source.due(), Due::Rest);
    pull(&mut source);
    assert_eq!((source.due(), source.handed()), (Due::Nothing, 650));
}
