//! Which objects are found, how often places are asked, and that trouble in one place stays there.

mod sweeps;

use std::collections::BTreeMap;

use bytes::Bytes;
use jiff::Timestamp;
use orgtrail_cloud::object_store::{FakeStore, Fault};
use orgtrail_cloud::{ErrorKind, Location, ObjectStore};
use orgtrail_service::telemetry;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use super::*;
use crate::checkpoint::{Outcome, Settled};
use crate::object::{ObjectRef, Source};

const LONG: Duration = Duration::from_secs(3 * 3600);
const NOW: &str = "2024-05-02T12:00:00Z";

/// A clock that goes with tokio's, which tests pause.
#[derive(Debug)]
pub(super) struct Ticking(std::sync::Mutex<(Instant, Timestamp)>);

impl Ticking {
    pub(super) fn new(now: &str) -> Arc<Self> {
        Arc::new(Self(std::sync::Mutex::new((Instant::now(), now.parse().unwrap()))))
    }

    fn set(&self, now: Timestamp) {
        *self.0.lock().unwrap() = (Instant::now(), now);
    }
}

impl Clock for Ticking {
    fn now(&self) -> Timestamp {
        let (began, at) = *self.0.lock().unwrap();
        at + began.elapsed()
    }
}

struct Bench {
    _dir: tempfile::TempDir,
    store: Arc<FakeStore>,
    checkpoint: Arc<Checkpoint>,
    health: Health,
    clock: Arc<Ticking>,
    changes: mpsc::Sender<Change>,
    objects: intake::Receiver,
    handle: Handle,
    folders: Folders,
    epochs: watch::Sender<u64>,
    cancel: CancellationToken,
    running: JoinHandle<anyhow::Result<()>>,
}

fn store() -> Arc<FakeStore> {
    let store = FakeStore::new("s3://bucket".parse::<Location>().unwrap());
    store.set_now(NOW.parse().unwrap());
    Arc::new(store)
}

async fn put(store: &FakeStore, keys: &[&str]) {
    for key in keys {
        store.put(key, Bytes::from_static(b"x"), &Default::default()).await.unwrap();
    }
}

/// The key of a log file of 1 May 2024.
fn log(above: &str, account: &str, region: &str, minute: u32) -> String {
    format!(
        "{above}{account}/CloudTrail/{region}/2024/05/01/{account}_CloudTrail_{region}_20240501T00{minute:02}Z_Abcdef0123456789.json.gz"
    )
}

impl Bench {
    fn start(store: &Arc<FakeStore>, once: bool) -> Self {
        Self::restricted(store, once, crate::config::Source::default())
    }

    #[expect(clippy::disallowed_methods, reason = "the stage alone, without its process")]
    fn restricted(store: &Arc<FakeStore>, once: bool, source: crate::config::Source) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let checkpoint = Arc::new(Checkpoint::open(dir.path(), Config::default().lateness).unwrap());
        let clock = Ticking::new(NOW);
        let health = Health::new(clock.clone());
        let location: Location = "s3://bucket".parse().unwrap();
        let source = crate::config::Source { location: Some(location.clone()), ..source };
        let source = Source::new(&source, &location, store.clone());
        let (out, objects) = intake::channel(intake::Bounds { objects: 10_000, objects_per_key: 10_000 });
        let (epochs, moved) = watch::channel(0);
        let folders = Folders::default();
        let context = Arc::new(Context {
            checkpoint: Arc::clone(&checkpoint),
            folders: folders.clone(),
            clock: clock.clone(),
            health: health.clone(),
            metrics: Metrics::register(&telemetry::Metrics::new("agent")),
            lists: Semaphore::new(Config::default().list_concurrency),
            out,
        });
        let (changes, changed) = mpsc::channel(16);
        let inputs = Inputs { epochs: moved, changes: changed, awaited: 0 };
        let (stage, handle) = Stage::new(Config::default(), once, vec![Arc::new(source)], context, inputs);
        let cancel = CancellationToken::new();
        let running = tokio::spawn(stage.run(cancel.clone()));
        Self {
            _dir: dir,
            store: Arc::clone(store),
            checkpoint,
            health,
            clock,
            changes,
            objects,
            handle,
            folders,
            epochs,
            cancel,
            running,
        }
    }

    async fn quiet(&mut self) {
        timeout(LONG, self.handle.quiet.wait_for(|quiet| *quiet)).await.unwrap().unwrap();
    }

    async fn next(&mut self) -> ObjectRef {
        timeout(LONG, self.objects.recv()).await.expect("an object is found").unwrap()
    }

    /// The keys handed on so far, in order; their claims are given back unless they are kept.
    fn found(&mut self) -> Vec<ObjectRef> {
        let mut found = Vec::new();
        while let Some(object) = self.objects.try_recv() {
            found.push(object);
        }
        found.sort_by(|a, b| a.key.cmp(&b.key));
        found
    }

    fn deliver(&self, object: ObjectRef, seq: u64) {
        let ObjectRef { claim, etag, stamp, .. } = object;
        self.checkpoint
            .settle(&[Settled {
                claim,
                etag,
                sha256: None,
                statement: None,
                stamp: Some(stamp),
                outcome: Outcome::Acked { seq },
            }])
            .unwrap();
        self.checkpoint.delivered(seq + 1).unwrap();
    }

    fn skipped(&self) -> BTreeMap<Box<str>, u64> {
        let mut sums = BTreeMap::new();
        for row in self.checkpoint.rows() {
            for (reason, count) in row.ledger.skipped {
                *sums.entry(reason).or_default() += count;
            }
        }
        sums
    }

    async fn end(self) {
        self.cancel.cancel();
        timeout(LONG, self.running).await.unwrap().unwrap().unwrap();
    }
}

