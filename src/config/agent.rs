use std::time::Duration;

use rust_decimal::Decimal;

use super::Problem;
use super::section::Section;
use super::tariff::Amount;
use super::values::Time;
use crate::audio::SampleRate;
use crate::provider::{CallerId, Record};

/// What one agent may do and how its calls look. The table `[agents.NAME]`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct AgentConfig {
    /// The trunk, or the provider, for its calls. Default: as the routes say, then `default_trunk`.
    pub trunk: Option<String>,
    /// The caller that its callees are shown. Default: the trunk's.
    pub caller_id: Option<CallerId>,
    /// The name shown beside it. Default: the trunk's.
    pub caller_name: Option<String>,
    /// The most calls that it may have at the same time. Default: no limit of its own.
    pub max_calls: Option<u32>,
    /// The most of its calls that begin within one second. Default: no limit of its own.
    pub calls_per_second: Option<u32>,
    /// The most that it may spend on one day, in US dollars. Default: the policy's.
    pub spend_per_day: Option<Decimal>,
    /// How long its calls may ring. Default: the trunk's.
    pub ring_timeout: Option<Duration>,
    /// How long its calls may last. Default: the trunk's, which also stays the most.
    pub talk_limit: Option<Duration>,
    /// The sample rate of the sound on the application's side, in Hz: 8000, 16000, 24000 or 48000. Default 16000.
    pub audio_rate: Option<SampleRate>,
    /// What is kept of what is said in its calls. Default: as the trunk says.
    pub record: Option<Record>,
}

impl AgentConfig {
    pub(super) fn read(mut section: Section<'_, '_>) -> Self {
        let mut agent = Self::default();
        section.set("trunk", &mut agent.trunk);
        section.set("caller_id", &mut agent.caller_id);
        section.set("caller_name", &mut agent.caller_name);
        section.set("max_calls", &mut agent.max_calls);
        section.set("calls_per_second", &mut agent.calls_per_second);
        agent.spend_per_day = section.take::<Amount>("spend_per_day").map(|amount| amount.0);
        agent.ring_timeout = section.take("ring_timeout").map(|Time(time)| time);
        agent.talk_limit = section.take("talk_limit").map(|Time(time)| time);
        section.set("audio_rate", &mut agent.audio_rate);
        section.set("record", &mut agent.record);
        section.finish(&[("provider", "a provider is named where a trunk is: trunk = \"…\"")]);
        agent
    }

    pub(super) fn check(&self, path: &str, problems: &mut Vec<Problem>) {
        let mut problem =
            |key: &str, message: &str| problems.push(Problem::new(format!("{path}.{key}"), message));
        for (key, limit) in [("max_calls", self.max_calls), ("calls_per_second", self.calls_per_second)] {
            if limit == Some(0) {
                problem(key, "must be at least 1");
            }
        }
        if self.caller_name.as_ref().is_some_and(|n| n.len() > 128 || n.chars().any(char::is_control)) {
            problem("caller_name", "must be at most 128 bytes on one line");
        }
        for (key, limit) in [("ring_timeout", self.ring_timeout), ("talk_limit", self.talk_limit)] {
            if limit.is_some_and(|l| l < Duration::from_secs(1) || l > Duration::from_secs(24 * 60 * 60)) {
                problem(key, "must be 1s to 24h");
            }
        }
    }
}
