//! What goes wrong between us and Twilio, and that it rings at most once whatever does.

mod common;
mod fake_twilio;

use std::future::poll_fn;
use std::task::Poll;
use std::time::Duration;

use common::phone::request;
use common::sound::sweep;
use common::{Story, within};
use fake_twilio::{CALLER, FakeTwilio};
use outdial::audio::{MarkOutcome, SampleRate};
use outdial::call::{Call, CallEvent, EndReason, EndedBy};
use outdial::config::{Config, ProviderKind};
use outdial::provider::{CallerId, DialError, DialProvider, DialRequest, Header, Shutdown};
use outdial::twilio::{Twilio, TwilioError};

const ECHO: &str = "+12025550100";
const BUSY: &str = "+12025550102";
const RINGS: &str = "+12025550103";
const HANGS_UP: &str = "+12025550109";
const INSTANT_ECHO: &str = "+12025550116";
const TOO_MANY_REQUESTS: &str = "+12025550160";
const UNREADY: &str = "+12025550161";
const GATEWAY_ERROR: &str = "+12025550162";
const ANSWER_LOST: &str = "+12025550163";
const ORDER_LOST: &str = "+12025550164";
const MALFORMED_ANSWER: &str = "+12025550165";
const STREAM_BREAKS: &str = "+12025550166";
const FORGED: &str = "+12025550167";
const STRANGERS: &str = "+12025550168";
const NO_CALLBACKS: &str = "+12025550169";
const NO_STREAM: &str = "+12025550170";
const INVALID_NUMBER: &str = "+12025550171";
const UNAUTHORIZED: &str = "+12025550172";
const SHAKY: &str = "+12025550173";
const LATE_CALLBACK: &str = "+12025550174";
const LOSES_LAST_CALLBACK: &str = "+12025550175";
const RUBBISH: &str = "+12025550176";
const GOES_SILENT: &str = "+12025550177";

/// The provider alone, with its Twilio.
struct Bench {
    twilio: Twilio,
    fake: FakeTwilio,
}

impl Bench {
    async fn start() -> Self {
        Self::with("").await
    }

    async fn with(more: &str) -> Self {
        let fake = FakeTwilio::start().await;
        let twilio = start(&fake.config(more)).await.unwrap_or_else(|error| panic!("{error}: {error:?}"));
        assert_eq!(twilio.local_address(), fake.listen());
        Self { twilio, fake }
    }

    async fn dial(&self, number: &str) -> Call {
        let dial = self.twilio.dial_with(request(number));
        within("the dial", dial).await.unwrap_or_else(|error| panic!("no call: {error}: {error:?}"))
    }

    async fn dial_in_vain(&self, request: DialRequest) -> DialError {
        match within("the dial", self.twilio.dial_with(request)).await {
            Ok(call) => panic!("a call came to be: {call:?}"),
            Err(error) => error,
        }
    }

    /// Talks to a callee who answers, and hangs up.
    async fn talks(&self, number: &str) -> (Call, Story) {
        let call = self.dial(number).await;
        within("the answer", call.answered()).await.unwrap();
        within("the end", call.hangup()).await;
        let story = Story::of(&call).await;
        assert_eq!((story.end.reason, story.end.ended_by), (EndReason::Completed, EndedBy::Local));
        self.fake.call_ended(call.id().as_str()).await;
        (call, story)
    }

