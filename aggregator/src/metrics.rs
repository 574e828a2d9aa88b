//! The aggregator's metrics, `orgtrail_aggregator_…`. The ledger is not counted a second time here: a collector reads the
//! journal's own books at each scrape.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use orgtrail_service::telemetry;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::{ConstCounter, Counter};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::ConstGauge;

use crate::journal::ledger::{Delivered, Ingested, Place};
use crate::journal::{Books, Journal};

type Labels = Vec<(&'static str, String)>;

/// What is counted as it happens.
pub(crate) struct Metrics {
    /// Objects that agents were told to offer again because the journal was full.
    pub(crate) pushed_back: Counter,
    objects_rejected: Family<Labels, Counter>,
    put_failures: Family<Labels, Counter>,
    digests_put: Family<Labels, Counter>,
    notifications: Family<Labels, Counter>,
    throttled: Family<Labels, Counter>,
    /// Open streams by agent.
    connected: Arc<Mutex<BTreeMap<String, u64>>>,
}

impl Metrics {
    pub(crate) fn new(registry: &telemetry::Metrics) -> Self {
        Self {
            pushed_back: registry.register(
                "objects_pushed_back",
                "Objects that agents were told to offer again because the journal was full",
                Counter::default(),
            ),
            objects_rejected: registry.register(
                "objects_rejected",
                "Objects that were refused for good; the agent quarantines them",
                Family::default(),
            ),
            put_failures: registry.register(
                "put_failures",
                "Failed attempts to put an object into a trail's destination; each is tried again",
                Family::default(),
            ),
            digests_put: registry.register(
                "digests_put",
                "Digests written, backfill digests included",
                Family::default(),
            ),
            notifications: registry.register(
                "notifications_published",
                "Notifications published on trails' topics",
                Family::default(),
            ),
            throttled: registry.register(
                "cloudwatch_throttled",
                "Requests that CloudWatch Logs throttled; each is tried again",
                Family::default(),
            ),
            connected: Arc::default(),
        }
    }

    pub(crate) fn rejected(&self, reason: &'static str) {
        self.objects_rejected.get_or_create(&vec![("reason", reason.to_owned())]).inc();
    }

    pub(crate) fn put_failed(&self, trail: &str) {
        self.put_failures.get_or_create(&vec![("destination", trail.to_owned())]).inc();
    }

    pub(crate) fn digests_put(&self, trail: &str, count: u64) {
        self.digests_put.get_or_create(&vec![("destination", trail.to_owned())]).inc_by(count);
    }

    pub(crate) fn notified(&self, trail: &str, count: u64) {
        self.notifications.get_or_create(&vec![("destination", trail.to_owned())]).inc_by(count);
    }

    pub(crate) fn throttled(&self, destination: &str) {
        self.throttled.get_or_create(&vec![("destination", destination.to_owned())]).inc();
    }

    /// An agent's stream is open until the guard is dropped.
    pub(crate) fn agent_connected(&self, name: &str) -> Connected {
        let mut connected = self.connected.lock().unwrap_or_else(PoisonError::into_inner);
        *connected.entry(name.to_owned()).or_default() += 1;
        Connected { name: name.to_owned(), streams: Arc::clone(&self.connected) }
    }

    /// Names of the agents with an open stream.
    pub(crate) fn agents_connected(&self) -> Vec<String> {
        self.connected.lock().unwrap_or_else(PoisonError::into_inner).keys().cloned().collect()
    }
}

/// An open stream.
pub(crate) struct Connected {
    name: String,
    streams: Arc<Mutex<BTreeMap<String, u64>>>,
}

impl Drop for Connected {
    fn drop(&mut self) {
        let mut streams = self.streams.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = streams.get_mut(&self.name) {
            *count -= 1;
            if *count == 0 {
                streams.remove(&self.name);
            }
        }
    }
}

/// Reads the journal's books at each scrape.
pub(crate) struct Ledger {
    journal: Journal,
}

impl std::fmt::Debug for Ledger {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Ledger")
    }
}

impl Ledger {
    pub(crate) fn register(journal: Journal, registry: &telemetry::Metrics) {
        registry.with(|registry| registry.register_collector(Box::new(Self { journal })));
    }
}

