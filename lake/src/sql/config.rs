//! What configuration says of queries: the table `[query]` of lake.toml.

use std::path::PathBuf;
use std::time::Duration;

use orgtrail_service::shape::Bytes;
use serde::Deserialize;

use crate::results;

/// The bounds of queries.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Memory that all running queries share for sorting, grouping and joining. A query that needs more writes to disk.
    /// An eighth of it, besides, keeps what files say of themselves for the next query. Default 1 GiB.
    pub memory: Bytes,
    /// The folder that queries write to when memory doesn't suffice; made when it is needed, emptied behind each query.
    /// Default: the system's folder for temporary files.
    pub spill_dir: Option<PathBuf>,
    /// What running queries may write there, together. A query that needs more fails. Default 20 GiB.
    pub spill_max: Bytes,
    /// What one query may read of an event data store, in bytes of its compressed files. A query that reads more is
    /// stopped. Default: no bound. AWS bills CloudTrail Lake by this figure.
    pub scan_max: Option<Bytes>,
    /// How long one query may run. Default 1 h, as in CloudTrail Lake.
    #[serde(with = "orgtrail_service::shape::duration")]
    pub timeout: Duration,
    /// How many queries may run at a time; the next is refused. Default 10, as in CloudTrail Lake.
    pub queries_max: usize,
    /// Where `orgtrail query --results` delivers to, and who signs. Default: nowhere.
    pub results: Option<results::Config>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            memory: Bytes::gib(1),
            spill_dir: None,
            spill_max: Bytes::gib(20),
            scan_max: None,
            timeout: Duration::from_secs(60 * 60),
            queries_max: 10,
            results: None,
        }
    }
}

/// What a sort needs to merge what it wrote to disk.
const MEMORY_MIN: Bytes = Bytes::mib(64);

impl Config {
    /// Everything that is wrong with it: the key, and what to do.
    pub fn problems(&self) -> Vec<(&'static str, String)> {
        let mut problems = Vec::new();
        if self.memory < MEMORY_MIN {
            problems.push(("memory", format!("must be at least {MEMORY_MIN}")));
        }
        if self.timeout.is_zero() {
            problems.push(("timeout", "must be longer than 0 s".to_owned()));
        }
        if self.queries_max == 0 {
            problems.push(("queries_max", "must be at least 1".to_owned()));
        }
        if self.scan_max == Some(Bytes(0)) {
            problems.push(("scan_max", "must be more than 0; leave it out for no bound".to_owned()));
        }
        problems
    }
}
