//! Finds objects: walks the sources for folders, lists every folder on a schedule of its own, claims what is new.
//!
//! Owns which folders there are, when each is listed, and what a key means for the agent (take, skip). Does not own whether
//! an object was taken before (`checkpoint`) nor its bytes (`fetch`).
//!
//! Nothing here survives a crash or has to: folders are found again, and listings begin after the checkpoint's watermark.
//! On cancellation listings are dropped where they stand; claims that were not handed on go back.

mod poll;
mod rhythm;
mod schedule;
mod sweep;
mod wakes;
mod walk;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;

use orgtrail_cloud::Error;
use orgtrail_cloud::object_store::{ListPage, ListRequest, PAGE_MAX};
use orgtrail_event::key::Folder;
use orgtrail_service::clock::Clock;
use orgtrail_service::config::{Check, Problems};
use orgtrail_service::health::Health;
use orgtrail_service::shape::duration;
use serde::Deserialize;
use tokio::sync::{Semaphore, watch};
use tokio::time::Instant;

pub(crate) use self::poll::{key_before, listed};
pub(crate) use self::schedule::{Inputs, Stage};
pub(crate) use self::wakes::{Wake, Wakes};
use crate::checkpoint::{self, Checkpoint, FolderId, RowKey};
use crate::config::{count_within, within};
pub(crate) use crate::intake::Closed;
use crate::intake::{self, Places};
use crate::limits::Ended;
use crate::metrics::Metrics;
use crate::object::{Lane, Source, SourceFolder};
use crate::status;

/// The `[discover]` table.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Pause between two listings of a folder in which something new was found. Default: 10 s; CloudTrail delivers about
    /// every five minutes, so this is what it adds to the delay of the first object of a burst.
    #[serde(with = "duration")]
    pub poll_interval_min: Duration,
    /// Longest pause while a folder is in use; every listing without news doubles it. Default: 5 min, CloudTrail's own
    /// rhythm. One listing of one folder is one LIST request in most cases.
    #[serde(with = "duration")]
    pub poll_interval_max: Duration,
    /// How long the first object of a silent folder may go unseen, and a new region of a known account. In a silent folder a
    /// pause is a tenth of the time since something came, up to this; in S3, one listing looks for news in all those of an
    /// account that often. Default: 1 h. No effect below `poll_interval_max`.
    #[serde(with = "duration")]
    pub idle_interval_max: Duration,
    /// Longest pause of a folder of which something else would tell: in S3 the listing for all silent folders of an account,
    /// or notifications, whose misses it looks for. Default: 24 h.
    #[serde(with = "duration")]
    pub sweep_interval_max: Duration,
    /// Pause between two looks for new accounts in a source. Default: 10 min.
    #[serde(with = "duration")]
    pub refresh_interval: Duration,
    /// How long after the end of its day an object may still appear. Days are watched that long, and that long after the
    /// newest object seen in them; later ones are not found. Default: 26 h, above the delays that CloudTrail shows in
    /// practice.
    #[serde(with = "duration")]
    pub lateness: Duration,
    /// Requests for listings at once. Default: 16.
    pub list_concurrency: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            poll_interval_min: Duration::from_secs(10),
            poll_interval_max: Duration::from_secs(5 * 60),
            idle_interval_max: Duration::from_secs(3600),
            sweep_interval_max: Duration::from_secs(24 * 3600),
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
        within("idle_interval_max", self.idle_interval_max, shortest..=day, problems);
        within("sweep_interval_max", self.sweep_interval_max, shortest..=7 * day, problems);
        within("refresh_interval", self.refresh_interval, shortest..=day, problems);
        within("lateness", self.lateness, Duration::from_secs(3600)..=365 * day, problems);
        count_within("list_concurrency", self.list_concurrency, 1..=256, problems);
    }
}

/// The sources and folders that are watched; clones share the lists.
#[derive(Debug, Clone, Default)]
pub(crate) struct Folders {
    watched: Arc<RwLock<HashMap<FolderId, Arc<SourceFolder>>>>,
    /// By location.
    sources: Arc<RwLock<BTreeMap<String, Arc<Source>>>>,
    wakes: Wakes,
    /// Every list of sources has come once.
    told: Arc<watch::Sender<bool>>,
}