impl Collector for Ledger {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let books = self.journal.books();
        let mut out = Out { encoder: &mut encoder };
        out.taken(&books)?;
        out.delivered(&books)?;
        let cursors =
            books.cursors.iter().map(|(name, cursor)| (vec![("destination", name.clone())], signed(cursor.pending)));
        out.gauges("records_pending", "Records in the journal that the destination waits for", cursors)?;
        let (waiting, dropped) = self.journal.notices_waiting_and_dropped();
        out.counters(
            "notifications_dropped",
            "Notifications given up because too many waited; the files are delivered all the same",
            std::iter::once((Vec::new(), dropped)),
        )?;
        let usage = self.journal.usage();
        for (name, help, value) in [
            ("notifications_waiting", "Notifications to be published", waiting),
            ("journal_payload_bytes", "gzip bytes that wait for delivery", usage.payload_bytes),
            ("journal_capacity_bytes", "gzip bytes that may wait for delivery", usage.capacity),
            ("journal_disk_bytes", "Bytes of the journal's folder", usage.disk_bytes),
            ("dedup_memory_bytes", "Memory of the records remembered for deduplication", usage.seen_bytes),
            ("dedup_bucket_loads", "Remembered hours read back from disk", usage.seen_loads),
        ] {
            out.gauges(name, help, std::iter::once((Vec::new(), signed(value))))?;
        }
        Ok(())
    }
}

fn labels((account, region): &Place) -> Labels {
    vec![("account", account.clone()), ("region", region.clone())]
}

impl Out<'_, '_> {
    /// What came in, by account and region.
    fn taken(&mut self, books: &Books) -> std::fmt::Result {
        type Value = fn(&Ingested) -> u64;
        let counters: [(&str, &str, Value); 6] = [
            ("records_read", "Records read, bad stretches included", |row| row.read),
            ("records_duplicate", "Records left out as duplicates", |row| row.duplicate),
            ("records_quarantined", "Bad stretches of files", |row| row.quarantined),
            ("records_id_conflict", "Records kept although their eventID came over other bytes before", |row| {
                row.id_conflicts
            }),
            ("objects_taken", "Objects taken into the journal", |row| row.objects),
            ("source_digests", "Verified digests of sources taken", |row| row.source_digests),
        ];
        let rows = || books.ledger.ingested.iter();
        for (name, help, value) in counters {
            self.counters(name, help, rows().map(|(place, row)| (labels(place), value(row))))?;
        }
        let newest = rows().map(|(place, row)| (labels(place), row.newest_event));
        self.gauges("newest_event_timestamp_seconds", "Newest eventTime taken", newest)
    }

    /// What each destination holds, by account and region.
    fn delivered(&mut self, books: &Books) -> std::fmt::Result {
        type Value = fn(&Delivered) -> u64;
        let counters: [(&str, &str, Value); 5] = [
            ("records_delivered", "Records in the destination", |row| row.delivered),
            ("records_filtered", "Records that the trail's selectors passed over", |row| row.filtered),
            ("records_replayed", "Records delivered again by a replay", |row| row.replayed),
            ("objects_delivered", "Objects in the destination", |row| row.objects),
            ("delivered_bytes", "gzip bytes in the destination", |row| row.bytes),
        ];
        let with = |place: &Place, destination: &str| {
            let mut labels = labels(place);
            labels.push(("destination", destination.to_owned()));
            labels
        };
        let rows = || {
            let by_destination = books.ledger.delivered.iter();
            by_destination.flat_map(|(name, rows)| rows.iter().map(move |(place, row)| (with(place, name), row)))
        };
        for (name, help, value) in counters {
            self.counters(name, help, rows().map(|(labels, row)| (labels, value(row))))?;
        }
        let diverted = rows().flat_map(|(labels, row)| {
            row.diverted.iter().map(move |(reason, count)| {
                let mut labels = labels.clone();
                labels.push(("reason", reason.clone()));
                (labels, *count)
            })
        });
        let help = "Records that the destination doesn't take; the trail's objects hold them";
        self.counters("records_diverted", help, diverted)?;
        let newest = rows().map(|(labels, row)| (labels, row.newest_stamp));
        self.gauges("newest_delivered_object_timestamp_seconds", "Stamp of the newest file in the destination", newest)
    }
}

fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

struct Out<'a, 'b> {
    encoder: &'a mut DescriptorEncoder<'b>,
}

impl Out<'_, '_> {
    fn counters(&mut self, name: &str, help: &str, rows: impl Iterator<Item = (Labels, u64)>) -> std::fmt::Result {
        self.rows(name, help, MetricType::Counter, rows.map(|(labels, value)| (labels, ConstCounter::new(value))))
    }

    fn gauges(&mut self, name: &str, help: &str, rows: impl Iterator<Item = (Labels, i64)>) -> std::fmt::Result {
        self.rows(name, help, MetricType::Gauge, rows.map(|(labels, value)| (labels, ConstGauge::new(value))))
    }

    fn rows(
        &mut self,
        name: &str,
        help: &str,
        kind: MetricType,
        rows: impl Iterator<Item = (Labels, impl EncodeMetric)>,
    ) -> std::fmt::Result {
        let mut metric = self.encoder.encode_descriptor(name, help, None, kind)?;
        for (labels, value) in rows {
            value.encode(metric.encode_family(&labels)?)?;
        }
        Ok(())
    }
}
