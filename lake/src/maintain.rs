//! Keeping tables small and quick: compaction, retention, and taking away what no commit names any more.
//!
//! Owns when each of them runs and their bounds. All are commits like any other: queries that run keep the files that they
//! began with until the grace period is over, importers go on, and a crash leaves files that the next vacuum takes away.

mod compact;
mod retention;
#[cfg(test)]
mod tests;

use std::time::Duration;

use deltalake_core::operations::vacuum::VacuumMode;
use jiff::civil::Date;
use orgtrail_service::config::{Check, Problems};
use orgtrail_service::shape::{Bytes, duration};
use serde::Deserialize;

pub(crate) use self::compact::{Compaction, Layout};
pub use self::retention::{Expiry, Plan};
pub(crate) use self::retention::{expire, first_day, plan};
use crate::error::Error;
use crate::table::Table;

/// `[maintain]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// How often tables are looked after. Default: 10 minutes.
    #[serde(with = "duration")]
    pub interval: Duration,
    /// Small files of a day that are put together at once. Days that are over are put together whatever their number.
    /// Default: 8.
    pub files_min: usize,
    /// Memory for sorting; what doesn't fit goes to the folder for temporary files. Default: 512 MiB.
    pub memory: Bytes,
    /// How long files are kept that are no more part of the table, for queries and other engines that began before. Not less
    /// than the longest query. Default: 7 days.
    #[serde(with = "duration")]
    pub grace_period: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            interval: Duration::from_secs(600),
            files_min: 8,
            memory: Bytes::mib(512),
            grace_period: Duration::from_secs(7 * 86_400),
        }
    }
}

impl Check for Config {
    fn check(&self, problems: &mut Problems) {
        if self.interval.is_zero() {
            problems.push("interval", "must be longer than zero");
        }
        if self.files_min < 2 {
            problems.push("files_min", "one file can't be put together; give at least 2");
        }
        if self.memory < Bytes::mib(64) {
            problems.push("memory", "too little to sort anything; give at least 64 MiB");
        }
        if self.grace_period < Duration::from_secs(3600) {
            problems.push("grace_period", "queries need an hour at the least to end");
        }
    }
}

/// Takes away files that have been no part of the table for the grace period. Gives their number.
///
/// Only to be called once nothing is prepared any more: the files of a prepared import are no part of the table yet.
pub(crate) async fn vacuum(table: &mut Table, grace_period: Duration) -> Result<usize, Error> {
    let failed = |error| Error::table("vacuum", table.name(), error);
    let grace_period = chrono::Duration::from_std(grace_period).unwrap_or(chrono::Duration::MAX);
    let vacuum = table
        .delta()
        .clone()
        .vacuum()
        .with_retention_period(grace_period)
        .with_enforce_retention_duration(false)
        .with_mode(VacuumMode::Full);
    let (_, metrics) = vacuum.await.map_err(failed)?;
    table.refresh().await?;
    Ok(metrics.files_deleted.len())
}

/// Puts small files together, one partition after the other. Gives the number of partitions that were.
pub(crate) async fn compact(table: &mut Table, layout: Layout, config: &Config, today: Date) -> Result<usize, Error> {
    let mut done = 0;
    for partition in compact::due(table, &layout, config, today)? {
        match Compaction::new(&layout, config).run(table, &partition).await {
            Ok(()) => done += 1,
            // Retention or another process took some of the files: what is left is looked at next time.
            Err(Error::Conflict { .. }) => {
                table.refresh().await?;
            }
            Err(error) => return Err(error),
        }
    }
    Ok(done)
}
