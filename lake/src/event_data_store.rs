//! Event data stores: their configuration, and their tables.
//!
//! Owns names, what a store takes, how long it keeps it and what keeps it longer. Does not own importing or deleting.

use std::sync::Arc;
use std::time::Duration;

use jiff::civil::Date;
use orgtrail_cloud::{Connection, Location, ObjectStore, open_store};
use orgtrail_event::selector::{AdvancedEventSelector, Scope, Selection, Selectors};
use orgtrail_service::config::Problems;
use serde::Deserialize;

use crate::error::Error;
use crate::import::{OBJECTS_FOLDER, OBJECTS_PARTITION, objects_schema};
use crate::kind::Kind;
use crate::schema::{EVENT_DAY, schema};
use crate::table::Table;

/// Days that an event data store may keep events, CloudTrail Lake's bounds ("CreateEventDataStore", `RetentionPeriod`).
const RETENTION_DAYS: std::ops::RangeInclusive<u64> = 7..=3653;
const DAY_SECONDS: u64 = 86_400;

/// `[[event_data_stores]]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// CloudTrail's rule: 3 to 128 of `a-z A-Z 0-9 . _ -`. The table's name in SQL. Required.
    pub name: String,
    /// The UUID that queries may call it by: of an event data store that was in CloudTrail Lake, so that its queries run
    /// unchanged. Default: none.
    pub id: Option<String>,
    /// `Events`, `Insight`, `ConfigurationItem` or `ActivityAuditLog`. Can't be changed later. Default: `Events`.
    pub kind: Kind,
    /// Where its tables lie: `s3://bucket/prefix` or `file:///folder`, used by nothing else. Required.
    pub location: Option<Location>,
    /// Names of the `[[trails]]` that it is imported from. Default: all.
    pub trails: Vec<String>,
    /// CloudTrail's advanced event selectors. Default: everything of its kind that the trails hold.
    pub advanced_event_selectors: Option<Vec<AdvancedEventSelector>>,
    /// Only these accounts, 12 digits each. Default: all.
    pub accounts: Vec<String>,
    /// Only these regions. Default: all.
    pub regions: Vec<String>,
    /// How long events are kept, by their `eventTime`, in whole days: 7 days to 10 years (3653 days). Default: 366 days.
    #[serde(with = "orgtrail_service::shape::duration")]
    pub retention: Duration,
    /// Nothing is deleted, whatever the retention says. Default: true.
    pub termination_protection: bool,
    /// Times of which nothing is deleted.
    pub holds: Vec<Hold>,
    /// How its bucket is reached.
    #[serde(flatten)]
    pub connection: Connection,
}

/// `holds = [{ name = "case 7", from = "2026-01-01", to = "2026-02-01" }]`: a legal hold.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hold {
    /// What it is for; told with what it holds.
    pub name: String,
    /// The first day. Default: the beginning.
    #[serde(default)]
    pub from: Option<Date>,
    /// The day after the last. Default: no end.
    #[serde(default)]
    pub to: Option<Date>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            name: String::new(),
            id: None,
            kind: Kind::default(),
            location: None,
            trails: Vec::new(),
            advanced_event_selectors: None,
            accounts: Vec::new(),
            regions: Vec::new(),
            retention: Duration::from_secs(366 * DAY_SECONDS),
            termination_protection: true,
            holds: Vec::new(),
            connection: Connection::default(),
        }
    }
}

impl Config {
    /// Whether it is imported from a trail.
    pub(crate) fn reads(&self, trail: &str) -> bool {
        self.trails.is_empty() || self.trails.iter().any(|name| name == trail)
    }

    /// Days that events are kept.
    pub fn retention_days(&self) -> u64 {
        self.retention.as_secs() / DAY_SECONDS
    }

    /// Which records are taken.
    pub(crate) fn selection(&self) -> Result<Selection, Vec<orgtrail_event::selector::Invalid>> {
        let selectors = self.advanced_event_selectors.clone().map_or(Selectors::All, Selectors::Advanced);
        let scope = Scope { accounts: self.accounts.clone(), regions: self.regions.clone(), ..Scope::default() };
        Selection::compile(&selectors, &[], &scope)
    }

