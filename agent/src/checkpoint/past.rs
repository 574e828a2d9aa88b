//! The days before a folder's live listings: a backfill opens them, takes their objects as any others, and closes them.
//!
//! Owns which days are left to be taken, and when one is over. An open day keeps an entry for each of its objects, so that
//! listing it again repeats nothing; a taken one leaves nothing but the span that it lies in. Both are written down before
//! anything relies on them, so a backfill goes on where a crash left it. Does not own listings.

use jiff::civil::Date;
use jiff::tz::TimeZone;

use super::days::FolderMeta;
use super::entry::{FolderId, State as Standing};
use super::proof::RowId;
use super::spans::Span;
use super::statement::{self, Statement};
use super::{Checkpoint, Error, FolderState, lock, open};

/// What is left of a range of days.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Untaken {
    /// What nothing has taken, oldest first; both days inclusive.
    pub(crate) ranges: Vec<(Date, Date)>,
    /// Their days.
    pub(crate) left: u64,
    /// Days of the range that live listings take.
    pub(crate) live: u64,
    /// Days of the range that a backfill took.
    pub(crate) taken: u64,
}

/// What became of the objects of days that were closed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Taken {
    pub(crate) delivered: u64,
    pub(crate) quarantined: u64,
    pub(crate) skipped: u64,
}

impl Checkpoint {
    /// What a backfill of these days has to take in the folder.
    pub(crate) fn untaken(&self, folder: FolderId, first: Date, last: Date) -> Untaken {
        let state = lock(&self.state);
        let meta = &state.folders[folder.0 as usize].meta;
        // Of a folder without a beginning, live listings take every day.
        let Some(before) = meta.from.unwrap_or(Date::MIN).yesterday().ok().map(|before| before.min(last)) else {
            return Untaken { live: days(first, last), ..Untaken::default() };
        };
        let ranges = meta.past.taken.rest(first, before);
        let left = ranges.iter().map(|(first, last)| days(*first, *last)).sum::<u64>();
        let past = days(first, before);
        Untaken { ranges, left, live: days(first, last) - past, taken: past - left }
    }

    /// Opens the days: from now on their objects are claimed. Durable when it returns. Answers whether the last one was
    /// open before.
    pub(crate) fn open_past(&self, folder: FolderId, span: Span) -> Result<bool, Error> {
        let mut state = lock(&self.state);
        let folder = &mut state.folders[folder.0 as usize];
        let was_open = folder.meta.past.open.get(span.last).is_some();
        folder.meta.past.open.insert(span);
        self.db.insert(open::folder_key(&folder.location, &folder.path), open::json(&folder.meta))?;
        drop(state);
        self.flush()?;
        Ok(was_open)
    }

    /// Objects of these days that are not answered, and that are not settled.
    pub(crate) fn left_in(&self, folder: FolderId, first: Date, last: Date) -> (u64, u64) {
        lock(&self.state).folders[folder.0 as usize].days.left_in(first, last)
    }

    /// Verified digests of these days that are not compared yet.
    pub(crate) fn uncompared_in(&self, digests: FolderId, first: Date, last: Date) -> Result<u64, Error> {
        let state = lock(&self.state);
        if !state.proofs.pending.contains_key(&digests) {
            return Ok(0);
        }
        let second = |day: Date| day.to_zoned(TimeZone::UTC).map_or(i64::MAX, |zoned| zoned.timestamp().as_second());
        let (from, to) = (second(first), last.tomorrow().map_or(i64::MAX, second));
        let mut uncompared = 0;
        for line in self.db.scan_prefix(statement::lines(digests)) {
            let (key, value) = line?;
            let end = open::from_json::<Statement>(&key, &value)?.end;
            uncompared += u64::from(from <= end && end < to);
        }
        Ok(uncompared)
    }

    /// Closes open days in which everything is settled, and answers what became of their objects. With `next_unknown`,
    /// the digests that list the end of the last day were read before it was taken.
    pub(crate) fn close_past(
        &self,
        folder: FolderId,
        (first, last): (Date, Date),
        next_unknown: bool,
    ) -> Result<Taken, Error> {
        let mut state = lock(&self.state);
        let mut taken = Taken::default();
        let (mut closed, mut lost) = (Vec::new(), Vec::new());
        for day in first.series(jiff::Span::new().days(1)).take_while(|day| *day <= last) {
            if state.folders[folder.0 as usize].meta.past.open.get(day).is_none() {
                continue;
            }
            for line in self.db.scan_prefix(open::day_entries(folder, day)) {
                let (key, entry) = open::entry(&line?)?;
                match entry.state {
                    Standing::Quarantined { .. } => {
                        taken.quarantined += 1;
                        lost.push((key, entry));
                    }
                    Standing::Skipped { .. } => taken.skipped += 1,
                    Standing::Delivered | Standing::Acked { .. } | Standing::Claimed => taken.delivered += 1,
                }
            }
            closed.push(day);
        }
        let FolderState { meta: FolderMeta { past, .. }, days, row, holds_digests, .. } =
            &mut state.folders[folder.0 as usize];
        let (row, holds_digests) = (RowId(*row), *holds_digests);
        for day in &closed {
            if let Some(span) = past.open.get(*day).copied() {
                past.taken.insert(Span { first: *day, last: *day, ..span });
                past.open.remove(*day, *day);
            }
            days.close(*day);
        }
        // Where live listings begin, the digest that lists the end of the day before was theirs.
        let meta = &state.folders[folder.0 as usize].meta;
        let next_unknown = next_unknown || meta.from == last.tomorrow().ok();
        let judged = closed.iter().copied().filter(|day| !(next_unknown && *day == last)).collect::<Vec<_>>();
        self.end_days(&mut state, folder, &closed, &judged)?;
        // A digest that is there and bad is told from one that is missing.
        for (key, entry) in lost.iter().filter(|_| holds_digests) {
            state.proofs.ended(row, *key, entry);
        }
        state.proofs.changed(row);
        Ok(taken)
    }
}

/// How many days there are from one to the other, both inclusive.
fn days(first: Date, last: Date) -> u64 {
    let days = first.until(last).map_or(0, |span| i64::from(span.get_days()) + 1);
    u64::try_from(days).unwrap_or(0)
}

#[cfg(test)]
mod tests;
