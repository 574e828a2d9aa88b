//! When what is listed: every folder by its own rhythm, so many at a time.
//!
//! Owns the timetable, and which sources and folders are in it. One folder is listed by one listing at a time. A turn costs
//! what is due, not what there is: everything else is looked up by counters, sets and one heap, because thousands of silent
//! folders are the common case. Sources come and go while it runs (`Change`); one that goes is kept until everything that
//! is known of it is settled.

mod sleep;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, HashMap};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures::stream::{FuturesUnordered, StreamExt};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::poll::{Polled, poll};
use super::rhythm::{Pace, Told, failed_pause};
use super::sweep::{GroupId, Sleepers, Swept, is_swept, sweep};
use super::walk::{Tree, Walked};
use super::{Change, Config, Context, Handle, Wake};
use crate::checkpoint::FolderId;
use crate::object::{Source, SourceFolder};

/// The loop turns once in [`BEAT_INTERVAL`] at least; this long without a turn, and `/healthz` asks for a restart.
const STUCK_AFTER: Duration = Duration::from_secs(120);
/// How often the loop turns without anything to do, and looks whether what is to go may go.
const BEAT_INTERVAL: Duration = Duration::from_secs(20);
/// Listings and walks that are begun. So many of them make requests as `list_concurrency` says; the others wait for a turn,
/// or for room in the intake. Each is a few KiB.
const RUNNING_MAX: usize = 1024;

/// A folder's place in the timetable.
#[derive(Debug)]
struct Place {
    folder: Arc<SourceFolder>,
    pace: Pace,
    /// When the next listing begins; another time in the timetable is out of date.
    due: Option<Instant>,
    listing: bool,
    /// To be listed again at once when the present listing ends.
    again: bool,
    /// The present trouble is in the timetable.
    troubled: bool,
    /// Whose sweeps look after it until it is listed.
    asleep: Option<GroupId>,
}

/// A source's place in the timetable.
#[derive(Debug)]
struct Walk {
    source: Arc<Source>,
    /// Not here during a walk.
    tree: Option<Tree>,
    /// When the next walk begins; another time in the timetable is out of date.
    due: Option<Instant>,
    failures: u32,
    /// A walk has ended, well or badly.
    tried: bool,
}

type WalkId = u64;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Due {
    Walk(WalkId),
    Poll(FolderId),
    Sweep(GroupId),
}

enum Done {
    Walk(WalkId, Tree, Walked),
    Poll(FolderId, anyhow::Result<Polled>),
    Sweep(GroupId, Swept),
}

type Work = Pin<Box<dyn Future<Output = Done> + Send>>;

/// Walks and lists until cancelled.
pub(crate) struct Stage {
    config: Config,
    once: bool,
    context: Arc<Context>,
    walks: BTreeMap<WalkId, Walk>,
    walks_made: WalkId,
    places: HashMap<FolderId, Place>,
    sleepers: Sleepers,
    due: BinaryHeap<Reverse<(Instant, Due)>>,
    running: FuturesUnordered<Work>,
    /// Sources without a whole walk, folders whose last listing found something or failed.
    unwalked: BTreeSet<WalkId>,
    unquiet: BTreeSet<FolderId>,
    /// Folders that go when everything in them is settled, and the locations of sources that go after their folders.
    leaving: BTreeSet<FolderId>,
    leaving_sources: BTreeSet<String>,
    epochs: watch::Receiver<u64>,
    changes: mpsc::Receiver<Change>,
    /// Lists of sources that have not come yet.
    awaited: usize,
    quiet: watch::Sender<bool>,
}

/// What a stage is told while it runs.
#[derive(Debug)]
pub(crate) struct Inputs {
    /// Moves when objects are to be found again.
    pub(crate) epochs: watch::Receiver<u64>,
    /// Sources that come and go.
    pub(crate) changes: mpsc::Receiver<Change>,
    /// How many [`Change::Listed`] have to come before there is quiet.
    pub(crate) awaited: usize,
}

