use std::path::Path;
use std::time::Duration;

use super::section::Section;
use super::twilio::TwilioConfig;
use super::values::Time;
use super::{Problem, tariff};
use crate::provider::{CallerId, Record};
use crate::usage::Tariff;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// A way to the telephone network that is not a SIP trunk: the account of a web service. The table `[providers.NAME]`.
///
/// Its name stands wherever a trunk's name may stand: at an agent, in a route, as the default, in a request.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ProviderConfig {
    /// The caller that the callee is shown, where neither agent nor request says another.
    pub caller_id: Option<CallerId>,
    /// The most calls at the same time with this account. Default: no limit of its own.
    pub max_calls: Option<u32>,
    /// The most calls that begin within one second with this account. Default: no limit of its own.
    pub calls_per_second: Option<u32>,
    /// How long it may ring. Default 60 s.
    pub ring_timeout: Duration,
    /// How long a call may last from its answer. Default 2 h.
    pub talk_limit: Duration,
    /// What calls with this account cost. Default: unknown.
    pub tariff: Option<Tariff>,
    /// What is kept of what is said in calls with it. Default: as `[recording]` says.
    pub record: Option<Record>,
    /// Which service it is, with its own settings.
    pub kind: ProviderKind,
}

/// The services that carry calls.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ProviderKind {
    /// Twilio Programmable Voice.
    Twilio(Box<TwilioConfig>),
}

impl ProviderConfig {
    /// An account with the defaults.
    pub fn new(kind: ProviderKind) -> Self {
        Self {
            caller_id: None,
            max_calls: None,
            calls_per_second: None,
            ring_timeout: Duration::from_secs(60),
            talk_limit: Duration::from_secs(2 * 60 * 60),
            tariff: None,
            record: None,
            kind,
        }
    }

    pub(super) fn read(mut section: Section<'_, '_>, base: Option<&Path>) -> Option<Self> {
        let kind: Option<String> = section.require("kind", "which service it is: kind = \"twilio\"");
        let kind = match kind.as_deref() {
            Some("twilio") => {
                TwilioConfig::read(&mut section, base).map(|twilio| ProviderKind::Twilio(twilio.into()))
            }
            Some(_) => {
                section.problem("has a kind that is not known: kind = \"twilio\"");
                return None;
            }
            None => return None,
        };
        let mut provider = kind.map(Self::new);
        let caller_id = section.take("caller_id");
        let [max_calls, calls_per_second] = ["max_calls", "calls_per_second"].map(|key| section.take(key));
        let [ring, talk] = ["ring_timeout", "talk_limit"].map(|key| section.take(key).map(|Time(time)| time));
        let record = section.take("record");
        let tariff = section.table("tariff").and_then(tariff::read);
        if let Some(provider) = &mut provider {
            (provider.caller_id, provider.max_calls) = (caller_id, max_calls);
            provider.calls_per_second = calls_per_second;
            provider.ring_timeout = ring.unwrap_or(provider.ring_timeout);
            provider.talk_limit = talk.unwrap_or(provider.talk_limit);
            (provider.tariff, provider.record) = (tariff, record);
        }
        section.finish(&[("caller_name", "Twilio shows callees a number and no name")]);
        provider
    }

    pub(super) fn check(&self, path: &str, problems: &mut Vec<Problem>) {
        let mut problem =
            |key: &str, message: &str| problems.push(Problem::new(format!("{path}.{key}"), message));
        for (key, limit) in [("max_calls", self.max_calls), ("calls_per_second", self.calls_per_second)] {
            if limit == Some(0) {
                problem(key, "must be at least 1");
            }
        }
        for (key, limit) in [("ring_timeout", self.ring_timeout), ("talk_limit", self.talk_limit)] {
            if limit < Duration::from_secs(1) || limit > DAY {
                problem(key, "must be 1s to 24h");
            }
        }
        let ProviderKind::Twilio(_) = &self.kind;
        if self.ring_timeout > TwilioConfig::LONGEST_RING {
            problem("ring_timeout", "must be at most 10m: Twilio lets no call ring for longer");
        }
        if let Some(tariff) = &self.tariff {
            tariff::check(tariff, &format!("{path}.tariff"), problems);
        }
        match &self.kind {
            ProviderKind::Twilio(twilio) => twilio.check(path, problems),
        }
    }
}
