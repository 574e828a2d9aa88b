//! What an agent says about itself: in its state folder, on `/status`, and to `orgtrail status`.
//!
//! Owns the shape, which operators' scripts read: fields are added, not renamed. Does not own the numbers.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::backfill::job::Job;
pub use crate::checkpoint::{Gap, GapKind};

/// Everything an agent has to say.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Status {
    /// The agent's name.
    pub name: String,
    /// All objects since the checkpoint was made.
    pub objects: Objects,
    /// Entries in the quarantine by reason, without those that an operator dropped.
    pub quarantine: BTreeMap<String, u64>,
    /// The same for each account and region of each source.
    pub rows: Vec<Row>,
    /// How far digests prove that nothing is missing, by account, region and trail.
    pub completeness: Vec<Completeness>,
    /// The sources that are watched, by name.
    pub sources: Vec<Source>,
    /// The organizations whose accounts are read.
    pub organizations: Vec<Organization>,
    /// The link to the aggregator.
    pub link: Link,
    /// What is watched.
    pub folders: Folders,
    /// Regions of event histories that are left out, and why: no errors.
    pub skipped_regions: Vec<SkippedRegion>,
    /// The queues that tell of new objects.
    pub notifications: Vec<Notifications>,
    /// The backfills that are not over, the one that is worked on first.
    pub backfills: Vec<Job>,
    /// Requests to sources and queues since the process started, by operation.
    pub requests: BTreeMap<String, Requests>,
    /// Folders of exported logs, and what was found in them.
    pub exported_logs: Vec<ExportedLogs>,
    /// What does not work right now: the part, and why.
    pub degraded: BTreeMap<String, String>,
}

/// How far the digests of one trail prove an account and region complete.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Completeness {
    /// The source's name; its location where the configuration does not name it any more.
    pub source: String,
    /// The account in the keys.
    pub account: String,
    /// The region in the keys.
    pub region: String,
    /// The trail's name, as the digests' keys have it; none where no digest was verified.
    pub trail: Option<String>,
    /// What can be said.
    pub proved: Proved,
    /// Start of the first verified digest, Unix seconds.
    pub since: Option<i64>,
    /// Nothing is missing between `since` and this, Unix seconds.
    pub complete_until: Option<i64>,
    /// End of the newest verified digest, Unix seconds.
    pub verified_until: Option<i64>,
    /// Verified digests.
    pub digests: u64,
    /// Log files that were taken and are what their digests say.
    pub log_files: u64,
    /// Log files of days that digests cover and that none of them lists, in the whole account and region.
    pub unlisted: u64,
    /// What is not proved, at most 1000.
    pub gaps: Vec<Gap>,
    /// How many there are.
    pub gaps_total: u64,
}

/// What digests say of an account and region.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Proved {
    /// There are no digests, or no `digest_keys` to verify them with: whether something is missing can't be told.
    #[default]
    Unprovable,
    /// Nothing is missing up to `complete_until`.
    Complete,
    /// Something is missing or was tampered with: the gaps.
    Incomplete,
    /// Nothing is known to be missing, but the next digest should have come.
    Overdue,
}

/// The ledger: listed = done + skipped + quarantined + in flight.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Objects {
    /// Object versions that listings named.
    pub listed: u64,
    /// In the aggregator's journal, or further.
    pub done: u64,
    /// Of these, at every destination.
    pub delivered: u64,
    /// Not to be shipped, by reason: `digest`, `foreign`, `replaced`.
    pub skipped: BTreeMap<String, u64>,
    /// In quarantine, by reason.
    pub quarantined: BTreeMap<String, u64>,
    /// Claimed, and not answered yet.
    pub in_flight: u64,
    /// Versions that took the place of one already taken.
    pub changed: u64,
    /// Gzip bytes of the done objects.
    pub bytes: u64,
}

impl Objects {
    /// Whether nothing is unaccounted for.
    pub fn is_conserved(&self) -> bool {
        let sum = |counts: &BTreeMap<String, u64>| counts.values().sum::<u64>();
        self.listed == self.done + sum(&self.skipped) + sum(&self.quarantined) + self.in_flight
    }

    /// Adds another ledger to this one.
    pub(crate) fn add(&mut self, other: &Self) {
        let Self { listed, done, delivered, skipped, quarantined, in_flight, changed, bytes } = other;
        self.listed += listed;
        self.done += done;
        self.delivered += delivered;
        self.in_flight += in_flight;
        self.changed += changed;
        self.bytes += bytes;
        for (into, from) in [(&mut self.skipped, skipped), (&mut self.quarantined, quarantined)] {
            for (reason, count) in from {
                *into.entry(reason.clone()).or_default() += count;
            }
        }
    }
}

