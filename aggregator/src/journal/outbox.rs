//! Notifications that are to be published: written with what they announce, removed when they are out.
//!
//! Owns their order and their bound. A topic that is out of order for long costs notifications, counted, and never a delivery.

use std::sync::atomic::{AtomicU64, Ordering};

use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use super::store::{Batch, Space, Store};
use super::{Error, Journal};

/// Notifications that may wait, over all trails.
pub(crate) const WAITING_MAX: u64 = 100_000;

/// Keys in one notification: with the longest keys far below the 256 KiB of an SNS message (SNS API reference, Publish).
const KEYS_MAX: usize = 200;

/// Counts what waits and numbers what comes.
#[derive(Debug)]
pub(super) struct Outbox {
    next: AtomicU64,
    waiting: AtomicU64,
    dropped: AtomicU64,
    grown: watch::Sender<u64>,
}

/// One notification: the keys of delivered objects, below the trail's location.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Notice {
    /// The objects.
    pub(crate) keys: Vec<String>,
}

impl Outbox {
    pub(super) fn open(store: &Store) -> Result<Self, Error> {
        let (mut next, mut waiting) = (0, 0);
        let mut after: Option<Vec<u8>> = None;
        loop {
            let rows = store.rows::<Notice>(Space::Outbox, b"", after.as_deref(), 1000)?;
            let Some((last, _)) = rows.last() else { break };
            waiting += rows.len() as u64;
            next = rows.iter().filter_map(|(key, _)| number_of(key)).max().map_or(next, |number| next.max(number + 1));
            after = Some(last.clone());
        }
        let (next, waiting) = (AtomicU64::new(next), AtomicU64::new(waiting));
        Ok(Self { next, waiting, dropped: AtomicU64::new(0), grown: watch::Sender::new(0) })
    }

    /// Adds notifications to a batch; how many, for `committed`.
    pub(super) fn put(&self, batch: &mut Batch<'_>, trail: &str, keys: &[String]) -> u64 {
        let mut added = 0;
        for keys in keys.chunks(KEYS_MAX) {
            if self.waiting.load(Ordering::Acquire) + added >= WAITING_MAX {
                self.dropped.fetch_add(1, Ordering::Relaxed);
                continue;
            }
            let number = self.next.fetch_add(1, Ordering::AcqRel);
            batch.put_row(Space::Outbox, &row_key(trail, number), &Notice { keys: keys.to_vec() });
            added += 1;
        }
        added
    }

    pub(super) fn committed(&self, added: u64) {
        if added > 0 {
            self.waiting.fetch_add(added, Ordering::AcqRel);
            self.grown.send_modify(|count| *count += added);
        }
    }
}

impl Journal {
    /// The oldest notifications of a trail, with their keys in the store.
    pub(crate) fn notices(&self, trail: &str, count: usize) -> Result<Vec<(Vec<u8>, Notice)>, Error> {
        self.shared.store.rows(Space::Outbox, &prefix(trail), None, count)
    }

    /// They are out.
    pub(crate) fn published(&self, keys: &[Vec<u8>]) -> Result<(), Error> {
        let mut batch = self.shared.store.batch();
        keys.iter().for_each(|key| batch.remove_row(Space::Outbox, key));
        batch.commit()?;
        self.shared.outbox.waiting.fetch_sub(keys.len() as u64, Ordering::AcqRel);
        Ok(())
    }

    /// Moves when notifications come.
    pub(crate) fn watch_notices(&self) -> watch::Receiver<u64> {
        self.shared.outbox.grown.subscribe()
    }

    /// Notifications that wait, and those that were given up since the process started because too many did.
    pub(crate) fn notices_waiting_and_dropped(&self) -> (u64, u64) {
        let outbox = &self.shared.outbox;
        (outbox.waiting.load(Ordering::Acquire), outbox.dropped.load(Ordering::Relaxed))
    }
}

fn prefix(trail: &str) -> Vec<u8> {
    [trail.as_bytes(), b"\0"].concat()
}

fn row_key(trail: &str, number: u64) -> Vec<u8> {
    [&prefix(trail)[..], &number.to_be_bytes()].concat()
}

fn number_of(key: &[u8]) -> Option<u64> {
    key.last_chunk().map(|bytes| u64::from_be_bytes(*bytes))
}
