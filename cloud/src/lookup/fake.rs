//! An event history in memory, for tests: events become visible when the test says so, pages are small, and calls can be
//! throttled.

use super::{HistoryEvent, Lookup, LookupPage, LookupRequest, PAGE_EVENTS_MAX};
use crate::{Error, ErrorKind};
use async_trait::async_trait;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The event history of one account and region in memory. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct FakeLookup {
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    events: Vec<HistoryEvent>,
    /// Errors of the next calls.
    failing: Vec<Error>,
    down: Option<ErrorKind>,
    calls: u64,
}

impl FakeLookup {
    /// An empty history.
    pub fn new() -> Self {
        Self::default()
    }

    /// From now on this event is found.
    pub fn put(&self, event: HistoryEvent) {
        self.lock().events.push(event);
    }

    /// The next call fails like this. Several add up.
    pub fn fail_next(&self, error: Error) {
        self.lock().failing.push(error);
    }

    /// Every call fails like this until it is set to None.
    pub fn set_down(&self, down: Option<ErrorKind>) {
        self.lock().down = down;
    }

    /// How many calls there were, failed ones included.
    pub fn calls(&self) -> u64 {
        self.lock().calls
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Lookup for FakeLookup {
    async fn page(&self, request: &LookupRequest) -> Result<LookupPage, Error> {
        let mut state = self.lock();
        state.calls += 1;
        if !state.failing.is_empty() {
            return Err(state.failing.remove(0));
        }
        if let Some(kind) = &state.down {
            return Err(Error::new(kind.clone(), "look up", "events of the test").detail("as the test asked"));
        }
        let within = |event: &&HistoryEvent| event.time.is_none_or(|at| (request.start..=request.end).contains(&at));
        let mut events: Vec<HistoryEvent> = state.events.iter().filter(within).cloned().collect();
        events.sort_by_key(|event| std::cmp::Reverse(event.time));
        // A token counts what was handed out: an event that comes up between two pages moves the others, as at AWS.
        let from: usize = request.continuation.as_deref().and_then(|token| token.parse().ok()).unwrap_or_default();
        let to = (from + PAGE_EVENTS_MAX).min(events.len());
        let next = (to < events.len()).then(|| to.to_string());
        Ok(LookupPage { events: events.drain(from.min(to)..to).collect(), next })
    }
}
