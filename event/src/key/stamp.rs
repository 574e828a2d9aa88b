//! The points in time that stand in file names.

use std::fmt;

use jiff::civil::{Date, DateTime};

/// The minute in a log file's name. Displays as `YYYYMMDDTHHmmZ`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Stamp(DateTime);

impl Stamp {
    /// The minute that `time`, in UTC, lies in. Years before 0 can't be written in a key and become year 0.
    pub fn new(time: DateTime) -> Self {
        Self(DateTime::constant(time.year().max(0), time.month(), time.day(), time.hour(), time.minute(), 0, 0))
    }

    /// The minute's day.
    pub fn date(self) -> Date {
        self.0.date()
    }

    /// Seconds since the Unix epoch at the start of the minute.
    pub fn unix_seconds(self) -> i64 {
        unix_seconds(self.0)
    }

    /// Takes a stamp off the start of `text`.
    pub(super) fn take(text: &str) -> Option<(Self, &str)> {
        let (date, text) = take_date(text.as_bytes()).zip(text.get(8..))?;
        let text = text.strip_prefix('T')?;
        let (hour, minute) = (two_digits(text.get(..2)?)?, two_digits(text.get(2..4)?)?);
        let rest = text.get(4..)?.strip_prefix('Z')?;
        Some((Self(date.to_datetime(jiff::civil::Time::new(hour, minute, 0, 0).ok()?)), rest))
    }
}

impl fmt::Display for Stamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = self.0;
        let (year, month, day) = (time.year(), time.month(), time.day());
        write!(f, "{year:04}{month:02}{day:02}T{:02}{:02}Z", time.hour(), time.minute())
    }
}

/// The second in a digest's name, its `digestEndTime`. Displays as `YYYYMMDDTHHMMSSZ`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DigestStamp(DateTime);

impl DigestStamp {
    /// The second that `time`, in UTC, lies in. Years before 0 can't be written in a key and become year 0.
    pub fn new(time: DateTime) -> Self {
        let (date, time) = (time.date(), time.time());
        let (hour, minute, second) = (time.hour(), time.minute(), time.second());
        Self(DateTime::constant(date.year().max(0), date.month(), date.day(), hour, minute, second, 0))
    }

    /// The second's day.
    pub fn date(self) -> Date {
        self.0.date()
    }

    /// Seconds since the Unix epoch.
    pub fn unix_seconds(self) -> i64 {
        unix_seconds(self.0)
    }

    pub(crate) fn parse(text: &str) -> Option<Self> {
        let date = take_date(text.as_bytes())?;
        let text = text.get(8..)?.strip_prefix('T')?.strip_suffix('Z')?;
        if text.len() != 6 {
            return None;
        }
        let (hour, minute) = (two_digits(text.get(..2)?)?, two_digits(text.get(2..4)?)?);
        let time = jiff::civil::Time::new(hour, minute, two_digits(text.get(4..)?)?, 0).ok()?;
        Some(Self(date.to_datetime(time)))
    }
}

impl fmt::Display for DigestStamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = self.0;
        let (year, month, day) = (time.year(), time.month(), time.day());
        write!(f, "{year:04}{month:02}{day:02}T{:02}{:02}{:02}Z", time.hour(), time.minute(), time.second())
    }
}

/// The date of three runs of digits, if there is such a day.
pub(crate) fn date(year: &str, month: &str, day: &str) -> Option<Date> {
    if !year.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    Date::new(year.parse().ok()?, two_digits(month)?, two_digits(day)?).ok()
}

fn take_date(text: &[u8]) -> Option<Date> {
    let text = std::str::from_utf8(text.get(..8)?).ok()?;
    date(text.get(..4)?, text.get(4..6)?, text.get(6..)?)
}

fn two_digits(text: &str) -> Option<i8> {
    match text.as_bytes() {
        [tens @ b'0'..=b'9', ones @ b'0'..=b'9'] => i8::try_from((tens - b'0') * 10 + (ones - b'0')).ok(),
        _ => None,
    }
}

/// By hand, because jiff's `Timestamp` ends a day before year 9999 does, and a key may say anything.
fn unix_seconds(time: DateTime) -> i64 {
    time.duration_since(DateTime::constant(1970, 1, 1, 0, 0, 0, 0)).as_secs()
}
