//! Makes a small organization's CloudTrail deliveries: several accounts and regions in buckets of different layouts, fat
//! and tiny files, redelivered files, a second trail's copies, late files, damaged files, and the files that stand among
//! logs without being one: signed digests, Insight files, somebody's notes. Every account, address and name is invented.
//!
//! `orgtrail demo`, the benchmark and the end-to-end tests run on it. The same [`Plan`] gives the same bytes. Owns the
//! generated contents, the folders below the output, and the [`Manifest`] that says what a collector must end up with;
//! does not own reading them back (only [`event_ids`], for checks).
//!
//! On a crash: every file appears whole or not at all, and `manifest.json` is written last. A folder without it is
//! unfinished; [`generate`] refuses a folder that already holds one of its buckets.

mod cast;
mod delivery;
mod digests;
mod event_ids;
mod manifest;
mod organization;
mod others;
mod random;
mod run;
mod schedule;
mod template;
mod templates;
mod time;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use jiff::Timestamp;

pub use digests::PUBLIC_KEYS;
pub use event_ids::{EventIds, Unreadable, event_ids};
pub use manifest::{CorruptFile, Corruption, FileKind, Manifest, OtherFile};
pub use organization::Source;

use delivery::{Author, Body, Shelf};
use organization::Organization;
use random::Random;
use templates::Repertoire;

/// Which organization to make.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// Same seed and same plan, same bytes.
    pub seed: u64,
    /// Number of member accounts, 1 to 1000. The first ones are the busiest.
    pub accounts: u32,
    /// Regions every account delivers from, the busiest first.
    pub regions: Vec<String>,
    /// How many hours of deliveries.
    pub hours: u32,
    /// The files' stamps go up to it, rounded down to five minutes.
    pub end: Timestamp,
    /// Mean number of log files per account, region and hour, copies not counted.
    pub files_per_hour: f64,
    /// How many records a file holds.
    pub events_per_file: Size,
    /// Share of log files that are delivered a second time, byte for byte, under another name.
    pub redelivered_share: f64,
    /// Share of log files beside which a second trail writes its own file with the same records in another order.
    pub second_trail_share: f64,
    /// Share of log files whose stamp is 3 to 30 hours older than their neighbours'.
    pub late_share: f64,
    /// Share of log files beside which a damaged copy stands.
    pub corrupt_share: f64,
    /// With an id some accounts deliver the way Control Tower's organization trail does; without, none.
    pub organization_id: Option<String>,
    /// Whether signed digests stand beside the log files: one for each account, region and hour.
    pub digests: bool,
}

/// How many records a log file holds: tiny files, fat files, and the rest log-normal around a typical size.
#[derive(Clone, Debug, PartialEq)]
pub struct Size {
    /// Share of files with `tiny` records.
    pub tiny_share: f64,
    /// Least and most records of a tiny file.
    pub tiny: (u32, u32),
    /// Share of files with `fat` records.
    pub fat_share: f64,
    /// Least and most records of a fat file.
    pub fat: (u32, u32),
    /// Mean number of records of all others.
    pub typical: u32,
}

impl Size {
    /// Nothing but files of 1 to 10 records.
    pub const TINY: Self = Self { tiny_share: 1.0, fat_share: 0.0, ..Self::MIXED };
    /// Nothing but files of 2,000 to 6,000 records.
    pub const FAT: Self = Self { tiny_share: 0.0, fat_share: 1.0, ..Self::MIXED };
    /// What a real delivery looks like: half tiny, a few fat.
    pub const MIXED: Self = Self { tiny_share: 0.5, tiny: (1, 10), fat_share: 0.006, fat: (2_000, 6_000), typical: 35 };

    /// Mean number of records in a file.
    pub fn mean(&self) -> f64 {
        let middle = |(from, to): (u32, u32)| (f64::from(from) + f64::from(to)) / 2.0;
        let others = 1.0 - self.tiny_share - self.fat_share;
        self.tiny_share * middle(self.tiny) + self.fat_share * middle(self.fat) + others * f64::from(self.typical)
    }
}

