//! What AWS charges: one table, with what a user gives in its place.

use std::path::Path;

use anyhow::Context as _;
use orgtrail_aggregator::usage::{Class, Count};
use serde::{Deserialize, Serialize};

/// The table that comes with the program.
const LIST: &str = include_str!("prices.toml");

/// See `prices.toml`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Prices {
    pub(super) as_of: String,
    pub(super) cloudtrail: CloudTrail,
    pub(super) s3: S3,
    pub(super) sqs: Request,
    pub(super) cloudwatch_logs: CloudWatchLogs,
}

/// For 100,000 events.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CloudTrail {
    management_first_copy: f64,
    management_further_copy: f64,
    data: f64,
    network_activity: f64,
    insights_management: f64,
}

/// For 1,000 requests.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct S3 {
    pub(super) list: f64,
    pub(super) put: f64,
    pub(super) get: f64,
}

/// For 1,000,000 requests.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Request {
    pub(super) request: f64,
}

/// For a gigabyte.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CloudWatchLogs {
    gigabyte: f64,
}

impl Prices {
    /// The list, with what `file` says in its place.
    ///
    /// # Errors
    /// The file can't be read, or has a key that the list doesn't have.
    pub(super) fn load(file: Option<&Path>) -> anyhow::Result<Self> {
        let mut table: toml::Table = toml::from_str(LIST).expect("it is a table, which a test reads");
        if let Some(path) = file {
            let text = std::fs::read_to_string(path).with_context(|| format!("read {}", path.display()))?;
            let own: toml::Table = toml::from_str(&text).with_context(|| format!("read {}", path.display()))?;
            for (key, value) in own {
                match (table.get_mut(&key), value) {
                    (Some(toml::Value::Table(list)), toml::Value::Table(own)) => list.extend(own),
                    (_, value) => drop(table.insert(key, value)),
                }
            }
        }
        let prices: Self = table.try_into().with_context(|| match file {
            Some(path) => format!("{}: prices are named as in docs/cost.md", path.display()),
            None => "the program's own prices".to_owned(),
        })?;
        Ok(prices)
    }

    /// What CloudTrail charges for events of a class of which so many came, duplicates among them.
    pub(super) fn events(&self, class: Class, count: &Count) -> f64 {
        let per = |events: u64, price: f64| events as f64 / 100_000.0 * price;
        let prices = &self.cloudtrail;
        match class {
            Class::ManagementRead | Class::ManagementWrite => {
                let first = count.events.saturating_sub(count.duplicates);
                per(first, prices.management_first_copy) + per(count.duplicates, prices.management_further_copy)
            }
            Class::Data => per(count.events, prices.data),
            Class::NetworkActivity => per(count.events, prices.network_activity),
            Class::Insight | Class::Aggregated | Class::Unreadable | Class::Other => 0.0,
        }
    }

    /// What it charges for so many further copies.
    pub(super) fn copies(&self, class: Class, copies: u64) -> f64 {
        self.events(class, &Count { events: copies, duplicates: copies, ..Count::default() })
    }

    /// What it charges for analysing so many management events, for one type of Insight.
    pub(super) fn analysed(&self, events: u64) -> f64 {
        events as f64 / 100_000.0 * self.cloudtrail.insights_management
    }

    /// What CloudWatch Logs charges for so many bytes.
    pub(super) fn logs(&self, bytes: u64) -> f64 {
        bytes as f64 / 1e9 * self.cloudwatch_logs.gigabyte
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(events: u64, duplicates: u64) -> Count {
        Count { events, duplicates, ..Count::default() }
    }

    #[test]
    fn the_first_copy_of_management_events_is_free_and_every_data_event_is_not() {
        let prices = Prices::load(None).unwrap();
        assert_eq!(prices.events(Class::ManagementRead, &count(300_000, 0)), 0.0);
        assert_eq!(prices.events(Class::ManagementWrite, &count(300_000, 100_000)), 2.0);
        assert_eq!(prices.events(Class::Data, &count(200_000, 100_000)), 0.2);
        assert_eq!((prices.copies(Class::ManagementRead, 50_000), prices.copies(Class::Data, 100_000)), (1.0, 0.1));
        assert_eq!((prices.analysed(100_000), prices.logs(2_000_000_000)), (0.35, 1.0));
    }

    #[test]
    fn a_file_gives_prices_in_place_of_the_lists_and_no_others() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("prices.toml");
        std::fs::write(&path, "as_of = \"2027-01\"\n[cloudtrail]\ndata = 0.2\n").unwrap();
        let prices = Prices::load(Some(&path)).unwrap();
        assert_eq!((prices.as_of.as_str(), prices.cloudtrail.data), ("2027-01", 0.2));
        assert_eq!(prices.cloudtrail.management_further_copy, 2.0);
        std::fs::write(&path, "[cloudtrail]\ndta = 0.2\n").unwrap();
        let error = format!("{:#}", Prices::load(Some(&path)).unwrap_err());
        assert!(error.contains("dta"), "{error}");
    }
}
