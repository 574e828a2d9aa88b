//! What was seen of a folder of exported logs: its files, and the objects that their records make up.
//!
//! Owns how the records of a file are put into objects, and the objects' keys. The same file gives the same objects: what
//! was seen is kept in one file of the state folder, but nothing is lost with it except the time to read everything again.

use std::collections::{BTreeMap, HashMap};
use std::ops::Bound;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use orgtrail_cloud::object_store::ObjectMeta;
use orgtrail_event::key::{LogKey, Stamp};
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::Xxh3;

use super::file::{Group, Span};

/// Records of one object: below CloudTrail's own bound of 50 MB.
pub(super) const OBJECT_BYTES_MAX: u64 = 32 << 20;
/// Most files in a folder.
pub(super) const FILES_MAX: usize = 200_000;
/// Most objects that they make up.
pub(super) const OBJECTS_MAX: usize = 500_000;
/// What gzip makes of records, at least: a part this large.
const COMPRESSED: u64 = 4;
/// The letters and digits of a unique part.
const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// What a file looked like when it was read: another stamp is another file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct FileStamp {
    pub(super) size: u64,
    pub(super) modified: Timestamp,
}

/// A file that was read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Seen {
    pub(super) stamp: FileStamp,
    pub(super) records: u64,
    pub(super) bad: u64,
    pub(super) objects: Vec<Part>,
}

/// Records of one group that lie in one part of a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Part {
    pub(super) group: Group,
    pub(super) from: u64,
    pub(super) to: u64,
    pub(super) records: u64,
    /// Of its records.
    bytes: u64,
    /// Unix seconds of the newest `eventTime`.
    newest: i64,
}

impl Part {
    pub(super) fn span(&self) -> Span {
        Span { from: self.from, to: self.to }
    }
}

/// Puts a file's records into parts.
#[derive(Debug, Default)]
pub(super) struct Parts {
    open: HashMap<Group, usize>,
    parts: Vec<Part>,
}

impl Parts {
    pub(super) fn take(&mut self, group: Group, offset: u64, end: u64, bytes: u64, seconds: i64) {
        let open = self.open.get(&group).map(|&index| &mut self.parts[index]);
        match open.filter(|part| part.bytes + bytes <= OBJECT_BYTES_MAX) {
            Some(part) => {
                part.records += 1;
                (part.to, part.bytes, part.newest) = (end, part.bytes + bytes, part.newest.max(seconds));
            }
            None => {
                self.open.insert(group.clone(), self.parts.len());
                self.parts.push(Part { group, from: offset, to: end, records: 1, bytes, newest: seconds });
            }
        }
    }

    pub(super) fn len(&self) -> usize {
        self.parts.len()
    }

    pub(super) fn finish(self) -> Vec<Part> {
        self.parts
    }
}

/// Files and objects by name.
#[derive(Debug, Default)]
pub(super) struct Index {
    files: BTreeMap<String, Seen>,
    /// Keys of objects, with the file and the number of the part.
    objects: BTreeMap<String, (String, usize)>,
}

impl Index {
    pub(super) fn of(files: BTreeMap<String, Seen>) -> Self {
        let mut index = Self::default();
        files.into_iter().for_each(|(name, seen)| index.insert(name, seen));
        index
    }

    pub(super) fn files(&self) -> &BTreeMap<String, Seen> {
        &self.files
    }

    pub(super) fn objects_len(&self) -> usize {
        self.objects.len()
    }

    pub(super) fn insert(&mut self, name: String, seen: Seen) {
        self.remove(&name);
        for (number, part) in seen.objects.iter().enumerate() {
            if let Some(key) = key(&name, seen.stamp, part) {
                self.objects.insert(key, (name.clone(), number));
            }
        }
        self.files.insert(name, seen);
    }

    pub(super) fn remove(&mut self, name: &str) {
        let Some(seen) = self.files.remove(name) else { return };
        for part in &seen.objects {
            key(name, seen.stamp, part).map(|key| self.objects.remove(&key));
        }
    }

    /// An object by its key: its file, what that looked like, and its part of it.
    pub(super) fn part(&self, key: &str) -> Option<(&str, FileStamp, &Part)> {
        let (name, number) = self.objects.get(key)?;
        let seen = self.files.get(name)?;
        Some((name, seen.stamp, seen.objects.get(*number)?))
    }

    pub(super) fn meta(&self, key: &str) -> Option<ObjectMeta> {
        let (_, stamp, part) = self.part(key)?;
        Some(ObjectMeta {
            key: key.to_owned(),
            size: part.bytes / COMPRESSED,
            etag: format!("{}-{}", stamp.size, stamp.modified.as_nanosecond()),
            last_modified: stamp.modified,
        })
    }

    /// Up to `max` objects below a prefix and after a key; and whether there are more.
    pub(super) fn page(&self, prefix: &str, after: Option<&str>, max: usize) -> (Vec<ObjectMeta>, bool) {
        let from = match after.filter(|after| *after >= prefix) {
            Some(after) => Bound::Excluded(after),
            None => Bound::Included(prefix),
        };
        let keys = self.objects.range::<str, _>((from, Bound::Unbounded)).map(|(key, _)| key);
        let mut keys = keys.take_while(|key| key.starts_with(prefix));
        let page = keys.by_ref().take(max).filter_map(|key| self.meta(key)).collect();
        (page, keys.next().is_some())
    }

    /// The prefixes right below one.
    pub(super) fn prefixes(&self, prefix: &str) -> Vec<String> {
        let mut found: Vec<String> = Vec::new();
        let mut from = Bound::Included(prefix.to_owned());
        while let Some((key, _)) = self.objects.range::<String, _>((from, Bound::Unbounded)).next() {
            let Some(rest) = key.strip_prefix(prefix) else { break };
            let Some((name, _)) = rest.split_once('/') else { break };
            found.push(format!("{prefix}{name}/"));
            // The first key behind all that begin so: `0` comes after `/`.
            from = Bound::Included(format!("{prefix}{name}0"));
        }
        found
    }
}

/// CloudTrail's own form of key, the same for the same part of the same file.
fn key(name: &str, stamp: FileStamp, part: &Part) -> Option<String> {
    let mut hash = Xxh3::new();
    for piece in [name.as_bytes(), &stamp.size.to_be_bytes(), &stamp.modified.as_nanosecond().to_be_bytes()] {
        hash.update(&(piece.len() as u64).to_be_bytes());
        hash.update(piece);
    }
    hash.update(&part.from.to_be_bytes());
    let mut rest = hash.digest128();
    let letter = |_| {
        let letter = ALPHABET[(rest % 62) as usize];
        rest /= 62;
        char::from(letter)
    };
    let unique: String = (0..16).map(letter).collect();
    let time = Timestamp::from_second(part.newest).ok()?.to_zoned(TimeZone::UTC).datetime();
    Some(LogKey::new(part.group.folder()?, part.group.day, Stamp::new(time), unique).to_string())
}
