//! Objects that cannot be processed: put aside with a reason, taken once more when an operator asks.
//!
//! Owns what an entry about an object says and how a retry becomes a claim. Does not own the entries' storage (the
//! service crate) nor the object, which stays at its source.
//!
//! The claim is durable before the entry, and the entry before the checkpoint says *quarantined* (I10): a crash between the
//! two leaves the object claimed, and it is fetched once more. Put aside again, the entry's id absorbs it; sound by then, the
//! entry goes. A retry is durable in the checkpoint before it
//! is handed out, and its request stays until the object is settled, so a crash in the middle repeats it.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use orgtrail_service::clock::Clock;
use orgtrail_service::health::Health;
use orgtrail_service::quarantine::{Entry, Id, Quarantine};
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use crate::checkpoint::{Checkpoint, Detached, Retake};
use crate::discover::Folders;
use crate::drain::RetryRounds;
use crate::intake;
use crate::object::{Named, ObjectRef, SourceFolder};

/// How often retries are looked for: an operator waits for it.
const RETRY_INTERVAL: Duration = Duration::from_secs(2);
/// Retries handed out in one go.
const RETRIES_MAX: usize = 64;
/// The part of health that a full quarantine degrades.
const PART: &str = "quarantine";

/// Puts objects aside. Blocks on the disk: call it off the async threads.
#[derive(Debug, Clone)]
pub(crate) struct Aside {
    checkpoint: Arc<Checkpoint>,
    quarantine: Arc<Quarantine>,
    clock: Arc<dyn Clock>,
    health: Health,
}

impl Aside {
    pub(crate) fn new(
        checkpoint: Arc<Checkpoint>,
        quarantine: Arc<Quarantine>,
        clock: Arc<dyn Clock>,
        health: Health,
    ) -> Self {
        Self { checkpoint, quarantine, clock, health }
    }

    /// Puts the object aside, durably. False where the quarantine refuses: the object then keeps its claim's fate, and
    /// is offered again later.
    pub(crate) fn put(&self, object: &ObjectRef, reason: &str, detail: &str) -> bool {
        let entry = self
            .entry(&object.folder, &object.key, object.size, reason, detail)
            .with_field("etag", object.etag.clone())
            .with_field("last_modified", object.last_modified.to_string());
        self.put_entry(&object.folder, entry, &object.key, reason, detail)
    }

    /// The same for an object that is on its way no more: it was taken before somebody said what is wrong with it.
    pub(crate) fn put_named(&self, folder: &SourceFolder, key: &str, size: u64, reason: &str, detail: &str) -> bool {
        self.put_entry(folder, self.entry(folder, key, size, reason, detail), key, reason, detail)
    }

    fn entry(&self, folder: &SourceFolder, key: &str, size: u64, reason: &str, detail: &str) -> Entry {
        let subject = folder.source.store.location().object(key);
        Entry::new(id(folder, key), reason, subject, detail, self.clock.now())
            .with_field("source", folder.source.location.clone())
            .with_field("key", key.to_owned())
            .with_field("account", folder.folder.account.clone())
            .with_field("region", folder.folder.region.clone())
            .with_field("bytes", size.to_string())
    }

    fn put_entry(&self, folder: &SourceFolder, entry: Entry, key: &str, reason: &str, detail: &str) -> bool {
        // An object that the checkpoint forgets is a new one, and nothing would take its entry away when it goes through.
        let claimed = self.checkpoint.flush().map_err(|error| error.to_string());
        match claimed.and_then(|()| self.quarantine.put(entry).map_err(|error| error.to_string())) {
            Ok(_) => {
                self.health.set_ok(PART);
                let account = &folder.folder.account;
                tracing::warn!(object.key = key, account.id = account, reason, detail, "object quarantined");
                true
            }
            Err(error) => {
                self.health.set_degraded(PART, error.clone());
                folder.failed(&self.health, &error);
                false
            }
        }
    }

