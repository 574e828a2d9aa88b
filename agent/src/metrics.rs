//! The agent's metrics.
//!
//! Owns their names and labels. The ledger is not counted a second time: it is read from the checkpoint when somebody
//! asks, so the numbers go on after a restart and are the ones that the agent itself goes by.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use orgtrail_service::budget::Budget;
use orgtrail_service::quarantine::Quarantine;
use orgtrail_service::telemetry::Metrics as Registry;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric, MetricEncoder};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::{ConstCounter, Counter};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};
use prometheus_client::metrics::histogram::Histogram;

use crate::checkpoint::Checkpoint;
use crate::prices::Spent;

/// A request to a source or queue, by what it asked and how it ended.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct RequestLabels {
    /// `list`, `get`, `head`; of a queue `queue_receive`, `queue_extend`, `queue_delete`, `queue_depth`.
    pub(crate) operation: &'static str,
    /// `ok`, or the kind of error.
    pub(crate) outcome: &'static str,
}

/// A source.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct SourceLabels {
    /// Its name.
    pub(crate) source: String,
}

/// A digest, by its source and how its verification ended.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct DigestLabels {
    /// The source's name.
    pub(crate) source: String,
    /// `verified`, `waiting` for its key, or the reason of its quarantine.
    pub(crate) outcome: &'static str,
}

/// What the stages count; clones share the counters.
#[derive(Debug, Clone)]
pub(crate) struct Metrics {
    requests: Family<RequestLabels, Counter>,
    /// The same by what they cost.
    pub(crate) spent: Spent,
    digests: Family<DigestLabels, Counter>,
    bears: Family<SourceLabels, Gauge>,
    /// Gzip bytes fetched.
    pub(crate) fetched_bytes: Counter,
    /// JSON bytes that they inflate to.
    pub(crate) inflated_bytes: Counter,
    pub(crate) batches: Counter,
    pub(crate) reconnects: Counter,
    /// Objects sent once more, after a broken link or because the aggregator asked to.
    pub(crate) resent: Counter,
    pub(crate) connected: Gauge,
    /// From the moment the source stored an object to its acknowledgement.
    pub(crate) pickup_delay: Histogram,
}

impl Metrics {
    pub(crate) fn register(registry: &Registry) -> Self {
        // Half a second to nine hours.
        let delay = Histogram::new(std::iter::successors(Some(0.5), |bound| Some(bound * 2.0)).take(17));
        Self {
            requests: registry.register("source_requests", "Requests to sources and queues", Family::default()),
            spent: Spent::default(),
            digests: registry.register("digests", "Verifications of source digests", Family::default()),
            bears: registry.register(
                "source_fetches_max",
                "Fetches at once that a source bears, as found by its refusals",
                Family::default(),
            ),
            fetched_bytes: registry.register("fetched_bytes", "Gzip bytes fetched", Counter::default()),
            inflated_bytes: registry.register("inflated_bytes", "JSON bytes checked", Counter::default()),
            batches: registry.register("batches", "Batches sent", Counter::default()),
            reconnects: registry.register("link_reconnects", "Links opened after the first", Counter::default()),
            resent: registry.register("objects_resent", "Objects sent once more", Counter::default()),
            connected: registry.register("link_connected", "1 while the aggregator is linked", Gauge::default()),
            pickup_delay: registry.register(
                "pickup_delay_seconds",
                "From an object's storage at the source to its acknowledgement",
                delay,
            ),
        }
    }

    pub(crate) fn digest(&self, source: &str, outcome: &'static str) {
        self.digests.get_or_create(&DigestLabels { source: source.to_owned(), outcome }).inc();
    }

    /// So many fetches at once the source bears.
    pub(crate) fn bears(&self, source: &str, fetches: usize) {
        let gauge = self.bears.get_or_create(&SourceLabels { source: source.to_owned() });
        gauge.set(i64::try_from(fetches).unwrap_or(i64::MAX));
    }

    pub(crate) fn request(&self, operation: &'static str, outcome: &'static str) {
        self.requests.get_or_create(&RequestLabels { operation, outcome }).inc();
        self.spent.count(operation);
    }
}

/// Reads the ledger and the bounds at every scrape.
pub(crate) struct LedgerCollector {
    pub(crate) checkpoint: Arc<Checkpoint>,
    pub(crate) quarantine: Arc<Quarantine>,
    pub(crate) budget: Budget,
}

impl fmt::Debug for LedgerCollector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LedgerCollector").finish_non_exhaustive()
    }
}

