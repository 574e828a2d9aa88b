//! One atomic change of the checkpoint: entries, index, counters.
//!
//! Owns that an entry never changes without its counters and its place in the index. On an error of the store the memory is
//! ahead of the tree; the caller ends the process, and the next one reads the tree. Nothing is written before `commit`.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use jiff::Timestamp;
use jiff::civil::Date;
use orgtrail_event::digest::from_hex;

use super::chain::Chain;
use super::claim::{Claim, Held};
use super::entry::{Entry, EntryKey, FolderId, State as Standing};
use super::ledger::Row;
use super::open::{self, IndexLine};
use super::proof::RowId;
use super::statement::Statement;
use super::{Error, FolderState, State};
use crate::object::Lane;

/// Changes between two flushes. sled 0.34 writes its buffers on a few threads that all wait for a lock, which one that waits
/// for those threads may hold: with more buffers on their way than threads, a burst of changes can stop for ever.
pub(super) const UNFLUSHED_MAX: usize = 1024;

pub(super) struct Transaction<'a> {
    tree: &'a sled::Tree,
    pub(super) state: &'a mut State,
    batch: sled::Batch,
    /// Entries written in this transaction; `None` where one was removed.
    written: HashMap<EntryKey, Option<Entry>>,
    /// Rows as they were before this transaction touched them.
    rows_before: BTreeMap<usize, Row>,
    chains_changed: BTreeSet<(FolderId, String)>,
}

impl<'a> Transaction<'a> {
    pub(super) fn new(tree: &'a sled::Tree, state: &'a mut State) -> Self {
        Self {
            tree,
            state,
            batch: sled::Batch::default(),
            written: HashMap::new(),
            rows_before: BTreeMap::new(),
            chains_changed: BTreeSet::new(),
        }
    }

    pub(super) fn entry(&self, key: EntryKey) -> Result<Option<Entry>, Error> {
        if let Some(written) = self.written.get(&key) {
            return Ok(written.clone());
        }
        let Some(bytes) = self.tree.get(open::entry_key(key))? else { return Ok(None) };
        Entry::decode(&bytes).map(Some).ok_or_else(|| Error::Damaged("an entry".into()))
    }

    pub(super) fn is_closed(&self, folder: FolderId, day: Date) -> bool {
        self.state.folders[folder.0 as usize].is_closed(day)
    }

    /// A claim on the object, which goes in its day's lane.
    pub(super) fn claimed(&self, key: EntryKey, resolves: bool, expected: Option<[u8; 32]>, held: &Held) -> Claim {
        let folder = &self.state.folders[key.folder().0 as usize];
        let lane = key.day().map_or(Lane::Live, |day| folder.meta.past.lane(day));
        Claim::new(key, lane, resolves, expected, held)
    }

    pub(super) fn seen(&mut self, folder: FolderId, day: Date, last_modified: Timestamp) {
        self.folder(folder).days.seen(day, last_modified);
    }

    pub(super) fn stamped(&mut self, folder: FolderId, stamp: Option<i64>) {
        let newest = &mut self.row(folder).ledger.newest_stamp;
        *newest = (*newest).max(stamp);
    }

    /// The object goes from `old` to `new`; without `old` it is newly listed.
    pub(super) fn put(&mut self, key: EntryKey, old: Option<&Entry>, new: Entry) {
        self.index_remove(key, old);
        let row = self.row(key.folder());
        match old {
            Some(old) => row.leave(old),
            None => row.ledger.listed += 1,
        }
        self.enter(key, old, new);
    }

    /// Another version of an object that was settled. Where the old one went on, both count, and the old one keeps its
    /// place in the index; a quarantined one is as good as retried.
    pub(super) fn replace(&mut self, key: EntryKey, old: &Entry, new: Entry) {
        let row = self.row(key.folder());
        row.ledger.changed += 1;
        match old.state {
            Standing::Acked { .. } | Standing::Delivered | Standing::Quarantined { seq: Some(_), .. } => {
                row.ledger.listed += 1;
                self.enter(key, Some(old), new);
            }
            _ => self.put(key, Some(old), new),
        }
    }

    /// A version that got the seq of the one it was taken to replace is that one: a message told of it once more, late. It
    /// counts once, and waits once.
    pub(super) fn count_once(&mut self, key: EntryKey, old: &Entry, new: &Entry) -> Result<(), Error> {
        let line = IndexLine::of(key, new).filter(|line| old.state.awaited_seq() != Some(line.seq));
        let Some(line) = line else { return Ok(()) };
        if self.tree.contains_key(line.key())? {
            self.index_drop(&line);
            let row = self.row(key.folder());
            row.leave(new);
            row.ledger.listed = row.ledger.listed.saturating_sub(1);
            row.ledger.changed = row.ledger.changed.saturating_sub(1);
        }
        Ok(())
    }

