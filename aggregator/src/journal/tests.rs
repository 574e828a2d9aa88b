//! What the journal promises, with crashes as drops: nothing is flushed on drop that wasn't committed.

use std::path::Path;

use orgtrail_event::key::classify;
use orgtrail_service::clock::Manual;

use super::*;
use crate::usage::{Class, Table};

const DAY: i64 = 86_400;

struct Opened {
    journal: Journal,
    clock: Arc<Manual>,
    cancel: tokio_util::sync::CancellationToken,
    writer: tokio::task::JoinHandle<Result<(), Error>>,
}

impl Opened {
    async fn close(self) {
        self.cancel.cancel();
        self.writer.await.expect("no panic").expect("no error");
    }

    async fn append(&self, objects: Vec<Prepared>) -> Vec<Seq> {
        self.journal.append(objects).await.expect("appended").into_iter().map(|one| one.seq).collect()
    }
}

fn destination(name: &str) -> Destination {
    Destination { name: name.to_owned(), digests: true, announces: true }
}

fn to(to: Seq) -> Advance {
    Advance { to, ..Advance::default() }
}

fn settings(dir: &Path, destinations: &[&str]) -> Settings {
    Settings {
        dir: dir.to_owned(),
        capacity: 1 << 20,
        dedup_window: Duration::from_secs(7 * 86_400),
        dedup_memory: 1 << 20,
        commit_bytes: 1 << 20,
        destinations: destinations.iter().map(|name| destination(name)).collect(),
        trails: destinations.iter().map(|name| (*name).to_owned()).collect(),
        seal: Seal::off(),
    }
}

#[allow(clippy::disallowed_methods)]
fn open(settings: &Settings) -> Opened {
    let clock = Manual::new("2026-03-01T12:00:00Z".parse().expect("a time"));
    let (journal, writer) = Journal::open(settings, Arc::clone(&clock) as Arc<dyn Clock>).expect("opened");
    let cancel = tokio_util::sync::CancellationToken::new();
    let writer = tokio::spawn(writer.run(cancel.clone()));
    Opened { journal, clock, cancel, writer }
}

fn names(name: &str) -> Names {
    let (account, source) = ("111122223333".to_owned(), "s3.amazonaws.com".to_owned());
    Names { table: Table::Events, account, source, name: name.to_owned(), class: Class::Data }
}

/// An object whose records have these ids; each record's content is its id.
fn object(name: u8, ids: &[u8]) -> Prepared {
    object_with(name, &ids.iter().map(|id| (*id, u64::from(*id))).collect::<Vec<_>>())
}

fn object_with(name: u8, records: &[(u8, u64)]) -> Prepared {
    let key = format!(
        "AWSLogs/111122223333/CloudTrail/us-east-1/2026/03/01/111122223333_CloudTrail_us-east-1_20260301T1005Z_{name:016}.json.gz"
    );
    let stamp = classify(&key).into_log().expect("a log file's key").stamp.unix_seconds();
    Prepared {
        reference: ObjectRef {
            source: "file:///b".into(),
            key,
            etag: "e".into(),
            sha256: [name; 32],
            inflated_bytes: 100,
            last_modified: 0,
        },
        place: ("111122223333".to_owned(), "us-east-1".to_owned()),
        stamp,
        gzip: Bytes::from(vec![name; 50]),
        members: 1,
        origin: "file:///b/AWSLogs".to_owned(),
        names: vec![names("GetObject")],
        records: records
            .iter()
            .map(|(id, content)| Scanned {
                identity: Identity { id: [*id; 16], content: *content },
                hour: 1,
                account: 111_122_223_333,
                len: 10,
                passed_by: 0,
                names: 0,
            })
            .collect(),
        bad_records: 0,
        damage: None,
        event_times: None,
        source_digest: None,
        replay_to: None,
        lane: Lane::Live,
    }
}

