//! A backfill as it is asked for, worked on and remembered: one JSON document.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use jiff::civil::Date;
use orgtrail_service::jobs;
use orgtrail_service::shape::Bytes;
use serde::{Deserialize, Serialize};

use crate::prices;

/// What is to be taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Range {
    /// The source's name or location.
    pub source: String,
    /// The first day, as the keys have it.
    pub from: Date,
    /// The day after the last one.
    pub to: Date,
    /// Only these accounts; all where there are none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub accounts: Vec<String>,
    /// Only these regions; all where there are none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub regions: Vec<String>,
}

/// How fast objects are taken at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rate {
    /// So many objects a second.
    Objects(u32),
    /// So many gzip bytes a second.
    Bytes(u64),
}

/// One backfill.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Job {
    /// 8 hexadecimal digits.
    pub id: String,
    /// What is to be taken.
    #[serde(flatten)]
    pub range: Range,
    /// How fast, beside what the source's limits say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate: Option<Rate>,
    /// Log groups get the records too.
    #[serde(default)]
    pub log_groups: bool,
    /// Nothing is taken: the plan is all that is asked for.
    #[serde(default)]
    pub plan_only: bool,
    /// When it was asked for. The oldest backfill is worked on first.
    pub requested_at: Timestamp,
    /// By whom, as far as they said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requested_by: Option<String>,
    /// Where it stands.
    pub state: State,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<Timestamp>,
    /// Why it failed as a whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// What there is to do; grows until the state is past `planning`.
    #[serde(default)]
    pub plan: Plan,
    /// How far it is.
    #[serde(default)]
    pub progress: Progress,
}

/// Where a backfill stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// It waits for the agent, for the source's first walk, or for an older backfill.
    Queued,
    /// What there is to do is being listed.
    Planning,
    /// Objects are taken.
    Running,
    /// Everything that was there is delivered or in quarantine.
    Done,
    /// It can't be done; [`Job::error`] says why.
    Failed,
    /// An operator stopped it. What was handed on by then is delivered all the same.
    Cancelled,
}

/// What there is to do.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Plan {
    /// Accounts and regions.
    pub places: u64,
    /// Days of the range, times the folders (account, kind and region) of the source.
    pub days: u64,
    /// Of those, taken by live listings: they are passed over.
    pub days_live: u64,
    /// Of those, taken by an earlier backfill: they are passed over.
    pub days_taken: u64,
    /// Objects to be taken.
    pub objects: u64,
    /// Their gzip bytes.
    pub bytes: u64,
    /// Requests for listings that the plan took.
    pub lists: u64,
    /// About how many it needs to take the objects.
    pub lists_to_take: u64,
    /// US dollars for the requests of the plan and of taking its objects, at AWS's list prices; bytes within a region are
    /// free.
    pub dollars: f64,
    /// About how long taking them will need: at the rate that was asked for, or as long as the source has answered so far.
    pub eta_seconds: Option<u64>,
}

/// How far a backfill is.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Progress {
    /// Accounts and regions of which everything is delivered.
    pub places: u64,
    /// Objects handed on to be fetched.
    pub objects: u64,
    /// Their gzip bytes.
    pub bytes: u64,
    /// Requests for listings.
    pub lists: u64,
    /// US dollars for the requests so far, the plan's not included.
    pub dollars: f64,
    /// Objects that are at every destination, counted when their days are over.
    pub delivered: u64,
    /// Objects that are in quarantine, counted when their days are over.
    pub quarantined: u64,
    /// Objects in the range's day folders that are not to be taken.
    pub skipped: u64,
    /// When the rest is handed on, going by this run of the agent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub eta_seconds: Option<u64>,
    /// What it waits for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub waits_for: Option<String>,
}

impl Job {
    /// A backfill to ask for, with an id of its own.
    ///
    /// # Errors
    /// The machine has no random numbers.
    pub fn new(range: Range, now: Timestamp) -> std::io::Result<Self> {
        Ok(Self {
            id: jobs::new_id()?,
            range,
            rate: None,
            log_groups: false,
            plan_only: false,
            requested_at: now,
            requested_by: None,
            state: State::Queued,
            finished_at: None,
            error: None,
            plan: Plan::default(),
            progress: Progress::default(),
        })
    }

    /// Nothing will change any more.
    pub(super) fn end(&mut self, state: State, error: Option<String>, now: Timestamp) {
        self.state = state;
        self.error = error;
        self.finished_at = Some(now);
        self.progress.waits_for = None;
        self.progress.eta_seconds = None;
    }
}

