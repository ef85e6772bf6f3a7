//! The question whether a call may be made, with all that rules look at.

use std::time::{Instant, SystemTime};

use rust_decimal::Decimal;

use crate::provider::{AgentId, E164};
use crate::usage::Tariff;

/// A moment, by the calendar and by a clock that nobody sets.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Moment {
    pub(crate) wall: SystemTime,
    pub(crate) clock: Instant,
}

impl Moment {
    pub(crate) fn now() -> Self {
        Self { wall: SystemTime::now(), clock: Instant::now() }
    }
}

/// A call that somebody wants to make, as far as rules ask for it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ask<'a> {
    pub(crate) to: &'a E164,
    pub(crate) agent: &'a AgentId,
    /// The trunk or provider.
    pub(crate) trunk: &'a str,
    pub(crate) provider: &'static str,
    pub(crate) consent: Option<&'a str>,
    pub(crate) tariff: Option<&'a Tariff>,
    pub(crate) limits: Limits,
}

/// What the agent's and the trunk's own tables say.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Limits {
    pub(crate) agent_calls: Option<u32>,
    pub(crate) agent_rate: Option<u32>,
    pub(crate) agent_spend: Option<Decimal>,
    pub(crate) trunk_calls: Option<u32>,
    pub(crate) trunk_rate: Option<u32>,
    /// The most calls that the provider has room for.
    pub(crate) provider_calls: Option<u32>,
}
