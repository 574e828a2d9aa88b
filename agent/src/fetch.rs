//! Fetches claimed objects and checks that they are sound gzip.
//!
//! Owns the byte budget's beginning, the number of fetches at once, inflating under a cap, the SHA-256 that digests name,
//! and which failures are the object's own. Does not own whose turn it is (`intake`), how hard a source is asked
//! (`limits`), retries of a request (the cloud crate) nor when a folder is tried again (`discover`): an object that cannot
//! be fetched now is let go, its claim with it, and the folder's next listing brings it back; one whose source asks to slow
//! down is put back. So nothing waits here, and an account that is denied takes nothing from the others.
//!
//! A crash or cancellation drops objects on their way; their claims in the checkpoint are handed out again.

mod digest;
mod dispatch;
mod inflate;
mod memory;

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use bytes::Bytes as Buffer;
use orgtrail_cloud::object_store::Object;
use orgtrail_cloud::{Error, ErrorKind};
use orgtrail_event::digest::to_hex;
use orgtrail_event::gzip;
use orgtrail_event::key::Kind;
use orgtrail_service::budget::Budget;
use orgtrail_service::clock::Clock;
use orgtrail_service::config::{Check, Problems};
use orgtrail_service::health::Health;
use orgtrail_service::shape::Bytes;
use serde::Deserialize;
use tokio::sync::mpsc;
use tokio::task::{JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

use self::digest::Verified;
use self::dispatch::{Begun, Dispatch, Finished};
use self::inflate::{Checked, Inflate};
pub(crate) use self::memory::Held;
use self::memory::{Memory, charge};
use crate::checkpoint::{Checkpoint, Outcome, Settled};
use crate::config::{bytes_within, count_within};
use crate::intake;
use crate::limits::Ended;
use crate::metrics::Metrics;
use crate::object::{Fetched, Lane, ObjectRef};
use crate::quarantine::Aside;

/// Reason of an object that is not what a verified digest says.
pub(crate) const HASH_DIFFERS: &str = "hash_differs";

/// The `[fetch]` table.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Objects fetched at once; of one source three quarters where there is another, and of backfills half. Default: 64, because nearly half of real objects are under 1 KB and cost one round trip
    /// each, whatever their size.
    pub concurrency: usize,
    /// Gzip bytes held from fetch to answer; half as much again may wait to be fetched, as keys. Default: 64 MiB, two ship
    /// windows. An object counts as 32 KiB at least. Backfills get half at most.
    pub memory: Bytes,
    /// Largest object, gzip bytes; a larger one is quarantined. Default: 64 MiB. CloudTrail's own bound is 50 MB before
    /// compression (user guide, "CloudTrail log file examples").
    pub object_bytes_max: Bytes,
    /// Largest content of an object, inflated; a larger one is quarantined. Default: 512 MiB. As many objects as there are
    /// processors are inflated at once.
    pub inflated_bytes_max: Bytes,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            concurrency: 64,
            memory: Bytes::mib(64),
            object_bytes_max: Bytes::mib(64),
            inflated_bytes_max: Bytes::mib(512),
        }
    }
}

impl Check for Config {
    fn check(&self, problems: &mut Problems) {
        count_within("concurrency", self.concurrency, 1..=4096, problems);
        bytes_within("object_bytes_max", self.object_bytes_max, Bytes::kib(1)..=Bytes::gib(1), problems);
        bytes_within("inflated_bytes_max", self.inflated_bytes_max, Bytes::kib(1)..=Bytes::gib(4), problems);
        if self.memory < self.object_bytes_max {
            let message = format!("smaller than one object may be ({}); raise it", self.object_bytes_max);
            problems.push("memory", message);
        }
    }
}

/// Fetches until there is nothing left to fetch.
#[derive(Debug)]
pub(crate) struct Stage {
    shared: Arc<Shared>,
    memory: Arc<Memory>,
    dispatch: Dispatch,
    out: mpsc::Sender<Fetched>,
}

/// What every fetch uses.
#[derive(Debug)]
pub(crate) struct Shared {
    config: Config,
    inflate: Inflate,
    checkpoint: Arc<Checkpoint>,
    aside: Aside,
    clock: Arc<dyn Clock>,
    health: Health,
    metrics: Metrics,
    patience: Patience,
}

/// How long a digest may wait for its key.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Patience {
    /// Not at all: the run is to end.
    None,
    /// Until this long after the digest's end.
    For(Duration),
}

/// What is wrong with an object itself.
#[derive(Debug)]
struct Bad {
    reason: &'static str,
    detail: String,
}

/// What became of an object.
enum Fetch {
    Got(Fetched),
    /// Its source asks to slow down.
    Again(ObjectRef),
    /// It was put aside or let go.
    Gone,
}

