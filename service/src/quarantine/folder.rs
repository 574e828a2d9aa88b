//! The quarantine's folder: where its files are, and what an operator does with them.
//!
//! It owns the layout and the lock; it keeps nothing in memory between calls, so that a command needs no running process.

mod dropped;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Entry, Error, Id};
use crate::clock::Clock;
use crate::disk::durably;
use crate::durable;

/// Which entries are meant; the default means all.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Only this reason.
    pub reason: Option<String>,
    /// Only subjects that contain this.
    pub subject: Option<String>,
}

/// The operator's side of a quarantine.
#[derive(Debug, Clone)]
pub struct Folder {
    dir: PathBuf,
    clock: Arc<dyn Clock>,
}

/// What is read of an entry to sort and to count: its payload, the large part, is passed over.
#[derive(Debug, Deserialize)]
pub(super) struct Head {
    pub(super) id: Id,
    pub(super) reason: String,
    subject: String,
    quarantined_at: Timestamp,
}

/// A line of `dropped.jsonl` or `resolved.jsonl`.
#[derive(Serialize)]
struct Gone<'e> {
    at: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    by: Option<&'e str>,
    entry: &'e Entry,
}

impl Folder {
    /// The quarantine in `dir`; nothing is created before something is put there.
    #[must_use]
    pub fn open(dir: &Path, clock: Arc<dyn Clock>) -> Self {
        Self { dir: dir.to_owned(), clock }
    }

