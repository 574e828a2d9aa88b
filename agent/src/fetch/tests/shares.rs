//! Who is fetched when: noisy and quiet accounts, sources that refuse, objects that are larger than they were said to be,
//! the past beside the present.

use std::collections::BTreeMap;
use std::sync::Mutex;

use async_trait::async_trait;
use orgtrail_cloud::object_store::{FakeStore, Fault, ListPage, ListRequest, ObjectMeta, ObjectStore, PutOptions};
use tokio::time::Instant;

use super::*;

/// A bucket whose answers take a tenth of a second, and which notes when what was asked for.
#[derive(Debug)]
struct Slow {
    store: FakeStore,
    asked: Mutex<Vec<(Instant, String)>>,
    running: Mutex<BTreeMap<&'static str, usize>>,
}

impl Slow {
    fn new(location: &str) -> Arc<Self> {
        let store = FakeStore::new(location.parse().unwrap());
        Arc::new(Self { store, asked: Mutex::default(), running: Mutex::default() })
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().iter().map(|(_, key)| key.clone()).collect()
    }

    /// The most that ran at once.
    fn most(&self) -> usize {
        self.running.lock().unwrap().get("most").copied().unwrap_or_default()
    }
}

#[async_trait]
impl ObjectStore for Slow {
    fn location(&self) -> &Location {
        self.store.location()
    }

    async fn list(&self, request: &ListRequest) -> Result<ListPage, Error> {
        self.store.list(request).await
    }

    async fn get(&self, key: &str, bytes_max: u64) -> Result<Object, Error> {
        self.asked.lock().unwrap().push((Instant::now(), key.to_owned()));
        {
            let mut running = self.running.lock().unwrap();
            *running.entry("now").or_default() += 1;
            let now = running["now"];
            let most = running.entry("most").or_default();
            *most = now.max(*most);
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
        *self.running.lock().unwrap().entry("now").or_default() -= 1;
        self.store.get(key, bytes_max).await
    }

    async fn head(&self, key: &str) -> Result<ObjectMeta, Error> {
        self.store.head(key).await
    }

    async fn put(&self, key: &str, bytes: Buffer, options: &PutOptions) -> Result<(), Error> {
        self.store.put(key, bytes, options).await
    }

    async fn delete(&self, key: &str) -> Result<(), Error> {
        self.store.delete(key).await
    }
}

/// A source with folders by account.
struct Place {
    store: Arc<Slow>,
    source: Arc<Source>,
    made: usize,
}

impl Place {
    fn new(location: &str, config: crate::config::Source) -> Self {
        let store = Slow::new(location);
        let location: Location = location.parse().unwrap();
        let config = crate::config::Source { location: Some(location.clone()), ..config };
        let source = Arc::new(Source::new(&config, &location, store.clone()));
        Self { store, source, made: 0 }
    }

