//! The lake's metrics, `orgtrail_lake_…`, for each event data store.

use orgtrail_service::telemetry;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;

use crate::import::ImportedNow;

type Labels = Vec<(&'static str, String)>;

/// What is counted as it happens.
#[derive(Debug, Clone)]
pub(crate) struct Metrics {
    imported: Family<Labels, Gauge>,
    failures: Family<Labels, Counter>,
}

impl Metrics {
    pub(crate) fn new(registry: &telemetry::Metrics) -> Self {
        let help = "What was imported since the start: objects, rows, compressed bytes, objects that can't be read, bad stretches";
        Self {
            imported: registry.register("imported", help, Family::default()),
            failures: registry.register("failures", "Steps that failed and are tried again", Family::default()),
        }
    }

    pub(crate) fn imported(&self, store: &str, now: &ImportedNow) {
        let figures = [
            ("objects", now.objects),
            ("rows", now.rows),
            ("bytes", now.bytes),
            ("unreadable", now.unreadable),
            ("bad", now.bad),
        ];
        for (what, figure) in figures {
            let labels = vec![("event_data_store", store.to_owned()), ("what", what.to_owned())];
            self.imported.get_or_create(&labels).set(i64::try_from(figure).unwrap_or(i64::MAX));
        }
    }

    pub(crate) fn failed(&self, store: &str, step: &str) {
        self.failures.get_or_create(&vec![("event_data_store", store.to_owned()), ("step", step.to_owned())]).inc();
    }
}
