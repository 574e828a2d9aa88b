//! What an organization of thousands of accounts costs while little happens in it: a bucket computed from a model, a clock
//! that is paused, every request counted.
//!
//! The test runs a tenth of the full size for a few hours; docs/performance.md has its figures. The full size over a whole
//! day: `SCALE_ACCOUNTS=2000 SCALE_HOURS=24 SCALE_EVERY_MINUTES=5 cargo test --release -p orgtrail-agent --lib
//! scale::requests -- --nocapture`.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use jiff::{SignedDuration, Timestamp};
use orgtrail_cloud::object_store::{ListPage, ListRequest, Object, ObjectMeta, PAGE_MAX, PutOptions};
use orgtrail_cloud::{Error, ErrorKind, Location, ObjectStore};
use orgtrail_service::telemetry;
use tokio_util::sync::CancellationToken;

use super::tests::Ticking;
use super::*;
use crate::checkpoint::{Outcome, Settled};
use crate::object::{ObjectRef, Source};

const REGIONS: [&str; 17] = [
    "ap-northeast-1",
    "ap-northeast-2",
    "ap-northeast-3",
    "ap-south-1",
    "ap-southeast-1",
    "ap-southeast-2",
    "ca-central-1",
    "eu-central-1",
    "eu-north-1",
    "eu-west-1",
    "eu-west-2",
    "eu-west-3",
    "sa-east-1",
    "us-east-1",
    "us-east-2",
    "us-west-1",
    "us-west-2",
];
/// One folder in so many is in use.
const ACTIVE_ONE_IN: usize = 100;
const BEGAN: &str = "2026-03-10T10:00:00Z";

/// A bucket of so many accounts, computed: nothing of it is stored.
#[derive(Debug)]
struct Model {
    location: Location,
    accounts: usize,
    /// Minutes between two files of an active folder.
    every: i64,
    clock: Arc<Ticking>,
    walks: AtomicU64,
    active: AtomicU64,
    silent: AtomicU64,
    sweeps: AtomicU64,
    keys: Mutex<u64>,
}

impl Model {
    fn is_active(account: usize, region: usize) -> bool {
        (account * REGIONS.len() + region).is_multiple_of(ACTIVE_ONE_IN)
    }

    fn prefixes(&self, request: &ListRequest) -> Vec<String> {
        let parts: Vec<_> = request.prefix.split('/').collect();
        match parts.as_slice() {
            [""] => vec!["AWSLogs/".to_owned()],
            ["AWSLogs", ""] => (0..self.accounts).map(|n| format!("AWSLogs/{:012}/", n + 1)).collect(),
            ["AWSLogs", account, ""] => vec![format!("AWSLogs/{account}/CloudTrail/")],
            _ => REGIONS.map(|region| format!("{}{region}/", request.prefix)).into(),
        }
    }

    /// The page's objects: of a silent folder one of last month, of an active one those of the last two days.
    fn objects(&self, request: &ListRequest) -> (Vec<ObjectMeta>, bool) {
        let parts: Vec<_> = request.prefix.split('/').collect();
        let (account, region) = (parts[1], parts[3]);
        let is_active =
            Self::is_active(account.parse::<usize>().unwrap() - 1, REGIONS.iter().position(|r| *r == region).unwrap());
        let now = self.clock.now();
        let after = request.continuation.as_ref().or(request.start_after.as_ref());
        // A silent folder has one file, of last month.
        let (first, every) = if is_active {
            (SignedDuration::from_hours(36), self.every)
        } else {
            (SignedDuration::from_hours(720), i64::MAX / 60)
        };
        let step = every * 60;
        let mut second = (now - first).as_second() / step.min(86_400) * step.min(86_400);
        let mut objects = Vec::new();
        while second <= now.as_second() && objects.len() < PAGE_MAX {
            let at = Timestamp::from_second(second).unwrap();
            let name = at.strftime("%Y%m%dT%H%MZ");
            let key = format!(
                "{}{}/{account}_CloudTrail_{region}_{name}_Abcdef0123456789.json.gz",
                request.prefix,
                at.strftime("%Y/%m/%d")
            );
            if after.is_none_or(|after| key > *after) {
                objects.push(ObjectMeta { key, size: 1000, etag: "e".to_owned(), last_modified: at });
            }
            second = second.saturating_add(step);
        }
        (objects, is_active)
    }

    /// The days of an account's regions, as a sweep sees them: a prefix up to the first `_` of a key for each.
    fn days(&self, request: &ListRequest) -> Vec<String> {
        let days = REGIONS.map(|region| {
            let prefix = format!("{}{region}/", request.prefix);
            let (objects, _) = self.objects(&ListRequest { prefix, ..ListRequest::default() });
            objects.into_iter().filter_map(|object| Some(object.key[..=object.key.find('_')?].to_owned()))
        });
        let after = request.start_after.as_deref().unwrap_or_default();
        let mut days: Vec<_> = days.into_iter().flatten().filter(|day| day.as_str() > after).collect();
        days.dedup();
        days
    }

