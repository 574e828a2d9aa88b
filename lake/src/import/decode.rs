//! A trail's objects to rows.
//!
//! Owns reading an object's bytes: which of its records an event data store takes, and the account of all of them. An object
//! that can't be read is told with the reason and never stops the others. Stateless.

use bytes::Bytes;
use jiff::civil::Date;
use orgtrail_event::configuration;
use orgtrail_event::gzip::Inflater;
use orgtrail_event::log_file::{self, Item, Limits};
use orgtrail_event::selector::Selection;

use super::discover::Found;
use crate::kind::Kind;
use crate::rows::Rows;

/// The largest content of an object. CloudTrail's files stop at 50 MB; those of others need not.
const CONTENT_BYTES_MAX: usize = 1 << 30;

/// What became of an object's records. `read` is the sum of all others.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Account {
    /// Records in the object, bad stretches included.
    pub(crate) read: u64,
    /// Rows that came of it.
    pub(crate) kept: u64,
    /// Of another kind, or not selected.
    pub(crate) filtered: u64,
    /// Older than the event data store's retention.
    pub(crate) expired: u64,
    /// Not readable; the rest of the object counts.
    pub(crate) bad: u64,
    /// The first bad stretch, or why nothing could be read.
    pub(crate) problem: Option<String>,
    /// Nothing could be read at all.
    pub(crate) is_unreadable: bool,
}

/// Which records are taken.
#[derive(Clone, Debug)]
pub(crate) struct Taking {
    pub(crate) kind: Kind,
    /// None for configuration items, which selectors can't tell apart.
    pub(crate) selection: Option<Selection>,
    /// Days since the Unix epoch before which records are expired.
    pub(crate) from_day: Option<i32>,
}

/// Adds the rows of an object.
pub(crate) fn decode(found: &Found, gz: &Bytes, taking: &Taking, inflater: &mut Inflater, rows: &mut Rows) -> Account {
    let mut account = Account::default();
    let mut json = Vec::new();
    let inflated;
    let json: &[u8] = if gz.starts_with(b"\x1f\x8b") {
        match inflater.inflate(gz, CONTENT_BYTES_MAX, &mut json) {
            Ok(_) => inflated = json,
            Err(error) => return unreadable(error),
        }
        &inflated
    } else {
        // Some clients inflate on the way into a bucket.
        gz
    };
    let day = days_since_epoch(found.date);
    match taking.kind {
        Kind::ConfigurationItem => match configuration::read(json, &Limits::default()) {
            Ok(items) => take_all(items, found, day, taking, rows, &mut account),
            Err(error) => return unreadable(error),
        },
        _ => match log_file::read(json, &Limits::default()) {
            Ok(items) => take_all(items, found, day, taking, rows, &mut account),
            Err(error) => return unreadable(error),
        },
    }
    account
}

fn unreadable(error: impl std::fmt::Display) -> Account {
    Account { problem: Some(error.to_string()), is_unreadable: true, ..Account::default() }
}

fn take_all<'a>(
    items: impl Iterator<Item = Item<'a>>,
    found: &Found,
    day: i32,
    taking: &Taking,
    rows: &mut Rows,
    account: &mut Account,
) {
    for item in items {
        account.read += 1;
        let record = match item {
            Item::Record(record) => record,
            Item::Bad(bad) => {
                account.bad += 1;
                account.problem.get_or_insert_with(|| format!("at byte {}: {}", bad.offset, bad.reason));
                continue;
            }
        };
        let is_taken = match &taking.selection {
            None => true,
            Some(selection) => {
                taking.kind.holds(&record.header.category())
                    && selection.keeps(&record.header, &found.account, &found.region)
            }
        };
        let seconds = record.header.event_seconds();
        let event_day = seconds.map_or(day, |seconds| seconds.div_euclid(86_400) as i32);
        if !is_taken {
            account.filtered += 1;
        } else if taking.from_day.is_some_and(|from| event_day < from) {
            account.expired += 1;
        } else {
            account.kept += 1;
            rows.push(record.raw, &found.key, day);
        }
    }
}

/// A day as Arrow counts them.
pub(crate) fn days_since_epoch(day: Date) -> i32 {
    let epoch = jiff::civil::date(1970, 1, 1);
    epoch.until(day).map_or(0, |span| span.get_days())
}
