//! The bytes that may be held from the fetch to the answer.
//!
//! Owns what is charged for an object, and the part of the budget that backfills may have: half, so that something live
//! never finds all of it taken by the past. Content is not charged: it is looked at in pieces (`inflate`).

use orgtrail_service::budget::{Budget, Permit};
use orgtrail_service::shape::Bytes;

use crate::object::{Lane, ObjectRef};

/// What is charged for an object whose size nobody has told, until it is there. Nine of ten are smaller.
const UNKNOWN_BYTES: u64 = 1 << 20;

/// See the module's description.
#[derive(Debug)]
pub(super) struct Memory {
    all: Budget,
    backfill: Budget,
}

/// The right to hold some bytes; goes when it is dropped.
#[derive(Debug)]
pub(crate) struct Held {
    memory: Permit,
    share: Option<Permit>,
}

/// What an object is charged before it is there.
pub(super) fn charge(object: &ObjectRef) -> u64 {
    if object.size == 0 { UNKNOWN_BYTES } else { object.charge() }
}

impl Memory {
    pub(super) fn new(all: Budget) -> Self {
        let backfill = Budget::new(Bytes(all.total().as_u64() / 2));
        Self { all, backfill }
    }

    /// Whether the object's lane has room now. Live objects wait for theirs instead.
    pub(super) fn admits(&self, object: &ObjectRef) -> bool {
        object.lane == Lane::Live || self.backfill.has_room(charge(object))
    }

    /// Waits for the right to so many bytes. Cancel-safe: dropped while waiting, it takes nothing.
    pub(super) async fn acquire(&self, lane: Lane, bytes: u64) -> Held {
        let share = match lane {
            Lane::Live => None,
            Lane::Backfill { .. } => Some(self.backfill.acquire(bytes).await),
        };
        Held { memory: self.all.acquire(bytes).await, share }
    }

    /// Waits until the backfill lane has room for so many bytes.
    pub(super) async fn backfill_room(&self, bytes: u64) {
        drop(self.backfill.acquire(bytes).await);
    }
}

impl Held {
    pub(super) fn bytes(&self) -> u64 {
        self.memory.bytes()
    }

    /// Gives back what is held above `bytes`.
    pub(super) fn shrink_to(&mut self, bytes: u64) {
        self.memory.shrink_to(bytes);
        if let Some(share) = &mut self.share {
            share.shrink_to(bytes);
        }
    }
}

impl From<Permit> for Held {
    fn from(memory: Permit) -> Self {
        Self { memory, share: None }
    }
}
