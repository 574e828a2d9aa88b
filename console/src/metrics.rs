//! The console's metrics, `orgtrail_console_…`.

use orgtrail_service::telemetry;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;

type Labels = Vec<(&'static str, &'static str)>;

/// What is counted as it happens.
#[derive(Debug, Clone)]
pub(crate) struct Metrics {
    requests: Family<Labels, Counter>,
}

impl Metrics {
    pub(crate) fn new(registry: &telemetry::Metrics) -> Self {
        let requests = registry.register("requests", "Requests by operation and outcome", Family::default());
        Self { requests }
    }

    /// One request was answered. Both names are from our own tables, so there are few.
    pub(crate) fn answered(&self, operation: &'static str, outcome: &'static str) {
        self.requests.get_or_create(&vec![("operation", operation), ("outcome", outcome)]).inc();
    }
}