    async fn finish(self) {
        let idle = async {
            while self.twilio.calls() > 0 {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        within("the end of all calls", idle).await;
        within("the shutdown", self.twilio.shutdown(Shutdown::HangUp)).await;
        self.fake.finish();
    }
}

async fn start(config: &str) -> Result<Twilio, TwilioError> {
    let _ = tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::from_default_env())
        .with_test_writer()
        .try_init();
    let config = Config::parse(config).unwrap_or_else(|error| panic!("{error}\n{config}"));
    let provider = &config.providers["cloud"];
    let ProviderKind::Twilio(twilio) = &provider.kind else { panic!("no Twilio") };
    Twilio::start("cloud", provider, twilio, &config.secrets.open()).await
}

#[tokio::test]
async fn an_order_says_all_that_twilio_needs() {
    let bench = Bench::start().await;
    let asked = request(INSTANT_ECHO)
        .ring_timeout(Duration::from_millis(20_500))
        .talk_limit(Duration::from_secs(100));
    let call = within("the dial", bench.twilio.dial_with(asked)).await.unwrap();
    assert_eq!((call.provider(), call.id().as_str().len()), ("twilio", 34));
    within("the answer", call.answered()).await.unwrap();
    within("the end", call.hangup()).await;
    let record = bench.fake.call_ended(call.id().as_str()).await;
    assert_eq!((record.field("To"), record.field("From")), (Some(INSTANT_ECHO), Some(CALLER)));
    // Twilio's limits are a little above ours, for the case that we are gone.
    assert_eq!((record.field("Timeout"), record.field("TimeLimit")), (Some("26"), Some("105")));
    assert_eq!(record.field("StatusCallbackMethod"), Some("POST"));
    let events = record.order.iter().filter(|(name, _)| name == "StatusCallbackEvent").count();
    assert_eq!(events, 4);
    // Each call has addresses and a token of its own.
    let (_, _) = bench.talks(INSTANT_ECHO).await;
    let both = bench.fake.calls_to(INSTANT_ECHO);
    assert_ne!(both[0].field("StatusCallback"), both[1].field("StatusCallback"));
    assert_ne!(both[0].field("Twiml"), both[1].field("Twiml"));
    bench.finish().await;
}

#[tokio::test]
async fn an_api_key_takes_the_token_s_place() {
    let bench = Bench::with(&FakeTwilio::api_key()).await;
    bench.talks(ECHO).await;
    bench.finish().await;
}

#[tokio::test]
async fn an_order_that_was_surely_not_taken_is_made_again() {
    let bench = Bench::start().await;
    for number in [TOO_MANY_REQUESTS, UNREADY] {
        bench.talks(number).await;
        assert_eq!((bench.fake.orders(number), bench.fake.calls_to(number).len()), (2, 1), "{number}");
    }
    bench.finish().await;
}

#[tokio::test]
async fn an_order_whose_answer_is_lost_rings_once_and_is_found_by_its_callback() {
    let bench = Bench::start().await;
    for number in [GATEWAY_ERROR, ANSWER_LOST, MALFORMED_ANSWER] {
        let (call, story) = bench.talks(number).await;
        assert_eq!(bench.fake.orders(number), 1, "{number}: ordered again");
        assert_eq!(bench.fake.calls_to(number)[0].sid, call.id().as_str());
        assert!(story.words().starts_with("initiated trying ringing answered"), "{}", story.words());
    }
    bench.finish().await;
}

#[tokio::test]
async fn an_order_that_nobody_confirms_is_not_repeated_and_its_call_is_ended_if_it_shows_itself() {
    let bench = Bench::start().await;
    let (lost, late) =
        tokio::join!(bench.dial_in_vain(request(ORDER_LOST)), bench.dial_in_vain(request(LATE_CALLBACK)));
    for error in [lost, late] {
        assert!(matches!(&error, DialError::Unconfirmed { trunk, .. } if trunk == "cloud"), "{error:?}");
        assert!(!error.is_transient(), "to dial again could ring twice");
    }
    assert_eq!((bench.fake.orders(ORDER_LOST), bench.fake.orders(LATE_CALLBACK)), (1, 1));
    let ended = |fake: &FakeTwilio| {
        let calls = fake.calls_to(LATE_CALLBACK);
        (calls.len() == 1 && calls[0].is_over() && calls[0].ends > 0).then_some(calls[0].answered)
    };
    assert!(!bench.fake.wait_until("the end of the late call", ended).await, "nobody heard it");
    // The other one is still waited for; a shutdown does not.
    assert_eq!(bench.twilio.calls(), 1);
    within("the shutdown", bench.twilio.shutdown(Shutdown::HangUp)).await;
    bench.finish().await;
}

#[tokio::test]
async fn a_refusal_is_told_with_its_reason_and_without_the_number() {
    let bench = Bench::start().await;
    let error = bench.dial_in_vain(request(INVALID_NUMBER)).await;
    assert!(matches!(&error, DialError::Rejected { trunk, .. } if trunk == "cloud"), "{error:?}");
    let text = format!("{error} {error:?}");
    assert!(text.contains("21211") && !text.contains("2025550171"), "{text}");
    let error = bench.dial_in_vain(request(UNAUTHORIZED)).await;
    assert!(matches!(error, DialError::TrunkUnavailable { code: Some(401), .. }), "{error:?}");
    let error = bench.dial_in_vain(request(ECHO).caller_id(CallerId::parse("+12025550198").unwrap())).await;
    assert!(error.to_string().contains("21210") && !error.to_string().contains("2025550198"), "{error}");
    for number in [INVALID_NUMBER, UNAUTHORIZED, ECHO] {
        assert_eq!(bench.fake.orders(number), 1, "{number}: a refusal is not asked for twice");
    }
    bench.finish().await;
}

#[tokio::test]
async fn what_twilio_cannot_do_is_refused_before_anything_is_sent() {
    let bench = Bench::start().await;
    let header = Header::new("X-Campaign", "7").unwrap();
    let error = bench.dial_in_vain(request(ECHO).header(header)).await;
    assert!(matches!(error, DialError::Unsupported("send header fields")), "{error:?}");
    let error = bench.dial_in_vain(request(ECHO).caller_id(CallerId::parse("4711").unwrap())).await;
    assert!(matches!(error, DialError::InvalidRequest { field: "caller_id", .. }), "{error:?}");
    for wish in [
        request(ECHO).caller_name("Praxis"),
        request(ECHO).ring_timeout(Duration::from_secs(601)),
        // Keys are `Outdial`'s: by itself a provider would call twice for one.
        request(ECHO).idempotency_key("k"),
    ] {
        let error = bench.dial_in_vain(wish).await;
        assert!(matches!(error, DialError::Unsupported(_)), "{error:?}");
    }
    assert_eq!(bench.fake.orders(ECHO), 0);
    bench.finish().await;
}

#[tokio::test]
async fn without_a_number_to_call_from_there_is_no_call() {
    let fake = FakeTwilio::start().await;
    let config = fake.config("").replace(&format!("caller_id = \"{CALLER}\"\n"), "");
    let twilio = start(&config).await.unwrap();
    let error = within("the dial", twilio.dial_with(request(ECHO))).await.unwrap_err();
    assert!(
        matches!(&error, DialError::Configuration { detail, .. } if detail.contains("caller_id")),
        "{error:?}"
    );
    assert_eq!(fake.orders(ECHO), 0);
    twilio.shutdown(Shutdown::HangUp).await;
    fake.finish();
}

#[tokio::test]
async fn a_twilio_that_is_not_there_is_unreachable() {
    let fake = FakeTwilio::start().await;
    // Bound and closed again: nobody listens there.
    let socket = std::net::TcpListener::bind((common::trunk::loopback(5), 0)).unwrap();
    let nobody = socket.local_addr().unwrap();
    drop(socket);
    let config: String = fake
        .config("")
        .lines()
        .map(|line| {
            if line.starts_with("api_url") {
                format!("api_url = \"http://{nobody}\"\n")
            } else {
                format!("{line}\n")
            }
        })
        .collect();
    let twilio = start(&config).await.unwrap();
    let error = within("the dial", twilio.dial_with(request(ECHO))).await.unwrap_err();
    assert!(matches!(&error, DialError::Unreachable { trunk, .. } if trunk == "cloud"), "{error:?}");
    assert!(error.is_transient() && !error.to_string().contains(fake_twilio::ACCOUNT), "{error}");
    twilio.shutdown(Shutdown::HangUp).await;
    fake.finish();
}

#[tokio::test]
async fn callbacks_that_are_not_twilio_s_change_nothing() {
    let bench = Bench::start().await;
    let (call, story) = bench.talks(FORGED).await;
    assert_eq!(story.words(), "initiated trying ringing answered ended");
    let answers = bench.fake.call(call.id().as_str()).callback_answers;
    assert_eq!(answers[..3], [403, 403, 400]);
    bench.finish().await;
}

#[tokio::test]
async fn a_stream_without_signature_or_the_call_s_token_is_turned_away_and_the_token_is_good_once() {
    let bench = Bench::start().await;
    let call = bench.dial(STRANGERS).await;
    within("the answer", call.answered()).await.unwrap();
    // The right one is served in spite of those before it.
    let speaker = call.audio().unwrap().speaker;
    let said = sweep(speaker.rate(), 300);
    speaker.send(&said).await.unwrap();
    assert_eq!(within("the drain", speaker.drain()).await, MarkOutcome::Played);
    within("the end", call.hangup()).await;
    let record = bench.fake.call_ended(call.id().as_str()).await;
    // Two that Twilio did not sign, then three that it did, without the call's token.
    let turned_away = [403, 403, 1008, 1008, 1008].map(Some);
    assert_eq!(record.streams[..5], turned_away, "{:?}", record.streams);
    assert!(record.heard.len() >= SampleRate::Hz8000.samples(300));
    bench.finish().await;
}

#[tokio::test]
async fn a_dial_that_is_dropped_when_twilio_has_the_call_is_hung_up() {
    let bench = Bench::start().await;
    // Its own end by the ring limit is far away.
    let mut dial = bench.twilio.dial_with(request(RINGS).ring_timeout(Duration::from_secs(600)));
    // Looked at once, by which the order is given, and never again: the call lies there unread when it is dropped.
    let waits = poll_fn(|context| Poll::Ready(dial.as_mut().poll(context).is_pending())).await;
    assert!(waits);
    let told = |fake: &FakeTwilio| {
        // It has been told that it rings, so it is known here under its sid.
        fake.calls_to(RINGS).into_iter().find(|call| call.callback_answers.len() >= 2)
    };
    let rings = bench.fake.wait_until("ringing", told).await;
    drop(dial);
    let record = bench.fake.call_ended(&rings.sid).await;
    assert_eq!(record.status, "canceled");
    bench.finish().await;
}

#[tokio::test]
async fn lost_callbacks_are_made_up_for_by_looking() {
    let bench = Bench::start().await;
    // The stream tells of the answer, and the end is asked for.
    let (call, story) = bench.talks(NO_CALLBACKS).await;
    assert_eq!(story.words(), "initiated answered ended");
    drop(call);
    let call = bench.dial(LOSES_LAST_CALLBACK).await;
    let story = Story::of(&call).await;
    assert_eq!((story.end.reason, story.end.ended_by), (EndReason::Completed, EndedBy::Remote));
    assert!(bench.fake.call(call.id().as_str()).fetches > 0);
    bench.finish().await;
}

#[tokio::test]
async fn a_stream_that_breaks_ends_the_call_and_says_so() {
    let bench = Bench::start().await;
    let call = bench.dial(STREAM_BREAKS).await;
    let story = Story::of(&call).await;
    assert_eq!((story.end.reason, story.end.ended_by), (EndReason::Failed, EndedBy::Network));
    assert!(
        story.end.detail.as_ref().is_some_and(|detail| detail.contains("media stream")),
        "{:?}",
        story.end
    );
    assert!(story.end.media.is_some_and(|media| media.packets_received > 0));
    // Twilio was told as well: what costs money must not go on.
    let ended = |fake: &FakeTwilio| (fake.call(call.id().as_str()).ends > 0).then_some(());
    bench.fake.wait_until("the request to end it", ended).await;
    bench.fake.call_ended(call.id().as_str()).await;
    bench.finish().await;
}

#[tokio::test]
async fn an_answer_without_a_stream_is_a_media_failure() {
    let bench = Bench::start().await;
    let call = bench.dial(NO_STREAM).await;
    let story = Story::of(&call).await;
    assert_eq!(story.words(), "initiated trying ringing answered ended");
    assert_eq!((story.end.reason, story.end.ended_by), (EndReason::MediaFailed, EndedBy::Local));
    assert!(story.end.detail.is_some_and(|detail| detail.contains("public_url")));
    bench.fake.call_ended(call.id().as_str()).await;
    bench.finish().await;
}

#[tokio::test]
async fn a_hang_up_is_insisted_on() {
    let bench = Bench::start().await;
    let call = bench.dial(SHAKY).await;
    within("the answer", call.answered()).await.unwrap();
    within("the end", call.hangup()).await;
    let ended = |fake: &FakeTwilio| (fake.call(call.id().as_str()).ends >= 3).then_some(());
    bench.fake.wait_until("the third request to end it", ended).await;
    bench.fake.call_ended(call.id().as_str()).await;
    bench.finish().await;
}

#[tokio::test]
async fn rubbish_in_a_stream_harms_nothing() {
    let bench = Bench::start().await;
    let call = within("the dial", bench.twilio.dial_with(request(RUBBISH).audio_rate(SampleRate::Hz8000)))
        .await
        .unwrap();
    let speaker = call.audio().unwrap().speaker;
    within("the answer", call.answered()).await.unwrap();
    speaker.send(&sweep(SampleRate::Hz8000, 1_500)).await.unwrap();
    assert_eq!(within("the drain", speaker.drain()).await, MarkOutcome::Played);
    let end = within("the end", call.hangup()).await;
    assert_eq!(end.reason, EndReason::Completed);
    bench.finish().await;
}

#[tokio::test]
async fn silence_on_the_wire_is_told() {
    let bench = Bench::with("media_timeout = \"1s\"").await;
    let call = bench.dial(GOES_SILENT).await;
    let mut events = call.events();
    let stalled = async { while events.next().await.expect("the call is up") != CallEvent::MediaStalled {} };
    within("the stall", stalled).await;
    within("the end", call.hangup()).await;
    bench.finish().await;
}

#[tokio::test]
async fn twilio_s_buffer_stays_short_and_is_cleared() {
    let bench = Bench::start().await;
    let call =
        within("the dial", bench.twilio.dial_with(request(INSTANT_ECHO).audio_rate(SampleRate::Hz8000)))
            .await
            .unwrap();
    let speaker = call.audio().unwrap().speaker;
    within("the answer", call.answered()).await.unwrap();
    let sender = speaker.clone();
    let story = sweep(SampleRate::Hz8000, 20_000);
    let sending = tokio::spawn(async move { sender.send(&story).await });
    let second = async {
        while speaker.played() < SampleRate::Hz8000.samples(1_000) as u64 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    within("a second of speech", second).await;
    speaker.clear();
    let cleared = |fake: &FakeTwilio| (fake.call(call.id().as_str()).clears > 0).then_some(());
    bench.fake.wait_until("the clear", cleared).await;
    let _ = within("the send", sending).await.unwrap();
    let at_the_clear = bench.fake.call(call.id().as_str());
    within("the end", call.hangup()).await;
    let record = bench.fake.call_ended(call.id().as_str()).await;
    // Nothing of the story came after the clear.
    assert_eq!(record.heard.len(), at_the_clear.heard.len());
    assert!(record.marks > 0);
    // By the fake's clock, which runs on the same busy machine: far below the half second that was queued.
    assert!(record.deepest_ms <= 200, "{} ms of speech were in Twilio's hands", record.deepest_ms);
    bench.finish().await;
}

#[tokio::test]
async fn a_callee_who_hangs_up_and_one_who_is_busy_are_told_with_their_sip_code() {
    let bench = Bench::start().await;
    let story = Story::of(&bench.dial(HANGS_UP).await).await;
    assert_eq!(story.end.sip.map(|status| status.code), Some(200));
    let story = Story::of(&bench.dial(BUSY).await).await;
    assert_eq!(story.end.sip.map(|status| status.code), Some(486));
    bench.finish().await;
}

#[tokio::test]
async fn the_ring_limit_is_ours_and_ends_the_call_at_twilio() {
    let bench = Bench::start().await;
    let asked = request(RINGS).ring_timeout(Duration::from_secs(1));
    let call = within("the dial", bench.twilio.dial_with(asked)).await.unwrap();
    assert_eq!(within("the end", call.ended()).await.reason, EndReason::NoAnswer);
    let record = bench.fake.call_ended(call.id().as_str()).await;
    assert_eq!((record.status.as_str(), record.ends), ("canceled", 1));
    bench.finish().await;
}

#[tokio::test]
async fn a_port_that_is_taken_and_a_secret_that_is_missing_are_told() {
    let fake = FakeTwilio::start().await;
    let config = fake.config("");
    let first = start(&config).await.unwrap();
    let error = start(&config).await.unwrap_err();
    assert!(matches!(&error, TwilioError::Listen { address, .. } if *address == fake.listen()), "{error:?}");
    first.shutdown(Shutdown::HangUp).await;
    let missing = config.replace("secret-twilio-auth-token", "secret-that-is-not-there");
    let error = start(&missing).await.unwrap_err();
    assert!(matches!(&error, TwilioError::Secret { provider, .. } if provider == "cloud"), "{error:?}");
    fake.finish();
}
