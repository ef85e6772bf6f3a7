//! The rules that ask for nothing but the number and the time.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use chrono::{NaiveDate, Weekday};
use chrono_tz::Tz;
use rust_decimal::Decimal;

use super::list::DoNotCall;
use super::number::{Facts, Kind, facts};
use super::quiet::{QuietHours, day, is_quiet, zone_of};
use crate::provider::{DialError, E164};

/// What the operator permits. The table `[policy]`; the default refuses emergency, premium-rate and satellite numbers
/// and limits nothing else.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Rules {
    /// Countries that may be called, by ISO 3166: `DE`. If any country or prefix is permitted, nothing else is.
    pub allow_countries: Vec<String>,
    /// Countries that must not be called.
    pub deny_countries: Vec<String>,
    /// First digits, without `+`, of numbers that may be called. Of all prefixes and countries that fit a number the
    /// longest counts; of two of the same length the one that forbids.
    pub allow_prefixes: Vec<String>,
    /// First digits, without `+`, of numbers that must not be called.
    pub deny_prefixes: Vec<String>,
    /// The only numbers that may be called, whatever else is permitted. For test systems.
    pub allow_numbers: Option<BTreeSet<E164>>,
    /// Permits numbers that begin like those of emergency services and belong to nobody. Default false.
    pub allow_emergency: bool,
    /// Permits premium-rate numbers. Default false.
    pub allow_premium: bool,
    /// Permits satellite telephones and networks without a country. Default false.
    pub allow_satellite: bool,
    /// The hours in which nobody is called, on the callee's clock.
    pub quiet_hours: Option<QuietHours>,
    /// The days on which nobody is called, on the callee's calendar.
    pub quiet_days: Vec<Weekday>,
    /// The zone of callees whose country has several, and of the days that limits count. Without it such callees are
    /// refused while there are quiet hours, and days are those of UTC.
    pub time_zone: Option<Tz>,
    /// The most calls that begin within one second, all together.
    pub calls_per_second: Option<u32>,
    /// The most calls at the same time, all together.
    pub max_calls: Option<u32>,
    /// The most attempts to call one number on one day, by all agents together.
    pub attempts_per_day: Option<u32>,
    /// The longest that a call may ring, whoever asks for more.
    pub ring_limit: Option<Duration>,
    /// The longest that a call may last, whoever asks for more.
    pub talk_limit: Option<Duration>,
    /// The most that each agent may spend on one day, in US dollars. An agent can have a limit of its own.
    pub spend_per_day: Option<Decimal>,
    /// A file of numbers that must not be called, one on each line.
    pub do_not_call: Option<PathBuf>,
    /// Whether each call needs a reference to the callee's consent. Default false.
    pub require_consent: bool,
    /// For how long an idempotency key stands for its call. Default 24 h.
    pub idempotency_window: Duration,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            allow_countries: Vec::new(),
            deny_countries: Vec::new(),
            allow_prefixes: Vec::new(),
            deny_prefixes: Vec::new(),
            allow_numbers: None,
            allow_emergency: false,
            allow_premium: false,
            allow_satellite: false,
            quiet_hours: None,
            quiet_days: Vec::new(),
            time_zone: None,
            calls_per_second: None,
            max_calls: None,
            attempts_per_day: None,
            ring_limit: None,
            talk_limit: None,
            spend_per_day: None,
            do_not_call: None,
            require_consent: false,
            idempotency_window: Duration::from_secs(24 * 60 * 60),
        }
    }
}

/// A rule's no: its stable name and the reason for this call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) rule: &'static str,
    pub(crate) reason: String,
}

impl Refusal {
    pub(crate) fn new(rule: &'static str, reason: impl Into<String>) -> Self {
        Self { rule, reason: reason.into() }
    }
}

impl From<Refusal> for DialError {
    fn from(Refusal { rule, reason }: Refusal) -> Self {
        Self::Refused { rule, reason }
    }
}

impl Rules {
    /// Whether the number may be called at all.
    pub(crate) fn judge_number(&self, to: &E164) -> Result<(), Refusal> {
        if self.allow_numbers.as_ref().is_some_and(|numbers| !numbers.contains(to)) {
            return Err(Refusal::new(
                "allow_list",
                "the number is not on the list of the only ones that may be called",
            ));
        }
        let facts = facts(to);
        match facts.kind {
            Kind::Emergency if !self.allow_emergency => {
                return Err(Refusal::new("emergency", "the number begins like an emergency service's"));
            }
            Kind::PremiumRate if !self.allow_premium => {
                return Err(Refusal::new("premium_rate", "premium-rate numbers are not called"));
            }
            Kind::Satellite if !self.allow_satellite => {
                return Err(Refusal::new(
                    "satellite",
                    "satellite telephones and networks without a country are not called",
                ));
            }
            _ => {}
        }
        self.judge_place(to, facts)
    }

