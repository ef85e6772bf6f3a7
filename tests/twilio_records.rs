//! What stays of calls over Twilio: the price that Twilio asked, the audit log, and that a key never rings twice.

mod common;
mod fake_twilio;

use std::sync::{Arc, Mutex};

use common::phone::request;
use common::within;
use fake_twilio::FakeTwilio;
use outdial::audit::verify_file;
use outdial::call::EndReason;
use outdial::provider::{DialError, DialProvider, Shutdown};
use outdial::usage::{UsageError, UsageEvent, UsageSink};
use outdial::{Config, Outdial};
use serde_json::Value;

const BUSY: &str = "+12025550102";
const INSTANT_ECHO: &str = "+12025550116";
const ORDER_LOST: &str = "+12025550164";
const INVALID_NUMBER: &str = "+12025550171";

/// The host's own accounts.
#[derive(Default)]
struct Accounts(Mutex<Vec<UsageEvent>>);

impl UsageSink for Accounts {
    fn record(&self, event: &UsageEvent) -> Result<(), UsageError> {
        self.0.lock().unwrap().push(event.clone());
        Ok(())
    }
}

struct Host {
    outdial: Outdial,
    fake: FakeTwilio,
    accounts: Arc<Accounts>,
    folder: tempfile::TempDir,
}

impl Host {
    async fn start() -> Self {
        Self::with(|config| config).await
    }

    /// With a configuration of its own.
    async fn with(change: impl FnOnce(String) -> String) -> Self {
        let fake = FakeTwilio::start().await;
        let folder = tempfile::tempdir().unwrap();
        let records = format!("[records]\nfolder = {:?}\nsession = \"s1\"\n", folder.path());
        let config = Config::parse(&format!("{}\n{records}", change(fake.config("")))).unwrap();
        let accounts = Arc::new(Accounts::default());
        let started = Outdial::builder(&config).usage(Arc::clone(&accounts) as Arc<dyn UsageSink>).start();
        let outdial = within("the start", started).await.unwrap_or_else(|error| panic!("{error}: {error:?}"));
        Self { outdial, fake, accounts, folder }
    }

    /// The usage events, as soon as there are so many.
    async fn usage(&self, count: usize) -> Vec<UsageEvent> {
        let events = async {
            loop {
                let events = self.accounts.0.lock().unwrap().clone();
                if events.len() >= count {
                    return events;
                }
                tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            }
        };
        within("the usage events", events).await
    }

    /// The events of the audit log, which must verify.
    fn audit(&self) -> Vec<Value> {
        let log = self.folder.path().join("audit/s1/wire.jsonl");
        let report = verify_file(&log).unwrap();
        assert!(report.is_intact() && report.warnings.is_empty(), "{report:?}");
        let text = std::fs::read_to_string(&log).unwrap();
        text.lines()
            .skip(1)
            .map(|line| serde_json::from_str::<Value>(line).unwrap()["event"].take())
            .collect()
    }

    async fn finish(self) {
        within("the shutdown", self.outdial.shutdown(Shutdown::HangUp)).await;
        self.fake.finish();
    }
}

#[tokio::test]
async fn a_call_costs_what_twilio_says_and_its_end_does_not_wait_for_that() {
    let host = Host::start().await;
    let call = within("the dial", host.outdial.dial_with(request(INSTANT_ECHO))).await.unwrap();
    within("the answer", call.answered()).await.unwrap();
    // Long enough for a second of talking.
    tokio::time::sleep(std::time::Duration::from_millis(1_100)).await;
    within("the end", call.hangup()).await;
    let busy = within("the dial", host.outdial.dial_with(request(BUSY))).await.unwrap();
    within("the end", busy.ended()).await;

    let usage = host.usage(2).await;
    let answered = usage.iter().find(|event| event.call_id == call.id().as_str()).expect("its event");
    assert_eq!((answered.model.as_str(), answered.rated), ("voice:twilio", true));
    assert_eq!(answered.cost_usd.to_string(), "0.014");
    assert!(host.fake.call(call.id().as_str()).fetches >= 2, "Twilio did not know it at once");
    let unanswered = usage.iter().find(|event| event.call_id == busy.id().as_str()).expect("its event");
    assert_eq!((unanswered.reason, unanswered.cost_usd.is_zero()), (EndReason::Busy, true));
    assert_eq!(host.fake.call(busy.id().as_str()).fetches, 0, "what was not answered costs nothing");

    let audit = host.audit();
    let types: Vec<&str> = audit.iter().map(|event| event["type"].as_str().unwrap()).collect();
    assert_eq!(
        types,
        ["voice.credential.used", "voice.call.start", "voice.call.end", "voice.call.start", "voice.call.end"]
    );
    let (start, end) = (&audit[1], &audit[2]);
    assert_eq!((&start["callId"], &start["provider"]), (&call.id().as_str().into(), &"twilio".into()));
    assert_eq!((&start["to"], &start["trunk"]), (&"+1***0116".into(), &"cloud".into()));
    assert_eq!((&end["callId"], &end["reason"]), (&call.id().as_str().into(), &"completed".into()));
    assert_eq!((&audit[4]["reason"], &audit[4]["sipCode"]), (&"busy".into(), &486.into()));
    host.finish().await;
}

