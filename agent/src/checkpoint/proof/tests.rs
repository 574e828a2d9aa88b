//! That digests prove what was taken, and name what was not.

use std::time::Duration;

use jiff::Timestamp;
use jiff::civil::{Date, date};
use orgtrail_event::digest::to_hex;

use super::*;
use crate::checkpoint::statement;
use crate::checkpoint::{Claim, Listed, ListedTo, Named as Claimed, Outcome, Settled, Verdict};

const DAY: Date = date(2024, 5, 1);
const ACCOUNT: &str = "111122223333";
const HOUR: i64 = 3600;

/// The start of [`DAY`], Unix seconds.
fn midnight() -> i64 {
    "2024-05-01T00:00:00Z".parse::<Timestamp>().unwrap().as_second()
}

fn log(hour: i64) -> String {
    format!(
        "AWSLogs/{ACCOUNT}/CloudTrail/eu-west-1/2024/05/01/{ACCOUNT}_CloudTrail_eu-west-1_20240501T{hour:02}30Z_Abcdefgh12345678.json.gz"
    )
}

fn digest(hour: i64) -> String {
    format!(
        "AWSLogs/{ACCOUNT}/CloudTrail-Digest/eu-west-1/2024/05/01/{ACCOUNT}_CloudTrail-Digest_eu-west-1_t_eu-west-1_20240501T{hour:02}0000Z.json.gz"
    )
}

/// The digest that ends at `hour` and lists the log file of the hour before.
fn statement(hour: i64) -> Statement {
    let end = midnight() + hour * HOUR;
    Statement {
        key: digest(hour),
        trail: "t".into(),
        start: end - HOUR,
        end,
        backfill: false,
        signature: format!("s{hour}"),
        previous: Some(statement::Previous { key: digest(hour - 1), signature: format!("s{}", hour - 1) }),
        files: vec![StatedFile { key: log(hour - 1), sha256: to_hex(&hash(hour - 1)) }],
        read_at: (end + 60) * 1000,
        placed: false,
    }
}

fn hash(hour: i64) -> [u8; 32] {
    [u8::try_from(hour).unwrap(); 32]
}

fn listed(key: &str, etag: &str) -> Listed {
    let last_modified = Timestamp::from_second(midnight()).unwrap();
    Listed {
        key: key.into(),
        day: DAY,
        size: 10,
        etag: etag.into(),
        last_modified,
        verdict: Verdict::Take { stamp: 7 },
    }
}

struct Bench {
    _dir: tempfile::TempDir,
    checkpoint: Checkpoint,
    logs: FolderId,
    digests: FolderId,
}

