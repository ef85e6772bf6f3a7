//! OpenAI's model that hears and speaks against a server that follows the published events: what is said and heard, who
//! interrupts whom and how much was really heard, connections that break and are made again, and faults told apart.

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
use common::voice::{PAUSE_MS, ToneEars, Tones, WORD_MS};
use common::within;
use outdial::audio::{ListenSink, Listener, MarkOutcome, SampleRate, listen};
use outdial::call::CallEvent;
use outdial::speech::{
    AdapterError, BargeIn, Cut, Dialogue, DialogueEvent, ModelEvent, ModelOrder, ModelSession,
    OpenAiRealtime, Recording, SpeechToSpeech, ToolCall, Transcriber, TranscriptEvent,
};
use outdial_sandbox::{Sandbox, Speech};
use serde_json::{Value, json};
use services::websocket::{Line, Service};
use services::{KEY, access, impatient, pcm, until};
use tokio::sync::mpsc;

const ECHO: &str = "+12025550116";
const GREETS: &str = "+12025550101";
const SENDS_DIGITS: &str = "+12025550114";

fn model(service: &Service) -> OpenAiRealtime {
    OpenAiRealtime::new(access(&service.url())).unwrap()
}

/// A call's sound at the model's rate, whose frames have their number as samples.
struct Sound {
    sink: ListenSink,
    frames: i16,
}

impl Sound {
    fn new(rate: SampleRate) -> (Listener, Self) {
        let (listener, sink) = listen(rate, Duration::from_secs(10));
        (listener, Self { sink, frames: 0 })
    }

    fn push(&mut self, frames: usize) {
        for _ in 0..frames {
            self.sink.push(&vec![self.frames; self.sink.rate().frame_len()], false);
            self.frames += 1;
        }
    }
}

/// Opens a session; returns what it was asked for.
async fn begin(line: &mut Line) -> Value {
    line.send(json!({ "type": "session.created", "event_id": "e1", "session": { "type": "realtime" } }))
        .await;
    let settings = line.next_json().await.expect("the settings");
    assert_eq!(settings["type"], "session.update");
    line.send(json!({ "type": "session.updated", "event_id": "e2", "session": settings["session"] })).await;
    settings["session"].clone()
}

/// The next event that is no sound.
async fn told(line: &mut Line) -> Value {
    loop {
        let event = line.next_json().await.expect("an event");
        if event["type"] != "input_audio_buffer.append" {
            return event;
        }
    }
}

/// The numbers of so many frames that come; PCM.
async fn frames(line: &mut Line, count: usize) -> Vec<i16> {
    let mut numbers = Vec::new();
    while numbers.len() < count {
        let event = line.next_json().await.expect("sound");
        assert_eq!(event["type"], "input_audio_buffer.append", "{event}");
        let sound = STANDARD.decode(event["audio"].as_str().unwrap()).unwrap();
        assert_eq!(sound.len(), 960);
        numbers.push(i16::from_le_bytes([sound[0], sound[1]]));
    }
    numbers
}

fn speech(started: bool, item: &str, ms: i64) -> Value {
    let (kind, field) =
        if started { ("speech_started", "audio_start_ms") } else { ("speech_stopped", "audio_end_ms") };
    json!({ "type": format!("input_audio_buffer.{kind}"), "event_id": "e", "item_id": item, field: ms })
}

fn understood(item: &str, text: &str) -> Value {
    json!({ "type": "conversation.item.input_audio_transcription.completed", "event_id": "e", "item_id": item,
        "content_index": 0, "transcript": text, "usage": { "type": "duration", "seconds": 1 } })
}

fn created() -> Value {
    json!({ "type": "response.created", "event_id": "e", "response": { "id": "r", "status": "in_progress" } })
}

fn delta(kind: &str, item: &str, delta: &str) -> Value {
    json!({ "type": format!("response.{kind}.delta"), "event_id": "e", "response_id": "r", "item_id": item,
        "output_index": 0, "content_index": 0, "delta": delta })
}

fn sound(item: &str, bytes: &[u8]) -> Value {
    delta("output_audio", item, &STANDARD.encode(bytes))
}

fn item_done(item: &str) -> Value {
    json!({ "type": "response.output_item.done", "event_id": "e", "response_id": "r", "output_index": 0,
        "item": { "id": item, "type": "message", "role": "assistant", "status": "completed", "content": [] } })
}

