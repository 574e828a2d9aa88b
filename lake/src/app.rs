//! Wires the lake's process: an importer for each event data store, and what keeps its tables. Holds no behaviour of its own.

use std::sync::Arc;

use anyhow::Context as _;
use orgtrail_cloud::open_store;
use orgtrail_service::clock::Clock;
use orgtrail_service::health::Health;
use orgtrail_service::http::{Pages, Server};
use orgtrail_service::tasks::Tasks;
use orgtrail_service::telemetry;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::config::Config;
use crate::import::{Imported, ImportedNow};
use crate::keeper::Keeper;
use crate::metrics::Metrics;

/// A built lake: its event data stores are open, nothing runs yet.
pub struct App {
    keepers: Vec<Keeper>,
    http: Server,
    health: Health,
    registry: telemetry::Metrics,
    cancel: CancellationToken,
}

/// What came into one event data store.
#[derive(Clone, Debug)]
pub struct Progress {
    /// Its name.
    pub event_data_store: String,
    pub(crate) imported: Arc<Imported>,
}

impl Progress {
    /// The figures now.
    pub fn now(&self) -> ImportedNow {
        self.imported.now()
    }
}

impl App {
    /// Opens every event data store, and makes those that are new. `cancel` stops what will run.
    pub async fn build(config: Config, clock: Arc<dyn Clock>, cancel: CancellationToken) -> anyhow::Result<Self> {
        let health = Health::new(Arc::clone(&clock));
        let registry = telemetry::Metrics::new("lake");
        let metrics = Metrics::new(&registry);
        let mut keepers = Vec::new();
        for store in &config.event_data_stores {
            let mut trails = Vec::new();
            for trail in config.trails.iter().filter(|trail| store.reads(&trail.name)) {
                let location =
                    trail.location.as_ref().with_context(|| format!("trail {} has no location", trail.name))?;
                trails.push((trail.name.clone(), open_store(location, &trail.connection).await?));
            }
            let (clock, health) = (Arc::clone(&clock), health.clone());
            let keeper = Keeper::open(store, trails, &config, clock, health, metrics.clone()).await;
            keepers.push(keeper.with_context(|| format!("open the event data store {}", store.name))?);
        }
        let http = Server::bind(&config.health).await?;
        Ok(Self { keepers, http, health, registry, cancel })
    }

    /// What comes in, for each event data store.
    pub fn progress(&self) -> Vec<Progress> {
        self.keepers.iter().map(Keeper::progress).collect()
    }

    /// Imports everything that is there and looks after the tables, once.
    ///
    /// # Errors
    /// The first event data store's that could not be brought to its end; the others are.
    pub async fn once(mut self) -> anyhow::Result<()> {
        let mut failed = None;
        for keeper in &mut self.keepers {
            if let Err(error) = keeper.once(&self.cancel).await {
                failed.get_or_insert(anyhow::Error::new(error).context(format!("event data store {}", keeper.name())));
            }
        }
        failed.map_or(Ok(()), Err)
    }

    /// Runs until cancelled.
    pub async fn run(self) -> anyhow::Result<()> {
        tracing::info!(event_data_stores = self.keepers.len(), "lake is up");
        let mut tasks = Tasks::new(self.cancel.clone());
        let progress = self.progress();
        let status = Arc::new(move || status(&progress));
        let pages = Pages { health: self.health, metrics: self.registry, status };
        let cancel = self.cancel.clone();
        tasks.spawn("http", async move { Ok(self.http.serve(pages, cancel).await?) });
        for keeper in self.keepers {
            tasks.spawn("event_data_store", keeper.run(self.cancel.clone()));
        }
        tasks.join().await
    }
}

/// The body of `/status`.
fn status(progress: &[Progress]) -> Vec<u8> {
    let stores: Vec<_> = progress
        .iter()
        .map(|progress| json!({ "name": progress.event_data_store, "imported": progress.now() }))
        .collect();
    let said = json!({ "process": "orgtrail-lake", "version": env!("CARGO_PKG_VERSION"), "event_data_stores": stores });
    format!("{said:#}\n").into_bytes()
}
