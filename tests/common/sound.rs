//! Signals, and how alike they are.

use std::f64::consts::TAU;

use audio_codec_algorithms::{decode_ulaw, encode_ulaw};
use outdial::audio::{Listener, SampleRate};
use outdial::call::MediaStats;

/// A signal that is like itself nowhere else: a sweep through the telephone band with a slow swell, between silence
/// of 20 ms.
pub fn sweep(rate: SampleRate, milliseconds: u32) -> Vec<i16> {
    let hz = f64::from(rate.hz());
    let count = rate.samples(milliseconds);
    let seconds = f64::from(milliseconds) / 1000.0;
    let silence = rate.frame_len();
    (0..count)
        .map(|index| {
            if index < silence || index + silence >= count {
                return 0;
            }
            let time = index as f64 / hz;
            // From 400 to 2,400 Hz and back, so that a part of it fits at one place only.
            let phase = TAU * (1_400.0 * time - 1_000.0 * (seconds / TAU) * (TAU * time / seconds).sin());
            let swell = 0.6 + 0.4 * (TAU * 3.7 * time).sin();
            (phase.sin() * swell * 9_000.0) as i16
        })
        .collect()
}

/// Where `said` stands in `heard`, sample by sample, after G.711 μ-law: each sample is the decoded value of a code,
/// and no further from what was said than half a step of its segment. The 14 bits of the encoder leave it the choice
/// at the border of two steps, where implementations differ.
pub fn mu_law_position(heard: &[i16], said: &[i16]) -> Option<usize> {
    let is = |heard: i16, said: i16| {
        let code = encode_ulaw(heard);
        let half_a_step = 4i32 << ((!code >> 4) & 7);
        decode_ulaw(code) == heard && (i32::from(heard) - i32::from(said)).abs() <= half_a_step + 4
    };
    heard
        .windows(said.len())
        .position(|window| window.iter().zip(said).all(|(heard, said)| is(*heard, *said)))
}

/// By how many samples each 20 ms of what stands in `ours` from `at` on come back later in `theirs`, through G.711 μ-law and
/// sample by sample, within a second. `None` for one that a jitter buffer has torn.
pub fn echoes(ours: &[i16], at: usize, count: usize, theirs: &[i16]) -> Vec<Option<usize>> {
    let [piece, far] = [20, 1_000].map(|ms| SampleRate::Hz8000.samples(ms));
    let pieces = (0..count / piece).map(|index| {
        let begins = at + index * piece;
        let window = &theirs[begins.min(theirs.len())..theirs.len().min(begins + far)];
        mu_law_position(window, &ours[begins..begins + piece])
    });
    pieces.collect()
}

/// Where `part` stands in `whole`, sample by sample.
pub fn position(whole: &[i16], part: &[i16]) -> Option<usize> {
    whole.windows(part.len()).position(|window| window == part)
}

/// Hears so many samples.
pub async fn hear(listener: &mut Listener, count: usize) -> Vec<i16> {
    let mut heard = Vec::with_capacity(count);
    while heard.len() < count {
        let frame = super::within("a frame", listener.recv()).await.expect("the call is up");
        heard.extend_from_slice(frame.samples());
    }
    heard
}

/// How alike a part of `sent` is to the part of `heard` that is most like it: the highest normalised correlation
/// over all delays, 1 for the same and 0 for nothing in common. Both at `rate`; they are compared at 8 kHz, where
/// the whole of [`sweep`] is.
pub fn likeness(rate: SampleRate, sent: &[i16], heard: &[i16]) -> f64 {
    most_alike(&thinned(rate, sent), &thinned(rate, heard)).0
}

