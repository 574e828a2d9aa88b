//! Work that runs at once and is handed out in the order in which it was asked for.
//!
//! Owns the order. The bound is the caller's: it asks how much is running before it adds more. Dropping it ends what still
//! runs.

use std::collections::VecDeque;

use tokio::sync::oneshot;
use tokio::task::JoinSet;

/// Results in order, some of them still to come.
pub(super) struct InOrder<T> {
    slots: VecDeque<Slot<T>>,
    running: JoinSet<()>,
}

enum Slot<T> {
    Ready(T),
    Running(oneshot::Receiver<T>),
}

/// A task that ended without a result, which only a panic does.
#[derive(Debug, thiserror::Error)]
#[error("a task ended without a result")]
pub(super) struct Ended;

impl<T: Send + 'static> InOrder<T> {
    pub(super) fn new() -> Self {
        Self { slots: VecDeque::new(), running: JoinSet::new() }
    }

    /// Results that were not handed out yet.
    pub(super) fn len(&self) -> usize {
        self.slots.len()
    }

    /// Tasks that have not ended.
    pub(super) fn running(&mut self) -> usize {
        while self.running.try_join_next().is_some() {}
        self.running.len()
    }

    pub(super) fn push(&mut self, result: T) {
        self.slots.push_back(Slot::Ready(result));
    }

    pub(super) fn spawn(&mut self, work: impl Future<Output = T> + Send + 'static) {
        let (reply, answer) = oneshot::channel();
        self.running.spawn(async move {
            // Nobody hears it when the run was given up.
            drop(reply.send(work.await));
        });
        self.slots.push_back(Slot::Running(answer));
    }

    /// The next result; waits for it. `None`: there is none, now.
    pub(super) async fn next(&mut self) -> Option<Result<T, Ended>> {
        match self.slots.pop_front()? {
            Slot::Ready(result) => Some(Ok(result)),
            Slot::Running(answer) => Some(answer.await.map_err(|_| Ended)),
        }
    }

    /// The next result if it is there already.
    pub(super) fn try_next(&mut self) -> Option<Result<T, Ended>> {
        let answer = match self.slots.pop_front()? {
            Slot::Ready(result) => return Some(Ok(result)),
            Slot::Running(answer) => answer,
        };
        let mut answer = answer;
        match answer.try_recv() {
            Ok(result) => Some(Ok(result)),
            Err(oneshot::error::TryRecvError::Closed) => Some(Err(Ended)),
            Err(oneshot::error::TryRecvError::Empty) => {
                self.slots.push_front(Slot::Running(answer));
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn results_come_in_the_order_of_asking_whatever_takes_how_long() {
        let mut work = InOrder::new();
        for number in 0..20_u64 {
            if number % 5 == 0 {
                work.push(number);
            } else {
                work.spawn(async move {
                    tokio::time::sleep(Duration::from_millis(20 - number)).await;
                    number
                });
            }
        }
        assert_eq!(work.running(), 16);
        assert_eq!(work.try_next().unwrap().unwrap(), 0);
        assert!(work.try_next().is_none() && work.len() == 19, "the next one is not there yet, and stays");
        for number in 1..20 {
            assert_eq!(work.next().await.unwrap().unwrap(), number);
        }
        assert!(work.next().await.is_none() && work.running() == 0);
    }

    #[tokio::test]
    async fn a_task_that_panics_is_an_error_and_not_silence() {
        let mut work = InOrder::<u32>::new();
        work.spawn(async { panic!("on purpose") });
        assert!(work.next().await.unwrap().is_err());
    }
}