#[tokio::test]
async fn a_copy_in_another_file_is_left_out() {
    let dir = tempfile::tempdir().expect("a folder");
    let opened = open(&settings(dir.path(), &["t"]));
    let seqs = opened.append(vec![object(1, &[1, 2]), object(2, &[2, 3])]).await;
    let heads = opened.journal.heads(0, 10).expect("heads");
    assert_eq!(seqs, [1, 2]);
    assert!(heads[0].1.verbatim);
    assert_eq!(
        (heads[1].1.omit.iter().collect::<Vec<_>>(), heads[1].1.kept, heads[1].1.verbatim),
        (vec![(0, 1)], 1, false)
    );
    opened.close().await;
}

#[tokio::test]
async fn copies_are_found_after_a_restart_too() {
    let dir = tempfile::tempdir().expect("a folder");
    let opened = open(&settings(dir.path(), &["t"]));
    opened.append(vec![object(1, &[1, 2])]).await;
    opened.close().await;
    let opened = open(&settings(dir.path(), &["t"]));
    opened.append(vec![object(2, &[1, 2])]).await;
    assert_eq!(opened.journal.heads(2, 10).expect("heads")[0].1.kept, 0);
    opened.close().await;
}

#[tokio::test]
async fn the_same_id_over_other_bytes_is_kept_and_counted() {
    let dir = tempfile::tempdir().expect("a folder");
    let opened = open(&settings(dir.path(), &["t"]));
    opened.append(vec![object_with(1, &[(1, 7)]), object_with(2, &[(1, 8)])]).await;
    let total = opened.journal.books().ledger.ingested_total();
    assert_eq!((total.read, total.duplicate, total.id_conflicts), (2, 0, 1));
    assert_eq!(opened.journal.cursor("t").pending, 2);
    opened.close().await;
}

#[tokio::test]
async fn an_object_offered_again_keeps_its_place_and_is_counted_once() {
    let dir = tempfile::tempdir().expect("a folder");
    let opened = open(&settings(dir.path(), &["t"]));
    assert_eq!(opened.append(vec![object(1, &[1]), object(1, &[1])]).await, [1, 1]);
    opened.close().await;
    let opened = open(&settings(dir.path(), &["t"]));
    assert_eq!(opened.append(vec![object(1, &[1])]).await, [1]);
    let total = opened.journal.books().ledger.ingested_total();
    assert_eq!((total.objects, total.objects_again, total.read, total.duplicate), (1, 2, 1, 0));
    opened.close().await;
}

#[tokio::test]
async fn the_ledger_balances_at_every_step() {
    let dir = tempfile::tempdir().expect("a folder");
    let opened = open(&settings(dir.path(), &["t"]));
    let balanced = |journal: &Journal| {
        let books = journal.books();
        let read = books.ledger.ingested_total();
        let delivered = books.ledger.delivered_total("t");
        assert_eq!(read.read, delivered.delivered + read.duplicate + read.quarantined + books.cursors["t"].pending);
    };
    opened.append(vec![object(1, &[1, 2, 3]), object(2, &[3, 4])]).await;
    balanced(&opened.journal);
    opened.journal.advance("t", to(2)).expect("advanced");
    balanced(&opened.journal);
    opened.close().await;
    balanced(&open(&settings(dir.path(), &["t"])).journal);
}

#[tokio::test]
async fn what_every_destination_holds_is_trimmed_and_the_slowest_decides() {
    let dir = tempfile::tempdir().expect("a folder");
    let opened = open(&settings(dir.path(), &["fast", "slow"]));
    opened.append(vec![object(1, &[1]), object(2, &[2])]).await;
    opened.journal.advance("fast", to(3)).expect("advanced");
    assert_eq!((opened.journal.usage().delivered, opened.journal.usage().payload_bytes), (1, 100));
    opened.journal.advance("slow", to(2)).expect("advanced");
    assert_eq!((opened.journal.usage().delivered, opened.journal.usage().payload_bytes), (2, 50));
    assert_eq!(opened.journal.heads(0, 10).expect("heads").len(), 1);
    opened.close().await;
}

