//! Writes the files of the days that have changed, a few at a time.
//!
//! Cancellation: what has changed since the last round is written by [`Publisher::publish`] when the process ends.

use std::path::{Path, PathBuf};
use std::time::Duration;

use orgtrail_service::durable;
use tokio_util::sync::CancellationToken;

use super::{Content, Day, FOLDER, date_of, envelope};
use crate::journal::{self, Journal};

/// How old a file can be while the process runs and few days change.
const INTERVAL: Duration = Duration::from_secs(10);

/// Files that one round writes: a backfill of a year changes many days at once.
const DAYS_A_ROUND: usize = 16;

/// See the module's description.
#[derive(Clone)]
pub(crate) struct Publisher {
    journal: Journal,
    folder: PathBuf,
}

/// Why a day wasn't written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("write {}", .0.display())]
    Io(PathBuf, #[source] std::io::Error),
    #[error(transparent)]
    Journal(#[from] journal::Error),
    #[error(transparent)]
    Seal(#[from] crate::seal::Error),
}

impl Publisher {
    pub(crate) fn new(journal: Journal, state_dir: &Path) -> Self {
        Self { journal, folder: state_dir.join(FOLDER) }
    }

    /// Writes what has changed until cancelled. That the disk refuses is logged once and tried again.
    pub(crate) async fn run(self, cancel: CancellationToken) -> anyhow::Result<()> {
        let mut failing = false;
        loop {
            // Cancel-safe: both arms only wait.
            tokio::select! {
                () = cancel.cancelled() => return Ok(()),
                () = tokio::time::sleep(INTERVAL) => {}
            }
            let publisher = self.clone();
            match tokio::task::spawn_blocking(move || publisher.round(DAYS_A_ROUND)).await? {
                Ok(()) => failing = false,
                Err(error) if !failing => {
                    failing = true;
                    tracing::warn!(error = %error, "the usage of a day cannot be written; will keep trying");
                }
                Err(_) => {}
            }
        }
    }

    /// Writes all that has changed.
    pub(crate) fn publish(&self) -> Result<(), Error> {
        self.round(usize::MAX)
    }

    fn round(&self, days_max: usize) -> Result<(), Error> {
        for day in self.journal.usage_changed(days_max) {
            let written = self.write(day);
            if written.is_err() {
                self.journal.usage_changed_again(day);
            }
            written?;
        }
        Ok(())
    }

    fn write(&self, number: u32) -> Result<(), Error> {
        let rows = self.journal.usage_of(number)?;
        let day = date_of(number);
        let path = self.folder.join(format!("{day}.json"));
        let io = |path: &Path| {
            let path = path.to_owned();
            move |error| Error::Io(path, error)
        };
        if rows.is_empty() {
            return match std::fs::remove_file(&path) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(io(&path)(error)),
                _ => Ok(()),
            };
        }
        std::fs::create_dir_all(&self.folder).map_err(io(&self.folder))?;
        let day = Day { day, rows };
        let content = if self.journal.seal().is_on() {
            let mut entry = envelope(day.day, encode(&day));
            self.journal.seal().seal_payload(&mut entry)?;
            Content::Sealed(Box::new(entry))
        } else {
            Content::Day(day)
        };
        durable::write(&path, &encode(&content)).map_err(io(&path))
    }
}

fn encode(value: &impl serde::Serialize) -> Vec<u8> {
    serde_json::to_vec(value).expect("texts, numbers and dates are always JSON")
}