    /// As [`Transaction::put`] for an object that the counters know as `counted` although its entry is gone.
    pub(super) fn put_counted(&mut self, key: EntryKey, counted: &Entry, new: Entry) {
        let row = self.row(key.folder());
        let before = row.ledger.clone();
        row.leave(counted);
        if row.ledger == before {
            // The counters do not know it either: a quarantine older than the checkpoint.
            row.ledger.listed += 1;
        }
        self.enter(key, None, new);
    }

    /// Lines of the index with a seq below `seq_end`, at most `max`.
    pub(super) fn awaiting(&self, seq_end: u64, max: usize) -> Result<Vec<IndexLine>, Error> {
        let range = open::index_range(seq_end);
        self.tree.range(range).take(max).map(|line| open::index_line(&line?)).collect()
    }

    /// What stands in this line of the index is at every destination.
    pub(super) fn deliver(&mut self, line: &IndexLine) -> Result<(), Error> {
        let old = self.entry(line.entry)?;
        match old {
            Some(old) if old.state.awaited_seq() == Some(line.seq) => {
                let state = match &old.state {
                    Standing::Quarantined { reason, .. } => Standing::Quarantined { reason: reason.clone(), seq: None },
                    _ => Standing::Delivered,
                };
                self.put(line.entry, Some(&old), Entry { state, ..old.clone() });
            }
            // The object was replaced since; the version that waited here counts as done and has arrived.
            _ => {
                self.index_drop(line);
                if line.done {
                    self.row(line.entry.folder()).ledger.delivered += 1;
                }
            }
        }
        Ok(())
    }

    /// What stands in this line of the index is lost at the aggregator. True where it will be fetched again.
    pub(super) fn take_back(&mut self, line: &IndexLine) -> Result<bool, Error> {
        let old = self.entry(line.entry)?;
        match old {
            Some(old) if old.state.awaited_seq() == Some(line.seq) => {
                self.put(line.entry, Some(&old), Entry { state: Standing::Claimed, ..old.clone() });
                Ok(true)
            }
            // Its bytes were replaced at the source by others, which are taken for themselves.
            _ => {
                self.index_drop(line);
                if line.done {
                    let ledger = &mut self.row(line.entry.folder()).ledger;
                    ledger.done = ledger.done.saturating_sub(1);
                    *ledger.skipped.entry("replaced".into()).or_default() += 1;
                }
                Ok(false)
            }
        }
    }

    pub(super) fn delivered_end(&mut self, seq_end: u64) {
        self.state.delivered_end = seq_end;
        self.batch.insert(open::DELIVERED, &seq_end.to_be_bytes());
    }

    pub(super) fn epoch(&mut self, epoch: u64) {
        self.state.epoch = Some(epoch);
        self.batch.insert(open::EPOCH, &epoch.to_be_bytes());
        self.delivered_end(0);
    }

    /// A digest was verified: what it says is kept until all of it is accounted for.
    pub(super) fn state(&mut self, folder: FolderId, statement: &Statement) -> Result<(), Error> {
        let line = statement.line(folder);
        if !self.tree.contains_key(&line)? {
            *self.state.proofs.pending.entry(folder).or_default() += 1;
        }
        self.batch.insert(line, open::json(statement));
        Ok(())
    }

    pub(super) fn restate(&mut self, folder: FolderId, statement: &Statement) {
        self.batch.insert(statement.line(folder), open::json(statement));
    }

    /// All of it is accounted for.
    pub(super) fn unstate(&mut self, folder: FolderId, statement: &Statement) {
        self.batch.remove(statement.line(folder));
        let pending = &mut self.state.proofs.pending;
        if let Some(count) = pending.get_mut(&folder) {
            *count -= 1;
            if *count == 0 {
                pending.remove(&folder);
            }
        }
    }

    pub(super) fn waits_from(&mut self, folder: FolderId, from: Option<i64>) {
        match from {
            Some(from) => self.state.proofs.waiting_from.insert(folder, from),
            None => self.state.proofs.waiting_from.remove(&folder),
        };
    }

    /// Changes the statement's chain, which begins with it where there is none.
    pub(super) fn chain(&mut self, folder: FolderId, statement: &Statement, change: impl FnOnce(&mut Chain)) {
        let key = (folder, statement.trail.clone());
        change(self.state.proofs.chains.entry(key.clone()).or_insert_with(|| Chain::begin(statement)));
        self.chains_changed.insert(key);
    }

    /// The object has the hash that a digest says: it is no gap any more.
    pub(super) fn proved(&mut self, folder: FolderId, key: &str) {
        let row = RowId(self.state.folders[folder.0 as usize].row);
        let proofs = &mut self.state.proofs;
        for digests in proofs.digest_folders.get(&row).into_iter().flatten() {
            let chains = proofs.chains.range_mut((*digests, String::new())..).take_while(|((id, _), _)| id == digests);
            for (name, chain) in chains {
                if chain.proved(key) {
                    self.chains_changed.insert(name.clone());
                }
            }
        }
    }

