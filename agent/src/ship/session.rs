//! One link, from its greeting to its end.
//!
//! Owns the conversation: what is sent when, and that answers are taken in any order. Everything unanswered stays in the
//! window, so a session may break off at any point.

use std::future;

use futures::StreamExt;
use orgtrail_proto::{Client, Hello, Link, ToAgent, ToAggregator};
use orgtrail_service::health::Health;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until, timeout};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;

use super::answers::Answers;
use super::window::Window;
use super::{CONNECT_TIMEOUT, PART, Trouble};
use crate::metrics::Metrics;
use crate::object::Fetched;

/// Messages handed to the transport and not yet written by it.
const OUTBOUND: usize = 4;

/// How a session ended.
pub(super) enum End {
    /// Nothing is left to do.
    Done,
    /// The link broke, or the other side does not keep to the protocol.
    Broken(String),
}

pub(super) struct Session {
    link: Link,
    outbound: mpsc::Sender<ToAggregator>,
    message_bytes_max: usize,
    answers: Answers,
    health: Health,
    metrics: Metrics,
    /// The aggregator asked to wait; health says so until it takes something again.
    pushed_back: bool,
}

impl Session {
    /// Greets the aggregator.
    pub(super) async fn open(
        mut client: Client,
        hello: Hello,
        answers: &Answers,
        health: &Health,
        metrics: &Metrics,
    ) -> Result<Self, Trouble> {
        let broken = |text: String| Trouble::Link(text);
        let (outbound, messages) = mpsc::channel(OUTBOUND);
        outbound.send(ToAggregator::Hello(hello)).await.map_err(|_| broken("the link closed".into()))?;
        let opened = timeout(CONNECT_TIMEOUT, client.open(ReceiverStream::new(messages))).await;
        let mut link = opened
            .map_err(|_| broken("the greeting is not answered".into()))?
            .map_err(|status| broken(said(&status)))?;
        let welcome = timeout(CONNECT_TIMEOUT, link.next()).await;
        let (epoch, message_bytes_max) = match welcome.map_err(|_| broken("no welcome came".into()))? {
            Some(Ok(ToAgent::Welcome { epoch, message_bytes_max })) => (epoch, message_bytes_max),
            Some(Ok(_)) => return Err(broken("the aggregator answers before its welcome".into())),
            Some(Err(status)) => return Err(broken(said(&status))),
            None => return Err(broken("the aggregator closed the link".into())),
        };
        answers.welcome(epoch).await.map_err(Trouble::Fatal)?;
        let message_bytes_max = message_bytes_max.min(orgtrail_proto::MESSAGE_BYTES_MAX);
        let (answers, health, metrics) = (answers.clone(), health.clone(), metrics.clone());
        Ok(Self { link, outbound, message_bytes_max, answers, health, metrics, pushed_back: false })
    }

    /// Sends and takes answers until the link breaks or everything is answered and no batch will come any more.
    pub(super) async fn run(
        &mut self,
        window: &mut Window,
        batches: &mut mpsc::Receiver<Vec<Fetched>>,
        flush: &mut watch::Receiver<u64>,
        cancel: &CancellationToken,
    ) -> anyhow::Result<End> {
        let outbound = self.outbound.clone();
        let mut outgoing = Vec::new().into_iter();
        let (mut ended, mut flush_open) = (false, true);
        let mut flush_wanted = *flush.borrow_and_update() > 0;
        loop {
            if outgoing.len() == 0 && window.has_unsent() {
                outgoing = window.next(self.message_bytes_max).into_iter();
                self.metrics.batches.inc();
            }
            if ended && window.is_empty() && !flush_wanted {
                return Ok(End::Done);
            }
            let to_send = outgoing.len() > 0 || flush_wanted;
            // Every arm is cancel-safe: a stream's next, a reserve, a receive and a change lose nothing when dropped, and
            // the rest only waits.
            tokio::select! {
                message = self.link.next() => match message {
                    Some(Ok(message)) => if let Some(end) = self.take(message, window).await? { return Ok(end) },
                    Some(Err(status)) => return Ok(End::Broken(said(&status))),
                    None => return Ok(End::Broken("the aggregator closed the link".into())),
                },
                permit = outbound.reserve(), if to_send => {
                    let Ok(permit) = permit else { return Ok(End::Broken("the link closed".into())) };
                    match outgoing.next() {
                        Some(message) => permit.send(message),
                        // Behind everything that was there when it was asked for.
                        None => {
                            permit.send(ToAggregator::Flush);
                            flush_wanted = false;
                        }
                    }
                },
                batch = batches.recv(), if !ended && window.has_room() => match batch {
                    Some(objects) => window.push(objects),
                    None => ended = true,
                },
                () = due(window.next_due()) => window.wake(Instant::now()),
                changed = flush.changed(), if flush_open => match changed {
                    Ok(()) => flush_wanted = true,
                    Err(_) => flush_open = false,
                },
                // What the aggregator asked to be offered later is not waited for.
                () = cancel.cancelled(), if self.pushed_back => return Ok(End::Done),
            }
        }
    }

    async fn take(&mut self, message: ToAgent, window: &mut Window) -> anyhow::Result<Option<End>> {
        match message {
            ToAgent::Welcome { .. } => return Ok(Some(End::Broken("the aggregator welcomes twice".into()))),
            ToAgent::Delivered { seq_end } => self.answers.delivered(seq_end).await?,
            ToAgent::Answer { batch_id, dispositions } => {
                let Some(objects) = window.answered(batch_id) else {
                    return Ok(Some(End::Broken(format!(
                        "the aggregator answers batch {batch_id}, which is not open"
                    ))));
                };
                if objects.len() != dispositions.len() {
                    let text = format!("{} answers for {} objects", dispositions.len(), objects.len());
                    window.push(objects);
                    return Ok(Some(End::Broken(format!("the aggregator gives {text}"))));
                }
                let left = self.answers.settle(objects, dispositions).await?;
                self.push_back(left.again.is_empty(), &left.why);
                if !left.again.is_empty() {
                    window.postpone(left.again, Instant::now() + left.after);
                }
            }
        }
        Ok(None)
    }

    fn push_back(&mut self, taken: bool, why: &str) {
        if !taken {
            self.health.set_degraded(PART, format!("asks to wait: {why}"));
        } else if self.pushed_back {
            self.health.set_ok(PART);
        }
        self.pushed_back = !taken;
    }
}

/// Waits for a moment, for ever without one.
async fn due(at: Option<Instant>) {
    match at {
        Some(at) => sleep_until(at).await,
        None => future::pending().await,
    }
}

/// A status in words: its code says what to do, its message what happened.
pub(super) fn said(status: &tonic::Status) -> String {
    let code = status.code();
    if status.message().is_empty() { format!("{code}") } else { format!("{}: {code}", status.message()) }
}
