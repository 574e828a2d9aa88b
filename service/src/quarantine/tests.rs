//! Nothing that is put aside gets lost, whoever crashes or looks at the same time.

use std::fs;

use jiff::{SignedDuration, Timestamp};

use super::*;
use crate::clock::Manual;

struct Bench {
    dir: tempfile::TempDir,
    clock: Arc<Manual>,
}

fn bench() -> Bench {
    Bench { dir: tempfile::tempdir().unwrap(), clock: Manual::new(Timestamp::UNIX_EPOCH) }
}

impl Bench {
    fn owner(&self, entries_max: u64) -> Quarantine {
        Quarantine::open(self.dir.path(), entries_max, self.clock.clone()).unwrap()
    }

    fn operator(&self) -> Folder {
        Folder::open(self.dir.path(), self.clock.clone())
    }

    /// An entry about the object `n`, a minute after the one before.
    fn entry(&self, n: u32, reason: &str) -> Entry {
        self.clock.advance(SignedDuration::from_mins(1));
        Entry::new(id(n), reason, format!("s3://b/{n}"), "it is broken", self.clock.now())
    }
}

fn id(n: u32) -> Id {
    Id::of(&[b"s3://b", n.to_string().as_bytes()])
}

fn subjects(listing: Listing) -> Vec<String> {
    listing.map(|entry| entry.unwrap().subject).collect()
}

#[test]
fn an_entry_survives_and_is_readable_by_people() {
    let bench = bench();
    let entry = bench.entry(1, "not_gzip").with_field("etag", "abc").with_payload(vec![0, 255]);
    assert_eq!(bench.owner(10).put(entry.clone()).unwrap(), Put::New);
    let path = bench.dir.path().join("entries").join(&id(1).to_string()[..2]).join(format!("{}.json", id(1)));
    let text = fs::read_to_string(path).unwrap();
    for said in
        ["\"reason\": \"not_gzip\"", "\"subject\": \"s3://b/1\"", "\"payload\": \"AP8=\"", "1970-01-01T00:01:00Z"]
    {
        assert!(text.contains(said), "{said} is missing in {text}");
    }
    assert_eq!(bench.operator().get(&id(1).to_string()).unwrap(), entry);
}

#[test]
fn putting_the_same_thing_twice_makes_one_entry() {
    let bench = bench();
    let owner = bench.owner(1);
    let first = bench.entry(1, "not_gzip");
    owner.put(first.clone()).unwrap();
    assert_eq!(owner.put(bench.entry(1, "not_json")).unwrap(), Put::Again);
    let entry = owner.folder().get(&id(1).to_string()).unwrap();
    assert_eq!((entry.attempts, entry.quarantined_at), (2, first.quarantined_at));
    assert_eq!(owner.counts(), BTreeMap::from([("not_json".to_owned(), 1)]));
}

#[test]
fn a_full_quarantine_refuses_new_things_loudly_and_takes_known_ones() {
    let bench = bench();
    let owner = bench.owner(2);
    owner.put(bench.entry(1, "a")).unwrap();
    owner.put(bench.entry(2, "a")).unwrap();
    let error = owner.put(bench.entry(3, "a")).unwrap_err();
    assert!(matches!(error, Error::Full { entries_max: 2, .. }));
    assert!(error.to_string().contains("s3://b/3"), "{error}");
    owner.put(bench.entry(2, "a")).unwrap();
    bench.operator().drop(&id(1), "ann").unwrap();
    owner.put(bench.entry(3, "a")).unwrap();
    let reopened = bench.owner(2);
    reopened.put(bench.entry(4, "a")).unwrap_err();
}

#[test]
fn counts_are_right_after_a_restart_and_after_an_operators_drop() {
    let bench = bench();
    let owner = bench.owner(10);
    for n in 0..5 {
        owner.put(bench.entry(n, if n < 3 { "denied" } else { "not_json" })).unwrap();
    }
    let expected = BTreeMap::from([("denied".to_owned(), 3), ("not_json".to_owned(), 2)]);
    assert_eq!(owner.counts(), expected);
    assert_eq!(bench.owner(10).counts(), expected);
    assert_eq!(bench.operator().count().unwrap(), expected);

    bench.operator().drop(&id(0), "ann").unwrap();
    bench.operator().drop(&id(3), "ann").unwrap();
    bench.operator().drop(&id(4), "ann").unwrap();
    assert_eq!(owner.counts(), BTreeMap::from([("denied".to_owned(), 2)]));
    assert_eq!(bench.owner(10).counts(), BTreeMap::from([("denied".to_owned(), 2)]));
}

