//! One queue's consumer: receives, hands objects on, hides messages while work goes on, deletes them when it is done.
//!
//! Owns the order *claim, hand on, wait until it is accounted for, delete*, and what failures of the queue do: it is asked
//! again later and health names it; the listings go on. Two loops share the table of messages: one reads, one looks after
//! what is in work. A message that can't be handed on at once, because its account has too much waiting, delays no other.
//!
//! On cancellation everything that is not done is given back to the queue at once, for the next start or another agent.

mod upkeep;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use futures::stream::{FuturesUnordered, StreamExt};
use orgtrail_cloud::queue::{BATCH_MAX, Message, Queue, Receive, WAIT_MAX};
use orgtrail_cloud::{Error, ErrorKind};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use super::envelope::{self, Content, Dialect, Envelope};
use super::park::{FOREIGN, Parking, UNREADABLE};
use super::route::{Route, Taken, route};
use super::work::{Awaited, Outcome, Work};
use super::{Config, Foreign, Metrics, Opened};
use crate::checkpoint::{Listed, Named, Verdict};
use crate::discover::Context;
use crate::object::ObjectRef;
use crate::status;

/// Pause before the queue is asked again after a failure: doubles from the first to the last.
const FAILED_PAUSE_MIN: Duration = Duration::from_secs(1);
const FAILED_PAUSE_MAX: Duration = Duration::from_secs(60);
/// Pause while there is no room for another message.
const FULL_PAUSE: Duration = Duration::from_millis(200);
/// Messages whose objects are looked up at once.
const LOOKUPS_MAX: usize = 16;

/// Reads one queue.
#[derive(Debug)]
pub(crate) struct Consumer {
    queue: Arc<dyn Queue>,
    config: Config,
    context: Arc<Context>,
    parking: Parking,
    metrics: Metrics,
    table: Arc<Mutex<Table>>,
    lookups: Semaphore,
}

/// What the two loops and status share.
#[derive(Debug)]
struct Table {
    work: Work,
    /// Messages since the process started, by outcome.
    counts: BTreeMap<&'static str, u64>,
    /// Messages that wait in the queue, as it last said.
    waiting: Option<u64>,
    /// Operations that fail, and why.
    trouble: BTreeMap<&'static str, String>,
}

/// What status asks of a consumer.
#[derive(Debug, Clone)]
pub(crate) struct Face {
    queue: String,
    sources: Vec<String>,
    table: Arc<Mutex<Table>>,
}

impl Face {
    pub(crate) fn status(&self) -> status::Notifications {
        let table = lock(&self.table);
        status::Notifications {
            queue: self.queue.clone(),
            sources: self.sources.clone(),
            messages: table.counts.iter().map(|(outcome, count)| ((*outcome).to_owned(), *count)).collect(),
            in_work: table.work.len() as u64,
            oldest_sent: table.work.oldest().map(jiff::Timestamp::as_second),
            waiting: table.waiting,
            trouble: table.trouble.values().next().cloned(),
        }
    }
}

impl Consumer {
    /// Its messages are looked up in all of the agent's sources, since a queue may tell of more than those that name it.
    pub(super) fn new(
        Opened { queue, config, sources: names }: Opened,
        context: Arc<Context>,
        parking: Parking,
        metrics: Metrics,
    ) -> (Self, Face) {
        let work = Work::new(config.messages_max, config.visibility_timeout);
        let table = Table { work, counts: BTreeMap::new(), waiting: None, trouble: BTreeMap::new() };
        let table = Arc::new(Mutex::new(table));
        let face = Face { queue: queue.id().to_owned(), sources: names, table: Arc::clone(&table) };
        let lookups = Semaphore::new(LOOKUPS_MAX);
        (Self { queue, config, context, parking, metrics, table, lookups }, face)
    }

    /// Runs until cancelled.
    pub(crate) async fn run(self, cancel: CancellationToken) -> anyhow::Result<()> {
        // A message about an account that is not known yet would pass for a foreign one.
        tokio::select! {
            // Cancel-safe: both arms only wait.
            () = self.context.folders.all_known() => {}
            () = cancel.cancelled() => return Ok(()),
        }
        let ended = tokio::select! {
            // Cancel-safe: what was received and not handed on is in the table, and is given back below.
            ended = self.read() => ended,
            ended = self.keep() => ended,
            () = cancel.cancelled() => Ok(()),
        };
        self.leave().await;
        ended
    }