    /// Of all prefixes and countries that fit, the longest counts.
    fn judge_place(&self, to: &E164, facts: Facts) -> Result<(), Refusal> {
        let prefix = |prefixes: &[String]| {
            let fitting = prefixes.iter().filter(|prefix| to.digits().starts_with(prefix.as_str()));
            fitting.map(String::len).max()
        };
        let country = |countries: &[String]| {
            let region = facts.region?;
            let listed = countries.iter().any(|country| country.eq_ignore_ascii_case(region));
            listed.then_some(to.country_code().len())
        };
        let (allowed, denied) = (prefix(&self.allow_prefixes), prefix(&self.deny_prefixes));
        let (in_allowed, in_denied) = (country(&self.allow_countries), country(&self.deny_countries));
        let (allow, deny) = (allowed.max(in_allowed), denied.max(in_denied));
        match (allow, deny) {
            (allow, Some(deny)) if allow.is_none_or(|allow| allow <= deny) => {
                if denied == Some(deny) {
                    // A prefix may be a whole number, which belongs into no record.
                    let shown = &to.digits()[..deny.min(6)];
                    return Err(Refusal::new(
                        "denied_prefix",
                        format!("numbers that begin with +{shown} are not called"),
                    ));
                }
                let country = facts.region.unwrap_or_default();
                return Err(Refusal::new("denied_country", format!("{country} is not called")));
            }
            (None, _) if !self.allow_countries.is_empty() || !self.allow_prefixes.is_empty() => {
                let place = facts.region.unwrap_or("a number without a country");
                return Err(Refusal::new(
                    "not_allowed",
                    format!("no permitted country or prefix fits: {place}"),
                ));
            }
            _ => {}
        }
        // A country that must not be called cannot be ruled out where the plan does not tell the country.
        if facts.region.is_none() && allowed.is_none() && !self.deny_countries.is_empty() {
            return Err(Refusal::new("denied_country", "the country of the number cannot be told"));
        }
        Ok(())
    }

    /// Reads the do-not-call list as a call would, and tells how many numbers are on it; `None` without a list.
    ///
    /// # Errors
    ///
    /// What is wrong with the file, in words and without a number of it. While it is so nobody is called.
    pub fn read_do_not_call(&self) -> Option<Result<usize, String>> {
        self.do_not_call.as_deref().map(|path| DoNotCall::read(path).map(|numbers| numbers.len()))
    }

    /// Whether the callee may be called at this time.
    pub(crate) fn judge_time(&self, to: &E164, now: SystemTime) -> Result<(), Refusal> {
        if self.quiet_hours.is_none() && self.quiet_days.is_empty() {
            return Ok(());
        }
        let zone = facts(to).region.and_then(zone_of).or(self.time_zone).ok_or_else(|| {
            Refusal::new(
                "quiet_hours",
                "the callee's time cannot be told from the number, and no time_zone is configured",
            )
        })?;
        let (quiet, clock) = is_quiet(self.quiet_hours, &self.quiet_days, zone, now);
        if quiet { Err(Refusal::new("quiet_hours", format!("it is {clock} in {zone}"))) } else { Ok(()) }
    }

