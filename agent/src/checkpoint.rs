//! What the agent remembers: which objects it has taken, how far each has come, and the ledger that counts them.
//!
//! Owns the claim on an object (no two fetches of one object), the low watermark of every folder (I12), the index of what
//! is acknowledged and not delivered (I11), and the conservation ledger. Does not own listings, bytes, or the quarantine's
//! entries.
//!
//! Everything lies in one sled tree and every change is one atomic batch: an entry, its place in the index and the
//! counters that count it change together or not at all.
//!
//! | key | value |
//! |---|---|
//! | `e` folder day hash(key) | an object of an open day: state, hash of the entity tag, size; its key until it is settled |
//! | `s` seq entry | an object that waits for `Delivered` past this seq |
//! | `f` location NUL folder | id, low watermark, account, region, the days before live listings that backfills take or took |
//! | `r` location NUL account NUL region | the row of the ledger |
//! | `d` folder trail end hash(key) | what a verified digest says, until all of it is accounted for |
//! | `c` folder trail | the chain of verified digests, with its gaps |
//! | `m…` | format, journal epoch, end of what is delivered |
//!
//! **After a crash** the tree is as it was at some moment of the last half second ([`keep_flushed`] sees to that; [`flush`] is
//! called before anything relies on the present). That is enough, because nothing at the source is ever deleted: a claim
//! or an answer that was lost costs one more fetch, which the aggregator's dedup absorbs, and since counters and entries
//! share a batch the ledger stays conserved. A claimed entry of the run before is not held by anybody, so the next listing
//! hands it out again, without counting it as listed twice. A folder's watermark moves only over settled objects.
//!
//! **State is bounded by time**: a closed day leaves nothing behind but the watermark and the counters, one that a backfill took
//! nothing but its span.
//!
//! [`keep_flushed`]: Checkpoint::keep_flushed
//! [`flush`]: Checkpoint::flush

mod again;
mod chain;
mod claim;
mod close;
mod days;
mod entry;
mod flush;
mod join;
mod ledger;
mod named;
mod open;
mod past;
mod proof;
mod spans;
mod statement;
mod transaction;

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use jiff::civil::Date;
use orgtrail_event::key::{Folder, Kind};
use tokio::sync::{Notify, watch};

pub use self::chain::{Gap, GapKind};
use self::claim::Held;
pub(crate) use self::claim::{Claim, Claimed, Detached, Listed, Named, Outcome, Retake, Settled, Verdict};
pub(crate) use self::days::ListedTo;
use self::days::{Days, FolderMeta};
use self::entry::{Entry, cut_reason, etag_hash};
pub(crate) use self::entry::{EntryKey, FolderId, State as Standing};
pub use self::ledger::Progress;
pub(crate) use self::ledger::{Ledger, Row, RowKey};
pub(crate) use self::past::{Taken, Untaken};
use self::proof::Proofs;
pub(crate) use self::proof::{Differing, RowId, Take, Wanted};
use self::spans::Past;
pub(crate) use self::spans::Span;
pub(crate) use self::statement::{Named as NamedDigest, Statement};
use self::transaction::Transaction;

/// How many index lines are worked off in one atomic batch.
const CHUNK: usize = 512;

/// What can go wrong. All of it ends the process: to go on without a checkpoint could lose an object.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The store failed.
    #[error("use checkpoint: {0}")]
    Store(#[from] sled::Error),
    /// What was read is not what this program writes.
    #[error(
        "read checkpoint: {0} is damaged; move the folder away and start again: everything is fetched once more and the \
         aggregator removes the duplicates"
    )]
    Damaged(String),
    /// The checkpoint was written by another release.
    #[error("open checkpoint: format {0}, this build knows {ours}", ours = open::FORMAT)]
    Format(String),
}

/// Number of folders and days that are watched.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Watched {
    pub(crate) folders: usize,
    pub(crate) days_open: usize,
}

/// The checkpoint; one for each agent, shared by its stages. Its verbs may block on the disk.
#[derive(Debug)]
pub(crate) struct Checkpoint {
    db: sled::Db,
    state: Mutex<State>,
    held: Held,
    progress: watch::Sender<Progress>,
    lateness: Duration,
    dir: PathBuf,
    changed: Notify,
}