fn done(status: &str, error: Value) -> Value {
    let details = json!({ "type": status, "error": error });
    json!({ "type": "response.done", "event_id": "e",
        "response": { "id": "r", "status": status, "status_details": details, "output": [] } })
}

fn error(kind: &str, code: &str, about: Option<&str>) -> Value {
    let error = json!({ "type": kind, "code": code, "message": format!("{code}. Key: {KEY}"), "param": null,
        "event_id": about });
    json!({ "type": "error", "event_id": "e", "error": error })
}

async fn next(session: &mut ModelSession) -> String {
    match within("an event", session.next()).await {
        Some(Ok(event)) => line(&event),
        other => panic!("{other:?}"),
    }
}

/// An event in a line.
fn line(event: &ModelEvent) -> String {
    match event {
        ModelEvent::Callee(TranscriptEvent::SpeechStarted { at }) => format!("start {}", at.as_millis()),
        ModelEvent::Callee(TranscriptEvent::SpeechEnded { at }) => format!("end {}", at.as_millis()),
        ModelEvent::Callee(TranscriptEvent::Partial(words)) => format!("partial {:?}", words.text),
        ModelEvent::Callee(TranscriptEvent::Final(words)) => {
            format!("final {:?} {}-{}", words.text, words.start.as_millis(), words.end.as_millis())
        }
        ModelEvent::Sound { utterance, samples, hz } => format!("sound {utterance} {samples:?} {hz}"),
        ModelEvent::Words { utterance, text } => format!("words {utterance} {text:?}"),
        ModelEvent::Whole { utterance } => format!("whole {utterance}"),
        ModelEvent::Tool(tool) => format!("tool {} {} {}", tool.id, tool.name, tool.arguments),
        other => format!("{other:?}"),
    }
}

/// The rest of the events, and the error at the end.
async fn rest(mut session: ModelSession) -> (Vec<String>, Option<AdapterError>) {
    let mut events = Vec::new();
    while let Some(event) = within("an event", session.next()).await {
        match event {
            Ok(event) => events.push(line(&event)),
            Err(error) => return (events, Some(error)),
        }
    }
    (events, None)
}

