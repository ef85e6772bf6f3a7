//! Recordings that a process which died has left unfinished.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::Path;

use super::file::{Kept, UNFINISHED, Unfinished};
use super::wav;

/// A file that was left, and is complete now as far as it goes.
#[derive(Debug)]
pub(crate) struct Leftover {
    pub(crate) call_id: String,
    /// `recording` or `transcript`.
    pub(crate) what: &'static str,
    pub(crate) kept: Kept,
}

/// Ends what was left in a folder, of the calls that are ours. What another process still writes stays as it is, and what
/// cannot be ended, with a line in the log.
pub(crate) fn finish_leftovers(folder: &Path, is_ours: impl Fn(&str) -> bool) -> Vec<Leftover> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let mut finished = Vec::new();
    for path in entries.flatten().map(|entry| entry.path()) {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let parts = name.strip_suffix(UNFINISHED).and_then(|name| name.rsplit_once('.'));
        let Some((call_id, kind)) = parts.filter(|(call, _)| is_ours(call)) else { continue };
        let what = if kind == "jsonl" { "transcript" } else { "recording" };
        match finish(&path, kind) {
            Ok(Some(kept)) => finished.push(Leftover { call_id: call_id.to_owned(), what, kept }),
            Ok(None) => {}
            Err(error) => {
                tracing::warn!(
                    target: "outdial::recording", %error, file = %path.display(),
                    "what a process that died has recorded could not be ended"
                );
            }
        }
    }
    finished
}

fn finish(path: &Path, kind: &str) -> io::Result<Option<Kept>> {
    let Some(file) = Unfinished::take_over(path)? else { return Ok(None) };
    match kind {
        "wav" => wav::mend(file.file())?,
        "jsonl" => file.truncate(whole_lines(file.file())?)?,
        // The pages of an Ogg file say themselves whether they are whole.
        _ => {}
    }
    file.finish().map(Some)
}

/// How many bytes of whole lines there are.
fn whole_lines(mut file: &File) -> io::Result<u64> {
    let mut text = Vec::new();
    file.seek(SeekFrom::Start(0))?;
    file.read_to_end(&mut text)?;
    Ok(text.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at as u64 + 1))
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;
    use crate::audio::SampleRate;
    use crate::recording::wav::WavFile;

    #[test]
    fn what_was_left_is_complete_as_far_as_it_goes() {
        let place = tempfile::tempdir().unwrap();
        let mut torn = File::create(place.path().join("c1.jsonl.part")).unwrap();
        torn.write_all(b"{\"a\":1}\n{\"b\"").unwrap();
        let wav = Unfinished::create(place.path(), "whole.wav").unwrap();
        let mut sound = WavFile::begin(wav.writer().unwrap(), SampleRate::Hz8000).unwrap();
        sound.write(&[1; 2 * 300]).unwrap();
        sound.finish().unwrap();
        wav.finish().unwrap();
        // What a kill leaves: no header has been written since the beginning, and half a sample is there too.
        let mut bytes = std::fs::read(place.path().join("whole.wav")).unwrap();
        bytes[4..8].fill(0);
        bytes[40..44].fill(0);
        bytes.push(7);
        std::fs::write(place.path().join("c1.wav.part"), bytes).unwrap();
        File::create(place.path().join("other.wav.part")).unwrap();
        let live = Unfinished::create(place.path(), "c2.wav").unwrap();

        let mut left = finish_leftovers(place.path(), |call| call != "other");
        left.sort_by_key(|left| left.kept.name.clone());
        let names: Vec<_> = left.iter().map(|left| (left.call_id.as_str(), left.what)).collect();
        assert_eq!(names, [("c1", "transcript"), ("c1", "recording")]);
        assert_eq!(std::fs::read_to_string(place.path().join("c1.jsonl")).unwrap(), "{\"a\":1}\n");
        let reader = hound::WavReader::open(place.path().join("c1.wav")).unwrap();
        assert_eq!((reader.duration(), reader.spec().channels), (300, 2));
        assert!(place.path().join("other.wav.part").exists() && place.path().join("c2.wav.part").exists());
        drop(live);
        assert!(finish_leftovers(Path::new("/nonexistent"), |_| true).is_empty());
    }
}
