//! Wires the agent: builds every stage from the configuration and runs them. The only file that names every module; holds
//! no behaviour of its own.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use orgtrail_cloud::Organization;
use orgtrail_service::budget::Budget;
use orgtrail_service::clock::{self, Clock};
use orgtrail_service::health::Health;
use orgtrail_service::http::{Pages, Server};
use orgtrail_service::quarantine::{Filter, Quarantine};
use orgtrail_service::state_dir::{StateDir, StatusFile};
use orgtrail_service::tasks::Tasks;
use orgtrail_service::telemetry;
use tokio::sync::{Semaphore, mpsc, watch};
use tokio_util::sync::CancellationToken;

use crate::checkpoint::{Checkpoint, Progress};
use crate::config::Config;
use crate::drain::Drain;
use crate::kind::Opener;
use crate::metrics::{LedgerCollector, Metrics};
use crate::object::Source;
use crate::outcome::{NAMED_MAX, Outcome, QuarantinedObject};
use crate::outside::{Outside, World};
use crate::quarantine::{Aside, Retries};
use crate::report::Reporter;
use crate::status::Status;
use crate::{backfill, batch, completeness, discover, fetch, intake, notify, organizations, ship};

/// The program, in locks, status and logs.
const PROCESS: &str = "orgtrail-agent";
/// Sources that come or go and wait to be taken notice of.
const CHANGES_WAITING: usize = 64;
/// Fetched objects that wait to be batched; their bytes are bounded by the budget.
const FETCHED_WAITING: usize = 256;
/// Full batches that wait for the window; their bytes are bounded by the budget.
const BATCHES_WAITING: usize = 1;

/// How to run, beside the configuration.
#[derive(Debug, Clone)]
pub struct Options {
    /// Take what is there, wait until it is delivered, and end.
    pub once: bool,
    /// How long a run with `once` may take. Default: for ever.
    pub timeout: Option<Duration>,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// Opens what lies outside the machine.
    pub outside: Arc<dyn Outside>,
}

impl Default for Options {
    fn default() -> Self {
        Self { once: false, timeout: None, clock: clock::system(), outside: Arc::new(World) }
    }
}

/// A built agent: its folder is locked, its health page is bound, nothing runs yet.
#[derive(Debug)]
pub struct App {
    config: Config,
    options: Options,
    state_dir: StateDir,
    checkpoint: Arc<Checkpoint>,
    quarantine: Arc<Quarantine>,
    sources: Vec<Arc<Source>>,
    opener: Opener,
    /// As many as the configuration has, in its order.
    organizations: Vec<Arc<dyn Organization>>,
    board: organizations::Board,
    backfills: backfill::Board,
    route: ship::Route,
    http: Server,
    health: Health,
    registry: telemetry::Metrics,
    metrics: Metrics,
    queues: Vec<notify::Opened>,
    budget: Budget,
}

