//! `outdial bench speech`: how soon what is written is spoken, what is said is heard, and who interrupts is let speak.
//!
//! The synthesizer and the recogniser are the bench's own and take no time; so what is left is what the library, the
//! system and the wire take.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, bail};
use clap::Args;
use outdial::audio::{Listener, SampleRate, Speaker};
use outdial::call::Call;
use outdial::provider::{DialProvider as _, DialRequest};
use outdial::speech::{Conversation, Speech, Synthesizer, Text, Transcriber, Transcription};
use outdial::{AgentId, Config, E164, Endpoint, Shutdown};
use outdial_sandbox::{Sandbox, Speech as SandboxVoice};
use serde::Serialize;
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};

use super::codec::Codec;
use super::peer::Peer;
use super::reflector::Impairment;
use super::rig::{self, micros};
use super::spread::Spread;
use crate::exit::{Exit, Failure};

/// Measure from text to the wire, from the wire to the recogniser, and how soon a callee's voice silences the agent
#[derive(Debug, Args)]
pub(super) struct SpeechCommand {
    /// So many calls at the same time
    #[arg(long, value_name = "N", default_value_t = 10)]
    calls: usize,
    /// So many words in each call, and so many callees who interrupt
    #[arg(long, value_name = "N", default_value_t = 20)]
    rounds: usize,
    /// The rate at which the application speaks and listens
    #[arg(long, value_name = "HZ", default_value_t = 16_000)]
    rate: u32,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// What was measured, in milliseconds.
#[derive(Debug, Serialize)]
struct Report {
    calls: usize,
    rounds: usize,
    application_hz: u32,
    /// From the first piece of a text to the first packet with its sound.
    first_packet_ms: Option<Spread>,
    /// From the last packet of a word, as it leaves the far end, to the recogniser's input.
    to_transcriber_ms: Option<Spread>,
    /// From the first frame of the callee's speech to the last packet with ours.
    barge_in_ms: Option<Spread>,
    /// Callees who did not succeed in interrupting.
    not_interrupted: usize,
}

/// How long a word is.
const WORD: Duration = Duration::from_millis(200);
/// Everything has come by then, or is lost.
const LOST: Duration = Duration::from_secs(5);
/// What is louder than this is somebody's voice.
const LOUD: u16 = 500;
/// What callees say; each begins with another sound.
const GREETINGS: [&str; 6] = [
    "Good morning, who is there?",
    "Hello?",
    "Miller here, what is it?",
    "Yes, speaking.",
    "This is the office of the garage.",
    "Thank you for calling us today.",
];

impl SpeechCommand {
    pub(super) async fn run(self) -> Result<Exit, Failure> {
        let report = self.measure().await?;
        if self.json {
            println!("{}", serde_json::to_string(&report)?);
        } else {
            print!("{report}");
        }
        Ok(if report.not_interrupted == 0 { Exit::Completed } else { Exit::Failed })
    }

    async fn measure(&self) -> Result<Report> {
        let rate = SampleRate::try_from(self.rate).context("--rate")?;
        let (mut first_packet, mut to_transcriber) = (Vec::new(), Vec::new());
        let peer = Peer::start(Codec::Pcmu, Impairment::default())?;
        let room = u32::try_from(self.calls).context("--calls")?;
        let endpoint = rig::endpoint(peer.ready().sip, Codec::Pcmu, false, room).await?;
        let mut tasks = tokio::task::JoinSet::new();
        for _ in 0..self.calls {
            let call = rig::set_up(&endpoint, rig::request(rate)?).await?.call;
            tasks.spawn(words(call, rate, self.rounds));
        }
        for found in tasks.join_all().await {
            let (first, last) = found?;
            first_packet.extend(first);
            to_transcriber.extend(last);
        }
        endpoint.shutdown(Shutdown::HangUp).await;
        drop(peer);

        let (mut barge_in, mut not_interrupted) = (Vec::new(), 0);
        for round in 0..self.rounds {
            let greeting = GREETINGS[round % GREETINGS.len()];
            match interrupted(greeting, rate).await? {
                Some(time) => barge_in.push(micros(time)),
                None => not_interrupted += 1,
            }
        }
        Ok(Report {
            calls: self.calls,
            rounds: self.rounds,
            application_hz: self.rate,
            first_packet_ms: Spread::of(first_packet),
            to_transcriber_ms: Spread::of(to_transcriber),
            barge_in_ms: Spread::of(barge_in),
            not_interrupted,
        })
    }
}

/// Says a word as soon as it has its text.
struct Voice {
    sound: Arc<[i16]>,
    rate: SampleRate,
}

impl Synthesizer for Voice {
    fn name(&self) -> &str {
        "bench"
    }

