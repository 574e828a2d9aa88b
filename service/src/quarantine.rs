//! What could not be processed, put aside with its reason: nothing is dropped silently (I10).
//!
//! A folder of small JSON files, one an entry, that people can read and that commands share with the process without
//! it running: [`Quarantine`] is the owning process's side (put, retry, resolve, counts), [`Folder`] the operator's
//! (list, show, retry, drop). It does not own what an entry means, nor when to try again.
//!
//! ```text
//! entries/3f/3fa9….json      one entry; the first two digits of its id are its folder
//! retry/3fa9…                an operator asked for another attempt
//! dropped.jsonl              entries an operator gave up, whole, with who and when
//! resolved.jsonl             entries that went through after all
//! lock                       held for an instant by whoever changes something
//! ```
//!
//! On a crash: an entry is whole or absent, and durable once [`Quarantine::put`] returned. Giving up and resolving write
//! the log line first and remove the entry after, so a crash between leaves both and the operation is simply repeated. A
//! retry request stays until the entry is resolved or put again, so a crash in the middle of an attempt repeats it. A
//! half-written temporary file is passed over, and removed at the next start of the owner.
//!
//! Everything here blocks on the disk: call it off the async threads.

mod entry;
mod folder;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::io::{self, BufRead, BufReader, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub use self::entry::{Entry, Id};
pub use self::folder::{Filter, Folder, Listing};
use crate::clock::Clock;

/// What can go wrong with a quarantine.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The bound is reached; nothing was put aside, so the caller must not go on as if it were.
    #[error(
        "put aside {subject}: the quarantine holds {entries_max} entries, its bound; retry or drop some, or raise it"
    )]
    Full {
        /// What was to be put aside.
        subject: String,
        /// The bound.
        entries_max: u64,
    },
    /// There is no such entry.
    #[error("find quarantine entry {0}: there is none; list the quarantine for the ids there are")]
    NotFound(String),
    /// More than one entry begins so.
    #[error("find quarantine entry {prefix}: {count} ids begin with it; give more digits")]
    Ambiguous {
        /// What was asked for.
        prefix: String,
        /// How many there are.
        count: usize,
    },
    /// An id is 32 hexadecimal digits, or the first of them.
    #[error("read quarantine id {0}: not up to 32 hexadecimal digits")]
    NotAnId(String),
    /// The file system refused.
    #[error("{verb} {}: {source}", .path.display())]
    Io {
        /// What was tried.
        verb: &'static str,
        /// On what.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// An entry's file is damaged.
    #[error("read {}: {source}; if it was edited by hand, put it right or move it away", .path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: serde_json::Error,
    },
}

impl Error {
    fn io(verb: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { verb, path, source }
    }
}

/// Whether an entry was there before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Put {
    /// It is new.
    New,
    /// It was known: its attempts were added up, and when it was first put aside was kept.
    Again,
}

/// The owning process's side. One process at a time: the owner's state folder is locked.
#[derive(Debug)]
pub struct Quarantine {
    folder: Folder,
    entries_max: u64,
    state: Mutex<State>,
}

/// What the owner remembers: bounded by `entries_max`, some 50 bytes an entry.
#[derive(Debug, Default)]
struct State {
    reasons: HashMap<Id, Arc<str>>,
    counts: BTreeMap<Arc<str>, u64>,
    /// Handed out by `take_retries` and not yet decided.
    taken: HashSet<Id>,
    /// How far `dropped.jsonl` was read: what operators drop while this process runs is subtracted.
    dropped_read: u64,
}

impl Quarantine {
    /// Opens the quarantine in `dir`, creating it if needed, and counts what is there. `entries_max` bounds the number
    /// of entries; reaching it is an [`Error::Full`].
    ///
    /// # Errors
    /// The file system refused. A damaged entry is logged and passed over.
    pub fn open(dir: &Path, entries_max: u64, clock: Arc<dyn Clock>) -> Result<Self, Error> {
        let folder = Folder::open(dir, clock);
        let lock = folder.lock()?;
        folder.remove_half_written()?;
        let mut state = State { dropped_read: folder.dropped_len()?, ..State::default() };
        for head in folder.heads()? {
            match head {
                Ok(head) => state.add(head.id, &head.reason),
                Err(error) => tracing::warn!(error = %error, "a quarantine entry is damaged and not counted"),
            }
        }
        drop(lock);
        Ok(Self { folder, entries_max, state: Mutex::new(state) })
    }

    /// The operator's side of the same folder.
    #[must_use]
    pub fn folder(&self) -> &Folder {
        &self.folder
    }

