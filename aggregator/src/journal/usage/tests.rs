//! The bounds of the usage ledger, and that nothing is lost or counted twice while it is folded.

use super::*;
use crate::seal::Seal;
use crate::usage::{Class, OTHER};

const TODAY: u32 = 20_000;

struct Bench {
    store: Store,
    usage: Usage,
    _dir: tempfile::TempDir,
}

const SMALL: Limits = Limits { rows: 3, copies: 1, days: 10, entries: 2 };

impl Bench {
    fn new(limits: Limits) -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        let store = Store::open(dir.path(), Seal::off()).expect("opened");
        let usage = Usage::open(&store, &Ingested::default(), limits).expect("opened");
        Self { store, usage, _dir: dir }
    }

    /// As after a crash: what is in memory is gone.
    fn reopened(self, limits: Limits) -> Self {
        let usage = Usage::open(&self.store, &Ingested::default(), limits).expect("opened");
        Self { usage, ..self }
    }

    fn bring(&self, today: u32, day: u32, names: &[Names]) {
        let mut brought = Brought::default();
        for names in names {
            let count = Count { events: 1, bytes: 10, ..Count::default() };
            brought.add(i64::from(day) * 86_400 + 5, names, &count);
        }
        let mut batch = self.store.batch();
        let written = self.usage.put(&mut batch, brought, today);
        batch.commit().expect("committed");
        self.usage.committed(written, &self.store, today).expect("folded");
    }

    fn rows(&self, day: u32) -> Vec<(String, u64)> {
        let books = lock(&self.usage.books);
        let stored = self.store.rows::<Row>(Space::Usage, &day.to_be_bytes(), None, 100).expect("read");
        let mut rows: BTreeMap<String, u64> = BTreeMap::new();
        for (_, row) in stored {
            *rows.entry(row.names.name).or_default() += row.count.events;
        }
        for ((_, names), count) in books.pending.iter().filter(|((of, _), _)| *of == day) {
            *rows.entry(names.name.clone()).or_default() += count.events;
        }
        rows.into_iter().collect()
    }

    fn outside(&self) -> u64 {
        lock(&self.usage.books).outside.events
    }
}

fn named(table: Table, name: &str) -> Names {
    Names { table, account: "1".into(), source: "s3".into(), name: name.into(), class: Class::Data }
}

fn events(names: &[&str]) -> Vec<Names> {
    names.iter().map(|name| named(Table::Events, name)).collect()
}

#[test]
fn what_has_no_row_goes_to_the_row_of_others() {
    let bench = Bench::new(SMALL);
    bench.bring(TODAY, TODAY, &events(&["a", "b"]));
    bench.bring(TODAY, TODAY, &events(&["c", "d", "e"]));
    let told = |bench: &Bench| bench.rows(TODAY).iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
    assert_eq!(told(&bench), ["a", "b", "c", OTHER]);
    let bench = bench.reopened(SMALL);
    bench.bring(TODAY, TODAY, &events(&["a", "f"]));
    bench.bring(TODAY, TODAY, &events(&["a", "g"]));
    let of = |name: &str, count| (name.to_owned(), count);
    assert_eq!(bench.rows(TODAY), [of("a", 3), of("b", 1), of("c", 1), of(OTHER, 4)]);
    assert_eq!(bench.outside(), 0);
}

#[test]
fn copies_have_a_bound_of_their_own() {
    let bench = Bench::new(SMALL);
    let copies = |names: &[&str]| names.iter().map(|name| named(Table::Copies, name)).collect::<Vec<_>>();
    bench.bring(TODAY, TODAY, &copies(&["x", "y"]));
    bench.bring(TODAY, TODAY, &events(&["a", "b", "c"]));
    let names: Vec<_> = bench.rows(TODAY).into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["a", "b", "c", OTHER, "x"]);
}

#[test]
fn folding_changes_no_count_and_leaves_no_entry() {
    let bench = Bench::new(Limits::default());
    for _ in 0..3 {
        bench.bring(TODAY, TODAY, &events(&["a", "b", "b"]));
    }
    let expected = [("a".to_owned(), 3), ("b".to_owned(), 6)];
    assert_eq!(bench.rows(TODAY), expected);
    let bench = bench.reopened(Limits { entries: 4, ..Limits::default() });
    assert_eq!(bench.rows(TODAY), expected, "entries that were not folded are there after a crash");
    bench.bring(TODAY, TODAY - 1, &events(&["a"]));
    assert!(lock(&bench.usage.books).pending.is_empty(), "the fourth entry is folded with the others");
    assert!(bench.store.rows::<Entry>(Space::UsageLog, b"", None, 10).expect("read").is_empty());
    assert_eq!(bench.reopened(Limits::default()).rows(TODAY), expected);
}

#[test]
fn days_that_are_over_or_can_not_be_are_counted_outside() {
    let bench = Bench::new(SMALL);
    bench.bring(TODAY, TODAY, &events(&["a"]));
    bench.bring(TODAY, TODAY - 9, &events(&["a", "b"]));
    assert_eq!((bench.rows(TODAY - 9).len(), bench.outside()), (2, 0));
    bench.bring(TODAY, TODAY - 10, &events(&["a"]));
    bench.bring(TODAY, TODAY + 2, &events(&["a"]));
    bench.bring(TODAY, TODAY + 3_000, &[named(Table::Copies, "x")]);
    assert_eq!(bench.outside(), 2, "copies are events that are counted already");
    let changed = |bench: &Bench| std::mem::take(&mut lock(&bench.usage.books).changed);
    assert_eq!(changed(&bench), [TODAY - 9, TODAY].into());

    bench.bring(TODAY + 1, TODAY + 1, &events(&["a"]));
    bench.bring(TODAY + 1, TODAY + 1, &events(&["a"]));
    assert_eq!((bench.rows(TODAY - 9).len(), bench.outside()), (0, 4));
    assert_eq!(changed(&bench), [TODAY - 9, TODAY + 1].into(), "who was told of the day is told that it is gone");
    let bench = bench.reopened(SMALL);
    assert_eq!((bench.outside(), bench.rows(TODAY + 1)), (4, vec![("a".to_owned(), 2)]));
}

#[test]
fn a_journal_from_before_begins_with_what_it_had_read() {
    let bench = Bench::new(SMALL);
    let read = Ingested { read: 7, duplicate: 3, ..Ingested::default() };
    let usage = Usage::open(&bench.store, &read, SMALL).expect("opened");
    let outside = lock(&usage.books).outside;
    assert_eq!((outside.events, outside.duplicates), (7, 3));
}