impl App {
    /// Builds everything from the configuration, which has been checked. Reaches for nothing outside the machine.
    pub async fn build(config: Config, options: Options) -> anyhow::Result<Self> {
        let clock = &options.clock;
        let state_dir = StateDir::open(&config.state_dir, PROCESS)?;
        let (dir, lateness) = (state_dir.path().join("checkpoint"), config.discover.lateness);
        let checkpoint = tokio::task::spawn_blocking(move || Checkpoint::open(&dir, lateness)).await??;
        let checkpoint = Arc::new(checkpoint);
        let (dir, entries_max) = (state_dir.path().join("quarantine"), config.quarantine.entries_max);
        let quarantine_clock = Arc::clone(clock);
        let quarantine =
            tokio::task::spawn_blocking(move || Quarantine::open(&dir, entries_max, quarantine_clock)).await??;
        let quarantine = Arc::new(quarantine);
        let mut sources = Vec::with_capacity(config.sources.len());
        let opener = Opener {
            outside: Arc::clone(&options.outside),
            clock: Arc::clone(clock),
            quarantine: Arc::clone(&quarantine),
            exports: state_dir.path().join("exports"),
        };
        for source in &config.sources {
            sources.push(opener.open(source).await?);
        }
        let mut organizations = Vec::with_capacity(config.organizations.len());
        for organization in &config.organizations {
            let from = organization.accounts_file.as_deref().unwrap_or("aws");
            organizations.push(options.outside.open_organization(from, &organization.connection).await?);
        }
        let queues = notify::open(&config, &*options.outside).await?;
        let route = ship::Route::new(&config.aggregator, Arc::clone(&options.outside))?;
        let http = Server::bind(&config.health).await?;
        let health = Health::new(Arc::clone(clock));
        let registry = telemetry::Metrics::new("agent");
        let metrics = Metrics::register(&registry);
        let budget = Budget::new(config.fetch.memory);
        let ledger = LedgerCollector {
            checkpoint: Arc::clone(&checkpoint),
            quarantine: Arc::clone(&quarantine),
            budget: budget.clone(),
        };
        registry.with(|registry| registry.register_collector(Box::new(ledger)));
        registry.with(|registry| registry.register_collector(Box::new(metrics.spent.clone())));
        Ok(Self {
            config,
            options,
            state_dir,
            checkpoint,
            quarantine,
            sources,
            opener,
            organizations,
            board: organizations::Board::default(),
            backfills: backfill::Board::default(),
            route,
            http,
            health,
            registry,
            metrics,
            queues,
            budget,
        })
    }

    /// The sums of the ledger as they change, for a progress bar.
    pub fn progress(&self) -> watch::Receiver<Progress> {
        self.checkpoint.progress()
    }

    /// The address of the health page, with the port that was taken.
    pub fn health_address(&self) -> std::net::SocketAddr {
        self.http.address()
    }

    /// Runs until cancelled, until a part fails that the others can't do without, or, with `once`, until everything that
    /// was there is delivered. Ends within nine tenths of the grace period after `cancel`.
    pub async fn run(self, cancel: CancellationToken) -> anyhow::Result<Outcome> {
        let started = Instant::now();
        // Cancelled by the caller, by a failed task, or when a run with `once` is done.
        let stop = cancel.child_token();
        let Stages { mut tasks, drain, reporter } = self.start(&stop)?;
        let Self { config, options, state_dir, checkpoint, quarantine, http, health, registry, .. } = self;
        let status = status_file(&state_dir, &config, Arc::clone(&options.clock), reporter.clone());
        let http = http.serve(pages(&health, registry, status.clone()), stop.clone());
        tasks.spawn("http", async move { Ok(http.await?) });
        tasks.spawn("status", status.clone().run(stop.clone()));
        tracing::info!(agent.name = config.name, aggregator.endpoint = config.aggregator.endpoint, "agent is up");

        let complete = until_stopped(&options, drain, &stop).await;
        stop.cancel();
        let ended = tokio::time::timeout(config.grace_period.mul_f64(0.9), tasks.join()).await;
        let outcome = tokio::task::spawn_blocking(move || {
            checkpoint.flush()?;
            status.write()?;
            account(&reporter.status(), &quarantine, complete, started.elapsed())
        });
        let outcome = outcome.await.context("close the state folder")??;
        drop(state_dir);
        match ended {
            Ok(result) => result?,
            Err(_) => {
                let objects = outcome.objects.in_flight;
                tracing::warn!(
                    objects,
                    "not every answer came within the grace period; the next start sends them again"
                );
            }
        }
        Ok(outcome)
    }

