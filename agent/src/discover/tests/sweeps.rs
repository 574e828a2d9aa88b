//! One listing for all silent folders of an account: that it says what theirs would, and what it saves.

use std::collections::BTreeSet;

use jiff::civil::Date;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::super::sweep::sweep;
use super::*;

const ACCOUNT: &str = "111111111111";
const REGIONS: [&str; 8] =
    ["ap-south-1", "ap-south-2", "eu-central-1", "eu-west-1", "eu-west-2", "il-central-1", "us-east-1", "us-west-2"];

fn key(region: &str, day: Date, minute: u32) -> String {
    format!(
        "AWSLogs/{ACCOUNT}/CloudTrail/{region}/{}/{ACCOUNT}_CloudTrail_{region}_{}T00{minute:02}Z_Abcdef0123456789.json.gz",
        day.strftime("%Y/%m/%d"),
        day.strftime("%Y%m%d")
    )
}

fn context(dir: &std::path::Path) -> Arc<Context> {
    let clock = Ticking::new(NOW);
    let (out, _) = intake::channel(intake::Bounds { objects: 10, objects_per_key: 10 });
    Arc::new(Context {
        checkpoint: Arc::new(Checkpoint::open(dir, Config::default().lateness).unwrap()),
        folders: Folders::default(),
        clock: clock.clone(),
        health: Health::new(clock),
        metrics: Metrics::register(&telemetry::Metrics::new("agent")),
        lists: Semaphore::new(1),
        out,
    })
}

/// The folders of all regions, with these watermarks.
fn folders(context: &Context, store: &Arc<FakeStore>, closed: &[Option<Date>]) -> Vec<Arc<SourceFolder>> {
    let location: Location = "s3://bucket".parse().unwrap();
    let config = crate::config::Source { location: Some(location.clone()), ..Default::default() };
    let source = Arc::new(Source::new(&config, &location, store.clone()));
    let folder = |(region, closed): (&&str, &Option<Date>)| {
        let path = format!("AWSLogs/{ACCOUNT}/CloudTrail/{region}/");
        let from = closed.map(|closed| closed.tomorrow().unwrap());
        context.checkpoint.folder("s3://bucket", &path, ACCOUNT, region, from).unwrap();
        context.announce(&source, Folder::parse(&path).unwrap()).unwrap()
    };
    REGIONS.iter().zip(closed).map(folder).collect()
}

const PREFIX: &str = "AWSLogs/111111111111/CloudTrail/";

#[tokio::test(start_paused = true)]
async fn a_sweep_says_what_each_folders_own_listing_would() {
    for seed in 0..60 {
        let mut random = StdRng::seed_from_u64(seed);
        let dir = tempfile::tempdir().unwrap();
        let context = context(dir.path());
        let store = FakeStore::new("s3://bucket".parse().unwrap()).with_page_max(random.random_range(1..8));
        let store = Arc::new(store);
        let first = jiff::civil::date(2024, 4, 20);
        let day = |after: i64| first.checked_add(jiff::Span::new().days(after)).unwrap();
        let mut closed = Vec::new();
        let mut expected = BTreeSet::new();
        for region in REGIONS {
            let watermark = random.random_bool(0.8).then(|| day(random.random_range(0..10)));
            closed.push(watermark);
            for _ in 0..[0, 1, 12][random.random_range(0..3)] {
                let days = if random.random_bool(0.8) { 8 } else { 12 };
                let at = day(random.random_range(0..days));
                put(&store, &[&key(region, at, random.random_range(0..3))]).await;
                if watermark.is_none_or(|watermark| at > watermark) {
                    expected.insert(region);
                }
            }
        }
        // Other kinds and accounts lie beside it.
        put(&store, &["AWSLogs/111111111111/CloudTrail-Digest/eu-west-1/2024/05/01/x_y", "AWSLogs/2/z_z"]).await;
        let folders = folders(&context, &store, &closed);
        let before = store.calls("list");
        let swept = sweep(Arc::clone(&context), PREFIX.to_owned(), folders.clone()).await;
        assert_eq!(swept.unknown, [], "seed {seed}");
        let region = |id| folders.iter().find(|folder| folder.id == id).unwrap().folder.region.clone();
        let woken: BTreeSet<_> = swept.woken.iter().map(|id| region(*id)).collect();
        assert!(woken.iter().map(String::as_str).eq(expected.iter().copied()), "seed {seed}: {woken:?}, {expected:?}");
        let requests = (store.calls("list") - before) as usize;
        assert!(requests <= REGIONS.len(), "seed {seed}: {requests} requests for {} folders", REGIONS.len());
        for folder in folders.iter().filter(|folder| !swept.woken.contains(&folder.id)) {
            assert!(folder.last_listed().is_some(), "it was looked at");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_sweep_could_not_see_is_left_to_the_folders_own_listings() {
    let dir = tempfile::tempdir().unwrap();
    let (context, store) = (context(dir.path()), store());
    let folders = folders(&context, &store, &[None; REGIONS.len()]);
    store.fail(Fault { verb: "list", key_contains: String::new(), kind: ErrorKind::Throttled, times: 1 });
    let swept = sweep(context, PREFIX.to_owned(), folders.clone()).await;
    assert_eq!(swept.woken, []);
    assert_eq!(swept.unknown, folders.iter().map(|folder| folder.id).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn silent_folders_of_an_account_cost_one_listing_an_hour_and_news_in_one_is_found_within_it() {
    let store = store();
    for region in REGIONS {
        put(&store, &[&log("AWSLogs/", ACCOUNT, region, 0)]).await;
    }
    let mut bench = Bench::start(&store, false);
    for seq in 0..REGIONS.len() as u64 {
        let object = bench.next().await;
        bench.deliver(object, seq);
    }
    let day = Duration::from_secs(24 * 3600);
    tokio::time::sleep(4 * day).await;
    let settled = bench.store.calls("list");
    tokio::time::sleep(day).await;
    let requests = (bench.store.calls("list") - settled) as usize;
    // Two upper levels every ten minutes and two deeper ones an hour; a sweep an hour; each folder once.
    let walks = 2 * 120 + 2 * 24..=2 * 144 + 2 * 28;
    let all = walks.start() + 24 + REGIONS.len()..=walks.end() + 28 + 2 * REGIONS.len();
    assert!(all.contains(&requests), "{requests} requests in a quiet day");

    // Of yesterday, as nothing says that what comes late comes to a folder that is awake.
    let now = bench.clock.now();
    bench.store.set_now(now);
    let yesterday = now.to_zoned(jiff::tz::TimeZone::UTC).date().yesterday().unwrap();
    for (seq, (region, minute)) in [("eu-west-1", 1), ("us-west-2", 2)].into_iter().enumerate() {
        let (began, new) = (Instant::now(), key(region, yesterday, minute));
        put(&store, &[&new]).await;
        let object = bench.next().await;
        assert_eq!(object.key, new);
        assert!(began.elapsed() <= Duration::from_secs(3601), "{:?}", began.elapsed());
        bench.deliver(object, 100 + seq as u64);
    }
    put(&store, &[&key("eu-west-1", yesterday, 3)]).await;
    let began = Instant::now();
    bench.next().await;
    assert!(began.elapsed() <= Duration::from_secs(3600), "it is awake now: {:?}", began.elapsed());
    bench.end().await;
}
