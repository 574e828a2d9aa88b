//! The grammar of the object keys under which CloudTrail delivers, both ways.
//!
//! `[prefix/]AWSLogs/[o-id/]<account>/<kind>/<region>/<YYYY>/<MM>/<DD>/<file>`, as the CloudTrail user guide has it
//! ("Finding your CloudTrail log files", "CloudTrail digest file structure"). Owns [`classify`], which never fails
//! and never guesses: what doesn't fit is [`ObjectKey::Foreign`]; what fits is printed back byte for byte. Does not own
//! listing, or what is done with an object of some kind.

mod folder;
mod name;
mod stamp;

use std::fmt;

use jiff::civil::Date;

pub use self::folder::{Folder, Kind, Layout};
pub(crate) use self::folder::{Parts, is_region};
pub(crate) use self::stamp::date;
pub use self::stamp::{DigestStamp, Stamp};

/// The key of one log file: normal, Insight, network activity or aggregated, by its folder's kind.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LogKey {
    /// Where the file lies, down to the region.
    pub folder: Folder,
    /// The day folder. CloudTrail takes it from the delivery time, so records of the day before occur in it.
    pub date: Date,
    /// The minute in the file's name, when CloudTrail cut the file.
    pub stamp: Stamp,
    /// What tells files of one minute apart: 16 letters and digits from CloudTrail, here any run of letters, digits,
    /// `_` and `-`, which may be empty.
    pub unique: String,
    /// The start of the file's name where the folder would lead to expect another one.
    head: Option<Box<str>>,
    /// False in historic names, which have no `_` before the unique part.
    underscore: bool,
}

impl LogKey {
    /// A key whose file is named as CloudTrail names it. `unique` should be a non-empty run of letters, digits, `_` and
    /// `-`, or the printed key won't classify as a log file again.
    pub fn new(folder: Folder, date: Date, stamp: Stamp, unique: impl Into<String>) -> Self {
        Self { folder, date, stamp, unique: unique.into(), head: None, underscore: true }
    }

    /// The last part of the key, from the account to `.json.gz`.
    pub fn file_name(&self) -> String {
        let separator = if self.underscore { "_" } else { "" };
        let (stamp, unique) = (self.stamp, &self.unique);
        match &self.head {
            Some(head) => format!("{head}_{stamp}{separator}{unique}.json.gz"),
            None => format!("{}_{stamp}{separator}{unique}.json.gz", name::expected_head(&self.folder)),
        }
    }
}

impl fmt::Display for LogKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.folder.day_path(self.date), self.file_name())
    }
}

/// The key of one digest file, which lists the log files delivered in an hour.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DigestKey {
    /// Where the file lies; its region is the one whose log files the digest lists.
    pub folder: Folder,
    /// The day folder.
    pub date: Date,
    /// `digestEndTime`.
    pub end: DigestStamp,
    /// The trail's name, which may hold `_`.
    pub trail: String,
    /// The region in which the trail was made.
    pub home_region: String,
    /// True for a digest of log files that missed their hour's digest.
    pub backfill: bool,
}

impl DigestKey {
    /// The key of a digest that ends at `end`, in the day folder of that time. `folder` says account, region and what
    /// stands above them; its kind is taken to be [`Kind::Digest`].
    pub fn new(
        folder: Folder,
        end: DigestStamp,
        trail: impl Into<String>,
        home_region: impl Into<String>,
        backfill: bool,
    ) -> Self {
        let folder = Folder { kind: Kind::Digest, ..folder };
        Self { folder, date: end.date(), end, trail: trail.into(), home_region: home_region.into(), backfill }
    }

    /// The last part of the key, from the account to `.json.gz`.
    pub fn file_name(&self) -> String {
        let suffix = if self.backfill { name::BACKFILL } else { "" };
        let head = name::expected_head(&self.folder);
        format!("{head}_{}_{}_{}{suffix}.json.gz", self.trail, self.home_region, self.end)
    }
}

impl fmt::Display for DigestKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.folder.day_path(self.date), self.file_name())
    }
}

/// What an object is, by its key alone.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ObjectKey {
    /// Log file: management and data events, network activity, or aggregated events.
    Log(LogKey),
    /// Insight log file.
    Insight(LogKey),
    /// Hourly digest.
    Digest(DigestKey),
    /// Digest of late log files.
    BackfillDigest(DigestKey),
    /// Anything else: other services' logs, query results, folders, files put there by hand.
    Foreign,
}

impl ObjectKey {
    /// The key of a file with records, Insights or others; none for digests and foreign objects.
    pub fn into_log(self) -> Option<LogKey> {
        match self {
            Self::Log(key) | Self::Insight(key) => Some(key),
            Self::Digest(_) | Self::BackfillDigest(_) | Self::Foreign => None,
        }
    }

    /// The key of a digest; none for everything else.
    pub fn into_digest(self) -> Option<DigestKey> {
        match self {
            Self::Digest(key) | Self::BackfillDigest(key) => Some(key),
            Self::Log(_) | Self::Insight(_) | Self::Foreign => None,
        }
    }
}

/// Tells what the object under `key` is. Total: every string has an answer. The `Display` of a parsed key is `key`,
/// byte for byte.
pub fn classify(key: &str) -> ObjectKey {
    parse(key).unwrap_or(ObjectKey::Foreign)
}

fn parse(key: &str) -> Option<ObjectKey> {
    let (path, file) = key.rsplit_once('/')?;
    let (path, date) = split_date(path)?;
    let folder = Folder::parse(path)?;
    let file = file.strip_suffix(".json.gz")?;
    if folder.kind == Kind::Digest {
        let name = name::parse_digest(file, &folder)?;
        let name::DigestName { trail, home_region, end, backfill } = name;
        let key = DigestKey { folder, date, end, trail, home_region, backfill };
        return Some(if backfill { ObjectKey::BackfillDigest(key) } else { ObjectKey::Digest(key) });
    }
    let name::LogName { head, stamp, underscore, unique } = name::parse_log(file, &folder)?;
    let insight = folder.kind == Kind::Insight;
    let key = LogKey { folder, date, stamp, unique, head, underscore };
    Some(if insight { ObjectKey::Insight(key) } else { ObjectKey::Log(key) })
}

/// Takes `YYYY/MM/DD` off the end of a path; what stays ends in the region.
fn split_date(path: &str) -> Option<(&str, Date)> {
    let (path, day) = path.rsplit_once('/')?;
    let (path, month) = path.rsplit_once('/')?;
    let (path, year) = path.rsplit_once('/')?;
    if (year.len(), month.len(), day.len()) != (4, 2, 2) {
        return None;
    }
    // A folder without a name below the region would be lost when the key is put together again.
    (!path.ends_with('/')).then_some((path, date(year, month, day)?))
}

#[cfg(test)]
mod tests;
