//! WAV files: prompts in, recordings out.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read};
use std::path::Path;

use hound::{SampleFormat, WavReader, WavSpec, WavWriter};

use super::{SampleRate, resample};

/// The rates that a file to be read may have, in Hz. Beyond them the header is damaged or the sound is no speech.
const RATES: std::ops::RangeInclusive<u32> = 4_000..=192_000;

/// How many samples a mono file can have: its size in bytes, header included, is a 32-bit number.
const MAX_LEN: u64 = (u32::MAX as u64 - 64) / 2;

/// Why a WAV file could not be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WavError {
    /// The file could not be opened, read or written.
    #[error("cannot read or write the WAV file")]
    Io(#[from] io::Error),
    /// It is no WAV file, or it is damaged.
    #[error("not a valid WAV file: {0}")]
    Malformed(&'static str),
    /// It would become longer than the 4 GiB that a WAV file can have: 74 hours at 8 kHz, 12 at 48.
    #[error("a WAV file cannot be longer than 4 GiB")]
    TooLong,
    /// It is a WAV file of another kind.
    #[error(
        "cannot use {bits}-bit {format} WAV with {channels} channels at {rate} Hz; 16-bit PCM, mono or stereo, is needed"
    )]
    Unsupported {
        /// Bits per sample.
        bits: u16,
        /// `integer` or `float`.
        format: &'static str,
        /// Number of channels.
        channels: u16,
        /// Sample rate in Hz.
        rate: u32,
    },
}

impl From<hound::Error> for WavError {
    fn from(error: hound::Error) -> Self {
        match error {
            hound::Error::IoError(error) => Self::Io(error),
            hound::Error::FormatError(what) => Self::Malformed(what),
            hound::Error::Unsupported => Self::Malformed("it uses an encoding other than PCM"),
            hound::Error::TooWide => Self::Malformed("a sample is wider than the header says"),
            hound::Error::UnfinishedSample => Self::Malformed("it ends in the middle of a sample"),
            hound::Error::InvalidSampleFormat => {
                Self::Malformed("the sample format is not what the header says")
            }
        }
    }
}

/// Reads the file at `path` as mono PCM at `rate`: 16 bit, mono or stereo (the channels are averaged), at any rate
/// from 4 to 192 kHz. It blocks, and holds the whole file in memory.
///
/// # Errors
///
/// [`WavError`], by cause.
pub fn read(path: impl AsRef<Path>, rate: SampleRate) -> Result<Vec<i16>, WavError> {
    decode(BufReader::new(File::open(path)?), rate)
}

/// [`read`] from anything that gives bytes, for prompts that are compiled in, fetched, or piped from a synthesiser.
///
/// A stream that ends before its header says is read as far as it goes: a program that writes WAV into a pipe
/// (`espeak-ng --stdout`) does not know the length when it writes the header.
///
/// # Errors
///
/// [`WavError`], by cause.
pub fn decode(source: impl Read, rate: SampleRate) -> Result<Vec<i16>, WavError> {
    let mut reader = WavReader::new(Source { inner: source, ended: false })?;
    let spec = reader.spec();
    let usable = spec.bits_per_sample == 16
        && spec.sample_format == SampleFormat::Int
        && matches!(spec.channels, 1 | 2)
        && RATES.contains(&spec.sample_rate);
    if !usable {
        return Err(WavError::Unsupported {
            bits: spec.bits_per_sample,
            format: if spec.sample_format == SampleFormat::Int { "integer" } else { "float" },
            channels: spec.channels,
            rate: spec.sample_rate,
        });
    }
    let mut samples: Vec<i16> = Vec::new();
    let result = reader.samples().try_for_each(|sample| sample.map(|sample| samples.push(sample)));
    if let Err(error) = result
        && !reader.into_inner().ended
    {
        return Err(error.into());
    }
    let mono = if spec.channels == 1 {
        samples
    } else {
        samples.chunks_exact(2).map(|pair| pair[0].midpoint(pair[1])).collect()
    };
    Ok(resample::clip(&mono, spec.sample_rate, rate))
}

