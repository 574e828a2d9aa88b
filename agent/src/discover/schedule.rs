//! When what is listed: every folder by its own rhythm, so many at a time.
//!
//! Owns the timetable. A folder with news is listed again after the shortest pause, one without after twice the last; one
//! in trouble after a pause that doubles by its failures, shortened by chance so that a thousand folders behind one broken
//! role do not come back in step. One folder is listed by one listing at a time.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures::stream::{FuturesUnordered, StreamExt};
use rand::Rng;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::poll::{Polled, poll};
use super::walk::{Walked, walk};
use super::{Config, Context, Handle};
use crate::object::{Source, SourceFolder};

/// The loop turns once a second at least; this long without a turn, and `/healthz` asks for a restart.
const STUCK_AFTER: Duration = Duration::from_secs(120);
/// Pause after the first failure.
const FAILED_PAUSE_MIN: Duration = Duration::from_secs(1);
/// How often folders are looked at whose objects failed behind a listing.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// A folder's place in the timetable.
#[derive(Debug)]
struct Place {
    folder: Arc<SourceFolder>,
    /// Before the next listing, while there is no trouble.
    pause: Duration,
    /// When the next listing begins; another time in the timetable is out of date.
    due: Option<Instant>,
    listing: bool,
    /// To be listed again at once when the present listing ends.
    again: bool,
    /// The last listing reached the end and found nothing new.
    quiet: bool,
    /// The present trouble is in the timetable.
    troubled: bool,
}

/// A source's place in the timetable.
#[derive(Debug)]
struct Walk {
    source: Arc<Source>,
    failures: u32,
    walked: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Due {
    Walk(usize),
    Poll(usize),
}

enum Done {
    Walk(usize, Result<Walked, orgtrail_cloud::Error>),
    Poll(usize, anyhow::Result<Polled>),
}

type Work = Pin<Box<dyn Future<Output = Done> + Send>>;

/// Walks and lists until cancelled.
pub(crate) struct Stage {
    config: Config,
    once: bool,
    context: Arc<Context>,
    walks: Vec<Walk>,
    places: Vec<Place>,
    due: BinaryHeap<Reverse<(Instant, Due)>>,
    running: FuturesUnordered<Work>,
    epochs: watch::Receiver<u64>,
    quiet: watch::Sender<bool>,
}

impl Stage {
    /// With `once`, sources are walked once and folders listed until they are quiet, without pauses. `epochs` moves when
    /// objects are to be found again.
    pub(crate) fn new(
        config: Config,
        once: bool,
        sources: Vec<Arc<Source>>,
        context: Context,
        epochs: watch::Receiver<u64>,
    ) -> (Self, Handle) {
        let (quiet, face) = watch::channel(false);
        let walks = sources.into_iter().map(|source| Walk { source, failures: 0, walked: false }).collect();
        let stage = Self {
            config,
            once,
            context: Arc::new(context),
            walks,
            places: Vec::new(),
            due: BinaryHeap::new(),
            running: FuturesUnordered::new(),
            epochs,
            quiet,
        };
        (stage, Handle { quiet: face })
    }

    /// Runs until cancelled.
    pub(crate) async fn run(mut self, cancel: CancellationToken) -> anyhow::Result<()> {
        let now = Instant::now();
        self.due.extend((0..self.walks.len()).map(|walk| Reverse((now, Due::Walk(walk)))));
        let mut epochs_end = false;
        let mut look = tokio::time::interval(LOOK_INTERVAL);
        let beat = self.context.health.watch("discover", STUCK_AFTER);
        loop {
            beat.tick();
            self.start_due();
            let now_quiet = self.is_quiet();
            self.quiet.send_if_modified(|quiet| std::mem::replace(quiet, now_quiet) != now_quiet);
            let next = self.due.peek().map(|Reverse((at, _))| *at);
            let full = self.running.len() >= self.config.list_concurrency;
            // Cancel-safe: the running work stays in its set, the rest only waits.
            tokio::select! {
                () = cancel.cancelled() => return Ok(()),
                Some(done) = self.running.next() => match done {
                    Done::Walk(walk, result) => self.walked(walk, result)?,
                    Done::Poll(place, result) => if self.polled(place, result?) { return Ok(()) },
                },
                () = sleep_until(next.unwrap_or_else(Instant::now)), if next.is_some() && !full => {}
                _ = look.tick() => self.note_trouble(),
                changed = self.epochs.changed(), if !epochs_end => match changed {
                    Ok(()) => self.all_again(),
                    Err(_) => epochs_end = true,
                },
            }
        }
    }

    fn is_quiet(&self) -> bool {
        self.walks.iter().all(|walk| walk.walked)
            && self.places.iter().all(|place| place.quiet || self.once && place.folder.is_left_for_keys())
    }

