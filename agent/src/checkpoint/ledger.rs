//! The conservation ledger of objects: listed = done + skipped + quarantined + in flight.
//!
//! Owns the counters and the rule; they are kept in the tree and change in the same atomic batch as the entry that they
//! count. *In flight* alone is counted from the entries themselves, so that the equation can fail.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::entry::{Entry, State};

/// Whom a row of the ledger is about.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct RowKey {
    /// The source's location: stays the same when an operator renames the source.
    pub(crate) location: String,
    pub(crate) account: String,
    pub(crate) region: String,
}

/// The counters of one row, since the checkpoint was made.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Ledger {
    /// Object versions that listings named.
    pub(crate) listed: u64,
    /// Of these, versions that replaced one already taken.
    pub(crate) changed: u64,
    /// In the aggregator's journal or further.
    pub(crate) done: u64,
    /// Of these, at every destination.
    pub(crate) delivered: u64,
    /// Gzip bytes of the done objects.
    pub(crate) bytes: u64,
    pub(crate) skipped: BTreeMap<Box<str>, u64>,
    pub(crate) quarantined: BTreeMap<Box<str>, u64>,
    /// Log files of closed days that verified digests cover and none of them lists.
    pub(crate) unlisted: u64,
    /// Unix seconds of the newest stamp among the done objects' keys.
    pub(crate) newest_stamp: Option<i64>,
}

impl Ledger {
    /// Adds the entry to the counter that its state belongs to.
    pub(super) fn add(&mut self, entry: &Entry) {
        match &entry.state {
            State::Claimed => {}
            State::Acked { .. } => {
                self.done += 1;
                self.bytes += entry.size;
            }
            State::Delivered => {
                self.done += 1;
                self.bytes += entry.size;
                self.delivered += 1;
            }
            State::Quarantined { reason, .. } => *self.quarantined.entry(reason.clone()).or_default() += 1,
            State::Skipped { reason } => *self.skipped.entry(reason.clone()).or_default() += 1,
        }
    }

    /// Takes the entry off the counter that its state belonged to.
    pub(super) fn subtract(&mut self, entry: &Entry) {
        match &entry.state {
            State::Claimed => {}
            State::Acked { .. } => {
                self.done = self.done.saturating_sub(1);
                self.bytes = self.bytes.saturating_sub(entry.size);
            }
            State::Delivered => {
                self.done = self.done.saturating_sub(1);
                self.bytes = self.bytes.saturating_sub(entry.size);
                self.delivered = self.delivered.saturating_sub(1);
            }
            State::Quarantined { reason, .. } => decrement(&mut self.quarantined, reason),
            State::Skipped { reason } => decrement(&mut self.skipped, reason),
        }
    }

    pub(crate) fn skipped_total(&self) -> u64 {
        self.skipped.values().sum()
    }

    pub(crate) fn quarantined_total(&self) -> u64 {
        self.quarantined.values().sum()
    }
}

fn decrement(counts: &mut BTreeMap<Box<str>, u64>, reason: &str) {
    if let Some(count) = counts.get_mut(reason) {
        *count = count.saturating_sub(1);
        if *count == 0 {
            counts.remove(reason);
        }
    }
}

/// A row with what is counted apart from the counters.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    pub(crate) key: RowKey,
    pub(crate) ledger: Ledger,
    /// Claimed entries.
    pub(crate) in_flight: u64,
}

impl Row {
    /// The promise: nothing is lost between the counters.
    pub(crate) fn is_conserved(&self) -> bool {
        let ledger = &self.ledger;
        ledger.listed == ledger.done + ledger.skipped_total() + ledger.quarantined_total() + self.in_flight
    }
}

/// Sums over all rows, for progress and for knowing when nothing is left to do.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Progress {
    /// Object versions that listings named, since the checkpoint was made.
    pub listed: u64,
    /// In the aggregator's journal or further.
    pub done: u64,
    /// At every destination.
    pub delivered: u64,
    /// Not to be shipped: digests without `digest_keys`, foreign files.
    pub skipped: u64,
    /// In quarantine.
    pub quarantined: u64,
    /// Claimed, not answered yet.
    pub in_flight: u64,
    /// Answered, not known to be at every destination yet.
    pub undelivered: u64,
    /// Gzip bytes of the done objects.
    pub bytes: u64,
}

impl Progress {
    pub(super) fn sum<'a>(rows: impl Iterator<Item = &'a Row>, undelivered: u64) -> Self {
        rows.fold(Self { undelivered, ..Self::default() }, |sum, row| sum.plus(row))
    }

    /// The sum with one row's old values replaced by its new ones: rows are many, changes touch few.
    pub(super) fn replace(self, old: &Row, new: &Row) -> Self {
        let minus = |total: u64, old: u64, new: u64| (total + new).saturating_sub(old);
        Self {
            listed: minus(self.listed, old.ledger.listed, new.ledger.listed),
            done: minus(self.done, old.ledger.done, new.ledger.done),
            delivered: minus(self.delivered, old.ledger.delivered, new.ledger.delivered),
            skipped: minus(self.skipped, old.ledger.skipped_total(), new.ledger.skipped_total()),
            quarantined: minus(self.quarantined, old.ledger.quarantined_total(), new.ledger.quarantined_total()),
            in_flight: minus(self.in_flight, old.in_flight, new.in_flight),
            bytes: minus(self.bytes, old.ledger.bytes, new.ledger.bytes),
            undelivered: self.undelivered,
        }
    }

    fn plus(self, row: &Row) -> Self {
        let empty = Row { key: row.key.clone(), ledger: Ledger::default(), in_flight: 0 };
        self.replace(&empty, row)
    }
}