    fn synthesize(&self, mut text: Text, _: SampleRate) -> Speech {
        let (sound, hz) = (Arc::clone(&self.sound), self.rate.hz());
        Speech::spawn(move |sink| async move {
            while let Some(piece) = text.next_piece().await {
                sink.saying(piece).await?;
                sink.sound(&sound, hz).await?;
            }
            Ok(())
        })
    }
}

/// Notes when frames come, and whether somebody is heard in them.
struct Ears(mpsc::UnboundedSender<(Instant, bool)>);

impl Transcriber for Ears {
    fn name(&self) -> &str {
        "bench"
    }

    fn transcribe(&self, mut listener: Listener) -> Transcription {
        let frames = self.0.clone();
        Transcription::spawn(move |_| async move {
            while let Some(frame) = listener.recv().await {
                let loud = frame.samples().iter().any(|sample| sample.unsigned_abs() > LOUD);
                // Whoever counts may have heard enough.
                let _ = frames.send((Instant::now(), loud && !frame.is_early()));
            }
            Ok(())
        })
    }
}

/// Waits until so much has been handed to the wire.
async fn played(speaker: &Speaker, samples: u64) -> Result<Instant> {
    let wait = async {
        while speaker.played() < samples {
            sleep(Duration::from_micros(500)).await;
        }
        Instant::now()
    };
    timeout(LOST, wait).await.context("the speech does not leave")
}

/// Says words to an echo: from text to packet, and from the returning packet to the recogniser, in microseconds.
async fn words(call: Call, rate: SampleRate, rounds: usize) -> Result<(Vec<u32>, Vec<u32>)> {
    let (sender, mut frames) = mpsc::unbounded_channel();
    let _transcription = call.transcribe(&Ears(sender))?;
    let speaker = call.speaker()?;
    let voice = Voice { sound: rig::sound(rate, WORD).into(), rate };
    let (mut first, mut last) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        // Not in step with the clock.
        sleep(Duration::from_micros(rand::random_range(100_000..120_000))).await;
        while frames.try_recv().is_ok() {}
        let before = speaker.played();
        let written: Arc<Mutex<Option<Instant>>> = Arc::default();
        let note = Arc::clone(&written);
        let text = Text::from_pieces(Once(Some(Box::new(move || {
            *note.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
            "word".to_owned()
        }))));
        let (spoken, left) = tokio::join!(call.say(&voice, text), async {
            let begun = played(&speaker, before + 1).await?;
            let ended = played(&speaker, before + rate.samples_in(WORD) as u64).await?;
            anyhow::Ok((begun, ended))
        });
        let ((begun, ended), _) = (left?, spoken.context("the bench's own voice")?);
        let written = written.lock().unwrap_or_else(PoisonError::into_inner).take();
        first.push(micros(begun - written.context("the text was not asked for")?));
        let mut heard = None;
        let mut quiet = 0;
        while quiet < 8 {
            let (at, loud) = timeout(LOST, frames.recv()).await?.context("the call ended")?;
            quiet = if loud { 0 } else { quiet + usize::from(heard.is_some() || at > ended + LOST) };
            heard = if loud { Some(at) } else { heard };
        }
        last.push(micros(heard.context("the word did not come back")?.saturating_duration_since(ended)));
    }
    call.hangup().await;
    Ok((first, last))
}

