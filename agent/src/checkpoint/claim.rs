//! What goes in and out of the checkpoint: listed and named objects in, claims out, answers in.
//!
//! Owns who holds a claim, in memory only: after a crash nobody does. A claim gives itself back when it is dropped, so no
//! path through the stages, a panic included, can keep an object from being handed out again.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};

use jiff::Timestamp;
use jiff::civil::Date;

use super::entry::{EntryKey, FolderId, State as Standing};
use super::lock;
use super::statement::Statement;
use crate::object::Lane;

/// An object that a listing named, or a notification or digest.
#[derive(Debug, Clone)]
pub(crate) struct Listed {
    /// Key below the source's location.
    pub(crate) key: String,
    pub(crate) day: Date,
    pub(crate) size: u64,
    /// Empty where whatever named the object doesn't know it: any version that was taken will do.
    pub(crate) etag: String,
    pub(crate) last_modified: Timestamp,
    pub(crate) verdict: Verdict,
}

/// What an object's key says is to be done with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// To be shipped, stamped at these Unix seconds.
    Take { stamp: i64 },
    /// Not to be shipped, and why.
    Skip(&'static str),
}

/// What became of a page of a listing.
#[derive(Debug, Default)]
pub(crate) struct Claimed {
    /// Objects to fetch now.
    pub(crate) taken: Vec<(Listed, Claim)>,
    /// Objects never seen before, skipped ones included, and changed ones.
    pub(crate) new: usize,
}

/// What became of one object that was claimed by its name.
#[derive(Debug)]
pub(crate) enum Named {
    /// To be fetched now.
    Taken(Listed, Claim),
    /// Somebody works on it.
    InFlight,
    /// It was taken before, and this is how far it came.
    Settled(Standing),
}

/// The right to work on one object. Dropped without having been settled, the object is handed out again.
#[derive(Debug)]
pub(crate) struct Claim {
    pub(super) entry: EntryKey,
    /// Which objects it goes with.
    pub(crate) lane: Lane,
    /// The object was in quarantine before: success resolves its entry there.
    pub(crate) resolves: bool,
    /// What a verified digest says the SHA-256 of its inflated bytes is.
    pub(crate) expected: Option<[u8; 32]>,
    held: Held,
}

/// The claims that somebody holds, by folder.
#[derive(Debug, Clone, Default)]
pub(super) struct Held(Arc<Mutex<HashMap<FolderId, HashSet<EntryKey>>>>);

impl Held {
    pub(super) fn contains(&self, entry: EntryKey) -> bool {
        lock(&self.0).get(&entry.folder()).is_some_and(|entries| entries.contains(&entry))
    }

    pub(super) fn count(&self, folder: FolderId) -> usize {
        lock(&self.0).get(&folder).map_or(0, HashSet::len)
    }
}

impl Claim {
    pub(super) fn new(entry: EntryKey, lane: Lane, resolves: bool, expected: Option<[u8; 32]>, held: &Held) -> Self {
        lock(&held.0).entry(entry.folder()).or_default().insert(entry);
        Self { entry, lane, resolves, expected, held: held.clone() }
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        let mut held = lock(&self.held.0);
        if let Some(entries) = held.get_mut(&self.entry.folder()) {
            entries.remove(&self.entry);
        }
    }
}

/// The answer to one object.
#[derive(Debug)]
pub(crate) struct Settled {
    pub(crate) claim: Claim,
    /// Entity tag of the bytes that were answered for.
    pub(crate) etag: String,
    /// Of the inflated bytes, where they could be inflated.
    pub(crate) sha256: Option<[u8; 32]>,
    /// What the object says of others, where it is a verified digest.
    pub(crate) statement: Option<Box<Statement>>,
    /// Unix seconds of the stamp in a log file's key; none where the object says nothing about how fresh log files are.
    pub(crate) stamp: Option<i64>,
    pub(crate) outcome: Outcome,
}

/// How an object was settled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// In the aggregator's journal at `seq`.
    Acked { seq: u64 },
    /// In the quarantine, durably (I10); `seq` where its readable records are in the journal all the same.
    Quarantined { reason: String, seq: Option<u64> },
}

/// An object that no listing will name again, to be fetched once more.
#[derive(Debug)]
pub(crate) struct Detached {
    pub(crate) folder: FolderId,
    pub(crate) key: String,
    pub(crate) size: u64,
    pub(crate) claim: Claim,
}

/// What became of the wish to take a quarantined object once more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Retake {
    /// It will be among the detached.
    Taken,
    /// It is on its way already.
    InFlight,
    /// It was taken since: nothing is left to retry.
    AlreadyDone,
}
