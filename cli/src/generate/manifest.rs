//! What was generated: the numbers a collector that neither loses nor duplicates must end up with.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::Source;

/// The account of a generated organization. Stands as `manifest.json` in the output folder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// Different records in readable log files: what an organization trail must hold.
    pub records: u64,
    /// Records in readable log files, copies included.
    pub records_written: u64,
    /// `records_written - records`.
    pub duplicates: u64,
    /// Inflated bytes of the readable log files, copies included.
    pub json_bytes: u64,
    /// Bytes of all files as they stand in the buckets.
    pub stored_bytes: u64,
    /// Records in Insight files, all different; not among `records`.
    pub insight_records: u64,
    /// Number of files of each kind.
    pub files: BTreeMap<FileKind, u64>,
    /// Different records of each account (`recipientAccountId`).
    pub by_account: BTreeMap<String, u64>,
    /// The buckets, each a folder of the output.
    pub sources: Vec<Source>,
    /// Every log file that can't be read as a whole.
    pub corrupt: Vec<CorruptFile>,
    /// Every file that is not a log file.
    pub others: Vec<OtherFile>,
}

/// What a generated file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FileKind {
    /// A log file of new records.
    Log,
    /// A log file of new records whose stamp is hours older than its neighbours'.
    Late,
    /// The bytes of another log file under a new name.
    Redelivered,
    /// Records of other log files in another order: a second trail into the same bucket.
    SecondTrail,
    /// A log file that is damaged.
    Corrupt,
    /// A digest file.
    Digest,
    /// An Insight file.
    Insight,
    /// A file that CloudTrail didn't write.
    Foreign,
}

impl FileKind {
    /// Whether a reader finds records in it that count.
    pub fn is_readable_log(self) -> bool {
        matches!(self, Self::Log | Self::Late | Self::Redelivered | Self::SecondTrail)
    }
}

/// How a log file is damaged. None of them holds the only copy of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Corruption {
    /// No bytes at all.
    Empty,
    /// The gzip stream ends early.
    TruncatedGzip,
    /// Not compressed: an error page under a log file's name.
    NotGzip,
    /// Whole gzip, but no JSON inside.
    NotJson,
    /// A JSON object without `Records`.
    NoRecords,
    /// Whole gzip, but the JSON ends within a record.
    CutJson,
}

impl Corruption {
    /// Every kind, in the order they are made.
    pub const ALL: [Self; 6] =
        [Self::TruncatedGzip, Self::NotJson, Self::Empty, Self::CutJson, Self::NotGzip, Self::NoRecords];
}

/// A damaged log file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CorruptFile {
    /// The bucket, one of [`Manifest::sources`].
    pub bucket: String,
    /// The object key, relative to the bucket.
    pub key: String,
    /// What is wrong with it.
    pub kind: Corruption,
    /// Whole records before the damage, copies all of them: what a reader may salvage from a [`Corruption::CutJson`].
    pub whole_records: u64,
}

/// A file that is not a log file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OtherFile {
    /// The bucket, one of [`Manifest::sources`].
    pub bucket: String,
    /// The object key, relative to the bucket.
    pub key: String,
    /// What it is.
    pub kind: FileKind,
}

/// The manifest's name in the output folder.
const FILE: &str = "manifest.json";

impl Manifest {
    /// Number of files of `kind`.
    pub fn count(&self, kind: FileKind) -> u64 {
        self.files.get(&kind).copied().unwrap_or_default()
    }

    /// Number of files of all kinds.
    pub fn files_total(&self) -> u64 {
        self.files.values().sum()
    }

    /// Reads the manifest in `out`.
    ///
    /// # Errors
    /// When there is none (the generator writes it last), or it can't be read.
    pub fn load(out: &Path) -> io::Result<Self> {
        let text = std::fs::read(out.join(FILE))?;
        serde_json::from_slice(&text).map_err(io::Error::from)
    }

    /// Counts a file of `kind` with so many records in so much JSON, `stored` bytes on disk.
    pub(super) fn add(&mut self, kind: FileKind, records: usize, json: usize, stored: usize) {
        *self.files.entry(kind).or_default() += 1;
        self.stored_bytes += stored as u64;
        if kind.is_readable_log() {
            self.records_written += records as u64;
            self.json_bytes += json as u64;
        }
    }

    pub(super) fn save(&self, out: &Path) -> io::Result<()> {
        let mut text = serde_json::to_vec_pretty(self).map_err(io::Error::from)?;
        text.push(b'\n');
        std::fs::write(out.join(FILE), text)
    }
}
