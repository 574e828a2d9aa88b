//! What requests cost: a count of them by operation, and AWS's list prices.
//!
//! Owns the table of prices and the count since the process started. Does not own the requests: attempts that the SDK repeats
//! by itself are not seen here, nor are free tiers and discounts.
//!
//! Prices in US dollars, us-east-1, S3 Standard and standard queues, from aws.amazon.com/s3/pricing and
//! aws.amazon.com/sqs/pricing (October 2026). Other regions cost up to twice as much.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;

use crate::status;

/// PUT, COPY, POST and LIST requests: $0.005 per 1000.
const LIST: f64 = 0.005 / 1000.0;
/// GET and HEAD: $0.0004 per 1000. Bytes within the region are free.
const GET: f64 = 0.0004 / 1000.0;
/// Every request to SQS, for each 64 KiB: $0.40 per million. Ten notifications are less than that.
const SQS: f64 = 0.40 / 1_000_000.0;

/// Dollars for one request. What is not known here is free: STS, Organizations and CloudTrail take nothing for requests.
fn price(operation: &str) -> f64 {
    match operation {
        "list" => LIST,
        "get" | "head" => GET,
        queue if queue.starts_with("queue_") => SQS,
        _ => 0.0,
    }
}

/// Dollars for so many requests.
pub(crate) fn of(operation: &str, requests: u64) -> f64 {
    price(operation) * requests as f64
}

/// The requests since the process started; clones share the count.
#[derive(Debug, Clone, Default)]
pub(crate) struct Spent(Arc<Mutex<BTreeMap<&'static str, u64>>>);

impl Spent {
    /// One request more.
    pub(crate) fn count(&self, operation: &'static str) {
        *self.lock().entry(operation).or_default() += 1;
    }

    /// Requests and dollars by operation.
    pub(crate) fn by_operation(&self) -> BTreeMap<String, status::Requests> {
        let counts = self.lock();
        let spent = |(operation, requests): (&&str, &u64)| {
            let dollars = of(operation, *requests);
            ((*operation).to_owned(), status::Requests { requests: *requests, dollars })
        };
        counts.iter().map(spent).collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<&'static str, u64>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Collector for Spent {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        let help = "Cost of the requests at AWS's list prices, by operation";
        let mut metric = encoder.encode_descriptor("request_cost_dollars", help, None, MetricType::Counter)?;
        for (operation, spent) in self.by_operation() {
            ConstCounter::new(spent.dollars).encode(metric.encode_family(&[("operation", operation)])?)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_cost_what_the_price_list_says() {
        let spent = Spent::default();
        for (operation, times) in [("list", 1000), ("get", 1000), ("queue_receive", 1000), ("lookup_events", 1)] {
            (0..times).for_each(|_| spent.count(operation));
        }
        let dollars: BTreeMap<_, _> =
            spent.by_operation().into_iter().map(|(operation, spent)| (operation, spent.dollars)).collect();
        let near = |operation: &str, expected: f64| (dollars[operation] - expected).abs() < 1e-12;
        assert!(near("list", 0.005) && near("get", 0.0004) && near("queue_receive", 0.0004), "{dollars:?}");
        assert!(near("lookup_events", 0.0));
    }
}
