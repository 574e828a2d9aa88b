//! `status.json`: what a process last said about itself, for commands that run without it.
//!
//! It owns the file and its head; the body is the process's own. The file is written every two seconds, less often where it
//! is long, and once at the end, so a reader that finds it old and the lock free knows that the process did not end in good
//! order.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::{Error, StateDir, is_running, read_json};
use crate::clock::Clock;
use crate::durable;

const FILE: &str = "status.json";
const INTERVAL: Duration = Duration::from_secs(2);
/// A long status is written less often: an agent over thousands of accounts has one of many megabytes, and is mostly idle.
const BYTES_PER_SECOND: f64 = 400_000.0;

/// Who says it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// The program, such as `orgtrail-agent`.
    pub process: String,
    /// Its name in the configuration.
    pub name: String,
    /// The program's version.
    pub version: String,
    /// Its process id.
    pub pid: u32,
    /// When it started.
    pub started_at: Timestamp,
}

/// What is in the file.
#[derive(Debug, Serialize, Deserialize)]
struct Content<T> {
    #[serde(flatten)]
    head: Head,
    as_of: Timestamp,
    value: T,
}

/// What a process last said about itself.
#[derive(Debug, Clone, PartialEq)]
pub struct StatusSnapshot {
    /// Who said it.
    pub head: Head,
    /// Whether the folder is owned by a process at this moment, whatever the file says.
    pub running: bool,
    /// When it was said.
    pub as_of: Timestamp,
    /// What it said; its shape is the process's own.
    pub value: Value,
}

/// Writes the status of a process into its state folder.
#[derive(Clone)]
pub struct StatusFile {
    path: PathBuf,
    head: Head,
    clock: Arc<dyn Clock>,
    document: Arc<Document>,
}

/// The text of a status: never a tree of values, which would take many times as much memory.
type Document = dyn Fn(&Head, Timestamp) -> Vec<u8> + Send + Sync;

impl std::fmt::Debug for StatusFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StatusFile").field("path", &self.path).field("head", &self.head).finish_non_exhaustive()
    }
}

impl StatusFile {
    /// The status file of the process `process` (the program) that the configuration calls `name`. `provider` says
    /// what there is to say; it is called off the async threads and may take locks.
    #[must_use]
    pub fn new<T: Serialize>(
        dir: &StateDir,
        process: &str,
        name: &str,
        version: &str,
        clock: Arc<dyn Clock>,
        provider: impl Fn() -> T + Send + Sync + 'static,
    ) -> Self {
        let head = Head {
            process: process.to_owned(),
            name: name.to_owned(),
            version: version.to_owned(),
            pid: std::process::id(),
            started_at: clock.now(),
        };
        let document = move |head: &Head, as_of| {
            let content = Content { head: head.clone(), as_of, value: provider() };
            let mut text = serde_json::to_vec_pretty(&content).expect("numbers and strings are always JSON");
            text.push(b'\n');
            text
        };
        Self { path: dir.path().join(FILE), head, clock, document: Arc::new(document) }
    }

    /// Who says it.
    #[must_use]
    pub fn head(&self) -> &Head {
        &self.head
    }

    /// What the process says now, with its head, as JSON: the body of `/status`.
    #[must_use]
    pub fn document(&self) -> Vec<u8> {
        (self.document)(&self.head, self.clock.now())
    }

    /// Writes it now. The owner calls this last, after everything else has ended: [`StatusFile::run`] ends as soon as
    /// shutdown is asked for, and what is drained after that should be counted too.
    ///
    /// # Errors
    /// The file system refused.
    pub fn write(&self) -> Result<(), Error> {
        self.write_counted().map(drop)
    }

    fn write_counted(&self) -> Result<usize, Error> {
        let text = self.document();
        durable::write(&self.path, &text).map_err(Error::io("write", &self.path))?;
        Ok(text.len())
    }

    /// Writes it every two seconds, or what is long less often, until cancelled, and once more then. A task for [`crate::tasks::Tasks::spawn`].
    /// That the disk refuses is logged once and tried again: a process does not stop for want of a status.
    ///
    /// # Errors
    /// Never by itself; only if the blocking pool is gone.
    pub async fn run(self, cancel: CancellationToken) -> anyhow::Result<()> {
        let (mut failing, mut pause) = (false, INTERVAL);
        loop {
            let status = self.clone();
            let written =
                tokio::task::spawn_blocking(move || status.write_counted()).await.context("write the status")?;
            match written {
                Ok(bytes) => (failing, pause) = (false, pause_after(bytes)),
                Err(error) if !failing => {
                    failing = true;
                    tracing::warn!(error = %error, "the status file cannot be written; will keep trying");
                }
                Err(_) => {}
            }
            if cancel.is_cancelled() {
                return Ok(());
            }
            // Cancel-safe: both arms only wait.
            tokio::select! {
                () = cancel.cancelled() => {}
                () = tokio::time::sleep(pause) => {}
            }
        }
    }
}

fn pause_after(bytes: usize) -> Duration {
    // Far below the numbers that a float cannot hold.
    Duration::from_secs_f64(bytes as f64 / BYTES_PER_SECOND).max(INTERVAL)
}

/// What the owner of the state folder `dir` last said; `None` if it never said anything.
///
/// # Errors
/// The folder cannot be read, or the file does not hold a status.
pub fn read_status(dir: &Path) -> Result<Option<StatusSnapshot>, Error> {
    let running = is_running(dir)?;
    let content: Option<Content<Value>> = read_json(&dir.join(FILE))?;
    Ok(content.map(|content| StatusSnapshot {
        head: content.head,
        running,
        as_of: content.as_of,
        value: content.value,
    }))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use serde_json::json;

    use super::*;
    use crate::clock::Manual;

    #[test]
    fn a_long_status_is_written_less_often() {
        assert_eq!(pause_after(100_000), INTERVAL);
        assert_eq!(pause_after(12_000_000), Duration::from_secs(30));
    }

    #[tokio::test]
    async fn the_last_word_is_read_after_the_process_is_gone() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(read_status(folder.path()).unwrap(), None);
        let dir = StateDir::open(folder.path(), "orgtrail-agent").unwrap();
        let count = Arc::new(AtomicU64::new(1));
        let counted = Arc::clone(&count);
        let clock = Manual::new(Timestamp::UNIX_EPOCH);
        let status = StatusFile::new(
            &dir,
            "orgtrail-agent",
            "acme",
            "1.2.3",
            clock,
            move || json!({ "done": counted.load(Ordering::Relaxed) }),
        );
        let cancel = CancellationToken::new();
        cancel.cancel();
        status.clone().run(cancel).await.unwrap();

        let seen = read_status(folder.path()).unwrap().unwrap();
        assert!(seen.running);
        assert_eq!(seen.value, json!({ "done": 1 }));
        assert_eq!((seen.head.name.as_str(), seen.head.pid), ("acme", std::process::id()));

        count.store(2, Ordering::Relaxed);
        status.write().unwrap();
        drop(dir);
        let seen = read_status(folder.path()).unwrap().unwrap();
        assert!(!seen.running);
        assert_eq!(seen.value, json!({ "done": 2 }));
    }
}