    /// A claimed object of that size, said to be of another.
    async fn object(&mut self, bench: &Bench, account: &str, size: usize, said: u64) -> ObjectRef {
        let path = format!("AWSLogs/{account}/CloudTrail/eu-west-1/");
        let id = bench.checkpoint.folder(&self.source.location, &path, account, "eu-west-1", None).unwrap();
        self.made += 1;
        let key = format!("{path}{account}-{}", self.made);
        let mut bytes = gzip(b"{\"Records\":[]}");
        if size > bytes.len() {
            // What can't be deflated keeps its size.
            let mut state = 0x9e37_79b9_7f4a_7c15_u64;
            let noise = std::iter::repeat_with(|| {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                state as u8
            });
            let noise: Vec<u8> = noise.take(size).collect();
            bytes = gzip(&noise);
        }
        self.store.put(&key, bytes.into(), &PutOptions::default()).await.unwrap();
        let listed = Listed {
            key: key.clone(),
            day: jiff::civil::date(2024, 5, 1),
            size: said,
            etag: "e".into(),
            last_modified: jiff::Timestamp::UNIX_EPOCH,
            verdict: Verdict::Take { stamp: 1 },
        };
        let Claimed { mut taken, .. } = bench.checkpoint.claim(id, vec![listed]).unwrap();
        let (_, claim) = taken.pop().unwrap();
        let folder = Folder::parse(&path).unwrap();
        let folder =
            Arc::new(SourceFolder::new(Arc::clone(&self.source), folder, id, crate::discover::Wakes::default()));
        let last_modified = jiff::Timestamp::UNIX_EPOCH;
        ObjectRef { folder, key, size: said, etag: "e".into(), last_modified, stamp: 1, lane: Lane::Live, claim }
    }
}

fn four() -> Config {
    Config { concurrency: 4, ..Config::default() }
}

const A: &str = "111111111111";
const B: &str = "222222222222";

#[tokio::test(start_paused = true)]
async fn a_quiet_account_is_fetched_in_turn_with_a_noisy_one() {
    let bench = Bench::new();
    let mut place = Place::new("s3://bucket", Default::default());
    let mut objects = Vec::new();
    for _ in 0..500 {
        objects.push(place.object(&bench, A, 0, 100).await);
    }
    for _ in 0..10 {
        objects.push(place.object(&bench, B, 0, 100).await);
    }
    assert_eq!(bench.fetch(four(), objects).await.len(), 510);
    let asked = place.store.asked();
    let last = asked.iter().rposition(|key| key.contains(B)).unwrap();
    assert!(last <= 21, "the last of ten was number {last}");
}

#[tokio::test(start_paused = true)]
async fn a_source_that_asks_to_slow_down_gets_less_and_loses_nothing() {
    let bench = Bench::new();
    let mut place = Place::new("s3://bucket", Default::default());
    let mut objects = Vec::new();
    for _ in 0..200 {
        objects.push(place.object(&bench, A, 0, 100).await);
    }
    let kind = ErrorKind::Throttled;
    place.store.store.fail(Fault { verb: "get", key_contains: String::new(), kind, times: 20 });
    let config = Config { concurrency: 16, ..Config::default() };
    let fetched = bench.fetch(config, objects).await;
    assert_eq!(fetched.len(), 200);
    assert!(bench.health.report().degraded.is_empty(), "its folders are not in trouble");
    assert_eq!(place.store.asked().len(), 220);
    let asked: Vec<Instant> = place.store.asked.lock().unwrap().iter().map(|(at, _)| *at).collect();
    let pauses = asked.windows(2).filter(|pair| pair[1] - pair[0] >= Duration::from_millis(400)).count();
    assert!((1..=3).contains(&pauses), "{pauses} pauses");
    let second: Vec<_> = asked.iter().filter(|at| **at != asked[0]).collect();
    let at_once = second.iter().filter(|at| ***at == *second[0]).count();
    assert_eq!((asked.iter().filter(|at| **at == asked[0]).count(), at_once), (16, 8));
    assert_eq!(place.source.limits.at_once(16), 16, "and recovers");
}

#[tokio::test(start_paused = true)]
async fn a_source_that_refuses_everything_is_let_go_and_named() {
    let bench = Bench::new();
    let mut place = Place::new("s3://bucket", Default::default());
    let object = place.object(&bench, A, 0, 100).await;
    let kind = ErrorKind::Throttled;
    place.store.store.fail(Fault { verb: "get", key_contains: String::new(), kind, times: u32::MAX });
    let folder = Arc::clone(&object.folder);
    assert!(bench.fetch(four(), vec![object]).await.is_empty());
    assert!(folder.is_failing());
    assert_eq!(place.store.asked().len(), 3, "with four at once, two, and one");
}

#[tokio::test(start_paused = true)]
async fn a_source_that_is_held_back_holds_no_other_back_and_none_has_every_fetch() {
    let bench = Bench::new();
    let limited = crate::config::Source { requests_per_second: Some(2), ..Default::default() };
    let (mut slow, mut good) = (Place::new("s3://slow", limited), Place::new("s3://good", Default::default()));
    let mut objects = Vec::new();
    for _ in 0..20 {
        objects.push(slow.object(&bench, A, 0, 100).await);
    }
    for _ in 0..400 {
        objects.push(good.object(&bench, B, 0, 100).await);
    }
    let began = Instant::now();
    assert_eq!(bench.fetch(Config { concurrency: 8, ..Config::default() }, objects).await.len(), 420);
    let seconds = began.elapsed().as_secs_f64();
    assert!((9.0..=9.3).contains(&seconds), "20 requests at two a second, in {seconds} s");
    let good_took = good.store.asked.lock().unwrap().last().unwrap().0 - began;
    assert!(good_took < Duration::from_secs(8), "{good_took:?}");
    assert!((6..=8).contains(&good.store.most()), "{}", good.store.most());
}

#[tokio::test(start_paused = true)]
async fn weights_and_bytes_a_second_hold() {
    let bench = Bench::new();
    let weighty = crate::config::Source { weight: 3, ..Default::default() };
    let (mut one, mut three) = (Place::new("s3://one", Default::default()), Place::new("s3://three", weighty));
    let mut objects = Vec::new();
    for _ in 0..200 {
        objects.push(one.object(&bench, A, 0, 100 << 10).await);
        objects.push(three.object(&bench, B, 0, 100 << 10).await);
    }
    bench.fetch(four(), objects).await;
    let end = three.store.asked.lock().unwrap().last().unwrap().0;
    let meanwhile = one.store.asked.lock().unwrap().iter().filter(|(at, _)| *at <= end).count();
    assert!((62..=71).contains(&meanwhile), "{meanwhile} beside 200");

    let limited = crate::config::Source { bytes_per_second: Some(Bytes::kib(100)), ..Default::default() };
    let mut place = Place::new("s3://limited", limited);
    let mut objects = Vec::new();
    for _ in 0..10 {
        // Of a size that nobody told.
        objects.push(place.object(&bench, A, 100 << 10, 0).await);
    }
    let began = Instant::now();
    let fetched: u64 = bench.fetch_each(four(), objects, |fetched| fetched.object.size).await.iter().sum();
    let seconds = began.elapsed().as_secs_f64();
    let expected = fetched as f64 / f64::from(100 << 10);
    assert!(seconds > expected - 5.0, "{fetched} bytes in {seconds} s");
}

#[tokio::test(start_paused = true)]
async fn an_object_larger_than_it_was_said_to_be_is_charged_before_it_is_read() {
    let bench = Bench::new();
    let mut place = Place::new("s3://bucket", Default::default());
    let mut objects = Vec::new();
    for said in [100, 0, 1 << 20] {
        objects.push(place.object(&bench, A, 2 << 20, said).await);
    }
    let config = Config { memory: Bytes::mib(3), object_bytes_max: Bytes::mib(3), ..four() };
    let fetched = bench.fetch_each(config.clone(), objects, |fetched| fetched.object.size).await;
    // They stand one after the other for more memory than there is, and all come through.
    assert_eq!(fetched.len(), 3);
    assert_eq!(place.store.store.calls("head"), 3);

    let object = place.object(&bench, A, 4 << 20, 100).await;
    assert!(bench.fetch(config, vec![object]).await.is_empty());
    assert_eq!(bench.reasons().get("too_large"), Some(&1));
}

#[tokio::test(start_paused = true)]
async fn the_past_has_half_of_the_fetches_and_what_is_live_goes_first() {
    let bench = Bench::new();
    let mut place = Place::new("s3://bucket", Default::default());
    let mut objects = Vec::new();
    for _ in 0..100 {
        objects.push(ObjectRef { lane: Lane::Backfill { log_groups: false }, ..place.object(&bench, A, 0, 100).await });
    }
    assert_eq!(bench.fetch(Config { concurrency: 8, ..Config::default() }, objects).await.len(), 100);
    assert_eq!(place.store.most(), 4);

    let mut place = Place::new("s3://other", Default::default());
    let mut objects = Vec::new();
    for _ in 0..100 {
        objects.push(ObjectRef { lane: Lane::Backfill { log_groups: false }, ..place.object(&bench, A, 0, 100).await });
    }
    for _ in 0..200 {
        objects.push(place.object(&bench, B, 0, 100).await);
    }
    bench.fetch(four(), objects).await;
    let asked = place.store.asked();
    let last = asked.iter().rposition(|key| key.contains(B)).unwrap();
    let past = asked[..last].iter().filter(|key| key.contains(A)).count();
    assert!((4..=8).contains(&past), "{past} of the past before the last of 200");
}