/// What is kept in memory of the tree: all of it but the entries.
#[derive(Debug, Default)]
struct State {
    folders: Vec<FolderState>,
    folder_index: HashMap<(String, String), usize>,
    rows: Vec<Row>,
    row_index: HashMap<RowKey, usize>,
    /// Claimed entries that no listing will name, as their days are closed, or not soon enough.
    detached: BTreeSet<EntryKey>,
    proofs: Proofs,
    epoch: Option<u64>,
    delivered_end: u64,
    progress: Progress,
    /// Changes since the last flush.
    unflushed: usize,
}

#[derive(Debug)]
struct FolderState {
    location: String,
    path: String,
    meta: FolderMeta,
    row: usize,
    days: Days,
    /// Claimed entries, held or not.
    claimed: u64,
    /// Its days are not closed by this process.
    stays_open: bool,
    /// Its objects are digests.
    holds_digests: bool,
}

impl FolderState {
    /// Whether the day's objects leave no entries once they are settled.
    fn is_closed(&self, day: Date) -> bool {
        self.days.is_closed(day) && self.meta.past.open.get(day).is_none()
    }
}

impl Checkpoint {
    /// Opens the checkpoint in `dir`, making it where there is none. Objects that come up to `lateness` after their day
    /// are taken.
    pub(crate) fn open(dir: &Path, lateness: Duration) -> Result<Self, Error> {
        let (db, state) = open::open(dir)?;
        let progress = watch::Sender::new(state.progress);
        Ok(Self {
            db,
            state: Mutex::new(state),
            held: Held::default(),
            progress,
            lateness,
            dir: dir.to_owned(),
            changed: Notify::new(),
        })
    }

    /// Registers a folder, or finds it again. Listings of a new one take the objects of the day `from` and later; `None`
    /// for all.
    pub(crate) fn folder(
        &self,
        location: &str,
        path: &str,
        account: &str,
        region: &str,
        from: Option<Date>,
    ) -> Result<FolderId, Error> {
        let mut state = lock(&self.state);
        let at = (location.to_owned(), path.to_owned());
        if let Some(&index) = state.folder_index.get(&at) {
            return Ok(FolderId(state.folders[index].meta.id));
        }
        let index = state.folders.len();
        let id = u32::try_from(index).map_err(|_| Error::Damaged("the list of folders".into()))?;
        let closed_through = from.and_then(|from| from.yesterday().ok());
        let (account, region) = (account.to_owned(), region.to_owned());
        let past = Past::default();
        let meta = FolderMeta { id, closed_through, from, account: account.clone(), region: region.clone(), past };
        self.db.insert(open::folder_key(&at.0, &at.1), open::json(&meta))?;
        let row = state.row(RowKey { location: at.0.clone(), account, region });
        let holds_digests = state.note_digests(path, row, FolderId(id));
        let days = Days::new(closed_through);
        state.folders.push(FolderState {
            location: at.0.clone(),
            path: at.1.clone(),
            meta,
            row,
            days,
            claimed: 0,
            stays_open: false,
            holds_digests,
        });
        state.folder_index.insert(at, index);
        Ok(FolderId(id))
    }

    /// Closes no day of the folder while this process runs: objects of any day can still come. It costs an entry for each
    /// of its objects.
    pub(crate) fn keep_open(&self, folder: FolderId) {
        lock(&self.state).folders[folder.0 as usize].stays_open = true;
    }

    /// The day up to which the folder is closed: listings begin after it.
    pub(crate) fn closed_through(&self, folder: FolderId) -> Option<Date> {
        lock(&self.state).folders[folder.0 as usize].days.closed_through
    }

    /// Claims the objects of one page of a listing, all of one folder.
    pub(crate) fn claim(&self, folder: FolderId, page: Vec<Listed>) -> Result<Claimed, Error> {
        let mut state = lock(&self.state);
        let mut claimed = Claimed::default();
        let mut tx = Transaction::new(&self.db, &mut state);
        for listed in page {
            if tx.is_closed(folder, listed.day) {
                // A closed day is not listed again; its objects have no entries to be told by.
                continue;
            }
            let key = EntryKey::new(folder, listed.day, &listed.key);
            tx.seen(folder, listed.day, listed.last_modified);
            let old = tx.entry(key)?;
            match self.take(&mut tx, key, &listed, old) {
                Choice::Known => {}
                Choice::Skip => claimed.new += 1,
                Choice::New { resolves, expected } => {
                    claimed.new += 1;
                    let claim = tx.claimed(key, resolves, expected, &self.held);
                    claimed.taken.push((listed, claim));
                }
                // It may have been taken out of quarantine before whatever ended its last attempt.
                Choice::Again { expected } => {
                    let claim = tx.claimed(key, true, expected, &self.held);
                    claimed.taken.push((listed, claim));
                }
            }
        }
        tx.commit()?;
        self.tell(&state);
        Ok(claimed)
    }

