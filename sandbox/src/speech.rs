//! The voice of the announcements: espeak-ng or flite where installed, melodies where not.

use std::collections::HashMap;
use std::fmt;
use std::io::Write as _;
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};

use rubato::audioadapter_buffers::direct::InterleavedSlice;
use rubato::{Fft, FixedSync, Resampler as _};

use crate::media::clip::Clip;

/// Which voice speaks the sandbox's announcements.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Speech {
    /// espeak-ng if it is installed, else flite, else melodies.
    #[default]
    Auto,
    /// The program `espeak-ng`.
    EspeakNg,
    /// The program `flite`.
    Flite,
    /// A melody in place of each sentence, the same every time: needs nothing installed.
    Melodies,
}

impl fmt::Display for Speech {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Auto => "whatever is installed",
            Self::EspeakNg => "espeak-ng",
            Self::Flite => "flite",
            Self::Melodies => "melodies",
        })
    }
}

/// Turns texts into clips and remembers them.
pub(crate) struct Voice {
    speech: Speech,
    clips: Mutex<HashMap<String, Clip>>,
}

impl Voice {
    /// The voice for a wish; the name of the missing program otherwise.
    pub(crate) fn find(wish: Speech) -> Result<Self, &'static str> {
        let speech = match wish {
            Speech::Auto if is_installed("espeak-ng") => Speech::EspeakNg,
            Speech::Auto if is_installed("flite") => Speech::Flite,
            Speech::Auto => Speech::Melodies,
            Speech::EspeakNg if !is_installed("espeak-ng") => return Err("espeak-ng"),
            Speech::Flite if !is_installed("flite") => return Err("flite"),
            wish => wish,
        };
        Ok(Self { speech, clips: Mutex::default() })
    }

    pub(crate) fn speech(&self) -> Speech {
        self.speech
    }

    /// The clip that says `text`. A program that fails is replaced by the melody.
    pub(crate) async fn say(&self, text: &str) -> Clip {
        if let Some(clip) = self.clips.lock().unwrap_or_else(PoisonError::into_inner).get(text) {
            return clip.clone();
        }
        let (speech, words) = (self.speech, text.to_owned());
        let spoken = tokio::task::spawn_blocking(move || synthesize(speech, &words)).await;
        let clip = match spoken {
            Ok(Ok(clip)) => clip,
            Ok(Err(error)) => {
                tracing::warn!(%error, "cannot speak with {}", self.speech);
                melody(text)
            }
            Err(_) => melody(text),
        };
        self.clips.lock().unwrap_or_else(PoisonError::into_inner).insert(text.to_owned(), clip.clone());
        clip
    }
}

fn is_installed(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|directory| directory.join(program).is_file())
}

type Failure = Box<dyn std::error::Error + Send + Sync>;

fn synthesize(speech: Speech, text: &str) -> Result<Clip, Failure> {
    let program = match speech {
        Speech::EspeakNg => "espeak-ng",
        Speech::Flite => "flite",
        Speech::Auto | Speech::Melodies => return Ok(melody(text)),
    };
    // Through files, as a text could look like an option and a WAV header in a pipe has no true length.
    let mut words = tempfile::NamedTempFile::new()?;
    words.write_all(text.as_bytes())?;
    let sound = tempfile::NamedTempFile::new()?;
    let mut command = Command::new(program);
    match speech {
        Speech::EspeakNg => command.args(["-v", "en-us", "-s", "150", "-w"]).arg(sound.path()),
        _ => command.args(["-voice", "rms", "-o"]).arg(sound.path()),
    };
    command.arg("-f").arg(words.path()).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let status = command.status()?;
    if !status.success() {
        return Err(format!("{program}: {status}").into());
    }
    let mut wav = hound::WavReader::open(sound.path())?;
    let rate = wav.spec().sample_rate as usize;
    let samples = wav.samples::<i16>().collect::<Result<Vec<_>, _>>()?;
    Ok(Clip {
        narrow: resample(&samples, rate, 8_000)?.into(),
        wide: resample(&samples, rate, 16_000)?.into(),
    })
}

fn resample(samples: &[i16], from: usize, to: usize) -> Result<Vec<i16>, Failure> {
    if from == to || samples.is_empty() {
        return Ok(samples.to_vec());
    }
    let input: Vec<f32> = samples.iter().map(|sample| f32::from(*sample)).collect();
    let mut resampler = Fft::<f32>::new(from, to, 1024, 1, FixedSync::Both)?;
    let adapter = InterleavedSlice::new(&input, 1, input.len())?;
    let output = resampler.process_all(&adapter, input.len(), None)?;
    let clamp = |sample: f32| sample.round().clamp(f32::from(i16::MIN), f32::from(i16::MAX)) as i16;
    Ok(output.take_data().into_iter().map(clamp).collect())
}

/// Two notes per word, by its letters: long words are long notes, and every text has its own tune.
fn melody(text: &str) -> Clip {
    const PENTATONIC: [f64; 8] = [392.0, 440.0, 523.3, 587.3, 659.3, 784.0, 880.0, 1046.5];
    let notes = |word: &str| {
        let sum = word.bytes().fold(0_usize, |sum, byte| sum.wrapping_mul(31).wrapping_add(byte.into()));
        let length = 30 + 10 * word.len().min(8) as u32;
        [(PENTATONIC[sum % 8], length), (PENTATONIC[sum / 8 % 8], length), (0.0, 20)]
    };
    let notes: Vec<_> = text.split_whitespace().flat_map(notes).collect();
    Clip::tones(&notes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn melodies_tell_texts_apart() {
        let (one, two) = (melody("you pressed one"), melody("you pressed two"));
        assert!(one.narrow != two.narrow);
        assert!(one.narrow == melody("you pressed one").narrow);
        assert_eq!(one.narrow.len() * 2, one.wide.len());
    }

    #[test]
    fn resampling_keeps_length_and_level() {
        let tone = Clip::tones(&[(440.0, 500)]);
        let narrow = resample(&tone.wide, 16_000, 8_000).unwrap();
        assert!(narrow.len().abs_diff(tone.narrow.len()) <= 8, "{}", narrow.len());
        let level = |samples: &[i16]| samples.iter().map(|s| f64::from(*s).powi(2)).sum::<f64>();
        let ratio = level(&narrow) / level(&tone.narrow);
        assert!((0.95..1.05).contains(&ratio), "{ratio}");
    }

    #[tokio::test]
    async fn an_installed_program_speaks() {
        let voice = Voice::find(Speech::Auto).unwrap();
        let (short, long) = (voice.say("Hello.").await, voice.say("Hello, this is a longer sentence.").await);
        assert!(long.narrow.len() > short.narrow.len());
        assert!(short.narrow.iter().any(|sample| sample.unsigned_abs() > 1000));
    }
}