impl Collector for LedgerCollector {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        let progress = *self.checkpoint.progress().borrow();
        let watched = self.checkpoint.watched();
        self.objects(&mut encoder)?;
        for (name, help, value) in [
            ("objects_listed", "Object versions that listings named", progress.listed),
            ("objects_delivered", "Objects that are at every destination", progress.delivered),
        ] {
            let metric = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
            ConstCounter::new(value).encode(metric)?;
        }
        for (name, help, value) in [
            ("objects_in_flight", "Objects claimed and not answered", progress.in_flight),
            ("objects_undelivered", "Objects answered and not delivered", progress.undelivered),
            ("folders", "Account, kind and region folders watched", watched.folders as u64),
            ("days_open", "Days whose objects the checkpoint remembers", watched.days_open as u64),
            ("memory_in_use_bytes", "Bytes charged to the budget of fetched objects", self.budget.in_use().as_u64()),
        ] {
            gauge(encoder.encode_descriptor(name, help, None, MetricType::Gauge)?, value)?;
        }
        let mut entries =
            encoder.encode_descriptor("quarantine_entries", "Entries in the quarantine", None, MetricType::Gauge)?;
        for (reason, count) in self.quarantine.counts() {
            gauge(entries.encode_family(&[("reason", reason)])?, count)?;
        }
        self.freshness(&mut encoder)?;
        self.completeness(&mut encoder)
    }
}

impl LedgerCollector {
    /// listed = the sum of these + in flight.
    fn objects(&self, encoder: &mut DescriptorEncoder) -> fmt::Result {
        let mut counts: BTreeMap<(&str, Box<str>), u64> = BTreeMap::from([(("done", "".into()), 0)]);
        for row in self.checkpoint.rows() {
            *counts.entry(("done", "".into())).or_default() += row.ledger.done;
            for (outcome, reasons) in [("skipped", row.ledger.skipped), ("quarantined", row.ledger.quarantined)] {
                for (reason, count) in reasons {
                    *counts.entry((outcome, reason)).or_default() += count;
                }
            }
        }
        let help = "Objects by outcome: listed = done + skipped + quarantined + in flight";
        let mut metric = encoder.encode_descriptor("objects", help, None, MetricType::Counter)?;
        for ((outcome, reason), count) in counts {
            let labels = [("outcome", outcome), ("reason", &*reason)];
            ConstCounter::new(count).encode(metric.encode_family(&labels)?)?;
        }
        Ok(())
    }

    /// How far digests prove, and what is not proved.
    fn completeness(&self, encoder: &mut DescriptorEncoder) -> fmt::Result {
        let proofs = self.checkpoint.proofs();
        let help = "Nothing that digests list is missing up to this moment, Unix seconds";
        let mut metric = encoder.encode_descriptor("complete_until_seconds", help, None, MetricType::Gauge)?;
        for proof in &proofs {
            for chain in &proof.chains {
                let labels = [("account", &*proof.account), ("region", &*proof.region), ("trail", &*chain.trail)];
                ConstGauge::new(proof.complete_until(chain)).encode(metric.encode_family(&labels)?)?;
            }
        }
        let help = "What digests list and is missing, differs or cannot be judged";
        let mut metric = encoder.encode_descriptor("gaps", help, None, MetricType::Gauge)?;
        for proof in &proofs {
            for chain in &proof.chains {
                let labels = [("account", &*proof.account), ("region", &*proof.region), ("trail", &*chain.trail)];
                gauge(metric.encode_family(&labels)?, chain.gaps.len() as u64 + chain.gaps_more)?;
            }
        }
        Ok(())
    }

    fn freshness(&self, encoder: &mut DescriptorEncoder) -> fmt::Result {
        let mut newest: BTreeMap<(String, String), i64> = BTreeMap::new();
        for row in self.checkpoint.rows() {
            if let Some(stamp) = row.ledger.newest_stamp {
                let known = newest.entry((row.key.account, row.key.region)).or_insert(stamp);
                *known = stamp.max(*known);
            }
        }
        let help = "Stamp of the newest acknowledged log file, Unix seconds";
        let mut metric = encoder.encode_descriptor("newest_object_timestamp_seconds", help, None, MetricType::Gauge)?;
        for ((account, region), stamp) in newest {
            let labels = [("account", account.as_str()), ("region", region.as_str())];
            ConstGauge::new(stamp).encode(metric.encode_family(&labels)?)?;
        }
        Ok(())
    }
}

fn gauge(metric: MetricEncoder<'_>, value: u64) -> fmt::Result {
    ConstGauge::new(i64::try_from(value).unwrap_or(i64::MAX)).encode(metric)
}
