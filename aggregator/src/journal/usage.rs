//! The usage ledger's counts: what came of which account, service and name, by day.
//!
//! Every write of records carries one entry that says what they were (I3), so the sum over all rows is the record ledger's
//! *read*. Entries are folded into rows every so often, in one write that removes them. Bounds: rows a day, days, entries that
//! are not folded yet; what has no room goes to the row *other*, what has no day is counted as *outside*.
//!
//! Crash: an entry is there with its records or not at all; folding is done or not.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Mutex;

use super::ledger::Ingested;
use super::store::{Batch, Space, Store};
use super::{Error, Journal, lock};
use crate::usage::{Count, DAYS_MAX, Names, Row, Table, day_number};

/// Rows of events that a day has at the most, those of what has no row aside.
const ROWS_MAX: u32 = 20_000;

/// The same of copies.
const COPIES_MAX: u32 = 1_000;

/// Entries that wait to be folded.
const ENTRIES_MAX: u64 = 256;

/// Rows that wait to be folded.
const PENDING_MAX: usize = 20_000;

/// Rows of days gone by that one folding removes.
const DROPPED_MAX: usize = 5_000;

/// Days ahead of the clock that a file's name may be.
const AHEAD: u32 = 1;

/// The name of what has no day among the meta data.
const OUTSIDE: &str = "usage/outside";

/// Bounds, smaller in tests.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    rows: u32,
    copies: u32,
    days: u32,
    entries: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { rows: ROWS_MAX, copies: COPIES_MAX, days: DAYS_MAX, entries: ENTRIES_MAX }
    }
}

/// What one write brings.
#[derive(Debug, Default)]
pub(super) struct Brought {
    rows: HashMap<(u32, Names), Count>,
}

impl Brought {
    /// Counts records of a file with this stamp.
    pub(super) fn add(&mut self, stamp: i64, names: &Names, count: &Count) {
        let key = (day_number(stamp), names.clone());
        self.rows.entry(key).or_default().add(count);
    }
}

/// An entry or a part of one, as it is stored.
type Entry = Vec<(u32, Row)>;

#[derive(Debug)]
pub(super) struct Usage {
    limits: Limits,
    books: Mutex<Books>,
}

#[derive(Debug, Default)]
struct Books {
    /// Entries that are not folded yet, added up.
    pending: BTreeMap<(u32, Names), Count>,
    /// Number of the first of them, and the one after the last.
    entries: std::ops::Range<u64>,
    /// Records without a day that is kept.
    outside: Count,
    /// Days that nobody was told about.
    changed: BTreeSet<u32>,
    /// Rows of each day, where they were counted.
    rows: HashMap<(u32, Table), u32>,
}

impl Usage {
    /// `read` is what the record ledger counted: a journal from before there was a usage ledger begins with it *outside*.
    pub(super) fn open(store: &Store, read: &Ingested, limits: Limits) -> Result<Self, Error> {
        let mut books = Books::default();
        let all = usize::MAX;
        for (key, entry) in store.rows::<Entry>(Space::UsageLog, b"", None, all)? {
            let number = u64::from_be_bytes(key.try_into().map_err(|_| Error::Corrupt("a usage entry's key".into()))?);
            if books.entries.is_empty() {
                books.entries.start = number;
            }
            books.entries.end = number + 1;
            books.merge(entry);
        }
        let before = || Count { events: read.read, duplicates: read.duplicate, ..Count::default() };
        books.outside = store.meta(OUTSIDE)?.unwrap_or_else(before);
        books.changed = store.days(Space::Usage)?;
        books.changed.extend(books.pending.keys().map(|(day, _)| *day).collect::<Vec<_>>());
        Ok(Self { limits, books: Mutex::new(books) })
    }

    /// Puts the entry into the write that carries its records. To be followed by [`Usage::committed`].
    pub(super) fn put(&self, batch: &mut Batch<'_>, brought: Brought, today: u32) -> Written {
        let books = lock(&self.books);
        let mut written = Written { outside: books.outside, entry: Vec::with_capacity(brought.rows.len()) };
        for ((day, names), count) in brought.rows {
            if day + self.limits.days > today && day <= today + AHEAD {
                written.entry.push((day, Row { names, count }));
            } else if names.table == Table::Events {
                written.outside.add(&count);
            }
        }
        if !written.entry.is_empty() {
            batch.put_row(Space::UsageLog, &books.entries.end.to_be_bytes(), &written.entry);
        }
        batch.put_meta(OUTSIDE, &written.outside);
        written
    }

    /// The write is on disk.
    pub(super) fn committed(&self, written: Written, store: &Store, today: u32) -> Result<(), Error> {
        let mut books = lock(&self.books);
        books.outside = written.outside;
        if !written.entry.is_empty() {
            books.entries.end += 1;
            books.merge(written.entry);
        }
        let entries = books.entries.end - books.entries.start;
        if entries >= self.limits.entries || books.pending.len() >= PENDING_MAX {
            // With the lock held: a reader must see an entry's counts once.
            books.fold(store, self.limits, today)?;
        }
        Ok(())
    }
}

/// An entry on its way.
#[derive(Debug)]
pub(super) struct Written {
    outside: Count,
    entry: Entry,
}

impl Books {
    fn merge(&mut self, entry: Entry) {
        for (day, Row { names, count }) in entry {
            self.changed.insert(day);
            self.pending.entry((day, names)).or_default().add(&count);
        }
    }

