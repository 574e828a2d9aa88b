//! Hops 9 to 14: one task a destination reads the journal from its own cursor, plans, encodes, puts, advances.
//!
//! Owns when a range is closed and in which order things become durable: the plan is on disk before its first object is put
//! (I7), the cursor moves after the last one was confirmed (I4). A slow destination lags alone. Crash: the stored plan is
//! carried out again, under the same keys.

pub(crate) mod encode;
mod plan;
pub(crate) mod put;

use std::sync::Arc;
use std::time::Duration;

use futures::stream::{self, StreamExt};
use orgtrail_event::key::classify;
use orgtrail_service::workers::Workers;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::config;
use crate::journal::head::Head;
use crate::journal::ledger::Delivered;
use crate::journal::{self, Advance, DeliveredFile, Journal, Seq};
use plan::{Limits, Output, Plan};
use put::{Cancelled, Destination};

/// Heads that one plan covers at the most; bounds a plan's size and the work that a crash repeats.
const PLAN_HEADS_MAX: usize = 4096;

/// When and how a trail's objects are made.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) limits: Limits,
    /// gzip bytes at which a range is closed.
    pub(crate) plan_bytes: u64,
    /// How long the first object of a range may wait for others.
    pub(crate) merge_wait: Duration,
    /// Objects that are put at once.
    pub(crate) concurrency: usize,
}

impl Settings {
    pub(crate) fn new(config: &config::Deliver) -> Self {
        Self {
            limits: Limits {
                merge_below: config.merge_below.as_u64(),
                object_bytes_max: config.object_bytes_max.as_u64(),
            },
            plan_bytes: config.plan_bytes.as_u64(),
            merge_wait: config.merge_wait,
            concurrency: config.concurrency,
        }
    }
}

/// Delivers one trail.
pub(crate) struct Delivery {
    pub(crate) line: Arc<Line>,
    pub(crate) settings: Settings,
    /// Everything below this seq is to be delivered without waiting.
    pub(crate) flush: watch::Receiver<Seq>,
}

/// What one object needs on its way out of the journal.
pub(crate) struct Line {
    pub(crate) journal: Journal,
    pub(crate) destination: Arc<Destination>,
    /// gzip level of merged objects.
    pub(crate) level: u8,
    /// Where objects are encoded.
    pub(crate) workers: Arc<Workers>,
}

impl Line {
    /// Waits until the journal may be read. False: cancelled.
    async fn usable(&self) -> bool {
        // Cancel-safe: nothing is taken out of anything.
        tokio::select! {
            biased;
            () = self.destination.cancel.cancelled() => false,
            () = self.journal.usable() => true,
        }
    }
}

impl Delivery {
    /// Runs until cancelled. An error is the journal's: the process must stop.
    pub(crate) async fn run(mut self) -> Result<(), journal::Error> {
        while self.line.usable().await {
            let plan = match self.line.journal.plan::<Plan>(&self.line.destination.trail.name)? {
                Some(plan) => plan,
                None => match self.next_plan().await? {
                    Some(plan) => plan,
                    None => return Ok(()),
                },
            };
            match self.carry_out(&plan).await? {
                Ok(put) => self.advance(Advance { to: plan.end, ..put }).await?,
                Err(Cancelled) => return Ok(()),
            }
        }
        Ok(())
    }

    /// Waits until a range is worth closing and writes its plan down. None: cancelled.
    async fn next_plan(&mut self) -> Result<Option<Plan>, journal::Error> {
        let from = self.line.journal.cursor(&self.line.destination.trail.name).seq;
        let Some(heads) = self.gather(from).await? else { return Ok(None) };
        let plan = plan::plan(&self.line.destination.trail, self.settings.limits, from, &heads);
        let journal = self.line.journal.clone();
        let name = self.line.destination.trail.name.clone();
        blocking(move || journal.store_plan(&name, &plan).map(|()| Some(plan))).await
    }

