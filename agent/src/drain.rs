//! Decides when a run with `once` has nothing left to do.
//!
//! Owns the condition: every source walked, every folder listed to its end without news, every wish for a retry looked at,
//! every digest compared, no object in flight, and everything acknowledged delivered. Another journal epoch on the way starts it over. Keeps
//! nothing; on cancellation the run is incomplete. Digests whose public keys cannot be asked for are left after a few
//! attempts, as nothing is lost by it: the next run takes them.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::time::{Instant, timeout};

use crate::checkpoint::{Checkpoint, Progress};
use crate::{completeness, discover, ship};

/// Changes wake the wait; this is for those that do not show in the sums.
const LOOK_INTERVAL: Duration = Duration::from_millis(50);
/// How often the aggregator is asked to deliver what it holds.
const FLUSH_INTERVAL: Duration = Duration::from_secs(2);

/// Everything that has to come to rest.
#[derive(Debug)]
pub(crate) struct Drain {
    pub(crate) checkpoint: Arc<Checkpoint>,
    pub(crate) folders: discover::Folders,
    pub(crate) discover: discover::Handle,
    pub(crate) completeness: completeness::Handle,
    pub(crate) link: ship::Handle,
    pub(crate) retries: RetryRounds,
}

/// The face of the retries: asks for a look, and counts the looks.
#[derive(Debug, Clone)]
pub(crate) struct RetryRounds {
    pub(crate) look: Arc<Notify>,
    pub(crate) rounds: watch::Receiver<u64>,
}

impl RetryRounds {
    /// Waits for a look that began after this call.
    async fn pass(&mut self) {
        // The first may have begun before.
        for _ in 0..2 {
            let seen = *self.rounds.borrow_and_update();
            self.look.notify_one();
            if self.rounds.wait_for(|rounds| *rounds > seen).await.is_err() {
                return;
            }
        }
    }
}

impl Drain {
    /// Returns when nothing is left that could be done; false where digests are left, as their public keys cannot be had.
    pub(crate) async fn run(mut self) -> bool {
        let mut progress = self.checkpoint.progress();
        let mut flushed: Option<Instant> = None;
        loop {
            if !self.is_settled() {
                flushed = None;
                look(&mut progress).await;
                continue;
            }
            self.retries.pass().await;
            if !self.completeness.pass().await || !self.is_settled() {
                continue;
            }
            let undelivered = progress.borrow_and_update().undelivered;
            if undelivered == 0 {
                return self.folders.workable().len() == self.folders.len();
            }
            if flushed.is_none_or(|at| at.elapsed() >= FLUSH_INTERVAL) {
                self.link.flush();
                flushed = Some(Instant::now());
            }
            look(&mut progress).await;
        }
    }

    /// Whether every object of the watched folders is answered for, or left.
    fn is_settled(&self) -> bool {
        self.discover.is_quiet() && self.checkpoint.claimed_in(&self.folders.workable()) == 0
    }
}

async fn look(progress: &mut watch::Receiver<Progress>) {
    // Cancel-safe: a change that is missed is seen at the next look.
    drop(timeout(LOOK_INTERVAL, progress.changed()).await);
}