    /// The entries that `filter` means, oldest first, read one by one as the iterator goes; 24 bytes an entry are held.
    /// An entry that vanishes meanwhile is passed over, a damaged one is an error item at the end.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub fn list(&self, filter: &Filter) -> Result<Listing, Error> {
        let mut found = Vec::new();
        let mut damaged = Vec::new();
        for head in self.heads()? {
            match head {
                Ok(head) if filter.means(&head) => found.push((head.quarantined_at, head.id)),
                Ok(_) => {}
                Err(error) => damaged.push(error),
            }
        }
        found.sort_unstable();
        Ok(Listing { folder: self.clone(), found: found.into_iter(), damaged: damaged.into_iter() })
    }

    /// How many entries there are by reason, by reading them all.
    ///
    /// # Errors
    /// The folder cannot be read. Damaged entries are not counted.
    pub fn count(&self) -> Result<BTreeMap<String, u64>, Error> {
        let mut counts = BTreeMap::new();
        for head in self.heads()?.flatten() {
            *counts.entry(head.reason).or_default() += 1;
        }
        Ok(counts)
    }

    /// The entry whose id begins with `prefix`.
    ///
    /// # Errors
    /// There is none, or more than one.
    pub fn get(&self, prefix: &str) -> Result<Entry, Error> {
        let prefix = prefix.trim().to_ascii_lowercase();
        if prefix.is_empty() || prefix.len() > 32 || !prefix.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(Error::NotAnId(prefix));
        }
        let mut ids = self.ids()?;
        ids.retain(|id| id.to_string().starts_with(&prefix));
        match ids.as_slice() {
            [] => Err(Error::NotFound(prefix)),
            [id] => self.read(id),
            several => Err(Error::Ambiguous { count: several.len(), prefix }),
        }
    }

    /// Gives an entry up: it moves, whole, to `dropped.jsonl` with the name of who decided it. Returns the entry.
    ///
    /// # Errors
    /// There is none, or the file system refused; the entry is then still there.
    pub fn drop(&self, id: &Id, by: &str) -> Result<Entry, Error> {
        let _lock = self.lock()?;
        let entry = self.read(id)?;
        self.log(&self.dropped_path(), &Gone { at: self.clock.now(), by: Some(by), entry: &entry })?;
        self.forget_retry(id)?;
        self.remove(id)?;
        Ok(entry)
    }

    /// Asks the owning process to try an entry again; it does so at its next round, or when it is started.
    ///
    /// # Errors
    /// There is none, or the file system refused.
    pub fn request_retry(&self, id: &Id) -> Result<(), Error> {
        let _lock = self.lock()?;
        if !self.holds(id) {
            return Err(Error::NotFound(id.to_string()));
        }
        self.mark_for_retry(id)
    }

    /// Asks for all entries that `filter` means; returns how many those are.
    ///
    /// # Errors
    /// The file system refused; some may have been asked for.
    pub fn request_retries(&self, filter: &Filter) -> Result<u64, Error> {
        let _lock = self.lock()?;
        let mut count = 0;
        for head in self.heads()?.flatten().filter(|head| filter.means(head)) {
            self.mark_for_retry(&head.id)?;
            count += 1;
        }
        Ok(count)
    }

    /// Passes every entry through `change`, also the dropped ones, and writes those back for which it says true. Nothing else
    /// changes the quarantine meanwhile; every file is whole at any moment.
    ///
    /// # Errors
    /// Those of `change`, the file system refused, or an entry is damaged; the entries before it are written.
    pub fn rewrite<E: From<Error>>(&self, mut change: impl FnMut(&mut Entry) -> Result<bool, E>) -> Result<(), E> {
        if !self.dir.exists() {
            return Ok(());
        }
        let _lock = self.lock()?;
        self.remove_half_written()?;
        for id in self.ids()? {
            let mut entry = self.read(&id)?;
            if change(&mut entry)? {
                self.write(&entry)?;
            }
        }
        dropped::rewrite(&self.dropped_path(), change)
    }

    fn mark_for_retry(&self, id: &Id) -> Result<(), Error> {
        let dir = self.dir.join("retry");
        durable::create_dir(&dir).map_err(Error::io("create", &dir))?;
        let path = dir.join(id.to_string());
        let asked = format!("{}\n", self.clock.now());
        durable::write(&path, asked.as_bytes()).map_err(Error::io("write", &path))
    }

    /// Held by whoever changes something, for as long as that takes: milliseconds.
    pub(super) fn lock(&self) -> Result<File, Error> {
        durable::create_dir(&self.dir).map_err(Error::io("create", &self.dir))?;
        let path = self.dir.join("lock");
        let open = File::options().write(true).create(true).truncate(false).open(&path);
        let file = open.map_err(Error::io("open", &path))?;
        file.lock().map_err(Error::io("lock", &path))?;
        Ok(file)
    }

    pub(super) fn read(&self, id: &Id) -> Result<Entry, Error> {
        let path = self.entry_path(id);
        match fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(|source| Error::Json { path, source }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(Error::NotFound(id.to_string())),
            Err(error) => Err(Error::io("read", &path)(error)),
        }
    }

    pub(super) fn write(&self, entry: &Entry) -> Result<(), Error> {
        let path = self.entry_path(&entry.id);
        let shard = path.parent().expect("an entry's path has a folder");
        durable::create_dir(shard).map_err(Error::io("create", shard))?;
        let mut text = serde_json::to_vec_pretty(entry).expect("strings, numbers and times are always JSON");
        text.push(b'\n');
        durable::write(&path, &text).map_err(Error::io("write", &path))
    }

    pub(super) fn holds(&self, id: &Id) -> bool {
        self.entry_path(id).exists()
    }

    /// Tells whether there was an entry.
    pub(super) fn move_to_resolved(&self, id: &Id) -> Result<bool, Error> {
        let mut entry = match self.read(id) {
            Ok(entry) => entry,
            Err(Error::NotFound(_)) => return Ok(false),
            Err(error) => return Err(error),
        };
        // It went through, so what it holds is where it belongs.
        entry.payload = None;
        let path = self.dir.join("resolved.jsonl");
        self.log(&path, &Gone { at: self.clock.now(), by: None, entry: &entry })?;
        self.forget_retry(id)?;
        self.remove(id)?;
        Ok(true)
    }

    fn remove(&self, id: &Id) -> Result<(), Error> {
        let path = self.entry_path(id);
        durably(&path, "remove an entry", || fs::remove_file(&path)).map_err(Error::io("remove", &path))?;
        let shard = path.parent().expect("an entry's path has a folder");
        durable::sync_dir(shard).map_err(Error::io("sync", shard))
    }

    fn log(&self, path: &Path, gone: &Gone<'_>) -> Result<(), Error> {
        let line = serde_json::to_vec(gone).expect("strings, numbers and times are always JSON");
        durable::append_line(path, &line).map_err(Error::io("append to", path))
    }

    pub(super) fn forget_retry(&self, id: &Id) -> Result<(), Error> {
        let path = self.dir.join("retry").join(id.to_string());
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(Error::io("remove", &path)(error)),
            // Not synced: a request that comes back after a crash only makes for one more attempt.
            _ => Ok(()),
        }
    }

    /// What was asked to be tried again, in the order of the ids.
    pub(super) fn retries(&self) -> Result<Vec<Id>, Error> {
        let mut ids: Vec<Id> = names(&self.dir.join("retry"))?.iter().filter_map(|name| name.parse().ok()).collect();
        ids.sort_unstable();
        Ok(ids)
    }

    pub(super) fn dropped_path(&self) -> PathBuf {
        self.dir.join("dropped.jsonl")
    }

    pub(super) fn dropped_len(&self) -> Result<u64, Error> {
        let path = self.dropped_path();
        match fs::metadata(&path) {
            Ok(meta) => Ok(meta.len()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
            Err(error) => Err(Error::io("read", &path)(error)),
        }
    }

    /// The heads of all entries, in no order. Reads one file at a time.
    pub(super) fn heads(&self) -> Result<impl Iterator<Item = Result<Head, Error>> + use<'_>, Error> {
        let ids = self.ids()?;
        Ok(ids.into_iter().filter_map(|id| {
            let path = self.entry_path(&id);
            match fs::read(&path) {
                Ok(bytes) => Some(serde_json::from_slice(&bytes).map_err(|source| Error::Json { path, source })),
                Err(error) if error.kind() == io::ErrorKind::NotFound => None,
                Err(error) => Some(Err(Error::io("read", &path)(error))),
            }
        }))
    }

    fn ids(&self) -> Result<Vec<Id>, Error> {
        let entries = self.dir.join("entries");
        let mut ids = Vec::new();
        for shard in names(&entries)? {
            let files = names(&entries.join(shard))?;
            ids.extend(files.iter().filter_map(|name| name.strip_suffix(".json")?.parse::<Id>().ok()));
        }
        Ok(ids)
    }

    /// Under the lock nobody else writes, so every temporary file is what a crash left.
    pub(super) fn remove_half_written(&self) -> Result<(), Error> {
        let entries = self.dir.join("entries");
        let shards = names(&entries)?.into_iter().map(|shard| entries.join(shard));
        for dir in shards.chain([self.dir.join("retry"), self.dir.clone()]) {
            for name in names(&dir)?.iter().filter(|name| name.ends_with(durable::TEMP_SUFFIX)) {
                let path = dir.join(name);
                fs::remove_file(&path).map_err(Error::io("remove", &path))?;
            }
        }
        Ok(())
    }

    fn entry_path(&self, id: &Id) -> PathBuf {
        let name = id.to_string();
        self.dir.join("entries").join(&name[..2]).join(format!("{name}.json"))
    }
}