#[tokio::test]
async fn what_was_kept_for_a_destination_that_is_gone_is_trimmed_by_the_next_start() {
    let dir = tempfile::tempdir().expect("a folder");
    let opened = open(&settings(dir.path(), &["fast", "slow"]));
    opened.append(vec![object(1, &[1]), object(2, &[2])]).await;
    opened.journal.advance("fast", to(3)).expect("advanced");
    opened.close().await;
    let opened = open(&settings(dir.path(), &["fast"]));
    assert_eq!(opened.journal.usage().payload_bytes, 0);
    assert!(opened.journal.heads(0, 10).expect("heads").is_empty());
    opened.close().await;
}

#[tokio::test]
async fn seqs_are_never_given_twice_even_when_everything_is_trimmed() {
    let dir = tempfile::tempdir().expect("a folder");
    let opened = open(&settings(dir.path(), &["t"]));
    opened.append(vec![object(1, &[1])]).await;
    opened.journal.advance("t", to(2)).expect("advanced");
    opened.close().await;
    let opened = open(&settings(dir.path(), &["t"]));
    assert_eq!(opened.append(vec![object(2, &[2])]).await, [2]);
    opened.close().await;
}

#[tokio::test]
async fn every_opening_is_another_epoch() {
    let dir = tempfile::tempdir().expect("a folder");
    let opened = open(&settings(dir.path(), &["t"]));
    let epoch = opened.journal.epoch();
    opened.close().await;
    let opened = open(&settings(dir.path(), &["t"]));
    assert_ne!(opened.journal.epoch(), epoch);
    opened.close().await;
}

#[tokio::test]
async fn a_full_journal_refuses_until_something_was_delivered() {
    let dir = tempfile::tempdir().expect("a folder");
    let opened = open(&Settings { capacity: 120, ..settings(dir.path(), &["t"]) });
    opened.append(vec![object(1, &[1]), object(2, &[2])]).await;
    let refused = opened.journal.append(vec![object(3, &[3])]).await;
    assert!(matches!(refused, Err(Error::Full { used: 100, capacity: 120 })), "{refused:?}");
    opened.journal.advance("t", to(3)).expect("advanced");
    opened.append(vec![object(3, &[3])]).await;
    opened.close().await;
}

#[tokio::test]
async fn records_are_forgotten_after_the_window_and_not_before() {
    let dir = tempfile::tempdir().expect("a folder");
    let opened = open(&settings(dir.path(), &["t"]));
    opened.append(vec![object(1, &[1])]).await;
    opened.clock.advance(jiff::SignedDuration::from_secs(6 * DAY));
    opened.append(vec![object(2, &[1])]).await;
    assert_eq!(opened.journal.books().ledger.ingested_total().duplicate, 1);
    // The first object expires with the next commit after it is delivered, so the next copy is new.
    opened.journal.advance("t", to(3)).expect("advanced");
    opened.clock.advance(jiff::SignedDuration::from_secs(2 * DAY));
    opened.append(vec![object(3, &[3])]).await;
    opened.append(vec![object(4, &[1])]).await;
    assert_eq!(opened.journal.books().ledger.ingested_total().duplicate, 1);
    opened.close().await;
}

#[tokio::test]
async fn a_destination_added_later_starts_at_the_end_and_still_balances() {
    let dir = tempfile::tempdir().expect("a folder");
    let opened = open(&settings(dir.path(), &["t"]));
    opened.append(vec![object(1, &[1, 2])]).await;
    opened.close().await;
    let opened = open(&settings(dir.path(), &["t", "later"]));
    let cursor = opened.journal.cursor("later");
    assert_eq!((cursor.seq, cursor.pending, cursor.before), (2, 0, 2));
    opened.append(vec![object(2, &[3])]).await;
    assert_eq!(opened.journal.cursor("later").pending, 1);
    opened.close().await;
}

