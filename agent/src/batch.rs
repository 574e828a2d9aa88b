//! Puts fetched objects together, so that hundreds of tiny ones cross the wire as one message.
//!
//! Owns when a batch is full: by bytes, by objects, or by the age of its first object. Does not own what a message may
//! hold (`ship` cuts where the aggregator takes less). On cancellation the stage before closes the channel; what was
//! collected is handed on first.

use std::time::Duration;

use orgtrail_service::config::{Check, Problems};
use orgtrail_service::shape::{Bytes, duration};
use serde::Deserialize;
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::config::{bytes_within, count_within, within};
use crate::object::Fetched;

/// The `[batch]` table.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Gzip bytes of a batch. Default: 4 MiB, which is enough to make the cost of a message vanish.
    pub bytes: Bytes,
    /// Objects of a batch. Default: 512.
    pub objects: usize,
    /// How long the first object of a batch may wait for others. Default: 200 ms, nothing beside the minutes that
    /// CloudTrail takes to deliver.
    #[serde(with = "duration")]
    pub age: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self { bytes: Bytes::mib(4), objects: 512, age: Duration::from_millis(200) }
    }
}

impl Check for Config {
    fn check(&self, problems: &mut Problems) {
        // Twice this must stay below the largest message, so that a full batch goes in one.
        bytes_within("bytes", self.bytes, Bytes::kib(1)..=Bytes::mib(8), problems);
        count_within("objects", self.objects, 1..=10_000, problems);
        within("age", self.age, Duration::ZERO..=Duration::from_secs(60), problems);
    }
}

/// Collects until a batch is full.
#[derive(Debug)]
pub(crate) struct Stage {
    config: Config,
    fetched: mpsc::Receiver<Fetched>,
    out: mpsc::Sender<Vec<Fetched>>,
}

impl Stage {
    pub(crate) fn new(config: Config, fetched: mpsc::Receiver<Fetched>, out: mpsc::Sender<Vec<Fetched>>) -> Self {
        Self { config, fetched, out }
    }

    /// Runs until the channel of fetched objects closes.
    pub(crate) async fn run(mut self) -> anyhow::Result<()> {
        while let Some(first) = self.fetched.recv().await {
            let batch = self.fill(first).await;
            if self.out.send(batch).await.is_err() {
                // The link has ended: nothing that is left can be answered for.
                break;
            }
        }
        Ok(())
    }

    async fn fill(&mut self, first: Fetched) -> Vec<Fetched> {
        let deadline = Instant::now() + self.config.age;
        let mut bytes = first.gzip.len();
        let mut batch = vec![first];
        while batch.len() < self.config.objects && bytes < self.config.bytes.as_usize() {
            // Cancel-safe: a receive that times out has taken nothing.
            match tokio::time::timeout_at(deadline, self.fetched.recv()).await {
                Ok(Some(next)) => {
                    bytes += next.gzip.len();
                    batch.push(next);
                }
                Ok(None) | Err(_) => break,
            }
        }
        batch
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::fetched;

    async fn batches(config: Config, sizes: &[usize]) -> Vec<Vec<usize>> {
        let (tx, rx) = mpsc::channel(64);
        let (out, mut batches) = mpsc::channel(64);
        for (n, size) in sizes.iter().enumerate() {
            tx.send(fetched(&format!("k{n}"), *size)).await.unwrap();
        }
        drop(tx);
        Stage::new(config, rx, out).run().await.unwrap();
        let mut found = Vec::new();
        while let Some(batch) = batches.recv().await {
            found.push(batch.iter().map(|object| object.gzip.len()).collect());
        }
        found
    }

    #[tokio::test]
    async fn a_batch_ends_at_its_bytes_or_its_objects() {
        let config = Config { bytes: Bytes(100), objects: 3, age: Duration::from_secs(5) };
        let found = batches(config, &[40, 40, 40, 1, 1, 1, 1, 500, 2]).await;
        assert_eq!(found, [vec![40, 40, 40], vec![1, 1, 1], vec![1, 500], vec![2]]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_lone_object_waits_no_longer_than_the_age() {
        let (tx, rx) = mpsc::channel(4);
        let (out, mut batches) = mpsc::channel(4);
        let config = Config { age: Duration::from_millis(200), ..Config::default() };
        let stage = Stage::new(config, rx, out).run();
        let started = Instant::now();
        let feed = async {
            tx.send(fetched("k", 1)).await.unwrap();
            assert_eq!(batches.recv().await.unwrap().len(), 1);
            assert_eq!(started.elapsed(), Duration::from_millis(200));
            drop(tx);
        };
        let (ended, ()) = tokio::join!(stage, feed);
        ended.unwrap();
    }
}