impl Filter {
    fn means(&self, head: &Head) -> bool {
        self.reason.as_ref().is_none_or(|reason| *reason == head.reason)
            && self.subject.as_ref().is_none_or(|part| head.subject.contains(part.as_str()))
    }
}

/// The entry that a line of `dropped.jsonl` is about; `None` for half a line.
pub(super) fn dropped_id(line: &[u8]) -> Option<Id> {
    #[derive(Deserialize)]
    struct Line {
        entry: Head,
    }
    serde_json::from_slice::<Line>(line).ok().map(|line| line.entry.id)
}

/// The names in a folder; none if there is no such folder.
fn names(dir: &Path) -> Result<Vec<String>, Error> {
    let listing = match fs::read_dir(dir) {
        Ok(listing) => listing,
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Ok(Vec::new());
        }
        Err(error) => return Err(Error::io("list", dir)(error)),
    };
    let mut names = Vec::new();
    for file in listing {
        let file = file.map_err(Error::io("list", dir))?;
        names.extend(file.file_name().into_string());
    }
    Ok(names)
}

/// Entries, oldest first.
#[derive(Debug)]
pub struct Listing {
    folder: Folder,
    found: std::vec::IntoIter<(Timestamp, Id)>,
    damaged: std::vec::IntoIter<Error>,
}

impl Iterator for Listing {
    type Item = Result<Entry, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        for (_, id) in self.found.by_ref() {
            match self.folder.read(&id) {
                Err(Error::NotFound(_)) => {}
                read => return Some(read),
            }
        }
        self.damaged.next().map(Err)
    }
}