#[tokio::test]
async fn events_and_orders_are_those_of_the_interface() {
    let (sender, mut settings) = mpsc::unbounded_channel();
    let service = Service::start(move |_, mut line| {
        let sender = sender.clone();
        async move {
            sender.send(begin(&mut line).await).unwrap();
            assert_eq!(frames(&mut line, 20).await, (0..20).collect::<Vec<_>>());
            line.send(speech(true, "c1", 40)).await;
            line.send(json!({ "type": "novelty.added", "anything": [1] })).await;
            line.send(json!({ "type": "conversation.item.input_audio_transcription.delta", "item_id": "c1", "delta": "Good" })).await;
            line.send(speech(false, "c1", 360)).await;
            line.send(created()).await;
            line.send(understood("c1", "Good morning. ")).await;
            // In the names of today and of the beta, and in the middle of a sample.
            line.send(sound("a1", &[1, 0, 2])).await;
            line.send(delta("audio", "a1", &STANDARD.encode([0]))).await;
            line.send(delta("output_audio_transcript", "a1", "Hello ")).await;
            line.send(delta("audio_transcript", "a1", "there.")).await;
            // The callee interrupts while this one is being made.
            assert_eq!(told(&mut line).await, json!({ "type": "response.cancel" }));
            assert_eq!(
                told(&mut line).await,
                json!({ "type": "conversation.item.truncate", "item_id": "a1", "content_index": 0, "audio_end_ms": 1100 })
            );
            assert_eq!(told(&mut line).await, json!({ "type": "conversation.item.delete", "item_id": "a2" }));
            // That changes nothing.
            line.send(error("invalid_request_error", "response_cancel_not_active", None)).await;
            line.send(done("cancelled", Value::Null)).await;
            let respond = told(&mut line).await;
            assert_eq!(respond["type"], "response.create");
            assert_eq!(respond["response"], json!({ "instructions": "Greet." }));
            line.send(created()).await;
            let call = json!({ "id": "f1", "type": "function_call", "status": "completed", "call_id": "call_1",
                "name": "book", "arguments": "{\"day\":2}" });
            line.send(json!({ "type": "response.output_item.done", "output_index": 0, "item": call })).await;
            // The result comes before this, and is answered behind it.
            let result = json!({ "type": "function_call_output", "call_id": "call_1", "output": "booked" });
            assert_eq!(told(&mut line).await, json!({ "type": "conversation.item.create", "item": result }));
            line.send(done("completed", Value::Null)).await;
            assert_eq!(told(&mut line).await["type"], "response.create");
            line.send(created()).await;
            // It wanted to answer the callee meanwhile, and could not.
            line.send(error("invalid_request_error", "conversation_already_has_active_response", None)).await;
            line.send(sound("a3", &[3, 0])).await;
            line.send(done("completed", Value::Null)).await;
            assert_eq!(told(&mut line).await["type"], "response.create");
            let detection = json!({ "type": "server_vad", "interrupt_response": false });
            let update = json!({ "type": "realtime", "audio": { "input": { "turn_detection": detection } } });
            assert_eq!(told(&mut line).await, json!({ "type": "session.update", "session": update }));
            line.send(delta("output_audio_transcript", "a4", "Bye.")).await;
            line.send(item_done("a4")).await;
            assert!(line.next().await.is_none(), "the end of the call");
        }
    })
    .await;
    let model = model(&service).model("gpt-realtime-mini").instructions("Be brief.").voice("cedar").tool(
        "book",
        "Books a day.",
        json!({ "type": "object" }),
    );
    let (listener, mut frames) = Sound::new(model.rate(SampleRate::Hz16000));
    let mut session = model.converse(listener);
    frames.push(20);
    let mut events = Vec::new();
    while events.len() < 8 {
        events.push(next(&mut session).await);
    }
    let expected = [
        "start 40",
        "partial \"Good\"",
        "end 360",
        "final \"Good morning.\" 40-360",
        "sound a1 [1] 24000",
        "sound a1 [2] 24000",
        "words a1 \"Hello \"",
        "words a1 \"there.\"",
    ];
    assert_eq!(events, expected);
    let cut = |item: &str, ms| Cut::new(item.into(), Duration::from_millis(ms), String::new());
    assert!(session.order(ModelOrder::Interrupted(vec![cut("a1", 1_100), cut("a2", 0)])));
    assert_eq!(next(&mut session).await, "whole a1");
    assert!(session.order(ModelOrder::Respond { instructions: Some("Greet.".into()) }));
    assert_eq!(next(&mut session).await, "tool call_1 book {\"day\":2}");
    assert!(session.order(ModelOrder::ToolResult { id: "call_1".into(), output: "booked".into() }));
    assert_eq!(next(&mut session).await, "sound a3 [3] 24000");
    assert_eq!(next(&mut session).await, "whole a3");
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(session.order(ModelOrder::Interruptible(false)));
    assert_eq!(next(&mut session).await, "words a4 \"Bye.\"");
    assert_eq!(next(&mut session).await, "whole a4");
    drop(frames);
    let (last, error) = rest(session).await;
    assert!(last.is_empty() && error.is_none(), "{last:?} {error:?}");
    let opened = &service.opened()[0];
    assert_eq!(opened.uri.path(), "/realtime");
    assert_eq!(opened.parameter("model").as_deref(), Some("gpt-realtime-mini"));
    assert_eq!(opened.headers["authorization"], format!("Bearer {KEY}"));
    let pcm = json!({ "type": "audio/pcm", "rate": 24_000 });
    let expected = json!({
        "type": "realtime", "output_modalities": ["audio"], "instructions": "Be brief.",
        "audio": {
            "input": { "format": pcm, "transcription": { "model": "gpt-4o-mini-transcribe" },
                "turn_detection": { "type": "server_vad", "interrupt_response": true } },
            "output": { "format": pcm, "voice": "cedar" },
        },
        "tools": [{ "type": "function", "name": "book", "description": "Books a day.", "parameters": { "type": "object" } }],
    });
    assert_eq!(settings.recv().await.unwrap(), expected);
    until("the end of the connection", || service.working() == 0).await;
}

