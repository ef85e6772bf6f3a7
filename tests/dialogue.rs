//! A model that hears and speaks in a call, over SIP and over Twilio alike: who interrupts whom and how much was really
//! heard, what is written down of it, and what goes on when it fails.

mod bench;
mod common;
mod fake_twilio;
mod services;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bench::Bench;
use common::phone::{request, turn};
use common::voice::{PAUSE_MS, ToneEars, Tones, WORD_MS};
use common::{trunk, within};
use outdial::audio::{Listener, MarkOutcome, SampleRate, listen};
use outdial::call::CallEvent;
use outdial::speech::{
    BargeIn, Dialogue, DialogueEvent, ModelEvent, ModelOrder, ModelSession, OpenAiRealtime, Piece, Recording,
    SpeechToSpeech, Synthesizer, ToolCall, Transcriber, Transcript, TranscriptEvent,
};
use outdial::{Config, DialProvider, Outdial, Shutdown};
use outdial_sandbox::{Sandbox, Speech};
use serde_json::{Value, json};
use services::realtime::{begin, created, delta, done, item_done, sound, speech, understood};
use services::websocket::{Line, Service};
use services::{access, pcm, until};
use tokio::sync::mpsc;

const ECHO: &str = "+12025550116";
const GREETS: &str = "+12025550101";
const SENDS_DIGITS: &str = "+12025550114";

fn model(service: &Service) -> OpenAiRealtime {
    OpenAiRealtime::new(access(&service.url())).unwrap()
}

/// A model of the interface that says what it is told to say, in the voice of the tests, as fast as it can, and writes what
/// it hears in that voice. `noticed` learns what it is told.
struct Parrot {
    /// Says that the callee speaks when it has heard so many frames behind the begin of what it says first.
    interrupted_behind: Option<usize>,
    /// Keeps the response open.
    goes_on: bool,
    noticed: mpsc::UnboundedSender<Value>,
}

impl Parrot {
    async fn talk(self, mut line: Line) {
        begin(&mut line).await;
        let (listener, mut sink) = listen(SampleRate::Hz24000, Duration::from_secs(60));
        let ears = ToneEars { rate: SampleRate::Hz24000, ..ToneEars::new("ears") };
        let mut heard = ears.transcribe(listener);
        let (mut said, mut turn, mut frames) = (0, 0, 0);
        loop {
            tokio::select! {
                event = line.next_json() => {
                    let Some(event) = event else { return };
                    match event["type"].as_str().unwrap() {
                        "input_audio_buffer.append" => {
                            let sound = STANDARD.decode(event["audio"].as_str().unwrap()).unwrap();
                            let samples: Vec<i16> =
                                sound.chunks_exact(2).map(|pair| i16::from_le_bytes([pair[0], pair[1]])).collect();
                            sink.push(&samples, false);
                            frames += usize::from(said > 0);
                            if self.interrupted_behind == Some(frames) {
                                line.send(speech(true, "c0", 20)).await;
                            }
                        }
                        "response.create" => {
                            said += 1;
                            let text = event["response"]["instructions"].as_str().unwrap();
                            if text == "hang up" {
                                return line.hang_up();
                            }
                            self.say(&mut line, &format!("a{said}"), text).await;
                        }
                        _ => self.noticed.send(event).unwrap(),
                    }
                }
                Some(Ok(event)) = heard.next() => {
                    let ms = |at: Duration| at.as_millis() as i64;
                    if let TranscriptEvent::Final(words) = event {
                        turn += 1;
                        let item = format!("c{turn}");
                        line.send(speech(true, &item, ms(words.start))).await;
                        line.send(understood(&item, &words.text)).await;
                    }
                }
            }
        }
    }

    async fn say(&self, line: &mut Line, item: &str, text: &str) {
        line.send(created()).await;
        line.send(delta("output_audio_transcript", item, text)).await;
        for part in pcm(text, 24_000).await.chunks(9_601) {
            line.send(sound(item, part)).await;
        }
        if !self.goes_on {
            line.send(item_done(item)).await;
            line.send(done("completed", Value::Null)).await;
        }
    }
}