impl Stage {
    pub(crate) fn new(shared: Shared, budget: Budget, objects: intake::Receiver, out: mpsc::Sender<Fetched>) -> Self {
        let dispatch = Dispatch::new(objects, shared.config.concurrency);
        Self { shared: Arc::new(shared), memory: Arc::new(Memory::new(budget)), dispatch, out }
    }

    /// Runs until cancelled or the intake ends; what is being fetched then is finished.
    pub(crate) async fn run(mut self, cancel: CancellationToken) -> anyhow::Result<()> {
        let memory = Arc::clone(&self.memory);
        let mut fetches = JoinSet::new();
        // The next object, which waits for memory.
        let mut next: Option<Begun> = None;
        loop {
            let full = fetches.len() >= self.shared.config.concurrency;
            let (lane, bytes) = next.as_ref().map_or((Lane::Live, 0), |next| (next.object.lane, charge(&next.object)));
            // Cancel-safe: fetches stay in their set, and what is dropped while it waits has taken nothing.
            tokio::select! {
                () = cancel.cancelled() => break,
                Some(done) = fetches.join_next() => self.dispatch.finished(finished(done)?),
                begun = self.dispatch.next(&memory), if next.is_none() && !full => match begun {
                    Some(begun) => next = Some(begun),
                    None if fetches.is_empty() => break,
                    // One of them may be put back.
                    None => self.dispatch.finished(finished(fetches.join_next().await.context("a fetch runs")?)?),
                },
                held = memory.acquire(lane, bytes), if next.is_some() => {
                    let Some(begun) = next.take() else { continue };
                    let (shared, memory, out) = (Arc::clone(&self.shared), Arc::clone(&memory), self.out.clone());
                    fetches.spawn(async move { shared.take(begun, held, &memory, out).await });
                }
            }
        }
        drop((next, self.dispatch));
        while let Some(done) = fetches.join_next().await {
            finished(done)?;
        }
        Ok(())
    }
}

fn finished(done: Result<anyhow::Result<Finished>, JoinError>) -> anyhow::Result<Finished> {
    done.context("fetch an object")?
}

impl Shared {
    pub(crate) fn new(
        config: Config,
        checkpoint: Arc<Checkpoint>,
        aside: Aside,
        clock: Arc<dyn Clock>,
        health: Health,
        metrics: Metrics,
        patience: Patience,
    ) -> Self {
        let inflate = Inflate::new(config.inflated_bytes_max.as_usize());
        Self { config, inflate, checkpoint, aside, clock, health, metrics, patience }
    }

    /// Fetches the object and hands it on.
    async fn take(
        self: Arc<Self>,
        begun: Begun,
        held: Held,
        memory: &Memory,
        out: mpsc::Sender<Fetched>,
    ) -> anyhow::Result<Finished> {
        let (source, lane) = (Arc::clone(&begun.object.folder.source), begun.object.lane);
        let again = match self.fetch(begun, held, memory).await? {
            Fetch::Got(fetched) => {
                // When nobody takes it, the process is ending, and the claim goes back.
                drop(out.send(fetched).await);
                None
            }
            Fetch::Again(object) => Some(object),
            Fetch::Gone => None,
        };
        Ok(Finished { source, lane, again })
    }

    async fn fetch(self: &Arc<Self>, begun: Begun, held: Held, memory: &Memory) -> anyhow::Result<Fetch> {
        let Begun { mut object, running, most } = begun;
        let source = Arc::clone(&object.folder.source);
        let mut held = Some(held);
        let got = self.get(&object, &mut held, memory).await;
        let (ended, more) = match &got {
            Ok(got) => (Ended::Answered, got.bytes.len() as i64 - i64::try_from(object.size).unwrap_or(i64::MAX)),
            Err(error) => (Ended::by(error.kind()), 0),
        };
        let at_floor = running.ended(ended, more, source.store.refusals(), most);
        self.metrics.bears(&source.name, source.limits.at_once(most));
        let (got, mut held) = match (got, held) {
            (Ok(got), Some(held)) => (got, held),
            (Err(error), _) if *error.kind() == ErrorKind::Throttled && !at_floor => {
                self.metrics.request("get", error.kind().as_str());
                return Ok(Fetch::Again(object));
            }
            (Err(error), _) => return self.not_got(object, &error).await.map(|()| Fetch::Gone),
            (Ok(_), None) => unreachable!("what was got is charged for"),
        };
        self.metrics.request("get", "ok");
        self.metrics.fetched_bytes.inc_by(got.bytes.len() as u64);
        // The version that was fetched, should it be a newer one than was listed.
        object.etag = got.meta.etag.clone();
        object.last_modified = got.meta.last_modified;
        object.size = got.bytes.len() as u64;
        held.shrink_to(object.charge());
        self.look(object, got, held).await
    }

