//! CloudWatch Logs as log sink.
//!
//! Owns: the requests, and reading which events were rejected. Does not own: batching, nor waiting after a throttle
//! beyond the SDK's own retries.

use super::{LogEvent, LogSink, PutOutcome, Rejection, check, subject};
use crate::error::classify;
use crate::{Connection, Error, ErrorKind, credentials};
use async_trait::async_trait;
use aws_sdk_cloudwatchlogs::Client;
use aws_sdk_cloudwatchlogs::types::{InputLogEvent, RejectedLogEventsInfo};

/// CloudWatch Logs in the connection's region.
#[derive(Debug)]
pub struct CloudWatchSink {
    client: Client,
}

impl CloudWatchSink {
    /// CloudWatch Logs as the connection reaches it. Calls nothing yet.
    pub async fn open(connection: &Connection) -> Result<Self, Error> {
        let config = credentials::regional_config(connection, None, "CloudWatch Logs").await?;
        Ok(Self { client: Client::new(&config) })
    }
}

#[async_trait]
impl LogSink for CloudWatchSink {
    async fn ensure(&self, group: &str, stream: &str) -> Result<(), Error> {
        // The stream first: mostly the group is there, and a role often may create streams in it but no groups.
        match self.create_stream(group, stream).await {
            Err(error) if *error.kind() == ErrorKind::ContainerMissing => {}
            other => return other,
        }
        let created = self.client.create_log_group().log_group_name(group).send().await;
        match created.map_err(|error| classify::sdk("create", format!("log group {group}"), error)) {
            Err(error) if *error.kind() != ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        self.create_stream(group, stream).await
    }

    async fn put(&self, group: &str, stream: &str, events: &[LogEvent]) -> Result<PutOutcome, Error> {
        check(group, stream, events)?;
        let input = events.iter().map(|event| {
            InputLogEvent::builder()
                .timestamp(event.timestamp_ms)
                .message(&event.message)
                .build()
                .expect("timestamp and message are all it needs")
        });
        let answer = self
            .client
            .put_log_events()
            .log_group_name(group)
            .log_stream_name(stream)
            .set_log_events(Some(input.collect()))
            .send()
            .await
            .map_err(|error| classify::sdk("put to", subject(group, stream), error))?;
        Ok(answer.rejected_log_events_info().map(|info| outcome(info, events.len())).unwrap_or_default())
    }
}

impl CloudWatchSink {
    /// Makes a stream unless it is there.
    ///
    /// # Errors
    /// `ContainerMissing` where the group is absent.
    pub async fn create_stream(&self, group: &str, stream: &str) -> Result<(), Error> {
        let created = self.client.create_log_stream().log_group_name(group).log_stream_name(stream).send().await;
        match created.map_err(|error| classify::sdk("create", subject(group, stream), error)) {
            Err(error) if *error.kind() != ErrorKind::AlreadyExists => Err(error),
            _ => Ok(()),
        }
    }
}

/// The ends are exclusive, the start is inclusive: CloudWatch Logs API reference, RejectedLogEventsInfo.
fn outcome(info: &RejectedLogEventsInfo, len: usize) -> PutOutcome {
    let index = |index: Option<i32>| index.and_then(|index| usize::try_from(index).ok()).map(|index| index.min(len));
    let old = index(info.too_old_log_event_end_index()).map(|end| (0..end, Rejection::TooOld));
    let expired = index(info.expired_log_event_end_index()).map(|end| (0..end, Rejection::Expired));
    let new = index(info.too_new_log_event_start_index()).map(|start| (start..len, Rejection::TooNew));
    PutOutcome { rejected: [old, expired, new].into_iter().flatten().filter(|(range, _)| !range.is_empty()).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rejected_ranges_are_read_with_exclusive_ends() {
        let info =
            RejectedLogEventsInfo::builder().too_old_log_event_end_index(2).too_new_log_event_start_index(4).build();
        let outcome = outcome(&info, 5);
        assert_eq!(outcome.rejected, [(0..2, Rejection::TooOld), (4..5, Rejection::TooNew)]);
        assert_eq!([0, 1, 2, 3, 4].map(|index| outcome.is_stored(index)), [false, false, true, true, false]);
    }
}