    /// Receives for ever. An error is the checkpoint's: the process must stop.
    async fn read(&self) -> anyhow::Result<()> {
        let mut handling = FuturesUnordered::new();
        let mut failures = 0_u32;
        let mut receiving = Box::pin(self.receive(failures));
        loop {
            // Cancel-safe: the receive and the work on messages stay where they are.
            tokio::select! {
                Some(handled) = handling.next(), if !handling.is_empty() => { handled? }
                received = &mut receiving => {
                    match received {
                        Ok(messages) => {
                            failures = 0;
                            for message in messages {
                                if lock(&self.table).work.begin(&message, tokio::time::Instant::now()) {
                                    handling.push(self.handle(message));
                                }
                            }
                        }
                        Err(()) => failures = failures.saturating_add(1),
                    }
                    receiving.set(self.receive(failures));
                }
            }
        }
    }

    /// One receive, as soon as there is room for a message and the pause after failures is over.
    async fn receive(&self, failures: u32) -> Result<Vec<Message>, ()> {
        if failures > 0 {
            tokio::time::sleep((FAILED_PAUSE_MIN * 2_u32.pow((failures - 1).min(6))).min(FAILED_PAUSE_MAX)).await;
        }
        let messages_max = loop {
            match lock(&self.table).work.room().min(BATCH_MAX) {
                0 => {}
                room => break room,
            }
            tokio::time::sleep(FULL_PAUSE).await;
        };
        let request = Receive { messages_max, wait: WAIT_MAX, visibility: self.config.visibility_timeout };
        let received = self.queue.receive(&request).await;
        self.note("queue_receive", received.as_ref().err());
        received.map_err(drop)
    }

    /// One message, until its objects are handed on.
    async fn handle(&self, message: Message) -> anyhow::Result<()> {
        let id = message.id.clone();
        let done = |dialect, outcome| lock(&self.table).work.done(&id, dialect, outcome);
        match envelope::read(&message.body) {
            Err(why) => self.park(message, Dialect::Unknown, Outcome::Parked, UNREADABLE, why).await?,
            Ok(Envelope { dialect, content: Content::Control(what) }) => {
                tracing::info!(queue = self.queue.id(), what, "message passed over");
                done(dialect, Outcome::Control);
            }
            Ok(Envelope { dialect, content: Content::Foreign { what, bucket } }) => {
                self.foreign(message, dialect, what, bucket).await?;
            }
            Ok(Envelope { dialect, content: Content::Objects(objects) }) => {
                self.take(message, dialect, objects).await?;
            }
        }
        Ok(())
    }

    /// Hands on what a message names.
    async fn take(&self, message: Message, dialect: Dialect, objects: Vec<envelope::Named>) -> anyhow::Result<()> {
        let seen = message.sent.unwrap_or_else(|| self.context.clock.now());
        let (mut taken, mut stranger) = (Vec::new(), None);
        for object in objects {
            match route(&self.context.folders, &object, seen) {
                Route::Take(found) => taken.push(*found),
                Route::Foreign => {
                    self.metrics.object("foreign");
                    stranger = Some(object.bucket);
                }
                Route::Pass(why) => {
                    self.metrics.object("passed_over");
                    tracing::debug!(object.key = object.key, why, "object passed over");
                }
            }
        }
        if taken.is_empty() {
            return match stranger {
                Some(bucket) => self.foreign(message, dialect, format!("bucket {bucket}"), Some(bucket)).await,
                None => {
                    lock(&self.table).work.done(&message.id, dialect, Outcome::PassedOver);
                    Ok(())
                }
            };
        }
        if let Some(bucket) = stranger {
            // The message is ours for its other objects.
            let (parking, queue) = (self.parking.clone(), self.queue.id().to_owned());
            let told = move || parking.foreign(&queue, &bucket, Some(&bucket));
            tokio::task::spawn_blocking(told).await.context("tell of a foreign bucket")?;
        }
        let taken = self.sized(taken).await;
        let (awaited, handed) = self.claim(taken).await?;
        lock(&self.table).work.awaits(&message.id, dialect, awaited);
        for object in handed {
            // Nobody takes objects any more only when the process is ending; the message is given back then.
            if self.context.out.pass(object).await.is_err() {
                std::future::pending::<()>().await;
            }
        }
        Ok(())
    }

    /// Asks for the sizes that the message did not say: the fetch's memory is bounded by them.
    async fn sized(&self, mut taken: Vec<Taken>) -> Vec<Taken> {
        let unsized_ones = taken.iter_mut().filter(|one| one.listed.size == 0 && is_taken(&one.listed));
        for Taken { source, listed, .. } in unsized_ones {
            // Nobody closes the semaphore.
            let turn = self.lookups.acquire().await;
            let head = source.store.head(&listed.key).await;
            drop(turn);
            self.context.metrics.request("head", head.as_ref().map_or_else(|error| error.kind().as_str(), |_| "ok"));
            // Otherwise the fetch meets the same error, and knows what to do about it.
            if let Ok(meta) = head {
                (listed.size, listed.etag, listed.last_modified) = (meta.size, meta.etag, meta.last_modified);
            }
        }
        taken
    }