    /// Connects the stages and starts them.
    fn start(&self, stop: &CancellationToken) -> anyhow::Result<Stages> {
        let Self { config, options, checkpoint, quarantine, sources, health, metrics, .. } = self;
        let clock = &options.clock;
        let (objects_tx, objects) = intake::channel(intake::Bounds::within(config.fetch.memory));
        let (fetched_tx, fetched) = mpsc::channel(FETCHED_WAITING);
        let (batches_tx, batches) = mpsc::channel(BATCHES_WAITING);
        let folders = discover::Folders::default();
        let aside = Aside::new(Arc::clone(checkpoint), Arc::clone(quarantine), Arc::clone(clock), health.clone());

        let (answers, epochs) =
            ship::Answers::new(Arc::clone(checkpoint), aside.clone(), Arc::clone(clock), metrics.clone());
        let (route, ship_metrics) = (self.route.clone(), metrics.clone());
        let (ship, link) =
            ship::Stage::new(config.ship.clone(), &config.name, route, answers, health.clone(), ship_metrics, batches);
        let batch = batch::Stage::new(config.batch.clone(), fetched, batches_tx);
        let patience =
            if options.once { fetch::Patience::None } else { fetch::Patience::For(config.discover.lateness) };
        let completeness_aside = aside.clone();
        let fetching = fetch::Shared::new(
            config.fetch.clone(),
            Arc::clone(checkpoint),
            aside,
            Arc::clone(clock),
            health.clone(),
            metrics.clone(),
            patience,
        );
        let fetch = fetch::Stage::new(fetching, self.budget.clone(), objects, fetched_tx);
        let (retries, rounds) = Retries::new(
            Arc::clone(quarantine),
            Arc::clone(checkpoint),
            folders.clone(),
            health.clone(),
            objects_tx.clone(),
        );
        let context = Arc::new(discover::Context {
            checkpoint: Arc::clone(checkpoint),
            folders: folders.clone(),
            clock: Arc::clone(clock),
            health: health.clone(),
            metrics: metrics.clone(),
            lists: Semaphore::new(config.discover.list_concurrency),
            out: objects_tx,
        });
        let report = completeness::Report { config: config.completeness.clone(), checkpoint: Arc::clone(checkpoint) };
        let (completeness, compared) =
            completeness::Stage::new(report.clone(), options.once, Arc::clone(&context), completeness_aside);
        let (consumers, notifications) = self.consumers(&context);
        let backfills = self.backfills(&context);
        let (changes_tx, changes) = mpsc::channel(CHANGES_WAITING);
        let inputs = discover::Inputs { epochs, changes, awaited: self.organizations.len() };
        let (discover, found) =
            discover::Stage::new(config.discover.clone(), options.once, sources.clone(), context, inputs);

        let mut tasks = Tasks::new(stop.clone());
        tasks.spawn("checkpoint", Arc::clone(checkpoint).keep_flushed(stop.clone()));
        tasks.spawn("discover", discover.run(stop.clone()));
        tasks.spawn("completeness", completeness.run(stop.clone()));
        self.follow_organizations(&mut tasks, &folders, &changes_tx)?;
        for consumer in consumers {
            tasks.spawn("notifications", consumer.run(stop.clone()));
        }
        if let Some(backfills) = backfills {
            tasks.spawn("backfills", Arc::new(backfills).run(stop.clone()));
        }
        tasks.spawn("retries", retries.run(stop.clone()));
        tasks.spawn("fetch", fetch.run(stop.clone()));
        tasks.spawn("batch", batch.run());
        tasks.spawn("ship", ship.run(stop.clone()));
        let reporter = self.reporter(folders.clone(), link.clone(), (report, notifications));
        let drain = Drain {
            checkpoint: Arc::clone(checkpoint),
            folders,
            discover: found,
            completeness: compared,
            link,
            retries: rounds,
        };
        Ok(Stages { tasks, drain, reporter })
    }

    fn follow_organizations(
        &self,
        tasks: &mut Tasks,
        folders: &discover::Folders,
        changes: &mpsc::Sender<discover::Change>,
    ) -> anyhow::Result<()> {
        let opener = self.opener.clone();
        let open: organizations::Open = Arc::new(move |config| {
            let opener = opener.clone();
            Box::pin(async move { opener.open(&config).await })
        });
        let shared = organizations::Shared {
            checkpoint: Arc::clone(&self.checkpoint),
            folders: folders.clone(),
            clock: Arc::clone(&self.options.clock),
            health: self.health.clone(),
            changes: changes.clone(),
            board: self.board.clone(),
            open,
            taken: organizations::Taken::new(self.sources.iter().map(|source| source.location.clone())),
        };
        for (config, list) in self.config.organizations.iter().zip(&self.organizations) {
            let (list, shared) = (Arc::clone(list), shared.clone());
            let stage = organizations::Stage::new(config.clone(), list, shared, self.state_dir.path())?;
            tasks.spawn("organizations", stage.run(tasks.cancel().clone()));
        }
        Ok(())
    }

