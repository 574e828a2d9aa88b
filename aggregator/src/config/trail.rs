//! `[[trails]]`: one trail in CloudTrail's own terms, and where it goes.

use std::path::PathBuf;
use std::time::Duration;

use orgtrail_cloud::lifecycle::LifecycleRule;
use orgtrail_cloud::log_sink::{LogGroup, check_stream_name};
use orgtrail_cloud::partition::Partition;
use orgtrail_cloud::{Connection, Location};
use orgtrail_event::identifier::{check_trail_name, is_account, is_organization_id};
use orgtrail_event::selector::{
    AdvancedEventSelector, EventSelector, InsightSelector, Invalid, Scope, Selection, Selectors,
};
use orgtrail_service::config::Problems;
use orgtrail_service::shape::Bytes;
use serde::Deserialize;
use serde::de::{self, Deserializer, SeqAccess, Visitor};

use crate::trail::Trail;

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
    /// The trail's home region, for its ARN and for `multi_region = false`. Default: `region`, else `us-east-1`.
    #[serde(default)]
    pub home_region: Option<String>,
    /// Take what happened in every region; false takes the home region's alone. Default: true.
    #[serde(default = "yes")]
    pub multi_region: bool,
    /// Take what global services (IAM, STS, CloudFront) recorded in us-east-1. A multi-region trail must. Default: true.
    #[serde(default = "yes")]
    pub include_global_service_events: bool,
    /// Take these accounts only, 12 digits each. Default: all.
    #[serde(default)]
    pub accounts: Vec<String>,
    /// Take these regions only. Default: all.
    #[serde(default)]
    pub regions: Vec<String>,
    /// `"all"` for every record, or CloudTrail's basic event selectors. Default: CloudTrail's, all management events and no
    /// others.
    #[serde(default)]
    pub event_selectors: Option<EventSelectors>,
    /// CloudTrail's advanced event selectors, instead of the basic ones.
    #[serde(default)]
    pub advanced_event_selectors: Option<Vec<AdvancedEventSelector>>,
    /// A file with what `aws cloudtrail get-event-selectors` prints, instead of either.
    #[serde(default)]
    pub selectors_file: Option<PathBuf>,
    /// Which Insights events to take. Default: none, as CloudTrail's.
    #[serde(default)]
    pub insight_selectors: Vec<InsightSelector>,
    /// Encrypt with SSE-KMS under this key (ARN, id or alias), giving KMS the trail's ARN as CloudTrail does. Default: the
    /// bucket's own encryption.
    #[serde(default)]
    pub kms_key_id: Option<String>,
    /// Use an S3 Bucket Key with `kms_key_id`: far fewer KMS requests. Default: true.
    #[serde(default = "yes")]
    pub bucket_key: bool,
    /// Write digests, signed with this key: an RSA_2048 key of KMS for signing (ARN, id or alias), or `file:///path` of a
    /// PEM file. Default: no digests.
    #[serde(default)]
    pub signing_key_id: Option<String>,
    /// Announce delivered files there, with CloudTrail's message: the ARN of an SNS topic, or `file:///path` of a file that
    /// gets a line each. Default: nowhere.
    #[serde(default)]
    pub sns_topic: Option<String>,
    /// Lifecycle rule that is kept on the bucket for the trail's own prefix. Default: none, and one that was put there for this
    /// trail before is removed.
    #[serde(default)]
    pub lifecycle: Option<Lifecycle>,
    /// Send the records to CloudWatch Logs too.
    #[serde(default)]
    pub cloudwatch_logs: Option<CloudWatchLogsConfig>,
    /// How its bucket, key and topic are reached.
    #[serde(flatten)]
    pub connection: Connection,
}

/// What `event_selectors` may be.
#[derive(Debug, Clone, PartialEq)]
pub enum EventSelectors {
    /// `"all"`
    All,
    /// CloudTrail's basic selectors.
    Basic(Vec<EventSelector>),
}

/// `lifecycle = { glacier_after = "90d", expire_after = "7y" }`: whole days.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Lifecycle {
    /// Move objects to S3 Glacier Flexible Retrieval at this age. Default: never.
    #[serde(with = "humantime_serde")]
    pub glacier_after: Option<Duration>,
    /// Delete objects at this age. Default: never.
    #[serde(with = "humantime_serde")]
    pub expire_after: Option<Duration>,
}