    async fn gather(&mut self, from: Seq) -> Result<Option<Vec<(Seq, Head)>>, journal::Error> {
        let cancel = self.line.destination.cancel.clone();
        let mut head = self.line.journal.watch_head();
        let mut heads: Vec<(Seq, Head)> = Vec::new();
        let mut bytes = 0;
        let mut deadline = None;
        loop {
            let end = *head.borrow_and_update();
            let flush = *self.flush.borrow_and_update();
            let next = heads.last().map_or(from, |(seq, _)| seq + 1);
            if next < end && heads.len() < PLAN_HEADS_MAX {
                let journal = self.line.journal.clone();
                let count = PLAN_HEADS_MAX - heads.len();
                let more = blocking(move || journal.heads(next, count)).await?;
                for (seq, head) in more {
                    bytes += head.gzip_bytes;
                    heads.push((seq, head));
                    if bytes >= self.settings.plan_bytes {
                        break;
                    }
                }
                deadline.get_or_insert_with(|| Instant::now() + self.settings.merge_wait);
            }
            let full = bytes >= self.settings.plan_bytes || heads.len() >= PLAN_HEADS_MAX;
            let flushed = heads.first().is_some_and(|(seq, _)| *seq < flush);
            if full || flushed {
                return Ok(Some(heads));
            }
            // Cancel-safe: nothing is taken out of anything.
            tokio::select! {
                () = cancel.cancelled() => return Ok(None),
                changed = head.changed() => if changed.is_err() { return Ok(None) },
                changed = self.flush.changed() => if changed.is_err() { return Ok(None) },
                () = at(deadline) => return Ok(Some(heads)),
            }
        }
    }

    /// Puts every object of the plan; what they hold.
    async fn carry_out(&self, plan: &Plan) -> Result<Result<Advance, Cancelled>, journal::Error> {
        let puts: Vec<_> = plan.outputs.iter().map(|output| deliver(Arc::clone(&self.line), output.clone())).collect();
        let mut puts = stream::iter(puts).buffer_unordered(self.settings.concurrency);
        let mut advance = Advance::default();
        loop {
            // Cancel-safe: the plan stays written down, and its next run finds what was put.
            let put = tokio::select! {
                biased;
                () = self.line.destination.cancel.cancelled() => return Ok(Err(Cancelled)),
                put = puts.next() => put,
            };
            match put {
                None => return Ok(Ok(advance)),
                Some(Ok((file, row))) => {
                    advance.rows.entry(file.place.clone()).or_default().add(&row);
                    advance.files.push(file);
                }
                Some(Err(Stop::Cancelled)) => return Ok(Err(Cancelled)),
                Some(Err(Stop::Journal(error))) => return Err(error),
            }
        }
    }

    async fn advance(&self, advance: Advance) -> Result<(), journal::Error> {
        let journal = self.line.journal.clone();
        let name = self.line.destination.trail.name.clone();
        blocking(move || journal.advance(&name, advance)).await
    }
}

/// Why an object isn't delivered.
enum Stop {
    Cancelled,
    Journal(journal::Error),
}

/// Takes one planned object from the journal to its destination.
async fn deliver(line: Arc<Line>, output: Output) -> Result<(DeliveredFile, Delivered), Stop> {
    if !line.usable().await {
        return Err(Stop::Cancelled);
    }
    let planned = output.key().to_owned();
    let verbatim = matches!(output, Output::Verbatim { .. });
    let encoding = Arc::clone(&line);
    let encode = move || encode::encode(&encoding.journal, &encoding.destination.trail.name, &output, encoding.level);
    let encoded = line.workers.run(encode).await;
    let encoded = encoded.map_err(|panic| Stop::Journal(journal::Error::Stopped(panic.to_string())))?;
    let encoded = encoded.map_err(Stop::Journal)?;
    let bytes = encoded.gzip.len() as u64;
    let (key, found) = line.destination.put(&planned, encoded.gzip).await.map_err(|Cancelled| Stop::Cancelled)?;
    let Some(log_key) = classify(&key).into_log() else {
        return Err(Stop::Journal(journal::Error::Corrupt(format!(
            "plan names {planned}, which is no log file's key"
        ))));
    };
    let stamp = log_key.stamp.unix_seconds();
    let file = DeliveredFile {
        place: (log_key.folder.account, log_key.folder.region),
        stamp,
        key,
        sha256: encoded.sha256,
        event_times: encoded.event_times,
        sources: encoded.sources,
        found,
    };
    let row = Delivered {
        objects: 1,
        verbatim_objects: u64::from(verbatim),
        bytes,
        newest_stamp: stamp,
        ..Delivered::default()
    };
    Ok((file, row))
}

async fn at(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

/// Storage stays off the async threads.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, journal::Error> + Send + 'static,
) -> Result<T, journal::Error> {
    tokio::task::spawn_blocking(work).await.map_err(|panic| journal::Error::Stopped(panic.to_string()))?
}
