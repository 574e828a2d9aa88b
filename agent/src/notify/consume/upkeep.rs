//! Looks after the messages in work: what is settled, what is to be hidden for longer, what can be deleted.
//!
//! Owns the rhythm. Extends and deletes up to ten messages a request, as SQS bills by requests.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use orgtrail_cloud::queue::{BATCH_MAX, Failure};
use orgtrail_cloud::{Error, ErrorKind};
use tokio::time::Instant;

use super::super::DeleteWhen;
use super::super::metrics::QueueLabels;
use super::super::work::{Awaited, Due};
use super::{Consumer, lock};
use crate::checkpoint::{Checkpoint, Listed, Named, Standing, Verdict};
use crate::object::{Named as KeyName, ObjectRef};

/// A request may take minutes until it has failed; this long without a look, and `/healthz` asks for a restart.
const STUCK_AFTER: Duration = Duration::from_secs(600);
/// How often the table is looked at.
const TICK: Duration = Duration::from_millis(500);
/// How often the queue is asked for its depth.
const DEPTH_INTERVAL: Duration = Duration::from_secs(60);
/// How long done messages wait for others to be deleted with, so that a request deletes ten.
const GATHER: Duration = Duration::from_secs(2);
/// Pause after a failed extension or deletion.
const FAILED_PAUSE: Duration = Duration::from_secs(5);
/// How long giving messages back may take.
const LEAVE_MAX: Duration = Duration::from_secs(3);

impl Consumer {
    /// Looks after the table for ever. An error is the checkpoint's: the process must stop.
    pub(super) async fn keep(&self) -> anyhow::Result<()> {
        let beat = self.context.health.watch("notifications", STUCK_AFTER);
        let mut progress = self.context.checkpoint.progress();
        let mut tick = tokio::time::interval(TICK);
        let (mut depth_at, mut first_done, mut pause_until) = (Instant::now(), None, Instant::now());
        loop {
            tick.tick().await;
            beat.tick();
            let now = Instant::now();
            self.show();
            let changed = progress.has_changed().unwrap_or(true);
            if lock(&self.table).work.is_fresh() || changed {
                // Before the look: what changes during it is looked at next time.
                progress.mark_unchanged();
                self.settle().await?;
            }
            self.take_again(now).await?;
            if now < pause_until {
                continue;
            }
            let to_delete = lock(&self.table).work.to_delete();
            let since = *first_done.get_or_insert(now);
            let gathered = to_delete.len() >= BATCH_MAX || now >= since + GATHER;
            let deleted = if to_delete.is_empty() || !gathered { Ok(()) } else { self.delete(&to_delete).await };
            if to_delete.is_empty() || gathered {
                first_done = None;
            }
            let kept = self.extend().await;
            if deleted.and(kept).is_err() {
                pause_until = now + FAILED_PAUSE;
            }
            if now >= depth_at {
                depth_at = now + DEPTH_INTERVAL;
                self.ask_depth().await;
            }
        }
    }

    fn show(&self) {
        let labels = QueueLabels { queue: self.queue.id().to_owned() };
        let table = lock(&self.table);
        let now = self.context.clock.now().as_second();
        let age = table.work.oldest().map_or(0, |sent| now - sent.as_second());
        self.metrics.oldest.get_or_create(&labels).set(age.max(0));
        self.metrics.in_work.get_or_create(&labels).set(i64::try_from(table.work.len()).unwrap_or(i64::MAX));
    }

    /// Strikes out what is accounted for.
    async fn settle(&self) -> anyhow::Result<()> {
        let open = lock(&self.table).work.open();
        if open.is_empty() {
            return Ok(());
        }
        let (checkpoint, when) = (Arc::clone(&self.context.checkpoint), self.config.delete_when);
        let settled = tokio::task::spawn_blocking(move || {
            let mut settled = Vec::new();
            for (id, object) in open {
                if is_settled(&checkpoint, &object, when)? {
                    settled.push((id, object));
                }
            }
            anyhow::Ok(settled)
        });
        let settled = settled.await.context("look for settled objects")??;
        lock(&self.table).work.settle(&settled);
        Ok(())
    }

    /// Claims again what nobody works on: an object that was let go on its way waits for a listing, and here a message does.
    async fn take_again(&self, now: Instant) -> anyhow::Result<()> {
        let again = lock(&self.table).work.again(now);
        if again.is_empty() {
            return Ok(());
        }
        let (context, seen) = (Arc::clone(&self.context), self.context.clock.now());
        let objects = tokio::task::spawn_blocking(move || {
            let mut objects = Vec::new();
            // A folder in trouble is listed again soon, and that decides.
            for awaited in again.iter().filter(|awaited| !awaited.folder.is_failing()) {
                let id = awaited.folder.id;
                if context.checkpoint.standing(id, awaited.day, &awaited.key)? != Some(Standing::Claimed) {
                    continue;
                }
                let Some(listed) = listed(awaited, seen) else { continue };
                if let Named::Taken(listed, claim) = context.checkpoint.claim_named(id, listed, None)? {
                    objects.extend(ObjectRef::listed(&awaited.folder, listed, claim));
                }
            }
            anyhow::Ok(objects)
        });
        for object in objects.await.context("claim objects again")?? {
            if self.context.out.pass(object).await.is_err() {
                break;
            }
        }
        Ok(())
    }

