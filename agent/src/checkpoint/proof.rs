//! Compares what verified digests say with what was taken: the proof that nothing is missing, or what is.
//!
//! Owns the statements that are not accounted for yet, the chains, and what each standing of an object means to them. Does
//! not own the chain's own rules (`chain`) nor the doing: listing again, fetching by name and putting aside are asked for in
//! [`Wanted`] and done by `completeness`.
//!
//! A statement is written in the same batch as the answer to its digest, and goes in the same batch as its last effect on
//! the chain, so a crash repeats a comparison and loses none. Comparing is cheap and idempotent: a row is compared again
//! whenever something in it changes.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use jiff::Timestamp;
use jiff::civil::Date;

use super::chain::{Chain, Gap, GapKind, Place};
use super::entry::{Entry, EntryKey, FolderId, State as Standing};
use super::join::Lines;
use super::statement::{StatedFile, Statement};
use super::transaction::Transaction;
use super::{Checkpoint, Error, State, lock};
use crate::fetch::HASH_DIFFERS;
use crate::object::Named;

/// Reason of an object that was named and is not there.
pub(crate) const MISSING: &str = "missing";

/// Number of a row of the ledger: one account and region of a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct RowId(pub(super) usize);

/// What is remembered of digests in memory.
#[derive(Debug, Default)]
pub(super) struct Proofs {
    /// By digest folder and trail.
    pub(super) chains: BTreeMap<(FolderId, String), Chain>,
    /// Statements that are not accounted for, by digest folder.
    pub(super) pending: BTreeMap<FolderId, u64>,
    /// The start of the oldest of them, as of the last comparison.
    pub(super) waiting_from: HashMap<FolderId, i64>,
    pub(super) digest_folders: HashMap<RowId, Vec<FolderId>>,
    /// Rows in which something changed since they were compared.
    due: BTreeSet<RowId>,
    /// How objects of closed days ended, as they leave no entries. After a crash they are fetched once more.
    ended: HashMap<RowId, HashMap<EntryKey, Entry>>,
}

impl Proofs {
    fn has_pending(&self, row: RowId) -> bool {
        let folders = self.digest_folders.get(&row).into_iter().flatten();
        folders.into_iter().any(|folder| self.pending.get(folder).is_some_and(|count| *count > 0))
    }

    /// Something in the row changed.
    pub(super) fn changed(&mut self, row: RowId) {
        if self.has_pending(row) {
            self.due.insert(row);
        }
    }

    /// An object of a closed day ended so.
    pub(super) fn ended(&mut self, row: RowId, key: EntryKey, entry: &Entry) {
        if self.has_pending(row) {
            self.ended.entry(row).or_default().insert(key, entry.clone());
        }
    }
}

/// What has to be done before the comparison can go on.
#[derive(Debug, Default)]
pub(crate) struct Wanted {
    /// Folders to list again now.
    pub(crate) list: BTreeSet<FolderId>,
    /// Objects that digests name and listings don't.
    pub(crate) take: Vec<Take>,
    /// Log files that were taken, and are not what their digest says.
    pub(crate) differing: Vec<Differing>,
    /// There are more statements than were looked at.
    pub(crate) more: bool,
}

impl Wanted {
    pub(crate) fn is_nothing(&self) -> bool {
        self.list.is_empty() && self.take.is_empty() && self.differing.is_empty() && !self.more
    }
}

/// An object to be fetched by its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Take {
    pub(crate) key: String,
    /// What its digest says its hash is.
    pub(crate) expected: Option<[u8; 32]>,
    /// The folder of the digest that names it.
    pub(crate) named_in: FolderId,
}

/// A log file with other content than its digest says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Differing {
    pub(crate) key: String,
    pub(crate) folder: FolderId,
    pub(crate) day: Date,
    pub(crate) size: u64,
    pub(crate) found: [u8; 32],
    pub(crate) expected: [u8; 32],
    /// The digest's key.
    pub(crate) digest: String,
}

/// How far one row is proved.
#[derive(Debug, Clone)]
pub(crate) struct Proof {
    pub(crate) location: String,
    pub(crate) account: String,
    pub(crate) region: String,
    /// By trail; empty where no digest was verified.
    pub(crate) chains: Vec<Chain>,
    /// Everything from here on waits for log files; Unix seconds.
    pub(crate) waiting_from: Option<i64>,
    /// Log files of closed days that digests cover and none lists.
    pub(crate) unlisted: u64,
}

impl Proof {
    /// Everything of the chain up to here is proved; Unix seconds.
    pub(crate) fn complete_until(&self, chain: &Chain) -> i64 {
        let waiting = self.waiting_from.map_or(i64::MAX, |from| from.max(chain.since));
        chain.complete_until().min(waiting)
    }
}

