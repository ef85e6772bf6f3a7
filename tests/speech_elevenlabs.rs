//! ElevenLabs' voice against servers that follow its published messages: whole texts over HTTP, texts that are being
//! written over a WebSocket, word by word.

mod common;
mod services;

use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use common::phone::request;
use common::voice::words_in;
use common::{trunk, within};
use futures_util::stream;
use outdial::audio::{MarkOutcome, SampleRate};
use outdial::provider::DialProvider;
use outdial::speech::{AdapterError, ElevenLabs, Piece, Speech, Synthesizer, Text};
use outdial_sandbox::Sandbox;
use serde_json::{Value, json};
use services::websocket::{Line, Service};
use services::{KEY, Said, access, bytes, http, impatient, pcm, said, until};
use tokio::sync::mpsc;

const VOICE: &str = "JBFqnCBsd6RMkjVDRZzb";

fn voice(url: &str) -> ElevenLabs {
    ElevenLabs::new(access(url), VOICE).unwrap()
}

/// A text that is written by hand.
fn written() -> (mpsc::UnboundedSender<&'static str>, Text) {
    let (sender, receiver) = mpsc::unbounded_channel();
    let pieces = stream::unfold(receiver, async |mut receiver: mpsc::UnboundedReceiver<&'static str>| {
        Some((receiver.recv().await?, receiver))
    });
    (sender, Text::from_pieces(pieces))
}

/// What comes of a text that is written word by word.
async fn say_pieces(voice: &ElevenLabs, text: &'static str) -> Said {
    let (sender, pieces) = written();
    let speech = voice.synthesize(pieces, SampleRate::Hz16000);
    // The adapter has looked whether there is a text already.
    tokio::task::yield_now().await;
    for piece in text.split_inclusive(' ') {
        sender.send(piece).unwrap();
    }
    drop(sender);
    said(speech).await
}

/// A message of sound, in which each character lasts 10 ms.
fn sound(samples: &[i16], text: Option<&str>) -> Value {
    let alignment = text.map(|text| {
        let chars: Vec<_> = text.chars().map(String::from).collect();
        let starts: Vec<_> = (0..chars.len()).map(|n| n * 10).collect();
        json!({ "charStartTimesMs": starts, "charDurationsMs": vec![10; chars.len()], "chars": chars })
    });
    json!({ "audio": STANDARD.encode(bytes(samples)), "isFinal": null, "normalizedAlignment": null, "alignment": alignment })
}

fn the_end() -> Value {
    json!({ "audio": null, "isFinal": true, "normalizedAlignment": null, "alignment": null })
}

#[tokio::test]
async fn a_whole_text_is_asked_for_sentence_by_sentence() {
    let service = http::Service::start(|nth, _| async move {
        http::whole(200, "application/octet-stream", bytes(&[nth as i16 + 1; 10]))
    })
    .await;
    let voice =
        voice(&service.url()).model("eleven_multilingual_v2").language("en").setting("stability", 0.5);
    for (rate, hz, format) in [
        (SampleRate::Hz8000, 8_000, "pcm_8000"),
        (SampleRate::Hz16000, 16_000, "pcm_16000"),
        (SampleRate::Hz24000, 24_000, "pcm_24000"),
        (SampleRate::Hz48000, 24_000, "pcm_24000"),
    ] {
        let heard = said(voice.synthesize("Good morning. How are you?".into(), rate)).await;
        assert_eq!((heard.kind(), heard.hz, heard.samples.len()), ("-", hz, 20));
        assert_eq!(heard.text, ["Good morning. ", "How are you?"]);
        let asked = service.asked();
        let uri = asked.last().unwrap().uri.to_string();
        assert_eq!(uri, format!("/v1/text-to-speech/{VOICE}/stream?output_format={format}"));
    }
    let asked = service.asked();
    assert_eq!(asked[0].header("xi-api-key"), KEY);
    let first = json!({ "text": "Good morning.", "model_id": "eleven_multilingual_v2", "language_code": "en",
        "voice_settings": { "stability": 0.5 } });
    assert_eq!(asked[0].json(), first);
    assert_eq!(asked[1].json()["previous_text"], "Good morning.");
}

