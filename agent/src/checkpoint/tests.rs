//! What the checkpoint promises, and that a crash does not break it.

use std::time::Duration;

use jiff::Timestamp;
use jiff::civil::{Date, date};

use super::*;
use crate::testing::copy_dir;

const LATENESS: Duration = Duration::from_secs(26 * 3600);
const DAY: Date = date(2024, 5, 1);

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn listed(key: &str, day: Date) -> Listed {
    let last_modified = day.to_zoned(jiff::tz::TimeZone::UTC).unwrap().timestamp();
    Listed { key: key.into(), day, size: 10, etag: "e1".into(), last_modified, verdict: Verdict::Take { stamp: 7 } }
}

struct Bench {
    dir: tempfile::TempDir,
    checkpoint: Checkpoint,
    folder: FolderId,
}

impl Bench {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        Self::at(dir)
    }

    fn at(dir: tempfile::TempDir) -> Self {
        let checkpoint = Checkpoint::open(&dir.path().join("c"), LATENESS).unwrap();
        let folder = checkpoint.folder("s3://b", "AWSLogs/1/CloudTrail/r/", "111122223333", "r", None).unwrap();
        Self { dir, checkpoint, folder }
    }

    /// As after kill -9: what is in the files at this moment, and nothing of the memory.
    fn crashed(self) -> Self {
        let copy = tempfile::tempdir().unwrap();
        copy_dir(&self.dir.path().join("c"), &copy.path().join("c"));
        drop(self);
        Self::at(copy)
    }

    fn claim(&self, page: Vec<Listed>) -> Claimed {
        self.checkpoint.claim(self.folder, page).unwrap()
    }

    fn claim_one(&self, key: &str) -> Claim {
        let mut taken = self.claim(vec![listed(key, DAY)]).taken;
        assert_eq!(taken.len(), 1, "{key} is handed out");
        taken.remove(0).1
    }

    fn settle(&self, claim: Claim, outcome: Outcome) {
        self.checkpoint
            .settle(&[Settled { claim, etag: "e1".into(), sha256: None, statement: None, stamp: Some(7), outcome }])
            .unwrap();
    }

    fn sum(&self) -> Progress {
        assert!(self.checkpoint.rows().iter().all(Row::is_conserved), "{:?}", self.checkpoint.rows());
        *self.checkpoint.progress().borrow()
    }

    fn list_all(&self, began: &str) {
        self.checkpoint.listed(self.folder, at(began), ListedTo::End).unwrap();
    }

    fn lines(&self, prefix: &[u8]) -> usize {
        self.checkpoint.db.scan_prefix(prefix).count()
    }
}

#[test]
fn an_object_is_handed_out_once_until_it_is_given_back() {
    let bench = Bench::new();
    let claim = bench.claim_one("a");
    assert!(bench.claim(vec![listed("a", DAY)]).taken.is_empty());
    drop(claim);
    let again = bench.claim(vec![listed("a", DAY)]);
    assert_eq!((again.taken.len(), again.new), (1, 0), "handed out again, and not counted as new");
    assert_eq!((bench.sum().listed, bench.sum().in_flight), (1, 1));
}

#[test]
fn a_claim_of_a_crashed_run_is_handed_out_again_and_listed_once() {
    let bench = Bench::new();
    let claim = bench.claim_one("a");
    bench.checkpoint.flush().unwrap();
    let bench = bench.crashed();
    drop(claim);
    assert_eq!(bench.sum(), Progress { listed: 1, in_flight: 1, ..Progress::default() });
    let claim = bench.claim_one("a");
    bench.settle(claim, Outcome::Acked { seq: 0 });
    assert_eq!((bench.sum().listed, bench.sum().done, bench.sum().in_flight), (1, 1, 0));
}

#[test]
fn an_unflushed_claim_that_a_crash_ate_costs_a_fetch_and_nothing_else() {
    let bench = Bench::new();
    bench.checkpoint.flush().unwrap();
    let claim = bench.claim_one("a");
    bench.settle(claim, Outcome::Acked { seq: 3 });
    let bench = bench.crashed();
    // Whether the half second was over or not, the ledger is conserved and the object ends up done once.
    let page = bench.claim(vec![listed("a", DAY)]);
    for (_, claim) in page.taken {
        bench.settle(claim, Outcome::Acked { seq: 4 });
    }
    assert_eq!((bench.sum().listed, bench.sum().done), (1, 1));
}