/// What a log file's standing means to the digest that lists it.
enum Judged {
    /// It is what the digest says.
    Good,
    /// It is of a day that nobody takes: before the source's beginning.
    Beyond,
    Gap(GapKind, String),
    Differs(Differing),
    /// Something has to happen first.
    Waits,
    List(FolderId),
    Take,
}

impl Checkpoint {
    /// Rows in which something changed since they were compared; all that wait for something with `all`.
    pub(crate) fn due(&self, all: bool) -> Vec<RowId> {
        let mut state = lock(&self.state);
        let proofs = &mut state.proofs;
        let mut due = std::mem::take(&mut proofs.due);
        if all {
            let waiting = proofs.digest_folders.keys().copied().filter(|row| proofs.has_pending(*row));
            due.extend(waiting.collect::<Vec<_>>());
        }
        due.into_iter().collect()
    }

    /// Compares the row's digests with what was taken.
    pub(crate) fn compare(&self, row: RowId) -> Result<Wanted, Error> {
        let mut state = lock(&self.state);
        let mut wanted = Wanted::default();
        for folder in state.proofs.digest_folders.get(&row).cloned().unwrap_or_default() {
            let Lines { after, before, more_after, more_before } = self.statements(&state, folder)?;
            let mut tx = Transaction::new(&self.db, &mut state);
            let mut left: Option<i64> = None;
            for mut statement in after {
                let placed = tx.place(folder, &statement, &mut wanted)?;
                let had = statement.files.len();
                if placed {
                    tx.judge(row, folder, &mut statement, &mut wanted)?;
                }
                if placed && statement.files.is_empty() {
                    tx.unstate(folder, &statement);
                    continue;
                }
                left = Some(left.map_or(statement.start, |left| left.min(statement.start)));
                if placed || statement.files.len() < had {
                    tx.restate(folder, &Statement { placed, ..statement });
                }
            }
            tx.waits_from(folder, left);
            wanted.more |= tx.join_before(row, folder, before, &mut wanted)? && more_before;
            wanted.more |= more_after;
            tx.commit()?;
        }
        let proofs = &mut state.proofs;
        if !proofs.has_pending(row) {
            proofs.ended.remove(&row);
        }
        if wanted.more {
            proofs.due.insert(row);
        }
        self.tell(&state);
        Ok(wanted)
    }

    /// The log file is not what its digest says, and stands in the quarantine for it. False where that is over: another
    /// version was taken meanwhile.
    pub(crate) fn differs(&self, differing: &Differing) -> Result<bool, Error> {
        let mut state = lock(&self.state);
        let mut tx = Transaction::new(&self.db, &mut state);
        let key = EntryKey::new(differing.folder, differing.day, &differing.key);
        let old = tx.entry(key)?.filter(|old| old.sha256 == Some(differing.found));
        let Some(old) = old.filter(|old| matches!(old.state, Standing::Acked { .. } | Standing::Delivered)) else {
            return Ok(false);
        };
        let reason = HASH_DIFFERS.into();
        let new = Standing::Quarantined { reason, seq: old.state.awaited_seq() };
        tx.put(key, Some(&old), Entry { state: new, expected: Some(differing.expected), ..old.clone() });
        tx.commit()?;
        let row = state.folders[differing.folder.0 as usize].row;
        state.proofs.changed(RowId(row));
        self.tell(&state);
        Ok(true)
    }

    /// Where a folder is: its source's location, and its path there.
    pub(crate) fn place_of(&self, folder: FolderId) -> (String, String) {
        let folder = &lock(&self.state).folders[folder.0 as usize];
        (folder.location.clone(), folder.path.clone())
    }

    /// How far every row is proved.
    pub(crate) fn proofs(&self) -> Vec<Proof> {
        let state = lock(&self.state);
        let mut proofs: Vec<Proof> = state
            .rows
            .iter()
            .map(|row| Proof {
                location: row.key.location.clone(),
                account: row.key.account.clone(),
                region: row.key.region.clone(),
                chains: Vec::new(),
                waiting_from: None,
                unlisted: row.ledger.unlisted,
            })
            .collect();
        for ((folder, _), chain) in &state.proofs.chains {
            proofs[state.folders[folder.0 as usize].row].chains.push(chain.clone());
        }
        for (folder, from) in &state.proofs.waiting_from {
            let waiting = &mut proofs[state.folders[folder.0 as usize].row].waiting_from;
            *waiting = Some(waiting.map_or(*from, |known| known.min(*from)));
        }
        proofs
    }
}

