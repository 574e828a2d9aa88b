//! What the aggregator says of itself: the record ledger, its trails, the journal. One struct for the state folder's
//! `status.json`, the `/status` page and `orgtrail status`.

use std::collections::{BTreeMap, BTreeSet};

use orgtrail_service::health::Report;
use serde::{Deserialize, Serialize};

use crate::cloudwatch::CloudWatchStatus;
use crate::config::Config;
use crate::journal::digests::DigestCount;
use crate::journal::{Books, Journal};
use crate::replay::job::JobSummary;
use crate::usage::Count;

/// All of it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Status {
    /// What came in, over all accounts and regions.
    pub records: Records,
    /// One for each trail.
    pub trails: Vec<TrailStatus>,
    /// One for each account and region that anything came from.
    pub places: Vec<Place>,
    /// The hand-off.
    pub journal: JournalStatus,
    /// Replays that are not over: the one that is worked on, then those that wait.
    #[serde(default)]
    pub replays: Vec<JobSummary>,
    /// Entries in quarantine, by reason.
    pub quarantine: BTreeMap<String, u64>,
    /// Names of the agents that are connected.
    pub agents_connected: Vec<String>,
    /// What of the usage ledger isn't in its files.
    #[serde(default)]
    pub usage: UsageStatus,
    /// What isn't as it should be.
    pub health: Report,
}

/// The usage ledger's part; its rows are in the files of `<state_dir>/usage`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct UsageStatus {
    /// Records read that no row counts: of days that are not kept, or read before there was a usage ledger.
    pub outside: Count,
    /// The trails that digests say deliver to a source's folder.
    pub trails: BTreeMap<String, BTreeSet<String>>,
}

/// What came in.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Records {
    /// Records read, bad stretches included.
    pub read: u64,
    /// Left out as duplicates.
    pub duplicate: u64,
    /// Bad stretches, quarantined.
    pub quarantined: u64,
    /// Kept although their eventID came over other bytes before.
    pub id_conflicts: u64,
    /// Objects taken.
    pub objects: u64,
    /// Objects that were offered again after a lost answer.
    pub objects_again: u64,
    /// Verified source digests taken.
    #[serde(default)]
    pub source_digests: u64,
    /// Inflated bytes of the objects.
    pub json_bytes: u64,
}

/// One trail: `read = delivered + duplicate + filtered + quarantined + pending`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct TrailStatus {
    /// The trail's name.
    pub name: String,
    /// Where it is delivered to.
    pub location: String,
    /// Records in the destination.
    pub delivered: u64,
    /// Records that its selectors passed over.
    pub filtered: u64,
    /// Records in the journal that it waits for.
    pub pending: u64,
    /// Records that were taken before this trail was configured; they are not in its destination.
    pub before: u64,
    /// Records delivered again by replays.
    #[serde(default)]
    pub replayed: u64,
    /// Whether the equation holds.
    pub balanced: bool,
    /// Objects written.
    pub objects: u64,
    /// Of those, byte for byte as they came.
    pub verbatim_objects: u64,
    /// gzip bytes written.
    pub bytes: u64,
    /// Its digests; absent where it writes none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digests: Option<DigestCount>,
    /// Its log group; absent where it has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cloudwatch: Option<CloudWatchStatus>,
}

/// One account and region.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Place {
    /// The account.
    pub account: String,
    /// The region.
    pub region: String,
    /// Objects taken.
    pub objects: u64,
    /// Records read.
    pub read: u64,
    /// Left out as duplicates.
    pub duplicate: u64,
    /// Bad stretches.
    pub quarantined: u64,
    /// Records delivered, by trail.
    pub delivered: BTreeMap<String, u64>,
    /// Newest eventTime taken, Unix seconds; 0 when none was readable.
    pub newest_event: i64,
    /// Stamp of the newest file taken, Unix seconds.
    pub newest_stamp: i64,
    /// Stamp of the newest file that each trail holds, Unix seconds; 0 when it holds none.
    pub newest_delivered: BTreeMap<String, i64>,
}

