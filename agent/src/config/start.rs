//! Where a source's live listings begin.
//!
//! Owns the notations. Keys are in order of days only, so a start is a whole day: its folder and all later ones are listed.

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;

/// Where the listings of a folder begin that the checkpoint does not know yet. What lies before is for a backfill.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub enum Start {
    /// With the oldest object.
    #[default]
    Earliest,
    /// With today's.
    Latest,
    /// So long before the folder was found.
    Ago(SignedDuration),
    /// At this moment.
    At(Timestamp),
}

impl Start {
    /// The first day (UTC) whose objects are listed; `None` for all.
    pub(crate) fn day(self, now: Timestamp) -> Option<Date> {
        let at = match self {
            Self::Earliest => return None,
            Self::Latest => now,
            Self::Ago(ago) => now.checked_sub(ago).unwrap_or(Timestamp::MIN),
            Self::At(at) => at,
        };
        Some(at.to_zoned(TimeZone::UTC).date())
    }
}

impl TryFrom<String> for Start {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let refused = || {
            format!(
                "`{text}` is no start: write \"earliest\", \"latest\", \"-7d\", \"2026-03-01\" or \"2026-03-01T12:00:00Z\""
            )
        };
        match text.as_str() {
            "earliest" => return Ok(Self::Earliest),
            "latest" => return Ok(Self::Latest),
            _ => {}
        }
        if let Some(ago) = text.strip_prefix('-') {
            let ago = humantime::parse_duration(ago).map_err(|_| refused())?;
            return SignedDuration::try_from(ago).map(Self::Ago).map_err(|_| refused());
        }
        if let Ok(at) = text.parse::<Timestamp>() {
            return Ok(Self::At(at));
        }
        let day: Date = text.parse().map_err(|_| refused())?;
        day.to_zoned(TimeZone::UTC).map(|zoned| Self::At(zoned.timestamp())).map_err(|_| refused())
    }
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;

    fn day(text: &str) -> Option<Date> {
        Start::try_from(text.to_owned()).unwrap().day("2026-03-10T01:00:00Z".parse().unwrap())
    }

    #[test]
    fn every_notation_names_the_first_day() {
        assert_eq!(day("earliest"), None);
        assert_eq!(day("latest"), Some(date(2026, 3, 10)));
        assert_eq!(day("-7d"), Some(date(2026, 3, 3)));
        assert_eq!(day("-2h"), Some(date(2026, 3, 9)), "two hours ago was yesterday");
        assert_eq!(day("2026-02-28"), Some(date(2026, 2, 28)));
        assert_eq!(day("2026-03-01T00:30:00+02:00"), Some(date(2026, 2, 28)), "days are UTC");
    }

    #[test]
    fn what_is_no_start_is_refused_with_what_to_write() {
        for text in ["", "now", "7d", "-7", "-", "yesterday", "2026-13-01", "2026-02-30"] {
            let refused = Start::try_from(text.to_owned()).unwrap_err();
            assert!(refused.contains("earliest"), "{text}: {refused}");
        }
    }
}
