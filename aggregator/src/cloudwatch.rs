//! CloudWatch Logs as a trail's second destination: one task a trail reads the journal from a cursor of its own, and sends
//! each record as a log event, as CloudTrail does.
//!
//! Owns when a range is read and when the cursor moves: after every batch was confirmed (I4). At least once: what was sent
//! since the cursor moved is sent again after a crash. A record that CloudWatch Logs doesn't take is counted by its reason
//! (I10) and is in the trail's objects, which another task delivers: an outage here delays nothing there.

pub(crate) mod batches;
mod pointer;
pub mod probe;
mod send;
mod status;
mod tally;
mod target;
mod window;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use orgtrail_service::clock::Clock;
use orgtrail_service::health::Health;
use orgtrail_service::workers::Workers;
use tokio_util::sync::CancellationToken;

use crate::journal::head::{Head, Lane};
use crate::journal::{self, Advance, Journal, Seq};
use crate::metrics::Metrics;
use crate::trail::cloudwatch_destination;
use batches::Reason;
use send::{Cancelled, Sender};
pub use status::CloudWatchStatus;
use tally::Tally;
pub(crate) use target::Target;
use window::{Object, Reading, WINDOW_BYTES};

/// How long the first object of a range waits for others: fewer, fuller batches.
const GATHER_WAIT: Duration = Duration::from_secs(1);

/// Heads that one range covers at the most.
const HEADS_MAX: usize = 1024;

/// What the task needs of the process.
pub(crate) struct Parts {
    pub(crate) journal: Journal,
    /// Where records are read.
    pub(crate) workers: Arc<Workers>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) health: Health,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) cancel: CancellationToken,
}

/// Sends one trail's records.
pub(crate) struct Delivery {
    target: Target,
    journal: Journal,
    workers: Arc<Workers>,
    clock: Arc<dyn Clock>,
    cancel: CancellationToken,
    /// The name in the journal.
    destination: String,
    sender: Sender,
    /// Reasons that the log explained.
    told: BTreeSet<Reason>,
}

impl Delivery {
    pub(crate) fn new(target: Target, parts: Parts) -> Self {
        let Parts { journal, workers, clock, health, metrics, cancel } = parts;
        let destination = cloudwatch_destination(&target.trail.name);
        let sender = Sender {
            sink: Arc::clone(&target.sink),
            names: target.names.clone(),
            streams: AtomicUsize::new(1),
            streams_max: target.streams_max,
            destination: destination.clone(),
            part: format!("trail {} cloudwatch", target.trail.name),
            health,
            metrics,
            cancel: cancel.clone(),
        };
        Self { target, journal, workers, clock, cancel, destination, sender, told: BTreeSet::new() }
    }

    /// Runs until cancelled. An error is the journal's: the process must stop.
    pub(crate) async fn run(mut self) -> Result<(), journal::Error> {
        while let Some(heads) = self.gather().await? {
            let Some((last, _)) = heads.last() else { continue };
            let to = last + 1;
            match self.send(&heads).await? {
                Ok(tally) => self.advance(to, tally).await?,
                Err(Cancelled) => break,
            }
        }
        Ok(())
    }

    /// Waits for something to send; None: cancelled.
    async fn gather(&self) -> Result<Option<Vec<(Seq, Head)>>, journal::Error> {
        let from = self.journal.cursor(&self.destination).seq;
        let mut head = self.journal.watch_head();
        // Cancel-safe: nothing is taken out of anything.
        tokio::select! {
            () = self.cancel.cancelled() => return Ok(None),
            grown = head.wait_for(|head| *head > from) => if grown.is_err() { return Ok(None) },
        }
        tokio::select! {
            () = self.cancel.cancelled() => return Ok(None),
            () = async {
                tokio::time::sleep(self.lag(from)).await;
                self.journal.usable().await;
            } => {}
        }
        let (journal, destination) = (self.journal.clone(), self.destination.clone());
        blocking(move || {
            let mut heads = journal.heads(from, HEADS_MAX)?;
            let mut bytes = 0;
            let fits = heads.iter().take_while(|(_, head)| {
                bytes += if is_passed_over(head) { 0 } else { head.selected(&destination).kept_bytes };
                bytes <= WINDOW_BYTES as u64
            });
            // An object larger than a window comes alone, and in several.
            let fitting = fits.count().max(1);
            heads.truncate(fitting);
            Ok(Some(heads))
        })
        .await
    }

