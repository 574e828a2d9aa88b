//! Wires the console: builds every part from the configuration, binds the sockets, then runs. Holds no behaviour of its own.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Context as _;
use orgtrail_service::clock::Clock;
use orgtrail_service::health::Health;
use orgtrail_service::http::listener::Bounded;
use orgtrail_service::http::{CONNECTION_LIFETIME, CONNECTIONS_MAX, Pages, Server};
use orgtrail_service::tasks::Tasks;
use orgtrail_service::telemetry;
use serde_json::json;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::api::Api;
use crate::config::Config;
use crate::listener::Listener;
use crate::metrics::Metrics;
use crate::operations::Context;
use crate::public_keys::KeyFiles;
use crate::trail::Trail;

/// A built console: its sockets are bound, nothing runs yet.
pub struct App {
    api: Api,
    listener: Listener,
    address: SocketAddr,
    http: Server,
    health: Health,
    registry: telemetry::Metrics,
    cancel: CancellationToken,
}

impl App {
    /// Builds everything from the configuration. `cancel` stops what will run.
    pub async fn build(config: Config, clock: Arc<dyn Clock>, cancel: CancellationToken) -> anyhow::Result<Self> {
        let tls = config.tls.as_ref().map(|tls| tls.server_config()).transpose()?;
        let health = Health::new(Arc::clone(&clock));
        let registry = telemetry::Metrics::new("console");
        let trails: Vec<_> = config.console.trails.into_iter().map(Trail::new).collect();
        let paths = trails.iter().filter_map(|trail| trail.config.public_keys.clone());
        let keys = KeyFiles::new(paths, health.clone());
        let listen = config.console.listen;
        let refused = || format!("listen on {listen} for AWS's clients; set another `listen` under [console]");
        let socket = TcpListener::bind(listen).await.with_context(refused)?;
        let address = socket.local_addr().with_context(refused)?;
        let api = Api {
            context: Arc::new(Context { trails, keys, clock }),
            metrics: Metrics::new(&registry),
            loopback_only: tls.is_none(),
        };
        let listener = Listener::new(Bounded::new(socket, CONNECTIONS_MAX, CONNECTION_LIFETIME), tls);
        let http = Server::bind(&config.health).await?;
        Ok(Self { api, listener, address, http, health, registry, cancel })
    }

    /// The address for AWS's clients, with the port that was taken.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Runs until cancelled or until a part fails that the others can't do without.
    pub async fn run(self) -> anyhow::Result<()> {
        tracing::info!(console.address = %self.address, "console is up");
        let mut tasks = Tasks::new(self.cancel.clone());
        let context = Arc::clone(&self.api.context);
        let pages = Pages { health: self.health, metrics: self.registry, status: Arc::new(move || status(&context)) };
        let cancel = self.cancel.clone();
        tasks.spawn("http", async move { Ok(self.http.serve(pages, cancel).await?) });
        tasks.spawn("public_keys", self.api.context.keys.clone().run(self.cancel.clone()));
        let (listener, router) = (self.listener, self.api.router());
        let cancel = self.cancel;
        tasks.spawn("api", async move {
            let serving = axum::serve(listener, router).with_graceful_shutdown(cancel.cancelled_owned());
            serving.await.context("serve AWS's clients")
        });
        tasks.join().await
    }
}

/// The body of `/status`.
fn status(context: &Context) -> Vec<u8> {
    let trails: Vec<_> = context.trails.iter().map(|trail| &trail.arn).collect();
    let keys = context.keys.read().map(|keys| keys.iter().count()).ok();
    let version = env!("CARGO_PKG_VERSION");
    let said = json!({ "process": "orgtrail-console", "version": version, "trails": trails, "public_keys": keys });
    format!("{said:#}\n").into_bytes()
}
