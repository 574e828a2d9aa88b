//! The parts and tasks of one trail: its bucket's delivery, digests, notifications and CloudWatch Logs.

use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;
use orgtrail_cloud::Signer;
use orgtrail_cloud::topic::Topic;
use orgtrail_service::clock::Clock;
use orgtrail_service::health::Health;
use orgtrail_service::tasks::Tasks;
use orgtrail_service::workers::Workers;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::cloudwatch;
use crate::config::{Config, TrailConfig};
use crate::deliver::put::Destination;
use crate::deliver::{Delivery, Line, Settings};
use crate::digest::{Digests, KeyList};
use crate::ingest::Scanners;
use crate::journal::{Journal, Seq};
use crate::metrics::Metrics;
use crate::notify::Notifier;
use crate::outside::Outside;
use crate::replay;

/// What one trail's tasks are made of.
pub(super) struct TrailParts {
    pub(super) destination: Arc<Destination>,
    signer: Option<Arc<dyn Signer>>,
    topic: Option<Arc<dyn Topic>>,
    cloudwatch: Option<cloudwatch::Target>,
}

/// What all trails' tasks share.
pub(super) struct Common<'a> {
    pub(super) config: &'a Config,
    pub(super) journal: &'a Journal,
    pub(super) workers: &'a Arc<Workers>,
    pub(super) key_list: &'a Arc<KeyList>,
    pub(super) clock: &'a Arc<dyn Clock>,
    pub(super) health: &'a Health,
    pub(super) metrics: &'a Arc<Metrics>,
    pub(super) flush: &'a watch::Sender<Seq>,
    pub(super) cancel: &'a CancellationToken,
}

impl Common<'_> {
    /// What replays of these trails need.
    pub(super) fn replays(
        &self,
        sources: Vec<replay::Source>,
        scanners: &Arc<Scanners>,
        state_dir: &Path,
    ) -> replay::Parts {
        replay::Parts {
            journal: self.journal.clone(),
            sources,
            scanners: Arc::clone(scanners),
            workers: Arc::clone(self.workers),
            clock: Arc::clone(self.clock),
            health: self.health.clone(),
            flush: self.flush.clone(),
            object_bytes_max: self.config.ingest.object_bytes_max.as_u64(),
            state_dir: state_dir.to_owned(),
        }
    }
}

/// What is still done for a trail once nothing is delivered any more.
pub(super) struct Closing {
    digests: Option<Arc<Digests>>,
    notifier: Option<Arc<Notifier>>,
}

impl TrailParts {
    /// Opens what the trail names. Nothing of AWS is called yet.
    pub(super) async fn build(
        trail: &TrailConfig,
        outside: &Arc<dyn Outside>,
        health: &Health,
        metrics: &Arc<Metrics>,
        cancel: &CancellationToken,
    ) -> anyhow::Result<Self> {
        let location = trail.location.as_ref().context("a checked trail has a location")?;
        let destination = Destination {
            trail: trail.trail(),
            store: outside.open_store(location, &trail.connection).await?,
            kms_key_id: trail.kms_key_id.clone(),
            bucket_key: trail.bucket_key,
            health: health.clone(),
            metrics: Arc::clone(metrics),
            cancel: cancel.clone(),
        };
        let signer = match &trail.signing_key_id {
            Some(key_id) => Some(outside.open_signer(key_id, &trail.connection).await?),
            None => None,
        };
        let topic = match &trail.sns_topic {
            Some(id) => Some(outside.open_topic(id, &trail.connection).await?),
            None => None,
        };
        let cloudwatch = match &trail.cloudwatch_logs {
            Some(logs) => Some(cloudwatch::Target::open(logs, destination.trail.clone()).await?),
            None => None,
        };
        Ok(Self { destination: Arc::new(destination), signer, topic, cloudwatch })
    }

    /// The trail's objects, for replays.
    pub(super) fn source(&self) -> replay::Source {
        replay::Source {
            name: self.destination.trail.name.clone(),
            organization_id: self.destination.trail.organization_id.clone(),
            store: Arc::clone(&self.destination.store),
        }
    }

    /// Starts the trail's tasks.
    pub(super) fn start(self, common: &Common<'_>, tasks: &mut Tasks) -> Closing {
        let Common { config, journal, cancel, .. } = common;
        let destination = self.destination;
        let line = Line {
            journal: (*journal).clone(),
            destination: Arc::clone(&destination),
            level: config.deliver.gzip_level,
            workers: Arc::clone(common.workers),
        };
        let settings = Settings::new(&config.deliver);
        let delivery = Delivery { line: Arc::new(line), settings, flush: common.flush.subscribe() };
        tasks.spawn("deliver", async move { Ok(delivery.run().await?) });
        if let Some(target) = self.cloudwatch {
            let parts = cloudwatch::Parts {
                journal: (*journal).clone(),
                workers: Arc::clone(common.workers),
                clock: Arc::clone(common.clock),
                health: common.health.clone(),
                metrics: Arc::clone(common.metrics),
                cancel: (*cancel).clone(),
            };
            let delivery = cloudwatch::Delivery::new(target, parts);
            tasks.spawn("cloudwatch", async move { Ok(delivery.run().await?) });
        }
        let digests = self.signer.map(|signer| {
            Arc::new(Digests {
                journal: (*journal).clone(),
                destination: Arc::clone(&destination),
                signer,
                key_list: Arc::clone(common.key_list),
                settings: config.digests.clone(),
                clock: Arc::clone(common.clock),
            })
        });
        if let Some(digests) = &digests {
            tasks.spawn("digests", Arc::clone(digests).run((*cancel).clone()));
        }
        let notifier = self.topic.map(|topic| {
            Arc::new(Notifier { journal: (*journal).clone(), destination: Arc::clone(&destination), topic })
        });
        if let Some(notifier) = &notifier {
            let (notifier, cancel) = (Arc::clone(notifier), (*cancel).clone());
            tasks.spawn("notify", async move { Ok(notifier.run(cancel).await?) });
        }
        Closing { digests, notifier }
    }
}

impl Closing {
    /// Writes the digests of the unfinished hour if that is wanted, and announces what waits.
    pub(super) async fn close(self, config: &Config) -> anyhow::Result<()> {
        if let Some(digests) = self.digests.filter(|_| config.digests.on_stop) {
            digests.close().await?;
        }
        if let Some(notifier) = self.notifier {
            // What can't be published now is published by the next start.
            drop(notifier.publish_waiting().await?);
        }
        Ok(())
    }
}
