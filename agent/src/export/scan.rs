//! Looks through a folder of exported logs for what is new, changed or gone.
//!
//! Owns the walk and its bounds, and what is put aside of a file that has records. A file is in the list only after what
//! is bad in it is in the quarantine (I10). Blocks on the disk.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;

use jiff::Timestamp;
use orgtrail_cloud::{Error, ErrorKind};
use orgtrail_service::durable;
use orgtrail_service::quarantine::{Entry, Id};

use super::file::{self, Item, Span};
use super::index::{FILES_MAX, FileStamp, OBJECTS_MAX, Parts, Seen};
use super::{SETTLED, Shared};

/// Folders in one another.
const DEPTH_MAX: usize = 32;
/// Bad stretches of one file with an entry each; the others share one.
const BAD_MAX: usize = 100;

/// A stretch that is no record.
struct Bad {
    offset: u64,
    len: u64,
    reason: &'static str,
    detail: String,
}

impl Shared {
    /// Brings the index up to date.
    pub(super) fn scan(&self) -> Result<(), Error> {
        let (mut found, mut pending, mut changed) = (BTreeSet::new(), 0, false);
        let mut paths = Vec::new();
        walk(&self.root, DEPTH_MAX, &mut paths).map_err(|error| self.failed(&self.root, &error))?;
        let now = self.clock.now();
        for path in paths {
            let Some(name) = path.strip_prefix(&self.root).ok().map(|name| name.to_string_lossy().into_owned()) else {
                continue;
            };
            let stamp = match stamp(&path) {
                Ok(stamp) => stamp,
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(self.failed(&path, &error)),
            };
            found.insert(name.clone());
            if self.index().files().get(&name).is_some_and(|seen| seen.stamp == stamp) {
                continue;
            }
            if now.duration_since(stamp.modified).unsigned_abs() < SETTLED && now >= stamp.modified {
                pending += 1;
                continue;
            }
            let seen = self.read_file(&path, &name, stamp)?;
            let mut index = self.index();
            index.insert(name, seen);
            changed = true;
            if index.files().len() > FILES_MAX || index.objects_len() > OBJECTS_MAX {
                let detail = format!(
                    "more than {FILES_MAX} files, or records of more than {OBJECTS_MAX} accounts, regions and days: \
                     put them into several folders, a source each"
                );
                return Err(self.error(ErrorKind::Other, "list", "").detail(detail));
            }
        }
        changed |= self.forget(&found);
        let index = self.index();
        self.tally.count(&index, pending);
        if changed {
            self.save(index.files()).map_err(|error| self.failed(&self.list, &error))?;
        }
        Ok(())
    }

    /// Takes files that are gone out of the index.
    fn forget(&self, found: &BTreeSet<String>) -> bool {
        let mut index = self.index();
        let gone: Vec<String> = index.files().keys().filter(|name| !found.contains(*name)).cloned().collect();
        gone.iter().for_each(|name| index.remove(name));
        !gone.is_empty()
    }

    /// Reads a file for the first time.
    fn read_file(&self, path: &Path, name: &str, stamp: FileStamp) -> Result<Seen, Error> {
        let (mut parts, mut records, mut bad, mut bad_count) = (Parts::default(), 0, Vec::new(), 0);
        let read = file::read(path, Span::ALL, &self.stop, |item| {
            match item {
                Item::Record { offset, end, raw, group, seconds } => {
                    records += 1;
                    parts.take(group, offset, end, raw.len() as u64, seconds);
                }
                Item::Bad { offset, len, reason, detail } => {
                    bad_count += 1;
                    if bad.len() <= BAD_MAX {
                        bad.push(Bad { offset, len, reason, detail });
                    }
                }
            }
            if parts.len() > OBJECTS_MAX {
                Err(io::Error::other("too many accounts, regions and days"))
            } else {
                Ok(())
            }
        });
        read.map_err(|error| self.failed(path, &error))?;
        if records == 0 {
            tracing::warn!(file = name, "no log: it holds no CloudTrail record");
            return Ok(Seen { stamp, records, bad: bad_count, objects: Vec::new() });
        }
        if let Some(last) = bad.get_mut(BAD_MAX) {
            let more = bad_count - BAD_MAX as u64;
            last.detail = format!("{more} stretches from here on are no records; the first: {}", last.detail);
        }
        for bad in &bad {
            self.put_aside(path, name, stamp, bad)?;
        }
        Ok(Seen { stamp, records, bad: bad_count, objects: parts.finish() })
    }

