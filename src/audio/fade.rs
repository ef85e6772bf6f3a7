//! Ends of sound without a click.

use super::SampleRate;

/// How long a cut sound takes to reach zero, in milliseconds: long enough to take the click out of it, short
/// enough not to be heard as speech.
pub(super) const FADE_MS: u32 = 3;

/// A straight line from the last sample before a cut down to zero, in [`FADE_MS`].
///
/// It needs no look-ahead: nobody knows that a queue will run dry, or be cleared, before it happens.
#[derive(Debug)]
pub(super) struct Release {
    level: i32,
    left: i32,
    len: i32,
}

impl Release {
    pub(super) fn new(rate: SampleRate) -> Self {
        Self { level: 0, left: 0, len: rate.samples(FADE_MS) as i32 }
    }

    /// The sound may be cut after `last`.
    pub(super) fn arm(&mut self, last: i16) {
        self.level = last.into();
        self.left = self.len;
    }

    /// Whether [`next`](Self::next) would return zero from now on.
    pub(super) fn is_over(&self) -> bool {
        self.left == 0 || self.level == 0
    }

    /// The next sample of the line, zero at its end and for ever after.
    pub(super) fn next(&mut self) -> i16 {
        if self.left == 0 {
            return 0;
        }
        let sample = self.level * self.left / (self.len + 1);
        self.left -= 1;
        sample as i16
    }

    /// Lays the rest of the line over the start of what is heard instead.
    pub(super) fn mix_into(&mut self, samples: &mut [i16]) {
        for sample in samples.iter_mut().take(self.left as usize) {
            *sample = sample.saturating_add(self.next());
        }
    }
}

/// Lets a sound that resumes in mid-speech rise from zero within [`FADE_MS`].
pub(super) fn attack(samples: &mut [i16], rate: SampleRate) {
    let len = rate.samples(FADE_MS) as i32;
    for (i, sample) in (1..=len).zip(samples) {
        *sample = (i32::from(*sample) * i / (len + 1)) as i16;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_release_falls_evenly_to_zero() {
        for level in [i16::MIN, -1, 0, 7, i16::MAX] {
            let mut release = Release::new(SampleRate::Hz16000);
            release.arm(level);
            let mut before = i32::from(level);
            for _ in 0..48 {
                let now = i32::from(release.next());
                assert!((before - now).abs() <= i32::from(level).abs() / 49 + 1, "{before} to {now}");
                before = now;
            }
            assert_eq!(release.next(), 0);
            assert!(release.is_over());
        }
    }

    #[test]
    fn an_attack_leaves_the_rest_alone() {
        let mut samples = [1000; 100];
        attack(&mut samples, SampleRate::Hz8000);
        assert!(samples[0] > 0 && samples[0] <= 40);
        assert!(samples.is_sorted());
        assert_eq!(samples[24..], [1000; 76]);
    }
}
