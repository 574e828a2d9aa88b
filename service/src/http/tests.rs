//! What an operator, Prometheus and a load balancer get from the pages.

use std::sync::Arc;

use jiff::Timestamp;
use prometheus_client::metrics::counter::Counter;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use super::*;
use crate::clock::Manual;

struct Running {
    address: SocketAddr,
    health: Health,
    cancel: CancellationToken,
    set: JoinSet<Result<(), Error>>,
}

async fn running() -> Running {
    let health = Health::new(Manual::new(Timestamp::UNIX_EPOCH));
    let metrics = Metrics::new("agent");
    let counter: Counter = metrics.register("objects", "Objects", Counter::default());
    counter.inc();
    let pages = Pages { health: health.clone(), metrics, status: Arc::new(|| br#"{"objects": 1}"#.to_vec()) };
    let server = Server::bind(&Config::default()).await.unwrap();
    let address = server.address();
    let cancel = CancellationToken::new();
    let mut set = JoinSet::new();
    set.spawn(server.serve(pages, cancel.clone()));
    Running { address, health, cancel, set }
}

/// The whole answer to one request; the server must close the connection.
async fn ask(address: SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

async fn page(address: SocketAddr, path: &str) -> String {
    ask(address, &format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n")).await
}

#[tokio::test]
async fn readiness_names_every_degraded_part() {
    let running = running().await;
    assert!(page(running.address, "/readyz").await.starts_with("HTTP/1.1 200"));
    running.health.set_degraded("source a", "access denied");
    running.health.set_degraded("aggregator", "connection refused");
    let answer = page(running.address, "/readyz").await;
    assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
    for said in ["source a", "access denied", "aggregator", "connection refused", "1970-01-01T00:00:00Z"] {
        assert!(answer.contains(said), "{said} is missing in {answer}");
    }
    assert!(page(running.address, "/healthz").await.starts_with("HTTP/1.1 200"), "degraded is not dead");
}

#[tokio::test]
async fn a_stuck_loop_fails_the_liveness_check() {
    let running = running().await;
    let beat = running.health.watch("poll", Duration::ZERO);
    tokio::time::sleep(Duration::from_millis(2)).await;
    let answer = page(running.address, "/healthz").await;
    assert!(answer.starts_with("HTTP/1.1 503") && answer.contains("poll"), "{answer}");
    drop(beat);
    assert!(page(running.address, "/healthz").await.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn metrics_and_status_have_their_types() {
    let running = running().await;
    let answer = page(running.address, "/metrics").await;
    assert!(answer.contains("content-type: application/openmetrics-text; version=1.0.0; charset=utf-8"), "{answer}");
    assert!(answer.contains("orgtrail_agent_objects_total 1"), "{answer}");
    let answer = page(running.address, "/status").await;
    assert!(answer.contains("content-type: application/json"), "{answer}");
    assert!(answer.contains("\"objects\": 1"), "{answer}");
}

#[tokio::test]
async fn nothing_but_reading_is_possible() {
    let running = running().await;
    assert!(page(running.address, "/").await.starts_with("HTTP/1.1 404"));
    let post = "POST /status HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\n\r\nhello";
    assert!(ask(running.address, post).await.starts_with("HTTP/1.1 405"));
}

#[tokio::test]
async fn a_silent_connection_is_let_go_and_others_get_in() {
    let mut running = running().await;
    let mut silent = Vec::new();
    for _ in 0..CONNECTIONS_MAX {
        silent.push(TcpStream::connect(running.address).await.unwrap());
    }
    tokio::time::sleep(Duration::from_millis(100)).await;
    tokio::time::pause();
    let answer = page(running.address, "/healthz");
    assert!(answer.await.starts_with("HTTP/1.1 200"), "waited for the lifetime of the silent ones");
    running.cancel.cancel();
    drop(silent);
    running.set.join_next().await.unwrap().unwrap().unwrap();
}

#[tokio::test]
async fn a_taken_port_is_named() {
    let running = running().await;
    let error = Server::bind(&Config { listen: running.address }).await.unwrap_err().to_string();
    assert!(error.contains(&running.address.to_string()) && error.contains("[health]"), "{error}");
}
