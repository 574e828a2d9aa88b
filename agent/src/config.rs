//! The agent's configuration file.
//!
//! Owns what is not one stage's own: names, folders, the link, the sources, and what must fit together. Each stage owns
//! its table and the check of it. Everything is checked offline and reported at once.

mod kind;
mod organization;
mod start;

use std::collections::HashMap;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use orgtrail_cloud::{Connection, Location};
use orgtrail_service::config::{Check, Problems};
use orgtrail_service::shape::duration;
use orgtrail_service::telemetry::Log;
use orgtrail_service::tls::Tls;
use orgtrail_service::{http, shape::Bytes};
use serde::Deserialize;
use tonic::transport::Uri;

pub use self::kind::SourceKind;
pub use self::organization::{Organization, Selection};
pub(crate) use self::start::Start;
use crate::{batch, completeness, discover, fetch, notify, ship};

/// Everything an agent is told.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The name under which the aggregator knows this agent: under TLS a DNS name of the agent's certificate. Required.
    pub name: String,
    /// The folder for checkpoint, quarantine and status. One process each; losing it costs fetching everything that is
    /// still at the sources again. Required.
    pub state_dir: PathBuf,
    /// How long a shutdown may wait for answers to what was sent. Default: 20 s, below the 30 s after which most
    /// supervisors kill.
    #[serde(with = "duration")]
    pub grace_period: Duration,
    /// Log lines.
    pub log: Log,
    /// The health and metrics pages.
    pub health: http::Config,
    /// The aggregator to ship to.
    pub aggregator: Aggregator,
    /// Where CloudTrail delivers. At least one, here or of an organization.
    pub sources: Vec<Source>,
    /// Sources for the accounts of organizations, as they come and go.
    pub organizations: Vec<Organization>,
    /// Finding objects.
    pub discover: discover::Config,
    /// Comparing them with digests.
    pub completeness: completeness::Config,
    /// Fetching and checking them.
    pub fetch: fetch::Config,
    /// Putting them together.
    pub batch: batch::Config,
    /// Sending them.
    pub ship: ship::Config,
    /// What cannot be processed.
    pub quarantine: Quarantine,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            name: String::new(),
            state_dir: PathBuf::new(),
            grace_period: Duration::from_secs(20),
            log: Log::default(),
            health: http::Config::default(),
            aggregator: Aggregator::default(),
            sources: Vec::new(),
            organizations: Vec::new(),
            discover: discover::Config::default(),
            completeness: completeness::Config::default(),
            fetch: fetch::Config::default(),
            batch: batch::Config::default(),
            ship: ship::Config::default(),
            quarantine: Quarantine::default(),
        }
    }
}

/// The `[aggregator]` table.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Aggregator {
    /// `https://host:port`, or `http://` to a loopback address only. Required.
    pub endpoint: String,
    /// Certificate, key and authorities for `https`, where they are required: both sides prove who they are.
    pub tls: Option<Tls>,
    /// The name that the aggregator's certificate must carry. Default: the endpoint's host.
    pub server_name: Option<String>,
}