/// `[trails.cloudwatch_logs]`: a log group, or a folder in its place. The keys of its connection stand beside these.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CloudWatchLogsConfig {
    /// Name or ARN of the log group. It and its streams are made when absent and allowed. Required, or `location`.
    #[serde(default)]
    pub log_group: Option<String>,
    /// `file:///folder`: NDJSON files instead of a log group.
    #[serde(default)]
    pub location: Option<Location>,
    /// Default: CloudTrail's, `<account>_CloudTrail_<home region>`, with the organization's id and a `_` before it where
    /// there is one.
    #[serde(default)]
    pub log_stream: Option<String>,
    /// Streams that the records are spread over while CloudWatch Logs throttles. Default: 4.
    #[serde(default = "four")]
    pub streams_max: usize,
    /// Send a short record in place of one that CloudWatch Logs does not take. Default: false.
    #[serde(default)]
    pub pointer_records: bool,
    /// Size at which a file of `location` is closed and the next begun. Default: 64 MiB.
    #[serde(default = "file_bytes")]
    pub file_bytes_max: Bytes,
    /// Files of a stream that are kept in `location`. Default: 16.
    #[serde(default = "sixteen")]
    pub files_max: usize,
    /// How CloudWatch Logs is reached. Its region's default is that of the log group's ARN, else the trail's home region.
    #[serde(flatten)]
    pub connection: Connection,
}

fn yes() -> bool {
    true
}

fn four() -> usize {
    4
}

fn sixteen() -> usize {
    16
}

fn file_bytes() -> Bytes {
    Bytes::mib(64)
}

impl<'de> Deserialize<'de> for EventSelectors {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AllOrList;
        impl<'de> Visitor<'de> for AllOrList {
            type Value = EventSelectors;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("\"all\" or [[trails.event_selectors]] tables")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<EventSelectors, E> {
                match text {
                    "all" => Ok(EventSelectors::All),
                    other => Err(E::custom(format!("\"{other}\" is neither \"all\" nor a list of event selectors"))),
                }
            }

            fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<EventSelectors, A::Error> {
                Vec::deserialize(de::value::SeqAccessDeserializer::new(list)).map(EventSelectors::Basic)
            }
        }
        deserializer.deserialize_any(AllOrList)
    }
}

impl CloudWatchLogsConfig {
    pub(super) const KEYS: &'static [&'static str] =
        &["log_group", "location", "log_stream", "streams_max", "pointer_records", "file_bytes_max", "files_max"];

    fn check(&self, problems: &mut Problems) {
        match (&self.log_group, &self.location) {
            (None, None) => {
                problems.push("log_group", "missing; the log group's name or ARN, or location = \"file:///folder\"")
            }
            (Some(_), Some(_)) => problems.push("location", "records go to a log group or to a folder: remove one"),
            (None, Some(Location::S3 { .. } | Location::EventHistory { .. })) => {
                problems.push("location", "only a file:///folder stands for a log group")
            }
            (Some(group), None) => self.check_group(group, problems),
            (None, Some(Location::File { .. })) => {}
        }
        if let Some(Err(problem)) = self.log_stream.as_deref().map(check_stream_name) {
            problems.push("log_stream", problem);
        }
        if !(1..=64).contains(&self.streams_max) {
            problems.push("streams_max", "not from 1 to 64; the default is 4");
        }
        if self.files_max == 0 {
            problems.push("files_max", "must be at least 1");
        }
        if self.file_bytes_max < Bytes::mib(2) {
            problems.push("file_bytes_max", "less than two batches (2MiB); the default is 64MiB");
        }
        for (key, message) in self.connection.problems() {
            problems.push(key, message);
        }
    }

    fn check_group(&self, group: &str, problems: &mut Problems) {
        match (LogGroup::parse(group), &self.connection.region) {
            (Err(problem), _) => problems.push("log_group", problem),
            (Ok(LogGroup { region: Some(its), .. }), Some(region)) if its != *region => {
                problems.push("region", format!("\"{region}\" is not the log group's, {its}: remove one"));
            }
            _ => {}
        }
    }
}

impl Lifecycle {
    /// Days until objects move to Glacier.
    pub fn glacier_days(&self) -> Option<u32> {
        self.glacier_after.map(days)
    }

    /// Days until objects are deleted.
    pub fn expire_days(&self) -> Option<u32> {
        self.expire_after.map(days)
    }

    fn check(&self, problems: &mut Problems) {
        for (key, value) in [("glacier_after", self.glacier_after), ("expire_after", self.expire_after)] {
            if value.is_some_and(|value| value < Duration::from_secs(86_400)) {
                problems.push(key, "less than a day: S3 counts in whole days");
            }
        }
        match (self.glacier_after, self.expire_after) {
            (None, None) => problems.push("glacier_after", "missing; give glacier_after, expire_after, or both"),
            (Some(glacier), Some(expire)) if glacier >= expire => {
                problems.push("expire_after", "not after glacier_after: objects would be deleted before they move");
            }
            _ => {}
        }
    }
}

/// Whole days, rounded up: nothing goes earlier than was written. humantime's year is 365.25 days.
fn days(duration: Duration) -> u32 {
    u32::try_from(duration.as_secs().div_ceil(86_400)).unwrap_or(u32::MAX)
}

