//! The requests that we make, as far as the processes count them, and AWS's list price of them. Pure.

use std::collections::BTreeMap;

use orgtrail_aggregator::status::Status;
use serde::{Deserialize, Serialize};

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
pub(super) fn of_agent(status: &AgentStatus, is_remote: bool, prices: &Prices) -> Vec<Requests> {
    let of = |(operation, said): (&String, &Said)| {
        let requests = said.requests;
        let usd = match operation.as_str() {
            _ if !is_remote => 0.0,
            "list" => requests as f64 / 1000.0 * prices.s3.list,
            "get" | "head" => requests as f64 / 1000.0 * prices.s3.get,
            queue if queue.starts_with("queue_") => requests as f64 / 1e6 * prices.sqs.request,
            _ => said.dollars,
        };
        let but = "since the agent was started; attempts that the SDK repeats are not in it";
        Requests { whose: format!("agent {}", status.name), kind: operation.clone(), requests, usd, but }
    };
    status.requests.iter().map(of).collect()
}

/// What of an agent's status is looked at.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct AgentStatus {
    name: String,
    /// By operation.
    requests: BTreeMap<String, Said>,
}

/// Requests of one operation.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Said {
    requests: u64,
    /// At the agent's own list of prices.
    dollars: f64,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_agents_requests_cost_what_the_prices_given_say() {
        let status = serde_json::json!({"name": "a", "folders": {}, "requests": {
            "list": {"requests": 2000, "dollars": 9.0},
            "get": {"requests": 10_000, "dollars": 9.0},
            "queue_receive": {"requests": 1_000_000, "dollars": 9.0},
            "lookup_events": {"requests": 5, "dollars": 0.25},
        }});
        let status: AgentStatus = serde_json::from_value(status).unwrap();
        let prices = Prices::load(None).unwrap();
        let cents = |is_remote| {
            let told = of_agent(&status, is_remote, &prices);
            told.into_iter().map(|one| (one.kind, (one.usd * 1000.0).round() as u64)).collect::<Vec<_>>()
        };
        let of = |kind: &str, mills| (kind.to_owned(), mills);
        assert_eq!(cents(true), [of("get", 4), of("list", 10), of("lookup_events", 250), of("queue_receive", 400)]);
        assert!(cents(false).iter().all(|(_, mills)| *mills == 0));
    }
}