    async fn extend(&self) -> Result<(), Error> {
        let now = Instant::now();
        let too_long = lock(&self.table).work.too_long(now);
        for due in too_long {
            tracing::warn!(queue = self.queue.id(), message.id = due.id, "message in work for hours; it is given back");
            self.forget(&due.id);
        }
        let due = lock(&self.table).work.to_extend(now);
        for some in due.chunks(BATCH_MAX) {
            let failures = self.queue.extend(&receipts(some), self.config.visibility_timeout).await;
            self.note("queue_extend", failures.as_ref().err());
            let failures = failures?;
            for due in some {
                match failure(&failures, due) {
                    None => lock(&self.table).work.extended(&due.id, now),
                    // It was too late, and the message comes again.
                    Some(ErrorKind::NotFound) => self.forget(&due.id),
                    Some(_) => {}
                }
            }
        }
        Ok(())
    }

    async fn delete(&self, due: &[Due]) -> Result<(), Error> {
        for some in due.chunks(BATCH_MAX) {
            let failures = self.queue.delete(&receipts(some)).await;
            self.note("queue_delete", failures.as_ref().err());
            let failures = failures?;
            for due in some {
                match failure(&failures, due) {
                    // One that is not ours any more comes again, finds its objects settled, and is deleted then.
                    None | Some(ErrorKind::NotFound) => self.forget(&due.id),
                    Some(_) => {}
                }
            }
        }
        Ok(())
    }

    async fn ask_depth(&self) {
        let depth = self.queue.depth().await;
        self.note("queue_depth", depth.as_ref().err());
        let Ok(depth) = depth else { return };
        let labels = QueueLabels { queue: self.queue.id().to_owned() };
        self.metrics.waiting.get_or_create(&labels).set(i64::try_from(depth.waiting).unwrap_or(i64::MAX));
        lock(&self.table).waiting = Some(depth.waiting);
    }

    /// Deletes what is done and gives the rest back, as far as time allows: the rest comes back by itself.
    pub(super) async fn leave(&self) {
        let leaving = async {
            let _errors_are_noted = self.settle().await;
            let done = lock(&self.table).work.to_delete();
            let _errors_are_noted = self.delete(&done).await;
            let rest = lock(&self.table).work.all();
            for some in rest.chunks(BATCH_MAX) {
                let given_back = self.queue.extend(&receipts(some), Duration::ZERO).await;
                self.note("queue_extend", given_back.as_ref().err());
                some.iter().for_each(|due| self.forget(&due.id));
            }
        };
        if tokio::time::timeout(LEAVE_MAX, leaving).await.is_err() {
            tracing::info!(queue = self.queue.id(), "not every message was given back; they come again by themselves");
        }
    }
}

/// Whether nothing more has to happen to an object before its message may go.
fn is_settled(checkpoint: &Checkpoint, object: &Awaited, when: DeleteWhen) -> anyhow::Result<bool> {
    let standing = checkpoint.standing(object.folder.id, object.day, &object.key)?;
    Ok(match standing {
        Some(Standing::Claimed) => false,
        Some(Standing::Acked { .. } | Standing::Quarantined { seq: Some(_), .. }) => when == DeleteWhen::Acknowledged,
        // None: its day is closed, and closed days hold nothing that is open.
        Some(Standing::Delivered | Standing::Quarantined { seq: None, .. } | Standing::Skipped { .. }) | None => true,
    })
}

/// The object once more. Its entity tag is left open: any version of it will do.
fn listed(awaited: &Awaited, seen: jiff::Timestamp) -> Option<Listed> {
    let stamp = KeyName::read(&awaited.key)?.stamp;
    Some(Listed {
        key: awaited.key.clone(),
        day: awaited.day,
        size: awaited.size,
        etag: String::new(),
        last_modified: seen,
        verdict: Verdict::Take { stamp },
    })
}

fn receipts(due: &[Due]) -> Vec<String> {
    due.iter().map(|due| due.receipt.clone()).collect()
}

fn failure<'a>(failures: &'a [Failure], due: &Due) -> Option<&'a ErrorKind> {
    failures.iter().find(|failure| failure.receipt == due.receipt).map(|failure| failure.error.kind())
}
