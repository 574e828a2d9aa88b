//! The usage ledger as others see it: how many events of which account, service and name came on which day, and which
//! trails held copies of what another had brought.
//!
//! Owns the shape of its rows and the files in `<state_dir>/usage` that say them, a file a day, for commands that run beside
//! the process. The counts themselves are the journal's (`journal/usage.rs`). Crash: a file is whole or absent, and old by some
//! seconds at most; the next start writes it again.

mod publish;

use std::path::{Path, PathBuf};

use jiff::civil::Date;
use jiff::{Timestamp, ToSpan as _};
use orgtrail_cloud::Connection;
use orgtrail_event::record::{Category, Header};
use orgtrail_service::quarantine::Entry;
use serde::{Deserialize, Serialize};

use crate::seal;
pub(crate) use publish::Publisher;

/// The folder of the files, below the state folder.
const FOLDER: &str = "usage";

/// Days that are kept, today included.
pub const DAYS_MAX: u32 = 400;

/// What stands in place of names that there is no room for, or that can't be names.
pub const OTHER: &str = "other";

/// Longest name of a service or event, bytes; CloudTrail's have far fewer.
const NAME_BYTES_MAX: usize = 128;

/// What CloudTrail's bill tells apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Class {
    /// A management event that says it is read-only.
    ManagementRead,
    /// Any other management event.
    ManagementWrite,
    /// A data event.
    Data,
    /// A network activity event.
    NetworkActivity,
    /// An Insight.
    Insight,
    /// An aggregated event.
    Aggregated,
    /// A stretch of a file that holds no readable record.
    Unreadable,
    /// A category that CloudTrail doesn't deliver to trails.
    Other,
}

impl Class {
    /// The class of a record.
    pub fn of(header: &Header<'_>) -> Self {
        match header.category() {
            Category::Management if header.read_only == Some(true) => Self::ManagementRead,
            Category::Management => Self::ManagementWrite,
            Category::Data => Self::Data,
            Category::NetworkActivity => Self::NetworkActivity,
            Category::Insight => Self::Insight,
            Category::Aggregated => Self::Aggregated,
            Category::Other(_) => Self::Other,
        }
    }

    /// The word in tables and JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::ManagementRead => "management_read",
            Self::ManagementWrite => "management_write",
            Self::Data => "data",
            Self::NetworkActivity => "network_activity",
            Self::Insight => "insight",
            Self::Aggregated => "aggregated",
            Self::Unreadable => "unreadable",
            Self::Other => OTHER,
        }
    }

    /// Whether it is a management event.
    pub fn is_management(self) -> bool {
        matches!(self, Self::ManagementRead | Self::ManagementWrite)
    }
}

/// What a row counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Table {
    /// Events, each of which is in one row.
    Events,
    /// Of these, the duplicates, by who had brought the first copy.
    Copies,
}

/// The names of a row.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Names {
    /// What the row counts.
    pub table: Table,
    /// The account that the records are of.
    pub account: String,
    /// `eventSource`; of copies, where the first copy came from: source location and folder.
    pub source: String,
    /// `eventName`; of copies, where these came from.
    pub name: String,
    /// What CloudTrail's bill tells apart.
    pub class: Class,
}

impl Names {
    /// The row of everything that has no row of its own.
    pub(crate) fn other(table: Table, class: Class) -> Self {
        let other = || OTHER.to_owned();
        Self { table, account: other(), source: other(), name: other(), class }
    }

    /// The row of an account's bad stretches.
    pub(crate) fn unreadable(account: &str) -> Self {
        let none = || "-".to_owned();
        Self {
            table: Table::Events,
            account: account.to_owned(),
            source: none(),
            name: none(),
            class: Class::Unreadable,
        }
    }
}

/// A name as it is kept: none is `-`; one that is too long, or has more than printable ASCII, which AWS's have not, is
/// [`OTHER`].
pub(crate) fn kept_name(text: Option<&str>) -> &str {
    match text {
        None | Some("") => "-",
        Some(text) if text.len() > NAME_BYTES_MAX || !text.bytes().all(|byte| matches!(byte, b' '..=b'~')) => OTHER,
        Some(text) => text,
    }
}

