//! Reads a trail's objects in the order of their keys and appends them to the journal for one destination, a chunk at a time.
//!
//! Memory is bounded by the chunk; a replay leaves half of the journal to the agents. An object that isn't there any more or
//! can't be read is counted and named, and the others go on; a store that refuses or fails is asked again and again.

use std::time::Duration;

use futures::stream::{self, StreamExt};
use orgtrail_cloud::object_store::{ListRequest, ObjectMeta};
use orgtrail_cloud::{Disposition, Error, ErrorKind};
use orgtrail_event::key::LogKey;
use orgtrail_proto::{Object, ObjectRef};
use tokio_util::sync::CancellationToken;

use super::job::{Failure, Job};
use super::range::{Found, Range, folders};
use super::{PART, Replays, Source, Stop};
use crate::ingest::scan::Scan;
use crate::journal::{self, Prepared};
use crate::trail::trail_of;

/// Objects that are fetched at once.
const FETCHES: usize = 16;

/// Objects that are appended together, which bounds what a crash repeats.
const CHUNK_OBJECTS: usize = 64;

/// Their gzip bytes, unless a single one has more.
const CHUNK_BYTES: u64 = 16 << 20;

/// Attempts to get an object that the store denies: its own key or tags may be the cause, and the others shall go on.
const DENIED_ATTEMPTS: u32 = 3;

const BACKOFF_FIRST: Duration = Duration::from_millis(200);
const BACKOFF_LAST: Duration = Duration::from_secs(30);

/// An object of the trail, on its way.
struct Fetched {
    /// What is appended.
    prepared: Option<Box<Prepared>>,
    /// What is wrong with it.
    failure: Option<Failure>,
}

impl Replays {
    /// Appends everything of the job's range that isn't in the journal yet.
    pub(super) async fn feed(&self, job: &mut Job, source: &Source, cancel: &CancellationToken) -> Result<(), Stop> {
        let range = Range::new(job.from, job.to);
        let job_id = job.id.clone();
        let job_id = job_id.as_str();
        let organization_id = source.organization_id.as_deref();
        let mut trouble = Trouble::default();
        let folders = loop {
            match folders(source.store.as_ref(), organization_id).await {
                Ok(folders) => break folders,
                Err(error) => self.endure(error, &mut trouble, job_id, cancel).await?,
            }
        };
        job.progress.days = folders.len() as u64 * range.days();
        for (index, folder) in (0..).zip(&folders) {
            let days_before = index * range.days();
            let Some(begin) = range.begin(folder, job.progress.position.as_deref()) else { continue };
            let mut request = ListRequest { prefix: folder.path(), start_after: Some(begin), ..ListRequest::default() };
            loop {
                let page = match source.store.list(&request).await {
                    Ok(page) => page,
                    Err(error) => {
                        self.endure(error, &mut trouble, job_id, cancel).await?;
                        continue;
                    }
                };
                trouble = Trouble::default();
                let (found, next) = range.choose(folder, page);
                for chunk in chunks(found) {
                    self.take(job, source, &chunk, cancel).await?;
                    if let Some(Found::Log(_, key)) = chunk.last() {
                        job.progress.days_done = days_before + range.days_before(key.date);
                    }
                    job.progress.position = chunk.last().map(|found| found.meta().key.clone());
                    self.save(job).await?;
                }
                request.continuation = next;
                if request.continuation.is_none() {
                    break;
                }
            }
            // Not saved for its own sake: an empty folder is listed again in no time.
            job.progress.days_done = days_before + range.days();
            job.progress.position = Some(range.end(folder));
        }
        self.save(job).await
    }

    /// Fetches and appends a chunk, and counts it.
    async fn take(
        &self,
        job: &mut Job,
        source: &Source,
        chunk: &[Found],
        cancel: &CancellationToken,
    ) -> Result<(), Stop> {
        let bytes = chunk.iter().map(|found| found.meta().size).sum();
        loop {
            self.wait_for_room(job, bytes, cancel).await?;
            let logs = chunk.iter().filter_map(|found| match found {
                Found::Log(meta, key) => Some((meta, key)),
                Found::Other(_) => None,
            });
            // Made before the stream, which is to borrow nothing of the iterator.
            let fetches: Vec<_> = logs.map(|(meta, key)| self.fetch(job, source, meta, key, cancel)).collect();
            let listed = fetches.len() as u64;
            let fetched: Vec<_> = stream::iter(fetches).buffered(FETCHES).collect().await;
            let fetched = fetched.into_iter().collect::<Result<Vec<_>, Stop>>()?;
            let (mut objects, mut failures) = (Vec::new(), Vec::new());
            for Fetched { prepared, failure } in fetched {
                objects.extend(prepared.map(|prepared| *prepared));
                failures.extend(failure);
            }
            let counts = self.counts(job, &objects);
            match self.parts.journal.append(objects).await {
                Ok(appended) => {
                    let progress = &mut job.progress;
                    progress.last_seq = progress.last_seq.max(appended.iter().map(|one| one.seq).max());
                    progress.listed += listed;
                    progress.skipped += chunk.len() as u64 - listed;
                    progress.taken += appended.len() as u64;
                    progress.records += counts.0;
                    progress.filtered += counts.1;
                    failures.into_iter().for_each(|failure| progress.fail(failure));
                    return Ok(());
                }
                Err(journal::Error::Stopped(_)) if cancel.is_cancelled() => return Err(Stop::Stopping),
                Err(error @ journal::Error::Stopped(_)) => return Err(Stop::Journal(error)),
                // Agents were quicker, or the journal takes nothing for now.
                Err(error) => self.pause(job, &error.to_string(), cancel).await?,
            }
        }
    }