impl TrailConfig {
    pub(super) const KEYS: &'static [&'static str] = &[
        "name",
        "organization_id",
        "location",
        "account_id",
        "home_region",
        "multi_region",
        "include_global_service_events",
        "accounts",
        "regions",
        "event_selectors",
        "advanced_event_selectors",
        "selectors_file",
        "insight_selectors",
        "kms_key_id",
        "bucket_key",
        "signing_key_id",
        "sns_topic",
        "lifecycle",
        "cloudwatch_logs",
    ];

    pub(super) fn check(&self, problems: &mut Problems) {
        if let Err(problem) = check_trail_name(&self.name) {
            problems.push("name", problem);
        }
        if self.location.is_none() {
            problems.push("location", "missing; s3://bucket/prefix or file:///folder");
        }
        if matches!(self.location, Some(Location::EventHistory { .. })) {
            problems.push("location", "an event history can only be read; s3://bucket/prefix or file:///folder");
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
        if matches!(self.location, Some(Location::File { .. })) {
            for (key, given) in [("kms_key_id", self.kms_key_id.is_some()), ("lifecycle", self.lifecycle.is_some())] {
                if given {
                    problems.push(key, "has no effect on a file:// location: remove it, or deliver to s3://");
                }
            }
        }
        if let Some(lifecycle) = &self.lifecycle {
            problems.within("lifecycle", |problems| lifecycle.check(problems));
        }
        if let Some(logs) = &self.cloudwatch_logs {
            problems.within("cloudwatch_logs", |problems| logs.check(problems));
        }
        if let Err(found) = self.selection() {
            for Invalid { at, exception, message } in found {
                let exception = exception.map(|name| format!(" ({name})")).unwrap_or_default();
                problems.push(at, format!("{message}{exception}"));
            }
        }
        for (key, message) in self.connection.problems() {
            problems.push(key, message);
        }
    }

    /// Which records the trail takes. Reads `selectors_file`.
    ///
    /// # Errors
    /// Everything that CloudTrail would not take, and what can't be read.
    pub fn selection(&self) -> Result<Selection, Vec<Invalid>> {
        let scope = Scope {
            accounts: self.accounts.clone(),
            regions: self.regions.clone(),
            home_region: (!self.multi_region).then(|| self.home_region().to_owned()),
            include_global_service_events: self.include_global_service_events,
        };
        Selection::compile(&self.selectors()?, &self.insight_selectors, &scope)
    }

    fn selectors(&self) -> Result<Selectors, Vec<Invalid>> {
        let invalid = |at: &str, message: String| vec![Invalid { at: at.to_owned(), exception: None, message }];
        match (&self.event_selectors, &self.advanced_event_selectors, &self.selectors_file) {
            (None, None, None) => Ok(Selectors::default()),
            (Some(EventSelectors::All), None, None) => Ok(Selectors::All),
            (Some(EventSelectors::Basic(basic)), None, None) => Ok(Selectors::Basic(basic.clone())),
            (None, Some(advanced), None) => Ok(Selectors::Advanced(advanced.clone())),
            (None, None, Some(path)) => {
                let text = std::fs::read_to_string(path)
                    .map_err(|error| invalid("selectors_file", format!("read {}: {error}", path.display())))?;
                Selectors::from_json(&text)
                    .map_err(|error| invalid("selectors_file", format!("{}: {error}", path.display())))
            }
            _ => Err(invalid(
                "event_selectors",
                "a trail has event_selectors, advanced_event_selectors or selectors_file: keep one".to_owned(),
            )),
        }
    }

    /// The lifecycle rule for the trail's own objects.
    pub fn lifecycle_rule(&self) -> Option<LifecycleRule> {
        let lifecycle = self.lifecycle.as_ref()?;
        let (id, prefix) = self.lifecycle_rule_name();
        Some(LifecycleRule {
            id,
            prefix,
            glacier_after_days: lifecycle.glacier_days(),
            expire_after_days: lifecycle.expire_days(),
        })
    }

    /// Id and prefix by which the trail's lifecycle rule is known on the bucket, whether or not it wants one.
    pub fn lifecycle_rule_name(&self) -> (String, String) {
        (format!("orgtrail-{}", self.name), self.trail().object("AWSLogs/"))
    }

    fn home_region(&self) -> &str {
        self.home_region.as_deref().or(self.connection.region.as_deref()).unwrap_or("us-east-1")
    }

    /// The trail's ARN, which KMS is given as encryption context.
    pub fn arn(&self) -> String {
        self.trail().arn
    }

    /// The trail as delivery sees it.
    pub(crate) fn trail(&self) -> Trail {
        let region = self.home_region();
        let account = self.account_id.as_deref().unwrap_or("000000000000");
        let resource = format!("trail/{}", self.name);
        let (bucket, prefix) = match &self.location {
            Some(Location::S3 { bucket, prefix }) => (bucket.clone(), prefix.clone()),
            Some(Location::File { root }) => {
                (root.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default(), String::new())
            }
            Some(Location::EventHistory { .. }) | None => Default::default(),
        };
        Trail {
            name: self.name.clone(),
            organization_id: self.organization_id.clone(),
            account: account.to_owned(),
            home_region: region.to_owned(),
            arn: Partition::of_region(region).arn("cloudtrail", region, account, &resource),
            bucket,
            prefix,
        }
    }
}
