//! Patterns for moments: Joda-Time's (`yyyy-MM-dd`) and MySQL's (`%Y-%m-%d`).

use std::fmt::Write as _;

use jiff::civil::{DateTime, Weekday};

/// A pattern that was read.
#[derive(Clone, Debug)]
pub(super) struct Format {
    pieces: Vec<Piece>,
}

#[derive(Clone, Debug)]
enum Piece {
    Literal(String),
    /// With at least so many digits; of two, the century is left out.
    Year(usize),
    Number(Part, usize),
    MonthName,
    MonthShort,
    WeekdayName,
    WeekdayShort,
    AmPm,
    /// So many digits of a second's fraction.
    Fraction(usize),
}

#[derive(Clone, Copy, Debug)]
enum Part {
    Month,
    Day,
    DayOfYear,
    Weekday,
    Hour,
    Hour12,
    Minute,
    Second,
}

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

impl Format {
    /// `2026-03-01T16:53:53.000Z`.
    pub(super) fn iso8601() -> Self {
        Self::known("yyyy-MM-dd'T'HH:mm:ss.SSS'Z'")
    }

    /// `2026-03-01 16:53:53.000`, as Trino prints a moment and Lake's results have it.
    pub(super) fn trino() -> Self {
        Self::known("yyyy-MM-dd HH:mm:ss.SSS")
    }

    fn known(pattern: &str) -> Self {
        Self::joda(pattern).unwrap_or(Self { pieces: Vec::new() })
    }

    /// Reads a pattern of Joda-Time's.
    pub(super) fn joda(pattern: &str) -> Result<Self, String> {
        let mut pieces = Vec::new();
        let mut rest = pattern;
        while let Some(first) = rest.chars().next() {
            if first == '\'' {
                let end = rest[1..].find('\'').ok_or("the pattern has a quote that is not closed")?;
                pieces.push(Piece::Literal(if end == 0 { "'".to_owned() } else { rest[1..=end].to_owned() }));
                rest = &rest[end + 2..];
                continue;
            }
            let behind = rest.trim_start_matches(first);
            let count = (rest.len() - behind.len()) / first.len_utf8();
            rest = behind;
            pieces.push(match first {
                'y' | 'Y' | 'x' => Piece::Year(count),
                'M' if count > 3 => Piece::MonthName,
                'M' if count == 3 => Piece::MonthShort,
                'M' => Piece::Number(Part::Month, count),
                'd' => Piece::Number(Part::Day, count),
                'D' => Piece::Number(Part::DayOfYear, count),
                'e' => Piece::Number(Part::Weekday, count),
                'E' if count > 3 => Piece::WeekdayName,
                'E' => Piece::WeekdayShort,
                'H' => Piece::Number(Part::Hour, count),
                'h' => Piece::Number(Part::Hour12, count),
                'm' => Piece::Number(Part::Minute, count),
                's' => Piece::Number(Part::Second, count),
                'S' => Piece::Fraction(count),
                'a' => Piece::AmPm,
                'Z' if count == 1 => Piece::Literal("+0000".to_owned()),
                'Z' if count == 2 => Piece::Literal("+00:00".to_owned()),
                'Z' | 'z' => Piece::Literal("UTC".to_owned()),
                other if other.is_ascii_alphabetic() => return Err(format!("'{other}' is not supported in a pattern")),
                other => Piece::Literal(String::from(other).repeat(count)),
            });
        }
        Ok(Self { pieces })
    }

    /// Reads a pattern of MySQL's.
    pub(super) fn mysql(pattern: &str) -> Result<Self, String> {
        let mut pieces = Vec::new();
        let mut chars = pattern.chars();
        while let Some(char) = chars.next() {
            if char != '%' {
                pieces.push(Piece::Literal(char.to_string()));
                continue;
            }
            let part = chars.next().ok_or("the pattern ends in %")?;
            match part {
                'T' => pieces.extend(Self::joda("HH:mm:ss")?.pieces),
                'r' => pieces.extend(Self::joda("hh:mm:ss a")?.pieces),
                _ => pieces.push(match part {
                    'Y' => Piece::Year(4),
                    'y' => Piece::Year(2),
                    'm' => Piece::Number(Part::Month, 2),
                    'c' => Piece::Number(Part::Month, 1),
                    'M' => Piece::MonthName,
                    'b' => Piece::MonthShort,
                    'd' => Piece::Number(Part::Day, 2),
                    'e' => Piece::Number(Part::Day, 1),
                    'j' => Piece::Number(Part::DayOfYear, 3),
                    'W' => Piece::WeekdayName,
                    'a' => Piece::WeekdayShort,
                    'H' => Piece::Number(Part::Hour, 2),
                    'k' => Piece::Number(Part::Hour, 1),
                    'h' | 'I' => Piece::Number(Part::Hour12, 2),
                    'l' => Piece::Number(Part::Hour12, 1),
                    'i' => Piece::Number(Part::Minute, 2),
                    's' | 'S' => Piece::Number(Part::Second, 2),
                    'f' => Piece::Fraction(6),
                    'p' => Piece::AmPm,
                    '%' => Piece::Literal("%".to_owned()),
                    other => return Err(format!("%{other} is not supported in a pattern")),
                }),
            }
        }
        Ok(Self { pieces })
    }