    /// The day that limits count a moment to.
    pub(crate) fn day(&self, now: SystemTime) -> NaiveDate {
        day(now, self.time_zone.unwrap_or(Tz::UTC))
    }
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, Utc};
    use proptest::prelude::*;

    use super::*;

    fn number(text: &str) -> E164 {
        E164::parse(text).unwrap()
    }

    fn strings(list: &[&str]) -> Vec<String> {
        list.iter().map(|text| (*text).to_owned()).collect()
    }

    fn rule(rules: &Rules, to: &str) -> &'static str {
        rules.judge_number(&number(to)).map_or_else(|refusal| refusal.rule, |()| "yes")
    }

    #[test]
    fn without_rules_ordinary_numbers_are_called_and_dangerous_ones_are_not() {
        let rules = Rules::default();
        assert_eq!(rule(&rules, "+12025550100"), "yes");
        assert_eq!(rule(&rules, "+4915123456789"), "yes");
        assert_eq!(rule(&rules, "+19002345678"), "premium_rate");
        assert_eq!(rule(&rules, "+881612345678"), "satellite");
        assert_eq!(rule(&rules, "+4911212345"), "emergency");
        let rules =
            Rules { allow_emergency: true, allow_premium: true, allow_satellite: true, ..Rules::default() };
        for to in ["+19002345678", "+881612345678", "+4911212345"] {
            assert_eq!(rule(&rules, to), "yes", "{to}");
        }
    }

    #[test]
    fn the_longest_prefix_or_country_counts() {
        let rules = Rules {
            allow_countries: strings(&["DE", "us"]),
            deny_prefixes: strings(&["4930", "1202"]),
            allow_prefixes: strings(&["493012", "44"]),
            deny_countries: strings(&["GB"]),
            ..Rules::default()
        };
        let cases = [
            ("+4940123456", "yes"),
            ("+4930923456", "denied_prefix"),
            ("+4930123456", "yes"),
            ("+13105550100", "yes"),
            ("+12025550100", "denied_prefix"),
            ("+16135550100", "not_allowed"),
            ("+33158000000", "not_allowed"),
            // A prefix and a country of the same length: the one that forbids.
            ("+442079460000", "denied_country"),
        ];
        for (to, expected) in cases {
            assert_eq!(rule(&rules, to), expected, "{to}");
        }
    }

    #[test]
    fn a_country_that_cannot_be_told_is_not_called_where_countries_are_denied() {
        let rules = Rules { deny_countries: strings(&["CA"]), ..Rules::default() };
        assert_eq!(rule(&rules, "+12025550100"), "yes");
        assert_eq!(rule(&rules, "+16135550100"), "denied_country");
        // No country of +1 has assigned 555.
        assert_eq!(rule(&rules, "+15550001234"), "denied_country");
        assert_eq!(rule(&Rules { allow_prefixes: strings(&["1555"]), ..rules }, "+15550001234"), "yes");
    }

    #[test]
    fn the_exact_list_is_all_there_is() {
        let rules = Rules { allow_numbers: Some([number("+12025550100")].into()), ..Rules::default() };
        assert_eq!((rule(&rules, "+12025550100"), rule(&rules, "+12025550101")), ("yes", "allow_list"));
        assert_eq!(
            rule(&Rules { allow_numbers: Some(BTreeSet::new()), ..Rules::default() }, "+12025550100"),
            "allow_list"
        );
    }

    #[test]
    fn quiet_hours_are_the_callee_s_and_an_unknown_clock_refuses() {
        let at: SystemTime = "2026-01-15T21:30:00Z".parse::<DateTime<Utc>>().unwrap().into();
        let rules = Rules { quiet_hours: Some("21:00-08:00".parse().unwrap()), ..Rules::default() };
        let rule = |rules: &Rules, to: &str| {
            rules.judge_time(&number(to), at).map_or_else(|r| r.reason, |()| "yes".into())
        };
        assert_eq!(rule(&rules, "+4930123456"), "it is Thu 22:30 in Europe/Berlin");
        assert_eq!(rule(&rules, "+81312345678"), "it is Fri 06:30 in Asia/Tokyo");
        assert!(rule(&rules, "+12025550100").contains("time_zone"));
        let rules = Rules { time_zone: Some("America/New_York".parse().unwrap()), ..rules };
        assert_eq!(rule(&rules, "+12025550100"), "yes");
        assert_eq!(rule(&rules, "+4930123456"), "it is Thu 22:30 in Europe/Berlin");
    }

    proptest! {
        /// A number that some rule denies with its whole length is never called, and a refusal shows no number.
        #[test]
        fn a_denied_number_is_denied_whatever_else_is_permitted(
            to in "\\+49[2-9][0-9]{6,9}", cut in 3_usize..8, countries in prop::bool::ANY,
        ) {
            let to = number(&to);
            let rules = Rules {
                deny_prefixes: vec![to.digits().to_owned()],
                allow_prefixes: vec![to.digits()[..cut].to_owned()],
                allow_countries: if countries { vec!["DE".into()] } else { Vec::new() },
                allow_premium: true,
                // +49 999… begins like an emergency service's number, which is another rule.
                allow_emergency: true,
                ..Rules::default()
            };
            let refusal = rules.judge_number(&to).unwrap_err();
            prop_assert_eq!(refusal.rule, "denied_prefix");
        }
    }
}
