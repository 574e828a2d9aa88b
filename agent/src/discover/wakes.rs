//! Folders that the timetable has to look at before their time.
//!
//! Owns which, and that each is named once, however often it is asked for: so it is bounded by the number of folders. Does
//! not own what becomes of them (`schedule`). Nothing here survives a crash or has to.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Notify;

use crate::checkpoint::FolderId;

/// Why a folder is to be looked at. The greater one counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Wake {
    /// Its objects fail to be fetched behind a listing.
    Trouble,
    /// Something came, or somebody waits for it: it is listed at once, and often from now on.
    News,
}

/// The folders; clones share them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Wakes(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    pending: Mutex<BTreeMap<FolderId, Wake>>,
    bell: Notify,
}

impl Wakes {
    /// Asks for a look at a folder. Cheap, never waits.
    pub(crate) fn wake(&self, folder: FolderId, why: Wake) {
        let mut pending = self.0.pending.lock().unwrap_or_else(PoisonError::into_inner);
        let known = pending.entry(folder).or_insert(why);
        *known = why.max(*known);
        drop(pending);
        self.0.bell.notify_one();
    }

    /// Waits until there is something to look at. Cancel-safe: what is pending stays so until it is taken.
    pub(super) async fn ring(&self) {
        self.0.bell.notified().await;
    }

    /// Everything that is pending.
    pub(super) fn take(&self) -> BTreeMap<FolderId, Wake> {
        std::mem::take(&mut *self.0.pending.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
