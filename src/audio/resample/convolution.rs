//! The arithmetic of a conversion: a convolution for each place of an output sample.

use super::filter::Filter;

/// [`convert_with`] in the widest vectors that the processor has.
pub(super) fn convert(filter: &Filter, kinds: &[f32], output: &mut [i16]) {
    #[cfg(target_arch = "x86_64")]
    if let Some(avx2) = pulp::x86::V3::try_new() {
        return avx2.vectorize(
            #[inline(always)]
            || convert_with::<true>(filter, kinds, output),
        );
    }
    // Where no instruction does it, adding a product in one step is a slow function.
    convert_with::<{ cfg!(target_arch = "aarch64") }>(filter, kinds, output);
}

/// Adds up, for each place of an output sample in a turn, what the kinds of input sample give to it.
#[inline(always)]
fn convert_with<const FUSED: bool>(filter: &Filter, kinds: &[f32], output: &mut [i16]) {
    // As many output samples at a time as fit the registers; between 16 and 24 kHz there are not more than 40.
    if (output.len() / filter.up).is_multiple_of(80) {
        convert_lanes::<80>(filter, kinds, output, add_convolution_in_pairs::<FUSED>);
    } else {
        convert_lanes::<40>(filter, kinds, output, add_convolution::<40, FUSED>);
    }
}

#[inline(always)]
fn convert_lanes<const LANES: usize>(
    filter: &Filter,
    kinds: &[f32],
    output: &mut [i16],
    add: impl Fn(&mut [f32; LANES], &[f32], &[f32]),
) {
    let Filter { up, down, parts } = filter;
    let kind_len = kinds.len() / down;
    for (place, parts) in parts.chunks_exact(*down).enumerate() {
        for group in 0..output.len() / up / LANES {
            let mut sums = [0.0; LANES];
            for (part, samples) in parts.iter().zip(kinds.chunks_exact(kind_len)) {
                add(&mut sums, &part.coefficients, &samples[group * LANES + part.start..]);
            }
            let pcm = sums.map(to_pcm);
            let places = &mut output[group * LANES * up..][..LANES * up];
            match up {
                1 => places.copy_from_slice(&pcm),
                2 => interleave::<2>(places, place, &pcm),
                3 => interleave::<3>(places, place, &pcm),
                _ => interleave::<6>(places, place, &pcm),
            }
        }
    }
}

/// Puts samples at every `UP`-th place.
#[inline(always)]
fn interleave<const UP: usize>(places: &mut [i16], place: usize, pcm: &[i16]) {
    for (turn, &pcm) in places.as_chunks_mut::<UP>().0.iter_mut().zip(pcm) {
        turn[place] = pcm;
    }
}

#[inline(always)]
fn add_product<const FUSED: bool>(sum: f32, sample: f32, coefficient: f32) -> f32 {
    if FUSED { sample.mul_add(coefficient, sum) } else { sum + coefficient * sample }
}

#[inline(always)]
fn add_convolution<const LANES: usize, const FUSED: bool>(
    sums: &mut [f32; LANES],
    coefficients: &[f32],
    samples: &[f32],
) {
    for (&coefficient, window) in coefficients.iter().zip(samples.windows(LANES)) {
        for (sum, &sample) in sums.iter_mut().zip(window) {
            *sum = add_product::<FUSED>(*sum, sample, coefficient);
        }
    }
}

/// Samples in a vector register.
const WIDTH: usize = 8;

/// The same with half of the loads, which are what takes the time: of two coefficients that stand a register apart, the
/// second one meets what the first one has met a register further on.
#[inline(always)]
fn add_convolution_in_pairs<const FUSED: bool>(sums: &mut [f32; 80], coefficients: &[f32], samples: &[f32]) {
    let (turns, rest) = coefficients.as_chunks::<{ 2 * WIDTH }>();
    for (turn, coefficients) in turns.iter().enumerate() {
        let (near, far) = coefficients.split_at(WIDTH);
        for (k, (&near, &far)) in near.iter().zip(far).enumerate() {
            let window = &samples[turn * 2 * WIDTH + k..][..80 + WIDTH];
            for i in 0..80 {
                let sum = add_product::<FUSED>(sums[i], window[i], near);
                sums[i] = add_product::<FUSED>(sum, window[i + WIDTH], far);
            }
        }
    }
    add_convolution::<80, FUSED>(sums, rest, &samples[turns.len() * 2 * WIDTH..]);
}

/// Rounds to the nearest sample; what is too loud for 16 bits is limited (a cast saturates), not wrapped.
#[inline(always)]
pub(super) fn to_pcm(sample: f32) -> i16 {
    // Limited before the cast, which then is one instruction for many samples.
    (sample + 0.5_f32.copysign(sample)).clamp(-32_768.0, 32_767.0) as i32 as i16
}