impl Bench {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let checkpoint = Checkpoint::open(dir.path(), Duration::from_secs(26 * 3600)).unwrap();
        let folder = |kind: &str| {
            let path = format!("AWSLogs/{ACCOUNT}/{kind}/eu-west-1/");
            checkpoint.folder("s3://b", &path, ACCOUNT, "eu-west-1", None).unwrap()
        };
        let (logs, digests) = (folder("CloudTrail"), folder("CloudTrail-Digest"));
        Self { _dir: dir, checkpoint, logs, digests }
    }

    fn settle(&self, claim: Claim, etag: &str, sha256: Option<[u8; 32]>, outcome: Outcome) {
        self.state(claim, etag, sha256, None, outcome);
    }

    fn state(
        &self,
        claim: Claim,
        etag: &str,
        sha256: Option<[u8; 32]>,
        statement: Option<Statement>,
        outcome: Outcome,
    ) {
        let statement = statement.map(Box::new);
        let settled = Settled { claim, etag: etag.into(), sha256, statement, stamp: None, outcome };
        self.checkpoint.settle(&[settled]).unwrap();
    }

    /// Listings name it and it is taken.
    fn takes_log(&self, hour: i64, sha256: [u8; 32]) {
        let mut taken = self.checkpoint.claim(self.logs, vec![listed(&log(hour), "e1")]).unwrap().taken;
        self.settle(taken.remove(0).1, "e1", Some(sha256), Outcome::Acked { seq: 1 });
    }

    fn takes_digest(&self, statement: Statement) {
        let mut taken = self.checkpoint.claim(self.digests, vec![listed(&statement.key, "e1")]).unwrap().taken;
        let sha256 = Some([99; 32]);
        self.state(taken.remove(0).1, "e1", sha256, Some(statement), Outcome::Acked { seq: 1 });
    }

    /// Fetches by name; what is not there goes into quarantine.
    fn fetch(&self, folder: FolderId, key: &str, expected: Option<[u8; 32]>, outcome: Outcome) {
        let object = Listed { etag: String::new(), ..listed(key, "") };
        let Claimed::Taken(_, claim) = self.checkpoint.claim_named(folder, object, expected).unwrap() else {
            panic!("{key} is handed out")
        };
        let sha256 = matches!(outcome, Outcome::Acked { .. }).then_some(expected).flatten();
        self.settle(claim, "e9", sha256, outcome);
    }

    fn list_all(&self, hour: i64) {
        let began = Timestamp::from_second(midnight() + hour * HOUR).unwrap();
        for folder in [self.logs, self.digests] {
            self.checkpoint.listed(folder, began, ListedTo::End).unwrap();
        }
    }

    fn compare(&self) -> Wanted {
        let mut wanted = Wanted::default();
        for row in self.checkpoint.due(true) {
            wanted = self.checkpoint.compare(row).unwrap();
        }
        assert!(self.checkpoint.rows().iter().all(super::super::Row::is_conserved));
        wanted
    }

    fn proof(&self) -> Proof {
        self.checkpoint.proofs().remove(0)
    }

    fn chain(&self) -> Chain {
        self.proof().chains.remove(0)
    }

    fn complete_until(&self) -> i64 {
        let proof = self.proof();
        (proof.waiting_from.unwrap_or(i64::MAX).min(proof.chains[0].complete_until()) - midnight()) / HOUR
    }

    fn gaps(&self) -> Vec<(GapKind, Option<String>)> {
        self.chain().gaps.into_iter().map(|gap| (gap.kind, gap.key)).collect()
    }
}

fn missing() -> Outcome {
    Outcome::Quarantined { reason: MISSING.into(), seq: None }
}

#[test]
fn an_hour_is_complete_when_its_digest_and_every_log_file_of_it_were_taken() {
    let bench = Bench::new();
    bench.takes_digest(statement(2));
    bench.takes_log(1, hash(1));
    bench.compare();
    bench.takes_digest(statement(3));
    bench.compare();
    assert_eq!(bench.complete_until(), 2, "the second log file is not there yet");
    bench.takes_log(2, hash(2));
    assert!(bench.compare().take.is_empty());
    assert_eq!((bench.complete_until(), bench.chain().log_files, bench.gaps()), (3, 2, vec![]));
    assert!(bench.checkpoint.due(true).is_empty(), "nothing waits");
    assert_eq!(bench.proof().waiting_from, None);
}

#[test]
fn a_log_file_that_no_listing_names_is_asked_for_by_name_and_then_missing() {
    let bench = Bench::new();
    bench.takes_digest(statement(2));
    let wanted = bench.compare();
    assert_eq!((wanted.list.len(), wanted.take.len()), (1, 0), "first the folder is listed again");
    bench.list_all(4);
    let wanted = bench.compare();
    assert_eq!(wanted.take, [Take { key: log(1), expected: Some(hash(1)), named_in: bench.digests }]);
    bench.fetch(bench.logs, &log(1), Some(hash(1)), missing());
    bench.compare();
    assert_eq!(bench.gaps(), [(GapKind::LogMissing, Some(log(1)))]);
    assert_eq!(bench.complete_until(), 1);
    // It turns up: the listing names it.
    bench.takes_log(1, hash(1));
    assert_eq!((bench.gaps(), bench.complete_until(), bench.chain().log_files), (vec![], 2, 1));
}

