//! What is said of a trail's log group, out of the journal's books.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::journal::Books;
use crate::trail::cloudwatch_destination;

/// A trail's log group, or the folder in its place: `read = delivered + diverted + duplicate + filtered + quarantined +
/// pending + before`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CloudWatchStatus {
    /// Records that it took.
    pub delivered: u64,
    /// Records that it doesn't take, by reason; the trail's objects hold them.
    pub diverted: BTreeMap<String, u64>,
    /// Records that the trail's selectors passed over.
    pub filtered: u64,
    /// Records sent again by a replay.
    pub replayed: u64,
    /// Records in the journal that it waits for.
    pub pending: u64,
    /// Records that were taken before it was configured; they are not sent.
    pub before: u64,
    /// Whether the equation holds.
    pub balanced: bool,
    /// Batches that were taken.
    pub batches: u64,
    /// Bytes of messages that were taken, those of pointers and of repeated records included.
    pub bytes: u64,
    /// Stamp of the newest file that anything was sent of, Unix seconds; 0 when there is none.
    pub newest_stamp: i64,
}

impl CloudWatchStatus {
    /// As of the moment of the books; None where the trail has no such destination.
    pub(crate) fn of(books: &Books, trail: &str) -> Option<Self> {
        let destination = cloudwatch_destination(trail);
        let cursor = books.cursors.get(&destination)?;
        let read = books.ledger.ingested_total();
        let sent = books.ledger.delivered_total(&destination);
        let diverted: u64 = sent.diverted.values().sum();
        let accounted = sent.delivered + diverted + sent.filtered + cursor.pending + cursor.before;
        Some(Self {
            balanced: read.read - read.duplicate - read.quarantined == accounted,
            delivered: sent.delivered,
            filtered: sent.filtered,
            replayed: sent.replayed,
            pending: cursor.pending,
            before: cursor.before,
            batches: sent.objects,
            bytes: sent.bytes,
            newest_stamp: sent.newest_stamp,
            diverted: sent.diverted,
        })
    }
}
