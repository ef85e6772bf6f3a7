//! A recording as a WAV file: 16-bit PCM in two channels.

use std::fs::File;
use std::io::{self, Seek as _, SeekFrom, Write as _};

use hound::{SampleFormat, WavSpec, WavWriter};

use super::Fault;
use crate::audio::SampleRate;

/// The size of the header that `hound` writes for 16-bit PCM.
const HEADER: u64 = 44;
/// The size of a file is a 32-bit number.
const MOST: u64 = u32::MAX as u64 - HEADER;
/// Bytes of a pair of samples.
const PAIR: u64 = 4;

/// Writes without a buffer of its own: what is written is in the file. After each [`flush`](Self::flush) the header is right.
pub(super) struct WavFile {
    wav: WavWriter<File>,
    pairs: u64,
}

impl WavFile {
    pub(super) fn begin(file: File, rate: SampleRate) -> Result<Self, Fault> {
        let spec = WavSpec {
            channels: 2,
            sample_rate: rate.hz(),
            bits_per_sample: 16,
            sample_format: SampleFormat::Int,
        };
        let mut wav = WavWriter::new(file, spec).map_err(fault)?;
        wav.flush().map_err(fault)?;
        Ok(Self { wav, pairs: 0 })
    }

    /// Appends whole pairs.
    pub(super) fn write(&mut self, samples: &[i16]) -> Result<(), Fault> {
        let pairs = samples.len() as u64 / 2;
        if (self.pairs + pairs) * PAIR > MOST {
            return Err(Fault::TooLong);
        }
        let count = u32::try_from(samples.len()).map_err(|_| Fault::TooLong)?;
        let mut batch = self.wav.get_i16_writer(count);
        samples.iter().for_each(|sample| batch.write_sample(*sample));
        batch.flush().map_err(fault)?;
        self.pairs += pairs;
        Ok(())
    }

    pub(super) fn flush(&mut self) -> Result<(), Fault> {
        self.wav.flush().map_err(fault)
    }

    /// Completes it.
    pub(super) fn finish(self) -> Result<(), Fault> {
        self.wav.finalize().map_err(fault)
    }

    /// How long the file may be when nothing more can be written: up to the last pair that is whole.
    pub(super) fn good_length(&self) -> u64 {
        HEADER + self.pairs * PAIR
    }

    /// How many pairs are in it then.
    pub(super) fn good_pairs(&self) -> u64 {
        self.pairs
    }
}

fn fault(error: hound::Error) -> Fault {
    match error {
        hound::Error::IoError(error) => error.into(),
        // There is nothing else that could be wrong with whole samples of 16 bits.
        other => Fault::Encoder(other.to_string()),
    }
}

/// Makes the header of a file that was left tell how much is in it: the last second may not be in there.
pub(super) fn mend(mut file: &File) -> io::Result<()> {
    let length = file.metadata()?.len();
    if length < HEADER {
        return Ok(());
    }
    let pairs = (length - HEADER) / PAIR;
    let data = u32::try_from((pairs * PAIR).min(MOST)).unwrap_or(u32::MAX);
    file.set_len(HEADER + u64::from(data))?;
    for (at, size) in [(4, data + HEADER as u32 - 8), (HEADER - 4, data)] {
        file.seek(SeekFrom::Start(at))?;
        file.write_all(&size.to_le_bytes())?;
    }
    Ok(())
}
