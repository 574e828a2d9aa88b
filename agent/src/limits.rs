//! How hard a source is asked: what its configuration allows, and what the source bears.
//!
//! Owns, for each source, the number of objects that are fetched at once, the pause after a refusal, and the budgets of
//! requests and bytes a second. Does not own retries: the SDK's happen inside a request, and are seen here by what the
//! store counts.
//!
//! **What it bears** is found by additive increase and multiplicative decrease. A source that asks to slow down (503
//! SlowDown, 429) or fails to answer (timeouts, 5xx) gets half as many fetches at once; a round of successes, as many as
//! may run, gives one back. However many answers of one round say the same, it is halved once. After a refusal nothing is
//! asked at all for a pause that doubles with each in a row.
//!
//! Time is tokio's. Nothing of it lasts: an agent that starts asks as hard as it may.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use orgtrail_cloud::ErrorKind;
use tokio::time::{Instant, sleep_until};

use crate::config;

/// Pause after the first refusal.
const PAUSE_MIN: Duration = Duration::from_millis(500);
/// Longest pause.
const PAUSE_MAX: Duration = Duration::from_secs(30);

/// One source's limits; fetches and listings share them.
#[derive(Debug)]
pub(crate) struct Limits(Mutex<State>);

#[derive(Debug)]
struct State {
    running: usize,
    /// What was last said to be the most.
    most: usize,
    /// Fetches at once, as found; `None` while the source has borne everything.
    bears: Option<usize>,
    /// Successes since the last change.
    successes: usize,
    /// When it was last halved: what began before says nothing new.
    halved: Option<Instant>,
    pause: Duration,
    paused_until: Option<Instant>,
    /// What the store had counted when it was last looked at.
    refusals: u64,
    requests: Option<Bucket>,
    bytes: Option<Bucket>,
}

/// Why nothing may be asked now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wait {
    /// Until a fetch of the source ends.
    Busy,
    /// Until then.
    Until(Instant),
}

/// How a request ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    /// The source answered; maybe that it has no such object.
    Answered,
    /// It asks to slow down.
    Refused,
    /// It did not answer, or not well.
    Unwell,
}

impl Ended {
    pub(crate) fn by(error: &ErrorKind) -> Self {
        match error {
            ErrorKind::Throttled => Self::Refused,
            ErrorKind::Unavailable => Self::Unwell,
            _ => Self::Answered,
        }
    }
}

/// A running fetch; ends when it is dropped.
#[derive(Debug)]
pub(crate) struct Running {
    limits: Arc<Limits>,
    began: Instant,
}

/// So much a second, with one second's worth to begin with. A request may take more than there is; the next ones then wait
/// until it is made up for, so that one object may be larger than a second's bytes.
#[derive(Debug)]
pub(crate) struct Bucket {
    per_second: f64,
    level: f64,
    filled: Instant,
}

impl Bucket {
    pub(crate) fn new(per_second: f64) -> Self {
        Self { per_second, level: per_second.max(1.0), filled: Instant::now() }
    }

    fn fill(&mut self, now: Instant) {
        let new = now.saturating_duration_since(self.filled).as_secs_f64() * self.per_second;
        self.level = (self.level + new).min(self.per_second.max(1.0));
        self.filled = self.filled.max(now);
    }

    /// When `needed` is there.
    fn due(&mut self, needed: f64, now: Instant) -> Option<Instant> {
        self.fill(now);
        let missing = needed - self.level;
        // To the next microsecond, so that it is there when the time has come.
        (missing > 0.0).then(|| now + Duration::from_secs_f64(missing / self.per_second) + Duration::from_micros(1))
    }

    /// Takes so much, or says when to come again.
    pub(crate) fn take(&mut self, cost: f64, now: Instant) -> Option<Instant> {
        let due = self.due(1.0, now);
        if due.is_none() {
            self.level -= cost;
        }
        due
    }
}

