//! Announces delivered files on a trail's topic, with the message that CloudTrail publishes.
//!
//! Owns the message and when it is published. Does not own what is to be announced: the journal keeps that, written with the
//! delivery itself, until it is out. At least once; a topic out of order delays and loses no delivery.

use std::sync::Arc;
use std::time::Duration;

use orgtrail_cloud::topic::Topic;
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use crate::deliver::blocking;
use crate::deliver::put::Destination;
use crate::journal::{self, Journal};

/// Notifications read at once.
const AT_ONCE: usize = 100;
const BACKOFF_FIRST: Duration = Duration::from_millis(500);
const BACKOFF_LAST: Duration = Duration::from_secs(60);

/// Announces one trail's files.
pub(crate) struct Notifier {
    pub(crate) journal: Journal,
    pub(crate) destination: Arc<Destination>,
    pub(crate) topic: Arc<dyn Topic>,
}

/// CloudTrail user guide, "Configuring Amazon SNS notifications for CloudTrail". The keys are the objects' full keys.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Message<'a> {
    #[serde(rename = "s3Bucket")]
    bucket: &'a str,
    #[serde(rename = "s3ObjectKey")]
    keys: Vec<String>,
}

impl Notifier {
    /// Publishes until cancelled. An error is the journal's: the process must stop.
    pub(crate) async fn run(self: Arc<Self>, cancel: CancellationToken) -> Result<(), journal::Error> {
        let mut grown = self.journal.watch_notices();
        let mut backoff = BACKOFF_FIRST;
        loop {
            grown.mark_unchanged();
            let failed = self.publish_waiting().await?;
            let pause = async {
                match &failed {
                    Some(_) => tokio::time::sleep(backoff).await,
                    // The journal outlives this task, so the sender does.
                    None => drop(grown.changed().await),
                }
            };
            // Cancel-safe: both arms only wait.
            tokio::select! {
                () = cancel.cancelled() => return Ok(()),
                () = pause => {}
            }
            backoff = if failed.is_some() { (backoff * 2).min(BACKOFF_LAST) } else { BACKOFF_FIRST };
        }
    }

    /// Publishes what waits, up to the first failure, which it tells.
    pub(crate) async fn publish_waiting(&self) -> Result<Option<String>, journal::Error> {
        let part = format!("trail {} notifications", self.destination.trail.name);
        loop {
            let (journal, trail) = (self.journal.clone(), self.destination.trail.name.clone());
            let notices = blocking(move || journal.notices(&trail, AT_ONCE)).await?;
            if notices.is_empty() {
                self.destination.health.set_ok(&part);
                return Ok(None);
            }
            let mut published = Vec::with_capacity(notices.len());
            let mut failed = None;
            for (key, notice) in notices {
                match self.topic.publish(&self.message(&notice.keys)).await {
                    Ok(()) => published.push(key),
                    Err(error) => {
                        failed = Some(error.to_string());
                        break;
                    }
                }
            }
            self.destination.metrics.notified(&self.destination.trail.name, published.len() as u64);
            let journal = self.journal.clone();
            blocking(move || journal.published(&published)).await?;
            if let Some(why) = failed {
                tracing::warn!(
                    destination.name = self.destination.trail.name,
                    error = why,
                    "notification not published, trying again"
                );
                self.destination.health.set_degraded(&part, why.clone());
                return Ok(Some(why));
            }
        }
    }

    fn message(&self, keys: &[String]) -> String {
        let trail = &self.destination.trail;
        let keys = keys.iter().map(|key| trail.object(key)).collect();
        serde_json::to_string(&Message { bucket: &trail.bucket, keys }).expect("texts are always JSON")
    }
}