#[tokio::test]
async fn a_text_that_is_being_written_is_heard_word_by_word() {
    let messages = Arc::new(Mutex::new(Vec::new()));
    let (heard, go) = (Arc::clone(&messages), Arc::new(tokio::sync::Notify::new()));
    let on = Arc::clone(&go);
    let service = Service::start(move |_, mut line| {
        let (heard, on) = (Arc::clone(&heard), Arc::clone(&on));
        async move {
            let mut sentences = 0;
            while let Some(message) = line.next_json().await {
                heard.lock().unwrap().push(message.clone());
                if message["flush"] == true {
                    sentences += 1;
                    let text = if sentences == 1 { "Hi you. " } else { "Bye " };
                    line.send(sound(&vec![sentences; 16 * 10 * text.len()], Some(text))).await;
                }
                if message["text"] == "" {
                    break;
                }
            }
            // Sound about which nothing is told, in two halves of a sample.
            on.notified().await;
            line.send(json!({ "audio": STANDARD.encode([9, 0, 9]), "alignment": null })).await;
            line.send(json!({ "audio": STANDARD.encode([0]) })).await;
            line.send(the_end()).await;
            line.close(1000, "").await;
        }
    })
    .await;
    let voice = voice(&service.url()).setting("speed", 1.1);
    let (sender, text) = written();
    let mut speech = voice.synthesize(text, SampleRate::Hz16000);
    let mut pieces = Vec::new();
    let mut next = async |count: usize| {
        for _ in 0..count {
            pieces.push(match within("a piece", speech.next()).await.unwrap().unwrap() {
                Piece::Saying(text) => text,
                Piece::Sound { samples, hz: 16_000 } => format!("{}x{}", samples.len(), samples[0]),
                other => panic!("{other:?}"),
            });
        }
        std::mem::take(&mut pieces)
    };
    until("the connection", || service.working() == 1).await;
    for piece in ["H", "i y", "ou.", " "] {
        sender.send(piece).unwrap();
    }
    // The text is not over, and its first sentence is heard.
    assert_eq!(next(4).await, ["Hi ", "480x1", "you. ", "800x1"]);
    sender.send("Bye").unwrap();
    drop(sender);
    assert_eq!(next(2).await, ["Bye ", "640x2"]);
    go.notify_one();
    let rest = said(speech).await;
    assert_eq!((rest.kind(), rest.samples, rest.text.len()), ("-", vec![9, 9], 0));
    let texts: Vec<_> = messages
        .lock()
        .unwrap()
        .iter()
        .map(|message| (message["text"].clone(), message["flush"] == true))
        .collect();
    let expected = [(" ", false), ("Hi ", false), ("you. ", true), ("Bye ", true), ("", false)];
    assert_eq!(texts, expected.map(|(text, flush)| (Value::from(text), flush)));
    assert_eq!(messages.lock().unwrap()[0]["voice_settings"]["speed"], json!(1.1_f32));
    let opened = &service.opened()[0];
    assert_eq!(opened.uri.path(), format!("/v1/text-to-speech/{VOICE}/stream-input"));
    assert_eq!(opened.headers["xi-api-key"], KEY);
    for (name, value) in
        [("output_format", "pcm_16000"), ("model_id", "eleven_flash_v2_5"), ("sync_alignment", "true")]
    {
        assert_eq!(opened.parameter(name).as_deref(), Some(value));
    }
}

/// Without alignment the text is told with the first sound of it.
#[tokio::test]
async fn a_service_that_tells_no_words_is_told_by_what_it_was_sent() {
    let service = Service::start(|_, mut line| async move {
        while line.next_json().await.is_some_and(|message| message["text"] != "") {}
        line.send(sound(&[1; 10], None)).await;
        line.send(sound(&[1; 10], None)).await;
        // It closes without a last message.
        line.close(1000, "").await;
    })
    .await;
    let heard = say_pieces(&voice(&service.url()), "One two three.").await;
    assert_eq!((heard.kind(), heard.samples.len()), ("-", 20));
    assert_eq!(heard.text, ["One two three."]);
}

