//! Both streams back to back: what is spoken is what is heard, whatever the wire.

use std::time::Duration;

use proptest::prelude::*;

use super::measure::{correlation, steepest, steepest_of_tone, tone};
use super::*;

const AMPLITUDE: f64 = 12_000.0;

/// An application at one rate, a wire at another, and packets of one length that go round in a loop.
struct Loop {
    speaker: Speaker,
    source: PlayoutSource,
    sink: ListenSink,
    listener: Listener,
    packet: Vec<i16>,
}

impl Loop {
    fn new(rate: SampleRate, wire: SampleRate, packet_ms: u32) -> Self {
        let (speaker, mut source) = playout(rate, Duration::from_secs(2));
        let (listener, mut sink) = listen(rate, Duration::from_millis(200));
        source.set_wire_rate(wire);
        sink.set_wire_rate(wire);
        Self { speaker, source, sink, listener, packet: vec![0; wire.samples(packet_ms)] }
    }

    /// Moves one packet and appends what arrives.
    fn tick(&mut self, heard: &mut Vec<i16>) {
        self.source.pull(&mut self.packet);
        self.sink.push(&self.packet, false);
        while let Ok(frame) = self.listener.try_recv() {
            assert_eq!(frame.position(), heard.len() as u64);
            heard.extend(frame.samples());
        }
    }

    /// The delay of both resamplers, in samples of the application.
    fn delay(rate: SampleRate, wire: SampleRate) -> usize {
        if rate == wire { 0 } else { 2 * Resampler::new(rate, wire).delay() }
    }
}

/// A sine through playout, wire and listen: the same sine, later by what the resamplers promise, with no step that
/// is not its own at any frame border, at its start or at its end.
#[test]
fn a_tone_passes_every_wire_whole() {
    for rate in SampleRate::ALL {
        for wire in SampleRate::ALL {
            for packet_ms in [20, 30, 7] {
                let hz = 440.0;
                let spoken = tone(hz, AMPLITUDE, rate, rate.samples(250));
                let mut call = Loop::new(rate, wire, packet_ms);
                let mut heard = Vec::new();
                for _ in 0..3 {
                    call.tick(&mut heard);
                }
                let started = heard.len().max(rate.samples(3 * packet_ms));
                assert_eq!(call.speaker.try_send(&spoken), Ok(spoken.len()));
                call.speaker.end_utterance();
                for _ in 0..400 / packet_ms {
                    call.tick(&mut heard);
                }

                // A packet of 7 ms is no whole number of blocks: up to a block waits on either side.
                let delay = Loop::delay(rate, wire) + rate.samples(3 * packet_ms) - started;
                let slack = if packet_ms == 7 { rate.samples(20) } else { 0 };
                let best = (started + delay - slack.min(delay)..=started + delay + slack)
                    .map(|at| correlation(&heard[at..at + spoken.len()], &spoken))
                    .fold(0.0, f64::max);
                assert!(best > 0.9999, "{rate} over {wire}, {packet_ms} ms: {best}");

                // Where the tone begins and ends, the filters ring a little.
                let limit = 1.1 * steepest_of_tone(hz, AMPLITUDE, rate) + 4.0;
                let step = steepest(&heard);
                assert!(f64::from(step) <= limit, "{rate} over {wire}, {packet_ms} ms: {step} over {limit}");
                assert_eq!(call.speaker.played(), spoken.len() as u64);
                assert_eq!(call.speaker.stats().underruns, 0);
                assert_eq!(call.listener.stats().dropped, 0);
            }
        }
    }
}

/// Where nothing is converted, nothing is changed.
#[test]
fn equal_rates_are_a_copy() {
    for rate in SampleRate::ALL {
        let spoken: Vec<i16> = (0..rate.samples(200)).map(|n| (n * 7919) as i16).collect();
        let mut call = Loop::new(rate, rate, 20);
        call.speaker.try_send(&spoken).expect("the call is up");
        let mut heard = Vec::new();
        for _ in 0..10 {
            call.tick(&mut heard);
        }
        assert_eq!(heard, spoken);
    }
}

