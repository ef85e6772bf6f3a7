//! Deepgram's recogniser against a server that follows its published messages: events with the call's times, connections
//! that break and are made again, and faults told apart.

mod common;
mod services;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use common::phone::request;
use common::voice::{ToneEars, Tones};
use common::{trunk, within};
use outdial::audio::{ListenSink, Listener, SampleRate, listen};
use outdial::call::CallEvent;
use outdial::provider::DialProvider;
use outdial::speech::{
    AdapterError, Deepgram, FallbackTranscriber, Transcriber, Transcript, TranscriptEvent, Transcription,
};
use outdial_sandbox::Sandbox;
use serde_json::{Value, json};
use services::websocket::{Line, Service};
use services::{KEY, access, http, impatient, until};
use tokio_tungstenite::tungstenite::Message;

const FRAME: usize = 320;

fn ears(service: &Service) -> Deepgram {
    Deepgram::new(access(&service.url())).unwrap()
}

/// A call's sound at 8 kHz, whose frames have their number as samples.
struct Sound {
    sink: ListenSink,
    frames: i16,
}

impl Sound {
    fn new() -> (Listener, Self) {
        let (listener, sink) = listen(SampleRate::Hz8000, Duration::from_secs(10));
        (listener, Self { sink, frames: 0 })
    }

    fn push(&mut self, frames: usize) {
        for _ in 0..frames {
            self.sink.push(&[self.frames; 160], false);
            self.frames += 1;
        }
    }
}

/// The numbers of so many frames that come.
async fn frames(line: &mut Line, count: usize) -> Vec<i16> {
    let mut numbers = Vec::new();
    while numbers.len() < count {
        match line.next().await {
            Some(Message::Binary(sound)) => {
                assert_eq!(sound.len(), FRAME);
                numbers.push(i16::from_le_bytes([sound[0], sound[1]]));
            }
            Some(Message::Text(text)) if text.contains("KeepAlive") => {}
            other => panic!("{other:?} in the place of sound"),
        }
    }
    numbers
}

fn results(text: &str, start: f64, duration: f64, is_final: bool, speech_final: bool) -> Value {
    let words: Vec<_> = text
        .split_whitespace()
        .map(|word| json!({ "word": word, "start": start, "end": start + duration, "confidence": 0.9 }))
        .collect();
    json!({ "type": "Results", "channel_index": [0, 1], "start": start, "duration": duration, "is_final": is_final,
        "speech_final": speech_final, "from_finalize": false, "metadata": { "request_id": "1" },
        "channel": { "alternatives": [{ "transcript": text, "confidence": 0.75, "words": words }] } })
}

fn metadata() -> Value {
    json!({ "type": "Metadata", "transaction_key": "deprecated", "request_id": "1", "sha256": "0", "created": "2026",
        "duration": 1.0, "channels": 1 })
}

async fn next(transcription: &mut Transcription) -> TranscriptEvent {
    within("an event", transcription.next()).await.unwrap().unwrap()
}

/// An event in a line: what, which words, from when to when in milliseconds.
fn line(event: &TranscriptEvent) -> String {
    let words = |kind: &str, words: &Transcript| {
        format!("{kind} {:?} {}-{}", words.text, words.start.as_millis(), words.end.as_millis())
    };
    match event {
        TranscriptEvent::SpeechStarted { at } => format!("start {}", at.as_millis()),
        TranscriptEvent::Partial(partial) => words("partial", partial),
        TranscriptEvent::Final(last) => words("final", last),
        TranscriptEvent::SpeechEnded { at } => format!("end {}", at.as_millis()),
        other => format!("{other:?}"),
    }
}

/// The rest of the events, and the error at the end.
async fn rest(mut transcription: Transcription) -> (Vec<String>, Option<AdapterError>) {
    let mut events = Vec::new();
    while let Some(event) = within("an event", transcription.next()).await {
        match event {
            Ok(event) => events.push(line(&event)),
            Err(error) => return (events, Some(error)),
        }
    }
    (events, None)
}