/// Writes a text.
type Writer = Box<dyn FnOnce() -> String + Send>;

/// One piece of text, written when it is asked for.
struct Once(Option<Writer>);

impl futures_util::Stream for Once {
    type Item = String;

    fn poll_next(
        mut self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<String>> {
        std::task::Poll::Ready(self.0.take().map(|write| write()))
    }
}

/// A callee answers and speaks while we do: how long we go on, or `None` if we were not interrupted.
async fn interrupted(greeting: &str, rate: SampleRate) -> Result<Option<Duration>> {
    let sandbox = Sandbox::builder().speech(SandboxVoice::EspeakNg).greeting(greeting).start().await;
    let sandbox = sandbox.context("callees need the package espeak-ng")?;
    let server = sandbox.udp().context("UDP is on")?;
    let secret = tempfile::NamedTempFile::new()?;
    std::fs::write(secret.path(), sandbox.password())?;
    let config = Config::parse(&format!(
        "[endpoint]\nbind = \"127.0.0.1\"\n[trunks.bench]\nserver = \"{server}\"\ntransport = \"udp\"\n\
         codecs = [\"pcmu\"]\nuser = {:?}\npassword = {{ source = \"file\", id = {:?} }}\n",
        sandbox.username(),
        secret.path(),
    ))?;
    let endpoint = Endpoint::start(&config).await?;
    let request = DialRequest::new(AgentId::new("bench")?, E164::parse("+12025550101")?).audio_rate(rate);
    let call = endpoint.dial_with(request).await?;
    let (sender, mut frames) = mpsc::unbounded_channel();
    // Ten seconds of something that nobody would take for the callee's voice.
    let voice = Voice { sound: rig::sound(rate, Duration::from_secs(10)).into(), rate };
    let conversation = Conversation::start(&call, voice, Ears(sender))?;
    let speaker = call.speaker()?;
    call.answered().await.map_err(|end| anyhow!("{}", end.reason))?;
    let listen = async {
        loop {
            match frames.recv().await {
                Some((at, true)) => return Ok(at),
                Some(_) => {}
                None => bail!("the call ended"),
            }
        }
    };
    let leave = async {
        let (mut last, mut count) = (Instant::now(), speaker.played());
        while last.elapsed() < Duration::from_millis(300) {
            sleep(Duration::from_millis(1)).await;
            let now = speaker.played();
            if now > count {
                (last, count) = (Instant::now(), now);
            }
        }
        last
    };
    let speak = conversation.say("noise");
    let (spoken, heard, left) = tokio::join!(speak, timeout(LOST, listen), async {
        played(&speaker, 1).await?;
        anyhow::Ok(timeout(Duration::from_secs(12), leave).await?)
    });
    let interrupted = !spoken.context("the bench's own voice")?.is_complete();
    call.hangup().await;
    drop((conversation, call));
    endpoint.shutdown(Shutdown::HangUp).await;
    sandbox.shutdown().await;
    let time = left?.saturating_duration_since(heard??);
    Ok(interrupted.then_some(time))
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let spread =
            |spread: &Option<Spread>| spread.map_or_else(|| "-".to_owned(), |spread| spread.to_string());
        writeln!(
            f,
            "{} calls, PCMU, application at {} Hz, {} words in each; {} callees who interrupt",
            self.calls, self.application_hz, self.rounds, self.rounds
        )?;
        writeln!(f, "text to first packet           {}", spread(&self.first_packet_ms))?;
        writeln!(f, "last packet to transcriber     {}", spread(&self.to_transcriber_ms))?;
        writeln!(f, "callee's voice to our silence  {}", spread(&self.barge_in_ms))?;
        writeln!(f, "not interrupted                {}", self.not_interrupted)
    }
}