/// Ten minutes on the wire are ten minutes at the application, to the sample.
#[test]
fn nothing_drifts_in_ten_minutes() {
    use SampleRate::*;
    for (rate, wire) in
        [(Hz16000, Hz8000), (Hz8000, Hz16000), (Hz24000, Hz16000), (Hz24000, Hz8000), (Hz16000, Hz48000)]
    {
        let mut call = Loop::new(rate, wire, 20);
        let beep = tone(500.0, AMPLITUDE, rate, rate.samples(40));
        let (mut frames, mut arrivals, mut waiting) = (0_usize, Vec::new(), false);
        for tick in 0..30_000 {
            if tick % 3_000 == 0 {
                waiting = true;
                call.speaker.try_send(&beep).expect("the call is up");
                call.speaker.end_utterance();
            }
            call.source.pull(&mut call.packet);
            call.sink.push(&call.packet, false);
            let frame = call.listener.try_recv().expect("a packet of 20 ms is a frame of 20 ms");
            assert_eq!(frame.position(), (frames * rate.frame_len()) as u64);
            let beep = frame.samples().iter().position(|&sample| sample > 2_000);
            if let (true, Some(at)) = (waiting, beep) {
                waiting = false;
                arrivals.push(tick % 3_000 * rate.frame_len() + at);
            }
            frames += 1;
        }
        assert_eq!(arrivals, [arrivals[0]; 10], "{rate} over {wire}: how late the beeps arrive");
        assert!(arrivals[0] <= rate.samples(11), "{rate} over {wire}: {} samples", arrivals[0]);
    }
}

/// A codec change in mid-call neither clicks nor stops the stream, and time goes on.
#[test]
fn the_wire_rate_may_change_in_mid_speech() {
    let hz = 300.0;
    for rate in SampleRate::ALL {
        for before in SampleRate::ALL {
            for after in SampleRate::ALL {
                let mut call = Loop::new(rate, before, 20);
                let spoken = tone(hz, AMPLITUDE, rate, rate.samples(1_000));
                call.speaker.try_send(&spoken).expect("the call is up");
                let mut heard = Vec::new();
                for _ in 0..25 {
                    call.tick(&mut heard);
                }
                call.source.set_wire_rate(after);
                call.sink.set_wire_rate(after);
                call.packet = vec![0; after.samples(20)];
                for _ in 0..30 {
                    call.tick(&mut heard);
                }
                assert_eq!(heard.len(), rate.samples(1_100), "{rate}: {before} to {after}");
                assert_eq!(call.speaker.played(), spoken.len() as u64);
                // Old and new sound are faded over 3 ms each, in two places.
                let fade = 2.0 * AMPLITUDE / rate.samples(3) as f64;
                let limit = 1.1 * (steepest_of_tone(hz, AMPLITUDE, rate) + fade) + 4.0;
                let step = steepest(&heard);
                assert!(f64::from(step) <= limit, "{rate}: {before} to {after}: {step} over {limit}");
                let settled = rate.samples(560)..rate.samples(960);
                let loudest = heard[settled].iter().max().copied();
                assert!(loudest > Some(11_900), "{rate}: {before} to {after}: {loudest:?}");
            }
        }
    }
}

fn rates() -> impl Strategy<Value = SampleRate> {
    prop::sample::select(SampleRate::ALL.to_vec())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    /// How the wire cuts the sound into packets, and the application into sends, changes nothing in the sound.
    #[test]
    fn packets_do_not_shape_what_is_spoken(
        rate in rates(),
        wire in rates(),
        packets in prop::collection::vec(1..2_000_usize, 1..12),
        sends in prop::collection::vec(0..2_000_usize, 1..12),
    ) {
        let spoken = tone(523.0, AMPLITUDE, rate, sends.iter().sum());
        let stream = || {
            let (speaker, mut source) = playout(rate, Duration::from_secs(3));
            source.set_wire_rate(wire);
            (speaker, source)
        };
        let (speaker, mut source) = stream();
        prop_assert_eq!(speaker.try_send(&spoken), Ok(spoken.len()));
        let mut whole = vec![0; packets.iter().sum()];
        source.pull(&mut whole);

        let (speaker, mut source) = stream();
        let mut rest = &spoken[..];
        for count in sends {
            speaker.try_send(&rest[..count]).expect("the call is up");
            rest = &rest[count..];
        }
        let mut cut = Vec::new();
        for count in packets {
            let mut packet = vec![0; count];
            source.pull(&mut packet);
            cut.extend(packet);
        }
        prop_assert_eq!(cut, whole);
    }

    /// The same for what is heard.
    #[test]
    fn packets_do_not_shape_what_is_heard(
        rate in rates(),
        wire in rates(),
        packets in prop::collection::vec(0..2_000_usize, 1..12),
    ) {
        let said = tone(523.0, AMPLITUDE, wire, packets.iter().sum());
        let heard = |cut: &[usize]| {
            let (mut listener, mut sink) = listen(rate, Duration::from_secs(20));
            sink.set_wire_rate(wire);
            let mut rest = &said[..];
            for &count in cut {
                sink.push(&rest[..count], false);
                rest = &rest[count..];
            }
            std::iter::from_fn(move || listener.try_recv().ok()).collect::<Vec<Frame>>()
        };
        prop_assert_eq!(heard(&packets), heard(&[said.len()]));
    }
}
