//! One run: a seed's settings and operations over both processes, then the drain and the checks.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use orgtrail_agent::{Options, Outcome};
use orgtrail_cloud::object_store::PutOptions;
use orgtrail_cloud::topic::FakeTopic;
use orgtrail_cloud::{Location, ObjectStore as _};
use orgtrail_service::clock::Clock;
use orgtrail_service::quarantine::{Filter, Folder};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::check;
use crate::digests::Digests;
use crate::disk::Life;
use crate::link::Network;
use crate::model::{Model, Object, Record};
use crate::operations::{Draw, Operation, Place, Who};
use crate::past::Backfill;
use crate::post::Post;
use crate::process::Process;
use crate::settings::{ACCOUNTS, SOURCES, Settings, TRAILS};
use crate::vouched;
use crate::world::{AgentOutside, AggregatorOutside, Bucket, Keys, MachineClock, Spell, Time};

/// How long everything may take to arrive once all is well.
const SETTLES_WITHIN: Duration = Duration::from_secs(40 * 60);

/// The file of the keys that digests are verified with.
const KEYS: &str = "public-keys.json";

/// Everything that both processes share.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) root: PathBuf,
    pub(crate) settings: Settings,
    pub(crate) time: Arc<Time>,
    pub(crate) clocks: [Arc<MachineClock>; 2],
    pub(crate) sources: Vec<Bucket>,
    pub(crate) trails: Vec<Bucket>,
    pub(crate) keys: Keys,
    pub(crate) topic: FakeTopic,
    pub(crate) network: Network,
    pub(crate) post: Option<Post>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    down: [Duration; 2],
    keys_failing_until: Option<Instant>,
    full_until: [Option<Instant>; 2],
    notes: Vec<String>,
    failures: Vec<String>,
}

/// What a seed comes to.
#[derive(Debug)]
pub(crate) struct Report {
    pub(crate) failures: Vec<String>,
    /// Settings, operations and what happened.
    pub(crate) story: String,
}

/// Runs one seed.
pub(crate) fn run(seed: u64) -> Report {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .max_blocking_threads(8)
        .build()
        .expect("a runtime");
    let report = runtime.block_on(simulate(seed));
    runtime.shutdown_timeout(Duration::from_secs(2));
    report
}

async fn simulate(seed: u64) -> Report {
    let mut random = StdRng::seed_from_u64(seed);
    let mut extra = StdRng::seed_from_u64(!seed);
    let mut further = StdRng::seed_from_u64(seed.rotate_left(32));
    let settings = Settings::draw(&mut random, &mut extra).with_past(&mut further);
    let operations = Draw { random: &mut random, settings: &settings }.operations();
    let operations = Draw { random: &mut extra, settings: &settings }.mixed(operations);
    let operations = match settings.past {
        true => Backfill::mixed(&mut further, settings.sources, operations),
        false => operations,
    };
    let memory = std::path::Path::new("/dev/shm");
    let root = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() }.expect("a folder");
    let world = World::new(root.path().to_owned(), settings, &mut random, &mut extra);
    let digests = Digests::new(world.sources.iter().map(|source| source.location().clone()).collect());
    std::fs::write(root.path().join(KEYS), digests.public_keys().await).expect("a file");
    let model = Model::new(StdRng::seed_from_u64(random.random()), digests);
    let mut run = Run {
        agent: Process::supervise(&world, Who::Agent),
        aggregator: Process::supervise(&world, Who::Aggregator),
        world: Arc::clone(&world),
        model,
        forgot: [false; 2],
        asked_for_past: false,
    };
    for operation in &operations {
        world.note(format!("{operation:?}"));
        run.perform(operation).await;
        if !world.lock().failures.is_empty() {
            break;
        }
    }
    if world.lock().failures.is_empty() {
        run.drain_and_check().await;
    }
    let State { notes, failures, .. } = std::mem::take(&mut *world.lock());
    let settings = &world.settings;
    let story = format!("{settings:#?}\n\n{operations:#?}\n\n{}\n", notes.join("\n"));
    Report { failures, story }
}

