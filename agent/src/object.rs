//! What the stages hand on: where objects come from, one object on its way, one that was fetched.
//!
//! Owns the state that the stages share about a folder: whether it is in trouble. A claim travels inside the object, so
//! an object that is dropped anywhere on its way, also by a panic, is handed out again by the next listing.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU32, Ordering};

use bytes::Bytes;
use jiff::Timestamp;
use orgtrail_cloud::{Location, ObjectStore};
use orgtrail_event::key::{Folder, ObjectKey, classify};
use orgtrail_proto::VerifiedDigest;
use orgtrail_service::budget::Permit;
use orgtrail_service::health::Health;

use crate::checkpoint::{Claim, Detached, FolderId};

/// A place that CloudTrail delivers to.
#[derive(Debug)]
pub(crate) struct Source {
    pub(crate) name: String,
    /// The location as text: the source's identity in checkpoint, quarantine and on the wire.
    pub(crate) location: String,
    pub(crate) store: Arc<dyn ObjectStore>,
    /// Empty for all.
    pub(crate) accounts: Vec<String>,
    /// Empty for all.
    pub(crate) regions: Vec<String>,
}

impl Source {
    pub(crate) fn new(config: &crate::config::Source, location: &Location, store: Arc<dyn ObjectStore>) -> Self {
        Self {
            name: config.name(),
            location: location.to_string(),
            store,
            accounts: config.accounts.clone(),
            regions: config.regions.clone(),
        }
    }

    /// The name of the source in health.
    pub(crate) fn part(&self) -> String {
        format!("source {}", self.name)
    }
}

/// One account × kind × region of a source, listed by itself.
#[derive(Debug)]
pub(crate) struct SourceFolder {
    pub(crate) source: Arc<Source>,
    pub(crate) folder: Folder,
    /// Key prefix of the folder, with a slash at its end.
    pub(crate) path: String,
    pub(crate) id: FolderId,
    trouble: Trouble,
    /// Unix seconds; 0 for never.
    last_listed: AtomicI64,
}

/// A round begins with a listing and lasts until the next.
#[derive(Debug, Default)]
struct Trouble {
    /// Failures since the round began.
    failures: AtomicU32,
    /// Failed rounds in a row.
    rounds: AtomicU32,
}

impl SourceFolder {
    pub(crate) fn new(source: Arc<Source>, folder: Folder, id: FolderId) -> Self {
        let path = folder.path();
        Self { source, folder, path, id, trouble: Trouble::default(), last_listed: AtomicI64::new(0) }
    }

    /// The name of the folder in health: the kinds of one account and region fail separately.
    fn part(&self) -> String {
        let Folder { account, region, kind, .. } = &self.folder;
        format!("source {} {account}/{region} {kind}", self.source.name)
    }

    /// A listing that began at `began` has reached the end.
    pub(crate) fn was_listed(&self, began: Timestamp) {
        self.last_listed.store(began.as_second(), Ordering::Relaxed);
    }

    /// When the last whole listing began, Unix seconds; none since the process started if absent.
    pub(crate) fn last_listed(&self) -> Option<i64> {
        Some(self.last_listed.load(Ordering::Relaxed)).filter(|at| *at != 0)
    }

    /// A listing begins.
    pub(crate) fn begin_round(&self) {
        if self.trouble.failures.swap(0, Ordering::Relaxed) > 0 {
            self.trouble.rounds.fetch_add(1, Ordering::Relaxed);
        } else {
            self.trouble.rounds.store(0, Ordering::Relaxed);
        }
    }

    /// Whether something failed in this round: no use in trying more of the folder before the next.
    pub(crate) fn is_failing(&self) -> bool {
        self.trouble.failures.load(Ordering::Relaxed) > 0
    }

    /// How many rounds in a row have failed, this one included.
    pub(crate) fn failed_rounds(&self) -> u32 {
        self.trouble.rounds.load(Ordering::Relaxed) + u32::from(self.is_failing())
    }

    /// Something of the folder could not be read.
    pub(crate) fn failed(&self, health: &Health, reason: &str) {
        self.trouble.failures.fetch_add(1, Ordering::Relaxed);
        health.set_degraded(&self.part(), reason);
    }

    /// Something of the folder was read. Trouble is over when a round passes without a failure, so that one bad object
    /// among good ones does not make health flicker.
    pub(crate) fn succeeded(&self, health: &Health) {
        if !self.is_failing() {
            health.set_ok(&self.part());
        }
    }
}

/// An object to take: claimed, not fetched.
#[derive(Debug)]
pub(crate) struct ObjectRef {
    pub(crate) folder: Arc<SourceFolder>,
    /// Key below the source's location.
    pub(crate) key: String,
    pub(crate) size: u64,
    pub(crate) etag: String,
    pub(crate) last_modified: Timestamp,
    /// Unix seconds of the stamp in the key.
    pub(crate) stamp: i64,
    pub(crate) claim: Claim,
}

impl ObjectRef {
    /// An object that the checkpoint hands out by its key.
    pub(crate) fn detached(folder: Arc<SourceFolder>, detached: Detached) -> Option<Self> {
        let Detached { key, size, claim, .. } = detached;
        let ObjectKey::Log(log) = classify(&key) else { return None };
        let stamp = log.stamp.unix_seconds();
        // The fetch brings the real one.
        let last_modified = Timestamp::from_second(stamp).unwrap_or_default();
        Some(Self { folder, key, size, etag: String::new(), last_modified, stamp, claim })
    }

    /// The object's name for people.
    pub(crate) fn subject(&self) -> String {
        self.folder.source.store.location().object(&self.key)
    }
}

/// A fetched object whose gzip is sound.
#[derive(Debug)]
pub(crate) struct Fetched {
    pub(crate) object: ObjectRef,
    /// Of the inflated bytes, as digests name it.
    pub(crate) sha256: [u8; 32],
    pub(crate) inflated_bytes: u64,
    pub(crate) gzip: Bytes,
    /// Set for digests.
    pub(crate) digest: Option<VerifiedDigest>,
    /// The right to hold the bytes; goes when the object is answered for.
    pub(crate) _permit: Permit,
}

impl Fetched {
    /// What the object takes in a message: its bytes and a generous bound on its reference.
    pub(crate) fn wire_bytes(&self) -> usize {
        let ObjectRef { key, etag, folder, .. } = &self.object;
        let digest = self.digest.as_ref().map_or(0, |digest| digest.signature.len() + 64);
        self.gzip.len() + key.len() + etag.len() + folder.source.location.len() + digest + 128
    }
}
