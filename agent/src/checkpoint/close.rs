//! The end of a day: its entries go, the watermark and the counters stay.
//!
//! Owns that a day is over in one write, and that its entries go after it, a few at a time: the store does not bear many
//! changes at once (`transaction`). A crash between leaves entries of a closed day, which the next start takes away.

use jiff::civil::Date;

use super::entry::FolderId;
use super::ledger::Row;
use super::transaction::UNFLUSHED_MAX;
use super::{Checkpoint, Error, FolderState, State, open};

/// Entries that go in one batch.
const FORGET_MAX: usize = 512;

impl Checkpoint {
    /// Closes days from the oldest on while the rule allows.
    pub(super) fn close_days(&self, state: &mut State, folder: FolderId) -> Result<(), Error> {
        let index = folder.0 as usize;
        if state.folders[index].stays_open {
            return Ok(());
        }
        let row = state.folders[index].row;
        let through = if state.folders[index].holds_digests { None } else { state.looked_through(row) };
        let before = state.folders[index].days.closed_through;
        let mut closed = Vec::new();
        while let Some(day) = state.folders[index].days.closable(self.lateness, through) {
            state.folders[index].days.close(day);
            closed.push(day);
        }
        let days = &mut state.folders[index].days;
        if let Some(through) = days.empty_through(self.lateness) {
            days.closed_through = Some(through);
        }
        if days.closed_through == before {
            return Ok(());
        }
        state.folders[index].meta.closed_through = state.folders[index].days.closed_through;
        self.end_days(state, folder, &closed, &closed)
    }

    /// Writes down that the days are over, as the folder's state has it, and forgets their entries. Log files of `judged`
    /// days count as unlisted where digests cover the day and none lists them.
    pub(super) fn end_days(
        &self,
        state: &mut State,
        folder: FolderId,
        days: &[Date],
        judged: &[Date],
    ) -> Result<(), Error> {
        let mut unlisted = 0;
        for day in judged {
            unlisted += self.unlisted(state, folder, *day)?;
        }
        let mut batch = sled::Batch::default();
        let FolderState { location, path, meta, row, .. } = &state.folders[folder.0 as usize];
        batch.insert(open::folder_key(location, path), open::json(meta));
        if unlisted > 0 {
            tracing::warn!(folder.path = path, objects = unlisted, "log files that no verified digest lists");
            let Row { key, ledger, .. } = &mut state.rows[*row];
            ledger.unlisted += unlisted;
            batch.insert(open::row_key(key), open::json(ledger));
        }
        self.db.apply_batch(batch)?;
        for day in days {
            state.unflushed += forget(&self.db, folder, *day)?;
        }
        if state.unflushed >= UNFLUSHED_MAX {
            self.db.flush()?;
            state.unflushed = 0;
        }
        Ok(())
    }

    fn unlisted(&self, state: &State, folder: FolderId, day: Date) -> Result<u64, Error> {
        let FolderState { holds_digests, row, .. } = state.folders[folder.0 as usize];
        if holds_digests || !state.is_covered(row, day) {
            return Ok(0);
        }
        let mut unlisted = 0;
        for line in self.db.scan_prefix(open::day_entries(folder, day)) {
            unlisted += u64::from(open::entry(&line?)?.1.is_done_unlisted());
        }
        Ok(unlisted)
    }
}

/// Takes away the entries of a closed day, as far as nothing has to happen to them any more. Answers how many changes may
/// not be flushed yet.
pub(super) fn forget(db: &sled::Db, folder: FolderId, day: Date) -> Result<usize, Error> {
    let mut entries = db.scan_prefix(open::day_entries(folder, day));
    loop {
        let lines = entries.by_ref().take(FORGET_MAX).collect::<Result<Vec<_>, _>>()?;
        let mut batch = sled::Batch::default();
        for line in &lines {
            if !open::entry(line)?.1.state.is_open() {
                batch.remove(&line.0);
            }
        }
        db.apply_batch(batch)?;
        if lines.len() < FORGET_MAX {
            return Ok(lines.len());
        }
        db.flush()?;
    }
}
