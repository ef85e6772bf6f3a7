//! OpenAI's voice against a server with its interface: the first sound is passed on as soon as it exists, faults are told
//! apart, and what nobody wants any more is stopped.

mod common;
mod services;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use axum::http::HeaderValue;
use common::phone::request;
use common::voice::{Tones, words_in};
use common::{trunk, within};
use outdial::audio::{MarkOutcome, SampleRate, listen};
use outdial::call::CallEvent;
use outdial::provider::DialProvider;
use outdial::secrets::{SecretRef, Secrets, Store};
use outdial::speech::{
    Access, AdapterError, ApiKey, Espeak, FallbackSynthesizer, OpenAiSynthesizer, OpenAiTranscriber, Piece,
    Speech, Synthesizer, Text, Transcriber, TranscriptEvent,
};
use outdial_sandbox::Sandbox;
use services::http::{Service, cut_off, in_parts, refusal, whole};
use services::{KEY, access, bytes, impatient, pcm, said, until};

const PCM: &str = "audio/pcm";

fn say(service: &Service, text: &str) -> Speech {
    OpenAiSynthesizer::new(access(&service.url())).unwrap().synthesize(Text::from(text), SampleRate::Hz16000)
}

async fn next(speech: &mut Speech) -> Piece {
    within("a piece", speech.next()).await.unwrap().unwrap()
}

#[tokio::test]
async fn the_first_sound_is_passed_on_before_there_is_more() {
    let (open, parts) = (Arc::<AtomicUsize>::default(), Arc::new(std::sync::Mutex::new(Vec::new())));
    let senders = Arc::clone(&parts);
    let service = Service::start(move |_, _| {
        let (sender, response) = in_parts(&open);
        senders.lock().unwrap().push(sender);
        async { response }
    })
    .await;
    let voice = OpenAiSynthesizer::new(access(&format!("{}/v1/", service.url()))).unwrap();
    let voice = voice.model("tts-1").voice("nova").speed(1.5).instructions("calm");
    let mut speech = voice.synthesize("One. Two.".into(), SampleRate::Hz16000);
    until("the first request", || service.asked().len() == 1).await;
    let first = parts.lock().unwrap()[0].clone();
    // Half a sample more than two.
    first.send(Ok(vec![1, 0, 2, 0, 3])).await.unwrap();
    assert!(matches!(next(&mut speech).await, Piece::Saying(text) if text == "One. "));
    let piece = next(&mut speech).await;
    assert!(matches!(&piece, Piece::Sound { samples, hz: 24_000 } if *samples == [1, 2]), "{piece:?}");
    first.send(Ok(vec![0, 4, 0])).await.unwrap();
    assert!(matches!(next(&mut speech).await, Piece::Sound { samples, .. } if samples == [3, 4]));
    until("the second request, while the first is being answered", || service.asked().len() == 2).await;
    let second = parts.lock().unwrap()[1].clone();
    parts.lock().unwrap().clear();
    drop(first);
    second.send(Ok(vec![5, 0])).await.unwrap();
    drop(second);
    let rest = said(speech).await;
    assert_eq!((rest.text, rest.samples, rest.error.is_none()), (vec!["Two.".to_owned()], vec![5], true));

    let asked = service.asked();
    assert_eq!(
        (asked[0].uri.path(), asked[0].header("authorization")),
        ("/v1/audio/speech", &*format!("Bearer {KEY}"))
    );
    let json = asked[0].json();
    let expected = serde_json::json!({ "model": "tts-1", "voice": "nova", "input": "One.", "response_format": "pcm",
        "instructions": "calm", "speed": 1.5 });
    assert_eq!(json, expected);
    assert_eq!(asked[1].json()["input"], "Two.");
}

