//! What is wrong with this process right now, part by part, and whether its watched loops still turn.
//!
//! It owns the list; `http` shows it as `/healthz` and `/readyz`, and the process puts it into its status. Only parts
//! that are degraded are kept, at most [`PARTS_MAX`]; the rest are counted. Nothing survives a restart.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::clock::Clock;

/// Degraded parts kept one by one. An agent over thousands of account × region pairs whose role was withdrawn stays
/// readable and small.
pub const PARTS_MAX: usize = 1000;

/// A part that does not do its work.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Degraded {
    /// Such as `source s3://bucket 123456789012/eu-west-1`.
    pub part: String,
    /// What is wrong and what to do.
    pub reason: String,
    /// When it began; a changed reason does not reset it.
    pub since: Timestamp,
}

/// What is wrong at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// Whether nothing is degraded. A process that still starts up says so with a part of its own.
    pub ready: bool,
    /// Degraded parts by name.
    pub degraded: Vec<Degraded>,
    /// Reports of degraded parts that were not kept because the list was full.
    pub unlisted: u64,
}

/// The health of a process; clones share it.
#[derive(Debug, Clone)]
pub struct Health {
    clock: Arc<dyn Clock>,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    degraded: BTreeMap<String, (String, Timestamp)>,
    unlisted: u64,
    beats: HashMap<&'static str, (Instant, Duration)>,
}

impl Health {
    /// Everything is fine so far.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, state: Arc::default() }
    }

    /// `part` works, or works again. Cheap when it did before.
    pub fn set_ok(&self, part: &str) {
        let removed = self.state().degraded.remove(part);
        if removed.is_some() {
            tracing::info!(health.part = part, "recovered");
        }
    }

    /// `part` does not work. The first report is logged as a warning; repeated ones only update the reason.
    pub fn set_degraded(&self, part: &str, reason: impl Into<String>) {
        let reason = reason.into();
        let now = self.clock.now();
        let mut state = self.state();
        if let Some((known, _)) = state.degraded.get_mut(part) {
            *known = reason;
            return;
        }
        if state.degraded.len() >= PARTS_MAX {
            state.unlisted += 1;
            return;
        }
        tracing::warn!(health.part = part, reason, "degraded");
        state.degraded.insert(part.to_owned(), (reason, now));
    }

    /// Watches a loop: from now on it must call [`Beat::tick`] at least every `within`, or `/healthz` fails.
    #[must_use]
    pub fn watch(&self, part: &'static str, within: Duration) -> Beat {
        let beat = Beat { health: self.clone(), part };
        self.state().beats.insert(part, (Instant::now(), within));
        beat
    }

    /// The watched loops that did not turn in time, by name.
    #[must_use]
    pub fn stuck(&self) -> Vec<&'static str> {
        let state = self.state();
        let late = state.beats.iter().filter(|(_, (last, within))| last.elapsed() > *within);
        let mut parts: Vec<_> = late.map(|(part, _)| *part).collect();
        parts.sort_unstable();
        parts
    }

    /// What is wrong at this moment.
    #[must_use]
    pub fn report(&self) -> Report {
        let state = self.state();
        let degraded: Vec<_> = state
            .degraded
            .iter()
            .map(|(part, (reason, since))| Degraded { part: part.clone(), reason: reason.clone(), since: *since })
            .collect();
        Report { ready: degraded.is_empty(), degraded, unlisted: state.unlisted }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The sign of life of one watched loop. Dropped, the loop is no longer expected to turn: it ended in good order.
#[derive(Debug)]
pub struct Beat {
    health: Health,
    part: &'static str,
}

impl Beat {
    /// The loop turned.
    pub fn tick(&self) {
        if let Some((last, _)) = self.health.state().beats.get_mut(self.part) {
            *last = Instant::now();
        }
    }
}

impl Drop for Beat {
    fn drop(&mut self) {
        self.health.state().beats.remove(self.part);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Manual;
    use jiff::SignedDuration;

    #[test]
    fn a_degraded_part_keeps_when_it_began() {
        let clock = Manual::new(Timestamp::UNIX_EPOCH);
        let health = Health::new(clock.clone());
        assert!(health.report().ready);
        health.set_degraded("source a", "access denied");
        clock.advance(SignedDuration::from_secs(60));
        health.set_degraded("source a", "role not found");
        let report = health.report();
        assert!(!report.ready);
        assert_eq!(report.degraded[0].reason, "role not found");
        assert_eq!(report.degraded[0].since, Timestamp::UNIX_EPOCH);
        health.set_ok("source a");
        health.set_ok("source b");
        assert!(health.report().ready);
    }

    #[test]
    fn the_list_is_bounded_and_says_so() {
        let health = Health::new(Manual::new(Timestamp::UNIX_EPOCH));
        for n in 0..PARTS_MAX + 7 {
            health.set_degraded(&format!("part {n}"), "down");
        }
        let report = health.report();
        assert_eq!((report.degraded.len(), report.unlisted), (PARTS_MAX, 7));
    }

    #[test]
    fn a_loop_that_stops_turning_is_seen() {
        let health = Health::new(Manual::new(Timestamp::UNIX_EPOCH));
        let steady = health.watch("steady", Duration::from_secs(3600));
        let stuck = health.watch("stuck", Duration::ZERO);
        std::thread::sleep(Duration::from_millis(2));
        assert_eq!(health.stuck(), ["stuck"]);
        drop(stuck);
        steady.tick();
        assert!(health.stuck().is_empty());
    }
}
