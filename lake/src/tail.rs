//! Events as they are imported: those of commits since the last look, in the order of the commits.
//!
//! Owns what is new in a table. Compactions bring files, too, and nothing new: their commits say so, file by file.

use std::collections::HashMap;

use deltalake_core::kernel::{Action, Add};

use crate::error::Error;
use crate::lake::{Lake, Store};
use crate::lookup::{Event, Lookup, lookup_events};
use crate::scan::Scan;
use crate::table::Table;

/// Where a reader of new events is.
#[derive(Debug, Default)]
pub struct Tail {
    /// The last commit that was read, by event data store.
    versions: HashMap<String, u64>,
}

impl Tail {
    /// Begins behind what is in the lake now.
    pub fn behind(lake: &Lake) -> Self {
        let version = |store: &Store| {
            (store.config.name.clone(), store.tables.as_ref().map_or(0, |tables| tables.events.version()))
        };
        Self { versions: lake.stores().iter().map(version).collect() }
    }

    /// Events of the next commit that brought some and are looked for, oldest first. None once nothing is new.
    ///
    /// One commit at a time, so that as many events are held at once as one import brings.
    ///
    /// # Errors
    /// A table can't be read, or the query failed.
    pub async fn next(&mut self, lake: &Lake, lookup: &Lookup) -> Result<Option<Vec<Event>>, Error> {
        let is_asked = |store: &&Store| {
            store.config.kind == lookup.kind()
                && lookup.event_data_store.as_ref().is_none_or(|asked| asked.eq_ignore_ascii_case(&store.config.name))
        };
        for store in lake.stores().iter().filter(is_asked) {
            let Some(tables) = &store.tables else { continue };
            let version = self.versions.entry(store.config.name.clone()).or_default();
            while *version < tables.events.version() {
                let files = added(&tables.events, *version + 1).await?;
                *version += 1;
                if !files.is_empty() {
                    let fresh = Scan::of(&tables.events, files)?;
                    return found(&lake.with(&store.config.name, store.config.kind, fresh)?, store, lookup)
                        .await
                        .map(Some);
                }
            }
        }
        Ok(None)
    }
}

/// What is looked for among new rows, oldest first.
async fn found(fresh: &Lake, store: &Store, lookup: &Lookup) -> Result<Vec<Event>, Error> {
    let lookup = Lookup { event_data_store: Some(store.config.name.clone()), limit: None, ..lookup.clone() };
    let mut events = lookup_events(fresh, &lookup).await?.events;
    events.reverse();
    Ok(events)
}

/// Files with rows that a commit brought.
async fn added(table: &Table, version: u64) -> Result<Vec<Add>, Error> {
    let commit = table.delta().log_store().read_commit_entry(version).await;
    // A commit that is older than the log's own retention is in a checkpoint; who reads so late asks the table.
    let commit = commit.map_err(|error| Error::table("read", table.name(), error))?.unwrap_or_default();
    let actions = commit.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice(line).ok());
    let added = actions.filter_map(|action| match action {
        Action::Add(add) if add.data_change => Some(add),
        _ => None,
    });
    Ok(added.collect())
}
