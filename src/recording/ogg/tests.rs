use std::f64::consts::TAU;
use std::io::Cursor;

use ogg::PacketReader;
use opusic_c::multistream::Decoder;

use super::*;

/// What a player makes of a file (RFC 7845 section 4): both sides, at 48 kHz.
struct Played {
    callee: Vec<i16>,
    agent: Vec<i16>,
    /// The last page says that it is the last.
    ended: bool,
}

fn play(bytes: &[u8]) -> Played {
    let mut reader = PacketReader::new(Cursor::new(bytes));
    let head = reader.read_packet().unwrap().unwrap();
    assert!(head.first_in_stream() && head.last_in_page() && head.data.starts_with(b"OpusHead\x01\x02"));
    assert_eq!(head.data[18..], [1, 2, 0, 0, 1]);
    let skip = usize::from(u16::from_le_bytes([head.data[10], head.data[11]]));
    let tags = reader.read_packet().unwrap().unwrap();
    assert!(tags.last_in_page() && tags.data.starts_with(b"OpusTags"));
    let mut decoder = Decoder::new(Config::<2>::new(2, 0, [0, 1]), OpusRate::Hz48000).unwrap();
    let (mut pairs, mut end, mut ended) = (Vec::new(), 0, false);
    while let Some(packet) = reader.read_packet().unwrap() {
        let mut samples = vec![0; 2 * 960];
        assert_eq!(decoder.decode_to_slice(&packet.data, &mut samples, false).unwrap(), 960);
        pairs.extend(samples.chunks_exact(2).map(|pair| (pair[0].cast_signed(), pair[1].cast_signed())));
        if packet.last_in_page() {
            end = packet.absgp_page() as usize;
        }
        ended = packet.last_in_stream();
    }
    let (callee, agent) = pairs[skip.min(end)..end].iter().copied().unzip();
    Played { callee, agent, ended }
}

fn tone(hz: f64, rate: u32, n: usize) -> f64 {
    8_000.0 * (TAU * hz * n as f64 / f64::from(rate)).sin()
}

/// How alike a signal is to a tone at 48 kHz that begins at the same place.
fn likeness(heard: &[i16], hz: f64) -> f64 {
    let (mut product, mut own, mut theirs) = (0.0, 0.0, 0.0);
    // Behind the codec's first words and before its last.
    for (n, sample) in heard.iter().enumerate().skip(4_800).take(heard.len().saturating_sub(9_600)) {
        let (sample, tone) = (f64::from(*sample), tone(hz, 48_000, n));
        product += sample * tone;
        own += sample * sample;
        theirs += tone * tone;
    }
    product / (own * theirs).sqrt()
}

fn record(rate: SampleRate, count: usize, agent: f64) -> Vec<u8> {
    let file = tempfile::NamedTempFile::new().unwrap();
    let mut ogg = OggFile::begin(file.reopen().unwrap(), rate).unwrap();
    let pairs: Vec<i16> = (0..count)
        .flat_map(|n| {
            [tone(500.0, rate.hz(), n).round() as i16, (agent * tone(700.0, rate.hz(), n)).round() as i16]
        })
        .collect();
    pairs.chunks(2 * 333).for_each(|piece| ogg.write(piece).unwrap());
    ogg.finish().unwrap();
    std::fs::read(file.path()).unwrap()
}

#[test]
fn each_side_is_at_its_place_and_on_its_own_channel_at_every_rate() {
    for rate in SampleRate::ALL {
        let played = play(&record(rate, rate.samples(1_700), 1.0));
        assert!(played.ended);
        // To the sample.
        assert_eq!((played.callee.len(), played.agent.len()), (81_600, 81_600), "{rate}");
        for (side, hz) in [(&played.callee, 500.0), (&played.agent, 700.0)] {
            let alike = likeness(side, hz);
            // The codec's own filters turn the phase a little.
            assert!(alike > 0.92, "{rate}: {hz} Hz with a likeness of {alike}");
        }
        let alone = play(&record(rate, rate.samples(500), 0.0));
        let loudest = alone.agent.iter().map(|sample| sample.unsigned_abs()).max();
        assert!(loudest < Some(4), "{rate}: the callee is heard on the agent's side with {loudest:?}");
    }
}

#[test]
fn a_file_without_its_end_can_be_played() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let mut ogg = OggFile::begin(file.reopen().unwrap(), SampleRate::Hz8000).unwrap();
    let begun = ogg.good_length();
    (0..120).for_each(|_| ogg.write(&[100; 320]).unwrap());
    // Two pages are full, the third one is not.
    let bytes = std::fs::read(file.path()).unwrap();
    assert!(ogg.good_length() > begun && bytes.len() as u64 == ogg.good_length());
    let played = play(&bytes);
    assert!(!played.ended && (90_000..96_000).contains(&played.callee.len()), "{}", played.callee.len());
    assert_eq!(ogg.good_pairs() * 6, played.callee.len() as u64);
}

#[test]
fn an_empty_recording_is_a_file_without_sound() {
    let played = play(&record(SampleRate::Hz8000, 0, 1.0));
    assert!(played.callee.is_empty() && played.ended);
}
