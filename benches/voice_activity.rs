//! `cargo bench --bench voice_activity [-- --json]`: detectors of voice activity on telephone speech with noise.
//!
//! Sentences of two synthesizers, espeak-ng and flite, at 8 kHz through µ-law, with pauses between them, and with white
//! noise, pink noise and babble (four other voices) at several signal-to-noise ratios. Where there is speech is known
//! from the clean sound. Told are: the share of speech that is found, the share of pauses that is taken for speech, how
//! late the first three frames in a row of a sentence have been found (the library's own detector has an onset of its own), and the processor's time.

use std::process::Command;
use std::time::Duration;

use audio_codec_algorithms::{decode_ulaw, encode_ulaw};
use outdial::audio::{ListenSink, Listener, SampleRate, listen};
use outdial::speech::VoiceActivity;
use rubato::audioadapter_buffers::direct::InterleavedSlice;
use rubato::{Fft, FixedSync, Resampler as _};

const HZ: usize = 8_000;
/// 20 ms.
const FRAME: usize = HZ / 50;
/// Frames in a row that begin speech.
const ONSET: usize = 3;

const SENTENCES: [&str; 8] = [
    "Good morning, this is the garage about your car.",
    "Does Tuesday at ten suit you?",
    "Yes.",
    "Could you say that again, please? The line is bad.",
    "I would like to speak to a person.",
    "No, thank you, not today.",
    "My number ends with four seven one one.",
    "Thank you for calling. Goodbye.",
];

/// A detector: whether a frame of 20 ms at 8 kHz has speech.
trait Detector {
    fn frame(&mut self, samples: &[i16]) -> bool;
}

struct Earshot {
    detector: Box<earshot::Detector>,
    up: Up,
    pending: Vec<i16>,
    threshold: f32,
    speech: bool,
}

impl Earshot {
    fn new(threshold: f32) -> Self {
        let detector = earshot::Detector::default_boxed();
        Self { detector, up: Up::new(16_000), pending: Vec::new(), threshold, speech: false }
    }
}

impl Detector for Earshot {
    fn frame(&mut self, samples: &[i16]) -> bool {
        self.pending.extend(self.up.push(samples).into_iter().map(|sample| sample as i16));
        while self.pending.len() >= 256 {
            self.speech = self.detector.predict_i16(&self.pending[..256]) >= self.threshold;
            self.pending.drain(..256);
        }
        self.speech
    }
}

struct WebRtc(webrtc_vad::Vad);

impl Detector for WebRtc {
    fn frame(&mut self, samples: &[i16]) -> bool {
        self.0.is_voice_segment(samples).expect("20 ms at 8 kHz")
    }
}

/// The detector of the library, without the pause that it leaves to speakers.
struct Outdial {
    sink: ListenSink,
    listener: Listener,
    activity: VoiceActivity,
}

impl Outdial {
    fn new() -> Self {
        let rate = SampleRate::Hz8000;
        let (listener, sink) = listen(rate, Duration::from_millis(100));
        Self { sink, listener, activity: VoiceActivity::new(rate).pause(Duration::from_millis(20)) }
    }
}

impl Detector for Outdial {
    fn frame(&mut self, samples: &[i16]) -> bool {
        self.sink.push(samples, false);
        let frame = self.listener.try_recv().expect("20 ms are a frame");
        self.activity.frame(&frame);
        self.activity.is_speaking()
    }
}

/// Level alone, as a yardstick: −46 dBFS.
struct Level;

impl Detector for Level {
    fn frame(&mut self, samples: &[i16]) -> bool {
        power(samples) >= 164.0 * 164.0
    }
}

/// From 8 kHz to a higher rate.
struct Up(Fft<f32>);

impl Up {
    fn new(to: usize) -> Self {
        Self(Fft::new(HZ, to, FRAME / 2, 1, FixedSync::Both).expect("the rates are above zero"))
    }

    fn push(&mut self, samples: &[i16]) -> Vec<f32> {
        let block = self.0.input_frames_next();
        let convert = |block: &[i16]| {
            let input: Vec<f32> = block.iter().map(|sample| f32::from(*sample)).collect();
            let input = InterleavedSlice::new(&input, 1, block.len()).expect("one channel");
            self.0.process(&input, None).expect("a whole block").take_data()
        };
        samples.chunks_exact(block).flat_map(convert).collect()
    }
}

/// Makes a detector that has heard nothing yet.
type Make = fn() -> Box<dyn Detector>;

/// Speech, and for each frame whether there is any.
struct Scene {
    samples: Vec<f64>,
    speech: Vec<bool>,
}

fn power(samples: &[i16]) -> f64 {
    samples.iter().map(|sample| f64::from(*sample).powi(2)).sum::<f64>() / samples.len() as f64
}

