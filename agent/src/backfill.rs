//! Backfills: days before a folder's live listings are taken because an operator asks for it.
//!
//! A job is a file in `<state_dir>/backfills`; the oldest one is worked on, at many accounts and regions at once. Its objects
//! go the way of all others, in a lane below everything live. Owns the jobs' order, their progress, and what they wait for.
//! Does not own what is taken of a place (`place`), nor which days are (`checkpoint/past`).
//!
//! Crash: the checkpoint knows which days are open and which are taken, so a job goes on where it was; its file is for
//! people, and may be behind by what was handed on in its last second.

pub mod job;
mod pace;
mod pages;
mod place;
mod plan;

use std::collections::{BTreeMap, HashSet};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use futures::FutureExt;
use futures::stream::{self, StreamExt, TryStreamExt};
use orgtrail_event::key::Kind;
use orgtrail_service::jobs::{self, Jobs};
use tokio::sync::Semaphore;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use self::job::{Job, Plan, State};
use self::pace::Pace;
use crate::checkpoint;
use crate::discover::{self, Closed, Context};
use crate::object::{Source, SourceFolder};

/// The part of health that a backfill degrades that gets no further.
const PART: &str = "backfill";
/// How often the folder is looked into, and a job is written down.
const LOOK: Duration = Duration::from_secs(1);
/// Places that are worked on at once: most of them wait for their objects to be delivered.
const PLACES_AT_ONCE: usize = 64;
/// How long a job waits for its source to be known.
const SOURCE_PATIENCE: Duration = Duration::from_secs(2);
/// The same where there are organizations: their accounts come with the first list.
const ACCOUNTS_PATIENCE: Duration = Duration::from_secs(60);
/// Names of sources that an error tells.
const NAMED_MAX: usize = 20;

/// See the module's description.
pub(crate) struct Stage {
    context: Arc<Context>,
    jobs: Jobs<Job>,
    board: Board,
    /// Requests for listings that backfills have under way at once: a quarter of all.
    listings: Semaphore,
    /// Fetches that backfills have under way at most.
    fetches: usize,
    discover: discover::Config,
    began: Instant,
    patience: Duration,
}

/// The backfills that are not over, for the status. Clones share it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Board(Arc<Mutex<Vec<Job>>>);

impl Board {
    /// The one that is worked on first, then those that wait.
    pub(crate) fn jobs(&self) -> Vec<Job> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set(&self, jobs: Vec<Job>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = jobs;
    }

    fn update(&self, job: &Job) {
        let mut jobs = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        jobs.retain(|other| other.id != job.id);
        if job.finished_at.is_none() {
            jobs.insert(0, job.clone());
        }
    }
}

/// Why a job isn't worked on any further now.
#[derive(Debug)]
enum Stop {
    /// The process is stopping; the job goes on with the next start.
    Stopping,
    /// An operator wants its end.
    Cancelled,
    /// It can't be done.
    Impossible(String),
    /// Its file can't be written; it is tried again.
    Folder(jobs::Error),
    /// The checkpoint failed: the process must stop.
    Fatal(anyhow::Error),
}

impl From<Closed> for Stop {
    fn from(_: Closed) -> Self {
        Self::Stopping
    }
}

/// A job on its way: what its places share.
struct Work {
    stage: Arc<Stage>,
    job: Mutex<Job>,
    pace: Option<Pace>,
}

/// What is done with every place.
#[derive(Debug, Clone, Copy)]
enum Step {
    Plan,
    Take,
}

/// An account and region of a source: its folders.
#[derive(Debug, Default)]
struct Place {
    account: String,
    region: String,
    logs: Vec<Arc<SourceFolder>>,
    digests: Vec<Arc<SourceFolder>>,
}

impl Stage {
    /// `fetches` are what the process has at once.
    pub(crate) fn new(
        context: Arc<Context>,
        state_dir: &Path,
        board: Board,
        discover: discover::Config,
        fetches: usize,
    ) -> Self {
        let listings = Semaphore::new((discover.list_concurrency / 4).max(1));
        let (jobs, fetches) = (Jobs::of(state_dir), (fetches / 2).max(1));
        let patience = SOURCE_PATIENCE;
        Self { context, jobs, board, listings, fetches, discover, began: Instant::now(), patience }
    }

    /// Sources come and go with the accounts of organizations.
    pub(crate) fn awaiting_accounts(self) -> Self {
        Self { patience: ACCOUNTS_PATIENCE, ..self }
    }