#[test]
fn the_list_is_in_order_of_time_and_filtered() {
    let bench = bench();
    let owner = bench.owner(100);
    for n in 0..20 {
        owner.put(bench.entry(n, if n % 2 == 0 { "even" } else { "odd" })).unwrap();
    }
    let all: Vec<_> = (0..20).map(|n| format!("s3://b/{n}")).collect();
    assert_eq!(subjects(bench.operator().list(&Filter::default()).unwrap()), all);
    let filter = Filter { reason: Some("odd".to_owned()), subject: Some("b/1".to_owned()) };
    let odd: Vec<_> = [1, 11, 13, 15, 17, 19].iter().map(|n| format!("s3://b/{n}")).collect();
    assert_eq!(subjects(bench.operator().list(&filter).unwrap()), odd);
}

#[test]
fn an_entry_is_found_by_the_first_digits_of_its_id() {
    let bench = bench();
    let owner = bench.owner(10);
    for text in ["ab000000000000000000000000000000", "abc00000000000000000000000000000"] {
        let entry = Entry { id: text.parse().unwrap(), ..bench.entry(0, "x") };
        owner.put(entry).unwrap();
    }
    let operator = bench.operator();
    assert_eq!(operator.get("ABC").unwrap().id.to_string(), "abc00000000000000000000000000000");
    assert!(matches!(operator.get("ab"), Err(Error::Ambiguous { count: 2, .. })));
    assert!(matches!(operator.get("a"), Err(Error::Ambiguous { count: 2, .. })));
    assert!(matches!(operator.get("cc"), Err(Error::NotFound(_))));
    for wrong in ["", "../x", "xyz"] {
        assert!(matches!(operator.get(wrong), Err(Error::NotAnId(_))), "{wrong}");
    }
}

#[test]
fn what_is_dropped_is_kept_whole_with_who_and_when() {
    let bench = bench();
    let owner = bench.owner(10);
    owner.put(bench.entry(1, "a").with_payload(b"evidence".to_vec())).unwrap();
    bench.operator().request_retry(&id(1)).unwrap();
    bench.operator().drop(&id(1), "ann").unwrap();
    let text = fs::read_to_string(bench.dir.path().join("dropped.jsonl")).unwrap();
    let line: serde_json::Value = serde_json::from_str(text.trim()).unwrap();
    assert_eq!(line["by"], "ann");
    assert_eq!(line["entry"]["payload"], "ZXZpZGVuY2U=");
    assert!(matches!(bench.operator().drop(&id(1), "ann"), Err(Error::NotFound(_))));
    assert!(owner.take_retries(10).unwrap().is_empty());
}

#[test]
fn a_retry_is_handed_out_once_and_again_after_a_crash_until_it_is_decided() {
    let bench = bench();
    let owner = bench.owner(10);
    owner.put(bench.entry(1, "a")).unwrap();
    owner.put(bench.entry(2, "a")).unwrap();
    assert!(owner.take_retries(10).unwrap().is_empty());
    bench.operator().request_retry(&id(1)).unwrap();
    let taken = owner.take_retries(10).unwrap();
    assert_eq!(taken.iter().map(|entry| entry.id).collect::<Vec<_>>(), [id(1)]);
    assert!(owner.take_retries(10).unwrap().is_empty(), "handed out once");

    let owner = bench.owner(10);
    assert_eq!(owner.take_retries(10).unwrap().len(), 1, "a crash in the middle of the attempt");
    assert!(owner.resolve(&id(1)).unwrap());
    assert!(!owner.resolve(&id(1)).unwrap());
    assert!(bench.owner(10).take_retries(10).unwrap().is_empty());
    assert!(fs::read_to_string(bench.dir.path().join("resolved.jsonl")).unwrap().contains("s3://b/1"));

    assert_eq!(bench.operator().request_retries(&Filter::default()).unwrap(), 1);
    assert_eq!(owner.take_retries(10).unwrap().len(), 1);
    owner.put(bench.entry(2, "a")).unwrap();
    assert!(bench.owner(10).take_retries(10).unwrap().is_empty(), "failed again: decided");
    bench.operator().request_retry(&id(2)).unwrap();
    assert_eq!(owner.take_retries(10).unwrap()[0].attempts, 2);
}

