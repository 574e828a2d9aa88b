//! What the consumers count.

use orgtrail_service::telemetry::Metrics as Registry;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;

/// A message, by who speaks and what became of it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct MessageLabels {
    pub(super) dialect: &'static str,
    pub(super) outcome: &'static str,
}

/// A queue.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct QueueLabels {
    pub(super) queue: String,
}

/// An object that a message named, by what was done about it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct ObjectLabels {
    pub(super) outcome: &'static str,
}

/// The counters; clones share them.
#[derive(Debug, Clone)]
pub(crate) struct Metrics {
    pub(super) messages: Family<MessageLabels, Counter>,
    pub(super) objects: Family<ObjectLabels, Counter>,
    pub(super) in_work: Family<QueueLabels, Gauge>,
    pub(super) oldest: Family<QueueLabels, Gauge>,
    pub(super) waiting: Family<QueueLabels, Gauge>,
}

impl Metrics {
    pub(crate) fn register(registry: &Registry) -> Self {
        let oldest = "Age of the oldest message in work, since it was sent";
        let objects = "Objects that messages named: taken, known already, passed over, foreign";
        Self {
            messages: registry.register(
                "notifications",
                "Messages of queues by what became of them",
                Family::default(),
            ),
            objects: registry.register("notified_objects", objects, Family::default()),
            in_work: registry.register("notifications_in_work", "Messages in work", Family::default()),
            oldest: registry.register("notifications_oldest_age_seconds", oldest, Family::default()),
            waiting: registry.register("notifications_waiting", "Messages that wait in a queue", Family::default()),
        }
    }

    pub(super) fn message(&self, dialect: &'static str, outcome: &'static str) {
        self.messages.get_or_create(&MessageLabels { dialect, outcome }).inc();
    }

    pub(super) fn object(&self, outcome: &'static str) {
        self.objects.get_or_create(&ObjectLabels { outcome }).inc();
    }
}
