//! Events as they are imported: those of commits since the last look, in the order of the commits.
//!
//! Owns what is new in a table. Compactions bring files, too, and nothing new: their commits say so, file by file.

use std::collections::HashMap;
use std::sync::Arc;

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

    /// Events that were committed since and are looked for, oldest first.
    ///
    /// # Errors
    /// A table can't be read, or the query failed.
    pub async fn next(&mut self, lake: &mut Lake, lookup: &Lookup) -> Result<Vec<Event>, Error> {
        lake.refresh().await?;
        let mut events = Vec::new();
        let names: Vec<_> = lake.stores().iter().map(|store| store.config.name.clone()).collect();
        for name in names {
            let is_asked = lookup.event_data_store.as_ref().is_none_or(|asked| asked.eq_ignore_ascii_case(&name));
            let store = lake.stores().iter().find(|store| store.config.name == name);
            let Some((store, tables)) = store.and_then(|store| Some((store, store.tables.as_ref()?))) else { continue };
            let before = self.versions.get(&name).copied().unwrap_or_default();
            let now = tables.events.version();
            if !is_asked || now <= before {
                continue;
            }
            let files = added(&tables.events, before, now).await?;
            let kind = store.config.kind;
            self.versions.insert(name.clone(), now);
            if files.is_empty() {
                continue;
            }
            let fresh = Arc::new(Scan::of(&tables.events, files)?);
            let only = lake.with(&name, kind, fresh)?;
            let lookup = Lookup { event_data_store: Some(name), limit: usize::MAX >> 1, ..lookup.clone() };
            let mut page = lookup_events(&only, &lookup).await?.events;
            page.reverse();
            events.extend(page);
        }
        Ok(events)
    }
}

/// Files with rows that commits behind `before` and up to `now` brought.
async fn added(table: &Table, before: u64, now: u64) -> Result<Vec<Add>, Error> {
    let failed = |error| Error::table("read", table.name(), error);
    let log = table.delta().log_store();
    let mut files = Vec::new();
    for version in before + 1..=now {
        // A commit that is older than the log's own retention is in a checkpoint; who reads so late asks the table.
        let Some(commit) = log.read_commit_entry(version).await.map_err(failed)? else { continue };
        for line in commit.split(|byte| *byte == b'\n') {
            if let Ok(Action::Add(add)) = serde_json::from_slice::<Action>(line)
                && add.data_change
            {
                files.push(add);
            }
        }
    }
    Ok(files)
}
