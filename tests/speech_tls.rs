//! Adapters of services over TLS: with an authority of the operator's own, and with certificates that nobody should trust.

mod common;
mod services;

use std::time::Duration;

use common::within;
use outdial::audio::{SampleRate, listen};
use outdial::speech::{
    Access, AdapterError, Deepgram, OpenAiSynthesizer, Synthesizer, Transcriber, TranscriptEvent,
};
use serde_json::json;
use services::tls::{Certificate, Tls};
use services::{access, bytes, http, said, websocket};

/// A voice over HTTP.
async fn voice() -> http::Service {
    http::Service::start(|_, _| async { http::whole(200, "audio/pcm", bytes(&[5; 24])) }).await
}

/// Ears over a WebSocket.
async fn ears() -> websocket::Service {
    websocket::Service::start(|_, mut line| async move {
        line.next().await;
        let words = json!([{ "word": "yes", "start": 0, "end": 0.02, "confidence": 1 }]);
        let channel = json!({ "alternatives": [{ "transcript": "Yes.", "confidence": 1, "words": words }] });
        let results =
            json!({ "type": "Results", "start": 0, "duration": 0.02, "is_final": true, "channel": channel });
        line.send(results).await;
        while line.next().await.is_some() {}
    })
    .await
}

/// How many samples a voice makes.
async fn speak(access: Access) -> Result<usize, AdapterError> {
    let speech = OpenAiSynthesizer::new(access)?.synthesize("One.".into(), SampleRate::Hz24000);
    let said = said(speech).await;
    said.error.map_or(Ok(said.samples.len()), Err)
}

/// What ears understand.
async fn hear(access: Access) -> Result<String, AdapterError> {
    let (listener, mut sink) = listen(SampleRate::Hz16000, Duration::from_secs(1));
    let mut transcription = Deepgram::new(access)?.transcribe(listener);
    sink.push(&[0; 320], false);
    loop {
        match within("an event", transcription.next()).await.expect("words, or an error") {
            Ok(TranscriptEvent::Final(words)) => return Ok(words.text),
            Ok(_) => {}
            Err(error) => return Err(error),
        }
    }
}

#[tokio::test]
async fn speech_and_words_cross_tls_with_an_authority_of_one_s_own() {
    let (plain_voice, plain_ears) = (voice().await, ears().await);
    let voice = Tls::before(&plain_voice.url(), Certificate::Right).await;
    let samples = speak(access(&voice.url()).ca_file(voice.ca_file())).await;
    assert_eq!(samples.unwrap(), 24);
    let ears = Tls::before(&plain_ears.url(), Certificate::Right).await;
    let url = ears.url().replace("https", "wss");
    assert_eq!(hear(access(&url).ca_file(ears.ca_file())).await.unwrap(), "Yes.");
}

/// Nothing is sent, the key least of all, and it is not tried again.
#[tokio::test]
async fn a_certificate_that_is_not_trusted_is_told() {
    let (plain_voice, plain_ears) = (voice().await, ears().await);
    let stranger = Tls::before(&plain_voice.url(), Certificate::Right).await;
    for (certificate, known, why) in [
        (Certificate::Right, false, "none of the known authorities has signed it"),
        (Certificate::OfAnotherName, true, "it is for another name"),
        (Certificate::Expired, true, "it has expired"),
    ] {
        let voice = Tls::before(&plain_voice.url(), certificate).await;
        let ears = Tls::before(&plain_ears.url(), certificate).await;
        let trusting = |tls: &Tls| {
            let ca_file = if known { tls.ca_file() } else { stranger.ca_file() };
            access(&tls.url()).ca_file(ca_file)
        };
        for (service, error, tls) in [
            ("openai", speak(trusting(&voice)).await.unwrap_err(), &voice),
            ("deepgram", hear(trusting(&ears)).await.unwrap_err(), &ears),
        ] {
            assert_eq!(error.to_string(), format!("the certificate of {service} is not trusted: {why}"));
            assert_eq!((error.kind(), tls.accepted()), ("untrusted", 1));
        }
    }
    assert!(plain_voice.asked().is_empty() && plain_ears.opened().is_empty());
}

#[tokio::test]
async fn a_file_of_authorities_that_is_of_no_use_is_told_at_once() {
    let empty = tempfile::NamedTempFile::new().unwrap();
    let path = |path: &std::path::Path| access("https://localhost:1").ca_file(path);
    for (access, why) in [
        (path(empty.path()), "there is no certificate in it"),
        (path("/nowhere/ca.pem".as_ref()), "/nowhere/ca.pem"),
        (access("http://127.0.0.1:1").ca_file(empty.path()), "https://"),
    ] {
        let error = speak(access).await.unwrap_err();
        assert_eq!(error.kind(), "invalid");
        assert!(error.to_string().contains(why), "{error}");
    }
}
