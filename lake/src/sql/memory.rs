//! How the memory of queries is shared: a part stays free of operators that can write to disk, for those that can't, such
//! as the one that merges what was sorted. Without it a sort that took everything could never be read.

use std::fmt;

use datafusion::common::Result;
use datafusion::execution::memory_pool::{
    FairSpillPool, GreedyMemoryPool, MemoryConsumer, MemoryLimit, MemoryPool, MemoryReservation,
};

/// The memory of all queries.
#[derive(Debug)]
pub(super) struct QueryMemory {
    /// What operators that can spill share, evenly: three quarters.
    spilling: FairSpillPool,
    /// Everything.
    all: GreedyMemoryPool,
    bytes: usize,
}

impl QueryMemory {
    pub(super) fn new(bytes: usize) -> Self {
        Self { spilling: FairSpillPool::new(bytes / 4 * 3), all: GreedyMemoryPool::new(bytes), bytes }
    }
}

/// The operator that merges the sorted partitions of an answer. It holds a few batches for each processor, and comes when
/// the sorts, which merge what they wrote to disk with all the memory that they can get, have taken the rest.
const MERGE: &str = "SortPreservingMergeExec";

fn can_spill(reservation: &MemoryReservation) -> bool {
    reservation.consumer().can_spill()
}

impl MemoryPool for QueryMemory {
    fn name(&self) -> &str {
        "query.memory"
    }

    fn register(&self, consumer: &MemoryConsumer) {
        self.spilling.register(consumer);
    }

    fn unregister(&self, consumer: &MemoryConsumer) {
        self.spilling.unregister(consumer);
    }

    fn grow(&self, reservation: &MemoryReservation, additional: usize) {
        if can_spill(reservation) {
            self.spilling.grow(reservation, additional);
        }
        self.all.grow(reservation, additional);
    }

    fn shrink(&self, reservation: &MemoryReservation, shrink: usize) {
        if can_spill(reservation) {
            self.spilling.shrink(reservation, shrink);
        }
        self.all.shrink(reservation, shrink);
    }

    fn try_grow(&self, reservation: &MemoryReservation, additional: usize) -> Result<()> {
        if reservation.consumer().name().starts_with(MERGE) {
            self.all.grow(reservation, additional);
            return Ok(());
        }
        if !can_spill(reservation) {
            return self.all.try_grow(reservation, additional);
        }
        self.spilling.try_grow(reservation, additional)?;
        self.all.try_grow(reservation, additional).inspect_err(|_| self.spilling.shrink(reservation, additional))
    }

    fn reserved(&self) -> usize {
        self.all.reserved()
    }

    fn memory_limit(&self) -> MemoryLimit {
        MemoryLimit::Finite(self.bytes)
    }
}

impl fmt::Display for QueryMemory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "query.memory of {} bytes", self.bytes)
    }
}