    /// Works until cancelled. An error is the checkpoint's: the process must stop.
    pub(crate) async fn run(self: Arc<Self>, cancel: CancellationToken) -> anyhow::Result<()> {
        let mut over = HashSet::new();
        // Made by us, so that it is ours even where an operator asks as another user.
        let mut found = self.blocking(|jobs| jobs.make().map(|()| None)).await;
        loop {
            let worked = match found {
                Ok(Some(job)) => self.work(job, &cancel).await,
                Ok(None) => {
                    self.context.health.set_ok(PART);
                    Ok(())
                }
                Err(error) => Err(Stop::Folder(error)),
            };
            match worked {
                Err(Stop::Fatal(error)) => return Err(error).context("backfill"),
                Err(Stop::Folder(error)) => {
                    tracing::warn!(error = %error, "backfills can't go on, trying again");
                    self.context.health.set_degraded(PART, error.to_string());
                }
                Ok(()) | Err(Stop::Stopping | Stop::Cancelled | Stop::Impossible(_)) => {}
            }
            // Cancel-safe: both arms only wait.
            tokio::select! {
                () = cancel.cancelled() => return Ok(()),
                () = tokio::time::sleep(LOOK) => {}
            }
            let mut known = std::mem::take(&mut over);
            found = self.blocking(move |jobs| jobs.waiting(&mut known).map(|waiting| (known, waiting))).await.map(
                |(known, waiting)| {
                    over = known;
                    self.board.set(waiting.clone());
                    waiting.into_iter().next()
                },
            );
        }
    }

    /// Takes a job to its end, or as far as it gets.
    async fn work(self: &Arc<Self>, mut job: Job, cancel: &CancellationToken) -> Result<(), Stop> {
        tracing::info!(backfill.id = job.id, source.name = job.range.source, "backfill");
        let (state, error) = match self.steps(&mut job, cancel).await {
            Ok(()) => (State::Done, None),
            Err(Stop::Cancelled) => (State::Cancelled, None),
            Err(Stop::Impossible(why)) => (State::Failed, Some(why)),
            Err(stop) => return Err(stop),
        };
        job.end(state, error, self.context.clock.now());
        tracing::info!(
            backfill.id = job.id,
            objects = job.progress.objects,
            quarantined = job.progress.quarantined,
            error = job.error.as_deref().unwrap_or_default(),
            "backfill ended: {state:?}"
        );
        self.context.health.set_ok(PART);
        self.board.update(&job);
        self.blocking(move |jobs| jobs.finish(&job)).await.map_err(Stop::Folder)
    }

    async fn steps(self: &Arc<Self>, job: &mut Job, cancel: &CancellationToken) -> Result<(), Stop> {
        let sources = self.sources(job, cancel).await?;
        if matches!(job.state, State::Queued | State::Planning) {
            job.state = State::Planning;
            job.plan = Plan::default();
            let began = Instant::now();
            let planned = self.each_place(job, &sources, Step::Plan, cancel).await;
            planned?;
            job.plan.eta_seconds = Some(self.estimate(job, began.elapsed()));
        }
        if job.plan_only {
            return Ok(());
        }
        job.state = State::Running;
        self.each_place(job, &sources, Step::Take, cancel).await
    }

    /// Does this with all places of the job, writing down now and then how far that is.
    async fn each_place(
        self: &Arc<Self>,
        job: &mut Job,
        sources: &[Arc<Source>],
        step: Step,
        cancel: &CancellationToken,
    ) -> Result<(), Stop> {
        let pace = job.rate.filter(|_| matches!(step, Step::Take)).map(Pace::new);
        let work = Arc::new(Work { stage: Arc::clone(self), job: Mutex::new(job.clone()), pace });
        let (began, before) = (Instant::now(), job.progress.objects);
        let each = Arc::clone(&work);
        let places = stream::iter(self.places(job, sources));
        let working = places.map(move |place| Arc::clone(&each).step(step, place).boxed());
        let mut working = working.buffer_unordered(PLACES_AT_ONCE).try_collect::<()>();
        let mut look = tokio::time::interval(LOOK);
        let done = loop {
            // Cancel-safe: what was claimed and not handed on comes again with the next run.
            tokio::select! {
                () = cancel.cancelled() => break Err(Stop::Stopping),
                done = &mut working => break done,
                _ = look.tick() => {
                    work.tell_eta(began, before);
                    if let Err(stop) = self.save(&work.read(Job::clone)).await {
                        break Err(stop);
                    }
                }
            }
        };
        drop(working);
        *job = work.read(Job::clone);
        self.save(job).await.and(done)
    }

    /// The places of the job, as far as walks have found them.
    fn places(&self, job: &Job, sources: &[Arc<Source>]) -> Vec<Place> {
        let mut places = BTreeMap::<_, Place>::new();
        for folder in self.context.folders.all() {
            let here = sources.iter().any(|source| source.location == folder.source.location);
            let (account, region) = (&folder.folder.account, &folder.folder.region);
            if !here || !job.range.takes(account, region) {
                continue;
            }
            let key = (folder.source.location.clone(), account.clone(), region.clone());
            let new = || Place { account: account.clone(), region: region.clone(), ..Place::default() };
            let place = places.entry(key).or_insert_with(new);
            let kind = if folder.folder.kind == Kind::Digest { &mut place.digests } else { &mut place.logs };
            kind.push(folder);
        }
        places.into_values().collect()
    }

