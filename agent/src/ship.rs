//! Sends batches to the aggregator and writes its answers down.
//!
//! Owns the link's life: connecting, the window of unanswered bytes, reconnecting and sending again what has no answer.
//! Does not own what answers mean to an object (`answers`) nor the wire (the proto crate).
//!
//! **On a crash** nothing is lost: what was sent and not answered is still claimed in the checkpoint, and is fetched and
//! sent again; the aggregator's dedup absorbs what it had taken. **On cancellation** the window is given time to empty
//! while the link stands; without a link there is nothing to wait for.

mod answers;
mod greet;
mod session;
mod window;

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use orgtrail_proto::{Client, Hello, MESSAGE_BYTES_MAX};
use orgtrail_service::config::{Check, Problems};
use orgtrail_service::health::Health;
use orgtrail_service::shape::{Bytes, duration};
use rand::Rng;
use serde::Deserialize;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use tonic::transport::{Channel, Endpoint};

pub(crate) use self::answers::Answers;
pub use self::greet::{GreetError, GreetStep, greet};
use self::session::{End, Session};
use self::window::Window;
use crate::config::{self, bytes_within, within};
use crate::metrics::Metrics;
use crate::object::Fetched;
use crate::outside::Outside;

/// The part of health that the link degrades.
const PART: &str = "aggregator";
/// How long making a connection, and each step of greeting, may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// A link that is dead is found after these two together, also while nothing is sent.
const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(10);
const KEEP_ALIVE_TIMEOUT: Duration = Duration::from_secs(10);
/// HTTP/2 flow control is per stream and per connection; its default of 64 KiB would make every batch wait for a few
/// round trips.
const FLOW_WINDOW: u32 = 4 << 20;

/// The `[ship]` table.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Bytes that may be on their way without an answer. Default: 32 MiB; the aggregator answers after an fsync, so this
    /// over one fsync is what one agent can ship.
    pub window: Bytes,
    /// Pause before the first attempt to link again. Default: 250 ms.
    #[serde(with = "duration")]
    pub reconnect_min: Duration,
    /// Longest pause; each failed attempt doubles it, and each is shortened by up to a half by chance, so that agents do
    /// not come back in step. Default: 30 s.
    #[serde(with = "duration")]
    pub reconnect_max: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            window: Bytes::mib(32),
            reconnect_min: Duration::from_millis(250),
            reconnect_max: Duration::from_secs(30),
        }
    }
}

impl Check for Config {
    fn check(&self, problems: &mut Problems) {
        bytes_within("window", self.window, Bytes::kib(1)..=Bytes::gib(4), problems);
        within("reconnect_min", self.reconnect_min, Duration::from_millis(1)..=self.reconnect_max, problems);
        within("reconnect_max", self.reconnect_max, Duration::from_millis(1)..=Duration::from_secs(3600), problems);
    }
}

/// What the link is doing, for the status.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct LinkState {
    pub(crate) connected: bool,
    /// Why not.
    pub(crate) trouble: Option<String>,
}

/// The stage's face.
#[derive(Debug, Clone)]
pub(crate) struct Handle {
    flush: watch::Sender<u64>,
    state: watch::Receiver<LinkState>,
}

impl Handle {
    /// Asks the aggregator to deliver what it holds without waiting for more. Asked again on every new link until the
    /// process ends.
    pub(crate) fn flush(&self) {
        self.flush.send_modify(|wishes| *wishes += 1);
    }

    pub(crate) fn state(&self) -> LinkState {
        self.state.borrow().clone()
    }
}

/// Keeps a link to the aggregator.
#[derive(Debug)]
pub(crate) struct Stage {
    config: Config,
    hello: Hello,
    route: Route,
    answers: Answers,
    health: Health,
    metrics: Metrics,
    batches: mpsc::Receiver<Vec<Fetched>>,
    flush: watch::Receiver<u64>,
    state: watch::Sender<LinkState>,
}

/// The way to the aggregator.
#[derive(Debug, Clone)]
pub(crate) struct Route {
    endpoint: Endpoint,
    outside: Arc<dyn Outside>,
}

