//! Reads log files back and collects their event ids: what tests and the demo compare source and trail by.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use orgtrail_event::gzip::Inflater;
use orgtrail_event::log_file::{self, Item, Limits};

/// The largest inflated log file that is read, in bytes: twice CloudTrail's own 50 MB.
const INFLATED_BYTES_MAX: usize = 100 << 20;

/// Every event id in the readable log files of a folder.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EventIds {
    /// How often each id occurs.
    pub counts: HashMap<String, u64>,
    /// Readable log files.
    pub files: u64,
    /// Records in them.
    pub records: u64,
    /// Records without an `eventID`.
    pub without_id: u64,
    /// Log files that are damaged, sorted by path. None of their records is counted, not even whole ones.
    pub unreadable: Vec<Unreadable>,
}

/// A log file that can't be read as a whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unreadable {
    /// The file.
    pub path: PathBuf,
    /// What is wrong with it.
    pub reason: String,
}

impl EventIds {
    /// Number of different ids.
    pub fn unique(&self) -> u64 {
        self.counts.len() as u64
    }
}

/// Collects the event ids of every log file (`…_CloudTrail_….json.gz`) below `dir`. Memory grows with the number of ids,
/// about 120 bytes each.
///
/// # Errors
/// When `dir` or a folder or file in it can't be read; a damaged log file is no error but listed.
pub fn event_ids(dir: &Path) -> io::Result<EventIds> {
    let mut found = EventIds::default();
    let mut inflater = Inflater::new();
    let mut json = Vec::new();
    walk(dir, &mut |path| {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if !name.contains("_CloudTrail_") || !name.ends_with(".json.gz") {
            return Ok(());
        }
        let gz = fs::read(path)?;
        json.clear();
        let ids = match inflater.inflate(&gz, INFLATED_BYTES_MAX, &mut json) {
            Ok(_) => ids_of_all(&json),
            Err(error) => Err(error.to_string()),
        };
        match ids {
            Ok(ids) => {
                found.files += 1;
                found.records += ids.len() as u64;
                for id in ids {
                    match id {
                        Some(id) => *found.counts.entry(id).or_default() += 1,
                        None => found.without_id += 1,
                    }
                }
            }
            Err(reason) => found.unreadable.push(Unreadable { path: path.to_owned(), reason }),
        }
        Ok(())
    })?;
    found.unreadable.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(found)
}

/// The event ids of one inflated log file in its order, or why it can't be read as a whole.
fn ids_of_all(json: &[u8]) -> Result<Vec<Option<String>>, String> {
    let items = log_file::read(json, &Limits::default()).map_err(|error| error.to_string())?;
    items
        .map(|item| match item {
            Item::Record(record) => Ok(record.header.event_id.map(|id| id.into_owned())),
            Item::Bad(bad) => Err(format!("bad record at byte {}: {}", bad.offset, bad.reason)),
        })
        .collect()
}

/// The event ids of one inflated log file in its order, or why it can't be read as a whole.
pub(super) fn ids_of(json: &[u8]) -> Result<Vec<String>, String> {
    Ok(ids_of_all(json)?.into_iter().flatten().collect())
}

/// Calls `visit` for every file below `dir`.
pub(super) fn walk(dir: &Path, visit: &mut dyn FnMut(&Path) -> io::Result<()>) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let path = entry.path();
        if entry.file_type()?.is_dir() { walk(&path, visit)? } else { visit(&path)? }
    }
    Ok(())
}