#[test]
fn acked_objects_become_delivered_below_the_watermark_only() {
    let bench = Bench::new();
    for (key, seq) in [("a", 5), ("b", 6), ("c", 7)] {
        let claim = bench.claim_one(key);
        bench.settle(claim, Outcome::Acked { seq });
    }
    bench.checkpoint.delivered(7).unwrap();
    assert_eq!((bench.sum().delivered, bench.sum().undelivered), (2, 1));
    // An answer that was overtaken by its own delivery.
    let claim = bench.claim_one("d");
    bench.settle(claim, Outcome::Acked { seq: 2 });
    assert_eq!((bench.sum().delivered, bench.sum().undelivered), (3, 1));
    bench.checkpoint.flush().unwrap();
    let bench = bench.crashed();
    assert_eq!((bench.sum().delivered, bench.sum().undelivered), (3, 1));
}

#[test]
fn another_epoch_brings_back_what_was_acked_and_not_delivered() {
    let bench = Bench::new();
    assert_eq!(bench.checkpoint.new_epoch(1).unwrap(), 0);
    for (key, seq) in [("a", 5), ("b", 6)] {
        let claim = bench.claim_one(key);
        bench.settle(claim, Outcome::Acked { seq });
    }
    let claim = bench.claim_one("c");
    bench.settle(claim, Outcome::Quarantined { reason: "damaged".into(), seq: Some(7) });
    bench.checkpoint.delivered(6).unwrap();
    assert_eq!(bench.checkpoint.new_epoch(2).unwrap(), 2);
    assert_eq!(bench.checkpoint.epoch(), (Some(2), 0));
    let sum = bench.sum();
    assert_eq!((sum.done, sum.delivered, sum.quarantined, sum.in_flight, sum.undelivered), (1, 1, 0, 2, 0));
    let page = vec![listed("a", DAY), listed("b", DAY), listed("c", DAY)];
    let keys: Vec<_> = bench.claim(page).taken.into_iter().map(|(listed, _)| listed.key).collect();
    assert_eq!(keys, ["b", "c"], "the delivered one is not fetched again");
    assert_eq!(bench.sum().listed, 3);
}

#[test]
fn a_changed_object_is_taken_again_and_both_versions_count() {
    let bench = Bench::new();
    let claim = bench.claim_one("a");
    bench.settle(claim, Outcome::Acked { seq: 1 });
    let changed = Listed { etag: "e2".into(), ..listed("a", DAY) };
    let mut page = bench.claim(vec![changed]);
    assert_eq!((page.taken.len(), page.new), (1, 1));
    let sum = bench.sum();
    assert_eq!((sum.listed, sum.done, sum.in_flight, sum.undelivered), (2, 1, 1, 1));
    let claim = page.taken.remove(0).1;
    let settled = Settled {
        claim,
        etag: "e2".into(),
        sha256: None,
        statement: None,
        stamp: Some(7),
        outcome: Outcome::Acked { seq: 2 },
    };
    bench.checkpoint.settle(&[settled]).unwrap();
    bench.checkpoint.delivered(3).unwrap();
    let sum = bench.sum();
    assert_eq!((sum.done, sum.delivered, sum.undelivered), (2, 2, 0));
    assert_eq!(bench.checkpoint.rows()[0].ledger.changed, 1);
}

#[test]
fn a_replaced_version_lost_by_the_aggregator_is_named_in_the_ledger() {
    let bench = Bench::new();
    let claim = bench.claim_one("a");
    bench.settle(claim, Outcome::Acked { seq: 1 });
    let page = bench.claim(vec![Listed { etag: "e2".into(), ..listed("a", DAY) }]);
    bench.checkpoint.new_epoch(9).unwrap();
    let row = &bench.checkpoint.rows()[0];
    assert_eq!(row.ledger.skipped.get("replaced"), Some(&1));
    assert_eq!((bench.sum().done, bench.sum().undelivered, page.taken.len()), (0, 0, 1));
}