    /// Readable records, and those of them that the destination's trail passes over.
    fn counts(&self, job: &Job, objects: &[Prepared]) -> (u64, u64) {
        let trail = self.parts.sources.iter().position(|source| source.name == trail_of(&job.destination));
        let records = || objects.iter().flat_map(|object| &object.records);
        let passed = |bit: usize| records().filter(|record| record.passed_by & 1 << bit != 0).count();
        (records().count() as u64, trail.map_or(0, passed) as u64)
    }

    async fn wait_for_room(&self, job: &mut Job, bytes: u64, cancel: &CancellationToken) -> Result<(), Stop> {
        while self.parts.journal.room_for(bytes.saturating_add(self.capacity / 2)).is_err() {
            self.pause(job, "room in the journal, of which a replay leaves half to the agents", cancel).await?;
        }
        job.progress.waits_for = None;
        Ok(())
    }

    async fn fetch(
        &self,
        job: &Job,
        source: &Source,
        meta: &ObjectMeta,
        key: &LogKey,
        cancel: &CancellationToken,
    ) -> Result<Fetched, Stop> {
        let failed =
            |why: String| Ok(Fetched { prepared: None, failure: Some(Failure { key: meta.key.clone(), why }) });
        let object = match self.get(source, &meta.key, &job.id, cancel).await? {
            Ok(object) => object,
            Err(error) => return failed(error.to_string()),
        };
        let reference = ObjectRef {
            source: source.store.location().to_string(),
            key: meta.key.clone(),
            // Within the dedup window a second replay is not taken for the first.
            etag: format!("{} replay {}", object.meta.etag, job.id),
            sha256: [0; 32],
            inflated_bytes: 0,
            last_modified: object.meta.last_modified.as_second(),
        };
        let object = Object { reference, gzip: object.bytes, digest: None, backfill: None };
        match self.scan(object, key.clone()).await? {
            Scan::Reject(rejection) => failed(format!("{}: {}", rejection.reason, rejection.detail)),
            Scan::Object(mut prepared, _) => {
                prepared.replay_to = Some(job.destination.clone());
                // A trail's own object was whole when it was put. What of it can be read is delivered; it stays in the trail.
                let failure = prepared.damage.take().map(|why| Failure { key: meta.key.clone(), why });
                Ok(Fetched { prepared: Some(prepared), failure })
            }
        }
    }

    async fn scan(&self, object: Object, key: LogKey) -> Result<Scan, Stop> {
        let scanners = std::sync::Arc::clone(&self.parts.scanners);
        let scanned = self.parts.workers.run(move || {
            let mut scanner = scanners.take();
            let scan = scanner.scan_unhashed(object, &key);
            scanners.give_back(scanner);
            scan
        });
        scanned.await.map_err(|panic| Stop::Journal(journal::Error::Stopped(panic.to_string())))
    }

    /// An object, or why it can't be had.
    async fn get(
        &self,
        source: &Source,
        key: &str,
        job_id: &str,
        cancel: &CancellationToken,
    ) -> Result<Result<orgtrail_cloud::object_store::Object, Error>, Stop> {
        let (mut trouble, mut denied) = (Trouble::default(), 0);
        loop {
            let error = match source.store.get(key, self.parts.object_bytes_max).await {
                Ok(object) => return Ok(Ok(object)),
                Err(error) => error,
            };
            denied += u32::from(*error.kind() == ErrorKind::Denied);
            if denied == DENIED_ATTEMPTS || error.disposition() == Disposition::Reject {
                return Ok(Err(error));
            }
            self.endure(error, &mut trouble, job_id, cancel).await?;
        }
    }

    /// Waits before another attempt at what failed in a way that can pass; health says so until the job gets further.
    async fn endure(
        &self,
        error: Error,
        trouble: &mut Trouble,
        job_id: &str,
        cancel: &CancellationToken,
    ) -> Result<(), Stop> {
        // A place that somebody may still make holds nothing to deliver again.
        if error.disposition() != Disposition::Retry || *error.kind() == ErrorKind::ContainerMissing {
            return Err(Stop::Impossible(error.to_string()));
        }
        tracing::warn!(replay.id = job_id, error = %error, "replay: trying again");
        self.parts.health.set_degraded(PART, error.to_string());
        // Cancel-safe: both arms only wait.
        tokio::select! {
            () = cancel.cancelled() => return Err(Stop::Stopping),
            () = tokio::time::sleep(trouble.backoff) => {}
        }
        trouble.backoff = (trouble.backoff * 2).min(BACKOFF_LAST);
        let id = job_id.to_owned();
        let cancelled = self.blocking(move |jobs| Ok(jobs.is_cancelled(&id))).await.map_err(Stop::Folder)?;
        if cancelled { Err(Stop::Cancelled) } else { Ok(()) }
    }
}

/// How long a call has been failing.
struct Trouble {
    backoff: Duration,
}

impl Default for Trouble {
    fn default() -> Self {
        Self { backoff: BACKOFF_FIRST }
    }
}

/// Splits a page into what is appended together.
fn chunks(found: Vec<Found>) -> Vec<Vec<Found>> {
    let mut chunks: Vec<Vec<Found>> = Vec::new();
    let mut bytes = 0;
    for one in found {
        let size = one.meta().size;
        match chunks.last_mut() {
            Some(chunk) if chunk.len() < CHUNK_OBJECTS && bytes + size <= CHUNK_BYTES => {
                bytes += size;
                chunk.push(one);
            }
            _ => {
                bytes = size;
                chunks.push(vec![one]);
            }
        }
    }
    chunks
}