/// How alike each 20 ms of `sent` are to what came of them. Each piece is looked for where it belongs, behind the one before;
/// where three in a row are not there, the sound is looked for anew. A frame that was left out on the way, or made up by a
/// jitter buffer, tears the piece that it is in, and perhaps the next ones, and leaves the others whole.
pub fn likenesses(rate: SampleRate, sent: &[i16], heard: &[i16]) -> Vec<f64> {
    const LOST: usize = 3;
    let (sent, heard) = (thinned(rate, sent), thinned(rate, heard));
    let [piece, slack, longer, far] = [20, 60, 120, 1_500].map(|ms| SampleRate::Hz8000.samples(ms));
    let within = |at: isize| usize::try_from(at).unwrap_or_default().min(heard.len());
    let (mut delay, mut missed) = (0, LOST);
    let pieces = (0..sent.len() / piece).map(|index| {
        let begins = index * piece;
        if missed >= LOST {
            // A longer piece fits at one place only.
            let longer = &sent[begins..sent.len().min(begins + longer)];
            let from = within(begins as isize + delay - slack as isize);
            let (likeness, at) = most_alike(longer, &heard[from..heard.len().min(from + far)]);
            delay = if likeness > 0.8 { (from + at) as isize - begins as isize } else { delay };
            missed = 0;
        }
        let belongs = begins as isize + delay;
        let from = within(belongs - slack as isize);
        let window = &heard[from..within(belongs + (piece + slack) as isize)];
        let (likeness, at) = most_alike(&sent[begins..begins + piece], window);
        if likeness > 0.8 {
            (delay, missed) = ((from + at) as isize - begins as isize, 0);
        } else {
            missed += 1;
        }
        likeness
    });
    pieces.collect()
}

/// Asserts that what was said came back: no more than one in ten of its frames of 20 ms is unlike what was said, and of what
/// the call itself says was lost on the way. On a busy machine the far end's packets come late now and then, and a jitter
/// buffer makes up a frame or leaves one out; or we ourselves come too late for a frame.
pub fn assert_came_back(
    what: &str,
    rate: SampleRate,
    said: &[i16],
    heard: &[i16],
    least: f64,
    media: &MediaStats,
) {
    // Between the silences at both ends.
    let said = &said[rate.frame_len()..said.len() - rate.frame_len()];
    let alike = likenesses(rate, said, heard);
    let torn = alike.iter().filter(|likeness| **likeness <= least).count();
    let gone = media.packets_lost + media.packets_discarded + media.frames_dropped;
    // Pieces are not cut where packets were: one that is gone tears two of them. Most is whole, or nothing was shown.
    let most = alike.len() / 10 + 2 * usize::try_from(gone).unwrap_or(usize::MAX / 4);
    let most = most.min(alike.len() / 2);
    assert!(
        torn <= most,
        "{what}: {torn} of {} frames are torn, {gone} were lost: {alike:.2?}\n{media:?}",
        alike.len()
    );
}

/// A signal at 8 kHz.
fn thinned(rate: SampleRate, samples: &[i16]) -> Vec<f32> {
    samples.iter().step_by((rate.hz() / 8_000) as usize).map(|sample| f32::from(*sample)).collect()
}

/// The highest normalised correlation of a piece with a part of `heard`, and where that part begins.
fn most_alike(piece: &[f32], heard: &[f32]) -> (f64, usize) {
    let square = |samples: &[f32]| -> f32 { samples.iter().map(|s| s * s).sum() };
    let energy = square(piece);
    let mut own = heard.get(..piece.len()).map_or(0.0, square);
    let mut best = (0.0, 0);
    for (at, window) in heard.windows(piece.len()).enumerate() {
        if at > 0 {
            let (gone, come) = (heard[at - 1], heard[at + piece.len() - 1]);
            own = (own + come * come - gone * gone).max(0.0);
        }
        let product: f32 = piece.iter().zip(window).map(|(s, h)| s * h).sum();
        // Rounding leaves a little of the energy of louder windows; silence is like nothing.
        if own > energy / 100.0 && product > best.0 * (energy * own).sqrt() {
            best = (product / (energy * own).sqrt(), at);
        }
    }
    (f64::from(best.0), best.1)
}

/// The share of a signal's energy at a frequency, 0 to 1 (Goertzel).
pub fn tone_share(rate: SampleRate, samples: &[i16], frequency: f64) -> f64 {
    let omega = TAU * frequency / f64::from(rate.hz());
    let (mut one, mut two, mut energy) = (0.0f64, 0.0f64, 0.0f64);
    for sample in samples {
        let sample = f64::from(*sample);
        (one, two) = (sample + 2.0 * omega.cos() * one - two, one);
        energy += sample * sample;
    }
    let power = one * one + two * two - 2.0 * omega.cos() * one * two;
    if energy == 0.0 { 0.0 } else { 2.0 * power / (samples.len() as f64 * energy) }
}