#[tokio::test]
async fn messages_become_events_and_the_end_of_the_call_asks_for_the_last_words() {
    let service = Service::start(|_, mut line| async move {
        assert_eq!(frames(&mut line, 100).await, (0..100).collect::<Vec<_>>());
        line.send(json!({ "type": "SpeechStarted", "channel": [0, 1], "timestamp": 0.2 })).await;
        line.send(results("hello", 0.0, 0.5, false, false)).await;
        line.send(results("", 0.5, 0.1, false, false)).await;
        line.send(json!({ "type": "Novelty", "anything": [1] })).await;
        line.send(results("Hello there.", 0.25, 0.75, true, true)).await;
        // The same again by another way.
        line.send(json!({ "type": "UtteranceEnd", "channel": [0, 1], "last_word_end": 1.0 })).await;
        // Words without a start before them, and an end by the gap.
        line.send(results("Bye", 1.2, 0.2, true, false)).await;
        line.send(json!({ "type": "UtteranceEnd", "channel": [0, 1], "last_word_end": 1.4 })).await;
        // Noise.
        line.send(json!({ "type": "SpeechStarted", "channel": [0, 1], "timestamp": 1.5 })).await;
        line.send(results("", 1.5, 0.2, true, false)).await;
        loop {
            match line.next().await.expect("the end of the call") {
                Message::Text(text) if text.contains("KeepAlive") => {}
                Message::Text(text) => {
                    assert_eq!(text.as_str(), r#"{"type":"CloseStream"}"#);
                    break;
                }
                message => assert!(message.is_binary()),
            }
        }
        line.send(results("Really", 1.7, 0.2, true, false)).await;
        line.send(metadata()).await;
        line.close(1000, "").await;
    })
    .await;
    let (listener, mut sound) = Sound::new();
    let ears = ears(&service)
        .language("en-US")
        .endpointing(Duration::from_millis(250))
        .parameter("keyterm", "out dial");
    assert_eq!(ears.rate(SampleRate::Hz48000), SampleRate::Hz16000);
    let mut transcription = ears.transcribe(listener);
    sound.push(100);
    let mut events = Vec::new();
    while events.len() < 9 {
        events.push(line(&next(&mut transcription).await));
    }
    sound.push(3);
    drop(sound);
    let (last, error) = rest(transcription).await;
    events.extend(last);
    assert!(error.is_none(), "{error:?}");
    let expected = [
        "start 200",
        "partial \"hello\" 0-500",
        "final \"Hello there.\" 250-1000",
        "end 1000",
        "start 1200",
        "final \"Bye\" 1200-1400",
        "end 1400",
        "start 1500",
        "end 1700",
        "start 1700",
        "final \"Really\" 1700-1900",
        "end 1900",
    ];
    assert_eq!(events, expected);
    let opened = &service.opened()[0];
    assert_eq!(opened.uri.path(), "/v1/listen");
    assert_eq!(opened.headers["authorization"], format!("Token {KEY}"));
    for (name, value) in [
        ("model", "nova-3"),
        ("encoding", "linear16"),
        ("sample_rate", "8000"),
        ("interim_results", "true"),
        ("vad_events", "true"),
        ("endpointing", "250"),
        ("utterance_end_ms", "1000"),
        ("language", "en-US"),
        ("keyterm", "out dial"),
    ] {
        assert_eq!(opened.parameter(name).as_deref(), Some(value), "{name}");
    }
}

/// Each way in which a connection ends in the middle: the next one hears what was not final again, and tells it in the
/// call's time.
#[tokio::test]
async fn a_connection_that_breaks_is_made_again_and_hears_what_was_not_final() {
    for how in ["hang up", "fault", "close", "silence"] {
        let again = Arc::new(Mutex::new(Vec::new()));
        let heard = Arc::clone(&again);
        let service = Service::start(move |nth, mut line| {
            let heard = Arc::clone(&heard);
            async move {
                if nth == 0 {
                    frames(&mut line, 100).await;
                    line.send(results("One.", 0.2, 0.8, true, true)).await;
                    line.send(results("two", 1.4, 0.4, false, false)).await;
                    // Until it has been read.
                    frames(&mut line, 1).await;
                    match how {
                        "hang up" => return line.hang_up(),
                        "fault" => return line.close(1011, "NET-0001").await,
                        "close" => return line.close(1000, "").await,
                        // No answer to a ping either.
                        _ => return std::future::pending().await,
                    }
                }
                *heard.lock().unwrap() = frames(&mut line, 51).await;
                line.send(json!({ "type": "SpeechStarted", "channel": [0, 1], "timestamp": 0.4 })).await;
                line.send(results("Two three.", 0.4, 0.5, true, true)).await;
                while line.next_json().await.is_some_and(|message| message["type"] != "CloseStream") {}
                line.send(metadata()).await;
            }
        })
        .await;
        let (listener, mut sound) = Sound::new();
        let silence = Duration::from_millis(if how == "silence" { 1_500 } else { 30_000 });
        let limits = services::limits().idle(silence);
        let ears = Deepgram::new(access(&service.url()).limits(limits)).unwrap();
        let mut transcription = ears.transcribe(listener);
        sound.push(100);
        let mut events = Vec::new();
        while events.len() < 5 {
            events.push(line(&next(&mut transcription).await));
        }
        assert_eq!(events[4], "partial \"two\" 1400-1800");
        sound.push(1);
        // No second start: the callee is still speaking.
        while events.len() < 7 {
            events.push(line(&next(&mut transcription).await));
        }
        drop(sound);
        assert_eq!(events[5..], ["final \"Two three.\" 1400-1900", "end 1900"], "{how}");
        let (last, error) = rest(transcription).await;
        assert!(last.is_empty() && error.is_none(), "{how}: {last:?} {error:?}");
        assert_eq!(*again.lock().unwrap(), (50..101).collect::<Vec<_>>(), "{how}");
        assert_eq!(service.opened().len(), 2, "{how}");
    }
}

#[tokio::test]
async fn a_service_that_does_not_come_back_is_given_up() {
    let service = Service::start(|_, line| async move { line.hang_up() }).await;
    let (listener, mut sound) = Sound::new();
    sound.push(5);
    let (events, error) = rest(ears(&service).reconnects(2).transcribe(listener)).await;
    assert!(events.is_empty());
    assert!(
        matches!(error, Some(AdapterError::CutOff { .. } | AdapterError::Connection { .. })),
        "{error:?}"
    );
    assert_eq!(service.opened().len(), 3);
}

#[tokio::test]
async fn refusals_are_told_apart() {
    let busy = &[("retry-after", "30")];
    let table: [(&str, services::websocket::Refusal, &str, usize); 5] = [
        (
            "wrong key",
            Some((401, &[], r#"{"err_code":"INVALID_AUTH","err_msg":"Invalid credentials."}"#)),
            "unauthorized",
            1,
        ),
        (
            "no credit",
            Some((402, &[], r#"{"err_code":"ASR_PAYMENT_REQUIRED","err_msg":"no credit"}"#)),
            "limited",
            1,
        ),
        ("too many", Some((429, busy, "slow down")), "limited", 1),
        ("no such model", Some((400, &[], r#"{"err_msg":"No such model"}"#)), "refused", 1),
        // Two attempts, and again after each pause.
        ("fault", Some((503, &[], "")), "refused", 4),
    ];
    for (what, refusal, kind, count) in table {
        let service = Service::refusing(move |_| refusal, |_, _| async {}).await;
        let (listener, _sound) = Sound::new();
        let (_, error) = rest(ears(&service).reconnects(1).transcribe(listener)).await;
        let error = error.expect(what);
        assert_eq!((error.kind(), service.opened().len()), (kind, count), "{what}: {error}");
        if what == "too many" {
            let after = matches!(error, AdapterError::Limited { retry_after: Some(after), .. } if after.as_secs() == 30);
            assert!(after, "{error:?}");
        }
    }
}

#[tokio::test]
async fn a_page_in_the_place_of_a_websocket_is_malformed() {
    let service = http::Service::start(|_, _| async { http::whole(200, "text/html", "<html>") }).await;
    let (listener, _sound) = Sound::new();
    let ears = Deepgram::new(access(&service.url())).unwrap();
    let (_, error) = rest(ears.transcribe(listener)).await;
    assert_eq!((error.unwrap().kind(), service.asked().len()), ("malformed", 1));
}

#[tokio::test]
async fn what_is_no_message_is_malformed_and_a_refusal_in_the_middle_is_one() {
    for (what, kind) in [
        ("no JSON", "malformed"),
        (r#"{"type":"Results","start":0}"#, "malformed"),
        (r#"{"type":"SpeechStarted","timestamp":-1}"#, "malformed"),
        ("binary", "malformed"),
        ("1008", "refused"),
    ] {
        let service = Service::start(move |_, mut line| async move {
            match what {
                "binary" => line.send_binary(vec![1, 2]).await,
                "1008" => return line.close(1008, "DATA-0000").await,
                text => line.send(text).await,
            }
            while line.next().await.is_some() {}
        })
        .await;
        let (listener, _sound) = Sound::new();
        let (_, error) = rest(ears(&service).transcribe(listener)).await;
        let error = error.expect(what);
        assert_eq!((error.kind(), service.opened().len()), (kind, 1), "{what}: {error}");
    }
}

#[tokio::test]
async fn a_service_that_never_answers_is_late() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let limits = impatient().connect(Duration::from_millis(200));
    let ears = Deepgram::new(access(&url).limits(limits)).unwrap().reconnects(0);
    let (frames, _sound) = Sound::new();
    let (_, error) = rest(ears.transcribe(frames)).await;
    assert_eq!(error.map(|error| error.kind()), Some("timed_out"));
}

#[tokio::test]
async fn silence_keeps_the_connection_and_a_dropped_transcription_closes_it() {
    let said = Arc::new(Mutex::new(Vec::new()));
    let heard = Arc::clone(&said);
    let service = Service::start(move |_, mut line| {
        let heard = Arc::clone(&heard);
        async move {
            while let Some(message) = line.next_json().await {
                heard.lock().unwrap().push(message);
            }
        }
    })
    .await;
    let (listener, _sound) = Sound::new();
    let ears = Deepgram::new(access(&service.url()).limits(services::limits().idle(Duration::from_secs(1))))
        .unwrap();
    let transcription = ears.transcribe(listener);
    until("two signs of life", || said.lock().unwrap().len() >= 2).await;
    assert!(said.lock().unwrap().iter().all(|message| *message == json!({ "type": "KeepAlive" })));
    assert_eq!((service.opened().len(), service.working()), (1, 1));
    drop(transcription);
    until("the end of the connection", || service.working() == 0).await;
}

#[tokio::test]
async fn the_key_is_shown_nowhere() {
    let log = services::log::Log::start();
    let service = Service::refusing(
        |nth| (nth == 1).then_some((401, &[][..], KEY)),
        |_, mut line| async move {
            line.send(json!({ "type": "Error", "description": format!("bad key {KEY}") })).await;
            line.close(1011, KEY).await;
        },
    )
    .await;
    let (listener, _sound) = Sound::new();
    let ears = ears(&service);
    let mut shown = format!("{ears:?}");
    let (_, error) = rest(ears.transcribe(listener)).await;
    let error = error.unwrap();
    assert_eq!(error.kind(), "unauthorized");
    shown.push_str(&format!("{error} {error:?}"));
    assert!(!shown.contains("marker"), "{shown}");
    let log = log.text();
    assert!(
        log.contains("the connection is made again") && log.contains("an error is told"),
        "the log has been read"
    );
    // What comes from the service is traced by the WebSocket library, before anybody has read it.
    let ours = |line: &&str| !line.contains("tungstenite");
    assert_eq!(log.lines().filter(ours).find(|line| line.contains("marker")), None);
    let sent = |line: &&str| line.contains("marker") && line.to_lowercase().contains("token ");
    assert_eq!(log.lines().find(sent), None);
}

/// A service that understands tones.
async fn tones(mut line: Line, breaks_behind: Option<usize>) {
    let (listener, mut sink) = listen(SampleRate::Hz16000, Duration::from_secs(10));
    let mut transcription =
        ToneEars { rate: SampleRate::Hz16000, ..ToneEars::new("service") }.transcribe(listener);
    let mut partials = 0;
    loop {
        tokio::select! {
            message = line.next() => match message {
                Some(Message::Binary(sound)) => {
                    let samples: Vec<i16> = sound.chunks_exact(2).map(|pair| i16::from_le_bytes([pair[0], pair[1]])).collect();
                    sink.push(&samples, false);
                }
                Some(_) => break,
                None => return,
            },
            Some(Ok(event)) = transcription.next() => {
                let seconds = |at: Duration| at.as_secs_f64();
                match event {
                    TranscriptEvent::SpeechStarted { at } => {
                        line.send(json!({ "type": "SpeechStarted", "timestamp": seconds(at) })).await;
                    }
                    TranscriptEvent::Partial(words) => {
                        partials += 1;
                        if Some(partials) == breaks_behind {
                            return line.hang_up();
                        }
                        line.send(results(&words.text, seconds(words.start), seconds(words.end - words.start), false, false)).await;
                    }
                    TranscriptEvent::Final(words) => {
                        line.send(results(&words.text, seconds(words.start), seconds(words.end - words.start), true, true)).await;
                    }
                    _ => {}
                }
            }
        }
    }
    line.send(metadata()).await;
    line.close(1000, "").await;
}

/// Over a call: an echo is understood although the connection breaks in the middle of it, and other ears go on when the
/// service is gone for good.
#[tokio::test]
async fn a_call_is_understood_and_the_fallback_goes_on() {
    let service = Service::refusing(
        |nth| (nth > 1).then_some((401, &[][..], "")),
        |nth, line| tones(line, Some(if nth == 0 { 2 } else { 5 })),
    )
    .await;
    let sandbox = Sandbox::builder().start().await.unwrap();
    let phone = common::Phone::start(&trunk::sandbox_udp(&sandbox, "codecs = [\"pcmu\"]")).await;
    let request = request("+12025550116").audio_rate(SampleRate::Hz16000);
    let call = within("the dial", phone.endpoint().dial_with(request)).await.unwrap();
    let ears = FallbackTranscriber::new(ears(&service), ToneEars::new("ears"));
    let mut transcription = call.transcribe(&ears).unwrap();
    let mut sentence = async |said: &str| {
        within("the speech", call.say(&Tones::new("tones"), said)).await.unwrap();
        loop {
            if let TranscriptEvent::Final(words) = next(&mut transcription).await {
                return words;
            }
        }
    };
    let first = sentence("One two three.").await;
    assert_eq!(first.text, "one two three");
    assert!((first.end - first.start).as_millis() >= 600, "{first:?}");
    // The second connection breaks in the middle of this, and the third is refused.
    let second = sentence("Four five six.").await;
    assert_eq!(second.text, "four five six");
    assert!(second.start > first.end, "{first:?} {second:?}");
    assert_eq!(service.opened()[0].parameter("sample_rate").as_deref(), Some("16000"));
    within("the end", call.hangup()).await;
    let mut events = call.events();
    let mut failures = Vec::new();
    while let Some(event) = within("an event", events.next()).await {
        if let CallEvent::SpeechFailed { adapter, kind, fallback, .. } = event {
            failures.push((adapter, kind, fallback));
        }
    }
    assert_eq!(failures, [("deepgram".to_owned(), "unauthorized", Some("ears".to_owned()))]);
    drop(call);
    phone.shutdown().await;
    sandbox.shutdown().await;
}