#[test]
fn rewriting_reaches_every_payload_also_the_dropped_ones() {
    let bench = bench();
    let owner = bench.owner(10);
    for n in 1..=3 {
        owner.put(bench.entry(n, "a").with_payload(b"evidence".to_vec())).unwrap();
    }
    bench.operator().drop(&id(1), "ann").unwrap();
    let dropped = bench.dir.path().join("dropped.jsonl");
    let mut text = fs::read_to_string(&dropped).unwrap();
    text.push_str("{\"at\": \"half a line, ZXZpZGVuY2U=");
    fs::write(&dropped, text).unwrap();
    let half = bench.dir.path().join("dropped.jsonl.rewritten.tmp");
    fs::write(&half, "what a crash left").unwrap();
    let rewritten = bench.operator().rewrite(|entry| {
        entry.payload = Some(b"other".to_vec());
        Ok::<_, Error>(entry.id != id(3))
    });
    rewritten.unwrap();
    let payload = |n| bench.operator().get(&id(n).to_string()).unwrap().payload.unwrap();
    assert_eq!((payload(2), payload(3)), (b"other".to_vec(), b"evidence".to_vec()));
    let text = fs::read_to_string(&dropped).unwrap();
    let line: serde_json::Value = serde_json::from_str(text.trim()).unwrap();
    assert_eq!((&line["by"], &line["entry"]["payload"]), (&"ann".into(), &"b3RoZXI=".into()));
    assert!(!text.contains("ZXZpZGVuY2U="), "{text}");
    assert!(!half.exists());
    assert_eq!(bench.owner(10).counts(), BTreeMap::from([("a".to_owned(), 2)]));
}

#[test]
fn half_written_files_are_passed_over_and_removed_by_the_owner() {
    let bench = bench();
    bench.owner(10).put(bench.entry(1, "a")).unwrap();
    let shard = bench.dir.path().join("entries").join(&id(1).to_string()[..2]);
    let half = shard.join(format!("{}.json.77-0.tmp", id(2)));
    fs::write(&half, "{\"id\": \"").unwrap();
    assert_eq!(subjects(bench.operator().list(&Filter::default()).unwrap()), ["s3://b/1"]);
    assert!(half.exists());
    assert_eq!(bench.owner(10).counts(), BTreeMap::from([("a".to_owned(), 1)]));
    assert!(!half.exists());
}

#[test]
fn a_crash_between_the_log_line_and_the_removal_loses_nothing() {
    let bench = bench();
    let owner = bench.owner(10);
    owner.put(bench.entry(1, "a")).unwrap();
    let path = bench.dir.path().join("entries").join(&id(1).to_string()[..2]).join(format!("{}.json", id(1)));
    let entry = fs::read(&path).unwrap();
    bench.operator().drop(&id(1), "ann").unwrap();
    fs::write(&path, entry).unwrap();
    assert_eq!(owner.counts(), BTreeMap::from([("a".to_owned(), 1)]), "still there, so it counts");
    bench.operator().drop(&id(1), "ann").unwrap();
    assert_eq!(owner.counts(), BTreeMap::new());
}

#[test]
fn a_damaged_entry_is_shown_not_hidden() {
    let bench = bench();
    let owner = bench.owner(10);
    owner.put(bench.entry(1, "a")).unwrap();
    owner.put(bench.entry(2, "a")).unwrap();
    let path = bench.dir.path().join("entries").join(&id(1).to_string()[..2]).join(format!("{}.json", id(1)));
    fs::write(&path, "{").unwrap();
    let listed: Vec<_> = bench.operator().list(&Filter::default()).unwrap().collect();
    assert!(listed[0].is_ok());
    assert!(matches!(&listed[1], Err(Error::Json { path: named, .. }) if *named == path));
    assert_eq!(bench.owner(10).put(bench.entry(1, "a")).unwrap(), Put::New, "a good one replaces it");
}

#[test]
fn a_quarantine_that_was_never_used_is_empty_and_is_not_created_by_looking() {
    let bench = bench();
    let dir = bench.dir.path().join("none");
    let folder = Folder::open(&dir, bench.clock.clone());
    assert_eq!(folder.list(&Filter::default()).unwrap().count(), 0);
    assert!(folder.count().unwrap().is_empty());
    assert!(!dir.exists());
}

#[test]
fn ids_depend_on_where_one_part_ends() {
    assert_ne!(Id::of(&[b"ab", b"c"]), Id::of(&[b"a", b"bc"]));
    assert_eq!(Id::of(&[b"ab"]).to_string().len(), 32);
}