impl Default for Plan {
    /// The demo's organization: about 40,000 records in a second or two. `end` is a fixed day; set it.
    fn default() -> Self {
        Self {
            seed: 1,
            accounts: 6,
            regions: ["us-east-1", "eu-west-1", "us-west-2", "ap-southeast-2"].map(str::to_owned).to_vec(),
            hours: 24,
            end: Timestamp::constant(1_772_365_500, 0), // 2026-03-01T11:45:00Z
            files_per_hour: 1.6,
            events_per_file: Size::MIXED,
            redelivered_share: 0.04,
            second_trail_share: 0.12,
            late_share: 0.02,
            corrupt_share: 0.012,
            organization_id: Some("o-exampleorg1".to_owned()),
            digests: true,
        }
    }
}

/// Ten years.
const HOURS_MAX: u32 = 87_840;

/// Where `end` may lie, Unix seconds: everything that is reckoned from it stays a date.
const END_SECONDS: std::ops::Range<i64> = 946_684_800..221_845_392_000;

impl Plan {
    /// Sets `files_per_hour` so that about so many different records come out, one file per account and region at least.
    #[must_use]
    pub fn with_records(mut self, records: u64) -> Self {
        let prefixes_hours = f64::from(self.accounts) * self.regions.len() as f64 * f64::from(self.hours);
        self.files_per_hour = records as f64 / (prefixes_hours * self.events_per_file.mean());
        self
    }

    /// Unix seconds of the newest stamp.
    fn last_stamp(&self) -> i64 {
        self.end.as_second().div_euclid(time::STAMP_SECONDS) * time::STAMP_SECONDS
    }

    /// Unix seconds of the oldest stamp but for late files'.
    fn first_stamp(&self) -> i64 {
        self.last_stamp() - (i64::from(self.hours.max(1)) * 12 - 1) * time::STAMP_SECONDS
    }

    fn check(&self) -> io::Result<()> {
        let shares = [
            ("redelivered_share", self.redelivered_share),
            ("second_trail_share", self.second_trail_share),
            ("late_share", self.late_share),
            ("corrupt_share", self.corrupt_share),
            (
                "events_per_file.tiny_share + fat_share",
                self.events_per_file.tiny_share + self.events_per_file.fat_share,
            ),
        ];
        let wrong =
            |what: String| Err(io::Error::new(io::ErrorKind::InvalidInput, format!("plan organization: {what}")));
        if let Some((name, share)) = shares.into_iter().find(|(_, share)| !(0.0..=1.0).contains(share)) {
            return wrong(format!("{name} is {share}, must be between 0 and 1"));
        }
        if !(1..=1000).contains(&self.accounts) || self.regions.is_empty() || !(1..=HOURS_MAX).contains(&self.hours) {
            return wrong(format!("needs 1 to 1000 accounts, a region, and 1 to {HOURS_MAX} hours"));
        }
        if !END_SECONDS.contains(&self.end.as_second()) {
            return wrong(format!("end is {}, must be between the years 2000 and 9000", self.end));
        }
        if !self.files_per_hour.is_finite() || self.files_per_hour < 0.0 {
            return wrong(format!("files_per_hour is {}, must be a number of 0 or more", self.files_per_hour));
        }
        Ok(())
    }
}

/// How far the generator is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Files written.
    pub files: u64,
    /// Files there will be.
    pub files_total: u64,
    /// Records written, copies included.
    pub records: u64,
    /// Bytes written, as they stand in the buckets.
    pub bytes: u64,
}