/// A sentence at 8 kHz.
fn speak(program: &str, voice: &str, text: &str) -> Vec<i16> {
    let file = std::env::temp_dir().join(format!("voice-activity-{}.wav", std::process::id()));
    let mut command = Command::new(program);
    match program {
        "flite" => command.args(["-voice", voice, "-t", text, "-o"]).arg(&file),
        _ => command.args(["-v", voice, "-w"]).arg(&file).arg(text),
    };
    let status = command.status().unwrap_or_else(|error| panic!("{program} is needed: {error}"));
    assert!(status.success(), "{program}: {status}");
    let mut wav = hound::WavReader::open(&file).expect("a WAV file");
    let from = wav.spec().sample_rate as usize;
    let input: Vec<f32> = wav.samples::<i16>().map(|sample| f32::from(sample.expect("16 bits"))).collect();
    let _ = std::fs::remove_file(&file);
    let mut fft = Fft::<f32>::new(from, HZ, 1_024, 1, FixedSync::Both).expect("the rates are above zero");
    let adapter = InterleavedSlice::new(&input, 1, input.len()).expect("one channel");
    let output = fft.process_all(&adapter, input.len(), None).expect("the whole of it").take_data();
    output.into_iter().map(|sample| sample as i16).collect()
}

/// All sentences of a voice, a second of silence before each; every voice as loud as every other.
fn scene(program: &str, voice: &str) -> Scene {
    let mut samples: Vec<f64> = Vec::new();
    for sentence in SENTENCES {
        samples.extend(std::iter::repeat_n(0.0, HZ));
        samples.extend(speak(program, voice, sentence).into_iter().map(f64::from));
    }
    samples.truncate(samples.len() / FRAME * FRAME);
    let power = |frame: &[f64]| frame.iter().map(|sample| sample * sample).sum::<f64>() / frame.len() as f64;
    let loudest = samples.chunks_exact(FRAME).map(power).fold(0.0, f64::max);
    let speech: Vec<bool> = samples.chunks_exact(FRAME).map(|frame| power(frame) > loudest / 1e4).collect();
    let spoken: Vec<f64> = samples
        .chunks_exact(FRAME)
        .zip(&speech)
        .filter(|(_, s)| **s)
        .map(|(frame, _)| power(frame))
        .collect();
    let level = (spoken.iter().sum::<f64>() / spoken.len() as f64).sqrt();
    // −26 dBFS, the nominal level of telephone speech (ITU-T P.56).
    let gain = 32_768.0 * 10_f64.powf(-26.0 / 20.0) / level;
    samples.iter_mut().for_each(|sample| *sample *= gain);
    Scene { samples, speech }
}

/// Pseudo-random numbers from −1 to 1, the same ones each time.
struct Random(u64);

impl Random {
    fn next(&mut self) -> f64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as f64 / (1_u64 << 52) as f64 - 1.0
    }
}

fn white(length: usize) -> Vec<f64> {
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    (0..length).map(|_| random.next()).collect()
}

/// −3 dB per octave: Paul Kellet's filter.
fn pink(length: usize) -> Vec<f64> {
    let (mut a, mut b, mut c) = (0.0, 0.0, 0.0);
    let filter = |white: f64| {
        a = 0.997_65 * a + white * 0.099_046_0;
        b = 0.963_0 * b + white * 0.296_516_4;
        c = 0.570_0 * c + white * 1.052_691_3;
        a + b + c + white * 0.184_8
    };
    white(length).into_iter().map(filter).collect()
}

/// Four voices that talk without pause.
fn babble(length: usize) -> Vec<f64> {
    let mut sum = vec![0.0; length];
    for (n, (program, voice)) in
        [("flite", "slt"), ("flite", "kal16"), ("espeak-ng", "en-gb"), ("espeak-ng", "en-us+f3")]
            .into_iter()
            .enumerate()
    {
        let voice: Vec<f64> = (0..SENTENCES.len())
            .flat_map(|m| speak(program, voice, SENTENCES[(m + 2 * n) % 8]))
            .map(f64::from)
            .collect();
        let level = (voice.iter().map(|s| s * s).sum::<f64>() / voice.len() as f64).sqrt();
        for (to, from) in sum.iter_mut().zip(voice.iter().cycle().skip(n * 3_000)) {
            *to += from / level;
        }
    }
    sum
}

/// Speech and noise as a telephone carries them.
fn mix(scene: &Scene, noise: &[f64], snr: f64) -> Vec<i16> {
    let level = 32_768.0 * 10_f64.powf((-26.0 - snr) / 20.0);
    let own = (noise.iter().map(|s| s * s).sum::<f64>() / noise.len() as f64).sqrt();
    let mixed = scene.samples.iter().zip(noise).map(|(s, n)| s + n / own * level);
    mixed.map(|sample| decode_ulaw(encode_ulaw(sample as i16))).collect()
}

/// What this thread has had of the processor: other work on the machine does not count.
fn processor_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

