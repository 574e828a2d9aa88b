//! The lake as those see it who ask: an engine with every event data store of a configuration.
//!
//! Owns opening the tables and looking for what was committed since. Reads only: a table that isn't there yet is an empty
//! one. Does not own queries ([`crate::sql`]).

use std::sync::Arc;

use datafusion::catalog::TableProvider;
use datafusion::datasource::empty::EmptyTable;
use orgtrail_service::clock::Clock;

use crate::config::Config;
use crate::error::Error;
use crate::event_data_store::{self, Tables, objects_name};
use crate::import::objects_schema;
use crate::kind::Kind;
use crate::scan::Scan;
use crate::schema::{EVENT_JSON, schema};
use crate::sql::{self, Engine, StoreName};

/// Event data stores that can be asked.
pub struct Lake {
    engine: Engine,
    stores: Vec<Store>,
    query: sql::Config,
    clock: Arc<dyn Clock>,
}

pub(crate) struct Store {
    pub(crate) config: event_data_store::Config,
    pub(crate) tables: Option<Tables>,
}

impl Lake {
    /// Opens every event data store.
    ///
    /// # Errors
    /// One of them can't be read, or the engine can't be started.
    pub async fn open(config: &Config, clock: Arc<dyn Clock>) -> Result<Self, Error> {
        let engine = Engine::new(&config.query, Arc::clone(&clock))?;
        let stores = config.event_data_stores.iter().map(|config| Store { config: config.clone(), tables: None });
        let mut lake = Self { engine, stores: stores.collect(), query: config.query.clone(), clock };
        lake.refresh().await?;
        Ok(lake)
    }

    /// Looks for what was committed since. Queries that run keep what they began with.
    ///
    /// # Errors
    /// A table can't be read.
    pub async fn refresh(&mut self) -> Result<(), Error> {
        for store in &mut self.stores {
            match &mut store.tables {
                Some(tables) => {
                    let has_changed = [tables.events.refresh().await?, tables.objects.refresh().await?];
                    if !has_changed.contains(&true) {
                        continue;
                    }
                }
                None => store.tables = Tables::open(&store.config).await?,
            }
            register(&self.engine, store)?;
        }
        Ok(())
    }

    /// Answers queries.
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// The event data stores.
    pub(crate) fn stores(&self) -> &[Store] {
        &self.stores
    }

    /// The same engine's bounds over other rows of one event data store.
    pub(crate) fn with(&self, name: &str, kind: Kind, rows: Scan) -> Result<Self, Error> {
        let engine = Engine::new(&self.query, Arc::clone(&self.clock))?;
        let store = StoreName { name: name.to_owned(), id: String::new(), kind };
        engine.register(&store, rows.with_text(kind)?)?;
        Ok(Self { engine, stores: Vec::new(), query: self.query.clone(), clock: Arc::clone(&self.clock) })
    }

    /// The name of the first event data store of a kind.
    pub(crate) fn first(&self, kind: Kind) -> Option<&str> {
        self.stores.iter().find(|store| store.config.kind == kind).map(|store| store.config.name.as_str())
    }
}

fn register(engine: &Engine, store: &Store) -> Result<(), Error> {
    let (events, objects): (Arc<dyn TableProvider>, Arc<dyn TableProvider>) = match &store.tables {
        Some(tables) => (Scan::events(&tables.events, store.config.kind)?, Arc::new(Scan::new(&tables.objects)?)),
        None => (nothing(store.config.kind), Arc::new(EmptyTable::new(objects_schema()))),
    };
    let id = store.config.id.clone().unwrap_or_default();
    let name = StoreName { name: store.config.name.clone(), id, kind: store.config.kind };
    engine.register(&name, events)?;
    let name = StoreName { name: objects_name(&store.config.name), id: String::new(), kind: store.config.kind };
    Ok(engine.register(&name, objects)?)
}

/// An event data store that nothing was imported into.
fn nothing(kind: Kind) -> Arc<dyn TableProvider> {
    let mut fields: Vec<_> = schema(kind).fields().iter().cloned().collect();
    fields.push(Arc::new(arrow::datatypes::Field::new(EVENT_JSON, arrow::datatypes::DataType::Utf8, true)));
    Arc::new(EmptyTable::new(Arc::new(arrow::datatypes::Schema::new(fields))))
}
