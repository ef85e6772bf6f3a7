//! The limits that ask what else is going on: calls at the same time and within a second, attempts and money of a day.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use chrono::NaiveDate;
use rust_decimal::Decimal;

use super::ask::{Ask, Moment};
use super::rules::{Refusal, Rules};
use crate::provider::{AgentId, CapacityLimit, DialError, E164};
use crate::usage::Tariff;

/// The time over which beginning calls are counted.
const SECOND: Duration = Duration::from_secs(1);
/// For how much more talk money is set aside at a time.
const SLICE: Duration = Duration::from_secs(10);

/// A yes, to be given back when the call is over.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub(crate) struct Admission {
    agent: AgentId,
    trunk: String,
    provider: &'static str,
    to: E164,
    pub(crate) day: NaiveDate,
    /// The agent's limit, if it has one.
    budget: Option<Decimal>,
    /// What is set aside for the call.
    pub(crate) reserved: Decimal,
    /// How long the call may last for that; `None` without a limit.
    pub(crate) paid_for: Option<Duration>,
}

/// What is going on. Time comes in as an argument.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    calls: u32,
    by_provider: HashMap<&'static str, u32>,
    by_trunk: HashMap<String, u32>,
    by_agent: HashMap<AgentId, u32>,
    starts: Starts,
    /// Attempts of `day` by number.
    attempts: HashMap<E164, u32>,
    day: NaiveDate,
    /// Calls of yesterday go on at yesterday's expense.
    spent: HashMap<(AgentId, NaiveDate), Spent>,
}

/// The money of an agent and a day.
#[derive(Debug, Default)]
struct Spent {
    spent: Decimal,
    reserved: Decimal,
}

/// The calls that began within the last second.
#[derive(Debug, Default)]
struct Starts(VecDeque<(Instant, String, AgentId)>);

impl Starts {
    fn forget(&mut self, now: Instant) {
        while self.0.front().is_some_and(|(at, ..)| now.saturating_duration_since(*at) >= SECOND) {
            self.0.pop_front();
        }
    }

    fn count(&self, counted: impl Fn(&str, &AgentId) -> bool) -> u32 {
        let counted = self.0.iter().filter(|(_, trunk, agent)| counted(trunk, agent)).count();
        u32::try_from(counted).unwrap_or(u32::MAX)
    }
}

impl Counts {
    /// What earlier processes did today.
    pub(crate) fn remember(
        day: NaiveDate,
        attempts: impl IntoIterator<Item = (E164, u32)>,
        spent: impl IntoIterator<Item = (AgentId, Decimal)>,
    ) -> Self {
        let spent =
            spent.into_iter().map(|(agent, spent)| ((agent, day), Spent { spent, ..Spent::default() }));
        Self { day, attempts: attempts.into_iter().collect(), spent: spent.collect(), ..Self::default() }
    }

    /// Says yes or no to a call. A yes is counted at once, a no changes nothing.
    pub(crate) fn admit(
        &mut self,
        rules: &Rules,
        listed: impl FnOnce() -> Result<bool, String>,
        ask: &Ask<'_>,
        now: Moment,
    ) -> Result<Admission, DialError> {
        rules.judge_number(ask.to)?;
        if rules.require_consent && ask.consent.is_none_or(|consent| consent.trim().is_empty()) {
            return Err(
                Refusal::new("consent", "the request has no reference to the callee's consent").into()
            );
        }
        match listed() {
            Ok(false) => {}
            Ok(true) => {
                return Err(Refusal::new("do_not_call", "the number is on the do-not-call list").into());
            }
            Err(error) => {
                return Err(Refusal::new(
                    "do_not_call",
                    format!("the do-not-call list cannot be read: {error}"),
                )
                .into());
            }
        }
        rules.judge_time(ask.to, now.wall)?;
        self.turn_over(rules.day(now.wall));
        if let Some(most) = rules.attempts_per_day {
            let made = self.attempts.get(ask.to).copied().unwrap_or_default();
            if made >= most {
                return Err(Refusal::new(
                    "attempts",
                    format!("the number was called {made} times today; {most} are permitted"),
                )
                .into());
            }
        }
        let budget = ask.limits.agent_spend.or(rules.spend_per_day);
        let (reserved, paid_for) = self.afford(budget, ask)?;
        self.room(rules, ask)?;
        self.pace(rules, ask, now.clock)?;

        self.calls += 1;
        *self.by_provider.entry(ask.provider).or_default() += 1;
        *self.by_trunk.entry(ask.trunk.to_owned()).or_default() += 1;
        *self.by_agent.entry(ask.agent.clone()).or_default() += 1;
        self.starts.0.push_back((now.clock, ask.trunk.to_owned(), ask.agent.clone()));
        *self.attempts.entry(ask.to.clone()).or_default() += 1;
        self.spent.entry((ask.agent.clone(), self.day)).or_default().reserved += reserved;
        Ok(Admission {
            agent: ask.agent.clone(),
            trunk: ask.trunk.to_owned(),
            provider: ask.provider,
            to: ask.to.clone(),
            day: self.day,
            budget,
            reserved,
            paid_for,
        })
    }

    /// Sets money aside for more talk. Returns the time up to which the call is paid for, which is what it was when
    /// nothing is left.
    pub(crate) fn extend(&mut self, admission: &mut Admission, tariff: &Tariff) -> Option<Duration> {
        let (budget, paid_for) = (admission.budget?, admission.paid_for?);
        if paid_for == Duration::MAX {
            return Some(paid_for);
        }
        let spent = self.spent.entry((admission.agent.clone(), admission.day)).or_default();
        let left = budget - spent.spent - spent.reserved;
        if let Some((cost, until)) = slice(tariff, &admission.to, paid_for, left + admission.reserved) {
            let more = (cost - admission.reserved).max(Decimal::ZERO);
            spent.reserved += more;
            admission.reserved += more;
            admission.paid_for = Some(until.max(paid_for));
        }
        admission.paid_for
    }

