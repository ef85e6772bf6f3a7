//! The media clock's side of a call's sound allocates nothing once it runs: a thousand calls on a clock thread
//! leave no time to wait for the allocator.

use std::time::Duration;

use outdial::audio::{SampleRate, listen, playout};

#[test]
fn the_clock_allocates_nothing() {
    let control = allocation_counter::measure(|| drop(std::hint::black_box(vec![0; 160])));
    assert_eq!(control.count_total, 1, "allocations are counted");
    for rate in SampleRate::ALL {
        for wire in SampleRate::ALL {
            let (speaker, mut source) = playout(rate, Duration::from_secs(1));
            let (listener, mut sink) = listen(rate, Duration::from_millis(60));
            source.set_wire_rate(wire);
            sink.set_wire_rate(wire);
            let speech: Vec<i16> = (0..rate.hz()).map(|n| (n * 7_919) as i16).collect();
            let mut packet = vec![0; wire.frame_len()];
            source.pull(&mut packet);

            assert_eq!(speaker.try_send(&speech), Ok(speech.len()));
            let mark = speaker.mark("all of it");
            let info = allocation_counter::measure(|| {
                // A second of speech, its end, silence; the listener is too slow and loses frames.
                for _ in 0..60 {
                    source.pull(&mut packet);
                    sink.push(&packet, false);
                }
            });
            assert_eq!(info.count_total, 0, "{rate} over {wire}: {info:?}");
            assert_eq!(speaker.played(), mark.position());
            assert_eq!(listener.stats().dropped, 57);
        }
    }
}
