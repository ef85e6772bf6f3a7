//! Hours in which nobody is called, on the callee's own clock.

use std::collections::BTreeMap;
use std::str::FromStr;
use std::sync::LazyLock;
use std::time::SystemTime;

use chrono::{DateTime, Datelike, NaiveDate, NaiveTime, Utc, Weekday};
use chrono_tz::Tz;

/// A daily time in which nobody is called, written `21:00-08:00`: from the first minute to before the second, over
/// midnight if the second is earlier.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QuietHours {
    from: NaiveTime,
    to: NaiveTime,
}

impl QuietHours {
    fn contain(self, time: NaiveTime) -> bool {
        if self.from < self.to {
            (self.from..self.to).contains(&time)
        } else {
            time >= self.from || time < self.to
        }
    }
}

impl FromStr for QuietHours {
    type Err = QuietHoursError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let time = |text: &str| NaiveTime::parse_from_str(text.trim(), "%H:%M").map_err(|_| QuietHoursError);
        let (from, to) = text.split_once('-').ok_or(QuietHoursError)?;
        let hours = Self { from: time(from)?, to: time(to)? };
        // The same minute twice could mean always or never.
        if hours.from == hours.to { Err(QuietHoursError) } else { Ok(hours) }
    }
}

/// A text is not a daily time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("quiet hours are written \"21:00-08:00\"")]
pub struct QuietHoursError;

/// Countries with one time, by ISO 3166; those with several are not among them.
static ZONES: LazyLock<BTreeMap<&str, Tz>> = LazyLock::new(|| {
    let pairs = include_str!("zones.txt").lines().filter_map(|line| line.split_once(' '));
    pairs.filter_map(|(region, zone)| Some((region, zone.parse().ok()?))).collect()
});

/// The time zone of a country that has only one.
pub(super) fn zone_of(region: &str) -> Option<Tz> {
    ZONES.get(region).copied()
}

/// Whether nobody is to be called now, and what the callee's clock shows.
pub(super) fn is_quiet(
    hours: Option<QuietHours>,
    days: &[Weekday],
    zone: Tz,
    now: SystemTime,
) -> (bool, String) {
    let there = DateTime::<Utc>::from(now).with_timezone(&zone);
    let quiet = hours.is_some_and(|hours| hours.contain(there.time())) || days.contains(&there.weekday());
    (quiet, there.format("%a %H:%M").to_string())
}

/// The day of a moment in a zone.
pub(super) fn day(now: SystemTime, zone: Tz) -> NaiveDate {
    DateTime::<Utc>::from(now).with_timezone(&zone).date_naive()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn at(iso: &str) -> SystemTime {
        iso.parse::<DateTime<Utc>>().unwrap().into()
    }

    #[test]
    fn hours_are_read_and_may_pass_midnight() {
        let hours = |text: &str| text.parse::<QuietHours>();
        let time = |text: &str| NaiveTime::parse_from_str(text, "%H:%M").unwrap();
        let night = hours("21:00-08:00").unwrap();
        for (clock, quiet) in
            [("20:59", false), ("21:00", true), ("00:00", true), ("07:59", true), ("08:00", false)]
        {
            assert_eq!(night.contain(time(clock)), quiet, "{clock}");
        }
        let noon = hours("12:30 - 14:00").unwrap();
        assert!(noon.contain(time("12:30")) && !noon.contain(time("14:00")) && !noon.contain(time("00:00")));
        for text in ["", "21:00", "21:00-21:00", "25:00-08:00", "9pm-8am", "21-8"] {
            assert_eq!(hours(text), Err(QuietHoursError), "{text}");
        }
    }

    #[test]
    fn the_clock_is_the_callee_s_and_knows_summer_time() {
        let night = Some("21:00-08:00".parse().unwrap());
        let berlin = zone_of("DE").unwrap();
        assert_eq!(is_quiet(night, &[], berlin, at("2026-01-15T06:30:00Z")), (true, "Thu 07:30".into()));
        assert_eq!(is_quiet(night, &[], berlin, at("2026-07-15T06:30:00Z")), (false, "Wed 08:30".into()));
        assert!(is_quiet(None, &[Weekday::Wed], berlin, at("2026-07-15T06:30:00Z")).0);
        // The day of the clock change, before and after the missing hour.
        assert_eq!(is_quiet(night, &[], berlin, at("2026-03-29T00:59:59Z")).1, "Sun 01:59");
        assert_eq!(is_quiet(night, &[], berlin, at("2026-03-29T01:00:00Z")).1, "Sun 03:00");
        assert_eq!(day(at("2026-07-15T22:30:00Z"), berlin).to_string(), "2026-07-16");
        assert_eq!(
            day(at("2026-07-15T22:30:00Z") + Duration::from_secs(0), Tz::UTC).to_string(),
            "2026-07-15"
        );
    }

    #[test]
    fn every_zone_of_the_table_exists_and_countries_with_several_are_not_in_it() {
        let lines = include_str!("zones.txt").lines().count();
        assert_eq!(ZONES.len(), lines);
        assert!(lines > 200);
        for region in ["US", "CA", "RU", "AU", "BR", "ES", "PT", "MX", "ID"] {
            assert_eq!(zone_of(region), None, "{region}");
        }
    }
}
