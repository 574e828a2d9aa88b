//! Time as CloudTrail writes it: record times, object key dates and stamps, and the Java dates inside EC2 and STS answers.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::Offset;

/// Distance between two stamps: real `CloudTrail` file names carry minutes that are multiples of five.
pub(super) const STAMP_SECONDS: i64 = 300;

const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

fn civil(seconds: i64) -> DateTime {
    let time = Timestamp::from_second(seconds).expect("a plan's times are within jiff's range");
    Offset::UTC.to_datetime(time)
}

/// Appends `2026-03-01T10:01:07Z`.
pub(super) fn push_iso(seconds: i64, out: &mut Vec<u8>) {
    let time = civil(seconds);
    push_two(time.year() / 100, out);
    push_two(time.year() % 100, out);
    for (mark, value) in
        [(b'-', time.month()), (b'-', time.day()), (b'T', time.hour()), (b':', time.minute()), (b':', time.second())]
    {
        out.push(mark);
        push_two(i16::from(value), out);
    }
    out.push(b'Z');
}

/// Appends `Mar 1, 2026, 9:38:05 AM`, with `space` before AM or PM.
pub(super) fn push_java(seconds: i64, space: &str, out: &mut Vec<u8>) {
    let time = civil(seconds);
    out.extend_from_slice(MONTHS[usize::from(time.month().unsigned_abs()) - 1].as_bytes());
    out.push(b' ');
    push_number(u64::from(time.day().unsigned_abs()), out);
    out.extend_from_slice(b", ");
    push_number(u64::from(time.year().unsigned_abs()), out);
    out.extend_from_slice(b", ");
    let hour = time.hour() % 12;
    push_number(u64::from(if hour == 0 { 12 } else { hour }.unsigned_abs()), out);
    out.push(b':');
    push_two(i16::from(time.minute()), out);
    out.push(b':');
    push_two(i16::from(time.second()), out);
    out.extend_from_slice(space.as_bytes());
    out.extend_from_slice(if time.hour() < 12 { b"AM" } else { b"PM" });
}

/// Appends a number in decimal.
pub(super) fn push_number(mut number: u64, out: &mut Vec<u8>) {
    let from = out.len();
    loop {
        out.push(b'0' + (number % 10) as u8);
        number /= 10;
        if number == 0 {
            break;
        }
    }
    out[from..].reverse();
}

fn push_two(value: i16, out: &mut Vec<u8>) {
    let value = value.unsigned_abs() as u8;
    out.push(b'0' + value / 10 % 10);
    out.push(b'0' + value % 10);
}

/// `2026-03-01T10:01:07Z`.
pub(super) fn iso(seconds: i64) -> String {
    let mut out = Vec::with_capacity(20);
    push_iso(seconds, &mut out);
    String::from_utf8(out).expect("digits and marks are ASCII")
}

/// `2026/03/01`, the day folder of an object key.
pub(super) fn day_folder(seconds: i64) -> String {
    let time = civil(seconds);
    format!("{:04}/{:02}/{:02}", time.year(), time.month(), time.day())
}

/// `20260301T1005Z`, the stamp of a log file's name.
pub(super) fn stamp(seconds: i64) -> String {
    let time = civil(seconds);
    format!("{:04}{:02}{:02}T{:02}{:02}Z", time.year(), time.month(), time.day(), time.hour(), time.minute())
}

/// Reads a log file's stamp back, `20260301T1005Z`; none when the text is no stamp.
pub(super) fn parse_stamp(text: &str) -> Option<i64> {
    let time = DateTime::strptime("%Y%m%dT%H%MZ", text).ok()?;
    Some(Offset::UTC.to_timestamp(time).ok()?.as_second())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn times_are_written_as_cloudtrail_writes_them() {
        let noon = 1_772_365_085; // 2026-03-01T11:38:05Z
        assert_eq!(iso(noon), "2026-03-01T11:38:05Z");
        assert_eq!(day_folder(noon), "2026/03/01");
        assert_eq!(stamp(noon), "20260301T1138Z");
        assert_eq!(parse_stamp("20260301T1138Z"), Some(noon - 5));
        assert_eq!(parse_stamp("20260301T1138"), None);
        let mut out = Vec::new();
        push_java(noon, " ", &mut out);
        out.push(b'|');
        push_java(noon + 13 * 3600, "\u{202f}", &mut out);
        assert_eq!(String::from_utf8(out).unwrap(), "Mar 1, 2026, 11:38:05 AM|Mar 2, 2026, 12:38:05\u{202f}AM");
    }
}