impl State {
    /// Digests up to here were looked at; days that end later are kept open for those that may come. None where there
    /// are no digests to wait for.
    pub(super) fn looked_through(&self, row: usize) -> Option<Timestamp> {
        let folders = self.proofs.digest_folders.get(&RowId(row))?;
        let mut through = None;
        for folder in folders {
            let digests = &self.folders[folder.0 as usize];
            let waits = digests.claimed > 0 || !digests.days.was_listed() || self.proofs.pending.contains_key(folder);
            let chains = self.proofs.chains.range((*folder, String::new())..).take_while(|((id, _), _)| id == folder);
            let until = chains.map(|(_, chain)| chain.until).min();
            let until = match (until, self.proofs.waiting_from.get(folder)) {
                (Some(until), Some(waiting)) => Some(until.min(*waiting)),
                (None, _) if waits => Some(i64::MIN),
                (until, _) => until,
            };
            through = match (through, until) {
                (Some(a), Some(b)) => Some(i64::min(a, b)),
                (a, b) => a.or(b),
            };
        }
        through.map(|seconds| Timestamp::from_second(seconds).unwrap_or(Timestamp::MIN))
    }

    /// Whether verified digests cover the whole day in this row, so that each of its log files should be in one.
    pub(super) fn is_covered(&self, row: usize, day: Date) -> bool {
        let second = |day: Date| day.to_zoned(jiff::tz::TimeZone::UTC).ok().map(|zoned| zoned.timestamp().as_second());
        let (Some(start), Some(end)) = (second(day), day.tomorrow().ok().and_then(second)) else { return false };
        let folders = self.proofs.digest_folders.get(&RowId(row)).into_iter().flatten();
        folders.into_iter().any(|folder| {
            let chains = self.proofs.chains.range((*folder, String::new())..).take_while(|((id, _), _)| id == folder);
            chains.into_iter().any(|(_, chain)| chain.since <= start && chain.until >= end)
        })
    }
}

