//! `aggregator.toml`: every key, its meaning, unit and default. Plain values only; checked offline.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use orgtrail_cloud::partition::Partition;
use orgtrail_cloud::{Connection, Location};
use orgtrail_service::config::{Check, Problems};
use orgtrail_service::shape::Bytes;
use orgtrail_service::{http, telemetry, tls};
use serde::Deserialize;

use crate::trail::Trail;

/// The aggregator's configuration file.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Folder for the journal, plans and quarantine. Required; one aggregator a folder. Losing it loses no event: agents
    /// send again what wasn't delivered.
    pub state_dir: PathBuf,
    /// Address and port for agents. Plaintext is only possible on a loopback address; elsewhere `[tls]` is required.
    pub listen: SocketAddr,
    /// How long a stop may take before what is unfinished is left to the next start.
    #[serde(with = "orgtrail_service::shape::duration")]
    pub grace_period: Duration,
    /// Logging.
    pub log: telemetry::Log,
    /// Health, metrics and status pages.
    pub health: http::Config,
    /// Mutual TLS. Each agent's certificate must carry its name as a DNS name.
    pub tls: Option<tls::Tls>,
    /// The agents that may speak, and for which accounts. At least one.
    pub agents: Vec<Agent>,
    /// What is delivered, and where to. At least one.
    pub trails: Vec<TrailConfig>,
    /// Taking objects in.
    pub ingest: Ingest,
    /// The durable hand-off to the trails.
    pub journal: JournalConfig,
    /// Recognising duplicates.
    pub dedup: Dedup,
    /// Making and putting objects.
    pub deliver: Deliver,
    /// What could not be read.
    pub quarantine: QuarantineConfig,
}

/// `[[agents]]`: one agent.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[derive(Default)]
pub struct Agent {
    /// The DNS name in its certificate; over plaintext, the name that it gives. Required.
    pub name: String,
    /// Accounts that it may speak for: 12 digits each, or `"*"` for all. Required.
    pub accounts: Vec<String>,
}

/// `[[trails]]`: one trail. The keys of its connection (`region`, `endpoint_url`, `role_arn`, …) stand beside these.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrailConfig {
    /// CloudTrail's trail name: 3 to 128 letters, digits, `.`, `_` and `-`. Required.
    #[serde(default)]
    pub name: String,
    /// `o-…`: objects then lie under `AWSLogs/<organization id>/<account>/`, as an organization trail's. Default: none, and
    /// `AWSLogs/<account>/`.
    #[serde(default)]
    pub organization_id: Option<String>,
    /// Where to: `s3://bucket/prefix` or `file:///folder`. Required.
    #[serde(default)]
    pub location: Option<Location>,
    /// The account that owns the trail (an organization's management account), for the trail's ARN. Default:
    /// `000000000000`.
    #[serde(default)]
    pub account_id: Option<String>,
    /// The trail's home region, for its ARN. Default: `region`, else `us-east-1`.
    #[serde(default)]
    pub home_region: Option<String>,
    /// Encrypt with SSE-KMS under this key (ARN, id or alias), giving KMS the trail's ARN as CloudTrail does. Default: the
    /// bucket's own encryption.
    #[serde(default)]
    pub kms_key_id: Option<String>,
    /// Use an S3 Bucket Key with `kms_key_id`: far fewer KMS requests. Default: true.
    #[serde(default = "yes")]
    pub bucket_key: bool,
    /// How its bucket is reached.
    #[serde(flatten)]
    pub connection: Connection,
}

/// `[ingest]`: taking objects in.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Ingest {
    /// gzip bytes of all agents that may be in work at once; agents wait beyond. Default: 64 MiB.
    pub memory: Bytes,
    /// Streams that may be open at once; each agent has one. Default: 1000.
    pub streams_max: usize,
    /// Largest gRPC message. Agents keep to what they are told. Default: 16 MiB, at least 1 MiB.
    pub message_bytes_max: Bytes,
    /// Largest object, gzip bytes; a larger one ends the agent's stream. Default: 64 MiB, which is also what agents send
    /// at the most unless told otherwise.
    pub object_bytes_max: Bytes,
    /// Largest inflated object. CloudTrail stops at 50 MB; more is a bomb or another tool's. Default: 512 MiB.
    pub inflated_bytes_max: Bytes,
}

/// `[journal]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct JournalConfig {
    /// gzip bytes that may wait for delivery; agents are told to wait beyond. Size it for the longest outage of a
    /// destination that should not reach the agents. Default: 10 GiB.
    pub capacity: Bytes,
    /// gzip bytes at which one fsynced write stops gathering. Default: 16 MiB.
    pub commit_bytes: Bytes,
}

