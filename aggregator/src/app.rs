//! Wires the aggregator: builds every part from the configuration, binds the sockets, then runs. The only file that names
//! every module; holds no behaviour of its own.

mod trail_tasks;

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Context as _;
use orgtrail_event::selector::Selection;
use orgtrail_service::clock::Clock;
use orgtrail_service::health::Health;
use orgtrail_service::http::{Pages, Server};
use orgtrail_service::quarantine::Quarantine;
use orgtrail_service::state_dir::{StateDir, StatusFile};
use orgtrail_service::tasks::Tasks;
use orgtrail_service::telemetry;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::config::{Config, TrailConfig};
use crate::digest::KeyList;
use crate::ingest::{Context, Scanners, Service, Shared};
use crate::journal::{self, Journal, Writer};
use crate::lifecycle;
use crate::metrics::{Ledger, Metrics};
use crate::outside::{Incoming, Outside, World};
use crate::replay::{Board, Replays};
use crate::seal::{Keeper, Seal};
use crate::status::{Status, status};
use crate::trail::cloudwatch_destination;
use crate::usage::Publisher;
use trail_tasks::{Common, TrailParts};

/// A built aggregator: its folder is locked, its sockets are bound, nothing runs yet.
pub struct App {
    config: Config,
    journal: Journal,
    writer: Writer,
    keeper: Option<Keeper>,
    quarantine: Arc<Quarantine>,
    selections: Arc<[Selection]>,
    trails: Vec<TrailParts>,
    board: Board,
    incoming: Incoming,
    outside: Arc<dyn Outside>,
    http: Server,
    health: Health,
    registry: telemetry::Metrics,
    metrics: Arc<Metrics>,
    clock: Arc<dyn Clock>,
    cancel: CancellationToken,
    state_dir: StateDir,
}

impl App {
    /// Builds everything from the configuration. `cancel` stops what will run.
    pub async fn build(config: Config, clock: Arc<dyn Clock>, cancel: CancellationToken) -> anyhow::Result<Self> {
        Self::build_in(Arc::new(World), config, clock, cancel).await
    }

    /// The same with an outside world of the caller's.
    pub async fn build_in(
        outside: Arc<dyn Outside>,
        config: Config,
        clock: Arc<dyn Clock>,
        cancel: CancellationToken,
    ) -> anyhow::Result<Self> {
        let state_dir = StateDir::open(&config.state_dir, "orgtrail-aggregator")?;
        let health = Health::new(Arc::clone(&clock));
        let registry = telemetry::Metrics::new("aggregator");
        let metrics = Arc::new(Metrics::new(&registry));
        let (seal, keeper) = Seal::open(&outside, &config, state_dir.path(), &health, &clock).await?;
        let quarantine =
            Quarantine::open(&state_dir.path().join("quarantine"), config.quarantine.entries_max, Arc::clone(&clock))?;
        let settings = journal::Settings {
            dir: state_dir.path().join("journal"),
            capacity: config.journal.capacity.as_u64(),
            dedup_window: config.dedup.window,
            dedup_memory: config.dedup.memory.as_u64(),
            commit_bytes: config.journal.commit_bytes.as_u64(),
            destinations: destinations(&config),
            trails: config.trails.iter().map(|trail| trail.name.clone()).collect(),
            seal,
        };
        let selections = selections(&config)?;
        let opening = Arc::clone(&clock);
        let (journal, writer) = tokio::task::spawn_blocking(move || Journal::open(&settings, opening)).await??;
        Ledger::register(journal.clone(), &registry);
        let mut trails = Vec::with_capacity(config.trails.len());
        for trail in &config.trails {
            trails.push(TrailParts::build(trail, &outside, &health, &metrics, &cancel).await?);
        }
        let incoming = outside.listen(config.listen).await?;
        let http = Server::bind(&config.health).await?;
        let quarantine = Arc::new(quarantine);
        Ok(Self {
            config,
            journal,
            writer,
            keeper,
            quarantine,
            selections,
            trails,
            board: Board::default(),
            incoming,
            outside,
            http,
            health,
            registry,
            metrics,
            clock,
            cancel,
            state_dir,
        })
    }

    /// The address for agents, with the port that was taken.
    pub fn address(&self) -> SocketAddr {
        self.incoming.address
    }