impl World {
    fn new(root: PathBuf, settings: Settings, random: &mut StdRng, extra: &mut StdRng) -> Arc<Self> {
        let midnight: Timestamp = "2026-03-01T00:00:00Z".parse().unwrap();
        let time = Time::new(midnight + SignedDuration::from_hours(i64::from(settings.begins_at)));
        let mut bucket = |location: &&str| {
            let location: Location = location.parse().unwrap();
            Bucket::new(location, settings.page_max, settings.latency_ms, random.random())
        };
        let sources: Vec<_> = SOURCES[..settings.sources].iter().map(&mut bucket).collect();
        let trails: Vec<_> = TRAILS.iter().map(&mut bucket).collect();
        let network = Network::new(random.random());
        let post = settings.post.as_ref();
        let post = post.map(|post| Post::new(&network, &sources, &trails, post.until_delivered, extra.random()));
        Arc::new(Self {
            root,
            clocks: [MachineClock::new(&time), MachineClock::new(&time)],
            time,
            sources,
            trails,
            keys: Keys::new(),
            topic: FakeTopic::default(),
            network,
            post,
            settings,
            state: Mutex::default(),
        })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn note(&self, text: String) {
        let at = self.time.now();
        self.lock().notes.push(format!("{at:.3} {text}"));
    }

    pub(crate) fn fail(&self, text: String) {
        self.note(format!("FAILED: {text}"));
        self.lock().failures.push(text);
    }

    pub(crate) fn set_down(&self, who: Who, down: Duration) {
        self.lock().down[who as usize] = down;
    }

    /// How long a process stays down that has died.
    pub(crate) fn down(&self, who: Who) -> Duration {
        self.lock().down[who as usize]
    }

    /// Whether a run may end by itself: its disk was full, or the key service didn't answer its start.
    pub(crate) fn excuses(&self, who: Who, life: &Life) -> bool {
        let keys = self.lock().keys_failing_until.is_some();
        life.was_refused() || (who == Who::Aggregator && keys)
    }

    /// A run of a process, as its supervisor starts it.
    pub(crate) fn start(
        self: &Arc<Self>,
        who: Who,
        once: bool,
        life: Arc<Life>,
        stop: CancellationToken,
    ) -> impl Future<Output = anyhow::Result<Option<Outcome>>> + Send + use<> {
        if let Some(until) = self.lock().full_until[who as usize] {
            life.set_full(Instant::now() < until);
        }
        let world = Arc::clone(self);
        async move {
            match who {
                Who::Agent => world.agent(once, life, stop).await.map(Some),
                Who::Aggregator => world.aggregator(life, stop).await.map(|()| None),
            }
        }
    }

    async fn agent(&self, once: bool, life: Arc<Life>, stop: CancellationToken) -> anyhow::Result<Outcome> {
        let keys = self.root.join(KEYS);
        let config =
            toml::from_str(&self.settings.agent_toml(&life.dir().display().to_string(), &keys.display().to_string()))?;
        let clock = Arc::clone(&self.clocks[Who::Agent as usize]) as Arc<dyn Clock>;
        let (sources, network) = (self.sources.clone(), self.network.clone());
        let outside = AgentOutside { sources, network, post: self.post.clone(), life };
        let timeout = once.then_some(SETTLES_WITHIN);
        let options = Options { once, timeout, clock, outside: Arc::new(outside) };
        orgtrail_agent::App::build(config, options).await?.run(stop).await
    }

    async fn aggregator(&self, life: Arc<Life>, stop: CancellationToken) -> anyhow::Result<()> {
        let config = toml::from_str(&self.settings.aggregator_toml(&life.dir().display().to_string()))?;
        let clock = Arc::clone(&self.clocks[Who::Aggregator as usize]) as Arc<dyn Clock>;
        let outside = AggregatorOutside {
            trails: self.trails.clone(),
            keys: self.keys.clone(),
            topic: self.topic.clone(),
            network: self.network.clone(),
            life,
        };
        orgtrail_aggregator::App::build_in(Arc::new(outside), config, clock, stop).await?.run().await
    }
}

/// A run under way.
pub(crate) struct Run {
    pub(crate) world: Arc<World>,
    pub(crate) model: Model,
    pub(crate) agent: Process,
    pub(crate) aggregator: Process,
    /// Which processes have lost a disk, or were given an old one back.
    pub(crate) forgot: [bool; 2],
    /// Days before the live listings may have been taken.
    pub(crate) asked_for_past: bool,
}

impl Run {
    pub(crate) fn process(&self, who: Who) -> &Process {
        match who {
            Who::Agent => &self.agent,
            Who::Aggregator => &self.aggregator,
        }
    }

