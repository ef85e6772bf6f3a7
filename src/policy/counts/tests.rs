use chrono::{DateTime, Utc};
use proptest::prelude::*;

use std::time::SystemTime;

use super::*;
use crate::policy::Limits;
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
        let ask =
            Ask { to: &to, agent: &who, trunk, provider: "sip", consent: None, tariff, limits: self.limits };
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