#[test]
fn a_version_that_a_late_message_names_by_its_old_tag_counts_once() {
    let bench = Bench::new();
    let claim = bench.claim_one("a");
    bench.settle(claim, Outcome::Acked { seq: 1 });
    let stale = Listed { etag: "e0".into(), ..listed("a", DAY) };
    let Named::Taken(_, claim) = bench.checkpoint.claim_named(bench.folder, stale, None).unwrap() else {
        panic!("another tag may be another version");
    };
    // The aggregator knows the version, and answers as before.
    bench.settle(claim, Outcome::Acked { seq: 1 });
    let sum = bench.sum();
    assert_eq!((sum.listed, sum.done, sum.undelivered), (1, 1, 1));
    bench.checkpoint.delivered(2).unwrap();
    let sum = bench.sum();
    assert_eq!((sum.done, sum.delivered, sum.undelivered), (1, 1, 0));
    assert_eq!((bench.checkpoint.rows()[0].ledger.changed, sum.bytes), (0, 10));
}

#[test]
fn an_answer_for_a_newer_version_than_listed_is_not_fetched_twice() {
    let bench = Bench::new();
    let claim = bench.claim_one("a");
    let settled = Settled {
        claim,
        etag: "e2".into(),
        sha256: None,
        statement: None,
        stamp: Some(7),
        outcome: Outcome::Acked { seq: 1 },
    };
    bench.checkpoint.settle(&[settled]).unwrap();
    assert!(bench.claim(vec![Listed { etag: "e2".into(), ..listed("a", DAY) }]).taken.is_empty());
}

#[test]
fn what_is_skipped_is_counted_once_and_handed_out_only_when_it_is_wanted_later() {
    let bench = Bench::new();
    let skip = |key: &str, reason| Listed { verdict: Verdict::Skip(reason), ..listed(key, DAY) };
    let page = || vec![skip("d", "digest"), skip("x", "foreign")];
    let first = bench.claim(page());
    assert_eq!((first.taken.len(), first.new), (0, 2));
    assert_eq!(bench.claim(page()).new, 0);
    assert_eq!((bench.sum().listed, bench.sum().skipped), (2, 2));
    let claim = bench.claim_one("d");
    assert_eq!((bench.sum().listed, bench.sum().skipped, bench.sum().in_flight), (2, 1, 1));
    assert!(bench.claim(vec![listed("d", DAY)]).taken.is_empty(), "somebody has it");
    bench.settle(claim, Outcome::Acked { seq: 1 });
    assert_eq!((bench.sum().listed, bench.sum().done), (2, 1));
}

#[test]
fn a_late_object_under_an_older_key_is_taken() {
    let bench = Bench::new();
    let claim = bench.claim_one("2024/05/01/z");
    bench.settle(claim, Outcome::Acked { seq: 1 });
    bench.checkpoint.delivered(2).unwrap();
    // 25 hours after the day's end it still is open.
    bench.list_all("2024-05-03T01:00:00Z");
    let page = bench.claim(vec![listed("2024/05/01/a", DAY), listed("2024/05/01/z", DAY)]);
    assert_eq!(page.taken.len(), 1);
    assert_eq!(page.taken[0].0.key, "2024/05/01/a");
}

#[test]
fn the_watermark_never_passes_an_unsettled_object() {
    let bench = Bench::new();
    let claim = bench.claim_one("a");
    let other = bench.claim(vec![listed("b", date(2024, 5, 2))]).taken.remove(0).1;
    bench.settle(other, Outcome::Quarantined { reason: "not_gzip".into(), seq: None });
    bench.list_all("2024-06-01T00:00:00Z");
    assert_eq!(bench.checkpoint.closed_through(bench.folder), Some(date(2024, 4, 30)), "in flight (I12)");
    bench.settle(claim, Outcome::Acked { seq: 0 });
    assert_eq!(bench.checkpoint.closed_through(bench.folder), Some(date(2024, 4, 30)), "acked is not delivered (I11)");
    bench.checkpoint.delivered(1).unwrap();
    assert_eq!(bench.checkpoint.closed_through(bench.folder), Some(date(2024, 5, 29)));
    let bench = bench.crashed();
    bench.checkpoint.flush().unwrap();
}