    fn put_aside(&self, path: &Path, name: &str, stamp: FileStamp, bad: &Bad) -> Result<(), Error> {
        let location = self.location.to_string();
        let Bad { offset, len, reason, detail } = bad;
        let modified = stamp.modified.to_string();
        let id = Id::of(&[location.as_bytes(), name.as_bytes(), modified.as_bytes(), &offset.to_be_bytes()]);
        let told = format!("{len} bytes at offset {offset}: {detail}; once the file is put right, it is read again");
        let entry = Entry::new(id, *reason, path.display().to_string(), told, self.clock.now())
            .with_field("source", location)
            .with_field("file", name)
            .with_field("offset", offset.to_string())
            .with_field("bytes", len.to_string());
        tracing::warn!(file = name, offset, bytes = len, reason, detail, "no record, quarantined");
        let put = self.quarantine.put(entry);
        put.map(drop).map_err(|error| self.error(ErrorKind::Unavailable, "list", name).detail(error.to_string()))
    }

    fn failed(&self, path: &Path, error: &io::Error) -> Error {
        let ended = self.stop.load(Ordering::Relaxed);
        let kind = match error.kind() {
            _ if ended => ErrorKind::Unavailable,
            io::ErrorKind::NotFound => ErrorKind::ContainerMissing,
            io::ErrorKind::PermissionDenied => ErrorKind::Denied,
            _ => ErrorKind::Unavailable,
        };
        self.error(kind, "list", "").detail(format!("read {}: {error}", path.display()))
    }

    fn save(&self, files: &BTreeMap<String, Seen>) -> io::Result<()> {
        if let Some(folder) = self.list.parent() {
            durable::create_dir(folder)?;
        }
        durable::write(&self.list, &serde_json::to_vec(files)?)
    }
}

/// The list as it was saved; empty where it is absent or can't be read, since every file can be read again.
pub(super) fn load(list: &Path) -> BTreeMap<String, Seen> {
    let read = fs::read(list).ok().map(|bytes| serde_json::from_slice(&bytes));
    match read {
        Some(Ok(files)) => files,
        Some(Err(error)) => {
            tracing::warn!(file = %list.display(), error.message = %error, "not readable, exported logs are read again");
            BTreeMap::new()
        }
        None => BTreeMap::new(),
    }
}

/// What tells a file from what it was before.
pub(super) fn stamp(path: &Path) -> io::Result<FileStamp> {
    let metadata = fs::metadata(path)?;
    let modified = Timestamp::try_from(metadata.modified()?).map_err(io::Error::other)?;
    Ok(FileStamp { size: metadata.len(), modified })
}

/// Every file below a folder but hidden ones. Links to files are followed, links to folders are not.
fn walk(folder: &Path, depth: usize, paths: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_name().as_encoded_bytes().starts_with(b".") {
            continue;
        }
        let (path, kind) = (entry.path(), entry.file_type()?);
        if kind.is_dir() {
            if depth > 0 {
                walk(&path, depth - 1, paths)?;
            }
        } else if kind.is_file() || fs::metadata(&path).is_ok_and(|metadata| metadata.is_file()) {
            paths.push(path);
        }
        if paths.len() > FILES_MAX {
            return Err(io::Error::other(format!("more than {FILES_MAX} files: put them into several folders")));
        }
    }
    paths.sort_unstable();
    Ok(())
}
