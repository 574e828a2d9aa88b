//! The named tasks of a process: a critical one that fails takes the process down in good order.
//!
//! It owns when a process ends because of a task; it does not own how long the end may take (`run` does).
//! Dropping a `Tasks` aborts what still runs, so no task outlives its set.

use std::any::Any;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, anyhow};
use tokio::task::{Id, JoinSet};
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

/// A set of named critical tasks under one cancellation token.
#[derive(Debug)]
pub struct Tasks {
    cancel: CancellationToken,
    first: FirstError,
    names: HashMap<Id, &'static str>,
    set: JoinSet<()>,
}

impl Tasks {
    /// An empty set. `cancel` is cancelled when a task fails, and asks all tasks to end when it is cancelled.
    #[must_use]
    pub fn new(cancel: CancellationToken) -> Self {
        Self { cancel, first: FirstError::default(), names: HashMap::new(), set: JoinSet::new() }
    }

    /// The token that every task of this set watches.
    #[must_use]
    pub fn cancel(&self) -> &CancellationToken {
        &self.cancel
    }

    /// Spawns a task that runs until the token is cancelled. If it errs, panics or ends before that, the whole
    /// set is cancelled and [`Tasks::join`] returns why.
    pub fn spawn(&mut self, name: &'static str, task: impl Future<Output = anyhow::Result<()>> + Send + 'static) {
        let cancel = self.cancel.clone();
        self.spawn_finite(name, async move {
            task.await?;
            if cancel.is_cancelled() {
                return Ok(());
            }
            Err(anyhow!("ended although it should run until shutdown"))
        });
    }

    /// Spawns a task that may end by itself, such as a drain or an import. If it errs or panics, the whole set is
    /// cancelled.
    pub fn spawn_finite(
        &mut self,
        name: &'static str,
        task: impl Future<Output = anyhow::Result<()>> + Send + 'static,
    ) {
        let mut guard = Guard { name, first: self.first.clone(), cancel: self.cancel.clone(), finished: false };
        let span = tracing::info_span!("task", task.name = name);
        let handle = self.set.spawn(
            async move {
                let result = task.await;
                guard.finished = true;
                if let Err(error) = result {
                    guard.fail(error);
                }
            }
            .instrument(span),
        );
        self.names.insert(handle.id(), name);
    }

    /// Waits for all tasks to end.
    ///
    /// # Errors
    /// The error of the task that failed first, with the task's name.
    pub async fn join(mut self) -> anyhow::Result<()> {
        while let Some(ended) = self.set.join_next_with_id().await {
            let Err(error) = ended else { continue };
            let name = self.names.get(&error.id()).copied().unwrap_or("unknown");
            if error.is_panic() {
                let said = panic_message(error.into_panic().as_ref());
                self.first.put_panic(name, &said);
            }
        }
        match self.first.take() {
            Some(error) => Err(error),
            None => Ok(()),
        }
    }
}

/// What a panic said, as far as it can be known.
fn panic_message(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| payload.downcast_ref::<String>().cloned()).unwrap_or_else(|| "no message".to_owned())
}

/// Cancels the set as soon as its task is gone without a result, even while nobody polls `join`.
struct Guard {
    name: &'static str,
    first: FirstError,
    cancel: CancellationToken,
    finished: bool,
}

impl Guard {
    fn fail(&self, error: anyhow::Error) {
        if self.first.put(self.name, error) {
            self.cancel.cancel();
        }
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        // A task that is dropped by a shutting down runtime did not fail.
        if !self.finished && std::thread::panicking() {
            self.fail(anyhow!("panicked"));
        }
    }
}

#[derive(Debug, Clone, Default)]
struct FirstError(Arc<Mutex<Option<Failure>>>);

#[derive(Debug)]
struct Failure {
    name: &'static str,
    error: anyhow::Error,
}

impl FirstError {
    /// Keeps the first error and logs it as the reason; later ones are its wake. Tells whether it was the first. Called
    /// inside the task's span, which names it in the log.
    fn put(&self, name: &'static str, error: anyhow::Error) -> bool {
        let mut first = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if first.is_some() {
            tracing::warn!(error = format!("{error:#}"), "a task failed after the first one");
            return false;
        }
        tracing::error!(error = format!("{error:#}"), "a critical task failed; shutting down");
        *first = Some(Failure { name, error });
        true
    }

    /// The guard could only see that its task panicked; here is what it said.
    fn put_panic(&self, name: &'static str, said: &str) {
        let mut first = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(failure) = first.as_mut().filter(|failure| failure.name == name) {
            failure.error = anyhow!("panicked: {said}");
        }
    }

    fn take(&self) -> Option<anyhow::Error> {
        let failure = self.0.lock().unwrap_or_else(PoisonError::into_inner).take()?;
        Err::<(), _>(failure.error).with_context(|| format!("task {}", failure.name)).err()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn until(cancel: CancellationToken) -> anyhow::Result<()> {
        cancel.cancelled().await;
        Ok(())
    }

    fn tasks() -> (Tasks, CancellationToken) {
        let cancel = CancellationToken::new();
        (Tasks::new(cancel.clone()), cancel)
    }

    #[tokio::test]
    async fn a_task_that_errs_takes_the_others_down() {
        let (mut tasks, cancel) = tasks();
        tasks.spawn("steady", until(cancel.clone()));
        tasks.spawn("broken", async { Err(anyhow!("disk on fire")) });
        let error = tasks.join().await.unwrap_err();
        assert_eq!(format!("{error:#}"), "task broken: disk on fire");
        assert!(cancel.is_cancelled());
    }

    #[tokio::test]
    async fn a_panic_cancels_even_before_anyone_joins() {
        let (mut tasks, cancel) = tasks();
        tasks.spawn("steady", until(cancel.clone()));
        tasks.spawn("hasty", async { panic!("index {}", 7) });
        cancel.cancelled().await;
        let error = tasks.join().await.unwrap_err();
        assert_eq!(format!("{error:#}"), "task hasty: panicked: index 7");
    }

    #[tokio::test]
    async fn ending_after_cancellation_is_fine() {
        let (mut tasks, cancel) = tasks();
        tasks.spawn("steady", until(cancel.clone()));
        cancel.cancel();
        tasks.join().await.unwrap();
    }

    #[tokio::test]
    async fn ending_early_is_a_failure_unless_the_task_is_finite() {
        let (mut tasks, _cancel) = tasks();
        tasks.spawn("short", async { Ok(()) });
        let error = tasks.join().await.unwrap_err();
        assert!(format!("{error:#}").starts_with("task short: ended although"), "{error:#}");

        let (mut tasks, cancel) = self::tasks();
        tasks.spawn_finite("short", async { Ok(()) });
        tasks.join().await.unwrap();
        assert!(!cancel.is_cancelled());
    }

    #[tokio::test]
    async fn the_first_error_is_the_one_returned() {
        let (mut tasks, cancel) = tasks();
        let watched = cancel.clone();
        tasks.spawn("wake", async move {
            watched.cancelled().await;
            Err(anyhow!("channel closed"))
        });
        tasks.spawn("cause", async { Err(anyhow!("the cause")) });
        assert_eq!(format!("{:#}", tasks.join().await.unwrap_err()), "task cause: the cause");
    }
}
