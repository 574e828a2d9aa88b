//! `lake.toml`: every key, its meaning, unit and default. Plain values only; checked offline.
//!
//! Owns the file's top level and its trails; each part of the lake owns its own table.

use std::collections::HashSet;
use std::time::Duration;

use orgtrail_cloud::{Connection, Location};
use orgtrail_service::config::{Check, Problems};
use orgtrail_service::{http, telemetry};
use serde::Deserialize;

use crate::{event_data_store, import, maintain, sql};

/// The lake's configuration file.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// How long a stop may take before an import in work is cut off; it is then done by the next start. Default: 20 s.
    #[serde(with = "orgtrail_service::shape::duration")]
    pub grace_period: Duration,
    /// Logging.
    pub log: telemetry::Log,
    /// Health, metrics and status pages.
    pub health: http::Config,
    /// Where CloudTrail's objects lie: ours, or AWS's own. At least one.
    pub trails: Vec<Trail>,
    /// What is made of them. At least one.
    pub event_data_stores: Vec<event_data_store::Config>,
    /// How trails are looked at.
    pub import: import::Config,
    /// How tables are kept small and quick.
    pub maintain: maintain::Config,
    /// What queries may take.
    pub query: sql::Config,
}

/// `[[trails]]`: the place that a trail, or an AWS Config delivery channel, delivers to.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Trail {
    /// The name under which objects are accounted for. Can't be changed later. Required.
    pub name: String,
    /// The bucket's or folder's part above `AWSLogs`: `s3://bucket/prefix` or `file:///folder`. Required.
    pub location: Option<Location>,
    /// How its bucket is reached.
    #[serde(flatten)]
    pub connection: Connection,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            grace_period: Duration::from_secs(20),
            log: telemetry::Log::default(),
            health: http::Config::default(),
            trails: Vec::new(),
            event_data_stores: Vec::new(),
            import: import::Config::default(),
            maintain: maintain::Config::default(),
            query: sql::Config::default(),
        }
    }
}

impl Check for Config {
    fn check(&self, problems: &mut Problems) {
        if self.trails.is_empty() {
            problems.push("trails", "is missing: add a [[trails]] with a name and the location that it delivers to");
        }
        if self.event_data_stores.is_empty() {
            problems.push("event_data_stores", "is missing: add an [[event_data_stores]] with a name and a location");
        }
        let names: Vec<_> = self.trails.iter().map(|trail| trail.name.as_str()).collect();
        let mut seen = HashSet::new();
        for (index, trail) in self.trails.iter().enumerate() {
            problems.within(format!("trails[{index}]"), |problems| {
                trail.check(problems);
                if !seen.insert(trail.name.to_ascii_lowercase()) {
                    problems.push("name", format!("\"{}\" is there twice", trail.name));
                }
            });
        }
        let (mut seen, mut places) = (HashSet::new(), HashSet::new());
        for (index, store) in self.event_data_stores.iter().enumerate() {
            problems.within(format!("event_data_stores[{index}]"), |problems| {
                store.check(&names, problems);
                if !seen.insert(store.name.to_ascii_lowercase()) {
                    problems.push("name", format!("\"{}\" is there twice; SQL knows no case", store.name));
                }
                if store.location.as_ref().is_some_and(|location| !places.insert(location)) {
                    problems.push("location", "is that of another event data store; each needs its own");
                }
            });
        }
        problems.within("import", |problems| self.import.check(problems));
        problems.within("maintain", |problems| self.maintain.check(problems));
        problems.within("query", |problems| {
            for (key, message) in self.query.problems() {
                problems.push(key, message);
            }
            if let Some(results) = &self.query.results {
                problems.within("results", |problems| results.check(problems));
            }
        });
        problems.within("log", |problems| self.log.check(problems));
    }

    fn flattened_keys() -> Vec<&'static str> {
        Connection::KEYS.to_vec()
    }
}

impl Trail {
    fn check(&self, problems: &mut Problems) {
        if self.name.is_empty() {
            problems.push("name", "is missing: objects are accounted for by it");
        }
        match &self.location {
            None => problems.push("location", "is missing: write s3://bucket/prefix or file:///folder"),
            Some(Location::EventHistory { .. }) => problems.push("location", "an event history is no trail"),
            Some(Location::S3 { .. } | Location::File { .. }) => {}
        }
        for (key, message) in self.connection.problems() {
            problems.push(key, message);
        }
    }
}