/// Remembers that the end was reached, which the error for it does not tell.
struct Source<R> {
    inner: R,
    ended: bool,
}

impl<R: Read> Read for Source<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.ended |= count == 0 && !buffer.is_empty();
        Ok(count)
    }
}

/// Writes a mono recording, 16-bit PCM.
///
/// The file is complete and its header valid after each second of sound, after [`flush`](Self::flush) and after
/// [`finish`](Self::finish): a process that dies loses at most the last second. (A machine that dies may lose
/// more; nothing is forced to the disk.) Dropping the writer finishes the file too, but tells nobody if that
/// fails. Writing blocks: give it to a thread of its own, or `spawn_blocking`.
pub struct Writer {
    wav: WavWriter<BufWriter<File>>,
    rate: SampleRate,
    unflushed: usize,
}

impl Writer {
    /// Creates the file at `path`, or empties the one that is there.
    ///
    /// # Errors
    ///
    /// [`WavError::Io`] if it cannot be created.
    pub fn create(path: impl AsRef<Path>, rate: SampleRate) -> Result<Self, WavError> {
        let spec = WavSpec {
            channels: 1,
            sample_rate: rate.hz(),
            bits_per_sample: 16,
            sample_format: SampleFormat::Int,
        };
        let mut wav = WavWriter::create(path, spec)?;
        wav.flush()?;
        Ok(Self { wav, rate, unflushed: 0 })
    }

    /// Appends samples at the rate of the file.
    ///
    /// # Errors
    ///
    /// [`WavError::Io`] if it cannot be written, the disk being full for example; [`WavError::TooLong`].
    pub fn write(&mut self, samples: &[i16]) -> Result<(), WavError> {
        if self.len() + samples.len() as u64 > MAX_LEN {
            return Err(WavError::TooLong);
        }
        for second in samples.chunks(self.rate.hz() as usize) {
            let mut batch = self.wav.get_i16_writer(second.len() as u32);
            second.iter().for_each(|&sample| batch.write_sample(sample));
            batch.flush()?;
            self.unflushed += second.len();
            if self.unflushed >= self.rate.hz() as usize {
                self.flush()?;
            }
        }
        Ok(())
    }

    /// Brings the file up to date.
    ///
    /// # Errors
    ///
    /// [`WavError::Io`] if it cannot be written.
    pub fn flush(&mut self) -> Result<(), WavError> {
        self.wav.flush()?;
        self.unflushed = 0;
        Ok(())
    }

    /// How many samples have been written.
    pub fn len(&self) -> u64 {
        self.wav.duration().into()
    }

    /// Whether nothing has been written.
    pub fn is_empty(&self) -> bool {
        self.wav.len() == 0
    }

    /// Completes the file.
    ///
    /// # Errors
    ///
    /// [`WavError::Io`] if it cannot be written.
    pub fn finish(self) -> Result<(), WavError> {
        Ok(self.wav.finalize()?)
    }
}

#[cfg(test)]
mod tests {
    use std::f64::consts::TAU;
    use std::io::Cursor;

    use super::*;

    fn tone(hz: f64, rate: u32, ms: u32) -> Vec<i16> {
        let sample = |n| (10_000.0 * (TAU * hz * f64::from(n) / f64::from(rate)).sin()).round() as i16;
        (0..rate * ms / 1_000).map(sample).collect()
    }

    fn file(spec: WavSpec, samples: &[i16]) -> Vec<u8> {
        let mut bytes = Cursor::new(Vec::new());
        let mut writer = WavWriter::new(&mut bytes, spec).expect("a memory");
        samples.iter().for_each(|&sample| writer.write_sample(sample).expect("a memory"));
        writer.finalize().expect("a memory");
        bytes.into_inner()
    }

    fn spec(channels: u16, sample_rate: u32) -> WavSpec {
        WavSpec { channels, sample_rate, bits_per_sample: 16, sample_format: SampleFormat::Int }
    }