    async fn perform(&mut self, operation: &Operation) {
        match operation {
            Operation::Pass(span) => sleep(*span).await,
            Operation::Deliver { place, files, records, age, damage } => {
                let at = self.world.time.now() - SignedDuration::try_from(*age).unwrap();
                for _ in 0..*files {
                    let records = self.model.fresh(*records, place.account, place.region, at, false);
                    self.deliver(*place, at, records, *damage).await;
                }
            }
            Operation::DeliverFat { place } => {
                let at = self.world.time.now();
                let records = self.model.fresh(1, place.account, place.region, at, true);
                self.deliver(*place, at, records, None).await;
            }
            Operation::Redeliver { nth } => self.copy(*nth, 0, false).await,
            Operation::Copy { nth, more } => self.copy(*nth, *more, true).await,
            Operation::Rewrite { nth, same } => {
                let count = self.model.objects.len();
                if count > 0 && self.model.objects[nth % count].put {
                    self.rewrite(nth % count, *same).await;
                }
            }
            Operation::Foreign { place } => {
                let (key, _) = self.model.key(place.source, place.account, place.region, self.world.time.now());
                let key = key.replace(".json.gz", ".txt");
                self.put(place.source, &key, "notes".into(), BTreeMap::new()).await;
            }
            Operation::SourceSpell { source, verb, account, kind, one_in, span } => {
                let part = account.map_or_else(String::new, |account| ACCOUNTS[account].to_owned());
                let (kind, until) = (kind.clone(), Instant::now() + *span);
                let spell = Spell { verb, part, kind, one_in: *one_in, answer_lost: false, until };
                self.world.sources[*source].cast(spell);
            }
            Operation::TrailSpell { trail, kind, one_in, answer_lost, span } => {
                let (kind, until) = (kind.clone(), Instant::now() + *span);
                let part = String::new();
                let spell = Spell { verb: "put", part, kind, one_in: *one_in, answer_lost: *answer_lost, until };
                self.world.trails[*trail].cast(spell);
            }
            Operation::Cut => self.world.network.cut(),
            Operation::Hold { way, span, cut } => {
                self.world.network.hold(*way, *span);
                if *cut {
                    sleep(*span / 2).await;
                    self.world.network.cut();
                }
            }
            Operation::Refuse(span) => self.world.network.refuse(*span),
            Operation::Crash { who, crash, down } => {
                self.world.set_down(*who, *down);
                match (crash, self.process(*who).life()) {
                    (Some(crash), Some(life)) => life.arm(*crash),
                    _ => self.process(*who).kill(*down).await,
                }
            }
            other => self.perform_rarely(other).await,
        }
    }

    async fn perform_rarely(&mut self, operation: &Operation) {
        match operation {
            Operation::Restart { who, down } => {
                self.process(*who).stop().await;
                sleep(*down).await;
                self.process(*who).start().await;
            }
            Operation::Wipe(who) => {
                self.forgot[*who as usize] = true;
                self.process(*who).wipe().await;
            }
            Operation::Restore { who, nth } => {
                self.forgot[*who as usize] = true;
                self.process(*who).restore(*nth).await;
            }
            Operation::DiskFull { who, span } => {
                self.world.lock().full_until[*who as usize] = Some(Instant::now() + *span);
                self.set_full(*who, true);
                sleep(*span).await;
                self.set_full(*who, false);
            }
            Operation::Leap(span) => self.world.time.leap(*span),
            Operation::Skew { who, seconds } => self.world.clocks[*who as usize].set_skew(*seconds),
            Operation::Keys { kind, span } => {
                self.world.keys.set_failing(Some(kind.clone()));
                self.world.lock().keys_failing_until = Some(Instant::now() + *span);
                sleep(*span).await;
                self.world.keys.set_failing(None);
            }
            Operation::Retry => {
                if let Some(post) = &self.world.post {
                    post.set_retried();
                }
                if let Some(life) = self.agent.life() {
                    let clock = Arc::clone(&self.world.clocks[Who::Agent as usize]) as Arc<dyn Clock>;
                    let folder = Folder::open(&life.dir().join("quarantine"), clock);
                    // A run that is just over has nothing to retry.
                    drop(folder.request_retries(&Filter::default()));
                }
            }
            Operation::Post(operation) => operation.perform(self).await,
            Operation::Digest(operation) => operation.perform(self).await,
            Operation::Backfill(backfill) => backfill.perform(self),
            other => unreachable!("{other:?} is performed above"),
        }
    }