#[test]
fn a_log_file_with_other_content_is_told_and_put_aside() {
    let bench = Bench::new();
    bench.takes_log(1, [66; 32]);
    bench.takes_digest(statement(2));
    let wanted = bench.compare();
    let differing = &wanted.differing[0];
    assert_eq!((differing.found, differing.expected, &differing.key), ([66; 32], hash(1), &log(1)));
    assert!(bench.checkpoint.differs(differing).unwrap());
    assert!(!bench.checkpoint.differs(differing).unwrap(), "once");
    bench.compare();
    assert_eq!(bench.gaps(), [(GapKind::LogHashDiffers, Some(log(1)))]);
    // The original comes back to the source.
    let mut taken = bench.checkpoint.claim(bench.logs, vec![listed(&log(1), "e2")]).unwrap().taken;
    let claim = taken.remove(0).1;
    assert_eq!(claim.expected, Some(hash(1)), "whoever fetches it knows what to expect");
    bench.settle(claim, "e2", Some(hash(1)), Outcome::Acked { seq: 2 });
    assert_eq!((bench.gaps(), bench.complete_until()), (vec![], 2));
}

#[test]
fn digests_that_were_deleted_are_named_and_the_chain_goes_on_behind_them() {
    let bench = Bench::new();
    for hour in [1, 2, 3, 4] {
        bench.takes_log(hour, hash(hour));
    }
    bench.takes_digest(statement(2));
    bench.takes_digest(statement(5));
    let wanted = bench.compare();
    assert_eq!(wanted.list.len(), 1);
    bench.list_all(6);
    assert_eq!(bench.compare().take, [Take { key: digest(4), expected: None, named_in: bench.digests }]);
    bench.fetch(bench.digests, &digest(4), None, missing());
    bench.compare();
    let gap = bench.chain().gaps.remove(0);
    assert_eq!((gap.kind, gap.key, gap.start, gap.end), {
        let (start, end) = (midnight() + 2 * HOUR, midnight() + 4 * HOUR);
        (GapKind::DigestMissing, Some(digest(4)), start, end)
    });
    assert!(gap.detail.contains("2 hours"), "{}", gap.detail);
    assert_eq!((bench.complete_until(), (bench.chain().until - midnight()) / HOUR), (2, 5));
    bench.takes_digest(statement(4));
    bench.compare();
    assert_eq!(bench.complete_until(), 2, "the third is still missing");
    bench.takes_digest(statement(3));
    bench.compare();
    assert_eq!((bench.complete_until(), bench.gaps()), (5, vec![]));
}

#[test]
fn a_forged_digest_and_a_broken_chain_are_told_apart() {
    let bench = Bench::new();
    for hour in [1, 3, 4] {
        bench.takes_log(hour, hash(hour));
    }
    bench.takes_digest(statement(2));
    let forged = Outcome::Quarantined { reason: "digest_signature".into(), seq: None };
    bench.fetch(bench.digests, &digest(3), None, forged);
    bench.takes_digest(statement(4));
    let other = statement::Previous { key: digest(4), signature: "another".into() };
    bench.takes_digest(Statement { previous: Some(other), ..statement(5) });
    bench.compare();
    let kinds: Vec<_> = bench.gaps().into_iter().map(|(kind, _)| kind).collect();
    assert_eq!(kinds, [GapKind::DigestInvalid, GapKind::ChainBroken]);
    assert_eq!(bench.complete_until(), 2);
}

#[test]
fn a_chain_that_begins_anew_leaves_its_pause_unproved() {
    let bench = Bench::new();
    bench.takes_log(1, hash(1));
    bench.takes_log(5, hash(5));
    bench.takes_digest(statement(2));
    bench.takes_digest(Statement { previous: None, ..statement(6) });
    bench.compare();
    assert_eq!(bench.gaps(), [(GapKind::NotCovered, None)]);
    assert_eq!(bench.complete_until(), 2);
}

