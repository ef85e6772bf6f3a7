//! Signals, and how alike they are.

use std::f64::consts::TAU;

use audio_codec_algorithms::{decode_ulaw, encode_ulaw};
use outdial::audio::{Listener, SampleRate};

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
    let step = (rate.hz() / 8_000) as usize;
    let thin =
        |samples: &[i16]| -> Vec<f32> { samples.iter().step_by(step).map(|s| f32::from(*s)).collect() };
    let (sent, heard) = (thin(sent), thin(heard));
    let square = |samples: &[f32]| -> f32 { samples.iter().map(|s| s * s).sum() };
    let (energy, mut own) = (square(&sent), square(&heard[..sent.len()]));
    let mut best: f32 = 0.0;
    for (at, window) in heard.windows(sent.len()).enumerate() {
        if at > 0 {
            let (gone, come) = (heard[at - 1], heard[at + sent.len() - 1]);
            own = (own + come * come - gone * gone).max(0.0);
        }
        let product: f32 = sent.iter().zip(window).map(|(s, h)| s * h).sum();
        // Rounding leaves a little of the energy of louder windows; silence is like nothing.
        if own > energy / 100.0 {
            best = best.max(product / (energy * own).sqrt());
        }
    }
    f64::from(best)
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