impl jobs::Job for Job {
    const KIND: &'static str = "backfill";
    const WORKER: &'static str = "agent";

    fn id(&self) -> &str {
        &self.id
    }

    fn requested_at(&self) -> Timestamp {
        self.requested_at
    }

    fn finished_at(&self) -> Option<Timestamp> {
        self.finished_at
    }
}

impl Range {
    /// The last day.
    pub(super) fn last(&self) -> Date {
        self.to.yesterday().unwrap_or(self.to)
    }

    /// Whether the account and region are wanted.
    pub(super) fn takes(&self, account: &str, region: &str) -> bool {
        let wanted = |list: &[String], name: &str| list.is_empty() || list.iter().any(|one| one == name);
        wanted(&self.accounts, account) && wanted(&self.regions, region)
    }
}

impl Plan {
    pub(super) fn add(&mut self, other: &Self) {
        let Self { places, days, days_live, days_taken, objects, bytes, lists, lists_to_take, .. } = other;
        self.places += places;
        self.days += days;
        self.days_live += days_live;
        self.days_taken += days_taken;
        self.objects += objects;
        self.bytes += bytes;
        self.lists += lists;
        self.lists_to_take += lists_to_take;
        self.dollars = prices::of("list", self.lists + self.lists_to_take) + prices::of("get", self.objects);
    }
}

impl Progress {
    pub(super) fn listed(&mut self, requests: u64) {
        self.lists += requests;
        self.dollars += prices::of("list", requests);
    }

    pub(super) fn handed_on(&mut self, bytes: u64) {
        self.objects += 1;
        self.bytes += bytes;
        self.dollars += prices::of("get", 1);
    }
}

impl FromStr for Rate {
    type Err = String;

    /// `200` objects, or `5MB`, a second; `/s` may follow.
    fn from_str(text: &str) -> Result<Self, String> {
        let refused = || format!("`{text}` is no rate: write 200/s for objects, or 5MB/s for bytes");
        let amount = text.strip_suffix("/s").unwrap_or(text);
        if let Ok(objects) = amount.parse::<u32>() {
            return if objects > 0 { Ok(Self::Objects(objects)) } else { Err(refused()) };
        }
        let bytes = amount.parse::<Bytes>().map_err(|_| refused())?.as_u64();
        if bytes > 0 { Ok(Self::Bytes(bytes)) } else { Err(refused()) }
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Objects(objects) => write!(out, "{objects} objects/s"),
            Self::Bytes(bytes) => write!(out, "{bytes} bytes/s"),
        }
    }
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;

    fn range() -> Range {
        Range {
            source: "acme".into(),
            from: date(2026, 1, 1),
            to: date(2026, 2, 1),
            accounts: vec!["111122223333".into()],
            regions: Vec::new(),
        }
    }

    #[test]
    fn a_job_reads_back_as_it_was_written() {
        let mut job = Job::new(range(), "2026-03-01T00:00:00Z".parse().unwrap()).unwrap();
        job.rate = Some(Rate::Objects(5));
        job.progress.waits_for = Some("x".into());
        let text = serde_json::to_string(&job).unwrap();
        assert_eq!(serde_json::from_str::<Job>(&text).unwrap(), job);
        assert!(text.contains(r#""source":"acme","from":"2026-01-01""#), "{text}");
        assert_eq!(job.range.last(), date(2026, 1, 31));
        assert!(job.range.takes("111122223333", "eu-west-1") && !job.range.takes("444455556666", "eu-west-1"));
    }

    #[test]
    fn rates_are_of_objects_or_bytes() {
        assert_eq!("200/s".parse(), Ok(Rate::Objects(200)));
        assert_eq!("7".parse(), Ok(Rate::Objects(7)));
        assert_eq!("5MB/s".parse(), Ok(Rate::Bytes(5_000_000)));
        assert_eq!("1MiB".parse(), Ok(Rate::Bytes(1 << 20)));
        for text in ["", "0", "0MB", "fast", "5/m", "-1"] {
            assert!(text.parse::<Rate>().unwrap_err().contains("is no rate"), "{text}");
        }
    }

    #[test]
    fn requests_cost_what_aws_lists() {
        let mut plan = Plan::default();
        plan.add(&Plan { objects: 1_000_000, lists: 1000, lists_to_take: 1000, ..Plan::default() });
        assert!((plan.dollars - (0.4 + 0.01)).abs() < 1e-9, "{}", plan.dollars);
    }
}