/// The ledger of one account and region.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Row {
    /// The source's name; its location where the configuration does not name it any more.
    pub source: String,
    /// The account in the keys.
    pub account: String,
    /// The region in the keys.
    pub region: String,
    /// How its keys are laid out above the account, as found since the process started: `AWSLogs/<account>`,
    /// `AWSLogs/o-…/<account>`, either below a prefix. Several are joined by a comma.
    pub layout: String,
    /// The ledger.
    pub objects: Objects,
    /// Unix seconds of the stamp of the newest acknowledged log file; the lag behind CloudTrail is now minus this.
    pub newest_stamp: Option<i64>,
    /// When the newest whole listing of the account and region began, Unix seconds; none since the process started if
    /// absent.
    pub last_listed: Option<i64>,
}

/// A region that an account's events are not read in, because it is closed to the account.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SkippedRegion {
    /// The source's name.
    pub source: String,
    /// The account.
    pub account: String,
    /// The region.
    pub region: String,
    /// `region_not_enabled`, `denied_by_policy`, each with what AWS said; or the region's state.
    pub reason: String,
}

/// A source with what was found in it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Source {
    /// Its name.
    pub name: String,
    /// Its location.
    pub location: String,
    /// Its folders by how their keys are laid out above the account.
    pub layouts: BTreeMap<String, u64>,
}

/// An organization whose accounts are read.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Organization {
    /// Its name in the configuration.
    pub name: String,
    /// When its accounts were last listed, Unix seconds.
    pub listed_at: Option<i64>,
    /// Why they cannot be listed now; the last list is used.
    pub trouble: Option<String>,
    /// Accounts that are read.
    pub read: u64,
    /// Accounts that are not selected.
    pub excluded: u64,
    /// Accounts that were closed, and of which everything known is settled.
    pub gone: u64,
    /// Accounts that were closed, suspended or removed, and are still read.
    pub draining: Vec<String>,
    /// Accounts that should deliver, and of which no file was ever found.
    pub silent: Vec<String>,
    /// Accounts whose source cannot be made, each with the reason.
    pub refused: Vec<String>,
}

/// What was found in a folder of exported logs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ExportedLogs {
    /// The source's name.
    pub source: String,
    /// Files that were read.
    pub files: u64,
    /// Files that were written to just now and are not read yet.
    pub pending: u64,
    /// Records in them.
    pub records: u64,
    /// Objects that the records make up, one for each file, account, region and day at least.
    pub objects: u64,
    /// Stretches in files of records that are no record, each in the quarantine.
    pub bad_stretches: u64,
    /// Files without a single record.
    pub foreign: u64,
    /// The first of these.
    pub foreign_files: Vec<String>,
}

/// The link to the aggregator.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Link {
    /// Its address.
    pub endpoint: String,
    /// Whether it stands.
    pub connected: bool,
    /// Why not.
    pub trouble: Option<String>,
    /// The aggregator's journal, as it last said.
    pub epoch: Option<u64>,
    /// Everything in the journal below this is at every destination.
    pub delivered_seq_end: u64,
    /// Objects acknowledged and not delivered.
    pub undelivered: u64,
}

/// What is watched.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Folders {
    /// Folders that the sources have now.
    pub watched: u64,
    /// Folders that the checkpoint knows.
    pub known: u64,
    /// Days whose objects the checkpoint remembers one by one.
    pub days_open: u64,
}

/// A queue that tells of new objects.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Notifications {
    /// Its URL.
    pub queue: String,
    /// The names of the sources that it is written for.
    pub sources: Vec<String>,
    /// Messages since the process started, by what became of them: `taken`, `passed_over`, `control`, `foreign`, `parked`,
    /// `returned`.
    pub messages: BTreeMap<String, u64>,
    /// Messages in work.
    pub in_work: u64,
    /// When the oldest message in work was sent, Unix seconds.
    pub oldest_sent: Option<i64>,
    /// Messages that wait, as the queue last said.
    pub waiting: Option<u64>,
    /// Why the queue can't be read, while it can't.
    pub trouble: Option<String>,
}

/// Requests of one operation.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Requests {
    /// How many.
    pub requests: u64,
    /// What they cost at AWS's list prices, US dollars.
    pub dollars: f64,
}
