//! Points in time as the host writes them.

use std::time::SystemTime;

use chrono::{DateTime, SecondsFormat, Utc};

/// `YYYY-MM-DDTHH:MM:SS.mmmZ`: always three digits of milliseconds, always UTC.
pub(crate) fn iso(time: SystemTime) -> String {
    DateTime::<Utc>::from(time).to_rfc3339_opts(SecondsFormat::Millis, true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn there_are_always_three_digits_and_a_z() {
        let at = |ms| iso(SystemTime::UNIX_EPOCH + Duration::from_millis(ms));
        assert_eq!(at(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(at(1_771_056_245_006), "2026-02-14T08:04:05.006Z");
        assert_eq!(at(951_782_399_999), "2000-02-28T23:59:59.999Z");
    }
}
