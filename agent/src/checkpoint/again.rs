//! Objects that are handed out without a listing: wished for by an operator, or claimed and named by no listing any more.
//!
//! Owns what a retry does to the counters, and that an object is handed out to one at a time.

use jiff::civil::Date;

use super::claim::{Detached, Retake};
use super::entry::{Entry, EntryKey, FolderId, State as Standing, cut_reason};
use super::transaction::Transaction;
use super::{Checkpoint, Error, FolderState, State, lock, open};

impl Checkpoint {
    /// Claims a quarantined object once more, for [`Checkpoint::detached`] to hand out. Durable when it returns.
    pub(crate) fn retake(
        &self,
        folder: FolderId,
        day: Date,
        key: &str,
        size: u64,
        reason: &str,
    ) -> Result<Retake, Error> {
        let mut state = lock(&self.state);
        let entry_key = EntryKey::new(folder, day, key);
        let mut tx = Transaction::new(&self.db, &mut state);
        let old = tx.entry(entry_key)?;
        match &old {
            Some(Entry { state: Standing::Acked { .. } | Standing::Delivered, .. }) => return Ok(Retake::AlreadyDone),
            Some(Entry { state: Standing::Claimed, .. }) if self.held.contains(entry_key) => {
                return Ok(Retake::InFlight);
            }
            _ => {}
        }
        let quarantined = Standing::Quarantined { reason: cut_reason(reason), seq: None };
        let expected = old.as_ref().and_then(|old| old.expected).or_else(|| tx.expected_of(folder, key));
        let key_text = Some(key.into());
        let claimed = Entry { state: Standing::Claimed, etag: 0, size, sha256: None, expected, key: key_text };
        match old {
            Some(old) => tx.put(entry_key, Some(&old), claimed),
            // The day was closed and its entries are gone; the counters still know the object.
            None => tx.put_counted(entry_key, &Entry { state: quarantined, ..claimed.clone() }, claimed),
        }
        tx.detach(entry_key);
        tx.commit()?;
        self.tell(&state);
        drop(state);
        self.flush()?;
        Ok(Retake::Taken)
    }

    /// Hands out objects that no listing will name again, at most `max`.
    pub(crate) fn detached(&self, max: usize) -> Result<Vec<Detached>, Error> {
        let mut state = lock(&self.state);
        let free = state.detached.iter().filter(|key| !self.held.contains(**key)).take(max).copied().collect();
        self.hand_out(&mut state, free)
    }

    /// Hands out the folder's claimed objects that nobody holds: after a whole listing, those that it did not name.
    pub(crate) fn unnamed(&self, folder: FolderId) -> Result<Vec<Detached>, Error> {
        let mut state = lock(&self.state);
        let FolderState { days, claimed, .. } = &state.folders[folder.0 as usize];
        if *claimed <= self.held.count(folder) as u64 {
            return Ok(Vec::new());
        }
        let mut free = Vec::new();
        for day in days.unsettled() {
            for line in self.db.scan_prefix(open::day_entries(folder, day)) {
                let (key, entry) = open::entry(&line?)?;
                if entry.state == Standing::Claimed && !self.held.contains(key) {
                    free.push(key);
                }
            }
        }
        self.hand_out(&mut state, free)
    }

    fn hand_out(&self, state: &mut State, free: Vec<EntryKey>) -> Result<Vec<Detached>, Error> {
        let tx = Transaction::new(&self.db, state);
        let mut handed = Vec::with_capacity(free.len());
        for key in free {
            let Some(Entry { key: Some(text), size, expected, .. }) = tx.entry(key)? else { continue };
            let claim = tx.claimed(key, true, expected, &self.held);
            handed.push(Detached { folder: key.folder(), key: text.into(), size, claim });
        }
        Ok(handed)
    }
}