impl Limits {
    pub(crate) fn new(config: &config::Source) -> Self {
        let state = State {
            running: 0,
            most: usize::MAX,
            bears: None,
            successes: 0,
            halved: None,
            pause: PAUSE_MIN,
            paused_until: None,
            refusals: 0,
            requests: config.requests_per_second.map(|rate| Bucket::new(f64::from(rate))),
            bytes: config.bytes_per_second.map(|rate| Bucket::new(rate.as_u64() as f64)),
        };
        Self(Mutex::new(state))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Fetches of the source that may run at once, of at most `most`.
    pub(crate) fn at_once(&self, most: usize) -> usize {
        self.lock().at_once(most)
    }

    /// Why no fetch may begin now, with at most `most` at once.
    pub(crate) fn wait(&self, most: usize) -> Option<Wait> {
        let mut state = self.lock();
        state.most = most;
        if state.running >= state.at_once(most) {
            return Some(Wait::Busy);
        }
        let now = Instant::now();
        state.due(now).map(Wait::Until)
    }

    /// A fetch of so many bytes begins, whether it may or not.
    pub(crate) fn begin(self: &Arc<Self>, bytes: u64) -> Running {
        let mut state = self.lock();
        state.running += 1;
        state.take(bytes);
        Running { limits: Arc::clone(self), began: Instant::now() }
    }

    /// Waits until a listing may ask, and takes one request for it. Cancel-safe: dropped while waiting, it takes nothing.
    pub(crate) async fn request(&self) {
        loop {
            let due = {
                let mut state = self.lock();
                let due = state.due(Instant::now());
                if due.is_none() {
                    state.take(0);
                }
                due
            };
            match due {
                None => return,
                Some(at) => sleep_until(at).await,
            }
        }
    }

    /// A listing that began at `began` has ended. `refusals` is what the store has counted so far.
    pub(crate) fn listed(&self, began: Instant, ended: Ended, refusals: u64) {
        let mut state = self.lock();
        let ended = state.seen(ended, refusals);
        if ended == Ended::Refused {
            let most = state.most;
            state.slower(began, ended, most);
        }
    }
}

impl State {
    fn at_once(&self, most: usize) -> usize {
        self.bears.unwrap_or(most).clamp(1, most.max(1))
    }

    fn due(&mut self, now: Instant) -> Option<Instant> {
        let paused = self.paused_until.filter(|until| *until > now);
        let requests = self.requests.as_mut().and_then(|bucket| bucket.due(1.0, now));
        // Whatever is left of a second's bytes lets one more object begin.
        let bytes = self.bytes.as_mut().and_then(|bucket| bucket.due(1.0, now));
        [paused, requests, bytes].into_iter().flatten().max()
    }

    fn take(&mut self, bytes: u64) {
        if let Some(bucket) = &mut self.requests {
            bucket.level -= 1.0;
        }
        if let Some(bucket) = &mut self.bytes {
            bucket.level -= bytes as f64;
        }
    }

    /// What the SDK was refused inside a request that went well in the end counts as well.
    fn seen(&mut self, ended: Ended, refusals: u64) -> Ended {
        let before = self.refusals;
        self.refusals = before.max(refusals);
        if refusals > before { Ended::Refused } else { ended }
    }

    fn slower(&mut self, began: Instant, ended: Ended, most: usize) {
        if self.halved.is_some_and(|halved| began <= halved) {
            return;
        }
        let now = Instant::now();
        self.bears = Some((self.at_once(most) / 2).max(1));
        (self.halved, self.successes) = (Some(now), 0);
        if ended == Ended::Refused {
            self.paused_until = Some(now + self.pause);
            self.pause = (self.pause * 2).min(PAUSE_MAX);
        }
    }

    fn faster(&mut self, most: usize) {
        self.successes += 1;
        let Some(bears) = self.bears else { return };
        if self.successes < bears {
            return;
        }
        (self.successes, self.pause) = (0, PAUSE_MIN);
        self.bears = (bears + 1 < most).then_some(bears + 1);
    }
}

impl Running {
    /// The fetch has ended: it has brought `more` bytes than it was begun with. `refusals` is what the store has counted so
    /// far. True where the source bears no more than one fetch at once and refuses even that.
    pub(crate) fn ended(self, ended: Ended, more: i64, refusals: u64, most: usize) -> bool {
        let mut state = self.limits.lock();
        if let Some(bucket) = &mut state.bytes {
            bucket.level -= more as f64;
        }
        let floor = state.bears == Some(1);
        match state.seen(ended, refusals) {
            Ended::Answered => state.faster(most),
            unwell => state.slower(self.began, unwell, most),
        }
        floor && ended == Ended::Refused
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.limits.lock().running -= 1;
    }
}

#[cfg(test)]
mod tests {
    use orgtrail_service::shape::Bytes;