/// One `[[sources]]` table: where events come from, and how to read it.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Source {
    /// What logs, metrics and status call the source. Default: its location.
    pub name: Option<String>,
    /// What it is: `"bucket"`, which CloudTrail delivers to (default); `"lookup_events"`, the event history of an account
    /// that has no trail; `"exported_logs"`, a folder of records in files of any names.
    pub kind: SourceKind,
    /// Of a bucket: `s3://bucket[/prefix]` or `file:///folder`. It holds `AWSLogs/`, or up to four levels of prefixes above
    /// one. Of exported logs: `file:///folder`. Required for these two kinds.
    pub location: Option<Location>,
    /// Take these accounts only, 12 digits each. Default: all that are there.
    pub accounts: Vec<String>,
    /// Take these regions only. Default: all that are there.
    pub regions: Vec<String>,
    /// Where the public keys of the digests are: `file:///path` of what `aws cloudtrail list-public-keys` prints, or `api`
    /// for CloudTrail's ListPublicKeys in each digest's region, through this source's own connection. Digests are verified
    /// with them and shipped. Default: none, digests are skipped.
    pub digest_keys: Option<DigestKeys>,
    /// Where listings begin in folders that the checkpoint does not know: `"earliest"`, `"latest"` (today), `"-7d"`, a date
    /// or an RFC 3339 time, of which the day counts. Default: `"earliest"`, everything that is there.
    pub start: Start,
    /// The share of each account and region of this source where the agent has more to fetch than it can: 3 gets three
    /// times the bytes of 1. From 1 to 1000. Default: 1.
    pub weight: u32,
    /// The queue that is told of the source's objects. Default: none, listings find them all.
    pub notifications: Option<notify::Config>,
    /// Requests a second to this source, listings and fetches together. Default: none, as many as it bears.
    pub requests_per_second: Option<u32>,
    /// Bytes a second fetched from this source. Default: none.
    pub bytes_per_second: Option<Bytes>,
    /// How to reach AWS: `role_arn`, `external_id`, `session_name`, `region` and the rest of a connection.
    #[serde(flatten)]
    pub connection: Connection,
}

impl Default for Source {
    fn default() -> Self {
        Self {
            name: None,
            kind: SourceKind::default(),
            location: None,
            accounts: Vec::new(),
            regions: Vec::new(),
            digest_keys: None,
            start: Start::default(),
            weight: 1,
            notifications: None,
            requests_per_second: None,
            bytes_per_second: None,
            connection: Connection::default(),
        }
    }
}

impl Source {
    /// What to call the source.
    pub fn name(&self) -> String {
        match (&self.name, self.place()) {
            (Some(name), _) => name.clone(),
            (None, Some(location)) => location.to_string(),
            (None, None) => String::new(),
        }
    }
}

/// Where the public keys of a source's digests are.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub enum DigestKeys {
    /// A file: what `aws cloudtrail list-public-keys` prints, of all regions. Read again when a key is missing.
    File(PathBuf),
    /// CloudTrail's ListPublicKeys.
    Api,
}

impl TryFrom<String> for DigestKeys {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        match text.strip_prefix("file://") {
            Some(path) if path.starts_with('/') && path.len() > 1 => Ok(Self::File(PathBuf::from(path))),
            None if text == "api" => Ok(Self::Api),
            _ => Err(format!("`{text}` names no public keys: write \"api\", or \"file:///path/to/public-keys.json\"")),
        }
    }
}

/// The `[quarantine]` table.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Quarantine {
    /// Objects kept in quarantine. Above that, objects which belong there are offered again and again, and health says
    /// so: nothing is dropped. Default: 100,000, some 100 MB of small files.
    pub entries_max: u64,
}

impl Default for Quarantine {
    fn default() -> Self {
        Self { entries_max: 100_000 }
    }
}

impl Check for Config {
    fn check(&self, problems: &mut Problems) {
        if !is_name(&self.name) {
            problems
                .push("name", "missing or no name; write the DNS name of this agent's certificate, such as \"acme\"");
        }
        if self.state_dir.as_os_str().is_empty() {
            problems.push("state_dir", "missing; name a folder that only this process uses");
        }
        within("grace_period", self.grace_period, Duration::ZERO..=Duration::from_secs(3600), problems);
        problems.within("log", |problems| self.log.check(problems));
        problems.within("aggregator", |problems| self.aggregator.check(problems));
        self.check_sources(problems);
        self.check_organizations(problems);
        notify::check_shared(self, problems);
        problems.within("discover", |problems| self.discover.check(problems));
        problems.within("completeness", |problems| self.completeness.check(problems));
        problems.within("fetch", |problems| self.fetch.check(problems));
        problems.within("batch", |problems| self.batch.check(problems));
        problems.within("ship", |problems| self.ship.check(problems));
        if self.quarantine.entries_max == 0 {
            problems.push("quarantine.entries_max", "must be at least 1, or nothing corrupt could ever be put aside");
        }
        self.check_lateness(problems);
        if self.ship.window < self.batch.bytes {
            problems.push("ship.window", format!("smaller than batch.bytes ({}); raise it", self.batch.bytes));
        }
    }