/// Makes the organization of `plan` in `out`, one folder a bucket, and `manifest.json` beside them. `progress` is called
/// after every file.
///
/// # Errors
/// `InvalidInput` when the plan can't be, `AlreadyExists` when `out` already holds one of the buckets, and whatever
/// writing files may meet.
pub fn generate(plan: &Plan, out: &Path, progress: &mut dyn FnMut(Progress)) -> io::Result<Manifest> {
    plan.check()?;
    let organization = Organization::new(plan);
    for source in &organization.sources {
        let folder = out.join(&source.bucket);
        if folder.exists() {
            let what = format!(
                "generate organization: {} is already there; remove it or choose another folder",
                folder.display()
            );
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, what));
        }
    }
    fs::create_dir_all(out)?;
    run::run(plan, &organization, out, progress)
}

/// A log file that was added to a generated organization.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// The bucket, one of [`Manifest::sources`].
    pub bucket: String,
    /// The object key, relative to the bucket.
    pub key: String,
    /// The file itself.
    pub path: PathBuf,
    /// The ids of its records, in the file's order.
    pub event_ids: Vec<String>,
}

/// Adds one log file of `records` new records with this stamp (rounded down to five minutes) for the plan's
/// `account`-th account and `region`-th region. The manifest is left as it is. Twice the same call writes the same file.
///
/// # Errors
/// `InvalidInput` when the plan can't be or has no such account or region, and whatever writing a file may meet.
pub fn deliver(
    plan: &Plan,
    out: &Path,
    (account, region): (usize, usize),
    stamp: Timestamp,
    records: u32,
) -> io::Result<Delivery> {
    Plan { end: stamp, ..plan.clone() }.check()?;
    let organization = Organization::new(plan);
    let (Some(cast), Some(region)) = (organization.accounts.get(account), plan.regions.get(region)) else {
        let what = format!("deliver log file: the plan has no account {account} or no region {region}");
        return Err(io::Error::new(io::ErrorKind::InvalidInput, what));
    };
    let source = organization.source(account);
    let stamp = stamp.as_second().div_euclid(time::STAMP_SECONDS) * time::STAMP_SECONDS;
    let mut random = Random::new(plan.seed, &format!("deliver/{}/{region}/{stamp}", cast.id));
    let repertoire = Repertoire::new();
    let author = Author { repertoire: &repertoire, account: cast, region };
    let mut body = Body::default();
    author.compose(&mut body, records.max(1), stamp, false, &mut random);
    let key = source.file_key(&cast.id, "CloudTrail", region, stamp, &mut random);
    let path = source.path(out, &key);
    let gz = run::deflater().deflate(&body.json);
    Shelf::new(out).put(&path, &gz)?;
    let event_ids = event_ids::ids_of(&body.json).map_err(io::Error::other)?;
    Ok(Delivery { bucket: source.bucket.clone(), key, path, event_ids })
}

/// Adds one log file under a key older than every log file of that account and region that stands there now, as
/// CloudTrail does when it delivers late. For the rest see [`deliver`].
///
/// # Errors
/// As [`deliver`]'s, and whatever reading the folder may meet.
pub fn late_delivery(plan: &Plan, out: &Path, place: (usize, usize), records: u32) -> io::Result<Delivery> {
    plan.check()?;
    let organization = Organization::new(plan);
    let mut oldest = plan.last_stamp();
    if let (Some(cast), Some(region)) = (organization.accounts.get(place.0), plan.regions.get(place.1)) {
        let source = organization.source(place.0);
        let folder = source.path(out, &source.region_folder(&cast.id, "CloudTrail", region));
        if folder.exists() {
            event_ids::walk(&folder, &mut |path| {
                let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
                let stamp = name.rsplit('_').nth(1).and_then(time::parse_stamp);
                oldest = oldest.min(stamp.unwrap_or(oldest));
                Ok(())
            })?;
        }
    }
    let stamp = Timestamp::from_second(oldest - time::STAMP_SECONDS).map_err(io::Error::other)?;
    deliver(plan, out, place, stamp, records)
}

#[cfg(test)]
mod tests;