#[derive(Default)]
struct Score {
    speech: usize,
    found: usize,
    pauses: usize,
    false_alarms: usize,
    onsets: Vec<usize>,
    missed: usize,
    time: Duration,
    frames: usize,
}

impl Score {
    fn take(&mut self, detector: &mut dyn Detector, samples: &[i16], speech: &[bool]) {
        let begun = processor_time();
        let found: Vec<bool> = samples.chunks_exact(FRAME).map(|frame| detector.frame(frame)).collect();
        self.time += processor_time() - begun;
        self.frames += found.len();
        let mut quiet = 0;
        for (n, (&truth, &found_here)) in speech.iter().zip(&found).enumerate() {
            if truth {
                self.speech += 1;
                self.found += usize::from(found_here);
                if quiet >= 25 {
                    // A sentence begins: where do three in a row begin that are found?
                    let run = (n..found.len().min(n + 50))
                        .find(|&at| (at..at + ONSET).all(|at| found.get(at) == Some(&true)));
                    match run {
                        Some(at) => self.onsets.push(at + ONSET - n),
                        None => self.missed += 1,
                    }
                }
                quiet = 0;
            } else {
                quiet += 1;
                // The detectors look back for a little while; the border is nobody's fault.
                if quiet > 10 {
                    self.pauses += 1;
                    self.false_alarms += usize::from(found_here);
                }
            }
        }
    }
}

fn main() {
    if std::env::args().any(|argument| argument == "--test") {
        return; // `cargo test --benches` asks for no figures.
    }
    let json = std::env::args().any(|argument| argument == "--json");
    let scenes: Vec<Scene> =
        [("flite", "rms"), ("flite", "slt"), ("espeak-ng", "en-us"), ("espeak-ng", "de")]
            .map(|(p, v)| scene(p, v))
            .into();
    let longest = scenes.iter().map(|scene| scene.samples.len()).max().unwrap_or_default();
    let noises = [("white", white(longest)), ("pink", pink(longest)), ("babble", babble(longest))];
    let detectors: [(&str, Make); 7] = [
        ("level alone, -46 dBFS", || Box::new(Level)),
        ("webrtc-vad 0.4, quality", || Box::new(WebRtc(webrtc_vad::Vad::new()))),
        ("webrtc-vad 0.4, aggressive", || {
            Box::new(WebRtc(webrtc_vad::Vad::new_with_mode(webrtc_vad::VadMode::Aggressive)))
        }),
        ("webrtc-vad 0.4, very aggressive", || {
            Box::new(WebRtc(webrtc_vad::Vad::new_with_mode(webrtc_vad::VadMode::VeryAggressive)))
        }),
        ("earshot 1.2, 0.4", || Box::new(Earshot::new(0.4))),
        ("earshot 1.2, 0.5", || Box::new(Earshot::new(0.5))),
        ("outdial: earshot 0.4, above noise", || Box::new(Outdial::new())),
    ];
    if !json {
        println!(
            "| Noise | SNR | Detector | Speech found | False alarms | Onset, median and worst | Missed | µs per s |"
        );
        println!("|---|---|---|---|---|---|---|---|");
    }
    let mut conditions: Vec<(&str, f64)> = vec![("white", 45.0)];
    conditions.extend(
        ["white", "pink", "babble"].into_iter().flat_map(|n| [20.0, 10.0, 5.0, 0.0].map(|snr| (n, snr))),
    );
    for (name, snr) in conditions {
        let noise = &noises.iter().find(|(other, _)| *other == name).expect("one of them").1;
        for (label, make) in detectors {
            let mut score = Score::default();
            for scene in &scenes {
                let samples = mix(scene, noise, snr);
                score.take(&mut *make(), &samples, &scene.speech);
            }
            score.onsets.sort_unstable();
            let percent = |part: usize, whole: usize| 100.0 * part as f64 / whole as f64;
            let onset = |at: usize| score.onsets.get(at).map_or(0, |frames| frames * 20);
            let (found, alarms) =
                (percent(score.found, score.speech), percent(score.false_alarms, score.pauses));
            let (median, worst) =
                (onset(score.onsets.len() / 2), onset(score.onsets.len().saturating_sub(1)));
            let cost = score.time.as_secs_f64() * 1e6 / (score.frames as f64 / 50.0);
            if json {
                println!(
                    "{}",
                    serde_json::json!({
                        "noise": name, "snr_db": snr, "detector": label, "found_percent": found,
                        "false_alarm_percent": alarms, "onset_median_ms": median, "onset_worst_ms": worst,
                        "missed": score.missed, "us_per_s": cost,
                    })
                );
            } else {
                println!(
                    "| {name} | {snr} dB | {label} | {found:.1} % | {alarms:.1} % | {median}, {worst} ms | {} | {cost:.0} |",
                    score.missed
                );
            }
        }
    }
}
