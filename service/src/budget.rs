//! A bound on bytes held in memory: permits that travel with the data they were taken for.
//!
//! It owns the count, not the data. A permit gives its bytes back when it is dropped, so a task that is
//! cancelled or panics returns them too; nothing survives a crash, and nothing has to.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::shape::Bytes;

/// Permits are counted in this unit: a semaphore permit count is a `u32`, and 4 GiB of bytes would not fit.
const UNIT: u64 = 1024;

/// A bound on bytes in flight, shared by clones.
#[derive(Debug, Clone)]
pub struct Budget {
    semaphore: Arc<Semaphore>,
    units: u32,
}

/// The right to hold some bytes. Keep it beside them; dropping it lets the next one in.
#[derive(Debug)]
pub struct Permit {
    permit: OwnedSemaphorePermit,
}

impl Budget {
    /// A budget of `total` bytes, rounded up to whole KiB; at least one KiB, at most 4 TiB.
    #[must_use]
    pub fn new(total: Bytes) -> Self {
        let most = u64::try_from(Semaphore::MAX_PERMITS).unwrap_or(u64::MAX).min(u64::from(u32::MAX));
        let units = total.as_u64().div_ceil(UNIT).clamp(1, most);
        let units = u32::try_from(units).expect("clamped to u32");
        Self { semaphore: Arc::new(Semaphore::new(units as usize)), units }
    }

    /// Waits until `bytes` fit. First come, first served, so a large request is not starved by small ones. A
    /// request larger than the whole budget waits for all of it: it travels alone instead of never.
    ///
    /// Cancel-safe: dropped while waiting, it takes nothing.
    pub async fn acquire(&self, bytes: u64) -> Permit {
        let permit = Arc::clone(&self.semaphore).acquire_many_owned(self.units_for(bytes)).await;
        Permit { permit: permit.expect("the semaphore is never closed") }
    }

    /// Takes `bytes` if they fit at once and nobody is waiting.
    #[must_use]
    pub fn try_acquire(&self, bytes: u64) -> Option<Permit> {
        let permit = Arc::clone(&self.semaphore).try_acquire_many_owned(self.units_for(bytes)).ok()?;
        Some(Permit { permit })
    }

    /// Whether `bytes` would fit at once. Only somebody who is alone in acquiring can rely on it.
    #[must_use]
    pub fn has_room(&self, bytes: u64) -> bool {
        self.semaphore.available_permits() >= self.units_for(bytes) as usize
    }

    /// The whole budget.
    #[must_use]
    pub fn total(&self) -> Bytes {
        Bytes(u64::from(self.units) * UNIT)
    }

    /// Bytes taken at this moment, in whole KiB.
    #[must_use]
    pub fn in_use(&self) -> Bytes {
        let free = self.semaphore.available_permits() as u64;
        Bytes((u64::from(self.units).saturating_sub(free)) * UNIT)
    }

    fn units_for(&self, bytes: u64) -> u32 {
        u32::try_from(bytes.div_ceil(UNIT)).unwrap_or(u32::MAX).clamp(1, self.units)
    }
}

impl Permit {
    /// The bytes this permit stands for, in whole KiB.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.permit.num_permits() as u64 * UNIT
    }

    /// Gives back what is held above `bytes`: an object turned out smaller than announced.
    pub fn shrink_to(&mut self, bytes: u64) {
        let keep = usize::try_from(bytes.div_ceil(UNIT).max(1)).unwrap_or(usize::MAX);
        let surplus = self.permit.num_permits().saturating_sub(keep);
        drop(self.permit.split(surplus));
    }

    /// Takes over another permit of the same budget: two objects now travel in one batch.
    ///
    /// # Panics
    /// If `other` comes from a different budget; that is a mistake in the wiring.
    pub fn merge(&mut self, other: Self) {
        self.permit.merge(other.permit);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn bytes_come_back_when_the_permit_is_dropped() {
        let budget = Budget::new(Bytes::kib(10));
        let held = budget.acquire(6 * 1024).await;
        assert_eq!(budget.in_use(), Bytes::kib(6));
        assert!(budget.try_acquire(5 * 1024).is_none());
        drop(held);
        assert!(budget.try_acquire(5 * 1024).is_some());
        assert_eq!(budget.in_use(), Bytes(0));
    }

    #[tokio::test]
    async fn a_request_over_the_whole_budget_travels_alone() {
        let budget = Budget::new(Bytes::kib(4));
        assert!(budget.has_room(1 << 30));
        let small = budget.acquire(1).await;
        assert!(budget.has_room(1) && !budget.has_room(1 << 30));
        let waiting = budget.clone();
        let mut large = Box::pin(waiting.acquire(1 << 30));
        assert!(futures_poll_once(&mut large).await.is_none(), "waits for the small one");
        drop(small);
        let large = large.await;
        assert_eq!(large.bytes(), 4096);
        assert!(!budget.has_room(1));
        assert!(budget.try_acquire(1).is_none());
    }

    #[tokio::test]
    async fn a_waiting_large_request_is_not_overtaken() {
        let budget = Budget::new(Bytes::kib(4));
        let half = budget.acquire(2048).await;
        let mut large = Box::pin(budget.acquire(4096));
        assert!(futures_poll_once(&mut large).await.is_none());
        assert!(budget.try_acquire(1024).is_none(), "the free half is kept for the one that waits");
        drop(half);
        drop(large.await);
        assert_eq!(budget.in_use(), Bytes(0));
    }

    #[tokio::test]
    async fn permits_shrink_and_merge() {
        let budget = Budget::new(Bytes::kib(10));
        let mut first = budget.acquire(8 * 1024).await;
        first.shrink_to(2048);
        assert_eq!(budget.in_use(), Bytes::kib(2));
        let second = budget.acquire(3000).await;
        first.merge(second);
        assert_eq!(first.bytes(), 5 * 1024);
        drop(first);
        assert_eq!(budget.in_use(), Bytes(0));
    }

    async fn futures_poll_once<F: Future + Unpin>(future: &mut F) -> Option<F::Output> {
        std::future::poll_fn(|cx| match std::pin::Pin::new(&mut *future).poll(cx) {
            std::task::Poll::Ready(out) => std::task::Poll::Ready(Some(out)),
            std::task::Poll::Pending => std::task::Poll::Ready(None),
        })
        .await
    }
}