    /// Seconds that taking the plan's objects will need: at the rate that was asked for; otherwise as if getting one took
    /// as long as a listing did.
    fn estimate(&self, job: &Job, planning: Duration) -> u64 {
        let Plan { objects, bytes, lists, .. } = job.plan;
        let listing = planning.as_secs_f64() * self.listings.available_permits() as f64 / lists.max(1) as f64;
        let free = objects as f64 * listing / self.fetches as f64;
        let paced = match job.rate {
            Some(job::Rate::Objects(rate)) => objects as f64 / f64::from(rate),
            Some(job::Rate::Bytes(rate)) => bytes as f64 / rate as f64,
            None => 0.0,
        };
        free.max(paced).ceil() as u64
    }

    /// The sources that the job names, once all folders are known that they have now.
    async fn sources(&self, job: &mut Job, cancel: &CancellationToken) -> Result<Vec<Arc<Source>>, Stop> {
        loop {
            let all = self.context.folders.sources();
            let named = |source: &&Arc<Source>| [&source.name, &source.location].contains(&&job.range.source);
            let found: Vec<_> = all.iter().filter(named).cloned().collect();
            if let Some(source) = found.iter().find(|source| source.days_stay_open) {
                return Err(Stop::Impossible(format!("source {} is taken whole by its listings", source.name)));
            }
            if found.is_empty() && self.began.elapsed() > self.patience {
                let mut names: Vec<_> = all.iter().map(|source| source.name.as_str()).collect();
                names.sort_unstable();
                let more = if names.len() > NAMED_MAX { ", …" } else { "" };
                names.truncate(NAMED_MAX);
                let (wanted, names) = (&job.range.source, names.join(", "));
                return Err(Stop::Impossible(format!("no source is called {wanted}; there are: {names}{more}")));
            }
            let trouble = match found.is_empty() {
                true => Some(format!("source {} to be known", job.range.source)),
                // Cancel-safe: a walk only finds.
                false => tokio::select! {
                    () = cancel.cancelled() => return Err(Stop::Stopping),
                    trouble = self.walk(&found) => trouble?,
                },
            };
            job.progress.waits_for = trouble;
            self.save(job).await?;
            if job.progress.waits_for.is_none() {
                return Ok(found);
            }
            // Cancel-safe: both arms only wait.
            tokio::select! {
                () = cancel.cancelled() => return Err(Stop::Stopping),
                () = tokio::time::sleep(LOOK) => {}
            }
        }
    }

    /// Walks the sources; answers what keeps that from ending.
    async fn walk(&self, sources: &[Arc<Source>]) -> Result<Option<String>, Stop> {
        for source in sources {
            let walked = discover::walk_whole(&self.context, source, &self.discover).await;
            if let Err(error) = walked.context("walk a source").map_err(Stop::Fatal)? {
                self.context.health.set_degraded(PART, error.to_string());
                return Ok(Some(format!("source {} to be walked: {error}", source.name)));
            }
        }
        self.context.health.set_ok(PART);
        Ok(None)
    }

    /// Writes the job down, and looks whether an operator wants its end.
    async fn save(&self, job: &Job) -> Result<(), Stop> {
        self.board.update(job);
        let job = job.clone();
        let cancelled = self.blocking(move |jobs| jobs.write(&job).map(|()| jobs.is_cancelled(&job.id))).await;
        if cancelled.map_err(Stop::Folder)? {
            return Err(Stop::Cancelled);
        }
        Ok(())
    }

    /// Files are small, but storage stays off the async threads.
    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Jobs<Job>) -> Result<T, jobs::Error> + Send + 'static,
    ) -> Result<T, jobs::Error> {
        let jobs = self.jobs.clone();
        let done = tokio::task::spawn_blocking(move || work(&jobs)).await;
        done.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()))
    }
}

impl Work {
    async fn step(self: Arc<Self>, step: Step, place: Place) -> Result<(), Stop> {
        match step {
            Step::Plan => self.plan(place).await,
            Step::Take => self.take(place).await,
        }
    }

    fn tell_eta(&self, began: Instant, before: u64) {
        self.change(|job| {
            let (handed, left) = (job.progress.objects - before, job.plan.objects.saturating_sub(job.progress.objects));
            let seconds = began.elapsed().as_secs_f64() * left as f64 / handed.max(1) as f64;
            job.progress.eta_seconds = (handed > 0 && job.state == State::Running).then_some(seconds.ceil() as u64);
        });
    }

    fn read<T>(&self, read: impl FnOnce(&Job) -> T) -> T {
        read(&self.job.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn change(&self, change: impl FnOnce(&mut Job)) {
        change(&mut self.job.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// The checkpoint's verbs may block on the disk.
    async fn checkpoint<T: Send + 'static>(
        &self,
        work: impl FnOnce(&checkpoint::Checkpoint) -> Result<T, checkpoint::Error> + Send + 'static,
    ) -> Result<T, Stop> {
        let checkpoint = Arc::clone(&self.stage.context.checkpoint);
        let done = tokio::task::spawn_blocking(move || work(&checkpoint)).await;
        done.context("use the checkpoint").and_then(|done| Ok(done?)).map_err(Stop::Fatal)
    }
}