fn keys(objects: &[ObjectRef]) -> Vec<&str> {
    objects.iter().map(|object| object.key.as_str()).collect()
}

#[tokio::test(start_paused = true)]
async fn all_four_layouts_are_found_under_one_location() {
    let store = store();
    let expected = [
        log("AWSLogs/", "111111111111", "eu-west-1", 0),
        log("AWSLogs/o-abc1234567/", "222222222222", "us-east-1", 5),
        log("a/b/c/d/AWSLogs/", "444444444444", "us-gov-west-1", 15),
        log("o-xyz1234567/AWSLogs/o-xyz1234567/", "333333333333", "cn-north-1", 10),
    ];
    put(&store, &expected.each_ref().map(String::as_str)).await;
    put(&store, &["AWSLogs/111111111111/Config/eu-west-1/2024/5/1/x", "AWSLogs/aws-waf/x", "readme.txt"]).await;
    let too_deep = log("a/b/c/d/e/AWSLogs/", "555555555555", "eu-west-1", 0);
    put(&store, &[&too_deep]).await;
    let mut bench = Bench::start(&store, true);
    bench.quiet().await;
    assert_eq!(keys(&bench.found()), expected);
    let (places, sources) = bench.folders.seen();
    let layouts: Vec<_> = sources["s3://bucket"].layouts.keys().map(String::as_str).collect();
    let known = ["AWSLogs/<account>", "AWSLogs/o-abc1234567/<account>", "a/b/c/d/AWSLogs/<account>"];
    assert_eq!(layouts, [known.as_slice(), &["o-xyz1234567/AWSLogs/o-xyz1234567/<account>"]].concat());
    let gov = places.iter().find(|(key, _)| key.region == "us-gov-west-1").unwrap();
    assert_eq!(gov.1.layouts.iter().collect::<Vec<_>>(), ["a/b/c/d/AWSLogs/<account>"]);
    bench.end().await;
}

#[tokio::test(start_paused = true)]
async fn what_holds_records_is_handed_on_and_the_rest_is_counted() {
    let store = store();
    let account = "111111111111";
    let day = |kind: &str| format!("AWSLogs/{account}/{kind}/eu-west-1/2024/05/01/");
    let file = |kind: &str| format!("{}{account}_{kind}_eu-west-1_20240501T0005Z_Abcdef0123456789.json.gz", day(kind));
    let digest = |suffix: &str| {
        format!(
            "{}{account}_CloudTrail-Digest_eu-west-1_trail_us-east-1_20240501T005959Z{suffix}.json.gz",
            day("CloudTrail-Digest")
        )
    };
    let kinds = ["CloudTrail-Aggregated", "CloudTrail-Insight", "CloudTrail-NetworkActivity", "CloudTrail"];
    let logs = kinds.map(file);
    put(&store, &logs.each_ref().map(String::as_str)).await;
    put(&store, &[&digest(""), &digest("_backfill")]).await;
    let folder = day("CloudTrail");
    put(&store, &[&folder, &format!("{folder}notes.txt"), "AWSLogs/111111111111/CloudTrail/eu-west-1/beside.txt"])
        .await;
    let mut bench = Bench::start(&store, true);
    bench.quiet().await;
    assert_eq!(keys(&bench.found()), logs);
    let expected = [("digest", 2), ("foreign", 2)];
    assert_eq!(bench.skipped(), expected.into_iter().map(|(reason, n)| (reason.into(), n)).collect());
    assert_eq!(bench.checkpoint.progress().borrow().listed, 8);
    bench.end().await;

    let digest_keys = Some(crate::config::DigestKeys::File("/nowhere".into()));
    let mut bench = Bench::restricted(&store, true, crate::config::Source { digest_keys, ..Default::default() });
    bench.quiet().await;
    assert_eq!(bench.found().len(), 6, "digests too where there are keys for them");
    bench.end().await;
}