    /// Appends a moment to `out`.
    pub(super) fn write(&self, at: DateTime, out: &mut String) {
        for piece in &self.pieces {
            // Writing to a string doesn't fail.
            let _written = match piece {
                Piece::Literal(text) => out.write_str(text),
                Piece::Year(2) => write!(out, "{:02}", at.year().rem_euclid(100)),
                Piece::Year(digits) => write!(out, "{:0digits$}", at.year()),
                Piece::Number(part, digits) => write!(out, "{:0digits$}", number(at, *part)),
                Piece::MonthName => out.write_str(month(at)),
                Piece::MonthShort => out.write_str(&month(at)[..3]),
                Piece::WeekdayName => out.write_str(weekday(at)),
                Piece::WeekdayShort => out.write_str(&weekday(at)[..3]),
                Piece::AmPm => out.write_str(if at.hour() < 12 { "AM" } else { "PM" }),
                Piece::Fraction(digits) => {
                    let nanos = format!("{:09}", at.subsec_nanosecond());
                    out.extend(nanos.chars().chain(std::iter::repeat('0')).take(*digits));
                    Ok(())
                }
            };
        }
    }
}

fn number(at: DateTime, part: Part) -> i16 {
    let hour12 = (at.hour() + 11) % 12 + 1;
    match part {
        Part::Month => at.month().into(),
        Part::Day => at.day().into(),
        Part::DayOfYear => at.day_of_year(),
        Part::Weekday => at.weekday().to_monday_one_offset().into(),
        Part::Hour => at.hour().into(),
        Part::Hour12 => hour12.into(),
        Part::Minute => at.minute().into(),
        Part::Second => at.second().into(),
    }
}

fn month(at: DateTime) -> &'static str {
    MONTHS[usize::from(at.month().unsigned_abs()) - 1]
}

fn weekday(at: DateTime) -> &'static str {
    match at.weekday() {
        Weekday::Monday => "Monday",
        Weekday::Tuesday => "Tuesday",
        Weekday::Wednesday => "Wednesday",
        Weekday::Thursday => "Thursday",
        Weekday::Friday => "Friday",
        Weekday::Saturday => "Saturday",
        Weekday::Sunday => "Sunday",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn formatted(format: Result<Format, String>) -> String {
        let mut out = String::new();
        format.unwrap().write(jiff::civil::datetime(2026, 3, 1, 16, 5, 7, 123_456_000), &mut out);
        out
    }

    #[test]
    fn patterns_of_joda_time() {
        assert_eq!(formatted(Format::joda("yyyy-MM-dd HH:mm:ss.SSS")), "2026-03-01 16:05:07.123");
        assert_eq!(formatted(Format::joda("EEE, d MMM yy 'at' h''a DDD e Z")), "Sun, 1 Mar 26 at 4'PM 060 7 +0000");
        assert_eq!(formatted(Format::joda("EEEE MMMM")), "Sunday March");
        assert_eq!(Format::joda("yyyy-ww").unwrap_err(), "'w' is not supported in a pattern");
        assert_eq!(formatted(Ok(Format::iso8601())), "2026-03-01T16:05:07.123Z");
    }

    #[test]
    fn patterns_of_mysql() {
        assert_eq!(formatted(Format::mysql("%Y-%m-%d %H:%i:%s.%f")), "2026-03-01 16:05:07.123456");
        assert_eq!(
            formatted(Format::mysql("%W %e %b %y, %T = %r (%j) 100%%")),
            "Sunday 1 Mar 26, 16:05:07 = 04:05:07 PM (060) 100%"
        );
        assert_eq!(Format::mysql("%v").unwrap_err(), "%v is not supported in a pattern");
    }
}