#[test]
fn a_backfill_digest_lists_more_and_moves_no_chain() {
    let bench = Bench::new();
    bench.takes_log(1, hash(1));
    bench.takes_log(0, hash(0));
    bench.takes_digest(statement(2));
    let key = digest(2).replace(".json", "_backfill.json");
    let files = vec![StatedFile { key: log(0), sha256: to_hex(&hash(0)) }];
    bench.takes_digest(Statement { key, backfill: true, previous: None, files, ..statement(2) });
    bench.compare();
    assert_eq!((bench.complete_until(), bench.chain().log_files, bench.chain().digests), (2, 2, 2));
}

#[test]
fn objects_of_closed_days_are_compared_once_and_leave_nothing() {
    let bench = Bench::new();
    bench.list_all(24 * 40);
    bench.takes_log_of_a_closed_day();
    assert_eq!((bench.gaps(), bench.chain().log_files), (vec![(GapKind::LogMissing, Some(log(2)))], 1));
    assert!(bench.compare().take.is_empty(), "what is missing is not fetched for ever");
    assert_eq!(bench.checkpoint.db.scan_prefix(b"e").count(), 0);
}

impl Bench {
    fn takes_log_of_a_closed_day(&self) {
        for hour in [2, 3] {
            let object = listed(&digest(hour), "");
            let Claimed::Taken(_, claim) = self.checkpoint.claim_named(self.digests, object, None).unwrap() else {
                panic!("a digest of a closed day is handed out")
            };
            self.state(claim, "e1", Some([99; 32]), Some(statement(hour)), Outcome::Acked { seq: 0 });
        }
        let wanted = self.compare();
        assert_eq!(wanted.take.len(), 2);
        self.fetch(self.logs, &log(1), Some(hash(1)), Outcome::Acked { seq: 0 });
        self.fetch(self.logs, &log(2), Some(hash(2)), missing());
        self.checkpoint.delivered(1).unwrap();
        assert!(self.compare().take.is_empty());
    }
}

#[test]
fn days_wait_for_their_digests_and_unlisted_log_files_are_counted() {
    let bench = Bench::new();
    for hour in 0..24 {
        bench.takes_log(hour, hash(hour));
    }
    bench.takes_digest(Statement { previous: None, ..statement(1) });
    bench.checkpoint.delivered(2).unwrap();
    bench.compare();
    let began = Timestamp::from_second(midnight() + 51 * HOUR).unwrap();
    bench.checkpoint.listed(bench.logs, began, ListedTo::End).unwrap();
    assert_eq!(bench.checkpoint.closed_through(bench.logs), DAY.yesterday().ok(), "most of its digests have not come");
    for hour in 2..24 {
        bench.takes_digest(statement(hour));
    }
    let last = Statement { key: digest(24), files: Vec::new(), ..statement(24) };
    bench.takes_digest(last);
    bench.checkpoint.delivered(2).unwrap();
    bench.compare();
    bench.list_all(52);
    assert_eq!(bench.checkpoint.closed_through(bench.logs), Some(DAY));
    assert_eq!(bench.checkpoint.rows()[0].ledger.unlisted, 1, "the last hour's log file is in no digest");
}

#[test]
fn what_digests_say_survives_a_restart() {
    let bench = Bench::new();
    bench.takes_digest(statement(2));
    bench.takes_digest(statement(3));
    bench.takes_log(1, hash(1));
    bench.compare();
    let Bench { _dir: dir, checkpoint, logs, digests } = bench;
    let before = checkpoint.proofs();
    drop(checkpoint);
    let checkpoint = Checkpoint::open(dir.path(), Duration::from_secs(26 * 3600)).unwrap();
    let bench = Bench { _dir: dir, checkpoint, logs, digests };
    assert_eq!(bench.chain(), before[0].chains[0]);
    bench.takes_log(2, hash(2));
    bench.compare();
    assert_eq!(bench.complete_until(), 3);
}
