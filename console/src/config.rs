//! `console.toml`: every key, its meaning, unit and default. Plain values only; checked offline.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use orgtrail_cloud::Location;
use orgtrail_cloud::partition::Partition;
use orgtrail_event::identifier::{check_trail_name, is_account, is_organization_id};
use orgtrail_service::config::{Check, Problems};
use orgtrail_service::{http, telemetry, tls};
use serde::Deserialize;

/// The console's configuration file.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// What is served, and where. Required.
    pub console: ConsoleConfig,
    /// How long a stop may take before requests in work are cut off. Default: 20 s.
    #[serde(with = "orgtrail_service::shape::duration")]
    pub grace_period: Duration,
    /// Logging.
    pub log: telemetry::Log,
    /// Health, metrics and status pages.
    pub health: http::Config,
    /// Mutual TLS: a client must show a certificate of the authority in `ca_file`.
    pub tls: Option<tls::Tls>,
}

/// `[console]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ConsoleConfig {
    /// Address and port for AWS's clients. Requests are not authenticated by their signature, so anything but a loopback
    /// address needs `[tls]`. Default: 127.0.0.1:7480.
    pub listen: SocketAddr,
    /// The trails that are shown. At least one.
    pub trails: Vec<TrailConfig>,
}

/// `[[console.trails]]`: a trail as CloudTrail's clients shall see it. Say the same as the aggregator's `[[trails]]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TrailConfig {
    /// The trail's name. Required.
    pub name: String,
    /// The account that owns the trail (an organization's management account), for its ARN. Required.
    pub account_id: String,
    /// The trail's home region, for its ARN. Required.
    pub home_region: String,
    /// `o-…` for an organization trail. Default: none.
    pub organization_id: Option<String>,
    /// Whether it covers every region: clients of other regions then see it as a shadow trail. Default: true.
    pub multi_region: bool,
    /// Whether it takes the events of global services. Default: true.
    pub include_global_service_events: bool,
    /// Where its files lie: `s3://bucket/prefix` or `file:///folder`. Required.
    pub location: Option<Location>,
    /// The file in which the aggregator lists the keys that it ever signed digests with: `public-keys.json` in its state
    /// folder. Read again when it changes. Default: none, and the trail shows no log file validation.
    pub public_keys: Option<PathBuf>,
    /// KMS key of its files, as the trail shall show it. Default: none.
    pub kms_key_id: Option<String>,
    /// ARN of the topic that announces its files. Default: none.
    pub sns_topic: Option<String>,
    /// ARN of the log group that gets its records. Default: none.
    pub cloudwatch_logs_log_group_arn: Option<String>,
    /// ARN of the role that they are sent through. Default: none.
    pub cloudwatch_logs_role_arn: Option<String>,
    /// Whether it has event selectors other than CloudTrail's default. Default: false.
    pub has_custom_event_selectors: bool,
    /// Whether it takes Insights events. Default: false.
    pub has_insight_selectors: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            console: ConsoleConfig::default(),
            grace_period: Duration::from_secs(20),
            log: telemetry::Log::default(),
            health: http::Config::default(),
            tls: None,
        }
    }
}

impl Default for ConsoleConfig {
    fn default() -> Self {
        Self { listen: SocketAddr::from(([127, 0, 0, 1], 7480)), trails: Vec::new() }
    }
}

impl Default for TrailConfig {
    fn default() -> Self {
        Self {
            name: String::new(),
            account_id: String::new(),
            home_region: String::new(),
            organization_id: None,
            multi_region: true,
            include_global_service_events: true,
            location: None,
            public_keys: None,
            kms_key_id: None,
            sns_topic: None,
            cloudwatch_logs_log_group_arn: None,
            cloudwatch_logs_role_arn: None,
            has_custom_event_selectors: false,
            has_insight_selectors: false,
        }
    }
}

impl Check for Config {
    fn check(&self, problems: &mut Problems) {
        problems.within("log", |problems| self.log.check(problems));
        match &self.tls {
            Some(tls) => problems.within("tls", |problems| tls.check(problems)),
            None if !self.console.listen.ip().is_loopback() => problems.push(
                "console.listen",
                "signatures of requests are not checked, so plaintext is only possible on a loopback address: add [tls], or \
                 listen on 127.0.0.1",
            ),
            None => {}
        }
        problems.within("console", |problems| self.console.check(problems));
    }
}

impl ConsoleConfig {
    fn check(&self, problems: &mut Problems) {
        if self.trails.is_empty() {
            problems.push("trails", "missing; add [[console.trails]] with name, account_id, home_region and location");
        }
        let mut arns = HashSet::new();
        for (index, trail) in self.trails.iter().enumerate() {
            problems.within(format!("trails[{index}]"), |problems| {
                trail.check(problems);
                if !trail.name.is_empty() && !arns.insert(trail.arn()) {
                    problems.push("name", format!("{} stands twice; show a trail once", trail.arn()));
                }
            });
        }
    }
}

impl TrailConfig {
    /// `arn:aws:cloudtrail:<home region>:<account>:trail/<name>`
    pub fn arn(&self) -> String {
        let resource = format!("trail/{}", self.name);
        Partition::of_region(&self.home_region).arn("cloudtrail", &self.home_region, &self.account_id, &resource)
    }

    fn check(&self, problems: &mut Problems) {
        if let Err(problem) = check_trail_name(&self.name) {
            problems.push("name", problem);
        }
        if self.account_id.is_empty() {
            problems.push("account_id", "missing; the account that owns the trail, as in the aggregator's [[trails]]");
        } else if !is_account(&self.account_id) {
            problems.push("account_id", format!("\"{}\" is not 12 digits", self.account_id));
        }
        if self.home_region.is_empty() {
            problems.push("home_region", "missing; the trail's home region, as in the aggregator's [[trails]]");
        }
        if let Some(id) = &self.organization_id
            && !is_organization_id(id)
        {
            problems.push("organization_id", format!("\"{id}\" is not o- and 10 to 32 lower-case letters and digits"));
        }
        if self.location.is_none() {
            problems.push("location", "missing; s3://bucket/prefix or file:///folder");
        }
        if self.public_keys.as_ref().is_some_and(|path| path.as_os_str().is_empty()) {
            problems
                .push("public_keys", "empty; name public-keys.json in the aggregator's state folder, or leave it out");
        }
        for (key, arn) in [
            ("sns_topic", &self.sns_topic),
            ("cloudwatch_logs_log_group_arn", &self.cloudwatch_logs_log_group_arn),
            ("cloudwatch_logs_role_arn", &self.cloudwatch_logs_role_arn),
        ] {
            if let Some(arn) = arn
                && !arn.starts_with("arn:")
            {
                problems.push(key, format!("\"{arn}\" is no ARN"));
            }
        }
        if self.cloudwatch_logs_log_group_arn.is_some() != self.cloudwatch_logs_role_arn.is_some() {
            problems.push(
                "cloudwatch_logs_log_group_arn",
                "goes with cloudwatch_logs_role_arn, as CloudTrail has both or neither: give both, or none",
            );
        }
    }
}

#[cfg(test)]
mod tests;