    fn set_full(&self, who: Who, full: bool) {
        if let Some(life) = self.process(who).life() {
            life.set_full(full);
        }
    }

    pub(crate) async fn put(&self, source: usize, key: &str, bytes: bytes::Bytes, metadata: BTreeMap<String, String>) {
        let store = &self.world.sources[source].store;
        store.set_now(self.world.time.now());
        store.put(key, bytes, &PutOptions { metadata, ..PutOptions::default() }).await.unwrap();
    }

    async fn deliver(
        &mut self,
        place: Place,
        at: Timestamp,
        records: Vec<Record>,
        damage: Option<crate::model::Damage>,
    ) {
        let (key, day) = self.model.key(place.source, place.account, place.region, at);
        self.deliver_as(place, key, day, records, damage).await;
    }

    /// An earlier object's records under a new name: as they stand there, or in another order and with others.
    async fn copy(&mut self, nth: usize, more: usize, mixed: bool) {
        if self.model.objects.is_empty() {
            return;
        }
        let object = &self.model.objects[nth % self.model.objects.len()];
        let Object { source, account, region, .. } = *object;
        let mut records = object.versions.last().unwrap().records.clone();
        let at = self.world.time.now();
        if mixed {
            records.reverse();
            records.extend(self.model.fresh(more, account, region, at, false));
            // A record may stand twice in one file.
            records.push(records[0].clone());
        }
        self.deliver(Place { source, account, region }, at, records, None).await;
    }

    /// Everything is well from here on: all that must arrive arrives, without a restart; then both end in good order.
    async fn drain_and_check(&mut self) {
        let world = Arc::clone(&self.world);
        world.note("all is well from here on".to_owned());
        world.network.heal();
        world.sources.iter().chain(&world.trails).for_each(Bucket::heal);
        world.keys.set_failing(None);
        if let Some(post) = &world.post {
            post.heal(world.time.now());
        }
        {
            let mut state = world.lock();
            state.full_until = [None; 2];
            state.down = [Duration::from_secs(1); 2];
        }
        [&self.agent, &self.aggregator].iter().filter_map(|process| process.life()).for_each(|life| life.disarm());
        self.set_full(Who::Agent, false);
        self.set_full(Who::Aggregator, false);
        let began = Instant::now();
        let mut missing = check::missing(self).await;
        while !missing.is_empty() && began.elapsed() < SETTLES_WITHIN {
            sleep(Duration::from_secs(5)).await;
            missing = check::missing(self).await;
        }
        if !missing.is_empty() {
            for who in [Who::Agent, Who::Aggregator] {
                world.note(format!("{who:?} says {}", check::said(self, who)));
            }
            world.fail(format!("never delivered while the processes ran: {missing:#?}"));
            return;
        }
        world.lock().keys_failing_until = None;
        self.agent.stop().await;
        let outcome = match timeout(SETTLES_WITHIN * 2, self.agent.once()).await {
            Ok(Ok(Some(outcome))) => outcome,
            other => return world.fail(format!("the last run of the agent came to nothing: {other:?}")),
        };
        // Somebody sets the clocks right, and the hours of the last files pass, so that their digests are due.
        world.clocks.iter().for_each(|clock| clock.set_skew(0));
        world.time.leap(Duration::from_secs(3 * 3600));
        let mut unvouched = vouched::unvouched(self).await;
        let began = Instant::now();
        while !unvouched.is_empty() && began.elapsed() < SETTLES_WITHIN {
            sleep(Duration::from_secs(10)).await;
            unvouched = vouched::unvouched(self).await;
        }
        self.aggregator.stop().await;
        for failure in unvouched {
            world.fail(failure);
        }
        for failure in check::check(self, &outcome).await {
            world.fail(failure);
        }
    }
}
