//! The one place that reads the wall clock.
//!
//! Everything else holds an `Arc<dyn Clock>`, so a test can stand at a moment, jump, or go back. Measuring how
//! long something took is no business of this module: `std::time::Instant` is fine for that.

use std::fmt::Debug;
use std::sync::{Arc, Mutex, PoisonError};

use jiff::{SignedDuration, Timestamp};

/// Tells what time it is.
pub trait Clock: Send + Sync + Debug {
    /// The present moment, UTC. May go backwards when the machine's clock is set back.
    fn now(&self) -> Timestamp;
}

/// The machine's own clock.
#[must_use]
pub fn system() -> Arc<dyn Clock> {
    Arc::new(System)
}

#[derive(Debug)]
struct System;

impl Clock for System {
    #[expect(clippy::disallowed_methods, reason = "this is the seam the ban points at")]
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }
}

/// A clock that moves only when it is told to. For tests and simulations.
#[derive(Debug)]
pub struct Manual {
    now: Mutex<Timestamp>,
}

impl Manual {
    /// A clock that stands at `start`.
    #[must_use]
    pub fn new(start: Timestamp) -> Arc<Self> {
        Arc::new(Self { now: Mutex::new(start) })
    }

    /// Moves on by `step`; a negative step goes back.
    pub fn advance(&self, step: SignedDuration) {
        let mut now = self.now.lock().unwrap_or_else(PoisonError::into_inner);
        *now += step;
    }

    /// Jumps to `moment`.
    pub fn set(&self, moment: Timestamp) {
        *self.now.lock().unwrap_or_else(PoisonError::into_inner) = moment;
    }
}

impl Clock for Manual {
    fn now(&self) -> Timestamp {
        *self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manual_clock_moves_only_when_told() {
        let clock = Manual::new(Timestamp::UNIX_EPOCH);
        assert_eq!(clock.now(), Timestamp::UNIX_EPOCH);
        clock.advance(SignedDuration::from_secs(90));
        assert_eq!(clock.now().as_second(), 90);
        clock.advance(SignedDuration::from_secs(-30));
        assert_eq!(clock.now().as_second(), 60);
        clock.set(Timestamp::UNIX_EPOCH);
        assert_eq!(clock.now(), Timestamp::UNIX_EPOCH);
    }

    #[test]
    fn the_system_clock_is_in_this_century() {
        assert!(system().now().as_second() > 1_700_000_000);
    }
}
