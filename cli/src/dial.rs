//! `outdial dial`: one call, and a time line of what happens in it.

mod conversation;
mod hearing;
mod note;
mod prompt;
mod recorder;
mod timeline;

use std::path::PathBuf;
use std::pin::pin;
use std::time::Duration;

use anyhow::Context;
use clap::Args;
use outdial::audio::SampleRate;
use outdial::audio::dtmf::DialString;
use outdial::audit::AuditError;
use outdial::call::{Call, CallEnd, CallEvent};
use outdial::config::Config;
use outdial::ledger::LedgerError;
use outdial::provider::{AgentId, DialError, DialProvider, DialRequest, E164};
use outdial::sip::{Registration, Shutdown};
use outdial::{Outdial, OutdialError};
use tokio::sync::{mpsc, watch};

use crate::configuration::{self, ConfigOption, SANDBOX};
use crate::exit::{Exit, Failure};
use crate::interrupt::Interrupts;
use crate::sandbox::SandboxProcess;
use conversation::{Conversation, Why};
use hearing::Heard;
use note::Note;
use prompt::Prompt;
use recorder::Recorder;
use timeline::Timeline;

/// The rate of the prompt, the recording and the call's two streams.
const RATE: SampleRate = SampleRate::Hz16000;

/// Call a number, speak, listen, and show what happens
///
/// The trunk `sandbox` needs no configuration: `outdial dial +12025550101 --trunk sandbox --say "Hello."` starts a
/// sandbox of its own and calls it over TLS with SRTP. Ctrl-C hangs up; a second one does not wait for the goodbye.
#[derive(Debug, Args)]
#[command(after_long_help = Exit::table())]
pub(crate) struct DialCommand {
    /// Whom to call: +, country code, number
    #[arg(value_name = "NUMBER", allow_hyphen_values = true)]
    to: E164,
    #[command(flatten)]
    config: ConfigOption,
    /// The trunk; otherwise the agent's, then default_trunk, then the only one
    #[arg(long, value_name = "NAME")]
    trunk: Option<String>,
    /// Call as this agent
    #[arg(long, value_name = "NAME", default_value = "cli")]
    agent: AgentId,
    /// Say this when the callee answers; needs espeak-ng or flite
    #[arg(long, value_name = "TEXT", conflicts_with = "wav")]
    say: Option<String>,
    /// The synthesiser's voice: `de` for espeak-ng (default en-us), `slt` for flite
    #[arg(long, value_name = "NAME", requires = "say")]
    voice: Option<String>,
    /// Play this file when the callee answers: 16-bit WAV, mono or stereo, any rate
    #[arg(long, value_name = "FILE")]
    wav: Option<PathBuf>,
    /// Press these keys after that: 0-9 * # A-D, `w` waits half a second and `,` two
    #[arg(long, value_name = "KEYS")]
    dtmf: Option<DialString>,
    /// Record what the callee says, from the first sound on: 16-bit WAV, mono, 16 kHz
    #[arg(long, value_name = "FILE")]
    record: Option<PathBuf>,
    /// Listen for so many seconds after that; otherwise until the callee has been silent for 2 s
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    listen: Option<Duration>,
    /// Give up when it has rung for so long, such as 30s; otherwise as configured
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    ring_timeout: Option<Duration>,
    /// Hang up when the call has lasted for so long; never longer than configured
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    max_time: Option<Duration>,
    /// Call once for this key: the same key again rings nobody and tells how the first call ended
    #[arg(long, value_name = "KEY")]
    key: Option<String>,
    /// A reference to the callee's consent, for the records
    #[arg(long, value_name = "REFERENCE")]
    consent: Option<String>,
    /// Print JSON, one object per event and line, the end last
    #[arg(long)]
    json: bool,
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| "a number of seconds, such as 5".to_owned())?;
    Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string())
}

/// Where a call goes: the configuration, and the sandbox if it was started for this call.
struct Way {
    config: Config,
    sandbox: Option<SandboxProcess>,
    /// The records of a call to that sandbox, deleted afterwards.
    _records: Option<tempfile::TempDir>,
}

impl DialCommand {
    /// Calls, and tells with which code to end.
    pub(crate) async fn run(self) -> Result<Exit, Failure> {
        let mut interrupts = Interrupts::listen()?;
        // What can go wrong without ringing anybody goes wrong first.
        let prompt = Prompt::prepare(self.say.as_deref(), self.voice.as_deref(), self.wav.as_deref()).await?;
        let way = self.way().await?;
        let recorder = self.record.as_deref().map(|path| Recorder::create(path, RATE)).transpose()?;
        let outdial = Outdial::from_config(&way.config).await.map_err(not_started)?;
        let mut timeline = Timeline::start(self.json);
        if let Some(sandbox) = &way.sandbox {
            timeline.note(&Note::Sandbox(sandbox.ready.clone()))?;
        }
        let exit = self.call(&outdial, &mut timeline, &mut interrupts, prompt, recorder).await;
        outdial.shutdown(Shutdown::HangUp).await;
        if let Some(sandbox) = way.sandbox {
            sandbox.end().await;
        }
        exit
    }