impl Route {
    pub(crate) fn new(aggregator: &config::Aggregator, outside: Arc<dyn Outside>) -> anyhow::Result<Self> {
        let uri = aggregator.uri().with_context(|| format!("`{}` is no endpoint", aggregator.endpoint))?;
        let mut endpoint = Endpoint::from(uri)
            .connect_timeout(CONNECT_TIMEOUT)
            .http2_keep_alive_interval(KEEP_ALIVE_INTERVAL)
            .keep_alive_timeout(KEEP_ALIVE_TIMEOUT)
            .keep_alive_while_idle(true)
            .initial_stream_window_size(FLOW_WINDOW)
            .initial_connection_window_size(FLOW_WINDOW)
            .tcp_nodelay(true);
        if let Some(tls) = &aggregator.tls {
            endpoint =
                endpoint.tls_config(tls.client(aggregator.server_name.as_deref())?).context("use [aggregator.tls]")?;
        }
        Ok(Self { endpoint, outside })
    }

    async fn connect(&self) -> Result<Channel, tonic::transport::Error> {
        self.outside.connect(&self.endpoint).await
    }
}

impl Stage {
    pub(crate) fn new(
        config: Config,
        agent: &str,
        route: Route,
        answers: Answers,
        health: Health,
        metrics: Metrics,
        batches: mpsc::Receiver<Vec<Fetched>>,
    ) -> (Self, Handle) {
        let hello =
            Hello { agent: agent.to_owned(), software: concat!("orgtrail-agent ", env!("CARGO_PKG_VERSION")).into() };
        let (flush, flush_rx) = watch::channel(0);
        let (state, state_rx) = watch::channel(LinkState::default());
        let stage = Self { config, hello, route, answers, health, metrics, batches, flush: flush_rx, state };
        (stage, Handle { flush, state: state_rx })
    }

    /// Runs until the batches end and every one of them is answered; or, once cancelled, until there is no link to wait
    /// for. Dropping it gives up what is unanswered.
    pub(crate) async fn run(mut self, cancel: CancellationToken) -> anyhow::Result<()> {
        let mut window = Window::new(self.config.window.as_u64());
        let mut pause = self.config.reconnect_min;
        let mut links = 0;
        loop {
            let trouble = match self.open(&cancel).await {
                Ok(Some(mut session)) => {
                    pause = self.config.reconnect_min;
                    self.linked(links);
                    links += 1;
                    match session.run(&mut window, &mut self.batches, &mut self.flush, &cancel).await? {
                        End::Done => return Ok(()),
                        End::Broken(trouble) => trouble,
                    }
                }
                Ok(None) => return Ok(()),
                Err(Trouble::Fatal(error)) => return Err(error),
                Err(Trouble::Link(trouble)) => trouble,
            };
            self.unlinked(&trouble);
            let again = window.reset();
            self.metrics.resent.inc_by(again as u64);
            if cancel.is_cancelled() {
                return Ok(());
            }
            let jitter = rand::rng().random_range(0.5..=1.0);
            // Cancel-safe: both arms only wait.
            tokio::select! {
                () = cancel.cancelled() => return Ok(()),
                () = tokio::time::sleep(pause.mul_f64(jitter)) => {}
            }
            pause = (pause * 2).min(self.config.reconnect_max);
        }
    }

    /// A greeted link; `None` when cancelled.
    async fn open(&self, cancel: &CancellationToken) -> Result<Option<Session>, Trouble> {
        let open = async {
            let channel = tokio::time::timeout(CONNECT_TIMEOUT, self.route.connect())
                .await
                .map_err(|_| Trouble::Link("the connection is not answered".into()))?
                .map_err(|error| Trouble::Link(explain(&error)))?;
            let client = Client::new(channel, MESSAGE_BYTES_MAX);
            Session::open(client, self.hello.clone(), &self.answers, &self.health, &self.metrics).await
        };
        // Dropping a link that is being opened closes it.
        tokio::select! {
            () = cancel.cancelled() => Ok(None),
            opened = open => opened.map(Some),
        }
    }

    fn linked(&self, before: u64) {
        if before > 0 {
            self.metrics.reconnects.inc();
        }
        self.metrics.connected.set(1);
        self.health.set_ok(PART);
        self.state.send_replace(LinkState { connected: true, trouble: None });
        tracing::info!(endpoint = %self.route.endpoint.uri(), "linked to the aggregator");
    }

    fn unlinked(&self, trouble: &str) {
        self.metrics.connected.set(0);
        self.health.set_degraded(PART, format!("{}: {trouble}", self.route.endpoint.uri()));
        self.state.send_replace(LinkState { connected: false, trouble: Some(trouble.to_owned()) });
    }
}

/// Why there is no link.
enum Trouble {
    /// To be tried again.
    Link(String),
    /// The process has to end.
    Fatal(anyhow::Error),
}

/// An error with what lies beneath: tonic's own text is only `transport error`.
fn explain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let more = error.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        source = error.source();
    }
    text
}

#[cfg(test)]
mod tests;
