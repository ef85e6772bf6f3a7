use std::pin::pin;
use std::sync::atomic::AtomicUsize;
use std::task::{Wake, Waker};

use proptest::prelude::*;

use super::*;

#[derive(Default)]
struct Wakes(AtomicUsize);

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// 8 kHz at both ends, room for three frames.
fn telephone() -> (Listener, ListenSink) {
    listen(SampleRate::Hz8000, Duration::from_millis(60))
}

#[test]
fn frames_come_in_order_with_their_place() {
    let (mut listener, mut sink) = telephone();
    assert_eq!(listener.try_recv(), Err(TryRecvError::Empty));
    let samples: Vec<i16> = (0..400).collect();
    sink.push(&samples, true);
    let frame = listener.try_recv().expect("a frame is complete");
    assert_eq!((frame.samples(), frame.position(), frame.is_early()), (&samples[..160], 0, true));
    sink.push(&[9; 80], false);
    let frame = listener.try_recv().expect("a frame is complete");
    assert_eq!((frame.position(), frame.start()), (160, Duration::from_millis(20)));
    let frame = listener.try_recv().expect("a frame is complete");
    assert_eq!((frame.samples()[79], frame.samples()[80]), (399, 9));
    assert!(frame.is_early(), "the answer fell into it");
    sink.push(&[9; 160], false);
    assert!(!listener.try_recv().expect("a frame is complete").is_early());
}

#[test]
fn the_oldest_frames_go_when_nobody_listens() {
    let (mut listener, mut sink) = telephone();
    for n in 0..10 {
        sink.push(&[n; 160], false);
    }
    assert_eq!(listener.stats(), ListenStats { delivered: 0, queued: 3, dropped: 7 });
    for n in 7..10 {
        let frame = listener.try_recv().expect("it is queued");
        assert_eq!((frame.samples(), frame.position()), (&[n as i16; 160][..], n * 160));
    }
    assert_eq!(sink.stats(), ListenStats { delivered: 3, queued: 0, dropped: 7 });
}

#[test]
fn a_waiting_task_is_woken_once_and_a_busy_one_never() {
    let (mut listener, mut sink) = telephone();
    let wakes = Arc::new(Wakes::default());
    let waker = Waker::from(Arc::clone(&wakes));
    let mut cx = Context::from_waker(&waker);
    {
        let mut recv = pin!(listener.recv());
        assert!(recv.as_mut().poll(&mut cx).is_pending());
        sink.push(&[1; 159], false);
        assert_eq!(wakes.0.load(Ordering::Relaxed), 0, "a frame is whole or is none");
        sink.push(&[1; 1], false);
        sink.push(&[2; 160], false);
        assert_eq!(wakes.0.load(Ordering::Relaxed), 1);
    } // Cancelled: it has taken nothing.
    assert_eq!(listener.try_recv().expect("it is queued").samples()[0], 1);
    assert_eq!(listener.try_recv().expect("it is queued").samples()[0], 2);
    assert!(pin!(listener.recv()).poll(&mut cx).is_pending());
    drop(sink);
    assert_eq!(wakes.0.load(Ordering::Relaxed), 2);
    assert_eq!(pin!(listener.recv()).poll(&mut cx), Poll::Ready(None));
    assert_eq!(listener.try_recv(), Err(TryRecvError::Ended));
}

#[test]
fn a_change_of_the_wire_rate_keeps_the_time() {
    let (mut listener, mut sink) = listen(SampleRate::Hz16000, Duration::from_millis(100));
    sink.set_wire_rate(SampleRate::Hz8000);
    sink.push(&[0; 56], false); // 7 ms, no whole block
    sink.set_wire_rate(SampleRate::Hz48000);
    sink.push(&[0; 623], false); // not quite 13 ms
    sink.set_wire_rate(SampleRate::Hz16000);
    assert_eq!(listener.try_recv(), Err(TryRecvError::Empty));
    sink.push(&[7; 321], false);
    let frame = listener.try_recv().expect("20 ms");
    assert_eq!(frame.samples().iter().position(|&sample| sample != 0), Some(319), "7 + 13 ms less a sample");
    assert_eq!(listener.try_recv().expect("20 ms more").position(), 320);
}

#[test]
fn what_was_heard_before_the_end_is_still_read() {
    let (mut listener, mut sink) = telephone();
    sink.push(&[1; 200], false);
    drop(sink);
    assert!(listener.try_recv().is_ok());
    assert_eq!(listener.try_recv(), Err(TryRecvError::Ended));
}

#[test]
fn a_stream_without_a_listener_is_not_kept() {
    let (listener, mut sink) = telephone();
    drop(listener);
    sink.push(&[1; 1_600], false);
    assert_eq!(sink.stats(), ListenStats::default());
}

#[tokio::test]
async fn a_reader_on_another_thread_gets_every_frame() {
    let (mut listener, mut sink) = listen(SampleRate::Hz16000, Duration::from_secs(20));
    sink.set_wire_rate(SampleRate::Hz8000);
    let clock = std::thread::spawn(move || {
        for _ in 0..500 {
            sink.push(&[1_000; 160], false);
        }
    });
    let mut frames = 0;
    while let Some(frame) = listener.recv().await {
        assert_eq!(frame.position(), frames * 320);
        frames += 1;
    }
    clock.join().expect("the clock has not panicked");
    assert_eq!(frames, 500);
}

proptest! {
    /// Whatever comes in whatever pieces: what is read is what was pushed, in order, whole frames, at the place
    /// that the position says; and every frame is accounted for.
    #[test]
    fn frames_are_the_samples_that_were_pushed(
        steps in prop::collection::vec((0..700_usize, 0..4_usize), 1..100),
        capacity_ms in 0..400_u64,
    ) {
        let (mut listener, mut sink) = listen(SampleRate::Hz8000, Duration::from_millis(capacity_ms));
        let (mut pushed, mut last_end, mut read) = (0_usize, 0_u64, 0_u64);
        for (push, reads) in steps {
            let samples: Vec<i16> = (pushed..pushed + push).map(|n| n as i16).collect();
            sink.push(&samples, false);
            pushed += push;
            for _ in 0..reads {
                let Ok(frame) = listener.try_recv() else { break };
                prop_assert!(frame.position() >= last_end);
                let position = frame.position() as usize;
                let expected: Vec<i16> = (position..position + 160).map(|n| n as i16).collect();
                prop_assert_eq!(frame.samples(), &expected[..]);
                last_end = frame.position() + 160;
                read += 1;
            }
            let stats = listener.stats();
            prop_assert_eq!(stats.delivered, read);
            prop_assert_eq!(stats.delivered + stats.queued + stats.dropped, pushed as u64 / 160);
        }
    }
}
