//! WAV as programs write it into a pipe.

use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _};

use super::process::Program;
use super::{AdapterError, SpeechSink};

/// The longest that a synthesizer may take for the next piece of a sentence.
const PIECE: Duration = Duration::from_secs(10);
/// Headers before the sound are a few dozen bytes long.
const LONGEST_HEADER: u32 = 4_096;

/// Passes on the sound of a program while it is being made: 16-bit mono PCM in a WAV file of unknown length.
pub(super) async fn pass_on(
    program: Program,
    mut pipe: impl AsyncRead + Unpin,
    sink: &SpeechSink,
) -> Result<(), AdapterError> {
    let Some(hz) = program.within(PIECE, header(program, &mut pipe)).await? else { return Ok(()) };
    let mut bytes = Vec::with_capacity(8_192);
    loop {
        let read = async { pipe.read_buf(&mut bytes).await.map_err(|error| program.pipe(error)) };
        if program.within(PIECE, read).await? == 0 {
            return Ok(());
        }
        let whole = bytes.len() / 2 * 2;
        let samples: Vec<i16> =
            bytes[..whole].chunks_exact(2).map(|pair| i16::from_le_bytes([pair[0], pair[1]])).collect();
        bytes.drain(..whole);
        sink.sound(&samples, hz).await?;
    }
}

/// Reads up to the first sample; the rate in Hz, or `None` if the program had nothing to say.
async fn header(program: Program, pipe: &mut (impl AsyncRead + Unpin)) -> Result<Option<u32>, AdapterError> {
    let mut riff = [0; 12];
    if pipe.read_exact(&mut riff).await.is_err() {
        return Ok(None);
    }
    let malformed =
        |what: &str| AdapterError::Malformed { service: program.name.to_owned(), what: what.to_owned() };
    if &riff[..4] != b"RIFF" || &riff[8..] != b"WAVE" {
        return Err(malformed("no WAV"));
    }
    let mut hz = None;
    loop {
        let mut chunk = [0; 8];
        pipe.read_exact(&mut chunk).await.map_err(|error| program.pipe(error))?;
        let length = u32::from_le_bytes([chunk[4], chunk[5], chunk[6], chunk[7]]);
        if &chunk[..4] == b"data" {
            return hz.map(Some).ok_or_else(|| malformed("sound before its format"));
        }
        if length > LONGEST_HEADER {
            return Err(malformed("a header that does not end"));
        }
        let mut content = vec![0; length.next_multiple_of(2) as usize];
        pipe.read_exact(&mut content).await.map_err(|error| program.pipe(error))?;
        if &chunk[..4] == b"fmt " {
            let [1, 0, 1, 0, a, b, c, d, _, _, _, _, _, _, 16, 0] = content[..] else {
                return Err(malformed("sound that is not 16-bit mono PCM"));
            };
            hz = Some(u32::from_le_bytes([a, b, c, d]));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::speech::{Piece, Speech};

    const TEST: Program = Program { name: "test", package: "test" };

    fn wav(format: [u8; 16], samples: &[i16]) -> Vec<u8> {
        let mut file = b"RIFF\xff\xff\xff\xffWAVELIST\x02\0\0\0abfmt \x10\0\0\0".to_vec();
        file.extend(format);
        file.extend(b"data\0\xf0\xff\x7f");
        file.extend(samples.iter().flat_map(|sample| sample.to_le_bytes()));
        file
    }

    async fn heard(bytes: Vec<u8>) -> Result<Vec<i16>, AdapterError> {
        let mut speech = Speech::spawn(|sink| async move { pass_on(TEST, &bytes[..], &sink).await });
        let mut heard = Vec::new();
        while let Some(piece) = speech.next().await {
            let Piece::Sound { samples, hz: 22_050 } = piece? else { panic!("sound at its rate") };
            heard.extend(samples);
        }
        Ok(heard)
    }

    const MONO: [u8; 16] = [1, 0, 1, 0, 0x22, 0x56, 0, 0, 0x44, 0xac, 0, 0, 2, 0, 16, 0];

    #[tokio::test]
    async fn sound_of_unknown_length_is_read_to_its_end() {
        let samples: Vec<i16> = (0..9_000).collect();
        assert_eq!(heard(wav(MONO, &samples)).await.unwrap(), samples);
        assert!(heard(Vec::new()).await.unwrap().is_empty(), "nothing to say");
    }

    #[tokio::test]
    async fn what_is_no_speech_is_refused() {
        let mut stereo = MONO;
        stereo[2] = 2;
        for bytes in [wav(stereo, &[1]), b"an error message in plain words".to_vec()] {
            assert_eq!(heard(bytes).await.unwrap_err().kind(), "malformed");
        }
        let mut cut = wav(MONO, &[1]);
        cut.truncate(30);
        assert_eq!(heard(cut).await.unwrap_err().kind(), "io");
    }
}