    /// Decides about one listed object and writes the decision.
    fn take(&self, tx: &mut Transaction<'_>, key: EntryKey, listed: &Listed, old: Option<Entry>) -> Choice {
        let etag = etag_hash(&listed.etag);
        // What was skipped may be wanted since: digests, once their keys are given.
        let wanted = |old: &Entry| {
            matches!(old.state, Standing::Skipped { .. }) && matches!(listed.verdict, Verdict::Take { .. })
        };
        let same = |old: &Entry| old.etag == etag || listed.etag.is_empty();
        if old.as_ref().is_some_and(|old| same(old) && old.state != Standing::Claimed && !wanted(old)) {
            return Choice::Known;
        }
        let expected = old.as_ref().and_then(|old| old.expected);
        let key_text = Some(listed.key.as_str().into());
        let entry = |state| Entry { state, etag, size: listed.size, sha256: None, expected, key: key_text };
        if let Verdict::Skip(reason) = listed.verdict {
            let known = old.is_some();
            tx.put(key, old.as_ref(), entry(Standing::Skipped { reason: reason.into() }));
            return if known { Choice::Known } else { Choice::Skip };
        }
        if self.held.contains(key) {
            return Choice::Known;
        }
        let claimed = entry(Standing::Claimed);
        match old {
            None => tx.put(key, None, claimed),
            Some(old) if old.state == Standing::Claimed => {
                tx.put(key, Some(&old), claimed);
                return Choice::Again { expected };
            }
            Some(old) if same(&old) => tx.put(key, Some(&old), claimed),
            Some(old) => {
                let resolves = matches!(old.state, Standing::Quarantined { .. });
                tx.replace(key, &old, claimed);
                return Choice::New { resolves, expected };
            }
        }
        Choice::New { resolves: false, expected }
    }

    /// Notes how far a listing of the folder that began at `began` has come, and closes what may be closed. Call it after
    /// the objects that it named were claimed.
    pub(crate) fn listed(&self, folder: FolderId, began: Timestamp, to: ListedTo) -> Result<(), Error> {
        let mut state = lock(&self.state);
        let FolderState { days, row, .. } = &mut state.folders[folder.0 as usize];
        days.listed(began, to);
        let row = RowId(*row);
        state.proofs.changed(row);
        self.close_days(&mut state, folder)
    }

    /// Writes answers down.
    pub(crate) fn settle(&self, settled: &[Settled]) -> Result<(), Error> {
        let mut state = lock(&self.state);
        let delivered_end = state.delivered_end;
        let mut folders = BTreeSet::new();
        let mut tx = Transaction::new(&self.db, &mut state);
        for Settled { claim, etag, sha256, statement, stamp, outcome } in settled {
            let Some(old) = tx.entry(claim.entry)? else { continue };
            let awaited = |seq: u64| seq >= delivered_end;
            let standing = match outcome {
                Outcome::Acked { seq } if awaited(*seq) => Standing::Acked { seq: *seq },
                Outcome::Acked { .. } => Standing::Delivered,
                Outcome::Quarantined { reason, seq } => {
                    Standing::Quarantined { reason: cut_reason(reason), seq: seq.filter(|seq| awaited(*seq)) }
                }
            };
            let folder = claim.entry.folder();
            if matches!(outcome, Outcome::Acked { .. }) {
                tx.stamped(folder, *stamp);
                // One that was settled before, and is sent again to another journal, has been stated.
                if let Some(statement) = statement.as_ref().filter(|_| old.sha256 != *sha256) {
                    tx.state(folder, statement)?;
                }
                if let Some(key) = old.key.as_ref().filter(|_| old.expected.is_some() && old.expected == *sha256) {
                    tx.proved(folder, key);
                }
            }
            let new = Entry { state: standing, etag: etag_hash(etag), sha256: *sha256, ..old.clone() };
            tx.count_once(claim.entry, &old, &new)?;
            tx.put(claim.entry, Some(&old), new);
            folders.insert(folder);
        }
        tx.commit()?;
        for folder in folders {
            let row = RowId(state.folders[folder.0 as usize].row);
            state.proofs.changed(row);
            self.close_days(&mut state, folder)?;
        }
        self.tell(&state);
        Ok(())
    }

