//! The limits that ask what else is going on: calls at the same time and within a second, attempts and money of a day.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant, SystemTime};

use chrono::NaiveDate;
use rust_decimal::Decimal;

use super::rules::{Refusal, Rules};
use crate::provider::{AgentId, CapacityLimit, DialError, E164};
use crate::usage::Tariff;

/// The time over which beginning calls are counted.
const SECOND: Duration = Duration::from_secs(1);
/// For how much more talk money is set aside at a time.
const SLICE: Duration = Duration::from_secs(10);

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
mod tests {
    use chrono::{DateTime, Utc};
    use proptest::prelude::*;

    use super::*;
    use crate::usage::Rate;

    fn dec(text: &str) -> Decimal {
        text.parse().unwrap()
    }

    fn number(text: &str) -> E164 {
        E164::parse(text).unwrap()
    }

    fn agent(name: &str) -> AgentId {
        AgentId::new(name).unwrap()
    }

    /// A desk with a clock that is set by hand.
    struct Desk {
        counts: Counts,
        rules: Rules,
        limits: Limits,
        tariff: Option<Tariff>,
        now: Moment,
    }

    impl Desk {
        fn new(rules: Rules) -> Self {
            let wall: SystemTime = "2026-01-15T12:00:00Z".parse::<DateTime<Utc>>().unwrap().into();
            let now = Moment { wall, clock: Instant::now() };
            let counts = Counts::remember(rules.day(wall), [], []);
            Self { counts, rules, limits: Limits::default(), tariff: None, now }
        }

        fn wait(&mut self, time: Duration) {
            self.now.wall += time;
            self.now.clock += time;
        }

        fn ask(&mut self, who: &str, trunk: &str, to: &str) -> Result<Admission, String> {
            let (who, to) = (agent(who), number(to));
            let tariff = self.tariff.as_ref();
            let ask = Ask {
                to: &to,
                agent: &who,
                trunk,
                provider: "sip",
                consent: None,
                tariff,
                limits: self.limits,
            };
            let answer = self.counts.admit(&self.rules, || Ok(false), &ask, self.now);
            answer.map_err(|error| match error {
                DialError::Refused { rule, .. } => rule.to_owned(),
                other => other.to_string(),
            })
        }
    }

    #[test]
    fn calls_at_the_same_time_are_counted_in_total_by_trunk_and_by_agent() {
        let mut desk = Desk::new(Rules { max_calls: Some(4), ..Rules::default() });
        desk.limits = Limits { trunk_calls: Some(3), agent_calls: Some(2), ..Limits::default() };
        let first = desk.ask("a", "x", "+12025550100").unwrap();
        let _second = desk.ask("a", "x", "+12025550101").unwrap();
        let full =
            |what: &str, max: u32| Err(format!("at capacity: the number of calls{what} is limited to {max}"));
        assert_eq!(desk.ask("a", "x", "+12025550102"), full(" by agent a", 2));
        let _third = desk.ask("b", "x", "+12025550103").unwrap();
        assert_eq!(desk.ask("b", "x", "+12025550104"), full(" on trunk x", 3));
        let _fourth = desk.ask("b", "y", "+12025550104").unwrap();
        assert_eq!(desk.ask("c", "y", "+12025550105"), full("", 4));
        desk.counts.release(&first, Decimal::ZERO, true);
        assert_eq!(desk.counts.calls(), 3);
        assert!(desk.ask("a", "x", "+12025550105").is_ok());
    }

    #[test]
    fn calls_within_a_second_are_counted_and_a_refused_one_is_not() {
        let mut desk = Desk::new(Rules { calls_per_second: Some(3), ..Rules::default() });
        desk.limits = Limits { trunk_rate: Some(2), ..Limits::default() };
        assert!(desk.ask("a", "x", "+12025550100").is_ok());
        desk.wait(Duration::from_millis(500));
        assert!(desk.ask("a", "x", "+12025550101").is_ok());
        for _ in 0..5 {
            let refused = desk.ask("a", "x", "+12025550102").unwrap_err();
            assert_eq!(refused, "at capacity: the number of new calls per second on trunk x is limited to 2");
        }
        assert!(desk.ask("a", "y", "+12025550103").is_ok());
        assert!(
            desk.ask("a", "y", "+12025550104").unwrap_err().contains("the number of new calls per second is")
        );
        // The first one is a second ago, the others are not.
        desk.wait(Duration::from_millis(500));
        assert!(desk.ask("a", "x", "+12025550105").is_ok());
        assert!(desk.ask("a", "x", "+12025550106").is_err());
    }