impl Transaction<'_> {
    /// Puts the statement where it belongs in its chain. False where something else has to come first.
    fn place(&mut self, folder: FolderId, statement: &Statement, wanted: &mut Wanted) -> Result<bool, Error> {
        if statement.placed {
            return Ok(true);
        }
        let Some(chain) = self.state.proofs.chains.get(&(folder, statement.trail.clone())) else {
            if statement.backfill || self.awaits(folder, statement)? {
                return Ok(false);
            }
            self.chain(folder, statement, |_| {});
            return Ok(true);
        };
        let until = chain.until;
        let between = match chain.place(statement) {
            Place::Next => None,
            Place::Restart if statement.start > until => {
                let detail = "a new chain of digests begins: log file validation or the trail was off".to_owned();
                Some((GapKind::NotCovered, None, detail))
            }
            Place::Restart => None,
            Place::Late => {
                self.chain(folder, statement, |chain| chain.fill(statement));
                return Ok(true);
            }
            Place::Behind => match self.before(folder, statement, until, wanted)? {
                Some(between) => Some(between),
                None => return Ok(false),
            },
        };
        self.chain(folder, statement, |chain| chain.advance(statement, between));
        Ok(true)
    }

    /// Whether the digest before the first of a chain is still on its way.
    fn awaits(&self, folder: FolderId, statement: &Statement) -> Result<bool, Error> {
        let Some(previous) = &statement.previous else { return Ok(false) };
        let Some(named) = Named::read(&previous.key) else { return Ok(false) };
        let entry = self.entry(EntryKey::new(folder, named.date, &previous.key))?;
        Ok(entry.is_some_and(|entry| entry.state == Standing::Claimed))
    }

    /// Whether digests of the folder are on their way.
    pub(super) fn is_busy(&self, folder: FolderId) -> bool {
        let folder = &self.state.folders[folder.0 as usize];
        folder.claimed > 0 || !folder.days.was_listed()
    }

    /// What lies between the head and a digest that names another one before it; none while that is being found out.
    fn before(
        &self,
        folder: FolderId,
        statement: &Statement,
        until: i64,
        wanted: &mut Wanted,
    ) -> Result<Option<(GapKind, Option<String>, String)>, Error> {
        let Some(previous) = &statement.previous else { return Ok(None) };
        let key = previous.key.clone();
        let gap = |kind, detail: String| Ok(Some((kind, Some(key.clone()), detail)));
        let Some(named) = Named::read(&key).filter(Named::is_digest) else {
            return gap(GapKind::DigestMissing, format!("{} names it, outside the source", statement.key));
        };
        let entry = self.known(folder, EntryKey::new(folder, named.date, &key))?;
        let hours = (statement.start - until + 1800) / 3600;
        let more = if hours > 1 { format!("; {hours} hours lie between the digests") } else { String::new() };
        match entry.map(|entry| entry.state) {
            Some(Standing::Quarantined { reason, .. }) if &*reason == MISSING => {
                gap(GapKind::DigestMissing, format!("{} names it{more}", statement.key))
            }
            Some(Standing::Quarantined { reason, .. }) => {
                gap(GapKind::DigestInvalid, format!("in quarantine as {reason}{more}"))
            }
            Some(Standing::Claimed | Standing::Skipped { .. }) => Ok(None),
            _ if named.stamp <= until => gap(
                GapKind::ChainBroken,
                format!("{} names it as the one before, with another signature or out of turn", statement.key),
            ),
            Some(Standing::Acked { .. } | Standing::Delivered) => Ok(None),
            None if self.was_listed_since(folder, named.date, statement.read_at) => {
                wanted.take.push(Take { key, expected: None, named_in: folder });
                Ok(None)
            }
            None => {
                wanted.list.insert(folder);
                Ok(None)
            }
        }
    }

    /// What is known of an object, also of a closed day.
    pub(super) fn known(&self, folder: FolderId, key: EntryKey) -> Result<Option<Entry>, Error> {
        let row = RowId(self.state.folders[folder.0 as usize].row);
        let ended = || self.state.proofs.ended.get(&row).and_then(|ended| ended.get(&key)).cloned();
        Ok(self.entry(key)?.or_else(ended))
    }

    /// Whether a listing would have named an object of the day that was there at `read_at`.
    fn was_listed_since(&self, folder: FolderId, day: Date, read_at: i64) -> bool {
        let days = &self.state.folders[folder.0 as usize].days;
        days.is_closed(day) || days.was_listed_since(read_at)
    }

    /// Takes the files that are accounted for off the statement.
    pub(super) fn judge(
        &mut self,
        row: RowId,
        digests: FolderId,
        statement: &mut Statement,
        wanted: &mut Wanted,
    ) -> Result<(), Error> {
        let mut left = Vec::new();
        for file in std::mem::take(&mut statement.files) {
            match self.judge_file(row, statement, &file)? {
                Judged::Good => self.chain(digests, statement, |chain| chain.log_files += 1),
                Judged::Beyond => {}
                Judged::Gap(kind, detail) => {
                    let (start, end) = (statement.start, statement.end);
                    let gap = Gap { kind, start, end, key: Some(file.key), expected: Some(file.sha256), detail };
                    self.chain(digests, statement, |chain| chain.add(gap));
                }
                Judged::Differs(differing) => {
                    wanted.differing.push(differing);
                    left.push(file);
                }
                Judged::List(folder) => {
                    wanted.list.insert(folder);
                    left.push(file);
                }
                Judged::Take => {
                    wanted.take.push(Take { key: file.key.clone(), expected: file.hash(), named_in: digests });
                    left.push(file);
                }
                Judged::Waits => left.push(file),
            }
        }
        statement.files = left;
        Ok(())
    }

    fn judge_file(&mut self, row: RowId, statement: &Statement, file: &StatedFile) -> Result<Judged, Error> {
        let (Some(named), Some(expected)) = (Named::read(&file.key), file.hash()) else {
            return Ok(Judged::Gap(GapKind::LogQuarantined, "its key or hash in the digest is none".into()));
        };
        let location = self.state.rows[row.0].key.location.clone();
        let Some(&index) = self.state.folder_index.get(&(location, named.folder.path())) else {
            return Ok(Judged::Take);
        };
        let folder = FolderId(self.state.folders[index].meta.id);
        let key = EntryKey::new(folder, named.date, &file.key);
        let Some(entry) = self.known(folder, key)? else {
            let meta = &self.state.folders[index].meta;
            return Ok(if !meta.takes(named.date) {
                Judged::Beyond
            } else if self.was_listed_since(folder, named.date, statement.read_at) {
                Judged::Take
            } else {
                Judged::List(folder)
            });
        };
        if entry.expected != Some(expected) {
            self.expect(key, expected)?;
        }
        Ok(match (entry.state, entry.sha256) {
            (Standing::Claimed, _) => Judged::Waits,
            (Standing::Acked { .. } | Standing::Delivered, Some(found)) if found != expected => {
                let (key, digest) = (file.key.clone(), statement.key.clone());
                let (day, size) = (named.date, entry.size);
                Judged::Differs(Differing { key, folder, day, size, found, expected, digest })
            }
            (Standing::Acked { .. } | Standing::Delivered, _) => Judged::Good,
            (Standing::Quarantined { reason, .. }, _) if &*reason == MISSING => {
                Judged::Gap(GapKind::LogMissing, format!("{} lists it", statement.key))
            }
            (Standing::Quarantined { reason, .. }, _) if &*reason == HASH_DIFFERS => {
                Judged::Gap(GapKind::LogHashDiffers, format!("{} lists it with another hash", statement.key))
            }
            (Standing::Quarantined { reason, .. } | Standing::Skipped { reason }, _) => {
                Judged::Gap(GapKind::LogQuarantined, format!("in quarantine as {reason}"))
            }
        })
    }
}

#[cfg(test)]
mod tests;
