//! A queue of notifications: how full it is, and whether a message can be received.

use std::time::Duration;

use orgtrail_agent::Source;
use orgtrail_cloud::queue::{self, Receive};
use orgtrail_cloud::{Connection, Error, open_queue};

use super::advice::{self, Scene};
use super::check::{Chain, Check};
use super::statement::{Holder, Wanted};
use super::{Context, Job, credentials};

const QUEUE: &str = "queue";
const RECEIVE: &str = "receive";
const ACTIONS: [&str; 4] =
    ["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:ChangeMessageVisibility", "sqs:GetQueueAttributes"];

/// The queues of some sources, each once: the sources of an organization often share one.
pub(super) fn jobs<'a>(sources: &'a [Source], context: &'a Context) -> Vec<Job<'a>> {
    let mut queues: Vec<(&str, &Connection)> = Vec::new();
    for notifications in sources.iter().filter_map(|source| source.notifications.as_ref()) {
        let queue = (notifications.queue.as_str(), &notifications.connection);
        if !queues.contains(&queue) {
            queues.push(queue);
        }
    }
    queues.into_iter().map(|(id, connection)| Box::pin(queue(id, connection, context)) as Job<'a>).collect()
}

/// Asks how full it is, and receives one message without hiding it. SQS counts that as a delivery, so with `--read-only` it
/// is left out.
async fn queue(id: &str, connection: &Connection, context: &Context) -> Vec<Check> {
    let mut chain = Chain::new(format!("queue {id}"));
    let mut scene = Scene { who: None, region: connection.region.clone() };
    if !id.starts_with("file://") {
        scene.who = credentials::walk(connection, &mut chain, context).await;
        if scene.who.is_none() {
            chain.skip_all(&[QUEUE, RECEIVE]);
            return chain.end();
        }
    }
    let arn = queue::arn(id, connection.region.as_deref());
    scene.region = arn.as_deref().and_then(|arn| arn.split(':').nth(3)).map(str::to_owned).or(scene.region);
    let failed = |error: &Error, hop, chain: &mut Chain| {
        let wanted =
            Wanted::new("OrgtrailReceives", &ACTIONS, arn.clone().unwrap_or_else(|| id.to_owned()), Holder::Queue);
        chain.fail(hop, error.to_string(), advice::of(error, &wanted, &scene));
    };
    let opened = async {
        let queue = open_queue(id, connection).await?;
        let depth = queue.depth().await?;
        Ok::<_, Error>((queue, depth))
    };
    let queue = match context.call("get the depth of", id, opened).await {
        Ok((queue, depth)) => {
            chain.ok(QUEUE, format!("{} waiting, {} in work", depth.waiting, depth.in_work));
            queue
        }
        Err(error) => {
            failed(&error, QUEUE, &mut chain);
            chain.skip_all(&[RECEIVE]);
            return chain.end();
        }
    };
    if context.read_only {
        chain.skip(RECEIVE, "--read-only");
        return chain.end();
    }
    let request = Receive { messages_max: 1, wait: Duration::ZERO, visibility: Duration::ZERO };
    match context.call("receive from", id, queue.receive(&request)).await {
        Ok(messages) if messages.is_empty() => chain.ok(RECEIVE, "no message is there"),
        Ok(_) => chain.ok(RECEIVE, "a message was received, and given back at once"),
        Err(error) => failed(&error, RECEIVE, &mut chain),
    }
    chain.end()
}
