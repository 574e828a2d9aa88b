//! The small web server of a process: `/healthz`, `/readyz`, `/metrics`, `/status`. Read-only, for the operator's network.
//!
//! It owns sockets and their bounds: at most [`CONNECTIONS_MAX`] connections, each for one request of at most
//! [`CONNECTION_LIFETIME`]; request bodies are never read. What the pages say belongs to their owners.

pub mod listener;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::map_response;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use self::listener::Bounded;
use crate::health::Health;
use crate::telemetry::Metrics;

/// Connections served at once; more wait in the kernel's queue.
pub const CONNECTIONS_MAX: usize = 32;

/// How long one connection may live, from its first byte to its last.
pub const CONNECTION_LIFETIME: Duration = Duration::from_secs(15);

/// Where to listen: the `[health]` table.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Address and port of the pages. The default, `127.0.0.1:0`, takes any free port of the loopback interface and
    /// logs which.
    pub listen: SocketAddr,
}

impl Default for Config {
    fn default() -> Self {
        Self { listen: SocketAddr::from(([127, 0, 0, 1], 0)) }
    }
}

/// What can go wrong.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The address is taken or not this machine's.
    #[error("listen on {address} for health and metrics: {source}; set another `listen` under [health]")]
    Bind {
        /// The address asked for.
        address: SocketAddr,
        /// Why not.
        source: std::io::Error,
    },
    /// The server ended by itself.
    #[error("serve health and metrics: {0}")]
    Serve(#[source] std::io::Error),
}

/// Says what a process has to say about itself, as JSON.
pub type StatusProvider = Arc<dyn Fn() -> Vec<u8> + Send + Sync>;

/// What the pages show.
#[derive(Clone)]
pub struct Pages {
    /// For `/healthz` and `/readyz`.
    pub health: Health,
    /// For `/metrics`.
    pub metrics: Metrics,
    /// For `/status`; called off the async threads.
    pub status: StatusProvider,
}

/// A bound address that is not served yet: a taken port is found before anything else starts.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
}

impl Server {
    /// Binds the address.
    ///
    /// # Errors
    /// It is taken or not this machine's.
    pub async fn bind(config: &Config) -> Result<Self, Error> {
        let refused = |source| Error::Bind { address: config.listen, source };
        let listener = TcpListener::bind(config.listen).await.map_err(refused)?;
        let address = listener.local_addr().map_err(refused)?;
        Ok(Self { listener, address })
    }

    /// The address with the port that was taken.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves the pages until cancelled. A task for [`crate::tasks::Tasks::spawn`].
    ///
    /// Give it a token that outlives the drain if `/readyz` should answer until the very end.
    ///
    /// # Errors
    /// The server ended by itself.
    pub async fn serve(self, pages: Pages, cancel: CancellationToken) -> Result<(), Error> {
        tracing::info!(http.address = %self.address, "health and metrics are served");
        let router = Router::new()
            .route("/healthz", get(healthz))
            .route("/readyz", get(readyz))
            .route("/metrics", get(metrics))
            .route("/status", get(status))
            // One request a connection: what bounds a connection's life then never cuts one off that is reused.
            .layer(map_response(close_after))
            .with_state(pages);
        axum::serve(Bounded::new(self.listener, CONNECTIONS_MAX, CONNECTION_LIFETIME), router)
            .with_graceful_shutdown(cancel.cancelled_owned())
            .await
            .map_err(Error::Serve)
    }
}

/// Ends the connection with the response. A layer for every server on a [`listener::Bounded`].
pub async fn close_after(mut response: Response) -> Response {
    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    response
}

/// Whether to keep this process: fails only when a watched loop is stuck, which a restart may cure.
async fn healthz(State(pages): State<Pages>) -> Response {
    let stuck = pages.health.stuck();
    let status = if stuck.is_empty() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    json_page(status, &json!({ "alive": stuck.is_empty(), "stuck": stuck }))
}

/// Whether everything works: fails while any part is degraded, and says which.
async fn readyz(State(pages): State<Pages>) -> Response {
    let report = pages.health.report();
    let status = if report.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    json_page(status, &json!(report))
}

async fn metrics(State(pages): State<Pages>) -> Response {
    let kind = [(header::CONTENT_TYPE, "application/openmetrics-text; version=1.0.0; charset=utf-8")];
    off_thread(move || pages.metrics.encode())
        .await
        .map_or_else(IntoResponse::into_response, |text| (kind, text).into_response())
}

async fn status(State(pages): State<Pages>) -> Response {
    off_thread(move || (pages.status)())
        .await
        .map_or_else(IntoResponse::into_response, |text| json_text(StatusCode::OK, text))
}

/// Collectors and providers may take locks or read a disk.
async fn off_thread<T: Send + 'static>(page: impl FnOnce() -> T + Send + 'static) -> Result<T, StatusCode> {
    tokio::task::spawn_blocking(page).await.map_err(|error| {
        tracing::error!(error = %error, "a page of the web server failed");
        StatusCode::INTERNAL_SERVER_ERROR
    })
}

fn json_page(status: StatusCode, value: &Value) -> Response {
    json_text(status, format!("{value:#}\n").into_bytes())
}

fn json_text(status: StatusCode, text: Vec<u8>) -> Response {
    (status, [(header::CONTENT_TYPE, "application/json")], text).into_response()
}

#[cfg(test)]
mod tests;