    fn flattened_keys() -> Vec<&'static str> {
        let own = ["name", "location", "accounts", "regions", "digest_keys", "start", "weight", "kind"];
        let limits = ["requests_per_second", "bytes_per_second"];
        [&own[..], &limits, Organization::KEYS, notify::Config::KEYS, Connection::KEYS].concat()
    }
}

impl Config {
    /// A day whose windows are still to be read again must not be over.
    fn check_lateness(&self, problems: &mut Problems) {
        let (least, history) = (Duration::from_secs(24 * 3600), SourceKind::LookupEvents);
        let template = |organization: &Organization| {
            organization.source.get("kind").and_then(serde_json::Value::as_str) == Some("lookup_events")
        };
        let any = self.sources.iter().any(|source| source.kind == history) || self.organizations.iter().any(template);
        if self.discover.lateness < least && any {
            problems.push("discover.lateness", "event histories are read for a day: write at least 24h");
        }
    }

    fn check_sources(&self, problems: &mut Problems) {
        if self.sources.is_empty() && self.organizations.is_empty() {
            problems.push("sources", "missing; add a [[sources]] table with a location, or an [[organizations]] table");
        }
        let mut names = HashMap::new();
        for (index, source) in self.sources.iter().enumerate() {
            problems.within(format!("sources[{index}]"), |problems| source.check(problems));
            let name = source.name();
            if name.is_empty() {
                continue;
            }
            if let Some(first) = names.insert(name.clone(), index)
                && source.name.is_some()
            {
                problems.push(format!("sources[{index}].name"), format!("`{name}` is sources[{first}] already"));
            }
            for (other, earlier) in self.sources[..index].iter().enumerate() {
                let (Some(a), Some(b)) = (earlier.place(), source.place()) else { continue };
                if overlap(&a, &b) {
                    let message = format!("`{b}` overlaps sources[{other}], `{a}`: every object would be taken twice");
                    problems.push(format!("sources[{index}].location"), message);
                }
            }
        }
    }
}

impl Config {
    fn check_organizations(&self, problems: &mut Problems) {
        let mut names = HashMap::new();
        for (index, organization) in self.organizations.iter().enumerate() {
            problems.within(format!("organizations[{index}]"), |problems| organization.check(problems));
            if let Some(first) = names.insert(&organization.name, index) {
                let message = format!("`{}` is organizations[{first}] already", organization.name);
                problems.push(format!("organizations[{index}].name"), message);
            }
        }
    }
}

impl Check for Aggregator {
    fn check(&self, problems: &mut Problems) {
        let Some(uri) = self.uri() else {
            let message = "missing or no address; write https://host:port, or http://127.0.0.1:port on one machine";
            problems.push("endpoint", message);
            return;
        };
        if uri.scheme_str() == Some("https") {
            match &self.tls {
                Some(tls) => problems.within("tls", |problems| tls.check(problems)),
                None => problems.push("tls", "missing; https needs [aggregator.tls] cert_file, key_file and ca_file"),
            }
            return;
        }
        if !is_loopback(uri.host().unwrap_or_default()) {
            problems.push("endpoint", "plaintext only on loopback: write https:// and add [aggregator.tls]");
        }
        if self.tls.is_some() {
            problems.push("tls", "has no effect with http://: write https:// in endpoint, or remove it");
        }
    }
}

impl Aggregator {
    /// The endpoint, if it is one.
    pub(crate) fn uri(&self) -> Option<Uri> {
        let uri: Uri = self.endpoint.parse().ok()?;
        let scheme = uri.scheme_str()?;
        (matches!(scheme, "http" | "https") && uri.host().is_some_and(|host| !host.is_empty())).then_some(uri)
    }
}

