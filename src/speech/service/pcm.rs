//! Raw PCM, as services send it.

/// 16-bit little-endian PCM in parts of any length.
pub(in crate::speech) fn samples(part: &[u8], odd: &mut Option<u8>) -> Vec<i16> {
    let mut samples = Vec::with_capacity(part.len() / 2 + 1);
    let mut rest = part;
    if let (Some(low), Some((high, after))) = (*odd, part.split_first()) {
        samples.push(i16::from_le_bytes([low, *high]));
        (*odd, rest) = (None, after);
    }
    let pairs = rest.chunks_exact(2);
    if let [last] = pairs.remainder() {
        *odd = Some(*last);
    }
    samples.extend(pairs.map(|pair| i16::from_le_bytes([pair[0], pair[1]])));
    samples
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_whole_wherever_the_network_cuts_them() {
        let sound: Vec<i16> = (0..50).map(|n| n * 1_000 - 25_000).map(|n: i32| n as i16).collect();
        let bytes: Vec<u8> = sound.iter().flat_map(|sample| sample.to_le_bytes()).collect();
        for length in 1..=7 {
            let mut odd = None;
            let heard: Vec<i16> = bytes.chunks(length).flat_map(|part| samples(part, &mut odd)).collect();
            assert_eq!((heard, odd), (sound.clone(), None), "{length}");
        }
        let mut odd = None;
        assert!(samples(&[], &mut odd).is_empty());
        assert_eq!((samples(&bytes[..3], &mut odd).len(), odd), (1, Some(bytes[2])));
    }
}