    /// Pushes what is wrong. `trails` are the names that there are.
    pub(crate) fn check(&self, trails: &[&str], problems: &mut Problems) {
        if !is_name(&self.name) {
            problems.push("name", "write 3 to 128 of a-z A-Z 0-9 . _ - (CloudTrail's rule)");
        }
        if self.id.as_deref().is_some_and(|id| !is_uuid(id)) {
            problems.push("id", "is no UUID: write 8-4-4-4-12 hexadecimal digits, or leave it out");
        }
        match &self.location {
            None => problems.push("location", "is missing: write s3://bucket/prefix or file:///folder"),
            Some(Location::EventHistory { .. }) => problems.push("location", "an event history is no place for tables"),
            Some(Location::S3 { .. } | Location::File { .. }) => {}
        }
        for (index, trail) in self.trails.iter().enumerate() {
            if !trails.contains(&trail.as_str()) {
                problems.push(format!("trails[{index}]"), format!("there is no [[trails]] named \"{trail}\""));
            }
        }
        if !self.retention.as_secs().is_multiple_of(DAY_SECONDS) || !RETENTION_DAYS.contains(&self.retention_days()) {
            problems.push("retention", "write whole days from 7d to 3653d");
        }
        if let Err(invalid) = self.selection() {
            for invalid in invalid {
                problems.push(invalid.at, invalid.message);
            }
        }
        if self.kind != Kind::Events && self.advanced_event_selectors.is_some() {
            problems.push("advanced_event_selectors", "choose events; this kind is taken whole, by account and region");
        }
        for (index, hold) in self.holds.iter().enumerate() {
            if let (Some(from), Some(to)) = (hold.from, hold.to)
                && from >= to
            {
                problems.push(format!("holds[{index}]"), "ends before it begins; `to` is the day after the last");
            }
        }
        for (key, message) in self.connection.problems() {
            problems.push(key, message);
        }
    }
}

fn is_name(name: &str) -> bool {
    (3..=128).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
}

fn is_uuid(id: &str) -> bool {
    let lengths: Vec<_> = id.split('-').map(str::len).collect();
    lengths == [8, 4, 4, 4, 12] && id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
}

/// The two tables of an event data store.
#[derive(Clone, Debug)]
pub(crate) struct Tables {
    pub(crate) events: Table,
    /// The account of imported objects.
    pub(crate) objects: Table,
}

impl Tables {
    /// Opens an event data store's tables, and makes them where there are none.
    pub(crate) async fn open_or_create(config: &Config) -> Result<Self, Error> {
        let (events, objects) = places(config).await?;
        Self::open_or_create_in(config, events, objects).await
    }

    /// The same in stores that are open.
    pub(crate) async fn open_or_create_in(
        config: &Config,
        events: Arc<dyn ObjectStore>,
        objects: Arc<dyn ObjectStore>,
    ) -> Result<Self, Error> {
        let events = Table::open_or_create(&config.name, events, &schema(config.kind), EVENT_DAY).await?;
        let name = objects_name(&config.name);
        let objects = Table::open_or_create(&name, objects, &objects_schema(), OBJECTS_PARTITION).await?;
        Ok(Self { events, objects })
    }

    /// Opens an event data store's tables; none where nothing was imported yet.
    pub(crate) async fn open(config: &Config) -> Result<Option<Self>, Error> {
        let (events, objects) = places(config).await?;
        let events = Table::open(&config.name, events, &schema(config.kind), EVENT_DAY).await?;
        let name = objects_name(&config.name);
        let objects = Table::open(&name, objects, &objects_schema(), OBJECTS_PARTITION).await?;
        Ok(events.zip(objects).map(|(events, objects)| Self { events, objects }))
    }
}

/// What the account of an event data store's objects is called in SQL.
pub(crate) fn objects_name(name: &str) -> String {
    format!("{name}$objects")
}

async fn places(config: &Config) -> Result<(Arc<dyn ObjectStore>, Arc<dyn ObjectStore>), Error> {
    // The check of the configuration has seen that there is one; nothing opens this.
    let location = config.location.clone().unwrap_or(Location::EventHistory { of: config.name.clone() });
    let events = open_store(&location, &config.connection).await?;
    Ok((events, open_store(&below(&location, OBJECTS_FOLDER), &config.connection).await?))
}

/// A place below another one.
fn below(location: &Location, folder: &str) -> Location {
    match location {
        Location::S3 { bucket, prefix } => {
            let prefix = if prefix.is_empty() { folder.to_owned() } else { format!("{prefix}/{folder}") };
            Location::S3 { bucket: bucket.clone(), prefix }
        }
        Location::File { root } => Location::File { root: root.join(folder) },
        Location::EventHistory { of } => Location::EventHistory { of: of.clone() },
    }
}
