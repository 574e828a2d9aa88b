//! Puts batches into streams, for as long as it takes.
//!
//! Owns: the streams, their making, waiting after errors, and what an operator is told. Does not own what is in a batch.
//! At least once: a batch whose answer was lost is put again.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures::stream::{self, StreamExt as _};
use orgtrail_cloud::log_sink::PutOutcome;
use orgtrail_cloud::{Error, ErrorKind, LogSink};
use orgtrail_service::health::Health;
use rand::Rng as _;
use tokio_util::sync::CancellationToken;

use super::batches::{Batch, Origin, Reason};
use super::target::Names;
use crate::metrics::Metrics;

const BACKOFF_FIRST: Duration = Duration::from_millis(200);
const BACKOFF_LAST: Duration = Duration::from_secs(30);

/// Throttled attempts in a row from which on health says so: a few are normal.
const THROTTLED_TOLD: u32 = 5;

/// How long a put that is under way may go on when the process stops: what is broken off is sent again by the next start.
const DRAIN: Duration = Duration::from_secs(5);

/// The process is stopping; what was sent since the cursor moved is sent again.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Cancelled;

/// A log group and its streams.
pub(super) struct Sender {
    pub(super) sink: Arc<dyn LogSink>,
    pub(super) names: Names,
    /// Streams that batches are spread over.
    pub(super) streams: AtomicUsize,
    pub(super) streams_max: usize,
    /// The destination's name in the journal.
    pub(super) destination: String,
    /// The part of the process's health.
    pub(super) part: String,
    pub(super) health: Health,
    pub(super) metrics: Arc<Metrics>,
    pub(super) cancel: CancellationToken,
}

/// A batch that was taken.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Sent {
    pub(super) batch: Batch,
    outcome: PutOutcome,
}

impl Sent {
    /// Each event's origin and message length, with the reason where it was not stored.
    pub(super) fn events(&self) -> impl Iterator<Item = (&Origin, usize, Option<Reason>)> {
        self.batch.origins.iter().zip(&self.batch.events).enumerate().map(|(index, (origin, event))| {
            let rejected = self.outcome.rejected.iter().find(|(range, _)| range.contains(&index));
            (origin, event.message.len(), rejected.map(|(_, rejection)| Reason::from(*rejection)))
        })
    }
}

impl Sender {
    /// Sends all batches; returns when each was confirmed (I4).
    pub(super) async fn send(&self, batches: Vec<Batch>) -> Result<Vec<Sent>, Cancelled> {
        let streams = self.streams.load(Ordering::Relaxed);
        let puts: Vec<_> = batches.into_iter().enumerate().map(|(index, batch)| self.put(index, batch)).collect();
        let mut puts = stream::iter(puts).buffer_unordered(streams);
        let mut sent = Vec::new();
        while let Some(put) = puts.next().await {
            sent.push(put?);
        }
        Ok(sent)
    }

    /// Puts one batch. `slot` chooses the stream.
    async fn put(&self, slot: usize, batch: Batch) -> Result<Sent, Cancelled> {
        let mut backoff = BACKOFF_FIRST;
        let mut attempt = 0;
        loop {
            let stream = self.names.stream(slot % self.streams.load(Ordering::Relaxed));
            match self.attempt(&stream, &batch).await? {
                Ok(outcome) => {
                    self.health.set_ok(&self.part);
                    return Ok(Sent { batch, outcome });
                }
                Err(error) => self.failed(&error, attempt),
            }
            let pause = backoff.mul_f64(rand::rng().random_range(0.5..=1.0));
            tokio::select! {
                () = self.cancel.cancelled() => return Err(Cancelled),
                () = tokio::time::sleep(pause) => {}
            }
            backoff = (backoff * 2).min(BACKOFF_LAST);
            attempt += 1;
        }
    }

    /// One call; where group or stream are absent they are made, and it is called again.
    async fn attempt(&self, stream: &str, batch: &Batch) -> Result<Result<PutOutcome, Error>, Cancelled> {
        let group = &self.names.group;
        let calls = async {
            match self.sink.put(group, stream, &batch.events).await {
                Err(error) if *error.kind() == ErrorKind::ContainerMissing => {
                    self.sink.ensure(group, stream).await?;
                    tracing::info!(destination.name = self.destination, "made log stream {group}/{stream}");
                    self.sink.put(group, stream, &batch.events).await
                }
                put => put,
            }
        };
        let stopped = async {
            self.cancel.cancelled().await;
            tokio::time::sleep(DRAIN).await;
        };
        // Not cancel-safe, and it need not be: what is cut off here is sent again.
        tokio::select! {
            biased;
            put = calls => Ok(put),
            () = stopped => Err(Cancelled),
        }
    }

    /// Whatever it is, giving up would lose records: an operator has to mend it.
    fn failed(&self, error: &Error, attempt: u32) {
        self.metrics.put_failed(&self.destination);
        let throttled = *error.kind() == ErrorKind::Throttled;
        if throttled {
            self.metrics.throttled(&self.destination);
            let more = |streams| (streams < self.streams_max).then_some(streams + 1);
            if let Ok(before) = self.streams.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more) {
                tracing::info!(destination.name = self.destination, "throttled: spread over {} streams", before + 1);
            }
        }
        if !throttled || attempt >= THROTTLED_TOLD {
            self.health.set_degraded(&self.part, self.names.advice(error));
        }
        tracing::warn!(destination.name = self.destination, error = %error, "sending to CloudWatch Logs failed, trying again");
    }
}
