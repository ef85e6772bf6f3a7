//! What a callee says.

use std::process::Command;

use audio_codec_algorithms::encode_ulaw;

const SENTENCE: &str = "Good morning, this is the garage. What can we do for you?";
const HZ: usize = 8_000;

/// The µ-law codes of a sentence in a voice of espeak-ng.
pub(super) async fn sentence() -> Vec<u8> {
    tokio::task::spawn_blocking(speak).await.expect("it does not panic")
}

fn speak() -> Vec<u8> {
    let file = tempfile::NamedTempFile::with_suffix(".wav").expect("the temporary folder takes files");
    let mut command = Command::new("espeak-ng");
    command.args(["-v", "en-us", "-s", "150", "-w"]).arg(file.path()).arg(SENTENCE);
    let status = command.status().expect("espeak-ng is installed");
    assert!(status.success(), "espeak-ng: {status}");
    let mut wav = hound::WavReader::open(file.path()).expect("a WAV file");
    let from = wav.spec().sample_rate as usize;
    let samples: Vec<i16> = wav.samples().map(|sample| sample.expect("16 bits")).collect();
    // A mean over what becomes one sample is filter enough for a voice.
    let places = samples.len() * HZ / from;
    let mean = |at: usize| {
        let span = &samples[at * from / HZ..((at + 1) * from / HZ).min(samples.len())];
        span.iter().map(|sample| i32::from(*sample)).sum::<i32>() / span.len().max(1) as i32
    };
    (0..places).map(|at| encode_ulaw(mean(at) as i16)).collect()
}