#[tokio::test]
async fn a_destination_that_is_gone_holds_nothing_back() {
    let dir = tempfile::tempdir().expect("a folder");
    let opened = open(&settings(dir.path(), &["t", "gone"]));
    opened.append(vec![object(1, &[1])]).await;
    opened.close().await;
    let opened = open(&settings(dir.path(), &["t"]));
    opened.journal.advance("t", to(2)).expect("advanced");
    assert_eq!(opened.journal.usage().payload_bytes, 0);
    opened.close().await;
}

#[tokio::test]
async fn a_plan_is_there_again_after_a_restart_until_it_is_done() {
    let dir = tempfile::tempdir().expect("a folder");
    let opened = open(&settings(dir.path(), &["t"]));
    opened.append(vec![object(1, &[1])]).await;
    opened.journal.store_plan("t", &"the plan").expect("stored");
    opened.close().await;
    let opened = open(&settings(dir.path(), &["t"]));
    assert_eq!(opened.journal.plan::<String>("t").expect("read").as_deref(), Some("the plan"));
    opened.journal.advance("t", to(2)).expect("advanced");
    assert_eq!(opened.journal.plan::<String>("t").expect("read"), None);
    opened.close().await;
}

#[tokio::test]
async fn a_journal_whose_records_were_all_delivered_stays_small_on_disk() {
    let dir = tempfile::tempdir().expect("a folder");
    let opened = open(&Settings { capacity: 64 << 20, ..settings(dir.path(), &["t"]) });
    for round in 0..40u64 {
        let mut big = object(1, &[]);
        big.reference.etag = round.to_string();
        let mut id = [0; 16];
        id[..8].copy_from_slice(&round.to_be_bytes());
        big.records = vec![Scanned {
            identity: Identity { id, content: 1 },
            hour: 1,
            account: 1,
            len: 10,
            passed_by: 0,
            names: 0,
        }];
        big.gzip = (0..1 << 20).map(|n: u64| (n.wrapping_mul(round + 7) >> 5) as u8).collect::<Vec<_>>().into();
        let seqs = opened.append(vec![big]).await;
        opened.journal.advance("t", to(seqs[0] + 1)).expect("advanced");
    }
    assert_eq!(opened.journal.usage().payload_bytes, 0);
    // 40 MiB went through; what stays is the engine's own log, which it bounds.
    let disk = opened.journal.usage().disk_bytes;
    assert!(disk < 100 << 20, "{disk} bytes on disk");
    opened.close().await;
}

#[tokio::test]
async fn each_trails_selection_is_counted_for_itself() {
    let dir = tempfile::tempdir().expect("a folder");
    let opened = open(&settings(dir.path(), &["all", "some"]));
    let mut chosen = object(1, &[1, 2, 3]);
    chosen.records[1].passed_by = 0b10;
    chosen.records[2].passed_by = 0b10;
    opened.append(vec![chosen]).await;
    let head = &opened.journal.heads(0, 1).expect("heads")[0].1;
    let (all, some) = (head.selected("all"), head.selected("some"));
    assert_eq!((all.kept, all.passed_over, all.verbatim), (3, 0, true));
    assert_eq!((some.kept, some.passed_over, some.verbatim), (1, 2, false));
    assert_eq!([0, 1, 2].map(|ordinal| some.takes(ordinal)), [true, false, false]);
    assert_eq!(head.selected("some/cloudwatch").kept, 1, "a trail's other destination takes what the trail takes");
    for trail in ["all", "some"] {
        opened.journal.advance(trail, to(2)).expect("advanced");
    }
    let ledger = opened.journal.books().ledger;
    let counts = |trail| (ledger.delivered_total(trail).delivered, ledger.delivered_total(trail).filtered);
    assert_eq!((counts("all"), counts("some")), ((3, 0), (1, 2)));
    opened.close().await;
}