    /// The object went through after all. False where its entry can't be taken away: it is offered again then.
    pub(crate) fn resolve(&self, object: &ObjectRef) -> bool {
        match self.quarantine.resolve(&id(&object.folder, &object.key)) {
            Ok(was_there) => {
                if was_there {
                    tracing::info!(object.key = object.key, "quarantined object went through");
                }
                true
            }
            Err(error) => {
                self.health.set_degraded(PART, error.to_string());
                object.folder.failed(&self.health, &error.to_string());
                false
            }
        }
    }
}

fn id(folder: &SourceFolder, key: &str) -> Id {
    Id::of(&[folder.source.location.as_bytes(), key.as_bytes()])
}

/// Hands out what an operator wants taken once more, and whatever else no listing will name.
#[derive(Debug)]
pub(crate) struct Retries {
    shared: Arc<Shared>,
    out: intake::Sender,
    look: Arc<Notify>,
    rounds: watch::Sender<u64>,
}

#[derive(Debug)]
struct Shared {
    quarantine: Arc<Quarantine>,
    checkpoint: Arc<Checkpoint>,
    folders: Folders,
    health: Health,
}

impl Retries {
    pub(crate) fn new(
        quarantine: Arc<Quarantine>,
        checkpoint: Arc<Checkpoint>,
        folders: Folders,
        health: Health,
        out: intake::Sender,
    ) -> (Self, RetryRounds) {
        let (look, (rounds, seen)) = (Arc::<Notify>::default(), watch::channel(0));
        let face = RetryRounds { look: Arc::clone(&look), rounds: seen };
        let shared = Arc::new(Shared { quarantine, checkpoint, folders, health });
        (Self { shared, out, look, rounds }, face)
    }

    /// Runs until cancelled.
    pub(crate) async fn run(self, cancel: CancellationToken) -> anyhow::Result<()> {
        loop {
            let shared = Arc::clone(&self.shared);
            let objects = tokio::task::spawn_blocking(move || shared.collect()).await.context("look for retries")??;
            for object in objects {
                // Cancel-safe: an object that is not sent is dropped, and with it its claim.
                tokio::select! {
                    () = cancel.cancelled() => return Ok(()),
                    sent = self.out.pass(object) => if sent.is_err() { return Ok(()) },
                }
            }
            self.rounds.send_modify(|rounds| *rounds += 1);
            // Cancel-safe: all arms only wait, and a look that is asked for meanwhile is kept.
            tokio::select! {
                () = cancel.cancelled() => return Ok(()),
                () = self.look.notified() => {}
                () = tokio::time::sleep(RETRY_INTERVAL) => {}
            }
        }
    }
}

impl Shared {
    fn collect(&self) -> anyhow::Result<Vec<ObjectRef>> {
        match self.quarantine.take_retries(RETRIES_MAX) {
            Ok(entries) => {
                for entry in entries {
                    self.retake(&entry)?;
                }
            }
            Err(error) => self.health.set_degraded(PART, error.to_string()),
        }
        let detached = self.checkpoint.detached(RETRIES_MAX)?;
        Ok(detached.into_iter().filter_map(|detached| self.object(detached)).collect())
    }

    /// Makes the entry's object a claimed one.
    fn retake(&self, entry: &Entry) -> anyhow::Result<()> {
        let field = |name: &str| entry.fields.get(name).map(String::as_str).unwrap_or_default();
        let (location, key) = (field("source"), field("key"));
        let Some(Named { folder, date, .. }) = Named::read(key) else {
            tracing::warn!(entry.id = %entry.id, object.key = key, "quarantine entry names nothing of CloudTrail's; drop it");
            return Ok(());
        };
        let id = self.checkpoint.folder(location, &folder.path(), &folder.account, &folder.region, None)?;
        let size = field("bytes").parse().unwrap_or(0);
        if self.checkpoint.retake(id, date, key, size, &entry.reason)? == Retake::AlreadyDone {
            self.quarantine.resolve(&entry.id).context("resolve a quarantine entry")?;
        }
        Ok(())
    }

    /// None where the folder isn't watched (yet), or is in trouble: the claim is dropped and comes again.
    fn object(&self, detached: Detached) -> Option<ObjectRef> {
        let folder = self.folders.get(detached.folder).filter(|folder| !folder.is_failing())?;
        ObjectRef::detached(folder, detached)
    }
}
