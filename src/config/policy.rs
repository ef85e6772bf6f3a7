use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use chrono::Weekday;
use chrono_tz::Tz;
use serde::de;
use serde::{Deserialize, Deserializer};

use super::Problem;
use super::section::Section;
use super::tariff::Amount;
use super::values::Time;
use crate::policy::{QuietHours, Rules};
use crate::provider::E164;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// What is read by its text form.
struct Parsed<T>(T);

impl<'de, T: std::str::FromStr> Deserialize<'de> for Parsed<T>
where
    T::Err: std::fmt::Display,
{
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map(Parsed).map_err(|error| de::Error::custom(format_args!("{text:?}: {error}")))
    }
}

/// The table `[policy]`.
pub(super) fn read(mut section: Section<'_, '_>, base: Option<&Path>) -> Rules {
    let mut rules = Rules::default();
    let s = &mut section;
    s.set("allow_countries", &mut rules.allow_countries);
    s.set("deny_countries", &mut rules.deny_countries);
    for (key, prefixes) in
        [("allow_prefixes", &mut rules.allow_prefixes), ("deny_prefixes", &mut rules.deny_prefixes)]
    {
        let written: Vec<String> = s.take(key).unwrap_or_default();
        *prefixes = written.iter().map(|prefix| prefix.trim_start_matches('+').to_owned()).collect();
    }
    rules.allow_numbers = s.take::<BTreeSet<E164>>("allow_numbers");
    s.set("allow_emergency", &mut rules.allow_emergency);
    s.set("allow_premium", &mut rules.allow_premium);
    s.set("allow_satellite", &mut rules.allow_satellite);
    rules.quiet_hours = s.take::<Parsed<QuietHours>>("quiet_hours").map(|hours| hours.0);
    let days: Vec<Parsed<Weekday>> = s.take("quiet_days").unwrap_or_default();
    rules.quiet_days = days.into_iter().map(|day| day.0).collect();
    rules.time_zone = s.take::<Parsed<Tz>>("time_zone").map(|zone| zone.0);
    s.set("calls_per_second", &mut rules.calls_per_second);
    s.set("max_calls", &mut rules.max_calls);
    s.set("attempts_per_day", &mut rules.attempts_per_day);
    rules.ring_limit = s.take("ring_limit").map(|Time(time)| time);
    rules.talk_limit = s.take("talk_limit").map(|Time(time)| time);
    rules.spend_per_day = s.take::<Amount>("spend_per_day").map(|amount| amount.0);
    rules.do_not_call = s.take::<PathBuf>("do_not_call");
    s.set("require_consent", &mut rules.require_consent);
    if let Some(Time(window)) = s.take("idempotency_window") {
        rules.idempotency_window = window;
    }
    section.finish(&[
        ("countries", "it is `allow_countries` or `deny_countries`"),
        ("prefixes", "it is `allow_prefixes` or `deny_prefixes`"),
    ]);
    if let (Some(path), Some(base)) = (&mut rules.do_not_call, base) {
        *path = base.join(&*path);
    }
    rules
}

/// What does not fit together.
pub(super) fn check(rules: &Rules, problems: &mut Vec<Problem>) {
    let mut problem =
        |key: &str, message: String| problems.push(Problem::new(format!("policy.{key}"), message));
    for (key, countries) in
        [("allow_countries", &rules.allow_countries), ("deny_countries", &rules.deny_countries)]
    {
        let unknown =
            |country: &&String| country.to_ascii_uppercase().parse::<phonenumber::country::Id>().is_err();
        if let Some(country) = countries.iter().find(unknown) {
            problem(key, format!("{country:?} is not a country of ISO 3166, such as \"DE\""));
        }
    }
    for (key, prefixes) in
        [("allow_prefixes", &rules.allow_prefixes), ("deny_prefixes", &rules.deny_prefixes)]
    {
        let wrong = |p: &&String| p.is_empty() || p.len() > 15 || !p.bytes().all(|b| b.is_ascii_digit());
        if prefixes.iter().any(|prefix| wrong(&prefix)) {
            problem(key, "must be first digits of numbers, such as \"+49\"".to_owned());
        }
    }
    let counts = [
        ("calls_per_second", rules.calls_per_second),
        ("max_calls", rules.max_calls),
        ("attempts_per_day", rules.attempts_per_day),
    ];
    for (key, _) in counts.into_iter().filter(|(_, count)| *count == Some(0)) {
        problem(key, "must be at least 1".to_owned());
    }
    let second = Duration::from_secs(1);
    for (key, limit) in [("ring_limit", rules.ring_limit), ("talk_limit", rules.talk_limit)] {
        if limit.is_some_and(|limit| !(second..=DAY).contains(&limit)) {
            problem(key, "must be 1s to 24h".to_owned());
        }
    }
    if !(second..=30 * DAY).contains(&rules.idempotency_window) {
        problem("idempotency_window", "must be 1s to 30days".to_owned());
    }
    if rules.do_not_call.as_ref().is_some_and(|path| path.as_os_str().is_empty()) {
        problem("do_not_call", "must be a file".to_owned());
    }
}

#[cfg(test)]
mod tests {
    use crate::config::Config;

    fn config(policy: &str) -> Result<Config, Vec<String>> {
        let text = format!("[trunks.a]\nserver = \"h\"\n[policy]\n{policy}\n");
        Config::parse(&text).map_err(|e| e.problems().iter().map(|p| p.to_string()).collect())
    }

    #[test]
    fn the_rules_are_read() {
        let rules = config(
            r#"
            allow_countries = ["DE", "us"]
            deny_prefixes = ["+49900", "1900"]
            allow_numbers = ["+1 202 555 0100"]
            quiet_hours = "21:00-08:00"
            quiet_days = ["sun", "Saturday"]
            time_zone = "Europe/Berlin"
            calls_per_second = 5
            attempts_per_day = 3
            ring_limit = "45s"
            spend_per_day = "12.50"
            do_not_call = "dnc.txt"
            require_consent = true
            idempotency_window = "1h"
            "#,
        )
        .unwrap()
        .policy;
        assert_eq!(rules.deny_prefixes, ["49900", "1900"]);
        assert_eq!(rules.allow_numbers.unwrap().len(), 1);
        assert_eq!(rules.time_zone, Some(chrono_tz::Europe::Berlin));
        assert_eq!((rules.spend_per_day, rules.quiet_days.len()), (Some("12.5".parse().unwrap()), 2));
        assert!(rules.require_consent && rules.quiet_hours.is_some() && !rules.allow_premium);
        assert_eq!(config("").unwrap().policy, crate::policy::Rules::default());
    }

    #[test]
    fn mistakes_are_told() {
        let cases = [
            ("allow_countries = [\"Germany\"]", "not a country"),
            ("deny_prefixes = [\"+49-30\"]", "first digits"),
            ("quiet_hours = \"night\"", "21:00-08:00"),
            ("time_zone = \"Berlin\"", "Berlin"),
            ("allow_numbers = [\"112\"]", "begins with +"),
            ("spend_per_day = \"-1\"", "amount"),
            ("max_calls = 0", "at least 1"),
            ("prefixes = []", "allow_prefixes"),
        ];
        for (text, words) in cases {
            let found = config(text).unwrap_err();
            assert!(found.len() == 1 && found[0].contains(words), "{text}: {found:?}");
        }
    }
}
