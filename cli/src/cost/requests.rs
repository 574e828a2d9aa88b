//! The requests that we make, as far as the processes count them, and AWS's list price of them. Pure.

use orgtrail_aggregator::status::Status;
use serde::Serialize;

use super::prices::Prices;

/// Requests of one kind.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Requests {
    /// Whose: `agent acme`, `trail org-trail`.
    pub(super) whose: String,
    /// `GET`, `LIST`, `PUT`, …
    pub(super) kind: String,
    pub(super) requests: u64,
    pub(super) usd: f64,
    /// What the number leaves out.
    pub(super) but: &'static str,
}

/// An agent's. `is_remote`: some source is no folder of this machine.
pub(super) fn of_agent(status: &orgtrail_agent::status::Status, is_remote: bool, prices: &Prices) -> Vec<Requests> {
    let objects = &status.objects;
    let requests = objects.done + objects.quarantined.values().sum::<u64>();
    let usd = if is_remote { requests as f64 / 1000.0 * prices.s3.get } else { 0.0 };
    let whose = format!("agent {}", status.name);
    vec![Requests {
        whose,
        kind: "GET".to_owned(),
        requests,
        usd,
        but: "one for each object; repeated attempts are not in it",
    }]
}

/// Those of an aggregator's trails.
pub(super) fn of_aggregator(status: &Status, prices: &Prices) -> Vec<Requests> {
    let of = |trail: &orgtrail_aggregator::status::TrailStatus| {
        let digests = trail.digests.as_ref().map_or(0, |digests| digests.digests + digests.backfill_digests);
        let requests = trail.objects + digests;
        let usd = if trail.location.starts_with("file:") { 0.0 } else { requests as f64 / 1000.0 * prices.s3.put };
        let whose = format!("trail {}", trail.name);
        let objects = Requests {
            whose: whose.clone(),
            kind: "PUT".to_owned(),
            requests,
            usd,
            but: "repeated attempts are not in it",
        };
        let logs = trail.cloudwatch.as_ref().map(|logs| Requests {
            whose,
            kind: "PutLogEvents".to_owned(),
            requests: logs.batches,
            usd: prices.logs(logs.bytes),
            but: "the price is that of the bytes; a folder in a log group's place costs nothing",
        });
        std::iter::once(objects).chain(logs)
    };
    status.trails.iter().flat_map(of).collect()
}