    #[test]
    fn a_number_is_called_so_often_a_day_and_again_on_the_next() {
        let mut desk = Desk::new(Rules { attempts_per_day: Some(2), ..Rules::default() });
        let first = desk.ask("a", "x", "+12025550100").unwrap();
        desk.counts.release(&first, Decimal::ZERO, true);
        // What never left does not count.
        let second = desk.ask("b", "x", "+12025550100").unwrap();
        desk.counts.release(&second, Decimal::ZERO, false);
        let _second = desk.ask("b", "x", "+12025550100").unwrap();
        assert_eq!(desk.ask("a", "x", "+12025550100").unwrap_err(), "attempts");
        assert!(desk.ask("a", "x", "+12025550101").is_ok());
        desk.wait(Duration::from_secs(12 * 3600));
        assert!(desk.ask("a", "x", "+12025550100").is_ok());
    }

    #[test]
    fn what_earlier_processes_did_today_counts() {
        let mut desk =
            Desk::new(Rules { attempts_per_day: Some(2), spend_per_day: Some(dec("1")), ..Rules::default() });
        desk.tariff = Some(Tariff::usd(vec![Rate::per_minute("1", dec("0.10"))]));
        let today = desk.rules.day(desk.now.wall);
        desk.counts = Counts::remember(today, [(number("+12025550100"), 2)], [(agent("a"), dec("0.95"))]);
        assert_eq!(desk.ask("a", "x", "+12025550100").unwrap_err(), "attempts");
        assert_eq!(desk.ask("a", "x", "+12025550101").unwrap_err(), "spend");
        assert!(desk.ask("b", "x", "+12025550101").is_ok());
    }

    #[test]
    fn a_list_that_cannot_be_read_and_a_missing_consent_refuse() {
        let mut desk = Desk::new(Rules { require_consent: true, ..Rules::default() });
        let (who, to) = (agent("a"), number("+12025550100"));
        let mut rule = |consent, listed: Result<bool, String>| {
            let ask = Ask {
                to: &to,
                agent: &who,
                trunk: "x",
                provider: "sip",
                consent,
                tariff: None,
                limits: Limits::default(),
            };
            match desk.counts.admit(&desk.rules, || listed, &ask, desk.now) {
                Ok(_) => "yes",
                Err(DialError::Refused { rule, .. }) => rule,
                Err(other) => panic!("{other}"),
            }
        };
        assert_eq!(rule(None, Ok(false)), "consent");
        assert_eq!(rule(Some(" "), Ok(false)), "consent");
        assert_eq!(rule(Some("form 7"), Err("gone".into())), "do_not_call");
        assert_eq!(rule(Some("form 7"), Ok(true)), "do_not_call");
        assert_eq!(rule(Some("form 7"), Ok(false)), "yes");
    }

