//! A queue of notifications: how full it is, and whether a message can be received.

use std::time::Duration;

use orgtrail_cloud::partition::Partition;
use orgtrail_cloud::queue::Receive;
use orgtrail_cloud::{Connection, Error, open_queue};

use super::advice::{self, Scene};
use super::check::Chain;
use super::statement::{Holder, Wanted};
use super::{Context, credentials};

const QUEUE: &str = "queue";
const ACTIONS: [&str; 4] =
    ["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:ChangeMessageVisibility", "sqs:GetQueueAttributes"];

/// Receives one message without hiding it. SQS counts that as a delivery, so with `--read-only` it is left out.
pub(super) async fn receive(id: &str, connection: &Connection, chain: &mut Chain, context: &Context) {
    let mut scene = Scene::default();
    if !id.starts_with("file://") {
        scene.who = credentials::walk(connection, chain, context).await;
        if scene.who.is_none() {
            return chain.skip_all(&[QUEUE]);
        }
    }
    let request = Receive { messages_max: 1, wait: Duration::ZERO, visibility: Duration::ZERO };
    let asked = async {
        let queue = open_queue(id, connection).await?;
        let depth = queue.depth().await?;
        if !context.read_only {
            queue.receive(&request).await?;
        }
        Ok::<_, Error>(depth)
    };
    match context.call("receive from", id, asked).await {
        Ok(depth) => chain.ok(QUEUE, format!("{id}: {} waiting, {} in work", depth.waiting, depth.in_work)),
        Err(error) => {
            let wanted = Wanted::new("OrgtrailReceives", &ACTIONS, arn(id), Holder::Queue);
            chain.fail(QUEUE, error.to_string(), advice::of(&error, &wanted, &scene));
        }
    }
}

/// The ARN of a queue's URL, `https://sqs.REGION.amazonaws.com/ACCOUNT/NAME`; an ARN stays what it is.
fn arn(id: &str) -> String {
    let parts = || {
        let (host, path) = id.split_once("://")?.1.split_once('/')?;
        let (account, name) = path.split_once('/')?;
        let region = host.strip_prefix("sqs.")?.split('.').next()?;
        Some(Partition::of_region(region).arn("sqs", region, account, name))
    };
    parts().unwrap_or_else(|| id.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_queues_url_says_its_arn() {
        let url = "https://sqs.cn-north-1.amazonaws.com.cn/111122223333/trail";
        assert_eq!(arn(url), "arn:aws-cn:sqs:cn-north-1:111122223333:trail");
        assert_eq!(arn("arn:aws:sqs:eu-west-1:1:q"), "arn:aws:sqs:eu-west-1:1:q");
    }
}
