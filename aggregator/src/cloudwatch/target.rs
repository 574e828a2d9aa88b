//! Where to: the log group and its streams, or a folder in their place, as configuration says.

use std::sync::Arc;

use orgtrail_cloud::log_sink::{CloudWatchSink, LocalSink, LogGroup, Rotation};
use orgtrail_cloud::partition::Partition;
use orgtrail_cloud::{Connection, Error, ErrorKind, Location, LogSink};
use serde_json::json;

use super::window::Rules;
use crate::config::CloudWatchLogsConfig;
use crate::trail::Trail;

/// A log group and how its streams are called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Names {
    pub(super) group: String,
    /// The first stream; further ones have `_1`, `_2` and so on behind it, as CloudTrail's do.
    pub(super) stream: String,
    /// ARN of the group; none for a folder.
    pub(super) arn: Option<String>,
}

/// A trail's log group, or the folder in its place, as opened.
pub(crate) struct Target {
    pub(super) trail: Trail,
    pub(super) names: Names,
    pub(super) sink: Arc<dyn LogSink>,
    pub(super) streams_max: usize,
    pub(super) rules: Rules,
}

impl Target {
    /// As configuration says. Calls nothing yet.
    pub(crate) async fn open(config: &CloudWatchLogsConfig, trail: Trail) -> Result<Self, Error> {
        let streams_max = config.streams_max;
        if let Some(Location::File { root }) = &config.location {
            let rotation = Rotation { file_bytes_max: config.file_bytes_max.as_u64(), files_max: config.files_max };
            let stream = config.log_stream.clone().unwrap_or_else(|| default_stream(&trail));
            let names = Names { group: trail.name.clone(), stream, arn: None };
            let rules = Rules { by_age: false, pointers: config.pointer_records };
            return Ok(Self { trail, names, sink: Arc::new(LocalSink::new(root, rotation)), streams_max, rules });
        }
        let Group { names, sink } = Group::open(config, &trail).await?;
        let rules = Rules { by_age: true, pointers: config.pointer_records };
        Ok(Self { trail, names, sink: Arc::new(sink), streams_max, rules })
    }
}

/// A log group in CloudWatch Logs.
pub(super) struct Group {
    pub(super) names: Names,
    pub(super) sink: CloudWatchSink,
}

impl Group {
    /// As configuration says, which names one. Calls nothing yet.
    pub(super) async fn open(config: &CloudWatchLogsConfig, trail: &Trail) -> Result<Self, Error> {
        let stream = config.log_stream.clone().unwrap_or_else(|| default_stream(trail));
        let given = config.log_group.as_deref().unwrap_or_default();
        let invalid = |why| Error::new(ErrorKind::Invalid, "open", format!("log group {given}")).detail(why);
        let group = LogGroup::parse(given).map_err(invalid)?;
        let connection = &config.connection;
        let region = connection.region.clone().or(group.region).unwrap_or_else(|| trail.home_region.clone());
        let account = group.account.as_deref().unwrap_or(&trail.account);
        let arn = Partition::of_region(&region).arn("logs", &region, account, &format!("log-group:{}", group.name));
        let connection = Connection { region: Some(region), ..connection.clone() };
        let sink = CloudWatchSink::open(&connection).await?;
        Ok(Self { names: Names { group: group.name, stream, arn: Some(arn) }, sink })
    }
}

/// CloudTrail's own (CloudTrail user guide, "Sending events to CloudWatch Logs"); for organization trails the role policy
/// there says how it begins.
fn default_stream(trail: &Trail) -> String {
    let own = format!("{}_CloudTrail_{}", trail.account, trail.home_region);
    match &trail.organization_id {
        Some(organization) => format!("{organization}_{own}"),
        None => own,
    }
}

impl Names {
    /// The name of one of the streams.
    pub(super) fn stream(&self, index: usize) -> String {
        match index {
            0 => self.stream.clone(),
            index => format!("{}_{index}", self.stream),
        }
    }

    /// What health says of an error: where it was refused, the statements to add.
    pub(super) fn advice(&self, error: &Error) -> String {
        match &self.arn {
            Some(arn) if *error.kind() == ErrorKind::Denied => {
                let statements = json!([
                    {
                        "Effect": "Allow",
                        "Action": ["logs:CreateLogStream", "logs:PutLogEvents"],
                        "Resource": format!("{arn}:log-stream:{}*", self.stream),
                    },
                    // Not needed where somebody makes the group.
                    {"Effect": "Allow", "Action": "logs:CreateLogGroup", "Resource": arn},
                ]);
                format!("{error}; the role needs {statements} (the second only while the group is absent)")
            }
            _ => error.to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trail(organization_id: Option<&str>) -> Trail {
        Trail {
            name: "org-trail".into(),
            organization_id: organization_id.map(str::to_owned),
            account: "111122223333".into(),
            home_region: "eu-west-1".into(),
            arn: String::new(),
            bucket: "org-trail".into(),
            prefix: String::new(),
        }
    }

    #[test]
    fn streams_are_called_as_cloudtrails() {
        assert_eq!(default_stream(&trail(None)), "111122223333_CloudTrail_eu-west-1");
        let stream = default_stream(&trail(Some("o-exampleorg1")));
        assert_eq!(stream, "o-exampleorg1_111122223333_CloudTrail_eu-west-1");
        let names = Names { group: "g".into(), stream: "s".into(), arn: None };
        assert_eq!([0, 1, 2].map(|index| names.stream(index)), ["s", "s_1", "s_2"]);
    }

    #[test]
    fn a_refusal_names_the_statement_to_add() {
        let arn = "arn:aws:logs:eu-west-1:111122223333:log-group:g";
        let names = Names { group: "g".into(), stream: "s".into(), arn: Some(arn.into()) };
        let denied = names.advice(&Error::new(ErrorKind::Denied, "put to", "log stream g/s"));
        assert!(denied.contains(r#""Action":["logs:CreateLogStream","logs:PutLogEvents"]"#), "{denied}");
        assert!(denied.contains(&format!(r#""Resource":"{arn}:log-stream:s*""#)), "{denied}");
        let other = names.advice(&Error::new(ErrorKind::Unavailable, "put to", "log stream g/s"));
        assert!(!other.contains("Action"), "{other}");
    }
}
