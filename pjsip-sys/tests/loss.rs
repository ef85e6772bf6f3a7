//! A network that loses packets: what was lost is concealed, or recovered, and the sound goes on; and what is counted of it.
//!
//! Two streams face each other, and the test is the network between them: nothing here depends on time.

mod support;

use pjsip_sys::pjmedia_rtcp_stat;
use std::net::UdpSocket;
use std::time::Duration;
use support::Lib;
use support::side::{Side, end, media_endpoint};

/// Every so many packets one is lost: 5 %.
const LOST: usize = 20;
const PACKETS: usize = 300;

/// Something like speech at 16 kHz, or at the codec's rate: a voice whose pitch and loudness change all the time.
fn voice(rate: usize, from: usize, count: usize) -> Vec<i16> {
    let tau = std::f64::consts::TAU;
    let wave = |n: usize| {
        let time = n as f64 / rate as f64;
        let phase = 150.0 * time + 4.0 * (tau * 3.1 * time).sin();
        let harmonics = (1..12).map(|k| (tau * phase * f64::from(k)).sin() / f64::from(k)).sum::<f64>();
        (6_000.0 + 3_000.0 * (tau * 4.3 * time).sin()) * harmonics
    };
    (from..from + count).map(|n| wave(n) as i16).collect()
}

/// What is heard of so many packets, by packet, if the network loses those for which `lost` says so.
fn heard(format: &[&str], lost: impl Fn(usize) -> bool) -> Vec<Vec<i16>> {
    received(format, lost, |_| {}).0
}

/// What is heard, and what the listener has counted. `before` is done to it before each packet and each frame.
fn received(
    format: &[&str],
    lost: impl Fn(usize) -> bool,
    before: fn(&Side),
) -> (Vec<Vec<i16>>, pjmedia_rtcp_stat) {
    let lib = Lib::new();
    let endpoint = media_endpoint(&lib);
    let network = UdpSocket::bind("127.0.0.1:0").unwrap();
    network.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let far = network.local_addr().unwrap();
    let (speaker, listener) =
        (Side::new(&lib, endpoint, format, far), Side::new(&lib, endpoint, format, far));
    let rate = speaker.samples * 50;
    let mut packet = [0; 1_500];
    let frames = (0..PACKETS).map(|number| {
        speaker.say(&mut voice(rate, number * speaker.samples, speaker.samples));
        let length = network.recv(&mut packet).unwrap();
        before(&listener);
        if !lost(number) {
            network.send_to(&packet[..length], listener.rtp).unwrap();
            while listener.poll() == 0 {}
        }
        before(&listener);
        listener.hear()
    });
    let frames = frames.collect();
    let counted = listener.statistics();
    speaker.end();
    listener.end();
    end(endpoint);
    (frames, counted)
}

fn every(number: usize) -> bool {
    number % LOST == LOST - 1
}

fn level(samples: &[i16]) -> f64 {
    (samples.iter().map(|&sample| f64::from(sample).powi(2)).sum::<f64>() / samples.len() as f64).sqrt()
}

/// How much of `samples` is `original`: 1 is all of it.
fn likeness(samples: &[i16], original: &[i16]) -> f64 {
    let dot = |a: &[i16], b: &[i16]| a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum::<f64>();
    dot(samples, original) / (dot(samples, samples) * dot(original, original)).sqrt().max(1.0)
}

const PCMU: &[&str] = &["0"];
const G722: &[&str] = &["9"];
const OPUS: &[&str] = &["96", "a=rtpmap:96 opus/48000/2", "a=fmtp:96 useinbandfec=1"];
/// As in our own calls.
const OPUS_AT_16_KHZ: &[&str] =
    &["96", "a=rtpmap:96 opus/48000/2", "a=fmtp:96 maxplaybackrate=16000;sprop-maxcapturerate=16000"];

#[test]
fn a_lost_packet_leaves_no_hole() {
    for (name, format) in [("PCMU", PCMU), ("G.722", G722), ("Opus", OPUS)] {
        let whole = heard(format, |_| false);
        let lossy = heard(format, every);
        // The first second belongs to the jitter buffer.
        let usual = level(&whole[50..].concat());
        let quiet =
            |frames: &[Vec<i16>]| frames[50..].iter().filter(|frame| level(frame) < usual / 10.0).count();
        assert_eq!(quiet(&whole), 0, "{name} without loss");
        assert_eq!(quiet(&lossy), 0, "{name}: holes where packets were lost");
        // It goes on in step: what was not lost is heard in its own time.
        let alike = |(ours, theirs): (&Vec<i16>, &Vec<i16>)| likeness(ours, theirs) > 0.9;
        let same = whole[50..].iter().zip(&lossy[50..]).filter(|pair| alike(*pair)).count();
        assert!(same * 10 >= (PACKETS - 50) * 8, "{name}: only {same} frames of {} are heard", PACKETS - 50);
    }
}

#[test]
fn opus_recovers_what_the_next_packet_says_again() {
    let without: &[&str] = &[OPUS[0], OPUS[1]];
    let recovered = |format| {
        let (whole, lossy) = (heard(format, |_| false), heard(format, every));
        // A frame later than the packet, for which its copy in the next one is waited; the jitter buffer adds some.
        let delay = (0..10).max_by(|a, b| {
            let fit = |delay: usize| {
                let worst = |number: usize| likeness(&lossy[number + delay], &whole[number + delay]);
                (50..PACKETS - 10).filter(|number| every(*number)).map(worst).sum::<f64>()
            };
            fit(*b).total_cmp(&fit(*a))
        });
        let delay = delay.unwrap();
        let lost = (50..PACKETS - 10).filter(|number| every(*number));
        let alike: Vec<f64> =
            lost.map(|number| likeness(&lossy[number + delay], &whole[number + delay])).collect();
        alike.iter().sum::<f64>() / alike.len() as f64
    };
    let (with, without) = (recovered(OPUS), recovered(without));
    assert!(with > 0.8, "of a lost frame {with:.2} is recovered");
    assert!(with > without + 0.1, "with the copies {with:.2}, without them {without:.2}");
}

#[test]
fn jitter_of_opus_is_counted_in_units_of_its_48_khz() {
    // The network brings each packet at once: 20 ms before it is due after the one before, less what coding takes.
    let early = 20.0;
    for (name, format) in [("PCMU", PCMU), ("G.722", G722), ("Opus", OPUS_AT_16_KHZ)] {
        let (_, counted) = received(format, |_| false, |_| {});
        let jitter = f64::from(counted.rx.jitter.last) / 1_000.0;
        assert!(jitter < early * 1.5, "{name}: {jitter} ms");
        assert!(jitter > early * 0.5, "{name}: {jitter} ms");
    }
}

#[test]
fn a_stream_is_the_same_after_a_prefetch() {
    for format in [PCMU, G722, OPUS] {
        let usual = heard(format, every);
        assert_eq!(received(format, every, Side::prefetch).0, usual, "{format:?}");
    }
}
