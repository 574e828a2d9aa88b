//! A record's text out of its template and its values.
//!
//! Owns how each form of value is written. Does not own where the values are: cells while a record is read, arrays in a query.

use jiff::Timestamp;

use super::leaf::{Form, Leaf};
use super::template::{Piece, escape, pieces};

/// A value that fills a hole.
pub(crate) enum Filling<'v> {
    /// A text, or JSON.
    Text(&'v str),
    /// Seconds since the Unix epoch.
    Seconds(i64),
}

/// Writes the text that `template` and the values stand for. False, and an unfinished text, if there is no value for a hole.
pub(crate) fn write_text<'v>(
    template: &str,
    leaves: &[Leaf],
    out: &mut Vec<u8>,
    mut value: impl FnMut(usize, Option<usize>) -> Option<Filling<'v>>,
) -> bool {
    for piece in pieces(template) {
        match piece {
            Piece::Text(text) => out.extend_from_slice(text.as_bytes()),
            Piece::Hole { leaf, element } => match (leaves.get(leaf).map(|leaf| leaf.form), value(leaf, element)) {
                (Some(Form::Text), Some(Filling::Text(text))) => escape(text, out),
                (Some(Form::Json), Some(Filling::Text(json))) => out.extend_from_slice(json.as_bytes()),
                (Some(Form::Time), Some(Filling::Seconds(seconds))) => write_time(seconds, out),
                _ => return false,
            },
        }
    }
    true
}

/// A time as CloudTrail writes it: `YYYY-MM-DDThh:mm:ssZ`. Nothing for one that no calendar has.
pub(crate) fn write_time(seconds: i64, out: &mut Vec<u8>) {
    let Ok(time) = Timestamp::from_second(seconds) else { return };
    let time = jiff::tz::Offset::UTC.to_datetime(time);
    let digits = |out: &mut Vec<u8>, number: i16, behind: u8| {
        out.extend_from_slice(&[b'0' + (number / 10) as u8, b'0' + (number % 10) as u8, behind]);
    };
    let year = time.year();
    if !(0..=9999).contains(&year) {
        return;
    }
    out.extend_from_slice(&[b'0' + (year / 1000) as u8, b'0' + (year / 100 % 10) as u8]);
    digits(out, year % 100, b'-');
    digits(out, i16::from(time.month()), b'-');
    digits(out, i16::from(time.day()), b'T');
    digits(out, i16::from(time.hour()), b':');
    digits(out, i16::from(time.minute()), b':');
    digits(out, i16::from(time.second()), b'Z');
}
