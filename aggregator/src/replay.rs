//! Replays: what a trail holds is delivered again, to a destination that was added later or lost what it had.
//!
//! A cursor never goes back by itself (I4); an operator asks for a replay, which reads the trail's own delivered objects and
//! appends them to the journal for the one destination. From there they go the normal way. Owns the jobs' order and what
//! they wait for; one is worked on at a time. Does not own deduplication, delivery or digests.
//!
//! Crash: a job goes on behind the last key that its file names. What was appended after that is appended again and
//! recognised by the journal; and an object that is delivered again gets the same name and bytes each time, so a bucket never
//! holds one twice.

mod feed;
pub mod job;
mod range;

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use orgtrail_cloud::object_store::ObjectStore;
use orgtrail_service::clock::Clock;
use orgtrail_service::health::Health;
use orgtrail_service::jobs::{self, Jobs};
use orgtrail_service::workers::Workers;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::ingest::Scanners;
use crate::journal::{self, Journal, Seq};
use job::{Job, JobSummary, State};

/// The part of health that a replay degrades that gets no further.
const PART: &str = "replay";

/// How often the folder is looked into, and a job that waits looks again.
const LOOK: Duration = Duration::from_secs(1);

/// A trail whose objects can be delivered again.
pub(crate) struct Source {
    /// The trail's name. The sources stand in the order in which the journal was told the trails' names.
    pub(crate) name: String,
    /// `o-…`, for a trail in the organization's layout.
    pub(crate) organization_id: Option<String>,
    pub(crate) store: Arc<dyn ObjectStore>,
}

/// What replays need of the process.
pub(crate) struct Parts {
    pub(crate) journal: Journal,
    pub(crate) sources: Vec<Source>,
    pub(crate) scanners: Arc<Scanners>,
    /// Where objects are scanned.
    pub(crate) workers: Arc<Workers>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) health: Health,
    /// Everything below this seq is to be delivered without waiting.
    pub(crate) flush: watch::Sender<Seq>,
    /// Largest object that is read, gzip bytes.
    pub(crate) object_bytes_max: u64,
    /// The aggregator's state folder.
    pub(crate) state_dir: PathBuf,
}

/// See the module's description.
pub(crate) struct Replays {
    parts: Parts,
    jobs: Jobs<Job>,
    /// Payload bytes of which a replay leaves half to the agents.
    capacity: u64,
    /// Jobs that are over; their files are not read again.
    over: HashSet<String>,
    board: Board,
}

/// The replays that are not over, for the status. Clones share it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Board(Arc<Mutex<Vec<JobSummary>>>);

impl Board {
    /// The one that is worked on first, then those that wait.
    pub(crate) fn jobs(&self) -> Vec<JobSummary> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set(&self, jobs: Vec<JobSummary>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = jobs;
    }

