//! What the sound of one call costs, in CPU time per second of sound: `cargo bench --bench audio`.
//!
//! `convert` is one resampler in a warm cache. `call` is both directions of a call as a provider runs them, 500
//! calls in turn, so that each finds the cache as cold as on a loaded machine; divide by 500 for one call.

use std::hint::black_box;
use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use outdial::audio::{Resampler, SampleRate, listen, playout};
use rustix::time::{ClockId, clock_gettime};

/// How long `work` takes `times` times, in CPU time of this thread: what else runs on the machine does not count.
fn cpu_time(times: u64, mut work: impl FnMut()) -> Duration {
    let now = || Duration::try_from(clock_gettime(ClockId::ThreadCPUTime)).expect("CPU time is positive");
    let start = now();
    (0..times).for_each(|_| work());
    now() - start
}

/// Calls that take turns.
const CALLS: usize = 500;

/// A second of something that is neither silent nor periodic.
fn second(rate: SampleRate) -> Vec<i16> {
    let mut state = 1_u32;
    let noise = std::iter::repeat_with(|| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 18) as i16 - 8_192
    });
    noise.take(rate.hz() as usize).collect()
}

fn convert(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("convert");
    for from in SampleRate::ALL {
        for to in SampleRate::ALL.into_iter().filter(|&to| to != from) {
            let sound = second(from);
            let mut resampler = Resampler::new(from, to);
            let mut out = vec![0; resampler.block_out()];
            group.bench_function(format!("{} to {}", from.hz(), to.hz()), |bencher| {
                bencher.iter_custom(|times| {
                    cpu_time(times, || {
                        for block in sound.chunks_exact(resampler.block_in()) {
                            resampler.process(block, &mut out);
                            black_box(&out);
                        }
                    })
                });
            });
        }
    }
}

fn call(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group(format!("call x {CALLS}"));
    for (rate, wire) in [(8_000, 8_000), (16_000, 8_000), (16_000, 16_000), (24_000, 8_000), (16_000, 48_000)]
    {
        let [rate, wire] = [rate, wire].map(|hz| SampleRate::try_from(hz).expect("a rate of telephony"));
        let sound = second(rate);
        let mut packet = vec![0; wire.frame_len()];
        let mut calls: Vec<_> = std::iter::repeat_with(|| {
            let (speaker, mut source) = playout(rate, Duration::from_millis(200));
            let (listener, mut sink) = listen(rate, Duration::from_millis(100));
            source.set_wire_rate(wire);
            sink.set_wire_rate(wire);
            (speaker, source, sink, listener)
        })
        .take(CALLS)
        .collect();
        group.bench_function(format!("{} over {}", rate.hz(), wire.hz()), |bencher| {
            bencher.iter_custom(|times| {
                cpu_time(times, || {
                    for frame in sound.chunks_exact(rate.frame_len()) {
                        for (speaker, source, sink, listener) in &mut calls {
                            speaker.try_send(frame).expect("the source is here");
                            source.pull(&mut packet);
                            sink.push(&packet, false);
                            black_box(listener.try_recv()).expect("a packet is a frame");
                        }
                    }
                })
            });
        });
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2))
        .sample_size(20);
    targets = convert, call
}
criterion_main!(benches);