#[tokio::test]
async fn a_replayed_object_is_seen_by_one_destination_and_no_duplicate_of_itself() {
    let dir = tempfile::tempdir().expect("a folder");
    let opened = open(&settings(dir.path(), &["a", "b"]));
    opened.append(vec![object(1, &[1, 2])]).await;
    let mut again = object(1, &[1, 2]);
    again.replay_to = Some("b".into());
    opened.append(vec![again]).await;
    let head = &opened.journal.heads(2, 1).expect("heads")[0].1;
    assert_eq!((head.selected("a").kept, head.selected("b").kept), (0, 2));
    assert_eq!(opened.journal.cursor("b").pending, 2, "a replay is not pending");
    for destination in ["a", "b"] {
        opened.journal.advance(destination, to(3)).expect("advanced");
    }
    let ledger = opened.journal.books().ledger;
    let (a, b) = (ledger.delivered_total("a"), ledger.delivered_total("b"));
    assert_eq!((a.delivered, a.replayed, b.delivered, b.replayed), (2, 0, 2, 2));
    assert_eq!(ledger.ingested_total().read, 2);
    opened.close().await;
}

#[tokio::test]
async fn notifications_wait_for_their_topic_and_are_numbered_on_after_a_restart() {
    let dir = tempfile::tempdir().expect("a folder");
    let file = |key: &str| DeliveredFile {
        place: ("111122223333".into(), "us-east-1".into()),
        stamp: 60,
        key: key.into(),
        sha256: String::new(),
        event_times: None,
        sources: vec![],
        found: false,
    };
    let opened = open(&settings(dir.path(), &["t"]));
    opened.append(vec![object(1, &[1]), object(2, &[2])]).await;
    opened.journal.advance("t", Advance { to: 2, files: vec![file("a")], ..Advance::default() }).expect("advanced");
    opened.close().await;
    let opened = open(&settings(dir.path(), &["t"]));
    opened.journal.advance("t", Advance { to: 3, files: vec![file("b")], ..Advance::default() }).expect("advanced");
    let notices = opened.journal.notices("t", 10).expect("read");
    let keys: Vec<_> = notices.iter().flat_map(|(_, notice)| notice.keys.clone()).collect();
    assert_eq!(keys, ["a", "b"]);
    opened.journal.published(&[notices[0].0.clone()]).expect("published");
    assert_eq!(opened.journal.notices("t", 10).expect("read").len(), 1);
    assert_eq!(opened.journal.notices_waiting_and_dropped(), (1, 0));
    opened.close().await;
}

/// What a backfill of one year brings, twice over: many hours, each long before the window.
fn of_last_year(copy: u8) -> Vec<Prepared> {
    let object = |n: u8| {
        let mut object = object(n, &[n, n.wrapping_add(100)]);
        object.reference.source = format!("s3://copy-{copy}");
        for record in &mut object.records {
            record.hour = 482_000 + u32::from(n) * 24;
        }
        object
    };
    (0..100).map(object).collect()
}

#[tokio::test]
async fn records_of_hours_long_past_are_compared_among_themselves_over_crashes_and_within_memory() {
    let dir = tempfile::tempdir().expect("a folder");
    // Room for a few of the hundred hours: each commit must be cut where the memory ends.
    let settings = Settings { dedup_memory: 2_000, ..settings(dir.path(), &["t"]) };
    let opened = open(&settings);
    let first = opened.append(of_last_year(1)).await;
    assert_eq!(first, (1..=100).collect::<Vec<_>>());
    assert!(opened.journal.usage().seen_bytes <= 2_000);
    opened.close().await;

    let opened = open(&settings);
    assert_eq!(opened.append(of_last_year(1)).await, first, "sent again after a crash: recognised");
    opened.append(of_last_year(2)).await;
    opened.clock.advance(jiff::SignedDuration::from_secs(6 * DAY));
    opened.append(of_last_year(3)).await;
    let total = opened.journal.books().ledger.ingested_total();
    assert_eq!((total.read, total.duplicate, total.objects_again), (600, 400, 100));
    assert_eq!(opened.journal.cursor("t").pending, 200);
    opened.close().await;
}

