//! How fast a backfill hands objects on, where an operator says so.

use std::sync::{Mutex, PoisonError};

use tokio::time::{Instant, sleep_until};

use super::job::Rate;
use crate::limits::Bucket;

/// All places of a job share it.
#[derive(Debug)]
pub(super) struct Pace {
    rate: Rate,
    bucket: Mutex<Bucket>,
}

impl Pace {
    pub(super) fn new(rate: Rate) -> Self {
        let per_second = match rate {
            Rate::Objects(objects) => f64::from(objects),
            Rate::Bytes(bytes) => bytes as f64,
        };
        Self { rate, bucket: Mutex::new(Bucket::new(per_second)) }
    }

    /// Waits until an object of so many bytes may go. Cancel-safe: dropped while waiting, it takes nothing.
    pub(super) async fn wait(&self, bytes: u64) {
        let cost = match self.rate {
            Rate::Objects(_) => 1.0,
            Rate::Bytes(_) => bytes as f64,
        };
        loop {
            let due = self.bucket.lock().unwrap_or_else(PoisonError::into_inner).take(cost, Instant::now());
            match due {
                None => return,
                Some(at) => sleep_until(at).await,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn seconds(rate: Rate, objects: &[u64]) -> u64 {
        let (pace, began) = (Pace::new(rate), Instant::now());
        for bytes in objects {
            pace.wait(*bytes).await;
        }
        began.elapsed().as_secs()
    }

    #[tokio::test(start_paused = true)]
    async fn objects_or_bytes_a_second_are_kept_to() {
        assert_eq!(seconds(Rate::Objects(10), &[1 << 30; 51]).await, 4, "after the first second's ten");
        assert_eq!(seconds(Rate::Bytes(1000), &[500; 20]).await, 9 - 1);
        assert_eq!(seconds(Rate::Bytes(1000), &[5000, 1]).await, 4, "one may be larger than a second's");
    }
}
