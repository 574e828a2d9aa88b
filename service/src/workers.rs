//! A few threads for work that needs the processor and large buffers: one for each processor, for the whole process.
//!
//! Owns the threads and that no more jobs run than there are. Beside tokio's blocking pool, because that spreads such work
//! over all its threads, and each of them would keep a heap of megabytes in the system allocator. A job that panics is an
//! error for whoever asked; its thread goes on.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{Semaphore, oneshot};

type Job = Box<dyn FnOnce() + Send>;

/// The threads; they end when this is dropped.
#[derive(Debug)]
pub struct Workers {
    free: Semaphore,
    threads: Threads,
}

#[derive(Debug)]
enum Threads {
    Own(SyncSender<Job>),
    #[cfg(feature = "sim")]
    Runtime,
}

/// A job that came to nothing.
#[derive(Debug, thiserror::Error)]
#[error("a worker's job panicked: {0}")]
pub struct Panicked(String);

impl Workers {
    /// One thread for each processor, named `name`.
    ///
    /// # Errors
    /// The machine refuses more threads.
    pub fn start(name: &str) -> std::io::Result<Arc<Self>> {
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let (jobs, queue) = sync_channel(threads);
        let queue = Arc::new(Mutex::new(queue));
        for index in 0..threads {
            let queue = Arc::clone(&queue);
            std::thread::Builder::new().name(format!("{name}-{index}")).spawn(move || work(&queue))?;
        }
        Ok(Arc::new(Self { free: Semaphore::new(threads), threads: Threads::Own(jobs) }))
    }

    /// `threads` jobs at once on the runtime's own blocking threads: a paused clock waits for those, and for no others.
    #[cfg(feature = "sim")]
    #[must_use]
    pub fn of_runtime(threads: usize) -> Arc<Self> {
        Arc::new(Self { free: Semaphore::new(threads), threads: Threads::Runtime })
    }

    /// Runs `job` on a worker once one is free. Dropping the future before that takes the job back; after that it runs to
    /// its end unheard.
    ///
    /// # Errors
    /// [`Panicked`].
    pub async fn run<T: Send + 'static>(&self, job: impl FnOnce() -> T + Send + 'static) -> Result<T, Panicked> {
        let gone = || Panicked("its thread is gone".to_owned());
        let _free = self.free.acquire().await.map_err(|_| gone())?;
        let (reply, answer) = oneshot::channel();
        let job = move || {
            let result = catch_unwind(AssertUnwindSafe(job)).map_err(|panic| Panicked(said(panic.as_ref())));
            drop(reply.send(result));
        };
        match &self.threads {
            // Never full for long: at most one job a thread was let through above.
            Threads::Own(jobs) => jobs.send(Box::new(job)).map_err(|_| gone())?,
            #[cfg(feature = "sim")]
            Threads::Runtime => drop(tokio::task::spawn_blocking(job)),
        }
        answer.await.map_err(|_| gone())?
    }
}

fn work(queue: &Mutex<Receiver<Job>>) {
    loop {
        let job = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
        match job {
            Ok(job) => job(),
            Err(_) => return,
        }
    }
}

fn said(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "no message".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn jobs_run_and_answer() {
        let workers = Workers::start("test").expect("threads");
        let answers = futures_of(&workers).await;
        assert_eq!(answers, (0..50).map(|n| n * 2).collect::<Vec<_>>());
    }

    async fn futures_of(workers: &Workers) -> Vec<u32> {
        let mut answers = Vec::new();
        for n in 0..50 {
            answers.push(workers.run(move || n * 2).await.expect("no panic"));
        }
        answers
    }

    #[tokio::test]
    async fn a_panic_is_an_error_and_the_thread_goes_on() {
        let workers = Workers::start("test").expect("threads");
        for _ in 0..20 {
            let error = workers.run(|| panic!("on purpose")).await.map(|(): ()| ()).expect_err("it panics");
            assert!(error.to_string().contains("on purpose"), "{error}");
        }
        assert_eq!(workers.run(|| 7).await.expect("no panic"), 7);
    }
}
