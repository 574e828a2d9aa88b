//! Connections that wait for their next request, of all stores of a process.
//!
//! Bounded in number and in time: an agent has stores by the thousand, and S3 closes what is idle for some twenty seconds
//! anyway. They belong to the runtime that made them, so another runtime (every test has one) gets another pool.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::runtime;

use super::wire::Wire;

/// Idle connections of a process.
const IDLE_MAX: usize = 256;

/// How long a connection may be idle and be used again.
const IDLE_AGE_MAX: Duration = Duration::from_secs(15);

/// The pool.
#[derive(Debug)]
pub(super) struct Pool(Mutex<Idle>);

#[derive(Debug)]
struct Idle {
    /// By scheme and authority, the one used last at the end.
    wires: HashMap<Arc<str>, Vec<(Instant, Wire)>>,
    count: usize,
    swept: Instant,
}

impl Pool {
    /// This runtime's.
    pub(super) fn shared() -> Arc<Self> {
        static SHARED: Mutex<Option<(runtime::Id, Arc<Pool>)>> = Mutex::new(None);
        let here = runtime::Handle::current().id();
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        match &*shared {
            Some((id, pool)) if *id == here => Arc::clone(pool),
            _ => {
                let idle = Idle { wires: HashMap::new(), count: 0, swept: Instant::now() };
                let pool = Arc::new(Self(Mutex::new(idle)));
                *shared = Some((here, Arc::clone(&pool)));
                pool
            }
        }
    }

    /// A connection to there that was idle for a short time only.
    pub(super) fn take(&self, to: &Arc<str>) -> Option<Wire> {
        let mut idle = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (since, wire) = idle.wires.get_mut(to)?.pop()?;
        idle.count -= 1;
        (since.elapsed() < IDLE_AGE_MAX).then_some(wire)
    }

    /// Keeps a connection for the next request.
    pub(super) fn keep(&self, to: &Arc<str>, wire: Wire) {
        let now = Instant::now();
        let mut idle = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if now.duration_since(idle.swept) > IDLE_AGE_MAX {
            idle.swept = now;
            for wires in idle.wires.values_mut() {
                wires.retain(|(since, _)| now.duration_since(*since) < IDLE_AGE_MAX);
            }
            idle.wires.retain(|_, wires| !wires.is_empty());
            idle.count = idle.wires.values().map(Vec::len).sum();
        }
        if idle.count < IDLE_MAX {
            idle.count += 1;
            match idle.wires.get_mut(to) {
                Some(wires) => wires.push((now, wire)),
                None => drop(idle.wires.insert(Arc::clone(to), vec![(now, wire)])),
            }
        }
    }
}
