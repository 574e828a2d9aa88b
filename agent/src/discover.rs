//! Finds objects: walks the sources for folders, lists every folder on a schedule of its own, claims what is new.
//!
//! Owns which folders there are, when each is listed, and what a key means for the agent (take, skip). Does not own whether
//! an object was taken before (`checkpoint`) nor its bytes (`fetch`).
//!
//! Nothing here survives a crash or has to: folders are found again, and listings begin after the checkpoint's watermark.
//! On cancellation listings are dropped where they stand; claims that were not handed on go back.

mod poll;
mod schedule;
mod walk;

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use orgtrail_service::clock::Clock;
use orgtrail_service::config::{Check, Problems};
use orgtrail_service::health::Health;
use orgtrail_service::shape::duration;
use serde::Deserialize;
use tokio::sync::{mpsc, watch};

pub(crate) use self::schedule::Stage;
use crate::checkpoint::{Checkpoint, FolderId};
use crate::config::{count_within, within};
use crate::metrics::Metrics;
use crate::object::{ObjectRef, SourceFolder};

/// The `[discover]` table.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Pause between two listings of a folder in which something new was found. Default: 10 s; CloudTrail delivers about
    /// every five minutes, so this is what it adds to the delay of the first object of a burst.
    #[serde(with = "duration")]
    pub poll_interval_min: Duration,
    /// Longest pause; every listing without news doubles it. Default: 5 min, CloudTrail's own rhythm. One listing of one
    /// folder is one LIST request in most cases.
    #[serde(with = "duration")]
    pub poll_interval_max: Duration,
    /// Pause between two walks of a source in search of new accounts and regions. Default: 10 min.
    #[serde(with = "duration")]
    pub refresh_interval: Duration,
    /// How long after the end of its day an object may still appear. Days are watched that long, and that long after the
    /// newest object seen in them; later ones are not found. Default: 26 h, above the delays that CloudTrail shows in
    /// practice.
    #[serde(with = "duration")]
    pub lateness: Duration,
    /// Listings at once. Default: 16.
    pub list_concurrency: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            poll_interval_min: Duration::from_secs(10),
            poll_interval_max: Duration::from_secs(5 * 60),
            refresh_interval: Duration::from_secs(10 * 60),
            lateness: Duration::from_secs(26 * 3600),
            list_concurrency: 16,
        }
    }
}

impl Check for Config {
    fn check(&self, problems: &mut Problems) {
        let (shortest, day) = (Duration::from_millis(10), Duration::from_secs(24 * 3600));
        within("poll_interval_max", self.poll_interval_max, shortest..=day, problems);
        within("poll_interval_min", self.poll_interval_min, shortest..=self.poll_interval_max, problems);
        within("refresh_interval", self.refresh_interval, shortest..=day, problems);
        within("lateness", self.lateness, Duration::from_secs(3600)..=365 * day, problems);
        count_within("list_concurrency", self.list_concurrency, 1..=256, problems);
    }
}

/// The folders that are watched; clones share the list.
#[derive(Debug, Clone, Default)]
pub(crate) struct Folders(Arc<RwLock<HashMap<FolderId, Arc<SourceFolder>>>>);

impl Folders {
    pub(crate) fn get(&self, id: FolderId) -> Option<Arc<SourceFolder>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).get(&id).cloned()
    }

    /// True where it is new.
    fn insert(&self, folder: &Arc<SourceFolder>) -> bool {
        let mut folders = self.0.write().unwrap_or_else(PoisonError::into_inner);
        folders.insert(folder.id, Arc::clone(folder)).is_none()
    }

    /// When the newest whole listing began, by location, account and region; Unix seconds.
    pub(crate) fn last_listed(&self) -> HashMap<(String, String, String), i64> {
        let folders = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let mut newest = HashMap::new();
        for folder in folders.values() {
            let Some(at) = folder.last_listed() else { continue };
            let (account, region) = (folder.folder.account.clone(), folder.folder.region.clone());
            let known = newest.entry((folder.source.location.clone(), account, region)).or_insert(at);
            *known = at.max(*known);
        }
        newest
    }

    /// The folders in which something can be done: not those of digests whose keys cannot be had.
    pub(crate) fn workable(&self) -> Vec<FolderId> {
        let folders = self.0.read().unwrap_or_else(PoisonError::into_inner);
        folders.values().filter(|folder| !folder.is_left_for_keys()).map(|folder| folder.id).collect()
    }

    pub(crate) fn len(&self) -> usize {
        self.0.read().unwrap_or_else(PoisonError::into_inner).len()
    }
}

/// What every walk and listing uses.
#[derive(Debug)]
pub(crate) struct Context {
    pub(crate) checkpoint: Arc<Checkpoint>,
    pub(crate) folders: Folders,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) health: Health,
    pub(crate) metrics: Metrics,
    pub(crate) out: mpsc::Sender<ObjectRef>,
}

/// The stage's face.
#[derive(Debug, Clone)]
pub(crate) struct Handle {
    quiet: watch::Receiver<bool>,
}

impl Handle {
    /// Whether every source was walked, and every folder listed to its end without anything new.
    pub(crate) fn is_quiet(&self) -> bool {
        *self.quiet.borrow()
    }
}

#[cfg(test)]
mod tests;
