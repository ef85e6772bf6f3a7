//! The account's secrets, the calls' tokens and the numbers of callees are in no log line at any level, in no error and in
//! no Debug output.

mod common;
mod fake_twilio;

use std::io::Write;
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use common::phone::request;
use common::within;
use fake_twilio::FakeTwilio;
use outdial::config::{Config, ProviderKind};
use outdial::provider::{DialProvider, Shutdown};
use outdial::twilio::Twilio;

const ECHO: &str = "+12025550116";
const FORGED: &str = "+12025550167";
const STRANGERS: &str = "+12025550168";
const REFUSED: [&str; 2] = ["+12025550171", "+12025550172"];

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, text: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(text);
        Ok(text.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn secrets_are_shown_nowhere() {
    let log = Log::default();
    let writer = log.clone();
    tracing_subscriber::fmt()
        .with_max_level(tracing_subscriber::filter::LevelFilter::TRACE)
        .with_writer(move || writer.clone())
        .init();
    let fake = FakeTwilio::start().await;
    let text = fake.config(&FakeTwilio::api_key());
    let config = Config::parse(&text).unwrap();
    let provider = &config.providers["cloud"];
    let ProviderKind::Twilio(settings) = &provider.kind else { panic!("no Twilio") };
    let twilio = Twilio::start("cloud", provider, settings, &config.secrets.open()).await.unwrap();
    let mut shown = format!("{twilio:?} {config:?}");

    for number in [ECHO, FORGED, STRANGERS] {
        let call = within("the dial", twilio.dial_with(request(number))).await.unwrap();
        within("the answer", call.answered()).await.unwrap();
        let end = within("the end", call.hangup()).await;
        fake.call_ended(call.id().as_str()).await;
        shown.push_str(&format!("{call:?} {end:?}"));
    }
    for number in REFUSED {
        let error = within("the dial", twilio.dial_with(request(number))).await.unwrap_err();
        shown.push_str(&format!("{error} {error:?}"));
    }
    within("the shutdown", twilio.shutdown(Shutdown::HangUp)).await;

    let mut secrets = vec![fake_twilio::AUTH_TOKEN.to_owned(), fake_twilio::API_SECRET.to_owned()];
    for secret in secrets.clone() {
        secrets.push(
            base64::engine::general_purpose::STANDARD.encode(format!("{}:{secret}", fake_twilio::API_KEY)),
        );
    }
    let tokens = [ECHO, FORGED, STRANGERS].map(|number| {
        let twiml = fake.calls_to(number)[0].field("Twiml").unwrap().to_owned();
        twiml.split("value=\"").nth(1).unwrap().split('"').next().unwrap().to_owned()
    });
    assert!(tokens.iter().all(|token| token.len() == 64));
    let log = String::from_utf8_lossy(&log.0.lock().unwrap()).into_owned();
    let ours: Vec<&str> = log.lines().filter(|line| line.contains("outdial::twilio")).collect();
    assert!(ours.len() >= 3, "the log has been read: {ours:?}");
    for secret in &secrets {
        assert!(!shown.contains(secret.as_str()), "shown");
        assert_eq!(log.lines().find(|line| line.contains(secret.as_str())), None);
    }
    // The WebSocket library traces each message; a token in it has been used by then.
    let traced = |line: &&str| line.contains("tungstenite");
    for token in &tokens {
        assert!(!shown.contains(token.as_str()), "shown");
        assert_eq!(log.lines().filter(|line| !traced(line)).find(|line| line.contains(token.as_str())), None);
    }
    for number in [ECHO, FORGED, STRANGERS].iter().chain(&REFUSED) {
        let digits = number.trim_start_matches('+');
        assert!(!shown.contains(digits), "{number} in {shown}");
        assert!(ours.iter().all(|line| !line.contains(digits)), "{number}");
    }
    fake.finish();
}
