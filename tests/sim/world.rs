//! The world outside both processes, in memory: buckets with their latency and their spells of trouble, keys, the clocks.

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};
use orgtrail_aggregator::Incoming;
use orgtrail_cloud::key_service::{FakeKeyService, KeyService};
use orgtrail_cloud::object_store::{FakeStore, ListPage, ListRequest, Object, ObjectMeta, PutOptions};
use orgtrail_cloud::signer::FakeSigner;
use orgtrail_cloud::topic::FakeTopic;
use orgtrail_cloud::{Connection, Error, ErrorKind, Location, ObjectStore, Queue, Signer, Topic};
use orgtrail_event::key::classify;
use orgtrail_service::clock::Clock;
use orgtrail_service::workers::Workers;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio::time::{Instant, sleep};
use tonic::transport::{Channel, Endpoint};

use crate::disk::Life;
use crate::link::Network;
use crate::post::Post;

/// True time: it goes with the runtime's paused clock, and leaps when nobody looks.
#[derive(Debug)]
pub(crate) struct Time {
    base: Timestamp,
    start: Instant,
    leapt: AtomicI64,
}

impl Time {
    pub(crate) fn new(base: Timestamp) -> Arc<Self> {
        Arc::new(Self { base, start: Instant::now(), leapt: AtomicI64::new(0) })
    }

    pub(crate) fn now(&self) -> Timestamp {
        let passed = SignedDuration::try_from(self.start.elapsed()).unwrap();
        self.base + passed + SignedDuration::from_secs(self.leapt.load(Ordering::SeqCst))
    }

    /// Time goes on while both processes stand still, as machines do that are suspended.
    pub(crate) fn leap(&self, span: Duration) {
        self.leapt.fetch_add(i64::try_from(span.as_secs()).unwrap(), Ordering::SeqCst);
    }
}

/// The clock of one machine, which may be wrong.
#[derive(Debug)]
pub(crate) struct MachineClock {
    time: Arc<Time>,
    skew: AtomicI64,
    latest: AtomicI64,
}

impl MachineClock {
    pub(crate) fn new(time: &Arc<Time>) -> Arc<Self> {
        Arc::new(Self { time: Arc::clone(time), skew: AtomicI64::new(0), latest: AtomicI64::new(i64::MIN) })
    }

    /// Sets the machine's clock wrong by so many seconds.
    pub(crate) fn set_skew(&self, seconds: i64) {
        self.latest();
        self.skew.store(seconds, Ordering::SeqCst);
        self.latest();
    }

    /// The latest time that the machine has ever thought it to be.
    pub(crate) fn latest(&self) -> Timestamp {
        let now = self.now().as_second();
        let before = self.latest.fetch_max(now, Ordering::SeqCst);
        Timestamp::from_second(before.max(now)).unwrap()
    }
}

impl Clock for MachineClock {
    fn now(&self) -> Timestamp {
        self.time.now() + SignedDuration::from_secs(self.skew.load(Ordering::SeqCst))
    }
}

/// For a while, some calls fail.
#[derive(Debug, Clone)]
pub(crate) struct Spell {
    /// Which calls: `list`, `get`, `put`.
    pub(crate) verb: &'static str,
    /// Only of keys that contain this.
    pub(crate) part: String,
    pub(crate) kind: ErrorKind,
    /// Of so many calls about one fails.
    pub(crate) one_in: u32,
    /// The call is carried out all the same: only its answer is lost.
    pub(crate) answer_lost: bool,
    pub(crate) until: Instant,
}

/// A bucket; clones share it.
#[derive(Debug, Clone)]
pub(crate) struct Bucket {
    pub(crate) store: FakeStore,
    shared: Arc<Mutex<Shared>>,
}

#[derive(Debug)]
struct Shared {
    spells: Vec<Spell>,
    random: StdRng,
    latency_ms: u64,
    violations: Vec<String>,
    /// Every record that was ever put there.
    records: BTreeSet<String>,
}