    /// Nobody waits for others where plenty is there already.
    fn lag(&self, from: Seq) -> Duration {
        let behind = *self.journal.watch_head().borrow() - from;
        if behind >= HEADS_MAX as u64 { Duration::ZERO } else { GATHER_WAIT }
    }

    /// Sends every record of the range that is to be sent; what became of all.
    async fn send(&mut self, heads: &[(Seq, Head)]) -> Result<Result<Tally, Cancelled>, journal::Error> {
        let mut tally = Tally::default();
        let objects = Arc::new(self.objects(heads, &mut tally));
        let mut reading = Reading::new(&self.journal, &self.destination, Arc::clone(&objects), self.target.rules);
        while !reading.is_done() {
            let now_ms = self.now_ms();
            let read = self.workers.run(move || reading.window(now_ms).map(|window| (reading, window))).await;
            let window;
            (reading, window) = read.map_err(|panic| journal::Error::Stopped(panic.to_string()))??;
            for (object, reason) in window.diverted {
                tally.divert(&objects[object], reason);
                self.tell(reason);
            }
            let Ok(sent) = self.sender.send(window.batches).await else { return Ok(Err(Cancelled)) };
            let rejected: Vec<_> = sent.iter().flat_map(|batch| tally.sent(&objects, batch)).collect();
            for (_, reason) in &rejected {
                self.tell(*reason);
            }
            let pointers = tally::pointers(&rejected, self.now_ms());
            let Ok(sent) = self.sender.send(pointers).await else { return Ok(Err(Cancelled)) };
            for batch in &sent {
                tally.sent(&objects, batch);
            }
        }
        Ok(Ok(tally))
    }

    /// The objects whose records are to be sent; those of others are counted.
    fn objects(&mut self, heads: &[(Seq, Head)], tally: &mut Tally) -> Vec<Object> {
        let mut objects = Vec::new();
        for (seq, head) in heads {
            let Some(object) = Object::new(*seq, head, &self.target.trail, &self.destination) else { continue };
            if is_passed_over(head) {
                tally.divert_all(&object, Reason::Backfill, head.selected(&self.destination).kept);
                self.tell(Reason::Backfill);
            } else {
                objects.push(object);
            }
        }
        objects
    }

    async fn advance(&self, to: Seq, tally: Tally) -> Result<(), journal::Error> {
        let (journal, destination) = (self.journal.clone(), self.destination.clone());
        let advance = Advance { to, rows: tally.into_rows(), files: Vec::new() };
        blocking(move || journal.advance(&destination, advance)).await
    }

    /// Says once why records are left out; metrics and the ledger count them.
    fn tell(&mut self, reason: Reason) {
        if self.told.insert(reason) {
            let (name, why) = (&self.destination, reason.explanation());
            tracing::warn!(
                destination.name = name,
                reason = reason.as_str(),
                "records are left out here, and are in the trail's objects: {why}"
            );
        }
    }

    fn now_ms(&self) -> i64 {
        self.clock.now().as_millisecond()
    }
}

/// Whether no record of the object is sent: a backfill of years is no news for alarms, and CloudWatch Logs bills by the byte.
fn is_passed_over(head: &Head) -> bool {
    head.lane == Lane::Backfill
}

/// Storage stays off the async threads.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, journal::Error> + Send + 'static,
) -> Result<T, journal::Error> {
    tokio::task::spawn_blocking(work).await.map_err(|panic| journal::Error::Stopped(panic.to_string()))?
}

#[cfg(test)]
mod tests;
