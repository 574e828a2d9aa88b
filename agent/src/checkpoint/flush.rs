//! When what changed in memory gets to the disk.
//!
//! Owns how much a crash may cost: what changed within [`FLUSH_AFTER`]. Nothing that relies on the present may go by that;
//! it flushes itself.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use orgtrail_service::disk::durably;
use tokio_util::sync::CancellationToken;

use super::{Checkpoint, Error};

/// How long a change may wait for the disk; see the crash story of `checkpoint`.
const FLUSH_AFTER: Duration = Duration::from_millis(500);

impl Checkpoint {
    /// Makes everything so far survive a crash.
    pub(crate) fn flush(&self) -> Result<(), Error> {
        durably(&self.dir, "flush the checkpoint", || self.db.flush())?;
        Ok(())
    }

    /// Flushes soon after every change, until cancelled. Sleeps while nothing changes.
    pub(crate) async fn keep_flushed(self: Arc<Self>, cancel: CancellationToken) -> anyhow::Result<()> {
        loop {
            let due = async {
                self.changed.notified().await;
                tokio::time::sleep(FLUSH_AFTER).await;
            };
            // Cancel-safe: the end of the process flushes what a dropped wait has forgotten.
            tokio::select! {
                () = cancel.cancelled() => return Ok(()),
                () = due => {}
            }
            let this = Arc::clone(&self);
            tokio::task::spawn_blocking(move || this.flush()).await.context("flush the checkpoint")??;
        }
    }
}