    fn update(&self, job: &Job) {
        let mut jobs = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        jobs.retain(|summary| summary.id != job.id);
        if !job.state.is_over() {
            jobs.insert(0, job.summary());
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
    /// The journal failed: the process must stop.
    Journal(journal::Error),
}

impl Replays {
    /// `board` is where the status reads which replays are not over.
    pub(crate) fn new(parts: Parts, board: Board) -> Self {
        let capacity = parts.journal.usage().capacity;
        let jobs = Jobs::of(&parts.state_dir);
        Self { parts, jobs, capacity, over: HashSet::new(), board }
    }

    /// Works until cancelled. An error is the journal's: the process must stop.
    pub(crate) async fn run(mut self, cancel: CancellationToken) -> anyhow::Result<()> {
        // Made by us, so that it is ours even where an operator asks as another user.
        let mut found = self.blocking(|jobs| jobs.make().map(|()| None)).await;
        loop {
            let worked = match found {
                Ok(Some(job)) => self.work(job, &cancel).await,
                Ok(None) => {
                    self.parts.health.set_ok(PART);
                    Ok(())
                }
                Err(error) => Err(Stop::Folder(error)),
            };
            match worked {
                Ok(()) => {}
                Err(Stop::Journal(error)) => return Err(error).context("replay"),
                Err(Stop::Folder(error)) => {
                    tracing::warn!(error = %error, "replays can't go on, trying again");
                    self.parts.health.set_degraded(PART, error.to_string());
                }
                Err(Stop::Stopping | Stop::Cancelled | Stop::Impossible(_)) => {}
            }
            // Cancel-safe: both arms only wait.
            tokio::select! {
                () = cancel.cancelled() => return Ok(()),
                () = tokio::time::sleep(LOOK) => {}
            }
            found = self.next().await;
        }
    }

    /// The oldest job that isn't over.
    async fn next(&mut self) -> Result<Option<Job>, jobs::Error> {
        let mut over = std::mem::take(&mut self.over);
        let found = self.blocking(move |jobs| jobs.waiting(&mut over).map(|waiting| (over, waiting))).await;
        let (over, waiting) = found?;
        self.over = over;
        self.board.set(waiting.iter().map(Job::summary).collect());
        Ok(waiting.into_iter().next())
    }

    /// Takes a job to its end, or as far as it gets.
    async fn work(&self, mut job: Job, cancel: &CancellationToken) -> Result<(), Stop> {
        tracing::info!(replay.id = job.id, destination.name = job.destination, "replay of trail {}", job.trail);
        let (state, error) = match self.steps(&mut job, cancel).await {
            Ok(()) => (State::Done, None),
            Err(Stop::Cancelled) => (State::Cancelled, None),
            Err(Stop::Impossible(why)) => (State::Failed, Some(why)),
            Err(stop) => return Err(stop),
        };
        job.end(state, error, self.parts.clock.now());
        let progress = &job.progress;
        tracing::info!(
            replay.id = job.id,
            destination.name = job.destination,
            objects = progress.taken,
            records = progress.records,
            failed = progress.failed,
            "replay ended: {state:?}"
        );
        self.parts.health.set_ok(PART);
        self.board.update(&job);
        self.blocking(move |jobs| jobs.finish(&job)).await.map_err(Stop::Folder)
    }

    async fn steps(&self, job: &mut Job, cancel: &CancellationToken) -> Result<(), Stop> {
        let source = self.check(job).map_err(Stop::Impossible)?;
        if job.progress.last_seq.is_some_and(|last| last >= self.head()) {
            tracing::warn!(replay.id = job.id, "the journal that the replay was put into is gone: it begins again");
            job.restart();
        }
        if job.state == State::Queued {
            // What an agent was told to be taken belongs to the trail, whether or not it was delivered yet.
            let why = format!("trail {} to hold what was taken before", source.name);
            self.wait_for(job, &source.name, self.head(), &why, cancel).await?;
            job.start();
        }
        if job.state == State::Running {
            self.feed(job, source, cancel).await?;
            job.all_taken();
        }
        let end = job.progress.last_seq.map_or(0, |last| last + 1);
        let (destination, why) = (job.destination.clone(), format!("{} to hold everything", job.destination));
        self.wait_for(job, &destination, end, &why, cancel).await
    }

    /// The trail that the job reads.
    fn check(&self, job: &Job) -> Result<&Source, String> {
        let source = self.parts.sources.iter().find(|source| source.name == job.trail);
        let source = source.ok_or_else(|| format!("trail {} is not configured", job.trail))?;
        if job.destination == job.trail {
            return Err(format!("trail {}'s own objects are what is read", job.trail));
        }
        if !self.parts.journal.books().cursors.contains_key(&job.destination) {
            return Err(format!("destination {} is not configured", job.destination));
        }
        Ok(source)
    }

    /// Waits until a destination holds everything below `end`.
    async fn wait_for(
        &self,
        job: &mut Job,
        destination: &str,
        end: Seq,
        why: &str,
        cancel: &CancellationToken,
    ) -> Result<(), Stop> {
        loop {
            let cursor = self.parts.journal.cursor(destination).seq;
            if cursor >= end {
                job.progress.waits_for = None;
                return Ok(());
            }
            self.parts.flush.send_if_modified(|flush| std::mem::replace(flush, end.max(*flush)) < end);
            job.progress.waiting = end - cursor;
            self.pause(job, why, cancel).await?;
        }
    }

    /// Saves the job with what it waits for, and waits a moment.
    async fn pause(&self, job: &mut Job, why: &str, cancel: &CancellationToken) -> Result<(), Stop> {
        job.progress.waits_for = Some(why.to_owned());
        self.save(job).await?;
        // Cancel-safe: both arms only wait.
        tokio::select! {
            () = cancel.cancelled() => Err(Stop::Stopping),
            () = tokio::time::sleep(LOOK) => Ok(()),
        }
    }

    /// Writes the job down, and looks whether an operator wants its end.
    async fn save(&self, job: &Job) -> Result<(), Stop> {
        self.board.update(job);
        let job = job.clone();
        let cancelled = self.blocking(move |jobs| jobs.write(&job).map(|()| jobs.is_cancelled(&job.id))).await;
        if cancelled.map_err(Stop::Folder)? {
            return Err(Stop::Cancelled);
        }
        self.parts.health.set_ok(PART);
        Ok(())
    }

    fn head(&self) -> Seq {
        *self.parts.journal.watch_head().borrow()
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

#[cfg(test)]
mod tests;