    /// Finds the trunk; the trunk `sandbox`, if it is not configured, is started.
    async fn way(&self) -> Result<Way, Failure> {
        let found = self.config.load()?;
        let wants_sandbox = self.trunk.as_deref() == Some(SANDBOX);
        match found {
            Some(config) if !wants_sandbox || config.trunks.contains_key(SANDBOX) => {
                Ok(Way { config, sandbox: None, _records: None })
            }
            _ if wants_sandbox => {
                let sandbox = SandboxProcess::start().await?;
                let mut config = configuration::load(&sandbox.ready.config)?;
                // A call to a sandbox of its own costs nothing and proves nothing.
                let records = tempfile::tempdir().context("no folder for the records")?;
                config.records.folder = Some(records.path().to_owned());
                Ok(Way { config, sandbox: Some(sandbox), _records: Some(records) })
            }
            _ => Err(ConfigOption::missing()),
        }
    }

    fn request(&self) -> DialRequest {
        let mut request = DialRequest::new(self.agent.clone(), self.to.clone()).audio_rate(RATE);
        request.trunk = self.trunk.clone();
        request.ring_timeout = self.ring_timeout;
        request.talk_limit = self.max_time;
        request.idempotency_key = self.key.clone();
        request.consent = self.consent.clone();
        request
    }

    async fn call(
        &self,
        outdial: &Outdial,
        timeline: &mut Timeline,
        interrupts: &mut Interrupts,
        prompt: Option<Prompt>,
        recorder: Option<Recorder>,
    ) -> Result<Exit, Failure> {
        let request = self.request();
        let plan = match outdial.config().plan(&request) {
            Ok(plan) => plan,
            Err(error) => return refused(timeline, error),
        };
        timeline.note(&Note::dialling(&self.to, &plan))?;
        let dialled = tokio::select! {
            dialled = outdial.dial_with(request) => dialled,
            () = interrupts.next() => {
                timeline.note(&Note::NotDialled { kind: "cancelled", why: "interrupted".to_owned() })?;
                return Ok(Exit::Cancelled);
            }
        };
        let call = match dialled {
            Ok(call) => call,
            Err(error) => return refused(timeline, error),
        };
        let registration = outdial.endpoint().and_then(|endpoint| endpoint.registration(plan.name));
        if let Some(expires) = registration.and_then(|registration| granted(&registration.borrow())) {
            timeline.note(&Note::Registered(expires))?;
        }
        timeline.note(&Note::Call(call.id().clone()))?;
        let audio = match call.audio() {
            Ok(audio) => audio,
            // The call of an earlier run with the same key.
            Err(_) => {
                let end = call.ended().await;
                let exit = Exit::of_end(end.reason);
                timeline.note(&Note::Event(CallEvent::Ended(end)))?;
                return Ok(exit);
            }
        };
        let (notes, told) = mpsc::unbounded_channel();
        let (ear, heard) = watch::channel(Heard::default());
        let hearing = tokio::spawn(hearing::hear(audio.listener, recorder, ear, notes.clone()));
        let conversation = Conversation {
            call: call.clone(),
            speaker: audio.speaker,
            prompt,
            keys: self.dtmf.clone(),
            listen: self.listen,
            heard,
            notes,
        };
        let end = follow(&call, conversation.hold(), told, timeline, interrupts).await?;
        // The recording is complete when the call's sound is; the end stays the last line.
        let recorded = hearing.await.context("the recording failed")?;
        if let Ok(Some(recording)) = &recorded {
            timeline.note(&Note::Recorded(recording.clone()))?;
        }
        let exit = Exit::of_end(end.reason);
        timeline.note(&Note::Event(CallEvent::Ended(end)))?;
        recorded?;
        Ok(exit)
    }
}

/// The records of another process are no mistake in the configuration: later it may work.
fn not_started(error: OutdialError) -> Failure {
    let exit = match &error {
        OutdialError::Ledger(LedgerError::Locked { .. }) | OutdialError::Audit(AuditError::Locked { .. }) => {
            Exit::Unavailable
        }
        _ => Exit::Configuration,
    };
    Failure { exit, error: error.into() }
}

fn granted(registration: &Registration) -> Option<Duration> {
    match registration {
        Registration::Registered { expires } => Some(*expires),
        _ => None,
    }
}

fn refused(timeline: &mut Timeline, error: DialError) -> Result<Exit, Failure> {
    timeline.note(&Note::NotDialled { kind: error.kind(), why: error.to_string() })?;
    Ok(Exit::of_refusal(&error))
}

/// Tells what happens until the call is over. It is hung up when the conversation is, or at the first interrupt; a
/// second interrupt ends the process.
async fn follow(
    call: &Call,
    conversation: impl Future<Output = Why>,
    mut told: mpsc::UnboundedReceiver<Note>,
    timeline: &mut Timeline,
    interrupts: &mut Interrupts,
) -> Result<CallEnd, Failure> {
    let mut events = call.events();
    let mut conversation = pin!(conversation);
    let (mut hanging_up, mut interrupted) = (false, false);
    loop {
        let why = tokio::select! {
            // What was said before an event stands before it.
            biased;
            () = interrupts.next() => {
                if interrupted {
                    std::process::exit(Exit::Interrupted.code().into());
                }
                interrupted = true;
                if hanging_up {
                    continue;
                }
                Why::Interrupted
            }
            Some(note) = told.recv() => {
                timeline.note(&note)?;
                continue;
            }
            event = events.next() => match event {
                Some(CallEvent::Ended(end)) => return Ok(end),
                Some(event) => {
                    timeline.note(&Note::Event(event))?;
                    continue;
                }
                None => return Ok(call.ended().await),
            },
            why = &mut conversation, if !hanging_up => why,
        };
        hanging_up = true;
        if why != Why::Over {
            timeline.note(&Note::HangingUp(why))?;
        }
        let call = call.clone();
        tokio::spawn(async move { call.hangup().await });
    }
}
