//! What the aggregator's answers mean to an object.
//!
//! Owns the order of the writes: quarantine entry first, checkpoint second (I10), and only then is the object let go. All
//! of it happens off the async threads. An error of the checkpoint ends the process: what was answered stays claimed on
//! disk and is sent again by the next one.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use orgtrail_proto::Disposition;
use orgtrail_service::clock::Clock;
use tokio::sync::watch;

use crate::checkpoint::{Checkpoint, Outcome, Settled};
use crate::metrics::Metrics;
use crate::object::{Fetched, ObjectRef};
use crate::quarantine::Aside;

/// Longest wait that is taken from the aggregator at its word.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(60);

/// Writes answers down; clones share everything.
#[derive(Debug, Clone)]
pub(crate) struct Answers {
    checkpoint: Arc<Checkpoint>,
    aside: Aside,
    clock: Arc<dyn Clock>,
    metrics: Metrics,
    /// Counts the changes of the journal's epoch; discovery looks at every folder again when it moves.
    epochs: watch::Sender<u64>,
}

/// What is left to do after an answer.
#[derive(Debug, Default)]
pub(super) struct Left {
    /// Objects to be offered again.
    pub(super) again: Vec<Fetched>,
    /// After how long.
    pub(super) after: Duration,
    /// Why.
    pub(super) why: String,
}

impl Answers {
    pub(crate) fn new(
        checkpoint: Arc<Checkpoint>,
        aside: Aside,
        clock: Arc<dyn Clock>,
        metrics: Metrics,
    ) -> (Self, watch::Receiver<u64>) {
        let (epochs, moved) = watch::channel(0);
        (Self { checkpoint, aside, clock, metrics, epochs }, moved)
    }

    /// The link's first word: which journal the seqs belong to (I11).
    pub(super) async fn welcome(&self, epoch: u64) -> anyhow::Result<()> {
        let (known, _) = self.checkpoint.epoch();
        if known == Some(epoch) {
            return Ok(());
        }
        let checkpoint = Arc::clone(&self.checkpoint);
        let again = blocking(move || checkpoint.new_epoch(epoch)).await??;
        if known.is_some() && again > 0 {
            tracing::info!(
                epoch,
                objects = again,
                "the aggregator was started anew; what isn't delivered is offered again"
            );
            self.epochs.send_modify(|epochs| *epochs += 1);
        }
        Ok(())
    }

    /// Everything below `seq_end` is at every destination.
    pub(super) async fn delivered(&self, seq_end: u64) -> anyhow::Result<()> {
        let checkpoint = Arc::clone(&self.checkpoint);
        Ok(blocking(move || checkpoint.delivered(seq_end)).await??)
    }

    /// The answer to a unit, one disposition for each object.
    pub(super) async fn settle(&self, objects: Vec<Fetched>, dispositions: Vec<Disposition>) -> anyhow::Result<Left> {
        let this = self.clone();
        blocking(move || this.settle_blocking(objects, dispositions)).await?
    }

    fn settle_blocking(&self, objects: Vec<Fetched>, dispositions: Vec<Disposition>) -> anyhow::Result<Left> {
        let now = self.clock.now();
        let mut left = Left::default();
        let mut settled = Vec::with_capacity(objects.len());
        // Held until the checkpoint has it: the bytes' permits go with them.
        let mut gzip = Vec::with_capacity(objects.len());
        for (fetched, disposition) in objects.into_iter().zip(dispositions) {
            let outcome = match disposition {
                Disposition::Accepted { seq, damage: None } => {
                    if fetched.object.claim.resolves && !self.aside.resolve(&fetched.object) {
                        continue;
                    }
                    let delay = now.duration_since(fetched.object.last_modified);
                    self.metrics.pickup_delay.observe(delay.as_secs_f64().max(0.0));
                    Outcome::Acked { seq }
                }
                Disposition::Accepted { seq, damage: Some(damage) } => {
                    if !self.aside.put(&fetched.object, "damaged", &damage) {
                        continue;
                    }
                    Outcome::Quarantined { reason: "damaged".into(), seq: Some(seq) }
                }
                Disposition::Reject { reason, detail } => {
                    if !self.aside.put(&fetched.object, &reason, &detail) {
                        continue;
                    }
                    Outcome::Quarantined { reason, seq: None }
                }
                Disposition::Retry { after, detail } => {
                    left.after = left.after.max(after).min(RETRY_AFTER_MAX);
                    left.why = detail;
                    left.again.push(fetched);
                    continue;
                }
            };
            let Fetched { object, sha256, statement, gzip: bytes, _held, .. } = fetched;
            gzip.push((bytes, _held));
            let stamp = object.freshness();
            let ObjectRef { claim, etag, .. } = object;
            settled.push(Settled { claim, etag, sha256: Some(sha256), statement, stamp, outcome });
        }
        self.checkpoint.settle(&settled)?;
        self.metrics.resent.inc_by(left.again.len() as u64);
        Ok(left)
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> anyhow::Result<T> {
    tokio::task::spawn_blocking(work).await.context("write an answer down")
}