/// Runs parrots; the receiver learns what they are told.
async fn parrots(
    interrupted_behind: Option<usize>,
    goes_on: bool,
) -> (Service, mpsc::UnboundedReceiver<Value>) {
    let (noticed, told) = mpsc::unbounded_channel();
    let talk = move |_, line| Parrot { interrupted_behind, goes_on, noticed: noticed.clone() }.talk(line);
    (Service::start(talk).await, told)
}

/// The next thing that was said to its end, or cut.
async fn said(dialogue: &Dialogue) -> (MarkOutcome, String) {
    loop {
        match within("an event", dialogue.next()).await.unwrap().expect("the call is up") {
            DialogueEvent::Said(spoken) => return (spoken.outcome, spoken.text),
            DialogueEvent::Callee(_) | DialogueEvent::Saying(_) => {}
            other => panic!("{other:?}"),
        }
    }
}

/// What the model says is heard, what the callee says (an echo) is told, and nobody interrupts.
async fn a_conversation(bench: Bench) {
    let (service, _told) = parrots(None, false).await;
    let call = bench.dial(ECHO).await;
    let dialogue = Dialogue::start(&call, model(&service)).unwrap();
    dialogue.set_barge_in(BargeIn::Never);
    within("the answer", call.answered()).await.unwrap();
    dialogue.respond("One two three.");
    dialogue.respond("Four five.");
    let (mut words, mut heard, mut finals) = (Vec::new(), Vec::new(), Vec::new());
    while heard.len() < 2 || finals.is_empty() {
        match within("an event", dialogue.next()).await.unwrap().unwrap() {
            DialogueEvent::Saying(text) => words.push(text),
            DialogueEvent::Said(spoken) => heard.push((spoken.outcome, spoken.text)),
            DialogueEvent::Callee(TranscriptEvent::Final(words)) => finals.push(words.text),
            DialogueEvent::Callee(_) => {}
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(words, ["One two three.", "Four five."]);
    let expected = ["One two three.", "Four five."].map(|text| (MarkOutcome::Played, text.to_owned()));
    assert_eq!(heard, expected);
    assert!(finals[0].starts_with("one two three"), "{finals:?}");
    assert_eq!(bench.hang_up(call.clone()).await, "one two three four five");
    while within("the end", dialogue.next()).await.unwrap().is_some() {}
    until("the end of the connection", || service.working() == 0).await;
    drop((dialogue, call));
    bench.finish().await;
}

#[tokio::test]
async fn a_model_speaks_and_hears_over_sip() {
    a_conversation(Bench::sip().await).await;
}

#[tokio::test]
async fn a_model_speaks_and_hears_over_twilio() {
    a_conversation(Bench::twilio().await).await;
}

const NUMBERS: &str =
    "One two three four five six seven eight nine one two three four five six seven eight nine ";

/// How much of the numbers was heard, in words, by what the model was told.
fn words_heard(cut: &Value) -> usize {
    assert_eq!((&cut["type"], &cut["item_id"]), (&json!("conversation.item.truncate"), &json!("a1")));
    cut["audio_end_ms"].as_u64().unwrap() as usize / (WORD_MS + PAUSE_MS) as usize
}

/// Somebody interrupts in the middle of the numbers, and something else is said: the model is told what was heard.
async fn an_interruption(bench: Bench, by_host: bool) {
    let (service, mut told) = parrots((!by_host).then_some(100), false).await;
    // Nothing is heard of this one but its keys: we do not notice anybody.
    let call = bench.dial(SENDS_DIGITS).await;
    let dialogue = Dialogue::start(&call, model(&service)).unwrap();
    if by_host {
        dialogue.set_barge_in(BargeIn::Never);
        assert_eq!(within("an order", told.recv()).await.unwrap()["type"], "session.update");
    }
    within("the answer", call.answered()).await.unwrap();
    dialogue.respond(NUMBERS.repeat(3));
    if by_host {
        let speaker = call.speaker().unwrap();
        until("four words", || speaker.played() > 16 * 4 * u64::from(WORD_MS + PAUSE_MS)).await;
        speaker.clear();
    }
    let (outcome, text) = said(&dialogue).await;
    assert_eq!(outcome, MarkOutcome::Cleared);
    let cut = words_heard(&within("an order", told.recv()).await.unwrap());
    dialogue.set_barge_in(BargeIn::Never);
    dialogue.respond("Eight eight.");
    assert_eq!(said(&dialogue).await, (MarkOutcome::Played, "Eight eight.".to_owned()));
    let heard = bench.hang_up(call.clone()).await;
    let (before, after) = heard.split_at(heard.find("eight eight").expect("what was said next"));
    assert_eq!(after, "eight eight");
    assert!(NUMBERS.to_lowercase().starts_with(before.trim()), "{before}");
    let count = before.split_whitespace().count();
    // A word that was broken off may be heard; Twilio tells what was played in steps of 200 ms.
    assert!(cut >= 2 && (cut..=cut + 2).contains(&count), "told {cut}, heard {before:?}");
    // Within a sentence the words are estimated.
    let told = text.split_whitespace().count();
    assert!((cut.saturating_sub(2)..=cut + 2).contains(&told), "told {cut}, {text:?}");
    drop((dialogue, call));
    bench.finish().await;
}

#[tokio::test]
async fn the_model_notices_the_callee_and_learns_what_was_heard_over_sip() {
    an_interruption(Bench::sip().await, false).await;
}

#[tokio::test]
async fn the_model_notices_the_callee_and_learns_what_was_heard_over_twilio() {
    an_interruption(Bench::twilio().await, false).await;
}

#[tokio::test]
async fn the_host_stops_the_model_and_it_learns_what_was_heard() {
    an_interruption(Bench::sip().await, true).await;
}

/// The callee has a voice, which we notice before the model does: it is stopped in the middle of a response.
#[tokio::test]
async fn the_callee_s_voice_stops_the_model() {
    let greeting = "Good morning, this is the garage. What can we do for you?";
    let bench = Bench::with(Sandbox::builder().speech(Speech::EspeakNg).greeting(greeting)).await;
    let (service, mut told) = parrots(None, true).await;
    let call = bench.dial(GREETS).await;
    let dialogue = Dialogue::start(&call, model(&service)).unwrap();
    dialogue.respond(NUMBERS);
    let (outcome, text) = said(&dialogue).await;
    assert_eq!(outcome, MarkOutcome::Cleared);
    assert_eq!(within("an order", told.recv()).await.unwrap(), json!({ "type": "response.cancel" }));
    let cut = within("an order", told.recv()).await.unwrap();
    if text.is_empty() && cut["type"] == "conversation.item.delete" {
        // The callee spoke before a word was heard.
        assert_eq!(cut["item_id"], "a1");
    } else {
        assert!(words_heard(&cut) < 12, "{cut}");
    }
    bench.hang_up(call.clone()).await;
    drop((dialogue, call));
    bench.finish().await;
}

/// The model fails in the middle of the call: what it said is heard, then a recording; then the host goes on with voice and
/// ears of its own.
#[tokio::test]
async fn a_model_that_fails_leaves_no_dead_line() {
    let (noticed, _told) = mpsc::unbounded_channel();
    let service = Service::refusing(
        |nth| (nth > 0).then_some((401, &[][..], "")),
        move |_, line| {
            Parrot { interrupted_behind: None, goes_on: false, noticed: noticed.clone() }.talk(line)
        },
    )
    .await;
    let bench = Bench::sip().await;
    let call = bench.dial(ECHO).await;
    let seven: Vec<i16> = (0..8_000)
        .map(|n| ((f64::from(n) * std::f64::consts::TAU * 2_300.0 / 16_000.0).sin() * 8_000.0) as i16)
        .collect();
    let prompt = Recording::new(seven, SampleRate::Hz16000);
    let dialogue = Dialogue::start(&call, model(&service)).unwrap().fall_back_on(prompt, "");
    dialogue.set_barge_in(BargeIn::Never);
    within("the answer", call.answered()).await.unwrap();
    dialogue.respond("One two three.");
    dialogue.respond("hang up");
    let mut events = Vec::new();
    let error = loop {
        match within("an event", dialogue.next()).await {
            Ok(Some(DialogueEvent::Said(spoken))) => events.push(format!("said {:?}", spoken.text)),
            Ok(Some(DialogueEvent::Failed(failure))) => events.push(format!("{failure}")),
            Ok(Some(_)) => {}
            Ok(None) => panic!("the call is up"),
            Err(error) => break error,
        }
    };
    assert_eq!(error.kind(), "unauthorized");
    let failed = "openai-realtime failed: openai-realtime does not accept the key (401): ; recording goes on";
    // The rest of what was said is played behind the failure.
    assert!(events.contains(&failed.to_owned()), "{events:?}");
    assert_eq!(events.iter().filter(|event| **event == "said \"One two three.\"").count(), 1, "{events:?}");
    let listener = within("the listener", dialogue.finish()).await.expect("no fault");
    let mut transcription = outdial::speech::transcribe(listener, &ToneEars::new("ears"));
    within("the speech", call.say(&Tones::new("tones"), "Four five.")).await.unwrap();
    let words = loop {
        if let TranscriptEvent::Final(words) = within("words", transcription.next()).await.unwrap().unwrap()
            && words.text.contains("four")
        {
            break words.text;
        }
    };
    assert!(words.ends_with("four five"), "{words}");
    assert_eq!(bench.hang_up(call.clone()).await, "one two three seven four five");
    let mut log = call.events();
    let mut failures = Vec::new();
    while let Some(event) = within("an event", log.next()).await {
        if let CallEvent::SpeechFailed { adapter, kind, fallback, .. } = event {
            failures.push((adapter, kind, fallback));
        }
    }
    assert_eq!(failures, [("openai-realtime".to_owned(), "unauthorized", Some("recording".to_owned()))]);
    drop((call, transcription));
    bench.finish().await;
}

/// A model of a host's own, which makes sound without end.
struct Endless {
    made: Arc<AtomicUsize>,
    panics: bool,
}

impl SpeechToSpeech for Endless {
    fn name(&self) -> &str {
        "endless"
    }

    fn converse(&self, _: Listener) -> ModelSession {
        let (made, panics) = (Arc::clone(&self.made), self.panics);
        ModelSession::spawn(move |sink, mut orders| async move {
            sink.tell(ModelEvent::Tool(ToolCall::new("1", "clock", "{}"))).await?;
            assert!(
                matches!(orders.next().await, Some(ModelOrder::ToolResult { output, .. }) if output == "noon")
            );
            assert!(!panics, "the script says so");
            loop {
                let second = vec![0; 8_000];
                sink.tell(ModelEvent::Sound { utterance: "a".into(), samples: second, hz: 8_000 }).await?;
                made.fetch_add(1, Ordering::SeqCst);
            }
        })
    }
}

#[tokio::test]
async fn what_a_model_makes_ahead_is_bounded_and_a_panic_is_told() {
    let bench = Bench::sip().await;
    for panics in [false, true] {
        let call = bench.dial(ECHO).await;
        let made = Arc::<AtomicUsize>::default();
        let dialogue = Dialogue::start(&call, Endless { made: Arc::clone(&made), panics }).unwrap();
        within("the answer", call.answered()).await.unwrap();
        let tool = within("an event", dialogue.next()).await.unwrap().unwrap();
        assert!(matches!(&tool, DialogueEvent::Tool(tool) if tool.name == "clock"), "{tool:?}");
        dialogue.tool_result("1", "noon");
        if panics {
            let failed = within("an event", dialogue.next()).await.unwrap().unwrap();
            assert!(matches!(failed, DialogueEvent::Failed(_)), "{failed:?}");
            assert_eq!(within("the error", dialogue.next()).await.unwrap_err().kind(), "panicked");
        } else {
            until("a minute ahead", || made.load(Ordering::SeqCst) >= 60).await;
            tokio::time::sleep(Duration::from_millis(500)).await;
            // A minute, the events that wait, and the queue of the call.
            let most = 60 + 64 + 10;
            assert!(made.load(Ordering::SeqCst) <= most, "{}", made.load(Ordering::SeqCst));
            // Dropping it stops the model, and the call goes on.
            drop(dialogue);
            until("the end of the model", || Arc::strong_count(&made) == 1).await;
            assert!(call.end().is_none());
        }
        bench.hang_up(call).await;
    }
    bench.finish().await;
}

/// A model of a host's own, which hears "Yes, please." and says what it is told to.
struct Scripted;

impl SpeechToSpeech for Scripted {
    fn name(&self) -> &str {
        "scripted"
    }

    fn converse(&self, mut callee: Listener) -> ModelSession {
        ModelSession::spawn(|sink, mut orders| async move {
            // Nobody understands what has not been said yet.
            for _ in 0..20 {
                callee.recv().await;
            }
            let (start, end) = (Duration::from_millis(100), Duration::from_millis(400));
            let words = Transcript::new("Yes, please.", start, end);
            sink.tell(ModelEvent::Callee(TranscriptEvent::Final(words))).await?;
            let mut said = 0;
            while let Some(order) = orders.next().await {
                let ModelOrder::Respond { instructions: Some(text) } = order else { continue };
                said += 1;
                let utterance: Arc<str> = format!("{said}").into();
                let mut speech = Tones::new("tones").synthesize(text.clone().into(), SampleRate::Hz16000);
                sink.tell(ModelEvent::Words { utterance: Arc::clone(&utterance), text }).await?;
                while let Some(piece) = speech.next().await {
                    if let Piece::Sound { samples, hz } = piece? {
                        let utterance = Arc::clone(&utterance);
                        sink.tell(ModelEvent::Sound { utterance, samples, hz }).await?;
                    }
                }
                sink.tell(ModelEvent::Whole { utterance }).await?;
            }
            Ok(())
        })
    }
}

/// The words of both sides are in the call's transcript, as those of a voice and of ears are.
#[tokio::test]
async fn what_a_model_says_and_hears_is_written_down() {
    let _turn = turn().await;
    let sandbox = Sandbox::builder().speech(Speech::Melodies).start().await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let records = format!(
        "codecs = [\"pcmu\"]\n[records]\nfolder = {:?}\nsession = \"s1\"\n[recording]\nrecord = \"transcript\"\n",
        folder.path()
    );
    let config = Config::parse(&trunk::sandbox_udp(&sandbox, records)).unwrap();
    let outdial = within("the start", Outdial::from_config(&config)).await.unwrap();
    let call = within("the call", outdial.dial_with(request(ECHO))).await.unwrap();
    within("the answer", call.answered()).await.unwrap();
    let dialogue = Dialogue::start(&call, Scripted).unwrap();
    dialogue.set_barge_in(BargeIn::Never);
    dialogue.respond("One two three.");
    assert_eq!(said(&dialogue).await, (MarkOutcome::Played, "One two three.".to_owned()));
    dialogue.respond("Four five six seven eight nine one two three.");
    let speaker = call.speaker().unwrap();
    until("four words", || speaker.played() > 16 * 7 * u64::from(WORD_MS + PAUSE_MS)).await;
    speaker.clear();
    let (outcome, cut) = said(&dialogue).await;
    assert_eq!(outcome, MarkOutcome::Cleared);
    let path = folder.path().join("recordings").join(format!("{}.jsonl", call.id()));
    within("the end", call.hangup()).await;
    drop((dialogue, call));
    until("the file", || path.exists()).await;
    within("the shutdown", outdial.shutdown(Shutdown::HangUp)).await;
    sandbox.shutdown().await;
    let text = std::fs::read_to_string(&path).unwrap();
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let words: Vec<_> = lines.iter().filter(|line| line["type"] == "words").collect();
    let told = |line: &Value| (line["who"].clone(), line["text"].clone(), line["outcome"].clone());
    let line = |who: &str, text: &str, outcome: Value| (who.into(), text.into(), outcome);
    assert_eq!(told(words[0]), line("callee", "Yes, please.", Value::Null), "{text}");
    assert_eq!(told(words[1]), line("agent", "One two three.", "played".into()), "{text}");
    assert_eq!(told(words[2]), line("agent", &cut, "cleared".into()), "{text}");
    assert!(words[1]["endMs"].as_u64() >= words[1]["startMs"].as_u64().map(|start| start + 500), "{text}");
}