#[tokio::test]
async fn mu_law_is_asked_for_and_spoken() {
    let service = Service::start(|_, mut line| async move {
        let settings = begin(&mut line).await;
        let format = json!({ "type": "audio/pcmu" });
        assert_eq!(
            (&settings["audio"]["input"]["format"], &settings["audio"]["output"]["format"]),
            (&format, &format)
        );
        assert_eq!(settings["audio"]["input"]["transcription"], Value::Null);
        let event = line.next_json().await.unwrap();
        let heard = STANDARD.decode(event["audio"].as_str().unwrap()).unwrap();
        assert_eq!(heard.len(), 160);
        line.send(sound("a1", &heard[..2])).await;
        while line.next().await.is_some() {}
    })
    .await;
    let model = model(&service).mu_law().transcription(None);
    assert_eq!(model.rate(SampleRate::Hz48000), SampleRate::Hz8000);
    let (listener, mut sink) = listen(SampleRate::Hz8000, Duration::from_secs(1));
    let mut session = model.converse(listener);
    sink.push(&[7_903; 160], false);
    // The nearest that µ-law has.
    assert_eq!(next(&mut session).await, "sound a1 [7932, 7932] 8000");
}

/// What goes wrong in a session, and how often a connection is made.
#[tokio::test]
async fn faults_are_told_apart() {
    for (what, kind, count) in [
        ("settings", "refused", 1),
        ("key", "unauthorized", 1),
        ("quota", "limited", 1),
        ("failed twice", "refused", 1),
        ("no response", "refused", 1),
        ("no JSON", "malformed", 1),
        ("no base64", "malformed", 1),
        ("no time", "malformed", 1),
        ("binary", "malformed", 1),
        ("1008", "refused", 1),
        ("late", "timed_out", 1),
        ("expired", "refused", 2),
        ("1011", "refused", 2),
        ("close", "cut_off", 2),
        ("hang up", "cut_off", 2),
        ("silence", "timed_out", 2),
        ("no session", "timed_out", 2),
    ] {
        let service = Service::start(move |_, line| fault(what, line)).await;
        let limits = match what {
            "late" => services::limits().first_byte(Duration::from_secs(2)),
            "silence" => services::limits().idle(Duration::from_millis(500)),
            "no session" => impatient(),
            _ => services::limits(),
        };
        let model = OpenAiRealtime::new(access(&service.url()).limits(limits)).unwrap().reconnects(1);
        let (listener, _frames) = Sound::new(SampleRate::Hz24000);
        let session = model.converse(listener);
        session.order(ModelOrder::Respond { instructions: None });
        let (_, error) = rest(session).await;
        let error = error.expect(what);
        // A connection that is cut off with something on its way is reset.
        let found = if error.kind() == "connection" { "cut_off" } else { error.kind() };
        assert_eq!((found, service.opened().len()), (kind, count), "{what}: {error}");
        assert!(!format!("{error} {error:?}").contains("marker"), "{what}: {error:?}");
    }
}

async fn fault(what: &'static str, mut line: Line) {
    match what {
        "settings" => {
            line.next_json().await;
            line.send(error("invalid_request_error", "invalid_value", Some("settings"))).await;
        }
        "no session" => line.send(json!({ "type": "session.created", "session": {} })).await,
        _ => {
            begin(&mut line).await;
            assert_eq!(told(&mut line).await["type"], "response.create");
        }
    }
    match what {
        "key" => line.send(error("invalid_request_error", "invalid_api_key", None)).await,
        "quota" => {
            line.send(created()).await;
            line.send(done(
                "failed",
                json!({ "type": "insufficient_quota", "code": "insufficient_quota", "message": "none" }),
            ))
            .await;
        }
        "failed twice" => {
            for _ in 0..2 {
                line.send(created()).await;
                line.send(done("failed", json!({ "type": "server_error", "message": "sorry" }))).await;
                while line.next_json().await.is_some_and(|event| event["type"] != "response.create") {}
            }
        }
        "no response" => line.send(error("invalid_request_error", "invalid_value", Some("respond"))).await,
        "expired" => line.send(error("invalid_request_error", "session_expired", None)).await,
        "no JSON" => line.send("no JSON").await,
        "no base64" => line.send(delta("output_audio", "a1", "***")).await,
        "no time" => line.send(speech(true, "c1", -1)).await,
        "binary" => line.send_binary(vec![1]).await,
        "1008" => return line.close(1008, KEY).await,
        "1011" => return line.close(1011, "internal").await,
        "close" => return line.close(1000, "").await,
        "hang up" => return line.hang_up(),
        // No answer to a ping either.
        "silence" => return std::future::pending().await,
        _ => {}
    }
    while line.next().await.is_some() {}
}