impl Check for Source {
    fn check(&self, problems: &mut Problems) {
        self.kind.check(self, problems);
        match self.location.as_ref().filter(|_| self.kind == SourceKind::Bucket) {
            None if self.kind == SourceKind::Bucket => {
                problems.push("location", "missing; write s3://bucket[/prefix] or file:///folder");
            }
            None => {}
            Some(location) => {
                if let Some(above) = below_logs(location) {
                    problems.push("location", format!("lies inside AWSLogs; write what holds it: {above}"));
                }
                let needs_none = matches!(location, Location::File { .. }) && self.digest_keys != Some(DigestKeys::Api);
                if needs_none && self.connection != Connection::default() {
                    problems.push("location", "a folder needs no role, region or endpoint: remove them");
                }
            }
        }
        if self.name.as_deref().is_some_and(|name| name.is_empty() || name.len() > 200) {
            problems.push("name", "must have 1 to 200 characters; or leave it out");
        }
        for (index, account) in self.accounts.iter().enumerate() {
            if account.len() != 12 || !account.bytes().all(|byte| byte.is_ascii_digit()) {
                problems
                    .push(format!("accounts[{index}]"), format!("`{account}` is no account id: 12 digits in quotes"));
            }
        }
        for (index, region) in self.regions.iter().enumerate() {
            if region.is_empty() || !region.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-') {
                problems
                    .push(format!("regions[{index}]"), format!("`{region}` is no region: write one like us-east-1"));
            }
        }
        count_within("weight", self.weight as usize, 1..=1000, problems);
        if let Some(rate) = self.requests_per_second {
            count_within("requests_per_second", rate as usize, 1..=1_000_000, problems);
        }
        if let Some(rate) = self.bytes_per_second {
            bytes_within("bytes_per_second", rate, Bytes::kib(1)..=Bytes::gib(1024), problems);
        }
        if let Some(notifications) = &self.notifications {
            problems.within("notifications", |problems| notifications.check(problems));
        }
        for (field, message) in self.connection.problems() {
            problems.push(field, message);
        }
    }
}

/// Reports a duration outside its range.
pub(crate) fn within(key: &str, value: Duration, range: std::ops::RangeInclusive<Duration>, problems: &mut Problems) {
    if !range.contains(&value) {
        let humane = orgtrail_service::shape::humane;
        problems.push(key, format!("write a duration from {} to {}", humane(*range.start()), humane(*range.end())));
    }
}

/// Reports a number outside its range.
pub(crate) fn count_within(key: &str, value: usize, range: std::ops::RangeInclusive<usize>, problems: &mut Problems) {
    if !range.contains(&value) {
        problems.push(key, format!("write a number from {} to {}", range.start(), range.end()));
    }
}

/// Reports a size outside its range.
pub(crate) fn bytes_within(key: &str, value: Bytes, range: std::ops::RangeInclusive<Bytes>, problems: &mut Problems) {
    if !range.contains(&value) {
        problems.push(key, format!("write a size from {} to {}", range.start(), range.end()));
    }
}

/// A DNS name or one label of it.
fn is_name(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
    (1..=253).contains(&name.len()) && name.bytes().all(allowed)
}

fn is_loopback(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || bare.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// Whether one location is the other, or inside it.
fn overlap(a: &Location, b: &Location) -> bool {
    match (a, b) {
        (Location::S3 { bucket: one, prefix: a }, Location::S3 { bucket: other, prefix: b }) => {
            let inside = |inner: &str, outer: &str| {
                outer.is_empty()
                    || inner.strip_prefix(outer).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
            };
            one == other && (inside(a, b) || inside(b, a))
        }
        (Location::File { root: a }, Location::File { root: b }) => a.starts_with(b) || b.starts_with(a),
        (Location::EventHistory { of: a }, Location::EventHistory { of: b }) => a == b,
        _ => false,
    }
}

/// Where a location points at `AWSLogs` itself, or at an account or organization in it: what lies above. Keys below such
/// a location could not be told from any others.
fn below_logs(location: &Location) -> Option<String> {
    let text = location.to_string();
    let (above, below) = text.rsplit_once("/AWSLogs")?;
    let inside = match below.strip_prefix('/') {
        None => below.is_empty(),
        Some(rest) => {
            let first = rest.split('/').next().unwrap_or_default();
            first.starts_with("o-") || (first.len() == 12 && first.bytes().all(|byte| byte.is_ascii_digit()))
        }
    };
    inside.then(|| above.to_owned())
}

#[cfg(test)]
mod tests;