/// `[dedup]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Dedup {
    /// How long a record is remembered after it was taken. Must be longer than a copy can be late. Default: 7 days.
    #[serde(with = "orgtrail_service::shape::duration")]
    pub window: Duration,
    /// Memory for the records remembered, about 34 bytes each; the rest is read from disk on touch. Default: 256 MiB.
    pub memory: Bytes,
}

/// `[deliver]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Deliver {
    /// Objects of fewer gzip bytes are merged with others of their account, region and day. 0 merges none. Default:
    /// 64 KiB.
    pub merge_below: Bytes,
    /// How long an object may wait for others to be merged with. Default: 30 s.
    #[serde(with = "orgtrail_service::shape::duration")]
    pub merge_wait: Duration,
    /// Most JSON bytes of a merged object; CloudTrail's own stop at 50 MB. Twice this is held for each processor. Default:
    /// 16 MiB.
    pub object_bytes_max: Bytes,
    /// gzip bytes that are planned together. Default: 64 MiB.
    pub plan_bytes: Bytes,
    /// Objects put at once, for each trail. Default: 8.
    pub concurrency: usize,
    /// gzip level of merged objects, 1 to 12. Default: 6, which gives the size that CloudTrail's files have.
    pub gzip_level: u8,
}

/// `[quarantine]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct QuarantineConfig {
    /// Entries kept. When full, objects with bad records wait at the agents. Default: 100 000.
    pub entries_max: u64,
}

fn yes() -> bool {
    true
}

impl Default for Config {
    fn default() -> Self {
        Self {
            state_dir: PathBuf::new(),
            listen: SocketAddr::from(([127, 0, 0, 1], 7443)),
            grace_period: Duration::from_secs(20),
            log: telemetry::Log::default(),
            health: http::Config::default(),
            tls: None,
            agents: Vec::new(),
            trails: Vec::new(),
            ingest: Ingest::default(),
            journal: JournalConfig::default(),
            dedup: Dedup::default(),
            deliver: Deliver::default(),
            quarantine: QuarantineConfig::default(),
        }
    }
}

impl Default for Ingest {
    fn default() -> Self {
        Self {
            memory: Bytes::mib(64),
            streams_max: 1000,
            message_bytes_max: Bytes::mib(16),
            object_bytes_max: Bytes::mib(64),
            inflated_bytes_max: Bytes::mib(512),
        }
    }
}

impl Default for JournalConfig {
    fn default() -> Self {
        Self { capacity: Bytes::gib(10), commit_bytes: Bytes::mib(16) }
    }
}

impl Default for Dedup {
    fn default() -> Self {
        Self { window: Duration::from_secs(7 * 24 * 3600), memory: Bytes::mib(256) }
    }
}

impl Default for Deliver {
    fn default() -> Self {
        Self {
            merge_below: Bytes::kib(64),
            merge_wait: Duration::from_secs(30),
            object_bytes_max: Bytes::mib(16),
            plan_bytes: Bytes::mib(64),
            concurrency: 8,
            gzip_level: 6,
        }
    }
}

impl Default for QuarantineConfig {
    fn default() -> Self {
        Self { entries_max: 100_000 }
    }
}

impl Check for Config {
    fn check(&self, problems: &mut Problems) {
        if self.state_dir.as_os_str().is_empty() {
            problems.push("state_dir", "missing; name the folder for the journal, plans and quarantine");
        }
        match &self.tls {
            Some(tls) => problems.within("tls", |problems| tls.check(problems)),
            None if !self.listen.ip().is_loopback() => problems
                .push("listen", "plaintext is only possible on a loopback address: add [tls], or listen on 127.0.0.1"),
            None => {}
        }
        self.check_agents(problems);
        self.check_trails(problems);
        self.check_sizes(problems);
    }

    fn flattened_keys() -> Vec<&'static str> {
        let own = ["name", "organization_id", "location", "account_id", "home_region", "kms_key_id", "bucket_key"];
        [&own, Connection::KEYS].concat()
    }
}

impl Config {
    fn check_agents(&self, problems: &mut Problems) {
        if self.agents.is_empty() {
            problems.push("agents", "missing; add [[agents]] with name and accounts for every agent that may speak");
        }
        let mut names = HashSet::new();
        for (index, agent) in self.agents.iter().enumerate() {
            problems.within(format!("agents[{index}]"), |problems| {
                if agent.name.is_empty() {
                    problems.push("name", "missing; the name that the agent's own configuration gives");
                } else if !names.insert(&agent.name) {
                    problems.push("name", format!("\"{}\" stands twice; list all accounts in one entry", agent.name));
                }
                if agent.accounts.is_empty() {
                    problems.push("accounts", "missing; list account ids, or [\"*\"] for all");
                }
                for (index, account) in agent.accounts.iter().enumerate() {
                    if account != "*" && !is_account(account) {
                        problems.push(
                            format!("accounts[{index}]"),
                            format!("\"{account}\" is neither 12 digits nor \"*\""),
                        );
                    }
                }
            });
        }
    }