/// A connection that breaks is made again: the new session learns what was said, hears what was not understood, and owes
/// what the old one owed.
#[tokio::test]
async fn a_session_goes_on_over_another_connection() {
    for in_speech in [false, true] {
        let service = Service::start(move |nth, mut line| async move {
            begin(&mut line).await;
            let said = |role: &str, kind: &str, text: &str| {
                let content = json!([{ "type": kind, "text": text }]);
                json!({ "type": "conversation.item.create", "item": { "type": "message", "role": role, "content": content } })
            };
            if nth == 0 {
                frames(&mut line, 50).await;
                line.send(speech(true, "c1", 0)).await;
                line.send(speech(false, "c1", 600)).await;
                line.send(created()).await;
                line.send(understood("c1", "Good morning.")).await;
                line.send(delta("output_audio_transcript", "a1", "Hello, how")).await;
                line.send(sound("a1", &[1, 0])).await;
                if in_speech {
                    line.send(done("completed", Value::Null)).await;
                    line.send(speech(true, "c2", 700)).await;
                    line.send(speech(false, "c2", 900)).await;
                }
                // Until all of it has been read.
                frames(&mut line, 1).await;
                return line.hang_up();
            }
            assert_eq!(told(&mut line).await, said("user", "input_text", "Good morning."));
            assert_eq!(told(&mut line).await, said("assistant", "output_text", "Hello, how"));
            assert_eq!(frames(&mut line, 21).await, (30..51).collect::<Vec<_>>());
            if in_speech {
                // It is heard again, in the call's time, and is answered by itself.
                line.send(speech(true, "c3", 100)).await;
                line.send(speech(false, "c3", 300)).await;
                line.send(created()).await;
                line.send(understood("c3", "Anybody?")).await;
            } else {
                assert_eq!(told(&mut line).await["type"], "response.create");
                line.send(created()).await;
            }
            line.send(sound("a2", &[2, 0])).await;
            line.send(done("completed", Value::Null)).await;
            assert!(line.next().await.is_none(), "nothing else is asked for");
        })
        .await;
        let (listener, mut frames) = Sound::new(SampleRate::Hz24000);
        let mut session = model(&service).converse(listener);
        frames.push(50);
        let before = if in_speech { 8 } else { 5 };
        let mut events = Vec::new();
        while events.len() < before {
            events.push(next(&mut session).await);
        }
        frames.push(1);
        let after = if in_speech { 5 } else { 3 };
        while events.len() < before + after {
            events.push(next(&mut session).await);
        }
        drop(frames);
        events.extend(rest(session).await.0);
        let start = [
            "start 0",
            "end 600",
            "final \"Good morning.\" 0-600",
            "words a1 \"Hello, how\"",
            "sound a1 [1] 24000",
        ];
        assert_eq!(events[..5], start);
        if in_speech {
            let end = [
                "whole a1",
                "start 700",
                "end 900",
                "start 700",
                "end 900",
                "final \"Anybody?\" 700-900",
                "sound a2 [2] 24000",
                "whole a2",
            ];
            assert_eq!(events[5..], end);
        } else {
            assert_eq!(events[5..], ["whole a1", "sound a2 [2] 24000", "whole a2"]);
        }
        assert_eq!(service.opened().len(), 2);
    }
}

#[tokio::test]
async fn a_refused_handshake_is_told_and_the_key_is_shown_nowhere() {
    let log = services::log::Log::start();
    let body = r#"{"error":{"message":"Incorrect API key provided: sk-marker-0123456789.","type":"invalid_request_error","code":"invalid_api_key"}}"#;
    let service = Service::refusing(move |_| Some((401, &[][..], body)), |_, _| async {}).await;
    let model = model(&service);
    let (listener, _frames) = Sound::new(SampleRate::Hz24000);
    let (_, error) = rest(model.converse(listener)).await;
    let error = error.unwrap();
    assert_eq!((error.kind(), service.opened().len()), ("unauthorized", 1));
    assert!(!format!("{model:?} {error} {error:?}").contains("marker"));
    let log = log.text();
    assert!(log.contains("hyper"), "the log has been read");
    assert_eq!(log.lines().find(|line| line.contains("marker")), None);
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
