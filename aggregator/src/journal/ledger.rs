//! The record ledger: `read = delivered + diverted + duplicate + filtered + quarantined + pending`, for every destination.
//!
//! Each change is written in the same atomic write as what it counts, so a crash neither loses nor repeats a count.
//! `pending` is not derived from the others: it is the sum over the journal's own entries, which is what makes the equation
//! a check.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Account and region, as the objects' keys name them.
pub type Place = (String, String);

/// What came in from one account and region.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ingested {
    /// Objects taken.
    pub objects: u64,
    /// Objects offered again after their answer was lost: recognised, their records counted once.
    pub objects_again: u64,
    /// Records read, bad ones included.
    pub read: u64,
    /// Records left out as duplicates.
    pub duplicate: u64,
    /// Bad stretches of files, each quarantined with its place.
    pub quarantined: u64,
    /// Records kept although their eventID was seen over other bytes.
    pub id_conflicts: u64,
    /// Inflated bytes of the objects.
    pub json_bytes: u64,
    /// Newest eventTime, Unix seconds; 0 when none was readable.
    pub newest_event: i64,
    /// Newest stamp of an object's key (when CloudTrail cut the file), Unix seconds.
    pub newest_stamp: i64,
    /// Verified source digests taken.
    #[serde(default)]
    pub source_digests: u64,
}

/// What one trail's destination holds of one account and region.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delivered {
    /// Records in the destination, replayed ones aside.
    pub delivered: u64,
    /// Records passed over by the trail's selectors.
    pub filtered: u64,
    /// Records that the destination doesn't take, by reason; the trail's objects hold them. Only CloudWatch Logs has such.
    #[serde(default)]
    pub diverted: BTreeMap<String, u64>,
    /// Records delivered again by a replay.
    #[serde(default)]
    pub replayed: u64,
    /// Objects written.
    pub objects: u64,
    /// Of those, written byte for byte as they came.
    pub verbatim_objects: u64,
    /// gzip bytes written.
    pub bytes: u64,
    /// Newest stamp of an object that was delivered, Unix seconds.
    pub newest_stamp: i64,
}

/// All counters, in memory; the store holds the same.
#[derive(Debug, Clone, Default)]
pub struct Ledger {
    /// By account and region.
    pub ingested: BTreeMap<Place, Ingested>,
    /// By trail, account and region.
    pub delivered: BTreeMap<String, BTreeMap<Place, Delivered>>,
}

impl Ledger {
    /// Sums over all accounts and regions.
    pub fn ingested_total(&self) -> Ingested {
        let mut total = Ingested::default();
        for row in self.ingested.values() {
            total.objects += row.objects;
            total.objects_again += row.objects_again;
            total.read += row.read;
            total.duplicate += row.duplicate;
            total.quarantined += row.quarantined;
            total.id_conflicts += row.id_conflicts;
            total.json_bytes += row.json_bytes;
            total.source_digests += row.source_digests;
            total.newest_event = total.newest_event.max(row.newest_event);
            total.newest_stamp = total.newest_stamp.max(row.newest_stamp);
        }
        total
    }

    /// Sums over all accounts and regions of one trail.
    pub fn delivered_total(&self, trail: &str) -> Delivered {
        let mut total = Delivered::default();
        for row in self.delivered.get(trail).into_iter().flat_map(BTreeMap::values) {
            total.add(row);
        }
        total
    }
}

impl Delivered {
    /// Adds another row's counts.
    pub fn add(&mut self, other: &Self) {
        self.delivered += other.delivered;
        self.filtered += other.filtered;
        for (reason, count) in &other.diverted {
            *self.diverted.entry(reason.clone()).or_default() += count;
        }
        self.replayed += other.replayed;
        self.objects += other.objects;
        self.verbatim_objects += other.verbatim_objects;
        self.bytes += other.bytes;
        self.newest_stamp = self.newest_stamp.max(other.newest_stamp);
    }
}
