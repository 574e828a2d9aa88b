//! A log sink in memory, for tests, as strict as CloudWatch Logs is documented to be: no emulator enforces its limits.

use super::{AGE_MAX, AHEAD_MAX, LogEvent, LogSink, PutOutcome, Rejection, check, subject};
use crate::{Error, ErrorKind};
use async_trait::async_trait;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// CloudWatch Logs in memory. Clones share it.
#[derive(Clone, Debug)]
pub struct FakeSink {
    state: Arc<Mutex<State>>,
}

#[derive(Debug)]
struct State {
    now_ms: i64,
    retention: Option<Duration>,
    groups: BTreeSet<String>,
    streams: BTreeMap<(String, String), Vec<LogEvent>>,
    failing: Vec<ErrorKind>,
    down: Option<ErrorKind>,
    attempts: u64,
    batches: Vec<usize>,
}

impl FakeSink {
    /// A sink whose clock stands at this time, in milliseconds since the Unix epoch.
    pub fn new(now_ms: i64) -> Self {
        let state = State {
            now_ms,
            retention: None,
            groups: BTreeSet::new(),
            streams: BTreeMap::new(),
            failing: Vec::new(),
            down: None,
            attempts: 0,
            batches: Vec::new(),
        };
        Self { state: Arc::new(Mutex::new(state)) }
    }

    /// Moves the clock.
    pub fn set_now_ms(&self, now_ms: i64) {
        self.lock().now_ms = now_ms;
    }

    /// How long groups keep events. Older ones are rejected as expired.
    pub fn set_retention(&self, retention: Option<Duration>) {
        self.lock().retention = retention;
    }

    /// The next put fails like this. Several add up.
    pub fn fail_next(&self, kind: ErrorKind) {
        self.lock().failing.push(kind);
    }

    /// Every call fails like this until it is set to None.
    pub fn set_down(&self, down: Option<ErrorKind>) {
        self.lock().down = down;
    }

    /// Deletes a group with its streams.
    pub fn delete_group(&self, group: &str) {
        let mut state = self.lock();
        state.groups.remove(group);
        state.streams.retain(|(of, _), _| of != group);
    }

    /// How many puts there were, failed ones included.
    pub fn attempts(&self) -> u64 {
        self.lock().attempts
    }

    /// The streams of a group, by name.
    pub fn streams(&self, group: &str) -> Vec<String> {
        self.lock().streams.keys().filter(|(of, _)| of == group).map(|(_, stream)| stream.clone()).collect()
    }

    /// What a stream holds, in the order in which it came.
    pub fn events(&self, group: &str, stream: &str) -> Vec<LogEvent> {
        self.lock().streams.get(&(group.to_owned(), stream.to_owned())).cloned().unwrap_or_default()
    }

    /// How many events each accepted batch had, in the order in which they came.
    pub fn batches(&self) -> Vec<usize> {
        self.lock().batches.clone()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl LogSink for FakeSink {
    async fn ensure(&self, group: &str, stream: &str) -> Result<(), Error> {
        let mut state = self.lock();
        if let Some(kind) = &state.down {
            return Err(Error::new(kind.clone(), "create", subject(group, stream)).detail("as the test asked"));
        }
        state.groups.insert(group.to_owned());
        state.streams.entry((group.to_owned(), stream.to_owned())).or_default();
        Ok(())
    }

    async fn put(&self, group: &str, stream: &str, events: &[LogEvent]) -> Result<PutOutcome, Error> {
        let mut state = self.lock();
        state.attempts += 1;
        let failing = if state.failing.is_empty() { state.down.clone() } else { Some(state.failing.remove(0)) };
        if let Some(kind) = failing {
            return Err(Error::new(kind, "put to", subject(group, stream)).detail("as the test asked"));
        }
        check(group, stream, events)?;
        let age = |limit: Duration| state.now_ms - limit.as_millis() as i64;
        let older = |limit: Duration| 0..events.partition_point(|event| event.timestamp_ms < age(limit));
        let latest = state.now_ms + AHEAD_MAX.as_millis() as i64;
        let newer = events.partition_point(|event| event.timestamp_ms <= latest)..events.len();
        let mut rejected = vec![(older(AGE_MAX), Rejection::TooOld), (newer, Rejection::TooNew)];
        rejected.extend(state.retention.map(|kept| (older(kept), Rejection::Expired)));
        rejected.retain(|(range, _)| !range.is_empty());
        let outcome = PutOutcome { rejected };
        let stored = state.streams.get_mut(&(group.to_owned(), stream.to_owned())).ok_or_else(|| {
            Error::new(ErrorKind::ContainerMissing, "put to", subject(group, stream)).detail("no such stream")
        })?;
        stored.extend(events.iter().enumerate().filter(|(i, _)| outcome.is_stored(*i)).map(|(_, event)| event.clone()));
        state.batches.push(events.len());
        Ok(outcome)
    }
}
