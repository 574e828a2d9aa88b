//! What an event data store is, and what is in it: for people, and for scripts.
//!
//! Owns reading it off the table's log; no rows are read. Does not own how it is printed.

use std::sync::Arc;

use jiff::civil::Date;
use jiff::tz::Offset;
use orgtrail_service::clock::Clock;
use serde::Serialize;

use crate::config::Config;
use crate::error::Error;
use crate::event_data_store::{self, Tables};
use crate::kind::Kind;
use crate::maintain::{Plan, expire, plan};
use crate::schema::EVENT_DAY;

/// An event data store.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Overview {
    /// Its name.
    pub name: String,
    /// The UUID that queries may call it by.
    pub id: Option<String>,
    /// What it holds.
    pub kind: Kind,
    /// Where its tables lie.
    pub location: String,
    /// Whole days that events are kept.
    pub retention_days: u64,
    /// Whether nothing is deleted.
    pub termination_protection: bool,
    /// What is in it; none where nothing was imported yet.
    pub content: Option<Content>,
}

/// What is in an event data store.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Content {
    /// Rows: one for each event.
    pub rows: u64,
    /// Files, and their bytes.
    pub files: u64,
    /// Bytes of the files.
    pub bytes: u64,
    /// Objects that were imported, or could not be read.
    pub objects: u64,
    /// The first day that has events.
    pub first_day: Option<Date>,
    /// The last day that has events.
    pub last_day: Option<Date>,
    /// The number of imports so far.
    pub imports: i64,
    /// The version of the table, as other engines call it.
    pub table_version: u64,
    /// What is past retention, and what becomes of it.
    pub retention: Plan,
}

/// Every event data store of a configuration.
///
/// # Errors
/// The first one's that can't be read.
pub async fn overview(config: &Config, clock: &Arc<dyn Clock>) -> Result<Vec<Overview>, Error> {
    let mut stores = Vec::new();
    for store in &config.event_data_stores {
        let content = match Tables::open(store).await? {
            Some(tables) => Some(content(store, &tables, today(clock)).await?),
            None => None,
        };
        stores.push(Overview {
            name: store.name.clone(),
            id: store.id.clone(),
            kind: store.kind,
            location: store.location.as_ref().map(ToString::to_string).unwrap_or_default(),
            retention_days: store.retention_days(),
            termination_protection: store.termination_protection,
            content,
        });
    }
    Ok(stores)
}

/// Carries out what retention does next, for every event data store: gives the days that went, by name.
///
/// # Errors
/// The first one's that failed; the others before it are done.
pub async fn apply_retention(config: &Config, clock: &Arc<dyn Clock>) -> Result<Vec<(String, usize)>, Error> {
    let mut done = Vec::new();
    for store in &config.event_data_stores {
        let Some(mut tables) = Tables::open(store).await? else { continue };
        let plan = plan(&tables.events, store, today(clock))?;
        done.push((store.name.clone(), expire(&mut tables.events, &plan).await?));
    }
    Ok(done)
}

fn today(clock: &Arc<dyn Clock>) -> Date {
    Offset::UTC.to_datetime(clock.now()).date()
}

async fn content(store: &event_data_store::Config, tables: &Tables, today: Date) -> Result<Content, Error> {
    let files = tables.events.files()?;
    let rows = |files: &[deltalake_core::kernel::Add]| {
        files.iter().map(|file| crate::scan::rows(file).unwrap_or_default() as u64).sum()
    };
    let days =
        || files.iter().filter_map(|file| file.partition_values.get(EVENT_DAY)?.as_deref()?.parse::<Date>().ok());
    Ok(Content {
        rows: rows(&files),
        files: files.len() as u64,
        bytes: files.iter().map(|file| u64::try_from(file.size).unwrap_or_default()).sum(),
        objects: rows(&tables.objects.files()?),
        first_day: days().min(),
        last_day: days().max(),
        imports: tables.events.last_import().await?,
        table_version: tables.events.version(),
        retention: plan(&tables.events, store, today)?,
    })
}
