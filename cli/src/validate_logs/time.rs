//! Times as the AWS CLI takes and prints them.

use jiff::civil::DateTime;
use jiff::tz::Offset;
use jiff::{SignedDuration, Timestamp};

/// `2026-03-01T10:00:00Z`, whole seconds.
pub(super) fn display(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// A time with or without an offset; without one it is UTC. A date is its first moment.
pub(super) fn parse(text: &str) -> Result<Timestamp, String> {
    let civil = || text.parse::<DateTime>().ok().and_then(|time| Offset::UTC.to_timestamp(time).ok());
    text.parse().ok().or_else(civil).ok_or_else(|| format!("`{text}` is no time such as 2026-03-01T10:00:00Z"))
}

pub(super) const fn hours(hours: i64) -> SignedDuration {
    SignedDuration::from_hours(hours)
}

/// Whole hours between two times, rounded to the nearest.
pub(super) fn hours_between(start: Timestamp, end: Timestamp) -> i64 {
    (end.as_second() - start.as_second() + 1800).div_euclid(3600)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_people_write_them() {
        for text in ["2026-03-01T10:00:00Z", "2026-03-01 10:00", "2026-03-01T10:00:00", "2026-03-01T05:00:00-05:00"] {
            assert_eq!(display(parse(text).unwrap()), "2026-03-01T10:00:00Z", "{text}");
        }
        assert_eq!(display(parse("2026-03-01").unwrap()), "2026-03-01T00:00:00Z");
        assert!(parse("yesterday").is_err());
    }
}
