//! What is kept of what is said: each side at its place on the wire's time line, nothing of a pause, a hash that is the
//! file's, and a call that goes on when the disk does not.

mod common;

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use common::phone::{request, turn};
use common::sound::{echoes, position, sweep};
use common::voice::{ToneEars, Tones};
use common::{trunk, within};
use outdial::audio::{Listener, SampleRate, Speaker};
use outdial::audit::verify_file;
use outdial::call::{Call, CallEvent};
use outdial::provider::{DialRequest, Record};
use outdial::speech::TranscriptEvent;
use outdial::{Config, DialProvider, Outdial, Shutdown};
use outdial_sandbox::{Sandbox, Speech};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;
use tokio::sync::MutexGuard;

/// Answers at once, and sends back what it hears.
const ECHO: &str = "+12025550116";
const BUSY: &str = "+12025550102";
const WIRE: SampleRate = SampleRate::Hz8000;
const FRAME: usize = WIRE.frame_len();

/// A host whose calls leave recordings.
struct Host {
    outdial: Outdial,
    sandbox: Sandbox,
    folder: TempDir,
    _turn: MutexGuard<'static, ()>,
}

fn config(sandbox: &Sandbox, folder: &Path, more: &str) -> String {
    trunk::sandbox_udp(
        sandbox,
        format!("codecs = [\"pcmu\"]\n[records]\nfolder = {folder:?}\nsession = \"s1\"\n{more}"),
    )
}

impl Host {
    async fn start(more: &str) -> Self {
        let turn = turn().await;
        let sandbox = Sandbox::builder().speech(Speech::Melodies).start().await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        let config = Config::parse(&config(&sandbox, folder.path(), more)).unwrap();
        let outdial = within("the start", Outdial::from_config(&config)).await.unwrap();
        Self { outdial, sandbox, folder, _turn: turn }
    }

    async fn dial(&self, request: DialRequest) -> Call {
        let call = within("the call", self.outdial.dial_with(request.audio_rate(WIRE))).await.unwrap();
        within("the answer", call.answered()).await.unwrap();
        call
    }

    fn file(&self, call: &Call, ending: &str) -> PathBuf {
        self.folder.path().join("recordings").join(format!("{}.{ending}", call.id()))
    }

    /// Ends everything; returns the events of the audit log, and the folder.
    async fn finish(self) -> (Vec<Value>, TempDir) {
        within("the shutdown", self.outdial.shutdown(Shutdown::HangUp)).await;
        self.sandbox.shutdown().await;
        (events(self.folder.path()), self.folder)
    }
}

fn events(folder: &Path) -> Vec<Value> {
    let log = folder.join("audit/s1/wire.jsonl");
    assert!(verify_file(&log).unwrap().is_intact());
    let text = std::fs::read_to_string(log).unwrap();
    text.lines().skip(1).map(|line| serde_json::from_str::<Value>(line).unwrap()["event"].take()).collect()
}

fn of<'e>(events: &'e [Value], kind: &str) -> Vec<&'e Value> {
    events.iter().filter(|event| event["type"] == kind).collect()
}