#[tokio::test(start_paused = true)]
async fn lists_of_accounts_and_regions_restrict_what_is_walked() {
    let store = store();
    let wanted = log("AWSLogs/", "111111111111", "eu-west-1", 0);
    let others = [log("AWSLogs/", "111111111111", "eu-west-2", 0), log("AWSLogs/", "222222222222", "eu-west-1", 0)];
    put(&store, &[&wanted, &others[0], &others[1]]).await;
    let source = crate::config::Source {
        accounts: vec!["111111111111".into()],
        regions: vec!["eu-west-1".into()],
        ..Default::default()
    };
    let mut bench = Bench::restricted(&store, true, source);
    bench.quiet().await;
    assert_eq!(keys(&bench.found()), [wanted.as_str()]);
    bench.end().await;
}

#[tokio::test(start_paused = true)]
async fn listings_of_folders_that_are_not_known_begin_at_the_start() {
    let store = store();
    let old = log("AWSLogs/", "111111111111", "eu-west-1", 0);
    let new = old.replace("2024/05/01", "2024/05/02");
    put(&store, &[&old, &new]).await;
    let start = crate::config::Start::Latest;
    let mut bench = Bench::restricted(&store, true, crate::config::Source { start, ..Default::default() });
    bench.quiet().await;
    assert_eq!(keys(&bench.found()), [new.as_str()], "the day of the clock");
    assert_eq!(bench.checkpoint.progress().borrow().listed, 1);
    bench.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_prefix_beside_the_logs_that_may_not_be_listed_is_passed_over() {
    let store = store();
    let wanted = log("AWSLogs/", "111111111111", "eu-west-1", 0);
    put(&store, &[&wanted, "backups/2026/dump.tar"]).await;
    store.fail(Fault { verb: "list", key_contains: "backups".into(), kind: ErrorKind::Denied, times: u32::MAX });
    let mut bench = Bench::start(&store, true);
    bench.quiet().await;
    assert_eq!(keys(&bench.found()), [wanted.as_str()]);
    bench.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_late_object_a_new_region_and_a_new_account_are_found_while_running() {
    let store = store();
    put(&store, &[&log("AWSLogs/", "111111111111", "eu-west-1", 30)]).await;
    let mut bench = Bench::start(&store, false);
    let first = bench.next().await;
    bench.deliver(first, 0);
    let late = log("AWSLogs/", "111111111111", "eu-west-1", 5);
    put(&store, &[&late]).await;
    let object = bench.next().await;
    assert_eq!(object.key, late, "under an older key than the newest seen");
    let others = [log("AWSLogs/", "111111111111", "eu-west-2", 0), log("AWSLogs/", "222222222222", "eu-west-1", 0)];
    put(&store, &[&others[0], &others[1]]).await;
    let found = [bench.next().await, bench.next().await];
    let mut found: Vec<_> = found.iter().map(|object| object.key.clone()).collect();
    found.sort();
    assert_eq!(found, others);
    bench.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_quiet_folder_is_listed_less_and_less_often() {
    let store = store();
    put(&store, &[&log("AWSLogs/", "111111111111", "eu-west-1", 0)]).await;
    let mut bench = Bench::start(&store, false);
    let object = bench.next().await;
    bench.deliver(object, 0);
    tokio::time::sleep(Duration::from_secs(600)).await;
    let settled = bench.store.calls("list");
    tokio::time::sleep(Duration::from_secs(3600)).await;
    // Twelve listings at five minutes; six walks of two levels, and one of the two below.
    let hour = bench.store.calls("list") - settled;
    assert!((11 + 12..=14 + 18).contains(&hour), "{hour} requests in a quiet hour");
    let now = Instant::now();
    bench.store.set_now(bench.clock.now());
    put(&store, &[&log("AWSLogs/", "111111111111", "eu-west-1", 5)]).await;
    let object = bench.next().await;
    assert!(now.elapsed() <= Duration::from_secs(7 * 60 + 1), "a tenth of seventy minutes: {:?}", now.elapsed());
    bench.deliver(object, 1);
    put(&store, &[&log("AWSLogs/", "111111111111", "eu-west-1", 10)]).await;
    let now = Instant::now();
    let object = bench.next().await;
    assert!(now.elapsed() <= Duration::from_secs(11), "news make it quick again: {:?}", now.elapsed());
    bench.deliver(object, 2);
    tokio::time::sleep(Duration::from_secs(2 * 24 * 3600)).await;
    let settled = bench.store.calls("list");
    tokio::time::sleep(Duration::from_secs(24 * 3600)).await;
    let day = bench.store.calls("list") - settled;
    // A sweep and two deeper levels an hour, two upper levels every ten minutes, and a listing or two.
    assert!((3 * 24 + 2 * 120..=3 * 28 + 2 * 144 + 2).contains(&day), "{day} requests in the third quiet day");
    bench.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_source_that_leaves_is_kept_until_everything_known_is_settled_and_its_ledger_stays() {
    let store = store();
    let key = log("AWSLogs/", "111111111111", "eu-west-1", 0);
    put(&store, &[&key]).await;
    let mut bench = Bench::start(&store, false);
    let object = bench.next().await;
    bench.changes.send(Change::Leave("s3://bucket".into())).await.unwrap();
    tokio::time::sleep(Duration::from_secs(600)).await;
    assert_eq!(bench.folders.len(), 1, "its object is not answered for");
    bench.deliver(object, 0);
    tokio::time::sleep(Duration::from_secs(600)).await;
    assert_eq!(bench.folders.len(), 0);
    let gone = bench.store.calls("list");
    tokio::time::sleep(Duration::from_secs(24 * 3600)).await;
    assert_eq!(bench.store.calls("list"), gone, "nothing is asked of it any more");
    assert_eq!(bench.checkpoint.rows()[0].ledger.done, 1);
    let location: Location = "s3://bucket".parse().unwrap();
    let source = crate::config::Source { location: Some(location.clone()), ..Default::default() };
    bench.changes.send(Change::Add(Arc::new(Source::new(&source, &location, store.clone())))).await.unwrap();
    put(&store, &[&log("AWSLogs/", "111111111111", "eu-west-1", 5)]).await;
    assert_ne!(bench.next().await.key, key, "it is back, and goes on where it was");
    bench.end().await;
}

#[tokio::test(start_paused = true)]
async fn accounts_that_are_taken_can_change_while_running() {
    let store = store();
    let [one, other] = ["111111111111", "222222222222"].map(|account| log("AWSLogs/", account, "eu-west-1", 0));
    put(&store, &[&one, &other]).await;
    let config = crate::config::Source { accounts: vec!["111111111111".into()], ..Default::default() };
    let mut bench = Bench::restricted(&store, false, config);
    let object = bench.next().await;
    let accounts = object.folder.source.accounts.clone();
    bench.deliver(object, 0);
    accounts.set(["222222222222".to_owned()].into());
    bench.changes.send(Change::Accounts("s3://bucket".into())).await.unwrap();
    assert_eq!(bench.next().await.key, other);
    tokio::time::sleep(Duration::from_secs(600)).await;
    assert_eq!(bench.folders.len(), 1);
    bench.end().await;
}

#[tokio::test(start_paused = true)]
async fn prefixes_that_failed_are_listed_again_and_the_others_are_not() {
    let store = store();
    let [one, other] = ["111111111111", "222222222222"].map(|account| log("AWSLogs/", account, "eu-west-1", 0));
    put(&store, &[&one, &other]).await;
    let broken = "AWSLogs/222222222222/CloudTrail/".to_owned();
    store.fail(Fault { verb: "list", key_contains: broken, kind: ErrorKind::Throttled, times: 2 });
    let mut bench = Bench::start(&store, true);
    bench.quiet().await;
    assert_eq!(keys(&bench.found()), [one.as_str(), other.as_str()]);
    // Six prefixes, two folders and their second listings, two failures with the two upper levels each.
    assert!(bench.store.calls("list") <= 6 + 4 + 2 * 3, "{} requests", bench.store.calls("list"));
    bench.end().await;
}

#[tokio::test(start_paused = true)]
async fn closed_days_are_not_listed_again() {
    let store = store();
    let old = log("AWSLogs/", "111111111111", "eu-west-1", 0);
    put(&store, &[&old]).await;
    let mut bench = Bench::start(&store, false);
    let object = bench.next().await;
    let folder = object.folder.id;
    bench.deliver(object, 0);
    let later: Timestamp = "2024-05-10T12:00:00Z".parse().unwrap();
    bench.clock.set(later);
    tokio::time::sleep(Duration::from_secs(1200)).await;
    assert_eq!(bench.checkpoint.closed_through(folder), Some(jiff::civil::date(2024, 5, 8)));
    put(&store, &[&log("AWSLogs/", "111111111111", "eu-west-1", 5)]).await;
    let new = old.replace("2024/05/01", "2024/05/10");
    put(&store, &[&new]).await;
    assert_eq!(bench.next().await.key, new);
    assert_eq!(bench.checkpoint.watched().days_open, 1);
    bench.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_denied_folder_is_named_and_recovers_while_the_others_go_on() {
    let store = store();
    let (bad, good) =
        (log("AWSLogs/", "111111111111", "eu-west-1", 0), log("AWSLogs/", "222222222222", "eu-west-1", 0));
    put(&store, &[&bad, &good]).await;
    store.fail(Fault {
        verb: "list",
        key_contains: "AWSLogs/111111111111/CloudTrail/eu-west-1/".into(),
        kind: ErrorKind::Denied,
        times: 3,
    });
    let mut bench = Bench::start(&store, false);
    assert_eq!(bench.next().await.key, good);
    tokio::time::sleep(Duration::from_millis(200)).await;
    let report = bench.health.report();
    assert_eq!(report.degraded[0].part, "source s3://bucket 111111111111/eu-west-1 CloudTrail");
    assert!(report.degraded[0].reason.contains("access denied"), "{}", report.degraded[0].reason);
    let object = bench.next().await;
    assert_eq!(object.key, bad);
    object.folder.succeeded(&bench.health);
    assert!(bench.health.report().ready);
    bench.end().await;
}

#[tokio::test(start_paused = true)]
async fn objects_whose_fetch_failed_come_again() {
    let store = store();
    put(&store, &[&log("AWSLogs/", "111111111111", "eu-west-1", 0)]).await;
    let mut bench = Bench::start(&store, true);
    for _ in 0..3 {
        let object = bench.next().await;
        object.folder.failed(&bench.health, "get: access denied");
    }
    bench.quiet().await;
    assert_eq!(bench.checkpoint.progress().borrow().listed, 1);
    bench.end().await;
}

#[tokio::test(start_paused = true)]
async fn another_epoch_brings_objects_back_at_once() {
    let store = store();
    put(&store, &[&log("AWSLogs/", "111111111111", "eu-west-1", 0)]).await;
    let mut bench = Bench::start(&store, true);
    let ObjectRef { claim, etag, stamp, .. } = bench.next().await;
    bench
        .checkpoint
        .settle(&[Settled {
            claim,
            etag,
            sha256: None,
            statement: None,
            stamp: Some(stamp),
            outcome: Outcome::Acked { seq: 4 },
        }])
        .unwrap();
    bench.quiet().await;
    bench.checkpoint.new_epoch(7).unwrap();
    bench.epochs.send_modify(|epochs| *epochs += 1);
    bench.next().await;
    bench.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_source_that_is_not_there_yet_is_asked_again() {
    let store = store();
    put(&store, &[&log("AWSLogs/", "111111111111", "eu-west-1", 0)]).await;
    store.fail(Fault { verb: "list", key_contains: String::new(), kind: ErrorKind::ContainerMissing, times: 2 });
    let mut bench = Bench::start(&store, true);
    let object = bench.next().await;
    assert!(bench.health.report().ready, "{:?}", bench.health.report());
    drop(object);
    bench.end().await;
}