    /// Puts something aside, durably. The same id again adds its attempts to the entry and takes the newer reason; a
    /// retry that was asked for is thereby answered.
    ///
    /// # Errors
    /// [`Error::Full`], or the file system refused: the caller must then not treat the thing as accounted for.
    pub fn put(&self, mut entry: Entry) -> Result<Put, Error> {
        let mut state = self.state();
        let lock = self.folder.lock()?;
        self.subtract_dropped(&mut state)?;
        let known = match self.folder.read(&entry.id) {
            Ok(known) => Some(known),
            Err(Error::NotFound(_)) => None,
            // A damaged entry is replaced by a good one.
            Err(Error::Json { .. }) => None,
            Err(error) => return Err(error),
        };
        let put = match known {
            Some(known) => {
                entry.quarantined_at = known.quarantined_at;
                entry.attempts = entry.attempts.saturating_add(known.attempts);
                Put::Again
            }
            None if state.reasons.len() as u64 >= self.entries_max => {
                return Err(Error::Full { subject: entry.subject, entries_max: self.entries_max });
            }
            None => Put::New,
        };
        self.folder.write(&entry)?;
        self.folder.forget_retry(&entry.id)?;
        drop(lock);
        state.taken.remove(&entry.id);
        state.add(entry.id, &entry.reason);
        Ok(put)
    }

    /// The thing behind `id` went through after all: its entry moves to `resolved.jsonl`, without its payload. Tells
    /// whether there was an entry.
    ///
    /// # Errors
    /// The file system refused; the entry is then still there.
    pub fn resolve(&self, id: &Id) -> Result<bool, Error> {
        let mut state = self.state();
        let lock = self.folder.lock()?;
        self.subtract_dropped(&mut state)?;
        let was_there = self.folder.move_to_resolved(id)?;
        drop(lock);
        state.taken.remove(id);
        state.remove(id);
        Ok(was_there)
    }

    /// Up to `max` entries that an operator wants tried again. Each is handed out once; after a restart, again, until it
    /// is resolved or put again.
    ///
    /// # Errors
    /// The file system refused.
    pub fn take_retries(&self, max: usize) -> Result<Vec<Entry>, Error> {
        let mut state = self.state();
        let lock = self.folder.lock()?;
        self.subtract_dropped(&mut state)?;
        let mut entries = Vec::new();
        for id in self.folder.retries()? {
            if entries.len() >= max {
                break;
            }
            if state.taken.contains(&id) {
                continue;
            }
            match self.folder.read(&id) {
                Ok(entry) => {
                    state.taken.insert(id);
                    entries.push(entry);
                }
                Err(Error::NotFound(_)) => self.folder.forget_retry(&id)?,
                Err(error) => tracing::warn!(error = %error, "a quarantine entry cannot be tried again"),
            }
        }
        drop(lock);
        Ok(entries)
    }

    /// How many entries there are, by reason. Does not read the folder, except for what operators dropped since the last
    /// call.
    #[must_use]
    pub fn counts(&self) -> BTreeMap<String, u64> {
        let mut state = self.state();
        let read = self.folder.lock().and_then(|_lock| self.subtract_dropped(&mut state));
        if let Err(error) = read {
            tracing::warn!(error = %error, "what was dropped from the quarantine is not subtracted yet");
        }
        state.counts.iter().map(|(reason, count)| (reason.to_string(), *count)).collect()
    }

    /// Takes account of the lines that operators added to `dropped.jsonl`. Needs the folder's lock: then a line whose
    /// entry is still there is a drop that was interrupted, and the entry counts.
    fn subtract_dropped(&self, state: &mut State) -> Result<(), Error> {
        let path = self.folder.dropped_path();
        if self.folder.dropped_len()? <= state.dropped_read {
            return Ok(());
        }
        let mut file = std::fs::File::open(&path).map_err(Error::io("open", &path))?;
        file.seek(SeekFrom::Start(state.dropped_read)).map_err(Error::io("read", &path))?;
        let mut lines = BufReader::new(file);
        let mut line = Vec::new();
        loop {
            line.clear();
            let len = lines.read_until(b'\n', &mut line).map_err(Error::io("read", &path))?;
            if len == 0 {
                return Ok(());
            }
            state.dropped_read += len as u64;
            let gone = folder::dropped_id(&line).filter(|id| !self.folder.holds(id));
            if let Some(id) = gone {
                state.taken.remove(&id);
                state.remove(&id);
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn add(&mut self, id: Id, reason: &str) {
        self.remove(&id);
        // One allocation a reason, not one an entry.
        let known = self.counts.get_key_value(reason).map(|(known, _)| Arc::clone(known));
        let reason = known.unwrap_or_else(|| Arc::from(reason));
        *self.counts.entry(Arc::clone(&reason)).or_default() += 1;
        self.reasons.insert(id, reason);
    }

    fn remove(&mut self, id: &Id) {
        let Some(reason) = self.reasons.remove(id) else { return };
        if let Some(count) = self.counts.get_mut(&reason) {
            *count -= 1;
            if *count == 0 {
                self.counts.remove(&reason);
            }
        }
    }
}

#[cfg(test)]
mod tests;