#[tokio::test]
async fn faults_over_the_websocket_are_told_apart() {
    let quota = r#"{"message":"You have 0 credits.","error":"quota_exceeded","code":1008}"#;
    let key = r#"{"message":"Invalid API key.","error":"invalid_api_key","code":1008}"#;
    let other =
        r#"{"message":"A voice with this id does not exist.","error":"voice_id_does_not_exist","code":1008}"#;
    for (what, kind, samples) in [
        (quota, "limited", 0),
        (key, "unauthorized", 0),
        (other, "refused", 0),
        (r#"{"audio":"***"}"#, "malformed", 0),
        (r#"{"audio":"AQAC","isFinal":true}"#, "malformed", 1),
        ("no JSON", "malformed", 0),
        ("hang up", "cut_off", 1),
        ("close", "refused", 1),
        ("silence", "timed_out", 1),
    ] {
        let service = Service::start(move |_, mut line: Line| async move {
            line.next_json().await;
            while line.next_json().await.is_some_and(|message| message["text"] != "") {}
            if samples == 1 && !what.starts_with('{') {
                line.send(sound(&[1], None)).await;
            }
            match what {
                // What was sent is to arrive before the end.
                "hang up" => {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    return line.hang_up();
                }
                "close" => return line.close(1011, "internal").await,
                "silence" => {}
                text => line.send(text).await,
            }
            while line.next().await.is_some() {}
        })
        .await;
        let limits = if what == "silence" { impatient() } else { services::limits() };
        let voice = ElevenLabs::new(access(&service.url()).limits(limits), VOICE).unwrap();
        let heard = say_pieces(&voice, "One two.").await;
        assert_eq!((heard.kind(), heard.samples.len()), (kind, samples), "{what}: {:?}", heard.error);
    }
}

#[tokio::test]
async fn a_refused_handshake_is_told_and_a_fault_tried_again() {
    let quota = r#"{"detail":{"status":"quota_exceeded","message":"no credit"}}"#;
    let table: [(u16, &str, &str, usize); 4] = [
        (401, r#"{"detail":{"status":"invalid_api_key","message":"Invalid API key"}}"#, "unauthorized", 1),
        (401, quota, "limited", 1),
        (403, "", "unauthorized", 1),
        (500, "", "refused", 2),
    ];
    for (status, body, kind, count) in table {
        let service = Service::refusing(move |_| Some((status, &[], body)), |_, _| async {}).await;
        let heard = say_pieces(&voice(&service.url()), "One.").await;
        assert_eq!((heard.kind(), service.opened().len()), (kind, count), "{body}");
    }
    let http = http::Service::start(move |_, _| async move { http::refusal(401, quota) }).await;
    let heard = said(voice(&http.url()).synthesize("One.".into(), SampleRate::Hz8000)).await;
    assert!(matches!(heard.error, Some(AdapterError::Limited { status: 401, .. })), "{:?}", heard.error);
}

#[tokio::test]
async fn speech_that_is_dropped_closes_the_connection_and_a_slow_writer_is_waited_for() {
    let service = Service::start(|_, mut line| async move {
        while let Some(message) = line.next_json().await {
            if message["flush"] == true {
                line.send(sound(&[1; 160], None)).await;
            }
        }
    })
    .await;
    // Nobody is late while nothing is there to be said.
    let voice = ElevenLabs::new(access(&service.url()).limits(impatient()), VOICE).unwrap();
    let (sender, text) = written();
    let mut speech = voice.synthesize(text, SampleRate::Hz16000);
    until("the connection", || service.working() == 1).await;
    tokio::time::sleep(Duration::from_millis(600)).await;
    sender.send("One. ").unwrap();
    let saying = within("the words", speech.next()).await;
    assert!(matches!(saying, Some(Ok(Piece::Saying(_)))), "{saying:?}");
    assert!(matches!(within("the sound", speech.next()).await, Some(Ok(Piece::Sound { .. }))));
    tokio::time::sleep(Duration::from_millis(600)).await;
    assert_eq!(service.working(), 1);
    drop(speech);
    until("the end of the connection", || service.working() == 0).await;

    let open = Arc::<AtomicUsize>::default();
    let standing = Arc::clone(&open);
    let http = http::Service::start(move |_, _| {
        let (sender, response) = http::in_parts(&standing);
        tokio::spawn(async move {
            sender.send(Ok(vec![1, 0])).await.unwrap();
            sender.closed().await;
        });
        async { response }
    })
    .await;
    let mut speech: Speech =
        ElevenLabs::new(access(&http.url()), VOICE).unwrap().synthesize("One.".into(), SampleRate::Hz8000);
    within("the words", speech.next()).await.unwrap().unwrap();
    within("the sound", speech.next()).await.unwrap().unwrap();
    drop(speech);
    until("the end of the request", || open.load(std::sync::atomic::Ordering::SeqCst) == 0).await;
}

#[tokio::test]
async fn the_key_is_shown_nowhere() {
    let log = services::log::Log::start();
    let service = Service::refusing(
        |nth| (nth == 1).then_some((401, &[][..], KEY)),
        |_, mut line| async move {
            line.next_json().await;
            line.close(1008, KEY).await;
        },
    )
    .await;
    let voice = voice(&service.url());
    let mut shown = format!("{voice:?}");
    for kind in ["refused", "unauthorized"] {
        let heard = say_pieces(&voice, "One.").await;
        assert_eq!(heard.kind(), kind);
        let error = heard.error.unwrap();
        shown.push_str(&format!("{error} {error:?}"));
    }
    assert!(!shown.contains("marker"), "{shown}");
    let log = log.text();
    assert!(log.contains("hyper"), "the log has been read");
    // What the service sends is traced by the WebSocket library.
    let ours = |line: &&str| !line.contains("tungstenite");
    assert_eq!(log.lines().filter(ours).find(|line| line.contains("marker")), None);
    assert_eq!(log.lines().find(|line| line.contains("marker") && line.contains("xi-api-key")), None);
}

/// Over a call: a text that is being written is heard, and the callee's side stops the service in the middle of another.
#[tokio::test]
async fn a_call_hears_a_text_that_is_being_written() {
    let service = Service::start(|_, mut line| async move {
        let mut text = String::new();
        while let Some(message) = line.next_json().await {
            text.push_str(message["text"].as_str().unwrap());
            let over = message["text"] == "";
            if (message["flush"] == true || over) && !text.trim().is_empty() {
                let sound = pcm(text.trim(), 16_000).await;
                // In pieces, as the service sends them.
                for part in sound.chunks(16_000) {
                    line.send(json!({ "audio": STANDARD.encode(part), "isFinal": null, "alignment": null }))
                        .await;
                }
                text.clear();
            }
            if over {
                line.send(the_end()).await;
                return line.close(1000, "").await;
            }
        }
    })
    .await;
    let sandbox = Sandbox::builder().start().await.unwrap();
    let phone = common::Phone::start(&trunk::sandbox_udp(&sandbox, "codecs = [\"pcmu\"]")).await;
    let request = request("+12025550116").audio_rate(SampleRate::Hz16000);
    let call = within("the dial", phone.endpoint().dial_with(request)).await.unwrap();
    let voice = voice(&service.url());
    within("the answer", call.answered()).await.unwrap();
    let pieces = stream::unfold(["One", " two. T", "hree", "."].into_iter(), async |mut pieces| {
        tokio::time::sleep(Duration::from_millis(20)).await;
        Some((pieces.next()?, pieces))
    });
    let spoken = within("the speech", call.say_stream(&voice, pieces)).await.unwrap();
    assert_eq!((spoken.outcome, spoken.text.trim()), (MarkOutcome::Played, "One two. Three."));
    until("the end of the connection", || service.working() == 0).await;

    let speaker = call.speaker().unwrap();
    let played = speaker.played();
    let (sender, text) = written();
    sender.send("Four five six seven. ").unwrap();
    let (spoken, ()) = tokio::join!(within("the speech", call.say(&voice, text)), async {
        until("two words", || speaker.played() > played + 16_000 * 520 / 1_000).await;
        assert_eq!(service.working(), 1);
        speaker.clear();
    });
    assert_eq!(spoken.unwrap().outcome, MarkOutcome::Cleared);
    until("the end of the connection", || service.working() == 0).await;
    drop(sender);
    within("the end", call.hangup()).await;
    let record = within("the record", sandbox.call_ended(call.id().as_str())).await;
    let heard = words_in(&record.recording.unwrap().samples, SampleRate::Hz8000).join(" ");
    assert!(heard.starts_with("one two three four five") && !heard.contains("seven"), "{heard}");
    drop(call);
    phone.shutdown().await;
    sandbox.shutdown().await;
}