    use super::*;

    fn limits(requests: Option<u32>, bytes: Option<u64>) -> Arc<Limits> {
        Arc::new(Limits::new(&config::Source {
            requests_per_second: requests,
            bytes_per_second: bytes.map(Bytes),
            ..Default::default()
        }))
    }

    async fn until_open(limits: &Limits, most: usize) {
        while let Some(wait) = limits.wait(most) {
            let Wait::Until(at) = wait else { panic!("busy") };
            sleep_until(at).await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_spell_of_refusals_halves_pauses_and_recovers() {
        let limits = limits(None, None);
        let round: Vec<_> = (0..64).map(|_| limits.begin(1)).collect();
        assert_eq!(limits.wait(64), Some(Wait::Busy));
        for running in round {
            assert!(!running.ended(Ended::Refused, 0, 0, 64));
        }
        assert_eq!(limits.at_once(64), 32, "one round halves once");
        let began = Instant::now();
        until_open(&limits, 64).await;
        assert!((500..=501).contains(&began.elapsed().as_millis()));
        limits.begin(1).ended(Ended::Refused, 0, 0, 64);
        assert_eq!(limits.at_once(64), 16);
        let began = Instant::now();
        until_open(&limits, 64).await;
        assert!((1000..=1001).contains(&began.elapsed().as_millis()), "twice as long");
        let mut successes = 0;
        while limits.at_once(64) < 64 {
            limits.begin(1).ended(Ended::Answered, 0, 0, 64);
            successes += 1;
        }
        assert_eq!(successes, (16..64).sum::<usize>(), "one more for each round");
    }

    #[tokio::test(start_paused = true)]
    async fn it_never_falls_below_one_and_says_when_even_that_is_refused() {
        let limits = limits(None, None);
        for _ in 0..3 {
            until_open(&limits, 8).await;
            assert!(!limits.begin(1).ended(Ended::Refused, 0, 0, 8));
        }
        assert_eq!(limits.at_once(8), 1);
        until_open(&limits, 8).await;
        assert!(limits.begin(1).ended(Ended::Refused, 0, 0, 8));
        assert_eq!(limits.at_once(8), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_source_that_does_not_answer_gets_less_without_a_pause() {
        let limits = limits(None, None);
        limits.begin(1).ended(Ended::Unwell, 0, 0, 64);
        assert_eq!((limits.at_once(64), limits.wait(64)), (32, None));
    }

    #[tokio::test(start_paused = true)]
    async fn what_the_sdk_was_refused_and_repeated_counts_too() {
        let limits = limits(None, None);
        limits.begin(1).ended(Ended::Answered, 0, 3, 64);
        assert_eq!(limits.at_once(64), 32);
        until_open(&limits, 64).await;
        limits.begin(1).ended(Ended::Answered, 0, 3, 64);
        assert_eq!(limits.at_once(64), 32, "the same three");
    }

    #[tokio::test(start_paused = true)]
    async fn a_cancelled_fetch_leaves_its_place() {
        let limits = limits(None, None);
        let running = limits.begin(1);
        assert_eq!(limits.wait(1), Some(Wait::Busy));
        drop(running);
        assert_eq!(limits.wait(1), None);
    }

    #[tokio::test(start_paused = true)]
    async fn requests_a_second_hold_for_listings_and_fetches_together() {
        let limits = limits(Some(10), None);
        let began = Instant::now();
        for n in 0..100 {
            if n % 2 == 0 {
                limits.request().await;
            } else {
                until_open(&limits, 64).await;
                drop(limits.begin(0));
            }
        }
        // The first second's worth is there at once.
        let seconds = began.elapsed().as_secs_f64();
        assert!((8.9..=9.1).contains(&seconds), "100 requests in {seconds} s");
    }

    #[tokio::test(start_paused = true)]
    async fn bytes_a_second_hold_for_objects_of_any_size_and_of_sizes_that_were_not_known() {
        let limits = limits(None, Some(1000));
        let began = Instant::now();
        for _ in 0..10 {
            until_open(&limits, 64).await;
            limits.begin(500).ended(Ended::Answered, 2500, 0, 64);
        }
        until_open(&limits, 64).await;
        let seconds = began.elapsed().as_secs_f64();
        assert!((28.9..=29.1).contains(&seconds), "30,000 bytes in {seconds} s");
    }
}
