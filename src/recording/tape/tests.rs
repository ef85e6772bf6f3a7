use hound::WavReader;

use super::*;
use crate::audio::Step;

fn batch(samples: &[i16], steps: &[(usize, Between)]) -> Batch {
    Batch { samples: samples.to_vec(), steps: steps.iter().map(|&(at, what)| Step { at, what }).collect() }
}

fn tape(folder: &std::path::Path) -> Tape {
    Tape::new(folder.to_owned(), "c1", RecordingFormat::Wav)
}

#[test]
fn what_stands_between_the_samples_is_in_its_place() {
    let place = tempfile::tempdir().unwrap();
    let mut tape = tape(place.path());
    assert!(tape.take(&Batch::default()).is_none());
    assert!(!place.path().join("c1.wav.part").exists(), "nobody has answered yet");
    let rate = Between::Rate(SampleRate::Hz8000);
    assert!(
        tape.take(&batch(&[1, 2, 3, 4], &[(0, rate), (1, Between::Silence(2)), (2, Between::Silence(1))]))
            .is_none()
    );
    assert!(tape.take(&batch(&[5, 6], &[])).is_none());
    let recorded = tape.finish();
    assert!(recorded.fault.is_none());
    assert_eq!(
        (recorded.length, recorded.kept.unwrap().name.as_str()),
        (SampleRate::Hz8000.duration(6), "c1.wav")
    );
    let reader = WavReader::open(place.path().join("c1.wav")).unwrap();
    assert_eq!((reader.spec().channels, reader.spec().sample_rate), (2, 8_000));
    let samples: Vec<i16> = reader.into_samples().map(Result::unwrap).collect();
    assert_eq!(samples, [1, 2, 0, 0, 0, 0, 3, 4, 0, 0, 5, 6]);
}

#[test]
fn a_codec_at_another_rate_changes_the_length_of_nothing() {
    let place = tempfile::tempdir().unwrap();
    let mut tape = tape(place.path());
    let (low, high) = (Between::Rate(SampleRate::Hz8000), Between::Rate(SampleRate::Hz16000));
    let samples = [vec![1_000; 2 * 800], vec![1_000; 2 * 1_607], vec![1_000; 2 * 80]].concat();
    let steps = [(0, low), (800, high), (1_000, Between::Silence(160)), (2_407, low)];
    assert!(tape.take(&batch(&samples, &steps)).is_none());
    let recorded = tape.finish();
    // 800 and 80 at 8 kHz, 1,607 and the silence of 160 at 16.
    assert_eq!(recorded.length, SampleRate::Hz8000.duration(800 + 883 + 80));
    let reader = WavReader::open(place.path().join("c1.wav")).unwrap();
    assert_eq!(reader.duration(), 800 + 883 + 80);
    let samples: Vec<i16> = reader.into_samples().map(Result::unwrap).collect();
    let silent = samples.chunks_exact(2).filter(|pair| pair[0].abs() < 50).count();
    assert!((60..=85).contains(&silent), "{silent} pairs of silence instead of about 80");
}

#[test]
fn a_process_that_dies_leaves_what_was_said_until_a_second_before() {
    let place = tempfile::tempdir().unwrap();
    let mut tape = tape(place.path());
    let rate = [(0, Between::Rate(SampleRate::Hz8000))];
    for n in 0..25 {
        let steps = if n == 0 { &rate[..] } else { &[] };
        assert!(tape.take(&batch(&[n; 2 * 800], steps)).is_none());
    }
    // No Drop has run: another process sees what a kill would leave.
    assert_eq!(WavReader::open(place.path().join("c1.wav.part")).unwrap().duration(), 16_000);
}

#[test]
fn a_folder_that_cannot_be_written_is_a_fault_and_no_panic() {
    let mut tape = tape(std::path::Path::new("/proc/outdial"));
    let batch = batch(&[1; 320], &[(0, Between::Rate(SampleRate::Hz8000))]);
    assert!(matches!(tape.take(&batch), Some(Fault::Io(_))));
    assert!(tape.take(&batch).is_none(), "it is told once");
    let recorded = tape.finish();
    assert!(recorded.kept.is_none() && recorded.fault.is_some());
}
