//! Reading `eventTime`.

use jiff::civil::Date;

/// A record's hour, counted from the Unix epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EventHour(pub u32);

impl EventHour {
    /// The hour of records whose `eventTime` is absent or can't be read, and of those before the epoch's second hour.
    pub const UNDATED: Self = Self(0);

    /// The hour that this second, counted from the Unix epoch, lies in.
    pub fn from_unix_seconds(seconds: i64) -> Self {
        u32::try_from(seconds.div_euclid(3600)).map_or(Self::UNDATED, Self)
    }

    /// The hour's first second, counted from the Unix epoch.
    pub fn unix_seconds(self) -> i64 {
        i64::from(self.0) * 3600
    }
}

/// Seconds since the Unix epoch.
///
/// CloudTrail writes `YYYY-MM-DDThh:mm:ssZ`. Taken as well, because published records have them: fractions of a second
/// (dropped), an offset or none (UTC), and blanks anywhere.
pub(super) fn seconds(text: &str) -> Option<i64> {
    if let Some(seconds) = exact(text.as_bytes()) {
        return Some(seconds);
    }
    // Longer than any spelling with blanks in it; keeps a string of megabytes from being copied.
    if text.len() > 64 {
        return None;
    }
    let text: String = text.chars().filter(|char| !char.is_whitespace()).collect();
    let bytes = text.as_bytes();
    let date = date(bytes.get(..10)?)?;
    let rest = &bytes[10..];
    let rest = rest.strip_prefix(b"T").or(rest.strip_prefix(b"t")).unwrap_or(rest);
    let seconds = date + time(rest.get(..8)?)?;
    let rest = match rest[8..].split_first() {
        Some((b'.' | b',', fraction)) => {
            let digits = fraction.iter().take_while(|byte| byte.is_ascii_digit()).count();
            if digits == 0 {
                return None;
            }
            &fraction[digits..]
        }
        _ => &rest[8..],
    };
    Some(seconds - offset(rest)?)
}

/// `YYYY-MM-DDThh:mm:ssZ` and nothing else.
fn exact(text: &[u8]) -> Option<i64> {
    if text.len() != 20 || text[10] != b'T' || text[19] != b'Z' {
        return None;
    }
    Some(date(&text[..10])? + time(&text[11..19])?)
}

/// `YYYY-MM-DD`, in seconds.
fn date(text: &[u8]) -> Option<i64> {
    let [y1, y2, y3, y4, b'-', m1, m2, b'-', d1, d2] = *text else { return None };
    let year = i16::from(two(y1, y2)?) * 100 + i16::from(two(y3, y4)?);
    let date = Date::new(year, two(m1, m2)?, two(d1, d2)?).ok()?;
    Some(date.duration_since(Date::constant(1970, 1, 1)).as_secs())
}

/// `hh:mm:ss`, in seconds; a leap second counts as the one after.
fn time(text: &[u8]) -> Option<i64> {
    let [h1, h2, b':', m1, m2, b':', s1, s2] = *text else { return None };
    let (hour, minute, second) = (two(h1, h2)?, two(m1, m2)?, two(s1, s2)?);
    (hour < 24 && minute < 60 && second <= 60)
        .then(|| i64::from(hour) * 3600 + i64::from(minute) * 60 + i64::from(second))
}

/// Nothing, `Z`, `±hh`, `±hhmm` or `±hh:mm`, in seconds east of UTC.
fn offset(text: &[u8]) -> Option<i64> {
    let (sign, hour, minute) = match *text {
        [] | [b'Z' | b'z'] => return Some(0),
        [sign, h1, h2] => (sign, two(h1, h2)?, 0),
        [sign, h1, h2, m1, m2] | [sign, h1, h2, b':', m1, m2] => (sign, two(h1, h2)?, two(m1, m2)?),
        _ => return None,
    };
    let seconds = i64::from(hour) * 3600 + i64::from(minute) * 60;
    match sign {
        _ if hour >= 24 || minute >= 60 => None,
        b'+' => Some(seconds),
        b'-' => Some(-seconds),
        _ => None,
    }
}

fn two(tens: u8, ones: u8) -> Option<i8> {
    if !tens.is_ascii_digit() || !ones.is_ascii_digit() {
        return None;
    }
    i8::try_from((tens - b'0') * 10 + (ones - b'0')).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const T: i64 = 1_600_361_051; // 2020-09-17T16:44:11Z

    #[test]
    fn every_published_spelling_of_a_time_is_read() {
        for text in [
            "2020-09-17T16:44:11Z",
            "2020-09-17T16:44:11.123Z",
            "2020-09-17T16:44:11,5Z",
            "2020-09-17T16:44:11",
            "2020-09-17T16:44:11.000000",
            "2020-09-17T18:44:11+02:00",
            "2020-09-17T18:44:11.5+0200",
            "2020-09-17T18:44:11+02",
            "2020-09-17T11:14:11-05:30",
            "2020-09-17T16: 44: 11Z",
            " 2020-09-17 16:44:11 Z",
            "2020-09-17t16:44:11z",
        ] {
            assert_eq!(seconds(text), Some(T), "{text}");
        }
    }

    #[test]
    fn what_is_no_time_is_none() {
        for text in [
            "",
            "Z",
            "2020-09-17",
            "2020-13-17T16:44:11Z",
            "2021-02-29T16:44:11Z",
            "2020-09-17T24:00:00Z",
            "2020-09-17T16:60:11Z",
            "2020-09-17T16:44:61Z",
            "2020-09-17T16:44:11.Z",
            "2020-09-17T16:44:11+99:00",
            "2020-09-17T16:44:11 PM",
            "2020-09-17T16:44:11é",
            "Sep 17, 2020 4:44:11 PM",
            "1600361051",
            "２020-09-17T16:44:1Z",
        ] {
            assert_eq!(seconds(text), None, "{text}");
        }
        assert_eq!(seconds(&" ".repeat(1 << 20)), None);
    }

    #[test]
    fn times_far_away_do_not_overflow() {
        assert_eq!(seconds("1969-12-31T23:59:59Z"), Some(-1));
        assert_eq!(seconds("0000-01-01T00:00:00Z"), Some(-62_167_219_200));
        assert_eq!(seconds("9999-12-31T23:59:59Z"), Some(253_402_300_799));
        assert_eq!(EventHour::from_unix_seconds(-1), EventHour::UNDATED);
        assert_eq!(EventHour::from_unix_seconds(i64::MAX), EventHour::UNDATED);
        assert_eq!(EventHour::from_unix_seconds(253_402_300_799).0, 70_389_527);
        assert_eq!(EventHour::from_unix_seconds(T).unix_seconds(), T - 44 * 60 - 11);
    }
}
