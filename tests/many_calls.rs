//! A thousand calls of every kind: each ends once, and nothing is left of any.

mod common;

use std::collections::BTreeMap;
use std::time::Duration;

use common::phone::request;
use common::process::Holdings;
use common::{Phone, Story, trunk, within};
use futures_util::StreamExt as _;
use outdial::call::CallEvent;
use outdial_sandbox::{Sandbox, Speech};

const CALLS: usize = 1_000;
const TOGETHER: usize = 30;

/// What a caller does with a call.
#[derive(Debug, Clone, Copy)]
enum Caller {
    /// Waits for the end, however it comes.
    Waits,
    /// Hangs up when it rings.
    Cancels,
    /// Hangs up when it is answered.
    HangsUp,
    /// Says a word, presses a key, hangs up.
    Talks,
    /// Drops every handle when the call is answered.
    Drops,
    /// Hangs up at once, before anything can have come.
    ThinksBetter,
}

/// Numbers whose story is short.
const KINDS: [(&str, Caller); 24] = [
    ("+12025550116", Caller::HangsUp),
    ("+12025550102", Caller::Waits),
    ("+12025550116", Caller::Talks),
    ("+12025550103", Caller::Cancels),
    ("+12025550116", Caller::Drops),
    ("+12025550122", Caller::Waits),
    ("+12025550116", Caller::ThinksBetter),
    ("+12025550123", Caller::Waits),
    ("+12025550116", Caller::HangsUp),
    ("+12025550112", Caller::Waits),
    ("+12025550144", Caller::Waits),
    ("+12025550160", Caller::Waits),
    ("+12025550116", Caller::Talks),
    ("+12025550161", Caller::Waits),
    ("+12025550162", Caller::Waits),
    ("+12025550163", Caller::HangsUp),
    ("+12025550164", Caller::HangsUp),
    ("+12025550177", Caller::Cancels),
    ("+12025550181", Caller::Waits),
    ("+12025550196", Caller::Waits),
    ("+12025550103", Caller::Drops),
    ("+12025550146", Caller::Waits),
    ("+12025550134", Caller::Waits),
    ("+12025550103", Caller::ThinksBetter),
];

async fn one(phone: &Phone, index: usize) -> Story {
    let (number, caller) = KINDS[index % KINDS.len()];
    // Two trunks, of which one is encrypted.
    let trunk = if index.is_multiple_of(3) { "plain" } else { trunk::NAME };
    let call = phone.dial_with(request(number).trunk(trunk).ring_timeout(Duration::from_secs(5))).await;
    let mut events = call.events();
    let whole = call.events();
    if matches!(caller, Caller::ThinksBetter) {
        within("the end", call.hangup()).await;
        return Story::of(&call).await;
    }
    while let Some(event) = within("an event", events.next()).await {
        match (event, caller) {
            (CallEvent::Ringing, Caller::Cancels) | (CallEvent::Answered(_), Caller::HangsUp) => {
                within("the end", call.hangup()).await;
            }
            (CallEvent::Answered(_), Caller::Talks) => {
                let speaker = call.audio().unwrap().speaker;
                speaker.send(&vec![1_000; speaker.rate().samples(100)]).await.unwrap();
                call.send_dtmf("5").await.unwrap();
                speaker.drain().await;
                within("the end", call.hangup()).await;
            }
            (CallEvent::Ringing | CallEvent::Answered(_), Caller::Drops) => {
                drop(call);
                return Story::told_by(whole).await;
            }
            _ => {}
        }
    }
    Story::of(&call).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_mixed_calls_end_once_each_and_leave_nothing() {
    let sandbox = Sandbox::builder().speech(Speech::Melodies).start().await.unwrap();
    let plain = format!(
        "register = true\n[trunks.plain]\nserver = \"{}\"\ntransport = \"udp\"\nregister = true\n{}",
        sandbox.udp().unwrap(),
        trunk::account(&sandbox),
    );
    let phone = Phone::start(&trunk::sandbox_tls(&sandbox, plain)).await;
    // What is made at the first call of each kind, and then kept, is there after a round of all.
    let rounds = |phone, count| {
        futures_util::stream::iter((0..count).map(move |n| one(phone, n))).buffer_unordered(TOGETHER)
    };
    rounds(&phone, 4 * KINDS.len()).collect::<Vec<_>>().await;
    let before = settled(&phone, &sandbox).await;

    let mut reasons: BTreeMap<_, usize> = BTreeMap::new();
    let mut stories = rounds(&phone, CALLS);
    while let Some(story) = stories.next().await {
        *reasons.entry(story.end.reason.as_str()).or_default() += 1;
    }
    drop(stories);
    assert_eq!(reasons.values().sum::<usize>(), CALLS, "{reasons:?}");
    assert!(reasons.len() >= 9, "not mixed: {reasons:?}");

    let after = settled(&phone, &sandbox).await;
    assert_eq!(after, before);
    let stats = phone.stats();
    assert_eq!((stats.calls, stats.pjsip_calls, stats.callback_panics), (0, 0, 0), "{stats:?}");
    phone.shutdown().await;
    assert_eq!(sandbox.active_calls(), 0);
    sandbox.shutdown().await;
}

/// What the process holds once no call is up at either end and everything closed by a timer is closed.
async fn settled(phone: &Phone, sandbox: &Sandbox) -> Holdings {
    let mut last = None;
    let quiet = async {
        loop {
            tokio::time::sleep(Duration::from_secs(2)).await;
            let stats = phone.stats();
            let now = Holdings::now();
            if (stats.calls, stats.pjsip_calls, sandbox.active_calls()) == (0, 0, 0)
                && last.as_ref() == Some(&now)
            {
                return now;
            }
            last = Some(now);
        }
    };
    within("quiet", quiet).await
}