    /// Adds what is pending to the stored rows, and drops the days that are over.
    fn fold(&mut self, store: &Store, limits: Limits, today: u32) -> Result<(), Error> {
        let mut folding = Folding { store, limits, rows: &mut self.rows, changed: BTreeMap::new() };
        for ((day, names), count) in &self.pending {
            folding.add(*day, names, count)?;
        }
        let mut batch = store.batch();
        for (key, row) in &folding.changed {
            batch.put_row(Space::Usage, key, row);
        }
        for number in self.entries.clone() {
            batch.remove_row(Space::UsageLog, &number.to_be_bytes());
        }
        batch.commit()?;
        self.entries.start = self.entries.end;
        self.pending.clear();
        self.drop_days(store, (today + 1).saturating_sub(limits.days))
    }

    fn drop_days(&mut self, store: &Store, first: u32) -> Result<(), Error> {
        let oldest = store.rows::<Row>(Space::Usage, b"", None, DROPPED_MAX)?;
        let mut batch = store.batch();
        let mut outside = self.outside;
        let mut days = BTreeSet::new();
        for (key, row) in oldest {
            let Some(day) = key.first_chunk().map(|day| u32::from_be_bytes(*day)).filter(|day| *day < first) else {
                break;
            };
            if row.names.table == Table::Events {
                outside.add(&row.count);
            }
            batch.remove_row(Space::Usage, &key);
            days.insert(day);
        }
        if days.is_empty() {
            return Ok(());
        }
        batch.put_meta(OUTSIDE, &outside);
        batch.commit()?;
        self.outside = outside;
        self.rows.retain(|(day, _), _| *day >= first);
        self.changed.extend(days);
        Ok(())
    }
}

/// Rows that are changed by one folding.
struct Folding<'a> {
    store: &'a Store,
    limits: Limits,
    rows: &'a mut HashMap<(u32, Table), u32>,
    changed: BTreeMap<Vec<u8>, Row>,
}

impl Folding<'_> {
    fn add(&mut self, day: u32, names: &Names, count: &Count) -> Result<(), Error> {
        let key = row_key(day, names);
        let stored = match self.changed.get(&key) {
            Some(row) => Some(row.clone()),
            None => self.store.row::<Row>(Space::Usage, &key)?,
        };
        let row = match stored {
            Some(row) if row.names == *names => Some(row),
            // Another row's hash: one in 2^64.
            Some(_) => None,
            None => self.takes(day, names)?.then(|| Row { names: names.clone(), count: Count::default() }),
        };
        match row {
            Some(mut row) => {
                row.count.add(count);
                self.changed.insert(key, row);
                Ok(())
            }
            None => self.add(day, &Names::other(names.table, names.class), count),
        }
    }

    /// Whether there is room for one more row; the one of what has none always has.
    fn takes(&mut self, day: u32, names: &Names) -> Result<bool, Error> {
        if *names == Names::other(names.table, names.class) {
            return Ok(true);
        }
        let max = if names.table == Table::Events { self.limits.rows } else { self.limits.copies };
        let rows = match self.rows.get(&(day, names.table)) {
            Some(rows) => *rows,
            None => {
                let stored = self.store.rows::<Row>(Space::Usage, &day.to_be_bytes(), None, usize::MAX)?;
                let of_table = stored.iter().filter(|(_, row)| row.names.table == names.table).count();
                u32::try_from(of_table).unwrap_or(u32::MAX)
            }
        };
        let takes = rows < max;
        self.rows.insert((day, names.table), rows + u32::from(takes));
        Ok(takes)
    }
}

/// Day, then a hash: names are told by values only, which may be sealed.
fn row_key(day: u32, names: &Names) -> Vec<u8> {
    use std::hash::BuildHasher as _;
    let hash = xxhash_rust::xxh3::Xxh3DefaultBuilder.hash_one(names);
    let mut key = day.to_be_bytes().to_vec();
    key.extend_from_slice(&hash.to_be_bytes());
    key
}

impl Journal {
    /// At most `max` days whose usage has changed since they were asked for, oldest first.
    pub(crate) fn usage_changed(&self, max: usize) -> Vec<u32> {
        let mut books = lock(&self.shared.usage.books);
        let days: Vec<_> = books.changed.iter().take(max).copied().collect();
        books.changed.retain(|day| !days.contains(day));
        days
    }

    /// Nobody was told about this day after all.
    pub(crate) fn usage_changed_again(&self, day: u32) {
        lock(&self.shared.usage.books).changed.insert(day);
    }

    /// The rows of a day, in the order of their names.
    pub(crate) fn usage_of(&self, day: u32) -> Result<Vec<Row>, Error> {
        let books = lock(&self.shared.usage.books);
        let stored = self.shared.store.rows::<Row>(Space::Usage, &day.to_be_bytes(), None, usize::MAX)?;
        let mut rows: BTreeMap<Names, Count> = stored.into_iter().map(|(_, row)| (row.names, row.count)).collect();
        for ((of, names), count) in &books.pending {
            if *of == day {
                rows.entry(names.clone()).or_default().add(count);
            }
        }
        Ok(rows.into_iter().map(|(names, count)| Row { names, count }).collect())
    }

    /// Records that were read and are in no row: of days that are not kept.
    pub(crate) fn usage_outside(&self) -> Count {
        lock(&self.shared.usage.books).outside
    }
}

#[cfg(test)]
mod tests;