/// The hand-off.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct JournalStatus {
    /// Names this opening of the journal.
    pub epoch: u64,
    /// Objects that wait for some trail.
    pub objects_waiting: u64,
    /// Their gzip bytes.
    pub payload_bytes: u64,
    /// How many bytes may wait.
    pub capacity: u64,
    /// Bytes of its folder.
    pub disk_bytes: u64,
    /// Memory of the records remembered for deduplication.
    pub seen_bytes: u64,
}

/// Everything as of now. `connected` are the agents with an open stream.
pub(crate) fn status(
    config: &Config,
    journal: &Journal,
    quarantine: BTreeMap<String, u64>,
    agents_connected: Vec<String>,
    health: Report,
) -> Status {
    let books = journal.books();
    let usage = journal.usage();
    let total = books.ledger.ingested_total();
    Status {
        trails: trails(config, &books),
        places: places(&books),
        records: Records {
            read: total.read,
            duplicate: total.duplicate,
            quarantined: total.quarantined,
            id_conflicts: total.id_conflicts,
            objects: total.objects,
            objects_again: total.objects_again,
            source_digests: total.source_digests,
            json_bytes: total.json_bytes,
        },
        journal: JournalStatus {
            epoch: journal.epoch(),
            objects_waiting: usage.head - usage.delivered,
            payload_bytes: usage.payload_bytes,
            capacity: usage.capacity,
            disk_bytes: usage.disk_bytes,
            seen_bytes: usage.seen_bytes,
        },
        replays: Vec::new(),
        usage: UsageStatus { outside: journal.usage_outside(), trails: journal.origin_trails() },
        quarantine,
        agents_connected,
        health,
    }
}

fn trails(config: &Config, books: &Books) -> Vec<TrailStatus> {
    let read = books.ledger.ingested_total();
    let row = |trail: &crate::config::TrailConfig| {
        let delivered = books.ledger.delivered_total(&trail.name);
        let cursor = books.cursors[&trail.name];
        let kept = read.read - read.duplicate - read.quarantined;
        TrailStatus {
            name: trail.name.clone(),
            location: trail.location.as_ref().map(ToString::to_string).unwrap_or_default(),
            delivered: delivered.delivered,
            filtered: delivered.filtered,
            pending: cursor.pending,
            before: cursor.before,
            replayed: delivered.replayed,
            balanced: kept == delivered.delivered + delivered.filtered + cursor.pending + cursor.before,
            objects: delivered.objects,
            verbatim_objects: delivered.verbatim_objects,
            bytes: delivered.bytes,
            digests: trail.signing_key_id.as_ref().map(|_| books.digests.get(&trail.name).cloned().unwrap_or_default()),
            cloudwatch: CloudWatchStatus::of(books, &trail.name),
        }
    };
    config.trails.iter().map(row).collect()
}

fn places(books: &Books) -> Vec<Place> {
    let place = |((account, region), row): (&(String, String), &crate::journal::ledger::Ingested)| {
        let key = (account.clone(), region.clone());
        let delivered = books.ledger.delivered.iter();
        let delivered = delivered.filter(|(name, _)| books.cursors.contains_key(*name));
        let rows: Vec<_> = delivered.map(|(name, rows)| (name, rows.get(&key))).collect();
        Place {
            account: account.clone(),
            region: region.clone(),
            objects: row.objects,
            read: row.read,
            duplicate: row.duplicate,
            quarantined: row.quarantined,
            delivered: rows.iter().map(|(name, row)| ((*name).clone(), row.map_or(0, |row| row.delivered))).collect(),
            newest_event: row.newest_event,
            newest_stamp: row.newest_stamp,
            newest_delivered: rows
                .iter()
                .map(|(name, row)| ((*name).clone(), row.map_or(0, |row| row.newest_stamp)))
                .collect(),
        }
    };
    books.ledger.ingested.iter().map(place).collect()
}