/// Both sides of a recording: the callee's, ours.
fn sides(path: &Path) -> (Vec<i16>, Vec<i16>) {
    let reader = hound::WavReader::open(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    assert_eq!((reader.spec().channels, reader.spec().sample_rate), (2, WIRE.hz()));
    let samples: Vec<i16> = reader.into_samples().map(Result::unwrap).collect();
    samples.chunks_exact(2).map(|pair| (pair[0], pair[1])).unzip()
}

fn hash(path: &Path) -> String {
    Sha256::digest(std::fs::read(path).unwrap()).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Hears so many frames, and returns where the next one stands.
async fn listen(listener: &mut Listener, frames: usize) -> u64 {
    let mut next = 0;
    for _ in 0..frames {
        let frame = within("a frame", listener.recv()).await.expect("the call is up");
        next = frame.position() + FRAME as u64;
    }
    next
}

/// Where the stream stood when the callee answered: the first turns may be over by then.
async fn answered_at(listener: &mut Listener) -> usize {
    loop {
        let frame = within("a frame", listener.recv()).await.expect("the call is up");
        if !frame.is_early() {
            return frame.position() as usize;
        }
    }
}

/// Says a mark that is found again to the sample; when this returns its packets are under way.
async fn say(speaker: &Speaker, mark: &[i16]) {
    within("the playout", speaker.send(mark)).await.unwrap();
    within("the drain", speaker.drain()).await;
}

#[tokio::test]
async fn both_sides_stand_on_the_time_line_of_the_wire() {
    let host = Host::start("[recording]\nrecord = \"sound\"\n").await;
    let call = host.dial(request(ECHO).consent("form-7")).await;
    let mut audio = call.audio().unwrap();
    let mark = sweep(WIRE, 300);
    let mark = &mark[FRAME..mark.len() - FRAME];
    let begin = answered_at(&mut audio.listener).await;
    listen(&mut audio.listener, 20).await;
    let before = listen(&mut audio.listener, 1).await as usize - begin;
    say(&audio.speaker, mark).await;
    // A second in which nothing is said, by the clock of the wire: an application's pace would leave it out.
    while audio.listener.try_recv().is_ok() {}
    listen(&mut audio.listener, 50).await;
    say(&audio.speaker, mark).await;
    while audio.listener.try_recv().is_ok() {}
    let heard = listen(&mut audio.listener, 30).await as usize - begin;
    assert!(!host.file(&call, "wav").exists(), "it has its name when it is complete");
    let end = within("the end", call.hangup()).await;
    let (path, part) = (host.file(&call, "wav"), host.file(&call, "wav.part"));
    let id = call.id().to_string();
    drop(call);
    let (events, _folder) = host.finish().await;

    let (callee, agent) = sides(&path);
    assert_eq!(callee.len(), agent.len());
    // As long as there were turns: what we sent, but for packets on their way, and no more than a turn or two.
    let sent = end.media.as_ref().unwrap().packets_sent as usize;
    assert!((callee.len() / FRAME).abs_diff(sent) <= 2, "{} turns and {sent} packets", callee.len() / FRAME);
    assert!(callee.len() >= heard, "{} samples, and {heard} were heard", callee.len());

    // What we say is there sample by sample, and not before we said it.
    let spoken = [0, 1].map(|nth| {
        let from = if nth == 0 { 0 } else { position(&agent, mark).unwrap() + mark.len() };
        from + position(&agent[from..], mark).unwrap_or_else(|| panic!("mark {nth} is not on our side"))
    });
    assert!(spoken[0] + FRAME >= before, "said at {before} and recorded at {}", spoken[0]);
    assert!(
        spoken[1] - spoken[0] >= mark.len() + 50 * FRAME,
        "the silence between them is short: {spoken:?}"
    );
    assert!(agent[spoken[0] + mark.len()..spoken[1]].iter().filter(|sample| **sample != 0).count() < FRAME);

    // The callee's echo comes back through μ-law, whole turns later. A jitter buffer may repeat or leave out a frame when
    // the machine is busy.
    let echoes: Vec<_> = spoken.iter().flat_map(|at| echoes(&agent, *at, mark.len(), &callee)).collect();
    let found: Vec<usize> = echoes.iter().copied().flatten().collect();
    assert!(found.len() * 10 >= echoes.len() * 7, "{echoes:?}");
    // PJMEDIA's concealment of loss holds back 5 ms (PJMEDIA_WSOLA_DELAY_MSEC) of what was received.
    let whole =
        |echo: &usize| echo.checked_sub(WIRE.samples(5)).is_some_and(|turns| turns.is_multiple_of(FRAME));
    assert!(found.iter().all(whole), "no whole turns: {echoes:?}");

    let [recorded] = of(&events, "voice.call.recorded")[..] else { panic!("{events:#?}") };
    assert_eq!((&recorded["callId"], &recorded["what"]), (&id.as_str().into(), &"recording".into()));
    assert_eq!((&recorded["file"], &recorded["sha256"]), (&format!("{id}.wav").into(), &hash(&path).into()));
    assert_eq!(recorded["bytes"], std::fs::metadata(&path).unwrap().len());
    assert_eq!(recorded["durationMs"], callee.len() as u64 / 8);
    assert_eq!(
        (&recorded["lostMs"], &recorded["pausedMs"], &recorded["fault"]),
        (&0.into(), &0.into(), &Value::Null)
    );
    assert_eq!((&recorded["consent"], &recorded["recovered"]), (&"form-7".into(), &false.into()));
    assert_eq!(of(&events, "voice.call.recording").len(), 1);
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(!part.exists());
}

#[tokio::test]
async fn nothing_is_written_unless_somebody_says_so() {
    let host = Host::start("[agents.tester]\n").await;
    let call = host.dial(request(ECHO)).await;
    assert!(!call.pause_recording() && !call.resume_recording());
    listen(&mut call.audio().unwrap().listener, 5).await;
    within("the end", call.hangup()).await;
    // A call that nobody answers leaves nothing either.
    let busy = host.outdial.dial_with(request(BUSY).record(Record::Both)).await.unwrap();
    within("the end", busy.ended()).await;
    drop((call, busy));
    let folder = host.folder.path().join("recordings");
    let outdial = host.outdial.clone();
    within("the shutdown", outdial.shutdown(Shutdown::HangUp)).await;
    assert!(!folder.exists(), "{:?}", std::fs::read_dir(folder).unwrap().collect::<Vec<_>>());
    let (events, _folder) = host.finish().await;
    assert!(of(&events, "voice.call.recorded").is_empty() && of(&events, "voice.call.recording").is_empty());
}

#[tokio::test]
async fn a_pause_leaves_silence_at_its_place() {
    let host = Host::start("").await;
    let call = host.dial(request(ECHO).record(Record::Sound)).await;
    let mut audio = call.audio().unwrap();
    let begin = answered_at(&mut audio.listener).await;
    // Somebody speaks all the time.
    let noise: Vec<i16> = (0..WIRE.samples(10_000)).map(|n| if n % 8 < 4 { 8_000 } else { -8_000 }).collect();
    let speaker = audio.speaker.clone();
    let speech = tokio::spawn(async move { speaker.send(&noise).await });
    listen(&mut audio.listener, 40).await;
    assert!(call.pause_recording());
    let from = listen(&mut audio.listener, 1).await as usize - begin;
    let to = listen(&mut audio.listener, 40).await as usize - begin;
    assert!(call.resume_recording());
    let on = listen(&mut audio.listener, 40).await as usize - begin;
    within("the end", call.hangup()).await;
    let path = host.file(&call, "wav");
    within("the file", async {
        while !path.exists() {
            tokio::time::sleep(Duration::from_millis(10)).await
        }
    })
    .await;
    let (callee, agent) = sides(&path);
    for (side, samples) in [("the callee", &callee), ("the agent", &agent)] {
        // A turn is under way when it is asked for.
        let inside = &samples[from + FRAME..to - FRAME];
        assert!(inside.iter().all(|sample| *sample == 0), "{side} is heard in the pause");
    }
    let loud = |samples: &[i16]| samples.iter().filter(|sample| sample.unsigned_abs() > 4_000).count();
    assert!(loud(&agent[to + 3 * FRAME..on]) > 30 * FRAME, "it goes on after the pause, at its place");
    assert!(loud(&agent[..from - 2 * FRAME]) > 20 * FRAME && loud(&callee[..from]) > 0);
    speech.abort();
    drop((call, audio));
    let (events, _folder) = host.finish().await;
    let states: Vec<&Value> =
        of(&events, "voice.call.recording").iter().map(|event| &event["state"]).collect();
    assert_eq!(states, ["started", "paused", "resumed"]);
    let paused = of(&events, "voice.call.recorded")[0]["pausedMs"].as_u64().unwrap();
    let asked = (to - from) as u64 / 8 + 20;
    assert!(paused.abs_diff(asked) <= 60, "{paused} ms of silence, {asked} were asked for");
}

#[tokio::test]
async fn words_have_their_times_and_none_is_kept_of_a_pause() {
    let host =
        Host::start("[recording]\nrecord = \"both\"\nformat = \"ogg-opus\"\nstart_paused = true\n").await;
    let call = within("the call", host.outdial.dial_with(request(ECHO).audio_rate(SampleRate::Hz16000)))
        .await
        .unwrap();
    within("the answer", call.answered()).await.unwrap();
    let (voice, ears) = (Tones::new("tones"), ToneEars::new("ears"));
    let mut words = call.transcribe(&ears).unwrap();
    let mut final_words = async || loop {
        if let TranscriptEvent::Final(words) = within("words", words.next()).await.unwrap().unwrap() {
            return words.text;
        }
    };
    within("the question", call.say(&voice, "One two.")).await.unwrap();
    assert_eq!(final_words().await, "one two");
    assert!(call.resume_recording());
    within("more", call.say(&voice, "Three four five.")).await.unwrap();
    assert_eq!(final_words().await, "three four five");
    // Cut off in the middle.
    let (said, ()) =
        tokio::join!(call.say(&voice, "Six seven eight nine six seven eight nine six."), async {
            let speaker = call.speaker().unwrap();
            let (before, rate) = (speaker.played(), speaker.rate());
            while speaker.played() < before + rate.samples(900) as u64 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            speaker.clear();
        });
    let said = said.unwrap();
    within("the end", call.hangup()).await;
    drop(words);
    let (path, sound) = (host.file(&call, "jsonl"), host.file(&call, "opus"));
    let id = call.id().to_string();
    within("the files", async {
        while !path.exists() || !sound.exists() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
    let text = std::fs::read_to_string(&path).unwrap();
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((&lines[0]["type"], &lines[0]["callId"]), (&"call".into(), &id.as_str().into()));
    assert_eq!(lines.last().unwrap()["type"], "end");
    assert!(!text.contains("One") && !text.contains("one two"), "{text}");
    let all: Vec<&Value> = lines.iter().filter(|line| line["type"] == "words").collect();
    let withheld = all.iter().filter(|line| line["text"].is_null()).count();
    assert!(withheld >= 2, "the question and its echo:\n{text}");
    let find = |who: &str, words: &str| {
        let found =
            all.iter().find(|line| line["who"] == who && line["text"] == words && line["final"] == true);
        *found.unwrap_or_else(|| panic!("{who} did not say {words:?}:\n{text}"))
    };
    let ms = |line: &Value, key: &str| line[key].as_u64().unwrap();
    let (ours, theirs) = (find("agent", "Three four five."), find("callee", "three four five"));
    assert_eq!(ours["outcome"], "played");
    // The echo is behind it, and no more than what a jitter buffer holds.
    let delay = ms(theirs, "startMs").checked_sub(ms(ours, "startMs")).expect("an echo comes after");
    assert!(delay < 1_000, "{delay} ms:\n{text}");
    assert!(ms(ours, "endMs") >= ms(ours, "startMs") + 500);
    let cut = find("agent", &said.text);
    assert_eq!((&cut["outcome"], &cut["unplayed"]), (&"cleared".into(), &said.unplayed.as_str().into()));
    assert!(!said.unplayed.is_empty());
    let at = cut["at"].as_str().unwrap();
    assert!(at.ends_with('Z') && at > lines[0]["answeredAt"].as_str().unwrap());
    drop(call);
    let (path_hash, sound_hash) = (hash(&path), hash(&sound));
    assert!(std::fs::read(&sound).unwrap().starts_with(b"OggS"));
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let (events, _folder) = host.finish().await;
    let states: Vec<&Value> =
        of(&events, "voice.call.recording").iter().map(|event| &event["state"]).collect();
    assert_eq!(states, ["paused", "resumed"]);
    let recorded = of(&events, "voice.call.recorded");
    let kinds: Vec<_> = recorded.iter().map(|event| (&event["what"], &event["sha256"])).collect();
    assert_eq!(kinds, [(&"recording".into(), &sound_hash.into()), (&"transcript".into(), &path_hash.into())]);
}

const PLACE: &str = "OUTDIAL_TEST_PLACE";

#[tokio::test]
#[ignore = "the process whose files cannot grow, or that is killed"]
async fn records_until_told_otherwise() {
    let Some(place) = std::env::var_os(PLACE).map(PathBuf::from) else { return };
    let config = Config::load(place.join("outdial.toml")).unwrap();
    let outdial = Outdial::from_config(&config).await.unwrap();
    let call = within("the call", outdial.dial_with(request(ECHO).audio_rate(WIRE))).await.unwrap();
    within("the answer", call.answered()).await.unwrap();
    std::fs::write(place.join("call"), call.id().as_str()).unwrap();
    let mut listener = call.audio().unwrap().listener;
    let mut events = call.events();
    let fault = tokio::spawn(async move {
        while let Some(event) = events.next().await {
            if let CallEvent::RecordingFault { kind, over, .. } = event {
                return Some((kind, over));
            }
        }
        None
    });
    // The disk is full after some seconds, and the call goes on; or the process is killed before.
    let told = within("the fault", fault).await.unwrap();
    listen(&mut listener, 50).await;
    assert!(call.end().is_none(), "{:?}", call.end());
    let end = within("the end", call.hangup()).await;
    within("the shutdown", outdial.shutdown(Shutdown::HangUp)).await;
    println!("told {told:?} {}", end.reason);
}

/// A folder with a configuration, for another process.
async fn place() -> (TempDir, Sandbox) {
    let place = tempfile::tempdir().unwrap();
    let sandbox = Sandbox::builder().speech(Speech::Melodies).without_authentication().start().await.unwrap();
    let more = "[recording]\nrecord = \"sound\"\n";
    std::fs::write(place.path().join("outdial.toml"), config(&sandbox, place.path(), more)).unwrap();
    (place, sandbox)
}

fn other_process(place: &Path, limit: &str) -> Command {
    let mut command = Command::new("sh");
    let run = "exec \"$0\" --exact records_until_told_otherwise --ignored --nocapture";
    command.arg("-c").arg(format!("trap '' XFSZ; {limit} {run}"));
    command.arg(std::env::current_exe().unwrap()).env(PLACE, place);
    command.stdin(Stdio::null()).stderr(Stdio::piped()).stdout(Stdio::piped());
    command
}

#[tokio::test]
async fn a_full_disk_ends_the_recording_and_not_the_call() {
    let (place, sandbox) = place().await;
    // 512 KB: sixteen seconds of two sides at 8 kHz. The ledger grows four times more slowly and begins with more.
    let mut command = other_process(place.path(), "ulimit -f 1024;");
    let output =
        within("the process", tokio::task::spawn_blocking(move || command.output().unwrap())).await.unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let told = said.contains("told Some((\"disk_full\", true)) completed");
    assert!(told, "{said}\n{}", String::from_utf8_lossy(&output.stderr));
    let call = std::fs::read_to_string(place.path().join("call")).unwrap();
    let path = place.path().join(format!("recordings/{call}.wav"));
    // It says itself where it ends.
    let (callee, agent) = sides(&path);
    let bytes = std::fs::metadata(&path).unwrap().len();
    assert_eq!((callee.len() as u64, agent.len()), ((bytes - 44) / 4, callee.len()));
    assert!((450_000..=524_288).contains(&bytes), "{bytes} bytes");
    let events = events(place.path());
    let [recorded] = of(&events, "voice.call.recorded")[..] else { panic!("{events:#?}") };
    assert_eq!((&recorded["fault"], &recorded["sha256"]), (&"disk_full".into(), &hash(&path).into()));
    assert_eq!(recorded["durationMs"], callee.len() as u64 / 8);
    sandbox.shutdown().await;
}

#[tokio::test]
async fn a_process_that_is_killed_leaves_a_readable_file_which_the_next_start_completes() {
    let _turn = turn().await;
    let (place, sandbox) = place().await;
    let mut child = other_process(place.path(), "").spawn().unwrap();
    let part = async {
        loop {
            let call = std::fs::read_to_string(place.path().join("call")).unwrap_or_default();
            let path = place.path().join(format!("recordings/{call}.wav.part"));
            if std::fs::metadata(&path).is_ok_and(|file| file.len() > 80_000) {
                return (call, path);
            }
            assert!(child.try_wait().unwrap().is_none(), "the process ended by itself");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let (call, part) = within("the recording", part).await;
    child.kill().unwrap();
    child.wait().unwrap();
    // Two seconds at least are readable, as it is.
    let left = sides(&part).0.len();
    assert!(left >= 16_000, "{left} samples");
    let config = Config::load(place.path().join("outdial.toml")).unwrap();
    let outdial = within("the next start", Outdial::from_config(&config)).await.unwrap();
    within("the shutdown", outdial.shutdown(Shutdown::HangUp)).await;
    let path = place.path().join(format!("recordings/{call}.wav"));
    assert!(!part.exists() && sides(&path).0.len() >= left);
    let events = events(place.path());
    let [recorded] = of(&events, "voice.call.recorded")[..] else { panic!("{events:#?}") };
    assert_eq!((&recorded["callId"], &recorded["recovered"]), (&call.as_str().into(), &true.into()));
    assert_eq!((&recorded["sha256"], &recorded["agentId"]), (&hash(&path).into(), &"tester".into()));
    sandbox.shutdown().await;
}
