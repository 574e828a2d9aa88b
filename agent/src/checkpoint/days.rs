//! When a day is over (I12).
//!
//! A folder's days are closed from the oldest on, never over an open one. A day may close when
//! - a listing that *began* after the day's end, and after the newest object seen in it, by `lateness`, has passed over the
//!   whole day, so that everything which came in time has been seen; and
//! - every object in it is settled; and
//! - the digests that may list its objects have been looked at, where there are digests, and they come.
//!
//! Owns the rule and the few numbers that it needs for each open day, in memory only: after a restart the next listing
//! brings them back. Does not own the entries.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use super::spans::Past;

/// How far a listing has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ListedTo {
    /// Every object of the days before this one was named.
    Before(Date),
    /// The listing ended.
    End,
}

/// What is kept of a folder in the tree.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct FolderMeta {
    pub(super) id: u32,
    /// All days up to this one are closed: the low watermark.
    pub(super) closed_through: Option<Date>,
    /// The first day that listings take; days before it are a backfill's. None for all days.
    #[serde(default)]
    pub(super) from: Option<Date>,
    pub(super) account: String,
    pub(super) region: String,
    /// What backfills took of those days.
    #[serde(default, skip_serializing_if = "Past::is_empty")]
    pub(super) past: Past,
}

impl FolderMeta {
    /// Whether the day's objects are taken, by live listings or a backfill.
    pub(super) fn takes(&self, day: Date) -> bool {
        self.from.is_none_or(|from| from <= day) || self.past.holds(day)
    }
}

/// One listing over the folder.
#[derive(Debug, Clone, Copy)]
struct Pass {
    began: Timestamp,
    to: ListedTo,
}

impl Pass {
    fn covers(self, day: Date) -> bool {
        match self.to {
            ListedTo::Before(end) => day < end,
            ListedTo::End => true,
        }
    }
}

#[derive(Debug, Clone, Copy, Default)]
pub(super) struct DayState {
    /// Entries of the day.
    pub(super) entries: u64,
    /// Of these, not settled.
    pub(super) open: u64,
    /// Of these, not answered.
    pub(super) claimed: u64,
    /// When the source stored the newest object seen in the day.
    newest: Option<Timestamp>,
}

/// The open days of one folder.
#[derive(Debug)]
pub(super) struct Days {
    pub(super) closed_through: Option<Date>,
    open: BTreeMap<Date, DayState>,
    /// The day that waits for digests, and since when.
    held: Option<(Date, Timestamp)>,
    /// The last listing that reached the end, and the one under way.
    complete: Option<Pass>,
    current: Option<Pass>,
}

impl Days {
    pub(super) fn new(closed_through: Option<Date>) -> Self {
        Self { closed_through, open: BTreeMap::new(), held: None, complete: None, current: None }
    }

    /// Whether live listings are done with the day.
    pub(super) fn is_closed(&self, day: Date) -> bool {
        self.closed_through.is_some_and(|closed| day <= closed)
    }

    pub(super) fn day_mut(&mut self, day: Date) -> &mut DayState {
        self.open.entry(day).or_default()
    }

    pub(super) fn seen(&mut self, day: Date, last_modified: Timestamp) {
        let state = self.day_mut(day);
        state.newest = state.newest.max(Some(last_modified));
    }

    /// Forgets days without entries, which only `day_mut` made.
    pub(super) fn prune(&mut self, day: Date) {
        if self.open.get(&day).is_some_and(|state| state.entries == 0) {
            self.open.remove(&day);
        }
    }