    /// The object's bytes, of which no more are read than are charged for.
    async fn get(&self, object: &ObjectRef, held: &mut Option<Held>, memory: &Memory) -> Result<Object, Error> {
        let (store, max) = (&object.folder.source.store, self.config.object_bytes_max.as_u64());
        loop {
            let charged = held.as_ref().map_or(0, Held::bytes).min(max);
            match store.get(&object.key, charged).await {
                Err(error) if matches!(error.kind(), ErrorKind::TooLarge { .. }) && charged < max => {}
                got => return got,
            }
            // It is larger than it was said to be, or nobody said. What is held goes first: two that wait for each other's
            // would wait for ever.
            *held = None;
            let head = store.head(&object.key).await;
            self.metrics.request("head", head.as_ref().map_or_else(|error| error.kind().as_str(), |_| "ok"));
            let size = head?.size;
            let bytes = if size > charged { size.min(max) } else { max };
            *held = Some(memory.acquire(object.lane, bytes).await);
        }
    }

    /// Checks what was got.
    async fn look(self: &Arc<Self>, object: ObjectRef, got: Object, held: Held) -> anyhow::Result<Fetch> {
        let gzip: Buffer = got.bytes;
        let checked = self.inflate.check(gzip.clone()).await?.map_err(|error| bad_gzip(&error));
        let (checked, digest, statement) = if object.folder.folder.kind == Kind::Digest {
            match self.verify(&object, &gzip, got.metadata, checked).await? {
                Some(Ok(Verified { checked, digest, statement })) => (Ok(checked), Some(digest), Some(statement)),
                Some(Err(bad)) => (Err(bad), None, None),
                None => return Ok(Fetch::Gone),
            }
        } else {
            (checked, None, None)
        };
        object.folder.succeeded(&self.health);
        let checked = checked.and_then(|checked| as_expected(&object, checked));
        match checked {
            Ok(Checked { sha256, bytes: inflated_bytes }) => {
                self.metrics.inflated_bytes.inc_by(inflated_bytes);
                Ok(Fetch::Got(Fetched { object, sha256, inflated_bytes, gzip, digest, statement, _held: held }))
            }
            Err(bad) => self.put_aside(object, bad).await.map(|()| Fetch::Gone),
        }
    }

    async fn not_got(self: &Arc<Self>, object: ObjectRef, error: &Error) -> anyhow::Result<()> {
        self.metrics.request("get", error.kind().as_str());
        let reason = match error.kind() {
            ErrorKind::NotFound => "missing",
            ErrorKind::TooLarge { .. } => "too_large",
            ErrorKind::Malformed => "unreadable",
            _ => {
                object.folder.failed(&self.health, &error.to_string());
                return Ok(());
            }
        };
        self.put_aside(object, Bad { reason, detail: error.to_string() }).await
    }

    /// Quarantine first, checkpoint second (I10).
    async fn put_aside(self: &Arc<Self>, object: ObjectRef, bad: Bad) -> anyhow::Result<()> {
        let this = Arc::clone(self);
        let aside = tokio::task::spawn_blocking(move || {
            if !this.aside.put(&object, bad.reason, &bad.detail) {
                return Ok(());
            }
            let outcome = Outcome::Quarantined { reason: bad.reason.into(), seq: None };
            let stamp = object.freshness();
            let ObjectRef { claim, etag, .. } = object;
            this.checkpoint.settle(&[Settled { claim, etag, sha256: None, statement: None, stamp, outcome }])
        });
        Ok(aside.await.context("put an object aside")??)
    }
}

/// A digest vouches for other bytes: these were changed at the source, and are no evidence of anything else.
fn as_expected(object: &ObjectRef, checked: Checked) -> Result<Checked, Bad> {
    match object.claim.expected.filter(|expected| *expected != checked.sha256) {
        None => Ok(checked),
        Some(expected) => {
            let detail = hash_differs(&expected, &checked.sha256);
            tracing::error!(
                object.key = object.subject(),
                detail,
                "a log file was changed since its digest was signed"
            );
            Err(Bad { reason: HASH_DIFFERS, detail })
        }
    }
}

/// What is said of an object whose digest names another hash.
pub(crate) fn hash_differs(expected: &[u8; 32], found: &[u8; 32]) -> String {
    format!("its content has SHA-256 {}, a verified digest says {}", to_hex(found), to_hex(expected))
}

fn bad_gzip(error: &gzip::Error) -> Bad {
    let reason = match error {
        gzip::Error::Empty => "empty",
        gzip::Error::NotGzip => "not_gzip",
        gzip::Error::Truncated { .. } => "truncated",
        gzip::Error::Corrupt(_) => "corrupt",
        gzip::Error::TooLarge { .. } => "too_large",
        gzip::Error::TrailingData { .. } => "trailing_data",
    };
    Bad { reason, detail: error.to_string() }
}

#[cfg(test)]
mod tests;