#[test]
fn closed_days_leave_nothing_but_the_watermark_and_the_counters() {
    let bench = Bench::new();
    let mut seq = 0;
    let mut day = date(2024, 1, 1);
    for _ in 0..40 {
        for n in 0..50 {
            let key = format!("{day}/{n}");
            let claim = bench.claim(vec![listed(&key, day)]).taken.remove(0).1;
            bench.settle(claim, Outcome::Acked { seq });
            seq += 1;
        }
        bench.checkpoint.delivered(seq).unwrap();
        let now = day.tomorrow().unwrap().to_zoned(jiff::tz::TimeZone::UTC).unwrap().timestamp();
        bench.checkpoint.listed(bench.folder, now, ListedTo::End).unwrap();
        assert!(bench.lines(b"e") <= 3 * 50, "two or three days are open at {day}");
        assert!(bench.checkpoint.watched().days_open <= 3);
        day = day.tomorrow().unwrap();
    }
    bench.list_all("2025-01-01T00:00:00Z");
    assert_eq!((bench.lines(b"e"), bench.lines(b"s")), (0, 0));
    assert_eq!(bench.checkpoint.watched(), Watched { folders: 1, days_open: 0 });
    assert_eq!(bench.sum().delivered, 40 * 50);
}

#[test]
fn a_quarantined_object_of_a_closed_day_can_be_taken_once_more() {
    let bench = Bench::new();
    let claim = bench.claim_one("a");
    bench.settle(claim, Outcome::Quarantined { reason: "not_gzip".into(), seq: None });
    bench.list_all("2024-06-01T00:00:00Z");
    assert_eq!(bench.lines(b"e"), 0);
    let retake = |bench: &Bench| bench.checkpoint.retake(bench.folder, DAY, "a", 10, "not_gzip").unwrap();
    assert_eq!(retake(&bench), Retake::Taken);
    let bench = bench.crashed();
    let mut detached = bench.checkpoint.detached(10).unwrap();
    assert_eq!(detached.len(), 1, "a crash after the wish was noted does not lose it");
    assert!(bench.checkpoint.detached(10).unwrap().is_empty(), "handed out once");
    let Detached { key, claim, .. } = detached.remove(0);
    assert_eq!((key.as_str(), claim.resolves), ("a", true));
    assert_eq!(retake(&bench), Retake::InFlight);
    bench.settle(claim, Outcome::Acked { seq: 4 });
    assert_eq!(retake(&bench), Retake::AlreadyDone);
    let sum = bench.sum();
    assert_eq!((sum.listed, sum.done, sum.quarantined), (1, 1, 0));
    bench.checkpoint.delivered(5).unwrap();
    assert_eq!((bench.lines(b"e"), bench.sum().delivered), (0, 1), "a settled entry of a closed day goes at once");
}

#[test]
fn an_object_of_a_closed_day_that_another_epoch_brings_back_is_handed_out() {
    let bench = Bench::new();
    let claim = bench.claim_one("a");
    bench.settle(claim, Outcome::Quarantined { reason: "not_gzip".into(), seq: None });
    bench.list_all("2024-06-01T00:00:00Z");
    bench.checkpoint.retake(bench.folder, DAY, "a", 10, "not_gzip").unwrap();
    let claim = bench.checkpoint.detached(10).unwrap().remove(0).claim;
    bench.settle(claim, Outcome::Acked { seq: 4 });
    bench.checkpoint.new_epoch(77).unwrap();
    assert_eq!(bench.checkpoint.detached(10).unwrap().len(), 1);
}

#[test]
fn a_claimed_object_that_is_gone_from_the_listing_is_handed_out_by_its_key() {
    let bench = Bench::new();
    for key in ["a", "b"] {
        let claim = bench.claim_one(key);
        bench.settle(claim, Outcome::Acked { seq: 1 });
    }
    let held = bench.claim_one("c");
    assert!(bench.checkpoint.unnamed(bench.folder).unwrap().is_empty());
    bench.checkpoint.new_epoch(5).unwrap();
    let named = bench.claim_one("b");
    let unnamed = bench.checkpoint.unnamed(bench.folder).unwrap();
    assert_eq!(unnamed.iter().map(|object| object.key.as_str()).collect::<Vec<_>>(), ["a"]);
    assert!(bench.checkpoint.unnamed(bench.folder).unwrap().is_empty(), "handed out once");
    assert_eq!(bench.checkpoint.claimed_in(&[bench.folder]), 3);
    drop((held, named));
}

