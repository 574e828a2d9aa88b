//! That a backfill takes each day before the live listings once, whatever ends it on its way.

use std::time::Duration;

use jiff::civil::{Date, date};
use jiff::tz::TimeZone;

use super::*;
use crate::checkpoint::{Claim, Claimed, Listed, ListedTo, Outcome, Settled, Verdict};
use crate::object::Lane;

const FROM: Date = date(2026, 3, 10);

fn day(day: i8) -> Date {
    date(2026, 3, day)
}

fn listed(key: &str, day: Date) -> Listed {
    let last_modified = day.to_zoned(TimeZone::UTC).unwrap().timestamp();
    let verdict = Verdict::Take { stamp: 7 };
    Listed { key: key.into(), day, size: 10, etag: "e".into(), last_modified, verdict }
}

struct Bench {
    dir: tempfile::TempDir,
    checkpoint: Checkpoint,
    folder: FolderId,
}

impl Bench {
    fn new() -> Self {
        Self::at(tempfile::tempdir().unwrap())
    }

    fn at(dir: tempfile::TempDir) -> Self {
        let checkpoint = Checkpoint::open(dir.path(), Duration::from_secs(3600)).unwrap();
        let folder = checkpoint.folder("s3://b", "AWSLogs/1/CloudTrail/r/", "1", "r", Some(FROM)).unwrap();
        Self { dir, checkpoint, folder }
    }

    fn restarted(self) -> Self {
        let Self { dir, checkpoint, .. } = self;
        checkpoint.flush().unwrap();
        drop(checkpoint);
        Self::at(dir)
    }

    fn open(&self, first: i8, last: i8, log_groups: bool) -> bool {
        let span = Span { first: day(first), last: day(last), log_groups };
        self.checkpoint.open_past(self.folder, span).unwrap()
    }

    fn claim(&self, key: &str, of: i8) -> Option<Claim> {
        let Claimed { mut taken, .. } = self.checkpoint.claim(self.folder, vec![listed(key, day(of))]).unwrap();
        taken.pop().map(|(_, claim)| claim)
    }

    fn settle(&self, claim: Claim, outcome: Outcome) {
        let settled = Settled { claim, etag: "e".into(), sha256: None, statement: None, stamp: None, outcome };
        self.checkpoint.settle(&[settled]).unwrap();
        self.checkpoint.delivered(100).unwrap();
    }

    fn close(&self, first: i8, last: i8) -> Taken {
        self.checkpoint.close_past(self.folder, (day(first), day(last)), false).unwrap()
    }

    fn untaken(&self, first: i8, last: i8) -> (Vec<(i8, i8)>, u64, u64) {
        let Untaken { ranges, left, live, taken } = self.checkpoint.untaken(self.folder, day(first), day(last));
        let days = |(first, last): (Date, Date)| (first.day(), last.day());
        assert_eq!(left + live + taken, u64::try_from(last - first + 1).unwrap());
        (ranges.into_iter().map(days).collect(), live, taken)
    }

    fn entries(&self) -> usize {
        self.checkpoint.db.scan_prefix(b"e").count()
    }
}

#[test]
fn days_of_live_listings_and_taken_ones_are_left_out() {
    let bench = Bench::new();
    assert_eq!(bench.untaken(1, 20), (vec![(1, 9)], 11, 0));
    assert!(!bench.open(4, 6, false));
    assert_eq!(bench.untaken(1, 20), (vec![(1, 9)], 11, 0), "not before they are closed");
    assert!(bench.open(3, 5, false), "the last day was open");
    bench.close(4, 6);
    let bench = bench.restarted();
    assert_eq!(bench.untaken(1, 20), (vec![(1, 3), (7, 9)], 11, 3));
    assert_eq!(bench.untaken(4, 6), (vec![], 0, 3));
    let whole = bench.checkpoint.folder("s3://b", "AWSLogs/2/CloudTrail/r/", "2", "r", None).unwrap();
    assert_eq!(bench.checkpoint.untaken(whole, day(1), day(9)), Untaken { live: 9, ..Untaken::default() });
}