    fn counts(&self) -> [u64; 4] {
        [&self.walks, &self.active, &self.silent, &self.sweeps].map(|count| count.load(Ordering::Relaxed))
    }
}

#[tonic::async_trait]
impl ObjectStore for Model {
    fn location(&self) -> &Location {
        &self.location
    }

    fn delimits(&self, _: char) -> bool {
        true
    }

    async fn list(&self, request: &ListRequest) -> Result<ListPage, Error> {
        // An answer of S3's takes as long.
        tokio::time::sleep(Duration::from_millis(30)).await;
        if request.delimiter == Some('_') {
            self.sweeps.fetch_add(1, Ordering::Relaxed);
            return Ok(ListPage { common_prefixes: self.days(request), ..ListPage::default() });
        }
        if request.delimiter.is_some() {
            let all = self.prefixes(request);
            let from = request.continuation.as_ref().map_or(0, |text| text.parse::<usize>().unwrap());
            self.walks.fetch_add(1, Ordering::Relaxed);
            let next = (from + PAGE_MAX < all.len()).then(|| (from + PAGE_MAX).to_string());
            let common_prefixes = all.into_iter().skip(from).take(PAGE_MAX).collect();
            return Ok(ListPage { common_prefixes, next, ..ListPage::default() });
        }
        let (objects, is_active) = self.objects(request);
        if is_active { &self.active } else { &self.silent }.fetch_add(1, Ordering::Relaxed);
        *self.keys.lock().unwrap() += objects.len() as u64;
        let next = objects.last().filter(|_| objects.len() == PAGE_MAX).map(|object| object.key.clone());
        Ok(ListPage { objects, next, ..ListPage::default() })
    }

    async fn get(&self, key: &str, _: u64) -> Result<Object, Error> {
        Err(Error::new(ErrorKind::NotFound, "get", key))
    }

    async fn head(&self, key: &str) -> Result<ObjectMeta, Error> {
        Err(Error::new(ErrorKind::NotFound, "head", key))
    }

    async fn put(&self, key: &str, _: bytes::Bytes, _: &PutOptions) -> Result<(), Error> {
        Err(Error::new(ErrorKind::Denied, "put", key))
    }

    async fn delete(&self, key: &str) -> Result<(), Error> {
        Err(Error::new(ErrorKind::Denied, "delete", key))
    }
}

/// What a stretch of time took.
struct Taken {
    folders: u64,
    active: u64,
    first_listing: Duration,
    /// A day's requests: of walks, for active folders, for silent ones, and of sweeps.
    per_day: [f64; 4],
    keys: u64,
    cpu: Duration,
    rss: u64,
}

/// Runs the stage over the model until all is found, `warm` longer, and measures `hours`.
#[expect(clippy::disallowed_methods, reason = "the stage alone, without its process")]
async fn run(accounts: usize, every: i64, notified: bool, warm: Duration, hours: u64) -> Taken {
    let dir = tempfile::tempdir().unwrap();
    let checkpoint = Arc::new(Checkpoint::open(dir.path(), Config::default().lateness).unwrap());
    let clock = Ticking::new(BEGAN);
    let location: Location = "s3://bucket".parse().unwrap();
    let model = Arc::new(Model {
        location: location.clone(),
        accounts,
        every,
        clock: clock.clone(),
        walks: AtomicU64::default(),
        active: AtomicU64::default(),
        silent: AtomicU64::default(),
        sweeps: AtomicU64::default(),
        keys: Mutex::default(),
    });
    let source = crate::config::Source { location: Some(location.clone()), ..Default::default() };
    let source = Source { notified, ..Source::new(&source, &location, model.clone()) };
    let (out, mut objects) = intake::channel(intake::Bounds { objects: 10_000, objects_per_key: 1_000 });
    let (_epochs, moved) = watch::channel(0);
    let (_changes, changes) = tokio::sync::mpsc::channel(1);
    let context = Context {
        checkpoint: Arc::clone(&checkpoint),
        folders: Folders::default(),
        clock: clock.clone(),
        health: Health::new(clock.clone()),
        metrics: Metrics::register(&telemetry::Metrics::new("agent")),
        lists: Semaphore::new(Config::default().list_concurrency),
        out,
    };
    let inputs = Inputs { epochs: moved, changes, awaited: 0 };
    let (stage, mut handle) = Stage::new(Config::default(), false, vec![Arc::new(source)], Arc::new(context), inputs);
    let cancel = CancellationToken::new();
    let running = tokio::spawn(stage.run(cancel.clone()));
    let delivered = Arc::clone(&checkpoint);
    let sink = tokio::spawn(async move {
        let mut seq = 0;
        while let Some(ObjectRef { claim, etag, stamp, .. }) = objects.recv().await {
            let outcome = Outcome::Acked { seq };
            delivered.settle(&[settled(claim, etag, stamp, outcome)]).unwrap();
            seq += 1;
            delivered.delivered(seq).unwrap();
        }
    });
    let began = Instant::now();
    handle.quiet.wait_for(|quiet| *quiet).await.unwrap();
    let first_listing = began.elapsed();
    tokio::time::sleep(warm).await;
    let (before, cpu, keys) = (model.counts(), cpu(), *model.keys.lock().unwrap());
    tokio::time::sleep(Duration::from_secs(hours * 3600)).await;
    let after = model.counts();
    let per_day = [0, 1, 2, 3].map(|index| (after[index] - before[index]) as f64 * 24.0 / hours as f64);
    let taken = Taken {
        folders: (accounts * REGIONS.len()) as u64,
        active: (accounts * REGIONS.len()).div_ceil(ACTIVE_ONE_IN) as u64,
        first_listing,
        per_day,
        keys: *model.keys.lock().unwrap() - keys,
        cpu: self::cpu().saturating_sub(cpu),
        rss: rss(),
    };
    cancel.cancel();
    running.await.unwrap().unwrap();
    sink.await.unwrap();
    taken
}