    /// Claims objects by their names. Returns what is to be waited for, and what is to be fetched.
    async fn claim(&self, taken: Vec<Taken>) -> anyhow::Result<(Vec<Arc<Awaited>>, Vec<ObjectRef>)> {
        let (context, metrics) = (Arc::clone(&self.context), self.metrics.clone());
        let claimed = tokio::task::spawn_blocking(move || {
            let (mut awaited, mut handed) = (Vec::new(), Vec::new());
            for Taken { source, folder, listed } in taken {
                let folder = context.announce(&source, folder)?;
                let (key, day, size) = (listed.key.clone(), listed.day, listed.size);
                match context.checkpoint.claim_named(folder.id, listed, None)? {
                    Named::Taken(listed, claim) => {
                        metrics.object("taken");
                        handed.extend(ObjectRef::listed(&folder, listed, claim));
                    }
                    Named::InFlight => metrics.object("known"),
                    Named::Settled(standing) => {
                        tracing::debug!(object.key = key, standing = ?standing, "object known already");
                        metrics.object("known");
                    }
                }
                awaited.push(Arc::new(Awaited { folder, day, key, size }));
            }
            anyhow::Ok((awaited, handed))
        });
        claimed.await.context("claim what a message names")?
    }

    async fn foreign(
        &self,
        message: Message,
        dialect: Dialect,
        what: String,
        bucket: Option<String>,
    ) -> anyhow::Result<()> {
        if self.config.foreign == Foreign::Park {
            return self.park(message, dialect, Outcome::Foreign, FOREIGN, what).await;
        }
        let (parking, queue, id) = (self.parking.clone(), self.queue.id().to_owned(), message.id);
        let told = tokio::task::spawn_blocking(move || parking.foreign(&queue, &what, bucket.as_deref()));
        let told = told.await.context("tell of foreign messages")?;
        self.deletable(&id, dialect, Outcome::Foreign, told);
        Ok(())
    }

    async fn park(
        &self,
        message: Message,
        dialect: Dialect,
        outcome: Outcome,
        reason: &'static str,
        why: String,
    ) -> anyhow::Result<()> {
        let (parking, queue, id) = (self.parking.clone(), self.queue.id().to_owned(), message.id.clone());
        let put = tokio::task::spawn_blocking(move || parking.message(&queue, &message, reason, &why));
        let put = put.await.context("put a message aside")?;
        self.deletable(&id, dialect, outcome, put);
        Ok(())
    }

    /// A message that the quarantine refused is not deleted: it comes again when its time is over.
    fn deletable(&self, id: &str, dialect: Dialect, outcome: Outcome, is_kept: bool) {
        if is_kept {
            lock(&self.table).work.done(id, dialect, outcome);
        } else {
            self.forget(id);
        }
    }

    /// Counts a message out.
    fn forget(&self, id: &str) {
        let mut table = lock(&self.table);
        let Some((dialect, outcome)) = table.work.forget(id) else { return };
        *table.counts.entry(outcome.as_str()).or_default() += 1;
        self.metrics.message(dialect.as_str(), outcome.as_str());
    }

    /// Counts a request to the queue, and says how the queue is.
    fn note(&self, operation: &'static str, error: Option<&Error>) {
        let outcome = error.map_or("ok", |error| error.kind().as_str());
        self.context.metrics.request(operation, outcome);
        // Apart by operation: a role that may receive and not delete must not look well every other second.
        let part = format!("queue {} {}", self.queue.id(), operation.trim_start_matches("queue_"));
        let trouble = &mut lock(&self.table).trouble;
        match error {
            None => {
                self.context.health.set_ok(&part);
                trouble.remove(operation);
            }
            Some(error) => {
                self.context.health.set_degraded(&part, advised(error));
                trouble.insert(operation, error.to_string());
            }
        }
    }
}

fn advised(error: &Error) -> String {
    let needs = "; the role needs sqs:ReceiveMessage, ChangeMessageVisibility, DeleteMessage and GetQueueAttributes";
    let advice = if *error.kind() == ErrorKind::Denied { needs } else { "" };
    format!("{error}{advice}; the listings go on")
}

fn is_taken(listed: &Listed) -> bool {
    matches!(listed.verdict, Verdict::Take { .. })
}

fn lock(table: &Mutex<Table>) -> MutexGuard<'_, Table> {
    table.lock().unwrap_or_else(PoisonError::into_inner)
}
