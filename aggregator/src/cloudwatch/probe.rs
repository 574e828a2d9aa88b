//! Whether a trail's log group takes events, for a command that wants to know.

use jiff::{SignedDuration, Timestamp};
use orgtrail_cloud::Error;
use orgtrail_cloud::LogSink as _;
use orgtrail_cloud::log_sink::LogEvent;

use super::target::{Group, Target};
use crate::config::{CloudWatchLogsConfig, TrailConfig};

/// Older than CloudWatch Logs takes: the call is allowed or refused as any other, and nothing is kept.
const OLD: SignedDuration = SignedDuration::from_hours(30 * 24);

/// Makes the trail's first stream as a start would, and sends an event that is too old to be kept. Returns where to. Makes
/// no group: how long it keeps events, and under which key, is for a person to say. A folder in place of a group is made,
/// and gets nothing.
///
/// # Errors
/// `ContainerMissing` where the group is absent. The stream can't be made, or events are refused.
pub async fn probe(config: &CloudWatchLogsConfig, trail: &TrailConfig, now: Timestamp) -> Result<String, Error> {
    let trail = trail.trail();
    if config.location.is_some() {
        let target = Target::open(config, trail).await?;
        let stream = target.names.stream(0);
        target.sink.ensure(&target.names.group, &stream).await?;
        return Ok(format!("{}/{stream}", target.names.group));
    }
    let Group { names, sink } = Group::open(config, &trail).await?;
    let stream = names.stream(0);
    sink.create_stream(&names.group, &stream).await?;
    let at = now.checked_sub(OLD).unwrap_or(Timestamp::MIN);
    let event = LogEvent { timestamp_ms: at.as_millisecond(), message: "orgtrail doctor".to_owned() };
    sink.put(&names.group, &stream, &[event]).await?;
    Ok(format!("{}/{stream}", names.group))
}

/// The ARN of the log group; none for a folder.
pub async fn arn(config: &CloudWatchLogsConfig, trail: &TrailConfig) -> Option<String> {
    Target::open(config, trail.trail()).await.ok()?.names.arn
}