impl Bucket {
    pub(crate) fn new(location: Location, page_max: usize, latency_ms: u64, seed: u64) -> Self {
        let random = StdRng::seed_from_u64(seed);
        let shared =
            Shared { spells: Vec::new(), random, latency_ms, violations: Vec::new(), records: BTreeSet::new() };
        Self { store: FakeStore::new(location).with_page_max(page_max), shared: Arc::new(Mutex::new(shared)) }
    }

    fn lock(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn cast(&self, spell: Spell) {
        self.lock().spells.push(spell);
    }

    pub(crate) fn heal(&self) {
        self.lock().spells.clear();
    }

    /// What was done to it that never may be.
    pub(crate) fn violations(&self) -> Vec<String> {
        self.lock().violations.clone()
    }

    pub(crate) fn location(&self) -> &Location {
        self.store.location()
    }

    /// Whether a record was put there.
    pub(crate) fn holds(&self, record: &str) -> bool {
        self.lock().records.contains(record)
    }

    fn remember(&self, key: &str, bytes: &[u8]) {
        if classify(key).into_log().is_none() {
            return;
        }
        if let Ok(records) = crate::check::records(bytes) {
            self.lock().records.extend(records);
        }
    }

    /// The bucket as one run of a process reaches it.
    pub(crate) fn reached_by(&self, life: &Arc<Life>) -> Arc<dyn ObjectStore> {
        Arc::new(Reached { bucket: self.clone(), life: Arc::clone(life) })
    }
}

#[derive(Debug)]
struct Reached {
    bucket: Bucket,
    life: Arc<Life>,
}

impl Reached {
    /// The call's way there. An error that is to be given once the call is carried out comes back as a value.
    async fn enter(&self, verb: &'static str, key: &str) -> Result<Option<Error>, Error> {
        let latency = {
            let mut shared = self.bucket.lock();
            let most = shared.latency_ms;
            Duration::from_millis(shared.random.random_range(0..=most))
        };
        sleep(latency).await;
        self.alive().await;
        let mut shared = self.bucket.lock();
        let now = Instant::now();
        shared.spells.retain(|spell| spell.until > now);
        let Shared { spells, random, .. } = &mut *shared;
        let due =
            |spell: &&Spell| spell.verb == verb && key.contains(&spell.part) && random.random_ratio(1, spell.one_in);
        let Some(spell) = spells.iter().find(due) else { return Ok(None) };
        let error = Error::new(spell.kind.clone(), verb, self.bucket.store.location().object(key)).detail("a spell");
        if spell.answer_lost { Ok(Some(error)) } else { Err(error) }
    }

    /// A run that is over reaches nothing.
    async fn alive(&self) {
        if self.life.is_dead() {
            std::future::pending::<()>().await;
        }
    }

    async fn step(&self, step: &'static str) {
        if !self.life.step(step) {
            std::future::pending::<()>().await;
        }
    }
}

#[async_trait]
impl ObjectStore for Reached {
    fn location(&self) -> &Location {
        self.bucket.store.location()
    }

    fn delimits(&self, delimiter: char) -> bool {
        self.bucket.store.delimits(delimiter)
    }

    async fn list(&self, request: &ListRequest) -> Result<ListPage, Error> {
        let lost = self.enter("list", &request.prefix).await?;
        let page = self.bucket.store.list(request).await?;
        lost.map_or(Ok(page), Err)
    }

    async fn get(&self, key: &str, bytes_max: u64) -> Result<Object, Error> {
        let lost = self.enter("get", key).await?;
        let object = self.bucket.store.get(key, bytes_max).await?;
        lost.map_or(Ok(object), Err)
    }

    async fn head(&self, key: &str) -> Result<ObjectMeta, Error> {
        self.enter("get", key).await?;
        self.bucket.store.head(key).await
    }

    async fn put(&self, key: &str, bytes: Bytes, options: &PutOptions) -> Result<(), Error> {
        let lost = self.enter("put", key).await?;
        self.step("before putting an object").await;
        if !options.if_absent && self.bucket.store.head(key).await.is_ok() {
            self.bucket.lock().violations.push(format!("{key} was put over"));
        }
        self.bucket.store.put(key, bytes.clone(), options).await?;
        self.bucket.remember(key, &bytes);
        self.step("after putting an object").await;
        lost.map_or(Ok(()), Err)
    }