    fn start_due(&mut self) {
        let now = Instant::now();
        while self.running.len() < self.config.list_concurrency {
            let Some(Reverse((_, due))) = self.due.peek().copied().filter(|Reverse((at, _))| *at <= now) else {
                return;
            };
            let Some(Reverse((at, _))) = self.due.pop() else { return };
            match due {
                Due::Walk(index) => {
                    let (source, context) = (Arc::clone(&self.walks[index].source), Arc::clone(&self.context));
                    let concurrency = self.config.list_concurrency;
                    let work = async move { Done::Walk(index, walk(&source, concurrency, &context.metrics).await) };
                    self.running.push(Box::pin(work));
                }
                Due::Poll(index) => {
                    let place = &mut self.places[index];
                    if place.due != Some(at) {
                        continue;
                    }
                    (place.due, place.listing, place.again, place.troubled) = (None, true, false, false);
                    let (context, folder) = (Arc::clone(&self.context), Arc::clone(&place.folder));
                    self.running.push(Box::pin(async move { Done::Poll(index, poll(context, folder).await) }));
                }
            }
        }
    }

    fn walked(&mut self, index: usize, result: Result<Walked, orgtrail_cloud::Error>) -> anyhow::Result<()> {
        let health = self.context.health.clone();
        let walk = &mut self.walks[index];
        let source = Arc::clone(&walk.source);
        let pause = match result {
            Ok(walked) => {
                (walk.failures, walk.walked) = (0, true);
                if walked.cut_short {
                    let reason = "too many prefixes to look for AWSLogs in all of them: point `location` closer to it";
                    health.set_degraded(&source.part(), reason);
                } else {
                    health.set_ok(&source.part());
                }
                for folder in walked.folders {
                    self.watch(&source, folder)?;
                }
                self.config.refresh_interval
            }
            Err(error) => {
                walk.failures += 1;
                health.set_degraded(&source.part(), error.to_string());
                failed_pause(walk.failures, self.config.poll_interval_max)
            }
        };
        if !self.once || !self.walks[index].walked {
            self.due.push(Reverse((Instant::now() + pause, Due::Walk(index))));
        }
        Ok(())
    }

    /// Takes a folder into the timetable unless it is there.
    fn watch(&mut self, source: &Arc<Source>, folder: orgtrail_event::key::Folder) -> anyhow::Result<()> {
        let path = folder.path();
        let id = self.context.checkpoint.folder(&source.location, &path, &folder.account, &folder.region, None)?;
        let folder = Arc::new(SourceFolder::new(Arc::clone(source), folder, id));
        if !self.context.folders.insert(&folder) {
            return Ok(());
        }
        tracing::debug!(source.name = source.name, folder.path = path, "watching a folder");
        let pause = self.config.poll_interval_min;
        let index = self.places.len();
        let place = Place { folder, pause, due: None, listing: false, again: false, quiet: false, troubled: false };
        self.places.push(place);
        self.list_after(index, Duration::ZERO);
        Ok(())
    }

    /// True when nobody takes objects any more.
    fn polled(&mut self, index: usize, polled: Polled) -> bool {
        let (min, max) = (self.config.poll_interval_min, self.config.poll_interval_max);
        let place = &mut self.places[index];
        place.listing = false;
        // A fetch may have failed since.
        let failing = place.folder.is_failing();
        let pause = match polled {
            Polled::Closed => return true,
            Polled::Complete { new: true } if !failing => {
                (place.pause, place.quiet) = (min, false);
                Some(if self.once { Duration::ZERO } else { min })
            }
            Polled::Complete { new: false } if !failing => {
                place.quiet = true;
                let pause = place.pause;
                place.pause = (pause * 2).min(max);
                (!self.once).then_some(pause)
            }
            Polled::Complete { .. } | Polled::Failed => {
                (place.pause, place.quiet, place.troubled) = (min, false, true);
                Some(failed_pause(place.folder.failed_rounds(), max))
            }
        };
        let pause = if place.again { Some(Duration::ZERO) } else { pause };
        if let Some(pause) = pause {
            self.list_after(index, pause);
        }
        false
    }

    fn list_after(&mut self, index: usize, pause: Duration) {
        let at = Instant::now() + pause;
        self.places[index].due = Some(at);
        self.due.push(Reverse((at, Due::Poll(index))));
    }

    /// Lists every folder again at once.
    fn all_again(&mut self) {
        for index in 0..self.places.len() {
            let place = &mut self.places[index];
            (place.again, place.quiet, place.pause) = (true, false, self.config.poll_interval_min);
            if !place.listing {
                self.list_after(index, Duration::ZERO);
            }
        }
    }

    /// A folder whose objects fail to be fetched after it was listed is listed again sooner, as its objects have lost
    /// their claims.
    fn note_trouble(&mut self) {
        for index in 0..self.places.len() {
            let place = &mut self.places[index];
            if place.listing || place.troubled || !place.folder.is_failing() {
                continue;
            }
            (place.pause, place.quiet, place.troubled) = (self.config.poll_interval_min, false, true);
            let pause = failed_pause(place.folder.failed_rounds(), self.config.poll_interval_max);
            self.list_after(index, pause);
        }
    }
}

fn failed_pause(failures: u32, max: Duration) -> Duration {
    let doubled =
        FAILED_PAUSE_MIN.saturating_mul(1 << failures.saturating_sub(1).min(16)).min(max.max(FAILED_PAUSE_MIN));
    doubled.mul_f64(rand::rng().random_range(0.5..=1.0))
}