#[tokio::test]
async fn a_key_whose_order_nobody_confirmed_is_used_up_and_one_that_was_refused_is_not() {
    let host = Host::start().await;
    let lost = || host.outdial.dial_with(request(ORDER_LOST).idempotency_key("lost"));
    let first = within("the dial", lost()).await.unwrap_err();
    assert!(matches!(first, DialError::Unconfirmed { .. }), "{first:?}");
    // What is returned for the key is what is known of it: an attempt that is over.
    if let Ok(call) = within("the dial", lost()).await {
        assert_eq!(call.end().map(|end| end.reason), Some(EndReason::Timeout));
    }
    assert_eq!(host.fake.orders(ORDER_LOST), 1, "it could have rung twice");

    let refused = || host.outdial.dial_with(request(INVALID_NUMBER).idempotency_key("refused"));
    for orders in 1..=2 {
        let error = within("the dial", refused()).await.unwrap_err();
        assert!(matches!(error, DialError::Rejected { .. }), "{error:?}");
        assert_eq!(host.fake.orders(INVALID_NUMBER), orders, "nothing rang: it may be tried again");
    }
    host.finish().await;
}

#[tokio::test]
async fn the_same_key_is_the_same_call() {
    let host = Host::start().await;
    let dial = || host.outdial.dial_with(request(INSTANT_ECHO).idempotency_key("k"));
    let (one, two) = within("both dials", async { tokio::join!(dial(), dial()) }).await;
    let (one, two) = (one.unwrap(), two.unwrap());
    assert_eq!(one.id(), two.id());
    assert_eq!((host.fake.orders(INSTANT_ECHO), host.fake.calls_to(INSTANT_ECHO).len()), (1, 1));
    within("the end", one.hangup()).await;
    host.finish().await;
}

#[tokio::test]
async fn a_renewed_token_serves_the_calls_that_are_up_and_those_to_come() {
    // Not the file of the other tests.
    fake_twilio::secret("twilio-rotated", fake_twilio::AUTH_TOKEN);
    let host = Host::with(|config| config.replace("secret-twilio-auth-token", "secret-twilio-rotated")).await;
    let up = within("the dial", host.outdial.dial_with(request(INSTANT_ECHO))).await.unwrap();
    within("the answer", up.answered()).await.unwrap();
    assert!(within("the renewal", host.outdial.renew_secrets()).await.unwrap().is_empty());

    host.fake.promote("second-token");
    fake_twilio::secret("twilio-rotated", "second-token");
    assert_eq!(within("the renewal", host.outdial.renew_secrets()).await.unwrap(), ["cloud"]);
    let next = within("the dial", host.outdial.dial_with(request(INSTANT_ECHO))).await.unwrap();
    within("the answer", next.answered()).await.unwrap();
    assert!(up.end().is_none());
    for call in [up, next] {
        assert_eq!(within("the end", call.hangup()).await.reason, EndReason::Completed);
        let record = host.fake.call_ended(call.id().as_str()).await;
        let last = |fake: &FakeTwilio| {
            let answers = fake.call(&record.sid).callback_answers;
            // Initiated, answered, completed.
            (answers.len() >= 3).then_some(answers)
        };
        let answers = host.fake.wait_until("the last callback", last).await;
        assert!(answers.iter().all(|answer| *answer == 204), "{answers:?}");
    }
    within("the shutdown", host.outdial.shutdown(Shutdown::HangUp)).await;
    let used = host.audit().into_iter().filter(|event| event["type"] == "voice.credential.used").count();
    assert_eq!(used, 2, "at the start and when it was renewed");
    host.fake.finish();
}