#[test]
fn what_an_open_day_holds_is_taken_once_over_restarts_and_leaves_nothing() {
    let bench = Bench::new();
    assert!(bench.claim("a", 5).is_none(), "nobody asked for the day");
    bench.open(5, 6, false);
    let claims: Vec<_> = ["a", "b"].iter().map(|key| bench.claim(key, 5).unwrap()).collect();
    assert_eq!(bench.checkpoint.left_in(bench.folder, day(5), day(6)), (2, 2));
    for (claim, outcome) in claims
        .into_iter()
        .zip([Outcome::Acked { seq: 3 }, Outcome::Quarantined { reason: "corrupt".into(), seq: None }])
    {
        bench.settle(claim, outcome);
    }
    let left = bench.claim("c", 6).unwrap();
    drop(left);
    let bench = bench.restarted();
    assert_eq!(bench.checkpoint.left_in(bench.folder, day(5), day(6)), (1, 1));
    assert!(bench.claim("a", 5).is_none() && bench.claim("b", 5).is_none(), "listed again");
    let claim = bench.claim("c", 6).expect("the run that had it is over");
    bench.settle(claim, Outcome::Acked { seq: 4 });
    assert_eq!(bench.checkpoint.left_in(bench.folder, day(5), day(6)), (0, 0));
    assert_eq!(bench.close(5, 6), Taken { delivered: 2, quarantined: 1, skipped: 0 });
    assert_eq!(bench.entries(), 0);
    let rows = bench.checkpoint.rows();
    assert!(rows[0].is_conserved() && rows[0].ledger.done == 2 && rows[0].ledger.delivered == 2, "{rows:?}");
    assert!(bench.claim("a", 5).is_none(), "a taken day");
}

#[test]
fn live_days_close_as_if_there_were_no_backfill() {
    let bench = Bench::new();
    bench.open(5, 6, false);
    let past = bench.claim("a", 5).unwrap();
    let live = bench.claim("b", 10).unwrap();
    bench.settle(live, Outcome::Acked { seq: 1 });
    bench.checkpoint.listed(bench.folder, "2026-03-12T12:00:00Z".parse().unwrap(), ListedTo::End).unwrap();
    assert_eq!(bench.checkpoint.closed_through(bench.folder), Some(day(11)));
    assert_eq!(bench.entries(), 1, "that of the open past day");
    bench.settle(past, Outcome::Acked { seq: 2 });
    assert_eq!(bench.entries(), 1, "until the day is over");
    assert_eq!(bench.close(5, 6).delivered, 1);
    assert_eq!(bench.checkpoint.closed_through(bench.folder), Some(day(11)));
}

#[test]
fn objects_of_a_backfill_stay_in_its_lane_whoever_hands_them_out() {
    let bench = Bench::new();
    bench.open(5, 5, true);
    bench.open(6, 6, false);
    let backfill = |log_groups| Lane::Backfill { log_groups };
    let claim = bench.claim("a", 5).unwrap();
    assert_eq!(claim.lane, backfill(true));
    assert_eq!(bench.claim("b", 6).unwrap().lane, backfill(false));
    assert_eq!(bench.claim("c", 10).unwrap().lane, Lane::Live);
    drop(claim);
    let again: Vec<_> = bench.checkpoint.unnamed(bench.folder).unwrap();
    let lanes: Vec<_> = again.iter().map(|detached| detached.claim.lane).collect();
    assert_eq!(lanes, [backfill(true), backfill(false), Lane::Live]);
    for detached in again {
        bench.settle(detached.claim, Outcome::Quarantined { reason: "corrupt".into(), seq: None });
    }
    bench.close(5, 6);
    bench.checkpoint.retake(bench.folder, day(5), "a", 10, "corrupt").unwrap();
    assert_eq!(bench.checkpoint.detached(10).unwrap()[0].claim.lane, backfill(true), "of a day that is over");
}

#[test]
fn entries_that_a_crash_left_of_a_closed_day_go_with_the_next_start() {
    let bench = Bench::new();
    bench.open(5, 5, false);
    let claim = bench.claim("a", 5).unwrap();
    bench.settle(claim, Outcome::Acked { seq: 1 });
    let key = bench.checkpoint.db.scan_prefix(b"e").next().unwrap().unwrap();
    bench.close(5, 5);
    bench.checkpoint.db.insert(key.0, key.1).unwrap();
    let bench = bench.restarted();
    assert_eq!((bench.entries(), bench.checkpoint.watched().days_open), (0, 0));
}