/// All rows of a table, over all days that were told.
fn usage(journal: &Journal, table: Table) -> Vec<crate::usage::Row> {
    // 2024 to 2027.
    let rows = (20_000..21_000).flat_map(|day| journal.usage_of(day).expect("read"));
    rows.filter(|row| row.names.table == table).collect()
}

#[tokio::test]
async fn the_usage_ledger_says_of_each_record_that_was_read_what_it_was() {
    let dir = tempfile::tempdir().expect("a folder");
    let opened = open(&settings(dir.path(), &["t"]));
    let mut first = object(1, &[1, 2, 3]);
    first.names.push(names("PutObject"));
    first.records[2].names = 1;
    first.bad_records = 2;
    let mut second = object(2, &[2, 3, 4]);
    second.origin = "file:///b/AWSLogs/o-1".to_owned();
    opened.append(vec![first, second]).await;
    let check = |journal: &Journal| {
        let read = journal.books().ledger.ingested_total();
        let rows = usage(journal, Table::Events);
        let sum = |of: fn(&crate::usage::Count) -> u64| rows.iter().map(|row| of(&row.count)).sum::<u64>();
        assert_eq!((sum(|count| count.events), sum(|count| count.duplicates)), (read.read, read.duplicate));
        let told: Vec<_> =
            rows.iter().map(|row| (row.names.name.as_str(), row.count.events, row.count.bytes)).collect();
        assert_eq!(told, [("-", 2, 0), ("GetObject", 5, 50), ("PutObject", 1, 10)]);
        let copies = usage(journal, Table::Copies);
        assert_eq!(copies.len(), 1, "{copies:?}");
        let Names { source, name, class, .. } = &copies[0].names;
        assert_eq!(
            (source.as_str(), name.as_str(), *class),
            ("file:///b/AWSLogs", "file:///b/AWSLogs/o-1", Class::Data)
        );
        assert_eq!((copies[0].count.events, copies[0].count.bytes), (2, 20));
        assert_eq!(journal.usage_outside(), crate::usage::Count::default());
    };
    check(&opened.journal);
    opened.close().await;
    let opened = open(&settings(dir.path(), &["t"]));
    check(&opened.journal);
    // Offered again, and replayed: read once.
    let mut replayed = object(1, &[1, 2, 3]);
    replayed.replay_to = Some("t".into());
    let again = Prepared { origin: "file:///b/AWSLogs/o-1".into(), ..object(2, &[2, 3, 4]) };
    opened.append(vec![again, replayed]).await;
    check(&opened.journal);
    opened.close().await;
}

#[tokio::test]
async fn who_brought_the_first_copy_is_known_after_a_restart_and_when_memory_was_short() {
    let dir = tempfile::tempdir().expect("a folder");
    let settings = Settings { dedup_memory: 1, ..settings(dir.path(), &["t"]) };
    for (name, origin) in [(1, "s3://a/AWSLogs"), (2, "s3://b/AWSLogs"), (3, "s3://c/AWSLogs")] {
        let opened = open(&settings);
        opened.append(vec![Prepared { origin: origin.into(), ..object(name, &[1, 2]) }]).await;
        let copies = usage(&opened.journal, Table::Copies);
        let pairs: Vec<_> = copies.iter().map(|row| (row.names.source.as_str(), row.names.name.as_str())).collect();
        let expected = [("s3://a/AWSLogs", "s3://b/AWSLogs"), ("s3://a/AWSLogs", "s3://c/AWSLogs")];
        assert_eq!(pairs, expected[..usize::from(name) - 1]);
        opened.close().await;
    }
}