#[test]
fn folders_and_rows_are_found_again() {
    let bench = Bench::new();
    let other = bench.checkpoint.folder("s3://b", "AWSLogs/1/CloudTrail-Digest/r/", "111122223333", "r", None).unwrap();
    assert_ne!(other, bench.folder);
    let bench = bench.crashed();
    bench.checkpoint.flush().unwrap();
    assert_eq!(bench.checkpoint.rows().len(), 1, "two folders of one account and region share a row");
}

#[test]
fn an_object_that_is_named_is_claimed_once_and_known_to_the_listing() {
    let bench = Bench::new();
    let named = || Listed { etag: String::new(), ..listed("a", DAY) };
    let claim_named = |object| bench.checkpoint.claim_named(bench.folder, object, Some([9; 32])).unwrap();
    let Named::Taken(_, claim) = claim_named(named()) else { panic!("a new object is handed out") };
    assert_eq!(claim.expected, Some([9; 32]));
    assert!(matches!(claim_named(named()), Named::InFlight));
    assert!(bench.claim(vec![listed("a", DAY)]).taken.is_empty(), "the listing finds it claimed");
    bench.settle(claim, Outcome::Acked { seq: 0 });
    assert!(matches!(claim_named(named()), Named::Settled(Standing::Acked { seq: 0 })));
    assert!(matches!(claim_named(listed("a", DAY)), Named::Settled(_)));
    let standing = bench.checkpoint.standing(bench.folder, DAY, "a").unwrap();
    assert_eq!(standing, Some(Standing::Acked { seq: 0 }));
    assert_eq!(bench.checkpoint.standing(bench.folder, DAY, "b").unwrap(), None);
    let changed = Listed { etag: "e2".into(), ..listed("a", DAY) };
    assert!(matches!(claim_named(changed), Named::Taken(..)), "another version is taken");
    assert_eq!((bench.sum().listed, bench.sum().in_flight), (2, 1));
}

#[test]
fn a_named_object_of_a_closed_day_is_taken_and_leaves_nothing_behind() {
    let bench = Bench::new();
    bench.list_all("2024-06-01T00:00:00Z");
    assert!(bench.claim(vec![listed("late", DAY)]).taken.is_empty(), "listings pass a closed day over");
    let named = bench.checkpoint.claim_named(bench.folder, listed("late", DAY), None).unwrap();
    let Named::Taken(_, claim) = named else { panic!("a late object is handed out") };
    drop(claim);
    let claim = bench.checkpoint.detached(10).unwrap().remove(0).claim;
    bench.settle(claim, Outcome::Acked { seq: 0 });
    bench.checkpoint.delivered(1).unwrap();
    assert_eq!((bench.sum().listed, bench.sum().delivered, bench.lines(b"e")), (1, 1, 0));
}

#[test]
fn days_before_the_beginning_are_passed_over_by_listings_for_ever() {
    let bench = Bench::new();
    let path = "AWSLogs/2/CloudTrail/r/";
    let folder = |from| bench.checkpoint.folder("s3://b", path, "111122223333", "r", from).unwrap();
    let id = folder(Some(DAY));
    let claimed = bench.checkpoint.claim(id, vec![listed("x", date(2024, 4, 30)), listed("y", DAY)]).unwrap();
    let keys: Vec<_> = claimed.taken.iter().map(|(listed, _)| listed.key.as_str()).collect();
    assert_eq!(keys, ["y"]);
    assert_eq!(bench.checkpoint.closed_through(id), Some(date(2024, 4, 30)));
    assert_eq!(folder(Some(date(2020, 1, 1))), id, "a folder that is known keeps its beginning");
    assert_eq!(bench.checkpoint.closed_through(id), Some(date(2024, 4, 30)));
}

#[test]
fn a_checkpoint_of_another_format_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("c");
    let bench = Checkpoint::open(&path, LATENESS).unwrap();
    bench.db.insert(b"mformat", "99").unwrap();
    bench.flush().unwrap();
    drop(bench);
    let error = Checkpoint::open(&path, LATENESS).unwrap_err().to_string();
    assert_eq!(error, "open checkpoint: format 99, this build knows 2");
}