    /// The call is over, or never was: `cost` takes the place of what was set aside. An attempt that was `made` counts.
    pub(crate) fn release(&mut self, admission: &Admission, cost: Decimal, made: bool) {
        self.end(admission);
        if !made
            && admission.day == self.day
            && let Some(attempts) = self.attempts.get_mut(&admission.to)
        {
            *attempts = attempts.saturating_sub(1);
        }
        self.settle(admission, cost);
    }

    /// The call is over; what it costs is told later by [`settle`](Self::settle).
    pub(crate) fn end(&mut self, admission: &Admission) {
        self.calls = self.calls.saturating_sub(1);
        take_one(&mut self.by_provider, admission.provider);
        take_one(&mut self.by_trunk, &admission.trunk);
        take_one(&mut self.by_agent, &admission.agent);
    }

    /// The cost of a call that is over.
    pub(crate) fn settle(&mut self, admission: &Admission, cost: Decimal) {
        let spent = self.spent.entry((admission.agent.clone(), admission.day)).or_default();
        spent.reserved -= admission.reserved;
        spent.spent += cost;
    }

    /// Calls at this moment.
    pub(crate) fn calls(&self) -> u32 {
        self.calls
    }

    fn turn_over(&mut self, today: NaiveDate) {
        if today == self.day {
            return;
        }
        self.day = today;
        self.attempts.clear();
        self.spent.retain(|(_, day), spent| *day == today || !spent.reserved.is_zero());
    }

    /// What to set aside for the beginning of a call, and how long it may last for that.
    fn afford(&self, budget: Option<Decimal>, ask: &Ask<'_>) -> Result<(Decimal, Option<Duration>), Refusal> {
        let Some(budget) = budget else { return Ok((Decimal::ZERO, None)) };
        let tariff = ask.tariff.filter(|tariff| tariff.rate(ask.to).is_some()).ok_or_else(|| {
            Refusal::new(
                "no_price",
                format!("the spend is limited, and trunk {} has no price for the number", ask.trunk),
            )
        })?;
        let spent = self.spent.get(&(ask.agent.clone(), self.day));
        let used = spent.map(|spent| spent.spent + spent.reserved).unwrap_or_default();
        let first = slice(tariff, ask.to, Duration::ZERO, budget - used);
        let (cost, until) = first.ok_or_else(|| {
            Refusal::new(
                "spend",
                format!(
                    "{} of the {} US dollars of the day are used up",
                    used.normalize(),
                    budget.normalize()
                ),
            )
        })?;
        Ok((cost, Some(until)))
    }

    fn room(&self, rules: &Rules, ask: &Ask<'_>) -> Result<(), DialError> {
        let trunk = self.by_trunk.get(ask.trunk).copied().unwrap_or_default();
        let agent = self.by_agent.get(ask.agent).copied().unwrap_or_default();
        let provider = self.by_provider.get(ask.provider).copied().unwrap_or_default();
        let limits = [
            (rules.max_calls, self.calls, CapacityLimit::Calls),
            (ask.limits.provider_calls, provider, CapacityLimit::Calls),
            (ask.limits.trunk_calls, trunk, CapacityLimit::TrunkCalls(ask.trunk.to_owned())),
            (ask.limits.agent_calls, agent, CapacityLimit::AgentCalls(ask.agent.clone())),
        ];
        within(limits)
    }

    fn pace(&mut self, rules: &Rules, ask: &Ask<'_>, now: Instant) -> Result<(), DialError> {
        self.starts.forget(now);
        let limits = [
            (rules.calls_per_second, self.starts.count(|_, _| true), CapacityLimit::Rate),
            (
                ask.limits.trunk_rate,
                self.starts.count(|trunk, _| trunk == ask.trunk),
                CapacityLimit::TrunkRate(ask.trunk.to_owned()),
            ),
            (
                ask.limits.agent_rate,
                self.starts.count(|_, agent| agent == ask.agent),
                CapacityLimit::AgentRate(ask.agent.clone()),
            ),
        ];
        within(limits)
    }
}

fn within(limits: impl IntoIterator<Item = (Option<u32>, u32, CapacityLimit)>) -> Result<(), DialError> {
    for (most, count, limit) in limits {
        if let Some(max) = most.filter(|most| count >= *most) {
            return Err(DialError::AtCapacity { limit, max });
        }
    }
    Ok(())
}

fn take_one<K, Q>(counts: &mut HashMap<K, u32>, key: &Q)
where
    K: std::hash::Hash + Eq + std::borrow::Borrow<Q>,
    Q: std::hash::Hash + Eq + ?Sized,
{
    if let Some(count) = counts.get_mut(key) {
        *count = count.saturating_sub(1);
        if *count == 0 {
            counts.remove(key);
        }
    }
}

/// What a call costs in all if it goes on for a slice after `from`, and until when that pays for it; less than a slice if
/// `money` is not enough for a whole one.
fn slice(tariff: &Tariff, to: &E164, from: Duration, money: Decimal) -> Option<(Decimal, Duration)> {
    let step = tariff.paid_up_to(to, from.saturating_add(SLICE))?;
    let until = tariff.lasts(to, money)?.min(step);
    let talk = if until == Duration::MAX { Duration::ZERO } else { until };
    let cost = tariff.charge(to, Some(talk))?.cost_usd;
    // Amounts are rounded to a millionth at the end, which must not become more than there is.
    (until > from && cost <= money).then_some((cost, until))
}

#[cfg(test)]
mod tests;