    async fn delete(&self, key: &str) -> Result<(), Error> {
        self.bucket.lock().violations.push(format!("{key} was deleted"));
        self.bucket.store.delete(key).await
    }
}

/// The keys that seal and sign; their service throttles and refuses at times.
#[derive(Debug, Clone)]
pub(crate) struct Keys {
    pub(crate) service: FakeKeyService,
    pub(crate) signer: FakeSigner,
}

impl Keys {
    pub(crate) const ID: &'static str = "arn:aws:kms:us-east-1:111111111111:key/sim";

    pub(crate) fn new() -> Self {
        Self { service: FakeKeyService::new(Self::ID), signer: FakeSigner::default() }
    }

    /// All calls fail like this until told otherwise.
    pub(crate) fn set_failing(&self, kind: Option<ErrorKind>) {
        self.service.set_failing(kind.clone());
        self.signer.set_failing(kind);
    }
}

/// The topic as one run of the aggregator reaches it.
#[derive(Debug)]
struct Subject {
    topic: FakeTopic,
    life: Arc<Life>,
}

#[async_trait]
impl Topic for Subject {
    async fn publish(&self, message: &str) -> Result<(), Error> {
        for (step, publish) in [("before publishing", true), ("after publishing", false)] {
            if !self.life.step(step) {
                std::future::pending::<()>().await;
            }
            if publish {
                self.topic.publish(message).await?;
            }
        }
        Ok(())
    }
}

/// What lies outside, for one run of the agent.
#[derive(Debug)]
pub(crate) struct AgentOutside {
    pub(crate) sources: Vec<Bucket>,
    pub(crate) network: Network,
    pub(crate) post: Option<Post>,
    pub(crate) life: Arc<Life>,
}

fn find(buckets: &[Bucket], location: &Location, life: &Arc<Life>) -> Arc<dyn ObjectStore> {
    let bucket = buckets.iter().find(|bucket| bucket.store.location() == location);
    bucket.unwrap_or_else(|| panic!("no bucket at {location}")).reached_by(life)
}

#[async_trait]
impl orgtrail_agent::Outside for AgentOutside {
    async fn open_store(&self, location: &Location, _: &Connection) -> Result<Arc<dyn ObjectStore>, Error> {
        Ok(find(&self.sources, location, &self.life))
    }

    async fn open_queue(&self, _: &str, _: &Connection) -> Result<Arc<dyn Queue>, Error> {
        let post = self.post.as_ref().expect("a queue is configured where there is one");
        Ok(post.reached_by(&self.life))
    }

    async fn connect(&self, endpoint: &Endpoint) -> Result<Channel, tonic::transport::Error> {
        self.network.connect(endpoint).await
    }
}

/// What lies outside, for one run of the aggregator.
#[derive(Debug)]
pub(crate) struct AggregatorOutside {
    pub(crate) trails: Vec<Bucket>,
    pub(crate) keys: Keys,
    pub(crate) topic: FakeTopic,
    pub(crate) network: Network,
    pub(crate) life: Arc<Life>,
}

#[async_trait]
impl orgtrail_aggregator::Outside for AggregatorOutside {
    async fn listen(&self, _: SocketAddr) -> anyhow::Result<Incoming> {
        Ok(self.network.listen())
    }

    async fn open_store(&self, location: &Location, _: &Connection) -> Result<Arc<dyn ObjectStore>, Error> {
        Ok(find(&self.trails, location, &self.life))
    }

    async fn open_key_service(&self, _: &str, _: &Connection) -> Result<Arc<dyn KeyService>, Error> {
        Ok(Arc::new(self.keys.service.clone()))
    }

    async fn open_signer(&self, _: &str, _: &Connection) -> Result<Arc<dyn Signer>, Error> {
        Ok(Arc::new(self.keys.signer.clone()))
    }

    async fn open_topic(&self, _: &str, _: &Connection) -> Result<Arc<dyn Topic>, Error> {
        Ok(Arc::new(Subject { topic: self.topic.clone(), life: Arc::clone(&self.life) }))
    }

    fn start_workers(&self) -> std::io::Result<Arc<Workers>> {
        Ok(Workers::of_runtime(2))
    }
}