    #[test]
    fn a_recording_is_read_as_it_was_written() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("call.wav");
        let speech = tone(300.0, 16_000, 1_700);
        let mut writer = Writer::create(&path, SampleRate::Hz16000).expect("a file");
        for piece in speech.chunks(333) {
            writer.write(piece).expect("space");
        }
        assert_eq!(writer.len(), speech.len() as u64);
        writer.finish().expect("space");
        assert_eq!(read(&path, SampleRate::Hz16000).expect("a WAV file"), speech);
    }

    #[test]
    fn a_recording_is_valid_while_it_is_written() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("call.wav");
        let mut writer = Writer::create(&path, SampleRate::Hz8000).expect("a file");
        assert!(read(&path, SampleRate::Hz8000).expect("an empty WAV file").is_empty());
        let speech = tone(300.0, 8_000, 2_500);
        for frame in speech.chunks(160) {
            writer.write(frame).expect("space");
        }
        // What another process sees now is what a crash would leave: no Drop has run.
        let found = read(&path, SampleRate::Hz8000).expect("a WAV file");
        assert_eq!(found, speech[..16_000]);
        drop(writer);
        assert_eq!(read(&path, SampleRate::Hz8000).expect("a WAV file"), speech);
    }

    #[test]
    fn any_rate_becomes_the_one_wanted() {
        for from in [8_000, 11_025, 22_050, 44_100, 48_000] {
            for to in SampleRate::ALL {
                let speech = tone(1_000.0, from, 400);
                let found = decode(&file(spec(1, from), &speech)[..], to).expect("a WAV file");
                let expected = tone(1_000.0, to.hz(), 400);
                assert!(found.len().abs_diff(expected.len()) <= 10, "{} of {}", found.len(), expected.len());
                // In time and in level, but for the first and last milliseconds, where the tone is cut.
                let edge = to.samples(30);
                let pairs = found.iter().zip(&expected).skip(edge).take(expected.len() - 2 * edge);
                let worst = pairs.map(|(&a, &b)| (i32::from(a) - i32::from(b)).abs()).max();
                assert!(worst < Some(20), "{from} to {to}: {worst:?}");
            }
        }
    }

    #[test]
    fn stereo_is_averaged() {
        let both: Vec<i16> = [[1_000, 3_000], [-5, -7], [i16::MAX, i16::MAX]].concat();
        let found = decode(&file(spec(2, 8_000), &both)[..], SampleRate::Hz8000).expect("a WAV file");
        assert_eq!(found, [2_000, -6, i16::MAX]);
    }

    #[test]
    fn a_stream_is_read_as_far_as_it_goes() {
        let speech = tone(300.0, 8_000, 100);
        let mut bytes = file(spec(1, 8_000), &speech);
        let data_len = bytes.len() - speech.len() * 2 - 4;
        bytes[data_len..data_len + 4].copy_from_slice(&0x7fff_f000_u32.to_le_bytes());
        assert_eq!(decode(&bytes[..], SampleRate::Hz8000).expect("a WAV stream"), speech);
    }

    #[test]
    fn what_is_no_speech_is_refused() {
        let refused = |bytes: &[u8]| decode(bytes, SampleRate::Hz8000).expect_err("not usable");
        assert!(matches!(refused(b"ID3 this is an MP3"), WavError::Malformed(_)));
        assert!(matches!(
            refused(&file(spec(1, 8_000), &[1])[..20]),
            WavError::Io(_) | WavError::Malformed(_)
        ));
        assert!(matches!(
            refused(&file(spec(3, 8_000), &[1, 2, 3])),
            WavError::Unsupported { channels: 3, .. }
        ));
        assert!(matches!(refused(&file(spec(1, 400), &[1])), WavError::Unsupported { rate: 400, .. }));
        let missing = read("/nonexistent/prompt.wav", SampleRate::Hz8000).expect_err("no file");
        assert!(matches!(missing, WavError::Io(_)));
    }
}