    /// Everything below `seq_end` is at every destination.
    pub(crate) fn delivered(&self, seq_end: u64) -> Result<(), Error> {
        loop {
            let mut state = lock(&self.state);
            if seq_end <= state.delivered_end {
                return Ok(());
            }
            let mut folders = BTreeSet::new();
            let mut tx = Transaction::new(&self.db, &mut state);
            let lines = tx.awaiting(seq_end, CHUNK)?;
            for line in &lines {
                tx.deliver(line)?;
                folders.insert(line.entry.folder());
            }
            let all = lines.len() < CHUNK;
            if all {
                tx.delivered_end(seq_end);
            }
            tx.commit()?;
            for folder in folders {
                self.close_days(&mut state, folder)?;
            }
            self.tell(&state);
            if all {
                return Ok(());
            }
        }
    }

    /// The journal that seqs belong to, as the last `Welcome` named it.
    pub(crate) fn epoch(&self) -> (Option<u64>, u64) {
        let state = lock(&self.state);
        (state.epoch, state.delivered_end)
    }

    /// The aggregator's journal is another one: what was acknowledged and not delivered is claimed again (I11). Answers
    /// how many objects that are. A crash on the way is made good by the next call, as the epoch is written last.
    pub(crate) fn new_epoch(&self, epoch: u64) -> Result<u64, Error> {
        let mut again = 0;
        loop {
            let mut state = lock(&self.state);
            let mut tx = Transaction::new(&self.db, &mut state);
            let lines = tx.awaiting(u64::MAX, CHUNK)?;
            for line in &lines {
                again += u64::from(tx.take_back(line)?);
            }
            let all = lines.len() < CHUNK;
            if all {
                tx.epoch(epoch);
            }
            tx.commit()?;
            self.tell(&state);
            if all {
                drop(state);
                self.flush()?;
                return Ok(again);
            }
        }
    }

    /// Claimed objects of these folders.
    pub(crate) fn claimed_in(&self, folders: &[FolderId]) -> u64 {
        let state = lock(&self.state);
        folders.iter().filter_map(|folder| state.folders.get(folder.0 as usize)).map(|folder| folder.claimed).sum()
    }

    /// The sums, as they change.
    pub(crate) fn progress(&self) -> watch::Receiver<Progress> {
        self.progress.subscribe()
    }

    /// The rows of the ledger.
    pub(crate) fn rows(&self) -> Vec<Row> {
        lock(&self.state).rows.clone()
    }

    pub(crate) fn watched(&self) -> Watched {
        let state = lock(&self.state);
        Watched { folders: state.folders.len(), days_open: state.folders.iter().map(|folder| folder.days.len()).sum() }
    }

    fn tell(&self, state: &State) {
        self.changed.notify_one();
        let now = state.progress;
        self.progress.send_if_modified(|last| std::mem::replace(last, now) != now);
    }
}

/// What to do with one listed object.
enum Choice {
    /// Nothing: done, skipped, or on its way.
    Known,
    /// Never to be fetched, and seen for the first time.
    Skip,
    New {
        resolves: bool,
        expected: Option<[u8; 32]>,
    },
    /// Claimed by a run that ended before the answer, or given back.
    Again {
        expected: Option<[u8; 32]>,
    },
}

impl State {
    /// Remembers a folder of digests by its row; true where it is one.
    fn note_digests(&mut self, path: &str, row: usize, folder: FolderId) -> bool {
        let holds_digests = Folder::parse(path).is_some_and(|folder| folder.kind == Kind::Digest);
        if holds_digests {
            self.proofs.digest_folders.entry(RowId(row)).or_default().push(folder);
        }
        holds_digests
    }

    fn row(&mut self, key: RowKey) -> usize {
        if let Some(&row) = self.row_index.get(&key) {
            return row;
        }
        let row = self.rows.len();
        self.row_index.insert(key.clone(), row);
        self.rows.push(Row { key, ledger: Ledger::default(), in_flight: 0 });
        row
    }
}

/// A panic under one of these locks ends the process through its task; until then others may read what is there.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