impl Stage {
    /// With `once`, sources are walked once and folders listed until they are quiet, without pauses.
    pub(crate) fn new(
        config: Config,
        once: bool,
        sources: Vec<Arc<Source>>,
        context: Arc<Context>,
        inputs: Inputs,
    ) -> (Self, Handle) {
        let (quiet, face) = watch::channel(false);
        let Inputs { epochs, changes, awaited } = inputs;
        let mut stage = Self {
            config,
            once,
            context,
            walks: BTreeMap::new(),
            walks_made: 0,
            places: HashMap::new(),
            sleepers: Sleepers::default(),
            due: BinaryHeap::new(),
            running: FuturesUnordered::new(),
            unwalked: BTreeSet::new(),
            unquiet: BTreeSet::new(),
            leaving: BTreeSet::new(),
            leaving_sources: BTreeSet::new(),
            epochs,
            changes,
            awaited,
            quiet,
        };
        for source in sources {
            stage.add(source);
        }
        stage.known();
        (stage, Handle { quiet: face })
    }

    /// Runs until cancelled.
    pub(crate) async fn run(mut self, cancel: CancellationToken) -> anyhow::Result<()> {
        let (mut epochs_end, mut changes_end) = (false, false);
        let mut turn = tokio::time::interval(BEAT_INTERVAL);
        let beat = self.context.health.watch("discover", STUCK_AFTER);
        let wakes = self.context.folders.wakes();
        loop {
            beat.tick();
            self.start_due();
            let now_quiet = self.is_quiet();
            self.quiet.send_if_modified(|quiet| std::mem::replace(quiet, now_quiet) != now_quiet);
            let next = self.due.peek().map(|Reverse((at, _))| *at);
            let full = self.running.len() >= RUNNING_MAX;
            // Cancel-safe: the running work stays in its set, wakes and changes in theirs, the rest only waits.
            tokio::select! {
                () = cancel.cancelled() => return Ok(()),
                Some(done) = self.running.next() => match done {
                    Done::Walk(id, tree, walked) => self.walked(id, tree, walked)?,
                    Done::Poll(id, result) => if self.polled(id, result?) { return Ok(()) },
                    Done::Sweep(id, swept) => self.swept(id, swept),
                },
                () = sleep_until(next.unwrap_or_else(Instant::now)), if next.is_some() && !full => {}
                () = wakes.ring() => self.look(),
                change = self.changes.recv(), if !changes_end => match change {
                    Some(change) => self.change(change),
                    None => changes_end = true,
                },
                changed = self.epochs.changed(), if !epochs_end => match changed {
                    Ok(()) => self.again(),
                    Err(_) => epochs_end = true,
                },
                _ = turn.tick() => self.let_go(),
            }
        }
    }

    fn is_quiet(&self) -> bool {
        let left = |id: &FolderId| self.once && self.places.get(id).is_none_or(|place| place.folder.is_left_for_keys());
        self.awaited == 0 && self.unwalked.is_empty() && self.unquiet.iter().all(left)
    }

    fn start_due(&mut self) {
        let now = Instant::now();
        while self.running.len() < RUNNING_MAX {
            let Some(Reverse((_, due))) = self.due.peek().copied().filter(|Reverse((at, _))| *at <= now) else {
                return;
            };
            let Some(Reverse((at, _))) = self.due.pop() else { return };
            match due {
                Due::Walk(id) => {
                    let Some(walk) = self.walks.get_mut(&id).filter(|walk| walk.due == Some(at)) else { continue };
                    let Some(mut tree) = walk.tree.take() else { continue };
                    walk.due = None;
                    let (source, context) = (Arc::clone(&walk.source), Arc::clone(&self.context));
                    let config = self.config.clone();
                    self.running.push(Box::pin(async move {
                        let walked = tree.walk(&source, &config, &context).await;
                        Done::Walk(id, tree, walked)
                    }));
                }
                Due::Poll(id) => {
                    let Some(place) = self.places.get_mut(&id).filter(|place| place.due == Some(at)) else { continue };
                    (place.due, place.listing, place.again, place.troubled) = (None, true, false, false);
                    if let Some(group) = place.asleep.take() {
                        self.sleepers.remove(group, id);
                    }
                    let (context, folder) = (Arc::clone(&self.context), Arc::clone(&place.folder));
                    self.running.push(Box::pin(async move { Done::Poll(id, poll(context, folder).await) }));
                }
                Due::Sweep(id) => {
                    let Some((prefix, folders)) = self.sleepers.of(id) else { continue };
                    let folder = |id| self.places.get(id).map(|place| Arc::clone(&place.folder));
                    let (context, folders) = (Arc::clone(&self.context), folders.iter().filter_map(folder).collect());
                    self.running.push(Box::pin(async move { Done::Sweep(id, sweep(context, prefix, folders).await) }));
                }
            }
        }
    }

