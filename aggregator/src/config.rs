//! `aggregator.toml`: every key, its meaning, unit and default. Plain values only; checked offline.

mod trail;

use std::collections::HashSet;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use orgtrail_cloud::Connection;
use orgtrail_event::identifier::is_account;
use orgtrail_service::config::{Check, Problems};
use orgtrail_service::shape::Bytes;
use orgtrail_service::{http, telemetry, tls};
use serde::Deserialize;

pub use self::trail::{CloudWatchLogsConfig, Lifecycle, TrailConfig};

/// Trails that one aggregator delivers at the most: what a record is passed over by is one bit each.
pub const TRAILS_MAX: usize = 64;

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
    /// When digests are written, for trails that have a `signing_key_id`.
    pub digests: Digests,
    /// Encrypts what this process keeps on disk. Default: nothing is encrypted.
    pub seal: Option<SealConfig>,
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

/// `[digests]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Digests {
    /// What one digest covers: whole seconds that go into an hour. Default: 1 h, as CloudTrail's; shorter ones are for
    /// trying things out.
    #[serde(with = "orgtrail_service::shape::duration")]
    pub interval: Duration,
    /// How long after the end of an hour its digests are written. Files of that hour that are delivered later are listed
    /// in a backfill digest. Default: 30 min, above the delay with which CloudTrail delivers and agents find a file.
    #[serde(with = "orgtrail_service::shape::duration")]
    pub delay: Duration,
    /// Write digests of the unfinished hour when the process stops, as CloudTrail does when logging is stopped. The next
    /// start goes on with the chain from there. Default: false, the hour's digest is written by the next start.
    pub on_stop: bool,
    /// Hours without a digest, because the process didn't run, that are made up for. After a longer pause a chain begins
    /// anew, as CloudTrail's does after StartLogging. Default: 7 days.
    #[serde(with = "orgtrail_service::shape::duration")]
    pub catch_up_max: Duration,
}

/// `[seal]`: AES-256-GCM for journal, plans and quarantine. The keys of its connection (`region`, `role_arn`, …) stand
/// beside these.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SealConfig {
    /// The key under which data keys are made: ARN, id or alias of a symmetric KMS key, or `file:///path` of a key file.
    /// Required.
    #[serde(default)]
    pub key_id: String,
    /// A data key is replaced after this time. Default: 24 h.
    #[serde(default = "day", with = "orgtrail_service::shape::duration")]
    pub rotate_after: Duration,
    /// How often the key service is asked whether the key may still be used. Default: 5 min.
    #[serde(default = "five_minutes", with = "orgtrail_service::shape::duration")]
    pub recheck: Duration,
    /// How the key service is reached.
    #[serde(flatten)]
    pub connection: Connection,
}

/// `[quarantine]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct QuarantineConfig {
    /// Entries kept. When full, objects with bad records wait at the agents. Default: 100 000.
    pub entries_max: u64,
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
            digests: Digests::default(),
            seal: None,
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

impl Default for Digests {
    fn default() -> Self {
        let hour = Duration::from_secs(3600);
        Self { interval: hour, delay: hour / 2, on_stop: false, catch_up_max: 7 * 24 * hour }
    }
}

fn day() -> Duration {
    Duration::from_secs(24 * 3600)
}

fn five_minutes() -> Duration {
    Duration::from_secs(300)
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
        self.check_digests(problems);
        if let Some(seal) = &self.seal {
            problems.within("seal", |problems| seal.check(problems));
        }
    }

    fn flattened_keys() -> Vec<&'static str> {
        let seal = ["key_id", "rotate_after", "recheck"];
        [TrailConfig::KEYS, CloudWatchLogsConfig::KEYS, &seal, Connection::KEYS].concat()
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
        if self.trails.len() > TRAILS_MAX {
            problems
                .push("trails", format!("{} of them; one aggregator delivers up to {TRAILS_MAX}", self.trails.len()));
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

    fn check_digests(&self, problems: &mut Problems) {
        let hour = Duration::from_secs(3600);
        let interval = self.digests.interval;
        if interval.is_zero() || interval.subsec_nanos() > 0 || 3600 % interval.as_secs().max(1) != 0 {
            problems.push("digests.interval", "not whole seconds that go into an hour; the default is 1h");
        }
        if self.digests.delay > 24 * hour {
            problems.push("digests.delay", "over 24h: the default is 30m");
        }
        if !(hour..=90 * 24 * hour).contains(&self.digests.catch_up_max) {
            problems.push("digests.catch_up_max", "not from 1h to 90d; the default is 7d");
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

impl SealConfig {
    fn check(&self, problems: &mut Problems) {
        if self.key_id.is_empty() {
            problems.push("key_id", "missing; a KMS key's ARN, id or alias, or file:///path of a key file");
        }
        let hour = Duration::from_secs(3600);
        if !(hour..=365 * 24 * hour).contains(&self.rotate_after) {
            problems.push("rotate_after", "not from 1h to 365d; the default is 24h");
        }
        if !(Duration::from_millis(100)..=hour).contains(&self.recheck) {
            problems.push("recheck", "not from 100ms to 1h; the default is 5m");
        }
        for (key, message) in self.connection.problems() {
            problems.push(key, message);
        }
    }
}

#[cfg(test)]
mod tests;
