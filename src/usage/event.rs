use std::time::{Duration, SystemTime};

use rust_decimal::Decimal;
use serde::{Serialize, Serializer};

use super::{BillableUnit, Charge};
use crate::call::{CallEnd, EndReason};
use crate::provider::{AgentId, E164};
use crate::timestamp;

/// One attempt to call, answered or not, and what it cost.
///
/// It serialises in camelCase, amounts as numbers and the number masked, so that a host can keep it as it is.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct UsageEvent {
    /// Who called.
    pub agent_id: String,
    /// The call.
    pub call_id: String,
    /// What the host's totals call the source: `voice:sip`, `voice:twilio`.
    pub model: String,
    /// The trunk, if there are trunks.
    pub trunk: Option<String>,
    /// The number that was called, masked.
    pub to: String,
    /// When the attempt began.
    #[serde(serialize_with = "iso")]
    pub started_at: SystemTime,
    /// Whether it was answered.
    pub answered: bool,
    /// How it ended.
    pub reason: EndReason,
    /// How long it rang, in milliseconds.
    #[serde(rename = "ringMs", serialize_with = "millis")]
    pub ring_time: Duration,
    /// How long it lasted from the answer, in milliseconds.
    #[serde(rename = "talkMs", serialize_with = "millis")]
    pub talk_time: Duration,
    /// What is counted.
    pub billable_unit: BillableUnit,
    /// How many of them.
    #[serde(serialize_with = "rust_decimal::serde::float::serialize")]
    pub quantity: Decimal,
    /// The cost in US dollars; 0 if there is no price.
    #[serde(serialize_with = "rust_decimal::serde::float::serialize")]
    pub cost_usd: Decimal,
    /// Whether there was a price. Without one the cost of 0 means unknown.
    pub rated: bool,
    /// Whether the event was made by the next process, after the one that made the call had died.
    pub recovered: bool,
}

impl UsageEvent {
    /// The event of a call that ended. `charge` is `None` if no contract has a price for it.
    pub fn new(
        agent: &AgentId,
        call_id: impl Into<String>,
        provider: &str,
        to: &E164,
        started_at: SystemTime,
        end: &CallEnd,
        charge: Option<&Charge>,
    ) -> Self {
        Self {
            agent_id: agent.as_str().to_owned(),
            call_id: call_id.into(),
            model: format!("voice:{provider}"),
            trunk: None,
            to: to.masked(),
            started_at,
            answered: !end.talk_time.is_zero(),
            reason: end.reason,
            ring_time: end.ring_time,
            talk_time: end.talk_time,
            billable_unit: charge.map(|charge| charge.unit).unwrap_or_default(),
            quantity: charge.map(|charge| charge.quantity).unwrap_or_default(),
            cost_usd: charge.map(|charge| charge.cost_usd).unwrap_or_default(),
            rated: charge.is_some(),
            recovered: false,
        }
    }
}

fn iso<S: Serializer>(time: &SystemTime, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&timestamp::iso(*time))
}

fn millis<S: Serializer>(time: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u64(u64::try_from(time.as_millis()).unwrap_or(u64::MAX))
}

/// Takes one event for each attempt.
pub trait UsageSink: Send + Sync {
    /// Keeps an event, and returns when it is kept for good. It may block for as long as a disk does: providers call
    /// it from threads that may wait.
    ///
    /// # Errors
    ///
    /// [`UsageError`] if the event is not kept.
    fn record(&self, event: &UsageEvent) -> Result<(), UsageError>;
}

impl<T: UsageSink + ?Sized> UsageSink for std::sync::Arc<T> {
    fn record(&self, event: &UsageEvent) -> Result<(), UsageError> {
        (**self).record(event)
    }
}

/// A sink did not keep an event.
#[derive(Debug, thiserror::Error)]
#[error("the usage event was not kept")]
pub struct UsageError(#[from] pub Box<dyn std::error::Error + Send + Sync>);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::usage::{Rate, Tariff};

    #[test]
    fn an_event_is_what_the_host_s_totals_take() {
        let to = E164::parse("+4930123456").unwrap();
        let end = CallEnd {
            reason: EndReason::Completed,
            ring_time: Duration::from_millis(1_500),
            talk_time: Duration::from_secs(61),
            ..CallEnd::default()
        };
        let tariff = Tariff::usd(vec![Rate::per_minute("49", "0.012".parse().unwrap())]);
        let charge = tariff.charge(&to, Some(end.talk_time));
        let agent = AgentId::new("a").unwrap();
        let event = UsageEvent::new(&agent, "c1", "sip", &to, SystemTime::UNIX_EPOCH, &end, charge.as_ref());
        let expected = r#"{"agentId":"a","callId":"c1","model":"voice:sip","trunk":null,"to":"+49***3456","startedAt":"1970-01-01T00:00:00.000Z","answered":true,"reason":"completed","ringMs":1500,"talkMs":61000,"billableUnit":"voice-minute","quantity":2.0,"costUsd":0.024,"rated":true,"recovered":false}"#;
        assert_eq!(serde_json::to_string(&event).unwrap(), expected);

        let unrated =
            UsageEvent::new(&agent, "c1", "sip", &to, SystemTime::UNIX_EPOCH, &CallEnd::default(), None);
        assert_eq!((unrated.rated, unrated.answered, unrated.cost_usd), (false, false, Decimal::ZERO));
    }
}