    #[test]
    fn money_is_set_aside_while_a_call_runs_and_the_rest_given_back() {
        let mut desk = Desk::new(Rules { spend_per_day: Some(dec("0.05")), ..Rules::default() });
        assert_eq!(desk.ask("a", "x", "+12025550100").unwrap_err(), "no_price");
        desk.tariff = Some(Tariff::usd(vec![Rate::per_minute("1", dec("0.02"))]));
        assert_eq!(desk.ask("a", "x", "+4930123456").unwrap_err(), "no_price");
        let mut first = desk.ask("a", "x", "+12025550100").unwrap();
        assert_eq!((first.reserved, first.paid_for), (dec("0.02"), Some(Duration::from_secs(60))));
        let mut second = desk.ask("a", "x", "+12025550101").unwrap();
        // One cent is left, and a minute costs two.
        assert_eq!(desk.ask("a", "x", "+12025550102").unwrap_err(), "spend");
        assert!(desk.ask("b", "x", "+12025550102").is_ok());
        let tariff = desk.tariff.clone().unwrap();
        assert_eq!(desk.counts.extend(&mut first, &tariff), Some(Duration::from_secs(60)));
        // Nobody answered the second call: its money can be used by the first.
        desk.counts.release(&second, Decimal::ZERO, true);
        assert_eq!(desk.counts.extend(&mut first, &tariff), Some(Duration::from_secs(120)));
        assert_eq!(desk.counts.extend(&mut first, &tariff), Some(Duration::from_secs(120)));
        desk.counts.release(&first, dec("0.02"), true);
        second = desk.ask("a", "x", "+12025550101").unwrap();
        assert_eq!(second.reserved, dec("0.02"));
    }

    #[test]
    fn a_flat_price_pays_for_the_whole_call() {
        let mut desk = Desk::new(Rules { spend_per_day: Some(dec("0.25")), ..Rules::default() });
        let flat = Rate { unit: crate::usage::BillableUnit::Call, ..Rate::per_minute("1", dec("0.1")) };
        desk.tariff = Some(Tariff::usd(vec![flat]));
        let tariff = desk.tariff.clone().unwrap();
        let mut first = desk.ask("a", "x", "+12025550100").unwrap();
        assert_eq!(desk.counts.extend(&mut first, &tariff), Some(Duration::MAX));
        assert!(desk.ask("a", "x", "+12025550101").is_ok());
        assert_eq!(desk.ask("a", "x", "+12025550102").unwrap_err(), "spend");
    }

    proptest! {
        /// However calls come, go on and end: what they cost is never more than the day's money, since each is hung up
        /// when it is no longer paid for.
        #[test]
        fn the_spend_of_a_day_is_never_exceeded(
            budget in 0_u64..200_000, price in 1_u64..30_000, fee in 0_u64..5_000, first in 1_u32..90, next in 1_u32..90,
            steps in prop::collection::vec((0_usize..6, 0_u64..100_000), 1..60),
        ) {
            let micro = |n: u64| Decimal::new(n as i64, 6);
            let rate = Rate {
                connect_fee: micro(fee),
                increment: format!("{first}/{next}").parse().unwrap(),
                ..Rate::per_minute("1", micro(price))
            };
            let tariff = Tariff::usd(vec![rate]);
            let mut desk = Desk::new(Rules { spend_per_day: Some(micro(budget)), ..Rules::default() });
            desk.tariff = Some(tariff.clone());
            let mut up: Vec<Admission> = Vec::new();
            let mut spent = Decimal::ZERO;
            for (what, ms) in steps {
                match what {
                    0..=1 => up.extend(desk.ask("a", "x", "+12025550100")),
                    2..=3 if !up.is_empty() => {
                        let at = usize::try_from(ms).unwrap() % up.len();
                        let _ = desk.counts.extend(&mut up[at], &tariff);
                    }
                    _ if !up.is_empty() => {
                        let call = up.swap_remove(usize::try_from(ms).unwrap() % up.len());
                        let longest = call.paid_for.unwrap();
                        let talk = Duration::from_millis(ms).min(longest);
                        let cost = tariff.charge(&call.to, Some(talk)).unwrap().cost_usd;
                        desk.counts.release(&call, cost, true);
                        spent += cost;
                    }
                    _ => {}
                }
            }
            for call in up {
                let cost = tariff.charge(&call.to, call.paid_for).unwrap().cost_usd;
                desk.counts.release(&call, cost, true);
                spent += cost;
            }
            prop_assert!(spent <= micro(budget), "{} of {}", spent, micro(budget));
            prop_assert_eq!(desk.counts.calls(), 0);
            prop_assert!(desk.counts.spent.values().all(|spent| spent.reserved.is_zero()));
        }
    }
}