/// How a service answers the first request, and the second one if there is one; what comes of it, and of how many requests.
#[tokio::test]
async fn faults_are_told_apart_and_tried_again_before_the_first_byte_only() {
    let sound = || whole(200, PCM, vec![1, 0]);
    let limited = |after: &'static str| {
        let mut response =
            refusal(429, r#"{"error":{"message":"Rate limit reached","code":"rate_limit_exceeded"}}"#);
        response.headers_mut().insert("retry-after", HeaderValue::from_static(after));
        response
    };
    let quota = r#"{"error":{"message":"You exceeded your current quota","code":"insufficient_quota"}}"#;
    type Answer = Box<dyn Fn() -> axum::response::Response + Send + Sync>;
    let table: Vec<(&str, Answer, Answer, &str, usize, usize)> = vec![
        ("wrong key", Box::new(|| refusal(401, "{}")), Box::new(sound), "unauthorized", 1, 0),
        ("forbidden", Box::new(|| refusal(403, "{}")), Box::new(sound), "unauthorized", 1, 0),
        ("busy, for long", Box::new(move || limited("7")), Box::new(sound), "limited", 1, 0),
        ("busy, for now", Box::new(move || limited("0")), Box::new(sound), "-", 2, 1),
        ("no credit", Box::new(move || refusal(429, quota)), Box::new(sound), "limited", 1, 0),
        (
            "unknown voice",
            Box::new(|| refusal(400, r#"{"error":"no such voice"}"#)),
            Box::new(sound),
            "refused",
            1,
            0,
        ),
        ("fault", Box::new(|| refusal(500, "oops")), Box::new(sound), "-", 2, 1),
        ("faults", Box::new(|| refusal(500, "oops")), Box::new(|| refusal(502, "<html>")), "refused", 2, 0),
        ("a redirect", Box::new(|| refusal(307, "")), Box::new(sound), "refused", 1, 0),
        ("cut off before sound", Box::new(|| cut_off(vec![])), Box::new(sound), "-", 2, 1),
        ("cut off in the middle", Box::new(|| cut_off(vec![1, 0, 2, 0])), Box::new(sound), "cut_off", 1, 2),
        ("half a sample", Box::new(|| whole(200, PCM, vec![1, 0, 2])), Box::new(sound), "malformed", 1, 1),
        ("a page", Box::new(|| whole(200, "text/html", "<html>")), Box::new(sound), "malformed", 1, 0),
        (
            "an MP3 file",
            Box::new(|| whole(200, "audio/mpeg", vec![0xff, 0xfb])),
            Box::new(sound),
            "malformed",
            1,
            0,
        ),
    ];
    for (what, first, second, kind, requests, samples) in table {
        let service = Service::start(move |nth, _| {
            let response = if nth == 0 { first() } else { second() };
            async { response }
        })
        .await;
        let said = said(say(&service, "One.")).await;
        let seen = (said.kind(), service.asked().len(), said.samples.len());
        assert_eq!(seen, (kind, requests, samples), "{what}: {:?}", said.error);
        if what == "busy, for long" {
            let asked = matches!(said.error, Some(AdapterError::Limited { retry_after: Some(after), status: 429, .. }) if after == Duration::from_secs(7));
            assert!(asked, "{:?}", said.error);
        }
    }
}

#[tokio::test]
async fn silence_has_a_limit_at_each_stage_and_nobody_there_is_no_connection() {
    let open = Arc::<AtomicUsize>::default();
    let never = Service::start(|_, _| std::future::pending()).await;
    let stall = Arc::clone(&open);
    let no_sound = Service::start(move |_, _| {
        let (sender, response) = in_parts(&stall);
        // Headers, and then nothing.
        Box::leak(Box::new(sender));
        async { response }
    })
    .await;
    let stall = Arc::clone(&open);
    let stalls = Service::start(move |_, _| {
        let (sender, response) = in_parts(&stall);
        tokio::spawn(async move {
            sender.send(Ok(vec![1, 0])).await.unwrap();
            sender.closed().await;
        });
        async { response }
    })
    .await;
    for (service, what, samples) in [
        (&never, "the answer of openai", 0),
        (&no_sound, "the first byte of openai", 0),
        (&stalls, "the next part of", 1),
    ] {
        let limits = impatient().connect(Duration::ZERO + Duration::from_millis(200));
        let voice = OpenAiSynthesizer::new(access(&service.url()).limits(limits)).unwrap();
        let said = said(voice.synthesize("One.".into(), SampleRate::Hz8000)).await;
        assert_eq!((said.kind(), said.samples.len()), ("timed_out", samples));
        let error = said.error.unwrap().to_string();
        assert!(error.starts_with(what), "{error}");
        assert_eq!(service.asked().len(), 1, "silence is not asked for twice");
    }
    let url = never.url();
    drop(never);
    let gone = async || {
        let voice = OpenAiSynthesizer::new(access(&url)).unwrap();
        said(voice.synthesize("One.".into(), SampleRate::Hz8000)).await.kind()
    };
    // The server stops in the background.
    until("its end", || std::net::TcpStream::connect(url.trim_start_matches("http://")).is_err()).await;
    assert_eq!(gone().await, "connection");
}

#[tokio::test]
async fn speech_that_is_dropped_ends_the_request_and_speech_that_waits_holds_the_service() {
    let (open, sent) = (Arc::<AtomicUsize>::default(), Arc::<AtomicUsize>::default());
    let (counter, standing) = (Arc::clone(&sent), Arc::clone(&open));
    let service = Service::start(move |_, _| {
        let (sender, response) = in_parts(&standing);
        let counter = Arc::clone(&counter);
        tokio::spawn(async move {
            let part = bytes(&[7; 24_000]);
            while sender.send(Ok(part.clone())).await.is_ok() {
                counter.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            }
        });
        async { response }
    })
    .await;
    let mut speech = say(&service, "One.");
    for _ in 0..3 {
        next(&mut speech).await;
    }
    // Nobody takes more: after the sockets' buffers are full, nothing more is sent.
    let count = || sent.load(std::sync::atomic::Ordering::SeqCst);
    let mut before = usize::MAX;
    within("the service waiting", async {
        while before != count() {
            before = count();
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    })
    .await;
    assert!(count() < 400, "{} s of sound were sent ahead", count());
    drop(speech);
    until("the end of the request", || open.load(std::sync::atomic::Ordering::SeqCst) == 0).await;
}

#[tokio::test]
async fn an_exchanged_key_is_read_where_it_comes_from() {
    let service = Service::start(|_, asked| async move {
        let known = asked.header("authorization") == "Bearer new";
        if known { whole(200, PCM, vec![1, 0]) } else { refusal(401, r#"{"error":"unknown key old"}"#) }
    })
    .await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("key");
    let write = |key: &str| {
        fs::write(&path, key).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    };
    write("old\n");
    let secrets = Arc::new(Secrets::new(Store::open(folder.path())));
    let key = ApiKey::read(&secrets, SecretRef::File(path.clone())).unwrap();
    let voice = OpenAiSynthesizer::new(Access::from(key).base_url(service.url())).unwrap();
    let say = async || said(voice.synthesize("One.".into(), SampleRate::Hz8000)).await;
    let refused = say().await;
    assert_eq!((refused.kind(), service.asked().len()), ("unauthorized", 1));
    assert_eq!(refused.error.unwrap().to_string(), "openai does not accept the key (401): unknown key ***");
    write("new\n");
    let heard = say().await;
    assert_eq!((heard.kind(), heard.samples.len(), service.asked().len()), ("-", 1, 3));
    assert_eq!(say().await.kind(), "-");
    assert_eq!(service.asked().len(), 4, "the new key is kept");
}

#[tokio::test]
async fn the_key_is_shown_nowhere() {
    let log = services::log::Log::start();
    let service = Service::start(|nth, _| async move {
        match nth {
            0 => whole(200, PCM, vec![1, 0]),
            1 => refusal(401, &format!("{{\"error\":{{\"message\":\"wrong key: {KEY}\"}}}}")),
            _ => refusal(500, KEY),
        }
    })
    .await;
    let access = access(&service.url());
    let mut shown = format!("{access:?}");
    let voice = OpenAiSynthesizer::new(access).unwrap();
    shown.push_str(&format!("{voice:?}"));
    for kind in ["-", "unauthorized", "refused"] {
        let said = said(voice.synthesize("One.".into(), SampleRate::Hz8000)).await;
        assert_eq!(said.kind(), kind);
        shown.push_str(&format!(
            "{:?} {}",
            said.error,
            said.error.as_ref().map(ToString::to_string).unwrap_or_default()
        ));
    }
    let log = log.text();
    assert!(log.contains("asking again") && log.contains("hyper"), "the log has been read");
    assert!(!shown.contains("marker"), "{shown}");
    assert_eq!(log.lines().find(|line| line.contains("marker")), None);
}

/// Somebody says two sentences with a pause between them; frames of 20 ms.
async fn two_sentences() -> Vec<i16> {
    let mut samples = vec![0; 16_000];
    for sentence in ["The meeting is on Tuesday.", "Please bring the contract."] {
        let spoken = said(Espeak::default().synthesize(sentence.into(), SampleRate::Hz16000)).await;
        let (mut resampled, step) = (Vec::new(), f64::from(spoken.hz) / 16_000.0);
        let mut at = 0.0;
        while (at as usize) < spoken.samples.len() {
            resampled.push(spoken.samples[at as usize]);
            at += step;
        }
        samples.extend(resampled);
        samples.extend([0; 24_000]);
    }
    samples
}

/// What comes of a callee who says them to a service.
async fn listened(service: &Service) -> (Vec<String>, &'static str) {
    let ears = OpenAiTranscriber::new(access(&service.url())).unwrap().language("en").prompt("Outdial");
    let (listener, mut sink) = listen(SampleRate::Hz16000, Duration::from_secs(60));
    for frame in two_sentences().await.chunks_exact(320) {
        sink.push(frame, false);
    }
    drop(sink);
    let mut transcription = ears.transcribe(listener);
    let mut events = Vec::new();
    while let Some(event) = within("an event", transcription.next()).await {
        events.push(match event {
            Ok(TranscriptEvent::Final(words)) => {
                assert!(words.end > words.start, "{words:?}");
                words.text
            }
            Ok(TranscriptEvent::SpeechStarted { .. }) => "start".to_owned(),
            Ok(TranscriptEvent::SpeechEnded { .. }) => "end".to_owned(),
            Ok(other) => panic!("{other:?}"),
            Err(error) => return (events, error.kind()),
        });
    }
    (events, "-")
}

#[tokio::test]
async fn each_utterance_is_understood_from_a_recording_of_its_own() {
    let service = Service::start(|nth, _| async move {
        match nth {
            // A fault is tried again.
            0 => refusal(503, ""),
            1 => whole(200, "application/json", r#"{"text":" first "}"#),
            _ => {
                whole(200, "application/json", r#"{"text":"second","usage":{"type":"duration","seconds":2}}"#)
            }
        }
    })
    .await;
    let (mut events, kind) = listened(&service).await;
    assert_eq!(kind, "-");
    // The words of the first may come before or after the second begins.
    let place = events.iter().position(|event| event == "first").expect("the first words");
    events.remove(place);
    assert_eq!(events, ["start", "end", "start", "end", "second"]);
    let asked = service.asked();
    assert_eq!(asked.len(), 3);
    for asked in asked {
        assert_eq!(asked.uri.path(), "/audio/transcriptions");
        assert_eq!(asked.header("authorization"), format!("Bearer {KEY}"));
        let body = String::from_utf8_lossy(&asked.body).into_owned();
        for part in [
            "name=\"model\"\r\n\r\ngpt-4o-mini-transcribe",
            "name=\"language\"\r\n\r\nen",
            "name=\"prompt\"\r\n\r\nOutdial",
            "name=\"response_format\"\r\n\r\njson",
            "filename=\"speech.wav\"",
        ] {
            assert!(body.contains(part), "{part}");
        }
        let wav = asked.body.windows(4).position(|bytes| bytes == b"RIFF").expect("a WAV file");
        let mut file = hound::WavReader::new(&asked.body[wav..]).unwrap();
        assert_eq!((file.spec().sample_rate, file.spec().channels), (16_000, 1));
        // A sentence with its margins, and no more of the pause.
        assert!((16_000..4 * 16_000).contains(&file.duration()), "{}", file.duration());
        assert!(file.samples::<i16>().any(|sample| sample.unwrap().unsigned_abs() > 2_000));
    }
}

#[tokio::test]
async fn a_recogniser_that_is_refused_or_not_understood_ends_with_the_error() {
    for (status, body, kind, count) in [
        (401, "{}", "unauthorized", 1),
        (500, "", "refused", 2),
        (200, "no JSON", "malformed", 1),
        (200, r#"{"words":"first"}"#, "malformed", 1),
    ] {
        let service = Service::start(move |_, _| async move { refusal(status, body) }).await;
        let (events, found) = listened(&service).await;
        assert_eq!((found, service.asked().len()), (kind, count), "{body}: {events:?}");
        assert_eq!(events[0], "start");
    }
}

/// Over a call: the words are heard in the service's 24 kHz, and another voice goes on when it fails.
#[tokio::test]
async fn a_call_hears_the_voice_and_the_fallback() {
    let service = Service::start(|_, asked| async move {
        let text = asked.json()["input"].as_str().unwrap().to_owned();
        let sound = pcm(&text, 24_000).await;
        if text.contains("five") {
            // Behind "four".
            return cut_off(sound[..24_000 * 2 * 260 / 1_000].to_vec());
        }
        whole(200, PCM, sound)
    })
    .await;
    let sandbox = Sandbox::builder().start().await.unwrap();
    let phone = common::Phone::start(&trunk::sandbox_udp(&sandbox, "codecs = [\"pcmu\"]")).await;
    let request = request("+12025550116").audio_rate(SampleRate::Hz16000);
    let call = within("the dial", phone.endpoint().dial_with(request)).await.unwrap();
    let voice = OpenAiSynthesizer::new(access(&service.url())).unwrap();
    let spoken = within("the speech", call.say(&voice, "One two. Three.")).await.unwrap();
    assert_eq!((spoken.outcome, spoken.text.as_str()), (MarkOutcome::Played, "One two. Three."));
    let pair = FallbackSynthesizer::new(voice, Tones::new("tones"));
    let spoken = within("the speech", call.say(&pair, "Four five six.")).await.unwrap();
    assert_eq!((spoken.outcome, spoken.failures.len()), (MarkOutcome::Played, 1));
    within("the end", call.hangup()).await;
    let record = within("the record", sandbox.call_ended(call.id().as_str())).await;
    let heard = words_in(&record.recording.unwrap().samples, SampleRate::Hz8000).join(" ");
    // The sentence in which it broke off is said again.
    assert_eq!(heard, "one two three four four five six");
    let mut events = call.events();
    let mut failures = Vec::new();
    while let Some(event) = within("an event", events.next()).await {
        if let CallEvent::SpeechFailed { adapter, kind, fallback, .. } = event {
            failures.push((adapter, kind, fallback));
        }
    }
    assert_eq!(failures, [("openai".to_owned(), "cut_off", Some("tones".to_owned()))]);
    drop(call);
    phone.shutdown().await;
    sandbox.shutdown().await;
}