    /// Runs until cancelled or until a part fails that the others can't do without.
    pub async fn run(self) -> anyhow::Result<()> {
        let address = self.address();
        tracing::info!(aggregator.address = %address, journal.epoch = self.journal.epoch(), "aggregator is up");
        let mut tasks = Tasks::new(self.cancel.clone());
        let status_file = self.status_file();
        let (pages, cancel) = (self.pages(&status_file), self.cancel.clone());
        tasks.spawn("http", async move { Ok(self.http.serve(pages, cancel).await?) });
        tasks.spawn("status", status_file.clone().run(self.cancel.clone()));
        let usage = Publisher::new(self.journal.clone(), self.state_dir.path());
        tasks.spawn("usage", usage.clone().run(self.cancel.clone()));
        let cancel = self.cancel.clone();
        tasks.spawn("journal", async move { Ok(self.writer.run(cancel).await?) });
        if let Some(keeper) = self.keeper {
            let cancel = self.cancel.clone();
            tasks.spawn("seal", async move { Ok(keeper.run(cancel).await?) });
        }

        let flush = watch::Sender::new(0);
        let workers = self.outside.start_workers().context("start the worker threads")?;
        let key_list = Arc::new(KeyList::new(self.state_dir.path(), self.config.digests.catch_up_max));
        let common = Common {
            config: &self.config,
            journal: &self.journal,
            workers: &workers,
            key_list: &key_list,
            clock: &self.clock,
            health: &self.health,
            metrics: &self.metrics,
            flush: &flush,
            cancel: &self.cancel,
        };
        let scanners =
            Arc::new(Scanners::new(self.config.ingest.inflated_bytes_max.as_usize(), Arc::clone(&self.selections)));
        let sources = self.trails.iter().map(TrailParts::source).collect();
        let replays = Replays::new(common.replays(sources, &scanners, self.state_dir.path()), self.board.clone());
        tasks.spawn("replay", replays.run(self.cancel.clone()));
        tasks.spawn("lifecycle", lifecycle::keep(&self.config.trails, &self.health, self.cancel.clone()));
        let closing: Vec<_> = self.trails.into_iter().map(|trail| trail.start(&common, &mut tasks)).collect();

        let context = Context {
            journal: self.journal,
            quarantine: self.quarantine,
            clock: self.clock,
            metrics: self.metrics,
            health: self.health,
            workers,
            flush,
            cancel: self.cancel.clone(),
        };
        let service = Service::new(&self.config, scanners, context);
        tasks.spawn("ingest", serve(&self.config, service, self.incoming, self.cancel.clone())?);
        let ended = tasks.join().await;
        if ended.is_ok() {
            for trail in closing {
                trail.close(&self.config).await?;
            }
        }
        // Last, so that what was drained is counted; the folder stays locked until here.
        tokio::task::spawn_blocking(move || usage.publish()).await??;
        tokio::task::spawn_blocking(move || status_file.write()).await??;
        drop(self.state_dir);
        ended
    }

    fn pages(&self, status_file: &StatusFile) -> Pages {
        let file = status_file.clone();
        Pages { health: self.health.clone(), metrics: self.registry.clone(), status: Arc::new(move || file.document()) }
    }

    fn status_file(&self) -> StatusFile {
        let config = self.config.clone();
        let journal = self.journal.clone();
        let quarantine = Arc::clone(&self.quarantine);
        let metrics = Arc::clone(&self.metrics);
        let health = self.health.clone();
        let board = self.board.clone();
        let provider = move || {
            let now = status(&config, &journal, quarantine.counts(), metrics.agents_connected(), health.report());
            Status { replays: board.jobs(), ..now }
        };
        let version = env!("CARGO_PKG_VERSION");
        StatusFile::new(
            &self.state_dir,
            "orgtrail-aggregator",
            "aggregator",
            version,
            Arc::clone(&self.clock),
            provider,
        )
    }
}

/// The gRPC server for agents, until cancelled.
fn serve(
    config: &Config,
    service: Service,
    incoming: Incoming,
    cancel: CancellationToken,
) -> anyhow::Result<impl Future<Output = anyhow::Result<()>> + Send + use<>> {
    let message_bytes_max = config.ingest.message_bytes_max.as_usize();
    let service = orgtrail_proto::service(Arc::new(Shared(Arc::new(service))), message_bytes_max);
    let mut server = tonic::transport::Server::builder()
        .http2_keepalive_interval(Some(std::time::Duration::from_secs(20)))
        .initial_stream_window_size(Some(4 << 20))
        .initial_connection_window_size(Some(16 << 20));
    if let Some(tls) = &config.tls {
        server = server.tls_config(tls.server()?)?;
    }
    let router = server.add_service(service);
    Ok(async move { Ok(router.serve_with_incoming_shutdown(incoming.connections, cancel.cancelled_owned()).await?) })
}

/// Those that read the journal, each from a cursor of its own.
fn destinations(config: &Config) -> Vec<journal::Destination> {
    let of = |trail: &TrailConfig| {
        let (digests, announces) = (trail.signing_key_id.is_some(), trail.sns_topic.is_some());
        let objects = journal::Destination { name: trail.name.clone(), digests, announces };
        let logs = trail.cloudwatch_logs.as_ref().map(|_| journal::Destination {
            name: cloudwatch_destination(&trail.name),
            digests: false,
            announces: false,
        });
        std::iter::once(objects).chain(logs)
    };
    config.trails.iter().flat_map(of).collect()
}

/// What each trail takes, in the order of the trails.
fn selections(config: &Config) -> anyhow::Result<Arc<[Selection]>> {
    let of = |trail: &TrailConfig| {
        trail.selection().map_err(|invalid| {
            let said: Vec<_> = invalid.iter().map(ToString::to_string).collect();
            anyhow::anyhow!("trail {}: {}", trail.name, said.join("; "))
        })
    };
    config.trails.iter().map(of).collect()
}