    fn check_trails(&self, problems: &mut Problems) {
        if self.trails.is_empty() {
            problems.push("trails", "missing; add [[trails]] with name and location");
        }
        let mut names = HashSet::new();
        let mut locations = HashSet::new();
        for (index, trail) in self.trails.iter().enumerate() {
            problems.within(format!("trails[{index}]"), |problems| {
                trail.check(problems);
                if !trail.name.is_empty() && !names.insert(&trail.name) {
                    problems.push("name", format!("\"{}\" stands twice; a trail's name is unique", trail.name));
                }
                if let Some(location) = &trail.location
                    && !locations.insert(location.to_string())
                {
                    problems.push("location", "another trail delivers there; give each its own bucket or prefix");
                }
            });
        }
    }

    fn check_sizes(&self, problems: &mut Problems) {
        if self.ingest.message_bytes_max < Bytes::mib(1) {
            problems
                .push("ingest.message_bytes_max", "less than 1MiB leaves no room for a batch; the default is 16MiB");
        }
        if self.deliver.object_bytes_max > Bytes(50_000_000) {
            problems.push("deliver.object_bytes_max", "over 50 MB, CloudTrail's own limit; the default is 16MiB");
        }
        if !(1..=12).contains(&self.deliver.gzip_level) {
            problems.push("deliver.gzip_level", "not from 1 to 12; the default is 6");
        }
        let (concurrency, streams) = (self.deliver.concurrency as u64, self.ingest.streams_max as u64);
        let entries = self.quarantine.entries_max;
        for (key, value) in
            [("deliver.concurrency", concurrency), ("ingest.streams_max", streams), ("quarantine.entries_max", entries)]
        {
            if value == 0 {
                problems.push(key, "must be at least 1");
            }
        }
        if self.dedup.window < Duration::from_secs(3600) {
            problems
                .push("dedup.window", "less than an hour: copies of records come later than that; the default is 7d");
        }
    }
}

impl TrailConfig {
    fn check(&self, problems: &mut Problems) {
        if let Err(problem) = check_trail_name(&self.name) {
            problems.push("name", problem);
        }
        if self.location.is_none() {
            problems.push("location", "missing; s3://bucket/prefix or file:///folder");
        }
        if let Some(id) = &self.organization_id
            && !is_organization_id(id)
        {
            problems.push("organization_id", format!("\"{id}\" is not o- and 10 to 32 lower-case letters and digits"));
        }
        if let Some(account) = &self.account_id
            && !is_account(account)
        {
            problems.push("account_id", format!("\"{account}\" is not 12 digits"));
        }
        if self.kms_key_id.is_some() && matches!(self.location, Some(Location::File { .. })) {
            problems.push("kms_key_id", "has no effect on a file:// location: remove it, or deliver to s3://");
        }
        for (key, message) in self.connection.problems() {
            problems.push(key, message);
        }
    }

    /// The trail as delivery sees it.
    pub(crate) fn trail(&self) -> Trail {
        let region = self.home_region.as_deref().or(self.connection.region.as_deref()).unwrap_or("us-east-1");
        let account = self.account_id.as_deref().unwrap_or("000000000000");
        let resource = format!("trail/{}", self.name);
        Trail {
            name: self.name.clone(),
            organization_id: self.organization_id.clone(),
            arn: Partition::of_region(region).arn("cloudtrail", region, account, &resource),
        }
    }
}

/// CloudTrail's rule (CloudTrail user guide, "Naming requirements").
fn check_trail_name(name: &str) -> Result<(), String> {
    if name.is_empty() {
        return Err("missing; CloudTrail's trail name, such as org-trail".to_owned());
    }
    let punctuation = |byte: &u8| matches!(byte, b'.' | b'_' | b'-');
    let bytes = name.as_bytes();
    let ends = [bytes.first(), bytes.last()].into_iter().flatten().all(u8::is_ascii_alphanumeric);
    let allowed = bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || punctuation(byte));
    let apart = bytes.windows(2).all(|pair| !(punctuation(&pair[0]) && punctuation(&pair[1])));
    let address = name.parse::<std::net::Ipv4Addr>().is_ok();
    if (3..=128).contains(&bytes.len()) && ends && allowed && apart && !address {
        return Ok(());
    }
    Err(format!(
        "\"{name}\" is no trail name: 3 to 128 ASCII letters, digits, '.', '_', '-', beginning and ending with a letter or \
         digit, no two of '.', '_', '-' in a row, not an IP address"
    ))
}

fn is_account(text: &str) -> bool {
    text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn is_organization_id(text: &str) -> bool {
    let ok = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    text.strip_prefix("o-").is_some_and(|id| (10..=32).contains(&id.len()) && id.bytes().all(ok))
}

#[cfg(test)]
mod tests;