    /// The hash that an object should have which is a gap: of a closed day, nothing else knows it.
    pub(super) fn expected_of(&self, folder: FolderId, key: &str) -> Option<[u8; 32]> {
        let row = RowId(self.state.folders[folder.0 as usize].row);
        let proofs = &self.state.proofs;
        let folders = proofs.digest_folders.get(&row)?;
        let chains = proofs.chains.iter().filter(|((digests, _), _)| folders.contains(digests));
        let expected = chains.into_iter().find_map(|(_, chain)| chain.expected(key))?;
        from_hex(expected)?.try_into().ok()
    }

    /// A verified digest says this of the object.
    pub(super) fn expect(&mut self, key: EntryKey, expected: [u8; 32]) -> Result<(), Error> {
        if let Some(entry) = self.entry(key)? {
            let entry = Entry { expected: Some(expected), ..entry };
            self.batch.insert(&open::entry_key(key), entry.encode());
            self.written.insert(key, Some(entry));
        }
        Ok(())
    }

    pub(super) fn commit(mut self) -> Result<(), Error> {
        for (index, before) in &self.rows_before {
            let row = &self.state.rows[*index];
            debug_assert!(row.is_conserved(), "conservation of {row:?}");
            self.state.progress = self.state.progress.replace(before, row);
            if row.ledger != before.ledger {
                self.batch.insert(open::row_key(&row.key), open::json(&row.ledger));
            }
        }
        for (folder, trail) in &self.chains_changed {
            if let Some(chain) = self.state.proofs.chains.get(&(*folder, trail.clone())) {
                self.batch.insert(open::chain_key(*folder, trail), open::json(chain));
            }
        }
        // An entry, its place in the index, and its counters.
        self.state.unflushed += 2 * self.written.len() + self.rows_before.len() + self.chains_changed.len();
        self.tree.apply_batch(self.batch)?;
        if self.state.unflushed >= UNFLUSHED_MAX {
            self.tree.flush()?;
            self.state.unflushed = 0;
        }
        Ok(())
    }

    /// The object is handed out without waiting for a listing.
    pub(super) fn detach(&mut self, key: EntryKey) {
        self.state.detached.insert(key);
    }

    /// Writes `new`, counts it in, and keeps the numbers of its day.
    fn enter(&mut self, key: EntryKey, old: Option<&Entry>, mut new: Entry) {
        self.row(key.folder()).enter(&new);
        self.index_insert(key, &new);
        let claimed = new.state == Standing::Claimed;
        let open = new.state.is_open();
        if !open {
            new.key = None;
        }
        let day = key.day().expect("made from a date");
        let folder = &mut self.state.folders[key.folder().0 as usize];
        let closed = folder.is_closed(day);
        let was_claimed = old.is_some_and(|old| old.state == Standing::Claimed);
        folder.claimed = (folder.claimed + u64::from(claimed)).saturating_sub(u64::from(was_claimed));
        if claimed && closed {
            self.state.detached.insert(key);
        } else {
            self.state.detached.remove(&key);
        }
        let counts = folder.days.day_mut(day);
        if let Some(old) = old {
            counts.entries = counts.entries.saturating_sub(1);
            counts.open = counts.open.saturating_sub(u64::from(old.state.is_open()));
            counts.claimed = counts.claimed.saturating_sub(u64::from(was_claimed));
        }
        // A closed day keeps nothing that is settled.
        if open || !closed {
            counts.entries += 1;
            counts.open += u64::from(open);
            counts.claimed += u64::from(claimed);
            self.batch.insert(&open::entry_key(key), new.encode());
            self.written.insert(key, Some(new));
        } else {
            folder.days.prune(day);
            let row = RowId(folder.row);
            self.state.proofs.ended(row, key, &new);
            self.batch.remove(&open::entry_key(key));
            self.written.insert(key, None);
        }
    }

    fn index_insert(&mut self, key: EntryKey, entry: &Entry) {
        if let Some(line) = IndexLine::of(key, entry) {
            self.batch.insert(line.key(), line.value());
            self.state.progress.undelivered += 1;
        }
    }

    fn index_remove(&mut self, key: EntryKey, entry: Option<&Entry>) {
        if let Some(line) = entry.and_then(|entry| IndexLine::of(key, entry)) {
            self.index_drop(&line);
        }
    }

    fn index_drop(&mut self, line: &IndexLine) {
        self.batch.remove(line.key());
        self.state.progress.undelivered = self.state.progress.undelivered.saturating_sub(1);
    }

    fn folder(&mut self, folder: FolderId) -> &mut FolderState {
        &mut self.state.folders[folder.0 as usize]
    }

    /// The folder's row, remembered as it was.
    fn row(&mut self, folder: FolderId) -> &mut Row {
        let index = self.state.folders[folder.0 as usize].row;
        let row = &mut self.state.rows[index];
        self.rows_before.entry(index).or_insert_with(|| row.clone());
        row
    }
}

impl Row {
    fn enter(&mut self, entry: &Entry) {
        self.ledger.add(entry);
        self.in_flight += u64::from(entry.state == Standing::Claimed);
    }

    fn leave(&mut self, entry: &Entry) {
        self.ledger.subtract(entry);
        self.in_flight = self.in_flight.saturating_sub(u64::from(entry.state == Standing::Claimed));
    }
}
