//! Fetches claimed objects and checks that they are sound gzip.
//!
//! Owns the byte budget's beginning, the number of fetches at once, inflating under a cap, the SHA-256 that digests name,
//! and which failures are the object's own. Does not own retries of a request (the cloud crate) nor when a folder is tried
//! again (`discover`): an object that cannot be fetched now is let go, its claim with it, and the folder's next listing
//! brings it back. So nothing waits here, and an account that is denied takes nothing from the others.
//!
//! A crash or cancellation drops objects on their way; their claims in the checkpoint are handed out again.

mod digest;
mod inflate;

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use bytes::Bytes as Buffer;
use orgtrail_cloud::{Error, ErrorKind};
use orgtrail_event::digest::to_hex;
use orgtrail_event::gzip;
use orgtrail_event::key::Kind;
use orgtrail_service::budget::{Budget, Permit};
use orgtrail_service::clock::Clock;
use orgtrail_service::config::{Check, Problems};
use orgtrail_service::health::Health;
use orgtrail_service::shape::Bytes;
use serde::Deserialize;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use self::digest::Verified;
use self::inflate::{Checked, Inflate};
use crate::checkpoint::{Checkpoint, Outcome, Settled};
use crate::config::{bytes_within, count_within};
use crate::intake::{self, Admission};
use crate::metrics::Metrics;
use crate::object::{Fetched, ObjectRef};
use crate::quarantine::Aside;

/// Reason of an object that is not what a verified digest says.
pub(crate) const HASH_DIFFERS: &str = "hash_differs";

/// The `[fetch]` table.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Objects fetched at once. Default: 64, because nearly half of real objects are under 1 KB and cost one round trip
    /// each, whatever their size.
    pub concurrency: usize,
    /// Gzip bytes held from fetch to answer. Default: 64 MiB, two ship windows. An object counts as 32 KiB at least.
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
    budget: Budget,
    objects: intake::Receiver,
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

impl Stage {
    pub(crate) fn new(shared: Shared, budget: Budget, objects: intake::Receiver, out: mpsc::Sender<Fetched>) -> Self {
        Self { shared: Arc::new(shared), budget, objects, out }
    }

    /// Runs until cancelled or the intake ends; what is being fetched then is finished.
    pub(crate) async fn run(mut self, cancel: CancellationToken) -> anyhow::Result<()> {
        let mut fetches = JoinSet::new();
        loop {
            while fetches.len() >= self.shared.config.concurrency {
                ended(fetches.join_next().await)?;
            }
            while let Some(done) = fetches.try_join_next() {
                ended(Some(done))?;
            }
            // Cancel-safe: a receive or an acquire that is dropped has taken nothing but the object, whose claim goes
            // back with it.
            let (object, permit) = tokio::select! {
                () = cancel.cancelled() => break,
                next = next(&mut self.objects, &self.budget) => match next {
                    Some(next) => next,
                    None => break,
                },
            };
            let (shared, out) = (Arc::clone(&self.shared), self.out.clone());
            fetches.spawn(async move {
                let Some(fetched) = shared.fetch(object, permit).await? else { return Ok(()) };
                // When nobody takes it, the process is ending, and the claim goes back.
                drop(out.send(fetched).await);
                Ok(())
            });
        }
        drop(self.objects);
        while let Some(done) = fetches.join_next().await {
            ended(Some(done))?;
        }
        Ok(())
    }
}

async fn next(objects: &mut intake::Receiver, budget: &Budget) -> Option<(ObjectRef, Permit)> {
    let object = objects.recv(|_| Admission::Take).await?;
    let permit = budget.acquire(object.charge()).await;
    Some((object, permit))
}

fn ended(done: Option<Result<anyhow::Result<()>, tokio::task::JoinError>>) -> anyhow::Result<()> {
    match done {
        Some(result) => result.context("fetch an object")?,
        None => Ok(()),
    }
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

    /// The object with its bytes; `None` where it was put aside or let go.
    async fn fetch(self: &Arc<Self>, mut object: ObjectRef, mut permit: Permit) -> anyhow::Result<Option<Fetched>> {
        let store = &object.folder.source.store;
        let got = match store.get(&object.key, self.config.object_bytes_max.as_u64()).await {
            Ok(got) => got,
            Err(error) => return self.not_got(object, &error).await.map(|()| None),
        };
        self.metrics.request("get", "ok");
        self.metrics.fetched_bytes.inc_by(got.bytes.len() as u64);
        // The version that was fetched, should it be a newer one than was listed.
        object.etag = got.meta.etag;
        object.last_modified = got.meta.last_modified;
        object.size = got.bytes.len() as u64;
        permit.shrink_to(object.charge());
        let gzip: Buffer = got.bytes;
        let checked = self.inflate.check(gzip.clone()).await?.map_err(|error| bad_gzip(&error));
        let (checked, digest, statement) = if object.folder.folder.kind == Kind::Digest {
            match self.verify(&object, &gzip, got.metadata, checked).await? {
                Some(Ok(Verified { checked, digest, statement })) => (Ok(checked), Some(digest), Some(statement)),
                Some(Err(bad)) => (Err(bad), None, None),
                None => return Ok(None),
            }
        } else {
            (checked, None, None)
        };
        object.folder.succeeded(&self.health);
        let checked = checked.and_then(|checked| as_expected(&object, checked));
        match checked {
            Ok(Checked { sha256, bytes: inflated_bytes }) => {
                self.metrics.inflated_bytes.inc_by(inflated_bytes);
                Ok(Some(Fetched { object, sha256, inflated_bytes, gzip, digest, statement, _permit: permit }))
            }
            Err(bad) => self.put_aside(object, bad).await.map(|()| None),
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