    /// Days in which something is not settled.
    pub(super) fn unsettled(&self) -> impl Iterator<Item = Date> + '_ {
        self.open.iter().filter(|(_, state)| state.open > 0).map(|(day, _)| *day)
    }

    /// Objects of these days that are not answered, and that are not settled.
    pub(super) fn left_in(&self, first: Date, last: Date) -> (u64, u64) {
        let days = self.open.range(first..=last).map(|(_, state)| state);
        days.fold((0, 0), |(claimed, open), state| (claimed + state.claimed, open + state.open))
    }

    pub(super) fn len(&self) -> usize {
        self.open.len()
    }

    /// Notes how far a listing that began at `began` has come.
    pub(super) fn listed(&mut self, began: Timestamp, to: ListedTo) {
        let pass = Pass { began, to };
        match to {
            ListedTo::Before(_) => self.current = Some(pass),
            ListedTo::End => (self.complete, self.current) = (Some(pass), None),
        }
    }

    /// Whether a listing reached the end since the process started.
    pub(super) fn was_listed(&self) -> bool {
        self.complete.is_some()
    }

    /// Whether such a listing began at this time, Unix milliseconds, or later.
    pub(super) fn was_listed_since(&self, milliseconds: i64) -> bool {
        self.complete.is_some_and(|pass| pass.began.as_millisecond() >= milliseconds)
    }

    /// The oldest open day with entries, if it may be closed. Where there are digests to wait for they have been looked at
    /// up to `looked_through`; a day is held for them as long as `lateness`.
    pub(super) fn closable(&mut self, lateness: Duration, looked_through: Option<Timestamp>) -> Option<Date> {
        let (&day, state) = self.open.iter().find(|(day, _)| !self.is_closed(**day))?;
        let end = end_of(day)?;
        let over = end.max(state.newest.unwrap_or(Timestamp::MIN)).checked_add(lateness).ok()?;
        let seen = |pass: &&Pass| pass.covers(day) && pass.began > over;
        let seen = [self.complete, self.current].iter().flatten().filter(seen).map(|pass| pass.began).max()?;
        if state.open > 0 {
            return None;
        }
        if looked_through.is_none_or(|through| through >= end) {
            return Some(day);
        }
        let (_, since) = *self.held.insert(self.held.filter(|(held, _)| *held == day).unwrap_or((day, seen)));
        (seen > since.checked_add(lateness).ok()?).then_some(day)
    }

    /// Closes a day; its entries go.
    pub(super) fn close(&mut self, day: Date) {
        self.open.remove(&day);
        self.closed_through = self.closed_through.max(Some(day));
    }

    /// The watermark that days without a single object allow, where it is past the present one.
    pub(super) fn empty_through(&self, lateness: Duration) -> Option<Date> {
        let oldest = self.open.keys().find(|day| !self.is_closed(**day)).copied();
        let reach = |pass: &Pass| {
            // The last day whose end was `lateness` past when the listing began.
            let over =
                pass.began.checked_sub(lateness).ok()?.to_zoned(jiff::tz::TimeZone::UTC).date().yesterday().ok()?;
            match pass.to {
                ListedTo::Before(end) => Some(over.min(end.yesterday().ok()?)),
                ListedTo::End => Some(over),
            }
        };
        let through = [self.complete, self.current].iter().flatten().filter_map(reach).max()?;
        let through = match oldest {
            Some(oldest) => through.min(oldest.yesterday().ok()?),
            None => through,
        };
        (Some(through) > self.closed_through).then_some(through)
    }
}

/// Midnight after the day, UTC.
fn end_of(day: Date) -> Option<Timestamp> {
    day.tomorrow().ok()?.to_zoned(jiff::tz::TimeZone::UTC).ok().map(|zoned| zoned.timestamp())
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;

    const LATENESS: Duration = Duration::from_secs(26 * 3600);

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn a_day_closes_only_behind_a_listing_that_began_late_enough() {
        let mut days = Days::new(None);
        let day = date(2024, 5, 1);
        days.day_mut(day).entries = 1;
        days.seen(day, at("2024-05-01T23:59:00Z"));
        days.listed(at("2024-05-03T01:59:00Z"), ListedTo::End);
        assert_eq!(days.closable(LATENESS, None), None, "a minute short of 26 hours after midnight");
        days.listed(at("2024-05-03T02:01:00Z"), ListedTo::Before(day));
        assert_eq!(days.closable(LATENESS, None), None, "the listing hasn't passed the day");
        days.listed(at("2024-05-03T02:01:00Z"), ListedTo::Before(date(2024, 5, 2)));
        assert_eq!(days.closable(LATENESS, None), Some(day));
        days.seen(day, at("2024-05-03T00:00:00Z"));
        assert_eq!(days.closable(LATENESS, None), None, "a late object keeps the day open for its successors");
        days.listed(at("2024-05-04T02:01:00Z"), ListedTo::End);
        assert_eq!(days.closable(LATENESS, None), Some(day));
        days.day_mut(day).open = 1;
        assert_eq!(days.closable(LATENESS, None), None, "an object is not settled");
    }

    #[test]
    fn a_day_waits_for_the_digests_that_cover_it_but_not_for_ever() {
        let mut days = Days::new(None);
        let day = date(2024, 5, 1);
        days.day_mut(day).entries = 1;
        days.listed(at("2024-05-04T00:00:00Z"), ListedTo::End);
        let before = Some(at("2024-05-01T23:00:00Z"));
        assert_eq!(days.closable(LATENESS, before), None);
        assert_eq!(days.closable(LATENESS, Some(at("2024-05-02T00:00:00Z"))), Some(day));
        days.listed(at("2024-05-05T02:00:00Z"), ListedTo::End);
        assert_eq!(days.closable(LATENESS, before), None, "a moment short of 26 hours more");
        days.listed(at("2024-05-05T02:00:01Z"), ListedTo::End);
        assert_eq!(days.closable(LATENESS, before), Some(day));
    }

    #[test]
    fn empty_days_move_the_watermark_up_to_the_oldest_open_one() {
        let mut days = Days::new(None);
        assert_eq!(days.empty_through(LATENESS), None, "nothing was listed");
        days.listed(at("2024-05-10T12:00:00Z"), ListedTo::End);
        assert_eq!(days.empty_through(LATENESS), Some(date(2024, 5, 8)));
        days.day_mut(date(2024, 5, 6)).entries = 1;
        assert_eq!(days.empty_through(LATENESS), Some(date(2024, 5, 5)));
        days.closed_through = Some(date(2024, 5, 5));
        assert_eq!(days.empty_through(LATENESS), None);
    }
}
