//! What one event data store needs done, and when: imports, compaction, retention, vacuum.
//!
//! Owns the order: one after the other, so that a store's own steps never meet. A step that fails is told by health and
//! tried again after the interval. Cancelled between steps; one that is cut off is made good by the next start.

use std::sync::Arc;
use std::time::Duration;

use jiff::civil::Date;
use jiff::tz::Offset;
use orgtrail_cloud::ObjectStore;
use orgtrail_service::clock::Clock;
use orgtrail_service::health::Health;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::app::Progress;
use crate::config::Config;
use crate::error::Error;
use crate::event_data_store::{self, Tables};
use crate::import::{Importer, Reach, Taking, days_since_epoch};
use crate::kind::Kind;
use crate::maintain::{self, Layout};
use crate::metrics::Metrics;

/// How often files that no commit names are looked for: that lists the whole table.
const VACUUM_INTERVAL: Duration = Duration::from_secs(86_400);

/// When first after a start: one that is started anew every day looks for them, too.
const FIRST_VACUUM: Duration = Duration::from_secs(3_600);

/// How long a step goes on after the process is told to end.
const STEP_GRACE: Duration = Duration::from_secs(2);

/// Looks after one event data store.
pub(crate) struct Keeper {
    store: event_data_store::Config,
    importer: Importer,
    config: Config,
    clock: Arc<dyn Clock>,
    health: Health,
    metrics: Metrics,
}

impl Keeper {
    /// Opens the event data store, and carries out what was prepared.
    pub(crate) async fn open(
        store: &event_data_store::Config,
        trails: Vec<(String, Arc<dyn ObjectStore>)>,
        config: &Config,
        clock: Arc<dyn Clock>,
        health: Health,
        metrics: Metrics,
    ) -> Result<Self, Error> {
        let Tables { events, objects } = Tables::open_or_create(store).await?;
        let selection = store.selection().ok().filter(|_| store.kind != Kind::ConfigurationItem);
        let taking = Taking { kind: store.kind, selection, from_day: None };
        let importer =
            Importer::open(events, objects, trails, taking, config.import.clone(), Arc::clone(&clock)).await?;
        Ok(Self { store: store.clone(), importer, config: config.clone(), clock, health, metrics })
    }

    /// The event data store's name.
    pub(crate) fn name(&self) -> &str {
        &self.store.name
    }

    /// What comes in.
    pub(crate) fn progress(&self) -> Progress {
        Progress { event_data_store: self.store.name.clone(), imported: Arc::clone(&self.importer.imported) }
    }

    /// Everything once.
    pub(crate) async fn once(&mut self, cancel: &CancellationToken) -> Result<(), Error> {
        let all = async {
            self.import(Reach::Everything).await?;
            self.maintain().await?;
            self.vacuum().await
        };
        tokio::select! {
            done = all => done,
            () = cut_short(cancel) => Ok(()),
        }
    }

    /// Until cancelled.
    pub(crate) async fn run(mut self, cancel: CancellationToken) -> anyhow::Result<()> {
        let now = Instant::now();
        let (mut look, mut sweep, mut maintain, mut vacuum) = (now, now, now, now + FIRST_VACUUM);
        while !cancel.is_cancelled() {
            let next = look.min(sweep).min(maintain).min(vacuum);
            // Both arms may be dropped anywhere: nothing was begun yet.
            tokio::select! {
                () = sleep_until(next) => {}
                () = cancel.cancelled() => break,
            }
            let now = Instant::now();
            let config = &self.config;
            let (interval, sweep_interval) = (config.import.interval, config.import.sweep_interval);
            let maintain_interval = config.maintain.interval;
            if sweep <= now {
                self.told("import", cancel.clone(), |keeper| Box::pin(keeper.import(Reach::Everything))).await;
                (look, sweep) = (Instant::now() + interval, now + sweep_interval);
            } else if look <= now {
                self.told("import", cancel.clone(), |keeper| Box::pin(keeper.import(Reach::OpenDays))).await;
                look = Instant::now() + interval;
            } else if maintain <= now {
                self.told("maintain", cancel.clone(), |keeper| Box::pin(keeper.maintain())).await;
                maintain = Instant::now() + maintain_interval;
            } else if vacuum <= now {
                self.told("vacuum", cancel.clone(), |keeper| Box::pin(keeper.vacuum())).await;
                vacuum = Instant::now() + VACUUM_INTERVAL;
            }
        }
        Ok(())
    }

    /// Runs a step, and says how it went.
    async fn told(
        &mut self,
        what: &'static str,
        cancel: CancellationToken,
        step: impl for<'a> FnOnce(&'a mut Self) -> futures::future::BoxFuture<'a, Result<(), Error>>,
    ) {
        let part = format!("{what} {}", self.store.name);
        let done = tokio::select! {
            done = step(self) => done,
            () = cut_short(&cancel) => return,
        };
        self.metrics.imported(&self.store.name, &self.importer.imported.now());
        match done {
            Ok(()) => self.health.set_ok(&part),
            Err(error) => {
                self.metrics.failed(&self.store.name, what);
                tracing::warn!(event_data_store = self.store.name, "{what}: {error}; it is tried again");
                self.health.set_degraded(&part, error.to_string());
            }
        }
    }

    async fn import(&mut self, reach: Reach) -> Result<(), Error> {
        let first = maintain::first_day(&self.store, self.today());
        self.importer.take_from(first.map(days_since_epoch));
        self.importer.round(reach).await
    }

    async fn maintain(&mut self) -> Result<(), Error> {
        let today = self.today();
        let plan = maintain::plan(&self.importer.events, &self.store, today)?;
        let days = maintain::expire(&mut self.importer.events, &plan).await?;
        if days > 0 {
            tracing::info!(event_data_store = self.store.name, days, keeps_from = %plan.keeps_from, "events past retention went");
        }
        let layout = Layout::events(self.store.kind);
        let done = maintain::compact(&mut self.importer.events, layout, &self.config.maintain, today).await?;
        let objects =
            maintain::compact(&mut self.importer.objects, Layout::objects(), &self.config.maintain, today).await?;
        if done + objects > 0 {
            tracing::info!(
                event_data_store = self.store.name,
                partitions = done + objects,
                "small files were put together"
            );
        }
        Ok(())
    }

    /// Only once nothing is prepared: files of a prepared import are named by no commit yet.
    async fn vacuum(&mut self) -> Result<(), Error> {
        self.importer.catch_up().await?;
        let grace_period = self.config.maintain.grace_period;
        let files = maintain::vacuum(&mut self.importer.events, grace_period).await?
            + maintain::vacuum(&mut self.importer.objects, grace_period).await?;
        if files > 0 {
            tracing::info!(event_data_store = self.store.name, files, "files that no commit names went");
        }
        Ok(())
    }

    fn today(&self) -> Date {
        Offset::UTC.to_datetime(self.clock.now()).date()
    }
}

/// Cancelled, and the time is over in which a short step ends by itself. A step that is dropped then is one that crashed: the
/// next start makes it good.
async fn cut_short(cancel: &CancellationToken) {
    cancel.cancelled().await;
    tokio::time::sleep(STEP_GRACE).await;
}
