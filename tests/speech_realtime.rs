//! OpenAI's model that hears and speaks against a server that follows the published events: what is said and heard,
//! connections that break and are made again, and faults told apart.

mod common;
mod services;

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use common::within;
use outdial::audio::{ListenSink, Listener, SampleRate, listen};
use outdial::speech::{
    AdapterError, Cut, ModelEvent, ModelOrder, ModelSession, OpenAiRealtime, SpeechToSpeech, TranscriptEvent,
};
use serde_json::{Value, json};
use services::realtime::{begin, created, delta, done, error, item_done, sound, speech, told, understood};
use services::websocket::{Line, Service};
use services::{KEY, access, impatient, until};
use tokio::sync::mpsc;

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