    fn walked(&mut self, id: WalkId, tree: Tree, walked: Walked) -> anyhow::Result<()> {
        let health = self.context.health.clone();
        let Some(walk) = self.walks.get_mut(&id) else { return Ok(()) };
        let source = Arc::clone(&walk.source);
        walk.tried = true;
        let pause = match &walked.failed {
            None => {
                walk.failures = 0;
                self.unwalked.remove(&id);
                if walked.cut_short {
                    let reason = "too many prefixes to look for AWSLogs in all of them: point `location` closer to it";
                    health.set_degraded(&source.part(), reason);
                } else {
                    health.set_ok(&source.part());
                }
                tree.pause(&self.config)
            }
            Some(error) => {
                walk.failures += 1;
                health.set_degraded(&source.part(), error.to_string());
                failed_pause(walk.failures, self.config.poll_interval_max)
            }
        };
        walk.tree = Some(tree);
        let leaves = self.leaving_sources.contains(&source.location);
        let more = if self.once { walked.failed.is_some() } else { !leaves };
        for folder in walked.folders {
            self.context.announce(&source, folder)?;
        }
        if more {
            self.walk_after(id, pause);
        }
        self.look();
        Ok(())
    }

    fn walk_after(&mut self, id: WalkId, pause: Duration) {
        let at = Instant::now() + pause;
        let Some(walk) = self.walks.get_mut(&id) else { return };
        walk.due = Some(at);
        self.due.push(Reverse((at, Due::Walk(id))));
    }

    /// Looks at the folders that are to be looked at.
    fn look(&mut self) {
        for (id, why) in self.context.folders.wakes().take() {
            match (self.places.get_mut(&id), why) {
                (None, Wake::News) => self.watch(id),
                (None, Wake::Trouble) => {}
                (Some(place), Wake::News) => {
                    place.pace.quicken(&self.config);
                    self.list_again(id);
                }
                // Its objects have lost their claims, so it is listed again sooner than it would be.
                (Some(place), Wake::Trouble) => {
                    if !place.listing && !place.troubled && place.folder.is_failing() {
                        self.troubled(id);
                    }
                }
            }
        }
    }

    /// Takes a folder into the timetable.
    fn watch(&mut self, id: FolderId) {
        let Some(folder) = self.context.folders.get(id) else { return };
        tracing::debug!(source.name = folder.source.name, folder.path = folder.path, "watching a folder");
        if self.leaving_sources.contains(&folder.source.location) {
            self.leaving.insert(id);
        }
        let told = match (folder.source.notified, is_swept(&folder)) {
            (true, _) => Told::Notified,
            (false, true) => Told::Swept,
            (false, false) => Told::Nothing,
        };
        let pace = Pace::new(&self.config, told);
        let place = Place { folder, pace, due: None, listing: false, again: false, troubled: false, asleep: None };
        self.places.insert(id, place);
        self.unquiet.insert(id);
        self.list_after(id, Duration::ZERO);
    }

    /// True when nobody takes objects any more.
    fn polled(&mut self, id: FolderId, polled: Polled) -> bool {
        let Some(place) = self.places.get_mut(&id) else { return false };
        place.listing = false;
        // A fetch may have failed since.
        let failing = place.folder.is_failing();
        let pause = match polled {
            Polled::Closed => return true,
            Polled::Complete(found) if !failing => {
                let pause = place.pace.after(found, &self.config);
                if found.news {
                    self.unquiet.insert(id);
                } else {
                    self.unquiet.remove(&id);
                }
                match self.once {
                    true => found.news.then_some(Duration::ZERO),
                    false => {
                        self.sleep(id);
                        Some(pause)
                    }
                }
            }
            Polled::Complete(_) | Polled::Failed => {
                self.troubled(id);
                None
            }
        };
        if self.places.get(&id).is_some_and(|place| place.again) {
            self.list_after(id, Duration::ZERO);
        } else if let Some(pause) = pause {
            self.list_after(id, pause);
        }
        false
    }

    /// Lists a folder after a pause that grows with its failures.
    fn troubled(&mut self, id: FolderId) {
        let Some(place) = self.places.get_mut(&id) else { return };
        place.pace.quicken(&self.config);
        place.troubled = true;
        let pause = failed_pause(place.folder.failed_rounds(), self.config.poll_interval_max);
        self.unquiet.insert(id);
        self.list_after(id, pause);
    }

    fn list_after(&mut self, id: FolderId, pause: Duration) {
        let at = Instant::now() + pause;
        let Some(place) = self.places.get_mut(&id) else { return };
        place.due = Some(at);
        self.due.push(Reverse((at, Due::Poll(id))));
    }

