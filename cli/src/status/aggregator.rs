//! The aggregator's part of the status: the record ledger of each trail, lag, journal.

use bytesize::ByteSize;
use jiff::Timestamp;
use orgtrail_aggregator::replay::job::JobSummary;
use orgtrail_aggregator::status::{Place, Status, TrailStatus};

use super::{reasons, since};
use crate::terminal::{count, table};

/// The text, and whether it needs a person.
pub(crate) fn text(status: &Status, now: Timestamp) -> (String, bool) {
    let mut parts = vec![ledger(status)];
    parts.extend(status.trails.iter().filter_map(|trail| more(trail, now)));
    parts.push(places(status, now));
    let journal = &status.journal;
    parts.push(format!(
        "journal: {} objects wait ({} of {}), {} on disk, {} remembered for duplicates\nsource digests: {} verified\nagents connected: {}\n\
         quarantine: {}",
        count(journal.objects_waiting),
        ByteSize(journal.payload_bytes),
        ByteSize(journal.capacity),
        ByteSize(journal.disk_bytes),
        ByteSize(journal.seen_bytes),
        count(status.records.source_digests),
        if status.agents_connected.is_empty() { "none".to_owned() } else { status.agents_connected.join(", ") },
        reasons(&status.quarantine, "empty"),
    ));
    parts.extend(status.replays.iter().filter(|job| !job.state.is_over()).map(replay));
    for degraded in &status.health.degraded {
        parts.push(format!("degraded: {}: {} (since {})", degraded.part, degraded.reason, degraded.since));
    }
    let unbalanced = |trail: &TrailStatus| {
        !trail.balanced || trail.cloudwatch.as_ref().is_some_and(|cloudwatch| !cloudwatch.balanced)
    };
    let unbalanced = status.trails.iter().any(unbalanced);
    let attention = unbalanced || !status.quarantine.is_empty() || !status.health.ready;
    (parts.join("\n\n"), attention)
}

/// `read = delivered + duplicate + filtered + quarantined + pending`, one line a trail.
pub(crate) fn ledger(status: &Status) -> String {
    let records = &status.records;
    let row = |trail: &TrailStatus| {
        vec![
            trail.name.clone(),
            count(records.read),
            count(trail.delivered),
            count(records.duplicate),
            count(trail.filtered),
            count(records.quarantined),
            count(trail.pending),
            count(trail.before),
            if trail.balanced { "yes" } else { "NO" }.to_owned(),
        ]
    };
    let header =
        ["RECORDS", "READ", "DELIVERED", "DUPLICATE", "FILTERED", "QUARANTINED", "PENDING", "BEFORE", "BALANCED"];
    table(1, &header, status.trails.iter().map(row).collect())
}

/// A trail's digests, log group and replays; none where it has neither.
fn more(trail: &TrailStatus, now: Timestamp) -> Option<String> {
    let mut lines = Vec::new();
    if let Some(digests) = &trail.digests {
        lines.push(format!(
            "{} digests: {} hourly, {} backfill, the newest ends {} ago",
            trail.name,
            count(digests.digests),
            count(digests.backfill_digests),
            since(digests.newest_end, now)
        ));
    }
    if let Some(logs) = &trail.cloudwatch {
        lines.push(format!(
            "{} CloudWatch Logs: {} delivered, diverted: {}, {} filtered, {} pending, {} before, balanced: {}",
            trail.name,
            count(logs.delivered),
            reasons(&logs.diverted, "none"),
            count(logs.filtered),
            count(logs.pending),
            count(logs.before),
            if logs.balanced { "yes" } else { "NO" },
        ));
    }
    if trail.replayed > 0 {
        lines.push(format!("{} replays: {} records", trail.name, count(trail.replayed)));
    }
    (!lines.is_empty()).then(|| lines.join("\n"))
}

fn replay(job: &JobSummary) -> String {
    let waits = job.waits_for.iter().map(|what| format!(", waits for {what}")).collect::<String>();
    format!(
        "replay {}: {} to {}, {} of {} day folders, {} objects, {} records{waits}",
        job.id,
        job.trail,
        job.destination,
        count(job.days_done),
        count(job.days),
        count(job.taken),
        count(job.records),
    )
}

/// Lag by account and region; the last columns are how far each trail is.
fn places(status: &Status, now: Timestamp) -> String {
    let row = |place: &Place| {
        let mut row = vec![
            place.account.clone(),
            place.region.clone(),
            count(place.read),
            count(place.duplicate),
            count(place.quarantined),
            since(place.newest_event, now),
            since(place.newest_stamp, now),
        ];
        let delivered = |trail: &TrailStatus| place.newest_delivered.get(&trail.name).copied().unwrap_or(0);
        row.extend(status.trails.iter().map(|trail| since(delivered(trail), now)));
        row
    };
    let columns = ["ACCOUNT", "REGION", "READ", "DUPLICATE", "QUARANTINED", "NEWEST EVENT", "NEWEST FILE"];
    let trails: Vec<_> = status.trails.iter().map(|trail| format!("IN {}", trail.name)).collect();
    let header: Vec<_> = columns.into_iter().chain(trails.iter().map(String::as_str)).collect();
    table(2, &header, status.places.iter().map(row).collect())
}