/// How much it was.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Count {
    /// Records read, duplicates included.
    pub events: u64,
    /// Bytes of their JSON text.
    pub bytes: u64,
    /// Of the records, those that were left out as duplicates.
    pub duplicates: u64,
    /// Bytes of the duplicates.
    pub duplicate_bytes: u64,
}

impl Count {
    /// Adds another.
    pub fn add(&mut self, other: &Self) {
        self.events += other.events;
        self.bytes += other.bytes;
        self.duplicates += other.duplicates;
        self.duplicate_bytes += other.duplicate_bytes;
    }
}

/// A row of one day.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Row {
    /// What is counted.
    pub names: Names,
    /// How much it was.
    pub count: Count,
}

/// One day: that in the names of the files, which is when CloudTrail delivered them, UTC.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Day {
    /// The day.
    pub day: Date,
    /// Its rows, in the order of their names.
    pub rows: Vec<Row>,
}

/// What a file holds.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Content {
    /// As it is.
    Day(Day),
    /// Sealed, in the form of a quarantine entry's payload.
    Sealed(Box<Entry>),
}

/// Why usage can't be told.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file or the folder.
    #[error("read {}", .path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// A file is not what was written.
    #[error("read {}: {why}; remove it: the aggregator writes it again when it is started", .path.display())]
    Damaged {
        /// Which.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// It is sealed, and the key can't be used.
    #[error("open {}", .path.display())]
    Sealed {
        /// Which.
        path: PathBuf,
        /// Why not.
        source: Box<seal::Error>,
    },
}

/// The days from `since` to `until`, both included, that the aggregator of this state folder has told, in their order.
/// `connection` is how the key of sealed files is reached.
///
/// # Errors
/// A file can't be read or opened.
pub async fn read(
    state_dir: &Path,
    (since, until): (Option<Date>, Option<Date>),
    connection: &Connection,
) -> Result<Vec<Day>, Error> {
    let folder = state_dir.join(FOLDER);
    let io = |path: &Path| {
        let path = path.to_owned();
        move |source| Error::Io { path, source }
    };
    let entries = match std::fs::read_dir(&folder) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(io(&folder))?,
    };
    let mut paths = Vec::new();
    for entry in entries {
        let path = entry.map_err(io(&folder))?.path();
        let Some(day) = day_of(&path) else { continue };
        if since.is_none_or(|since| day >= since) && until.is_none_or(|until| day <= until) {
            paths.push(path);
        }
    }
    paths.sort_unstable();
    let mut days = Vec::with_capacity(paths.len());
    for path in paths {
        let text = match std::fs::read(&path) {
            // The day was dropped a moment ago.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            text => text.map_err(io(&path))?,
        };
        days.push(open(&text, &path, connection, state_dir).await?);
    }
    Ok(days)
}

async fn open(text: &[u8], path: &Path, connection: &Connection, state_dir: &Path) -> Result<Day, Error> {
    let damaged = |why: String| Error::Damaged { path: path.to_owned(), why };
    match serde_json::from_slice(text).map_err(|error| damaged(error.to_string()))? {
        Content::Day(day) => Ok(day),
        Content::Sealed(mut entry) => {
            let opened = seal::open_payload(&mut entry, connection, state_dir).await;
            opened.map_err(|source| Error::Sealed { path: path.to_owned(), source: Box::new(source) })?;
            serde_json::from_slice(&entry.payload.unwrap_or_default()).map_err(|error| damaged(error.to_string()))
        }
    }
}

fn day_of(path: &Path) -> Option<Date> {
    path.file_name()?.to_str()?.strip_suffix(".json")?.parse().ok()
}

/// Days since 1970, as the journal counts them.
pub(crate) fn day_number(at: i64) -> u32 {
    u32::try_from(at.div_euclid(86_400)).unwrap_or(0)
}

/// The day of that number.
pub(crate) fn date_of(number: u32) -> Date {
    let epoch = jiff::civil::date(1970, 1, 1);
    epoch.checked_add(i64::from(number).days()).unwrap_or(Date::MAX)
}

/// An entry that carries a day's sealed text.
fn envelope(day: Date, text: Vec<u8>) -> Entry {
    let name = day.to_string();
    let id = orgtrail_service::quarantine::Id::of(&[b"usage", name.as_bytes()]);
    let mut entry = Entry::new(id, "usage", name, String::new(), Timestamp::UNIX_EPOCH);
    entry.payload = Some(text);
    entry
}
