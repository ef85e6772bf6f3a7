//! Every number of the sandbox ends as its table says, and between them they end in every way there is.

mod common;

use std::collections::BTreeSet;
use std::time::Duration;

use common::phone::request;
use common::{Phone, Story, trunk, within};
use futures_util::StreamExt as _;
use outdial::call::{Call, CallEvent, EndReason};
use outdial_sandbox::{Behaviour, Sandbox};

/// How long it may ring: longer than the slowest answer of the table.
const RING: Duration = Duration::from_secs(14);

/// So many calls at a time.
const TOGETHER: usize = 30;

/// Numbers that a test hangs up on while they ring, since they end so.
const CANCELLED: &str = "cancelled";

/// Follows one number to its end, as a caller does who listens to the first second of an answer.
async fn ends(phone: &Phone, behaviour: &Behaviour) -> Story {
    let call: Call = phone.dial_with(request(&behaviour.number()).ring_timeout(RING)).await;
    let mut events = call.events();
    let cancel = behaviour.end_reason().as_str() == CANCELLED;
    while let Some(event) = within(behaviour.name(), events.next()).await {
        match event {
            CallEvent::Ringing if cancel => drop(within(behaviour.name(), call.hangup()).await),
            CallEvent::Answered(_) => {
                // The callee's own end of the call comes first where there is one.
                let by_itself = tokio::time::timeout(Duration::from_secs(4), call.ended()).await;
                if by_itself.is_err() {
                    within(behaviour.name(), call.hangup()).await;
                }
            }
            _ => {}
        }
    }
    Story::of(&call).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_number_of_the_sandbox_ends_as_its_table_says() {
    let sandbox = Sandbox::builder().start().await.unwrap();
    let more = "codecs = [\"g722\", \"pcma\", \"pcmu\", \"opus\"]";
    let mut met = BTreeSet::new();
    let mut wrong = Vec::new();
    let phone = Phone::start(&trunk::sandbox_tls(&sandbox, more)).await;
    let calls = Behaviour::all().iter().map(async |behaviour| (behaviour, ends(&phone, behaviour).await));
    let mut ended = futures_util::stream::iter(calls).buffer_unordered(TOGETHER);
    while let Some((behaviour, story)) = ended.next().await {
        met.insert(story.end.reason);
        let expected = match behaviour.name() {
            // Refuses plain RTP only; ours is encrypted.
            "encrypted-only" => "completed",
            _ => behaviour.end_reason().as_str(),
        };
        if story.end.reason.as_str() != expected {
            wrong.push(format!("{}: {} ({})", behaviour.name(), story.ending(), story.words()));
        }
    }
    drop(ended);
    phone.shutdown().await;
    assert!(wrong.is_empty(), "not as the table says:\n{}", wrong.join("\n"));
    // A rule of the operator's refuses a call before there is one; it is not for a callee to cause.
    let all: BTreeSet<_> = EndReason::ALL.into_iter().filter(|reason| *reason != EndReason::Policy).collect();
    assert_eq!(met, all);
    sandbox.shutdown().await;
}