fn settled(claim: checkpoint::Claim, etag: String, stamp: i64, outcome: Outcome) -> Settled {
    Settled { claim, etag, stamp: Some(stamp), sha256: None, statement: None, outcome }
}

impl Taken {
    fn print(&self, what: &str) {
        let [walks, active, silent, sweeps] = self.per_day;
        println!(
            "{what}: {} folders, {} active; first listing {:.0?}; LIST requests a day: {:.0} in all, {walks:.0} for walks, \
             {active:.0} for active folders, {silent:.0} for silent ones, {sweeps:.0} for sweeps; {} keys; CPU {:.1?}; \
             memory {} MiB",
            self.folders,
            self.active,
            self.first_listing,
            walks + active + silent + sweeps,
            self.keys,
            self.cpu,
            self.rss >> 20,
        );
    }
}

/// CPU time of this process so far: user and system, in hundredths of a second.
fn cpu() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<_> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |index: usize| fields.get(index).and_then(|text| text.parse::<u64>().ok()).unwrap_or_default();
    Duration::from_millis((ticks(11) + ticks(12)) * 10)
}

/// Resident memory of this process.
fn rss() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    statm.split_whitespace().nth(1).and_then(|pages| pages.parse::<u64>().ok()).unwrap_or_default() * 4096
}

#[expect(clippy::disallowed_methods, reason = "the size of a measurement, not a setting")]
fn size(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

#[tokio::test(start_paused = true)]
async fn requests_grow_with_the_active_folders_not_with_all() {
    let (accounts, hours) = (size("SCALE_ACCOUNTS", 200) as usize, size("SCALE_HOURS", 2));
    let every = size("SCALE_EVERY_MINUTES", 30) as i64;
    let an_hour = Duration::from_secs(3600);
    let taken = run(accounts, every, false, an_hour, hours).await;
    taken.print("listings alone");
    let [walks, active, silent, sweeps] = taken.per_day;
    // Nine listings in the first eleven minutes after each file, and one for every five minutes after that.
    let each = active / taken.active as f64;
    assert!((100.0..=1600.0).contains(&each), "{each} requests a day for an active folder");
    let each = silent / (taken.folders - taken.active) as f64;
    assert!(each <= 1.5, "{each} requests a day for a silent folder");
    let each = sweeps / accounts as f64;
    assert!((24.0..=27.0).contains(&each), "{each} sweeps a day for an account");
    // Two prefixes in ten minutes, the second of so many pages; each account's two once an hour.
    let pages = (1 + accounts.div_ceil(PAGE_MAX)) as f64;
    assert!(walks <= 145.0 * pages + 2.0 * 28.0 * accounts as f64, "{walks} requests a day for walks");
    assert!(taken.first_listing < Duration::from_secs(taken.folders / 16 * 2), "{:?}", taken.first_listing);
}

#[tokio::test(start_paused = true)]
async fn with_notifications_a_silent_folder_costs_next_to_nothing() {
    let accounts = size("SCALE_ACCOUNTS", 40) as usize;
    let a_day = Duration::from_secs(24 * 3600);
    let taken = run(accounts, 60, true, a_day, 24).await;
    taken.print("with notifications");
    let each = taken.per_day[2] / (taken.folders - taken.active) as f64;
    assert!(each <= 1.5, "{each} requests a day for a silent folder");
}