impl Folders {
    pub(crate) fn get(&self, id: FolderId) -> Option<Arc<SourceFolder>> {
        self.read().get(&id).cloned()
    }

    /// Where to ask for a look at a folder.
    pub(crate) fn wakes(&self) -> Wakes {
        self.wakes.clone()
    }

    fn read(&self) -> RwLockReadGuard<'_, HashMap<FolderId, Arc<SourceFolder>>> {
        self.watched.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, HashMap<FolderId, Arc<SourceFolder>>> {
        self.watched.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn remove(&self, id: FolderId) {
        self.write().remove(&id);
    }

    /// The sources that are watched.
    pub(crate) fn sources(&self) -> Vec<Arc<Source>> {
        self.sources.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    /// The source that holds an object, and the object's key there. `bucket` is what messages name: a bucket, or a location
    /// that is none. Locations don't overlap, so there is one at most; a look for each level of the key finds it, however
    /// many sources there are.
    pub(crate) fn source_of<'a>(&self, bucket: &str, key: &'a str) -> Option<(Arc<Source>, &'a str)> {
        let bucket = if bucket.contains("://") { bucket.to_owned() } else { format!("s3://{bucket}") };
        let sources = self.sources.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(source) = sources.get(&bucket) {
            return Some((Arc::clone(source), key));
        }
        key.match_indices('/').find_map(|(slash, _)| {
            let source = sources.get(&format!("{bucket}/{}", &key[..slash]))?;
            Some((Arc::clone(source), &key[slash + 1..]))
        })
    }

    /// Waits until every organization's accounts were listed once: from then on a source that is not there is none of ours.
    /// Cancel-safe: it only waits.
    pub(crate) async fn all_known(&self) {
        let mut told = self.told.subscribe();
        // An error would mean that there is no sender, which is in this very struct.
        let _known = told.wait_for(|told| *told).await;
    }

    pub(crate) fn are_known(&self) {
        self.told.send_replace(true);
    }

    pub(crate) fn add_source(&self, source: &Arc<Source>) {
        let mut sources = self.sources.write().unwrap_or_else(PoisonError::into_inner);
        sources.insert(source.location.clone(), Arc::clone(source));
    }

    fn remove_source(&self, location: &str) {
        self.sources.write().unwrap_or_else(PoisonError::into_inner).remove(location);
    }

    /// All folders that are watched.
    pub(crate) fn all(&self) -> Vec<Arc<SourceFolder>> {
        self.read().values().cloned().collect()
    }

    /// What is known of each place, and of each source by its location.
    pub(crate) fn seen(&self) -> (HashMap<RowKey, Seen>, BTreeMap<String, status::Source>) {
        let mut places = HashMap::<_, Seen>::new();
        let empty = |source: Arc<Source>| status::Source {
            name: source.name.clone(),
            location: source.location.clone(),
            layouts: BTreeMap::new(),
        };
        let mut sources: BTreeMap<_, _> =
            self.sources().into_iter().map(|source| (source.location.clone(), empty(source))).collect();
        for folder in self.read().values() {
            let Folder { account, region, .. } = &folder.folder;
            let source = &folder.source;
            let layout = layout(&folder.folder);
            let key = RowKey { location: source.location.clone(), account: account.clone(), region: region.clone() };
            let seen = places.entry(key).or_default();
            seen.last_listed = folder.last_listed().max(seen.last_listed);
            if let Some(known) = sources.get_mut(&source.location) {
                *known.layouts.entry(layout.clone()).or_default() += 1;
            }
            seen.layouts.insert(layout);
        }
        (places, sources)
    }

    /// Whether a folder of this account and location is watched.
    pub(crate) fn hold(&self, location: &str, account: &str) -> bool {
        let folders = self.read();
        folders.values().any(|folder| folder.source.location == location && folder.folder.account == account)
    }

    /// The folders in which something can be done: not those of digests whose keys cannot be had.
    pub(crate) fn workable(&self) -> Vec<FolderId> {
        let folders = self.read();
        folders.values().filter(|folder| !folder.is_left_for_keys()).map(|folder| folder.id).collect()
    }

    pub(crate) fn len(&self) -> usize {
        self.read().len()
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
    /// Requests for a listing that are under way at once.
    pub(crate) lists: Semaphore,
    pub(crate) out: intake::Sender,
}

impl Context {
    /// One page of a listing. Asks when the source may be asked, and, where objects of `folder` are listed, when the
    /// intake has room for them; the places come with the page. A source or folder that is held back does not hold the
    /// others back: a place among the requests under way is had around the request only.
    pub(crate) async fn list(
        &self,
        source: &Source,
        folder: Option<&SourceFolder>,
        request: &ListRequest,
    ) -> Result<(Result<ListPage, Error>, Option<Places>), Closed> {
        let (turn, mut places) = loop {
            if let Some(folder) = folder {
                self.out.room(folder, Lane::Live).await?;
            }
            source.limits.request().await;
            let turn = self.lists.acquire().await.map_err(|_| Closed)?;
            match folder.map(|folder| self.out.places(folder, Lane::Live, PAGE_MAX)) {
                None => break (turn, None),
                Some(Some(places)) => break (turn, Some(places)),
                Some(None) => {}
            }
        };
        let began = Instant::now();
        let page = source.store.list(request).await;
        drop(turn);
        let ended = page.as_ref().map_or_else(|error| Ended::by(error.kind()), |_| Ended::Answered);
        source.limits.listed(began, ended, source.store.refusals());
        self.metrics.request("list", page.as_ref().map_or_else(|error| error.kind().as_str(), |_| "ok"));
        if let Some(places) = &mut places {
            places.shrink_to(page.as_ref().map_or(0, |page| page.objects.len()));
        }
        Ok((page, places))
    }
}

/// What is known of a place: an account and region of a source.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// When its newest whole listing began, Unix seconds.
    pub(crate) last_listed: Option<i64>,
    /// How its keys are laid out above the account.
    pub(crate) layouts: BTreeSet<String>,
}

/// What stands above the account in a folder's keys, as operators know it: `[prefix/]AWSLogs/[o-…/]<account>`.
fn layout(folder: &Folder) -> String {
    let path = folder.path();
    let above = path.find(&format!("{}/{}/", folder.account, folder.kind)).unwrap_or(path.len());
    format!("{}<account>", &path[..above])
}

impl Context {
    /// The folder as it is watched; from now on, if it was not. Whatever finds a folder first calls this: a walk, or a
    /// notification of an object in a folder that no walk has found yet.
    pub(crate) fn announce(
        &self,
        source: &Arc<Source>,
        folder: Folder,
    ) -> Result<Arc<SourceFolder>, checkpoint::Error> {
        let from = source.start.day(self.clock.now());
        let path = folder.path();
        let id = self.checkpoint.folder(&source.location, &path, &folder.account, &folder.region, from)?;
        if let Some(known) = self.folders.get(id) {
            return Ok(known);
        }
        if source.days_stay_open {
            self.checkpoint.keep_open(id);
        }
        let new = Arc::new(SourceFolder::new(Arc::clone(source), folder, id, self.folders.wakes()));
        let watched = Arc::clone(self.folders.write().entry(id).or_insert(new));
        self.folders.wakes.wake(id, Wake::News);
        Ok(watched)
    }
}

/// Finds all folders that the source has now, whatever is known of it, and watches them. The inner error is the source's.
pub(crate) async fn walk_whole(
    context: &Context,
    source: &Arc<Source>,
    config: &Config,
) -> Result<Result<(), Error>, checkpoint::Error> {
    let walked = walk::Tree::default().walk(source, config, context).await;
    for folder in walked.folders {
        context.announce(source, folder)?;
    }
    Ok(walked.failed.map_or(Ok(()), Err))
}

/// Sources that come and go while the agent runs.
#[derive(Debug)]
pub(crate) enum Change {
    /// A source is there, or is back. It is known by its location.
    Add(Arc<Source>),
    /// The source at this location is not walked any more, and goes when everything known of it is settled.
    Leave(String),
    /// The accounts that are taken of the source at this location have changed: folders of others go when they are settled.
    Accounts(String),
    /// A list of sources has come, and all of it was told.
    Listed,
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
mod scale;
#[cfg(test)]
mod tests;