    /// A run with `once` reads no queue: it takes what is there, and the listings find that.
    fn consumers(&self, context: &Arc<discover::Context>) -> (Vec<notify::Consumer>, Vec<notify::Face>) {
        let (clock, health) = (Arc::clone(&self.options.clock), self.health.clone());
        let parking = notify::Parking::new(Arc::clone(&self.quarantine), clock, health);
        let metrics = notify::Metrics::register(&self.registry);
        let queues = if self.options.once { &[] } else { &self.queues[..] };
        notify::consumers(queues, context, &parking, &metrics)
    }

    /// A run with `once` takes what is live and ends; backfills wait for one that stays.
    fn backfills(&self, context: &Arc<discover::Context>) -> Option<backfill::Stage> {
        if self.options.once {
            return None;
        }
        let (context, board) = (Arc::clone(context), self.backfills.clone());
        let (discover, fetches) = (self.config.discover.clone(), self.config.fetch.concurrency);
        let stage = backfill::Stage::new(context, self.state_dir.path(), board, discover, fetches);
        Some(if self.organizations.is_empty() { stage } else { stage.awaiting_accounts() })
    }

    fn reporter(
        &self,
        folders: discover::Folders,
        link: ship::Handle,
        (completeness, notifications): (completeness::Report, Vec<notify::Face>),
    ) -> Reporter {
        Reporter {
            name: self.config.name.clone(),
            endpoint: self.config.aggregator.endpoint.clone(),
            checkpoint: Arc::clone(&self.checkpoint),
            quarantine: Arc::clone(&self.quarantine),
            folders,
            link,
            notifications,
            spent: self.metrics.spent.clone(),
            health: self.health.clone(),
            clock: Arc::clone(&self.options.clock),
            completeness,
            organizations: self.board.clone(),
            backfills: self.backfills.clone(),
        }
    }
}

/// The running stages and their faces.
struct Stages {
    tasks: Tasks,
    drain: Drain,
    reporter: Reporter,
}

/// True when a run with `once` has nothing left to do.
async fn until_stopped(options: &Options, drain: Drain, stop: &CancellationToken) -> bool {
    let deadline = async {
        match options.timeout.filter(|_| options.once) {
            Some(timeout) => tokio::time::sleep(timeout).await,
            None => std::future::pending().await,
        }
    };
    let drained = async { if options.once { drain.run().await } else { std::future::pending().await } };
    // Cancel-safe: nothing of the drain is needed once another arm was first.
    tokio::select! {
        complete = drained => {
            if !complete {
                tracing::warn!("digests whose public keys cannot be had were left; the next run takes them");
            }
            complete
        }
        () = stop.cancelled() => false,
        () = deadline => {
            tracing::warn!("not everything was delivered in time");
            false
        }
    }
}

fn status_file(dir: &StateDir, config: &Config, clock: Arc<dyn Clock>, reporter: Reporter) -> StatusFile {
    StatusFile::new(dir, PROCESS, &config.name, env!("CARGO_PKG_VERSION"), clock, move || reporter.status())
}

fn pages(health: &Health, metrics: telemetry::Metrics, status: StatusFile) -> Pages {
    Pages { health: health.clone(), metrics, status: Arc::new(move || status.document()) }
}

fn account(status: &Status, quarantine: &Quarantine, complete: bool, elapsed: Duration) -> anyhow::Result<Outcome> {
    let mut quarantined = Vec::new();
    for entry in quarantine.folder().list(&Filter::default())?.take(NAMED_MAX) {
        match entry {
            Ok(entry) => quarantined.push(QuarantinedObject {
                subject: entry.subject,
                reason: entry.reason,
                detail: entry.detail,
            }),
            Err(error) => tracing::warn!(error = %error, "a quarantine entry cannot be read"),
        }
    }
    Ok(Outcome {
        complete,
        objects: status.objects.clone(),
        undelivered: status.link.undelivered,
        quarantined,
        quarantined_total: status.quarantine.values().sum(),
        elapsed,
    })
}

#[cfg(test)]
mod tests;
