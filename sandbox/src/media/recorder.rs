//! What the callee hears, put in order by RTP timestamp.

/// Longest silence filled in for missing packets; a larger step is a new time base.
const MAX_GAP_SECONDS: u32 = 10;
/// Longest recording, in seconds of sound.
const MAX_SECONDS: usize = 600;

/// Collects the samples of one stream.
#[derive(Debug)]
pub(crate) struct Recorder {
    rate: u32,
    /// PCM samples per RTP timestamp unit: 2 for G.722, 1 otherwise.
    per_unit: u32,
    samples: Vec<i16>,
    /// RTP timestamp and position of a sample that both agree on.
    base: Option<(u32, usize)>,
}

impl Recorder {
    /// For PCM of `rate` Hz under an RTP clock of `clock_rate` Hz.
    pub(crate) fn new(rate: u32, clock_rate: u32) -> Self {
        Self { rate, per_unit: (rate / clock_rate).max(1), samples: Vec::new(), base: None }
    }

    pub(crate) fn rate(&self) -> u32 {
        self.rate
    }

    /// Puts a packet's samples at their place: late ones go back in time, gaps become silence.
    pub(crate) fn write(&mut self, timestamp: u32, samples: &[i16]) {
        let (base, position) = *self.base.get_or_insert((timestamp, self.samples.len()));
        let units = i64::from(timestamp.wrapping_sub(base).cast_signed());
        let at = position as i64 + units * i64::from(self.per_unit);
        let gap = i64::from(MAX_GAP_SECONDS) * i64::from(self.rate);
        let end = self.samples.len() as i64;
        let at = if at < end - gap || at > end + gap || at < 0 {
            self.base = Some((timestamp, self.samples.len()));
            self.samples.len()
        } else {
            at as usize
        };
        let stop = at + samples.len();
        if stop > MAX_SECONDS * self.rate as usize {
            return;
        }
        if self.samples.len() < stop {
            self.samples.resize(stop, 0);
        }
        self.samples[at..stop].copy_from_slice(samples);
    }

    pub(crate) fn into_samples(self) -> Vec<i16> {
        self.samples
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_gaps_and_new_time_bases() {
        let mut recorder = Recorder::new(8000, 8000);
        recorder.write(u32::MAX - 1, &[1, 2]);
        recorder.write(2, &[5, 6]);
        recorder.write(0, &[3, 4]);
        recorder.write(6, &[9]);
        assert_eq!(recorder.samples, [1, 2, 3, 4, 5, 6, 0, 0, 9]);
        recorder.write(3_000_000_000, &[7]);
        recorder.write(3_000_000_001, &[8]);
        assert_eq!(recorder.into_samples(), [1, 2, 3, 4, 5, 6, 0, 0, 9, 7, 8]);
    }

    #[test]
    fn g722_counts_two_samples_per_unit() {
        let mut recorder = Recorder::new(16_000, 8000);
        recorder.write(0, &[1, 2, 3, 4]);
        recorder.write(2, &[5, 6]);
        assert_eq!(recorder.into_samples(), [1, 2, 3, 4, 5, 6]);
    }
}
