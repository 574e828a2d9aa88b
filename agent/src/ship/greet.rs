//! One greeting of the aggregator, for a command that wants to know whether an agent would be let in. Sends nothing else.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use orgtrail_proto::{Client, Hello, MESSAGE_BYTES_MAX, ToAgent, ToAggregator};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_stream::wrappers::ReceiverStream;

use super::{CONNECT_TIMEOUT, Route, session};
use crate::config::Config;
use crate::outside::World;

/// How far a greeting came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GreetStep {
    /// The address and the files of `[aggregator.tls]` are read.
    Files,
    /// A connection to the port.
    Tcp,
    /// TLS and HTTP/2 on it.
    Connect,
    /// The aggregator's welcome to this agent's name.
    Greet,
}

/// What ended a greeting.
#[derive(Debug, thiserror::Error)]
#[error("{problem}")]
pub struct GreetError {
    /// The step that failed; those before it did not.
    pub step: GreetStep,
    /// What it said.
    pub problem: String,
}

/// Greets the aggregator under this agent's name and hangs up. An agent of that name that is linked stays so.
///
/// # Errors
/// The first step that failed.
pub async fn greet(config: &Config) -> Result<(), GreetError> {
    let failed = |step| move |problem: String| GreetError { step, problem };
    let route = Route::new(&config.aggregator, Arc::new(World))
        .map_err(|error| failed(GreetStep::Files)(format!("{error:#}")))?;
    let uri = config.aggregator.uri().ok_or_else(|| failed(GreetStep::Files)("no address".to_owned()))?;
    let port = uri.port_u16().unwrap_or(if uri.scheme_str() == Some("https") { 443 } else { 80 });
    let host = uri.host().unwrap_or_default().trim_matches(['[', ']']).to_owned();
    let tcp = within(CONNECT_TIMEOUT, TcpStream::connect((host, port))).await;
    drop(tcp.map_err(failed(GreetStep::Tcp))?);
    let channel = within(CONNECT_TIMEOUT, route.connect()).await.map_err(failed(GreetStep::Connect))?;
    let (outbound, messages) = mpsc::channel(1);
    let hello =
        Hello { agent: config.name.clone(), software: format!("orgtrail doctor {}", env!("CARGO_PKG_VERSION")) };
    outbound
        .send(ToAggregator::Hello(hello))
        .await
        .map_err(|_| failed(GreetStep::Greet)("the link closed".to_owned()))?;
    let mut client = Client::new(channel, MESSAGE_BYTES_MAX);
    let greet = async {
        let mut link = client.open(ReceiverStream::new(messages)).await.map_err(|status| session::said(&status))?;
        match link.next().await {
            Some(Ok(ToAgent::Welcome { .. })) => Ok(()),
            Some(Ok(_)) => Err("the aggregator answers before its welcome".to_owned()),
            Some(Err(status)) => Err(session::said(&status)),
            None => Err("the aggregator closed the link".to_owned()),
        }
    };
    let greeted =
        timeout(CONNECT_TIMEOUT, greet).await.unwrap_or_else(|_| Err("the greeting is not answered".to_owned()));
    // Until here: the link ends with what is sent.
    drop(outbound);
    greeted.map_err(failed(GreetStep::Greet))
}

async fn within<T, E: std::error::Error>(
    patience: Duration,
    work: impl Future<Output = Result<T, E>>,
) -> Result<T, String> {
    match timeout(patience, work).await {
        Ok(Ok(done)) => Ok(done),
        Ok(Err(error)) => {
            // tonic's own text is "transport error"; what happened stands below it.
            let mut text = error.to_string();
            let mut cause = error.source();
            while let Some(below) = cause {
                text = format!("{text}: {below}");
                cause = below.source();
            }
            Err(text)
        }
        Err(_) => Err(format!("no answer within {} s", patience.as_secs())),
    }
}