    /// Lists a folder at once, and once more if it is being listed.
    fn list_again(&mut self, id: FolderId) {
        let Some(place) = self.places.get_mut(&id) else { return };
        place.again = true;
        let listing = place.listing;
        self.unquiet.insert(id);
        if !listing {
            self.list_after(id, Duration::ZERO);
        }
    }

    /// Lists the folders again at once in which something is to be taken again.
    fn again(&mut self) {
        let checkpoint = Arc::clone(&self.context.checkpoint);
        let ids: Vec<_> = self.places.keys().copied().filter(|id| checkpoint.claimed_in(&[*id]) > 0).collect();
        for id in ids {
            self.list_again(id);
        }
    }
}

/// Sources that come and go.
impl Stage {
    /// Says so when every list of sources has come.
    fn known(&self) {
        if self.awaited == 0 {
            self.context.folders.are_known();
        }
    }

    fn add(&mut self, source: Arc<Source>) {
        let id = self.walks_made;
        self.walks_made += 1;
        self.context.folders.add_source(&source);
        self.walks.insert(id, Walk { source, tree: Some(Tree::default()), due: None, failures: 0, tried: false });
        self.unwalked.insert(id);
        self.walk_after(id, Duration::ZERO);
    }

    fn change(&mut self, change: Change) {
        match change {
            Change::Add(source) => {
                let was_leaving = self.leaving_sources.remove(&source.location);
                self.stay(&source.location);
                let known = self.walks.iter().find(|(_, walk)| walk.source.location == source.location);
                match known.map(|(id, _)| *id) {
                    Some(id) if was_leaving => self.walk_after(id, Duration::ZERO),
                    Some(_) => {}
                    None => self.add(source),
                }
            }
            Change::Leave(location) => {
                let here = |place: &Place| place.folder.source.location == location;
                self.leaving.extend(self.places.iter().filter(|(_, place)| here(place)).map(|(id, _)| *id));
                // What was never walked is walked once, for what is known of it.
                for walk in self.walks.values_mut().filter(|walk| walk.source.location == location && walk.tried) {
                    walk.due = None;
                }
                self.leaving_sources.insert(location);
            }
            Change::Accounts(location) => {
                self.stay(&location);
                let gone = |folder: &SourceFolder| {
                    folder.source.location == location && !folder.source.accounts.takes(&folder.folder.account)
                };
                self.leaving.extend(self.places.iter().filter(|(_, place)| gone(&place.folder)).map(|(id, _)| *id));
            }
            Change::Listed => {
                self.awaited = self.awaited.saturating_sub(1);
                self.known();
            }
        }
    }

    /// Keeps the folders of the source whose accounts are taken.
    fn stay(&mut self, location: &str) {
        let places = &self.places;
        self.leaving.retain(|id| {
            places.get(id).is_some_and(|Place { folder, .. }| {
                folder.source.location != location || !folder.source.accounts.takes(&folder.folder.account)
            })
        });
    }

    /// Lets folders and sources go in which nothing is left to do.
    fn let_go(&mut self) {
        let settled = |id: &FolderId| {
            let idle = self.places.get(id).is_none_or(|place| !place.listing);
            idle && !self.unquiet.contains(id) && self.context.checkpoint.claimed_in(&[*id]) == 0
        };
        let settled: Vec<_> = self.leaving.iter().copied().filter(settled).collect();
        for id in settled {
            self.leaving.remove(&id);
            self.context.folders.remove(id);
            if let Some(place) = self.places.remove(&id) {
                if let Some(group) = place.asleep {
                    self.sleepers.remove(group, id);
                }
                place.folder.forget(&self.context.health);
            }
        }
        for location in self.leaving_sources.clone() {
            let held = self.places.values().any(|place| place.folder.source.location == location);
            let id = self.walks.iter().find(|(_, walk)| walk.source.location == location).map(|(id, _)| *id);
            let idle = id.and_then(|id| self.walks.get(&id)).is_none_or(|walk| walk.tried && walk.tree.is_some());
            if held || !idle {
                continue;
            }
            self.leaving_sources.remove(&location);
            let Some(id) = id else { continue };
            self.unwalked.remove(&id);
            let Some(walk) = self.walks.remove(&id) else { continue };
            self.context.folders.remove_source(&location);
            tracing::info!(source.name = walk.source.name, "everything known of the source is settled; it goes");
            self.context.health.set_ok(&walk.source.part());
        }
    }
}
