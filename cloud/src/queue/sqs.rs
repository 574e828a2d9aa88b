//! An SQS queue.
//!
//! Owns: the requests, the forms of a queue's id, and which region and endpoint they mean. Does not own: the queue's policy,
//! its encryption and its dead-letter queue.

use super::{Depth, Failure, Message, Queue, Receive, WAIT_MAX, check_batch, check_receive, subject};
use crate::error::classify;
use crate::partition::Partition;
use crate::{Connection, Error, ErrorKind, credentials};
use async_trait::async_trait;
use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::{
    BatchResultErrorEntry, ChangeMessageVisibilityBatchRequestEntry, DeleteMessageBatchRequestEntry,
    MessageSystemAttributeName as Attribute, QueueAttributeName,
};
use jiff::Timestamp;
use std::time::Duration;

const RECEIVE: &str = "receive from";
const EXTEND: &str = "extend messages of";
const DELETE: &str = "delete messages of";
const DEPTH: &str = "get the depth of";

/// A queue, in the region that its id names.
#[derive(Debug)]
pub struct SqsQueue {
    url: String,
    client: Client,
    /// Longest wait that the connection's timeouts leave room for.
    wait_max: Duration,
}

impl SqsQueue {
    /// The queue with this URL or ARN. `Invalid` where it is neither. Calls nothing yet.
    pub async fn open(id: &str, connection: &Connection) -> Result<Self, Error> {
        let address =
            Address::parse(id).map_err(|why| Error::new(ErrorKind::Invalid, "open", subject(id)).detail(why))?;
        let url = address.url(connection.endpoint_url.as_deref());
        let mut connection = connection.clone();
        connection.endpoint_url = connection.endpoint_url.or(address.endpoint);
        let config = credentials::regional_config(&connection, address.region.as_deref(), &subject(id)).await?;
        let wait_max = WAIT_MAX.min(connection.read_timeout.min(connection.operation_timeout) / 2);
        Ok(Self { url, client: Client::new(&config), wait_max })
    }

    fn failures(&self, verb: &'static str, receipts: &[String], failed: &[BatchResultErrorEntry]) -> Vec<Failure> {
        failed.iter().filter_map(|entry| self.failure(verb, receipts, entry)).collect()
    }

    /// None for an entry that we did not ask for.
    fn failure(&self, verb: &'static str, receipts: &[String], entry: &BatchResultErrorEntry) -> Option<Failure> {
        let receipt = receipts.get(entry.id.parse::<usize>().ok()?)?.clone();
        let kind = match classify::batch_entry(&entry.code) {
            // Of one message it means its receipt: run out, or held past the 12 hours.
            ErrorKind::Invalid | ErrorKind::NotFound => ErrorKind::NotFound,
            ErrorKind::Other if !entry.sender_fault => ErrorKind::Unavailable,
            kind => kind,
        };
        let said = entry.message.as_deref().unwrap_or_default();
        let error = Error::new(kind, verb, subject(&self.url)).detail(format!("{}: {said}", entry.code));
        Some(Failure { receipt, error })
    }
}

#[async_trait]
impl Queue for SqsQueue {
    fn id(&self) -> &str {
        &self.url
    }

    async fn receive(&self, request: &Receive) -> Result<Vec<Message>, Error> {
        check_receive(&self.url, request)?;
        let received = self
            .client
            .receive_message()
            .queue_url(&self.url)
            .max_number_of_messages(i32::try_from(request.messages_max).unwrap_or(1))
            .wait_time_seconds(seconds(request.wait.min(self.wait_max)))
            .visibility_timeout(seconds(request.visibility))
            .message_system_attribute_names(Attribute::ApproximateReceiveCount)
            .message_system_attribute_names(Attribute::SentTimestamp)
            .send()
            .await
            .map_err(|error| classify::sdk(RECEIVE, subject(&self.url), error))?;
        Ok(received.messages.unwrap_or_default().into_iter().filter_map(message).collect())
    }

    async fn extend(&self, receipts: &[String], visibility: Duration) -> Result<Vec<Failure>, Error> {
        check_batch(EXTEND, &self.url, receipts, visibility)?;
        let entries = receipts.iter().enumerate().map(|(index, receipt)| {
            ChangeMessageVisibilityBatchRequestEntry::builder()
                .id(index.to_string())
                .receipt_handle(receipt)
                .visibility_timeout(seconds(visibility))
                .build()
                .expect("id and receipt are set")
        });
        let request = self.client.change_message_visibility_batch().queue_url(&self.url);
        let answer = request.set_entries(Some(entries.collect())).send().await;
        let answer = answer.map_err(|error| classify::sdk(EXTEND, subject(&self.url), error))?;
        Ok(self.failures(EXTEND, receipts, &answer.failed))
    }

    async fn delete(&self, receipts: &[String]) -> Result<Vec<Failure>, Error> {
        check_batch(DELETE, &self.url, receipts, Duration::ZERO)?;
        let entries = receipts.iter().enumerate().map(|(index, receipt)| {
            let entry = DeleteMessageBatchRequestEntry::builder().id(index.to_string()).receipt_handle(receipt);
            entry.build().expect("id and receipt are set")
        });
        let request = self.client.delete_message_batch().queue_url(&self.url);
        let answer = request.set_entries(Some(entries.collect())).send().await;
        let answer = answer.map_err(|error| classify::sdk(DELETE, subject(&self.url), error))?;
        Ok(self.failures(DELETE, receipts, &answer.failed))
    }

    async fn depth(&self) -> Result<Depth, Error> {
        let (waiting, in_work) = (
            QueueAttributeName::ApproximateNumberOfMessages,
            QueueAttributeName::ApproximateNumberOfMessagesNotVisible,
        );
        let request = self.client.get_queue_attributes().queue_url(&self.url);
        let request = request.attribute_names(waiting.clone()).attribute_names(in_work.clone());
        let answer = request.send().await.map_err(|error| classify::sdk(DEPTH, subject(&self.url), error))?;
        let attributes = answer.attributes.unwrap_or_default();
        let number = |name| attributes.get(name).and_then(|text: &String| text.parse().ok()).unwrap_or_default();
        Ok(Depth { waiting: number(&waiting), in_work: number(&in_work) })
    }
}

/// None for one that could not be deleted: SQS gives every message an id and a receipt.
fn message(message: aws_sdk_sqs::types::Message) -> Option<Message> {
    let attributes = message.attributes.unwrap_or_default();
    let number = |name: &Attribute| attributes.get(name).and_then(|text| text.parse::<i64>().ok());
    let sent = number(&Attribute::SentTimestamp).and_then(|ms| Timestamp::from_millisecond(ms).ok());
    let count = number(&Attribute::ApproximateReceiveCount).and_then(|count| u32::try_from(count).ok());
    Some(Message {
        id: message.message_id?,
        receipt: message.receipt_handle?,
        body: message.body.unwrap_or_default(),
        receive_count: count.unwrap_or(1),
        sent,
    })
}

/// Rounded up: 1.5 s of work need 2 s of hiding.
fn seconds(duration: Duration) -> i32 {
    let whole = duration.as_secs() + u64::from(duration.subsec_nanos() > 0);
    i32::try_from(whole).unwrap_or(i32::MAX)
}

/// What a queue's id says.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Address {
    /// Scheme, host and port of the URL; of an ARN, AWS's own.
    origin: String,
    /// `ACCOUNT/NAME`, with whatever stands above it.
    path: String,
    /// The region that the id names.
    region: Option<String>,
    /// Where to call, unless that is AWS's own endpoint of the region.
    endpoint: Option<String>,
}

impl Address {
    /// Reads a URL or an ARN. The error says what to write.
    pub(super) fn parse(id: &str) -> Result<Self, String> {
        Self::of_arn(id).or_else(|| Self::of_url(id)).ok_or_else(|| {
            "no queue: write https://sqs.REGION.amazonaws.com/ACCOUNT/NAME, arn:aws:sqs:REGION:ACCOUNT:NAME or \
             file:///folder"
                .to_owned()
        })
    }

    /// The queue's URL. An endpoint of the connection's own has its own idea of hosts.
    fn url(&self, endpoint: Option<&str>) -> String {
        format!("{}/{}", endpoint.map_or(&self.origin[..], |url| url.trim_end_matches('/')), self.path)
    }

    /// The queue's ARN. `region` is for ids that name none.
    pub(super) fn arn(&self, region: Option<&str>) -> Option<String> {
        let region = self.region.as_deref().or(region)?;
        let (above, name) = self.path.rsplit_once('/')?;
        let account = above.rsplit('/').next()?;
        Some(Partition::of_region(region).arn("sqs", region, account, name))
    }

    fn of_arn(id: &str) -> Option<Self> {
        let parts: Vec<&str> = id.split(':').collect();
        let [_, _, "sqs", region, account, name] = parts[..] else { return None };
        let partition = Partition::of_arn(id)?;
        if [region, account, name].contains(&"") {
            return None;
        }
        Some(Self {
            origin: format!("https://sqs.{region}.{}", partition.dns_suffix()),
            path: format!("{account}/{name}"),
            region: Some(region.to_owned()),
            endpoint: None,
        })
    }

    fn of_url(id: &str) -> Option<Self> {
        let (scheme, rest) = id.split_once("://")?;
        let (host, path) = rest.split_once('/')?;
        let path = path.trim_end_matches('/');
        let (account, name) = path.rsplit_once('/')?;
        if !matches!(scheme, "https" | "http") || [host, account, name].contains(&"") || id.contains(['?', '#', ' ']) {
            return None;
        }
        let origin = format!("{scheme}://{host}");
        let (region, is_standard) = region_of_host(host);
        let endpoint = (!is_standard).then(|| origin.clone());
        Some(Self { origin, path: path.to_owned(), region, endpoint })
    }
}

/// The region that a host names, and whether the SDK would call this host by itself.
///
/// `sqs.REGION.amazonaws.com[.cn]`; the legacy `REGION.queue.amazonaws.com` and `queue.amazonaws.com`; with an endpoint of its
/// own `….sqs.REGION.vpce.amazonaws.com`, `sqs.REGION.api.aws`. Source: AWS General Reference, "Amazon SQS endpoints".
fn region_of_host(host: &str) -> (Option<String>, bool) {
    let labels: Vec<&str> = host.split(':').next().unwrap_or_default().split('.').collect();
    let is_aws = labels.ends_with(&["amazonaws", "com"]) || labels.ends_with(&["amazonaws", "com", "cn"]);
    match labels[..] {
        ["sqs", region, "amazonaws", "com"] | ["sqs", region, "amazonaws", "com", "cn"] => {
            (Some(region.to_owned()), true)
        }
        ["queue", "amazonaws", "com"] => (Some("us-east-1".to_owned()), true),
        [region, "queue", "amazonaws", "com"] => (Some(region.to_owned()), true),
        ["sqs", region, "api", "aws"] | ["sqs-fips", region, "amazonaws", "com"] => (Some(region.to_owned()), false),
        [.., "sqs", region, "vpce", "amazonaws", _] | [.., "sqs", region, "vpce", "amazonaws", _, _] if is_aws => {
            (Some(region.to_owned()), false)
        }
        _ => (None, false),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_region_and_the_endpoint_are_the_urls_own() {
        for (url, region, endpoint) in [
            ("https://sqs.eu-west-1.amazonaws.com/111122223333/logs", Some("eu-west-1"), None),
            ("https://sqs.cn-north-1.amazonaws.com.cn/111122223333/logs.fifo", Some("cn-north-1"), None),
            ("https://eu-west-1.queue.amazonaws.com/111122223333/logs", Some("eu-west-1"), None),
            ("https://queue.amazonaws.com/111122223333/logs", Some("us-east-1"), None),
            (
                "https://vpce-0a1-b2c.sqs.eu-west-1.vpce.amazonaws.com/111122223333/logs",
                Some("eu-west-1"),
                Some("https://vpce-0a1-b2c.sqs.eu-west-1.vpce.amazonaws.com"),
            ),
            (
                "https://sqs.us-east-1.api.aws/111122223333/logs",
                Some("us-east-1"),
                Some("https://sqs.us-east-1.api.aws"),
            ),
            ("http://127.0.0.1:4566/000000000000/logs", None, Some("http://127.0.0.1:4566")),
        ] {
            let address = Address::parse(url).unwrap();
            assert_eq!((address.region.as_deref(), address.endpoint.as_deref()), (region, endpoint), "{url}");
            assert_eq!(address.url(None), url);
        }
        let moved = Address::parse("https://sqs.eu-west-1.amazonaws.com/111122223333/logs/").unwrap();
        assert_eq!(moved.url(Some("http://127.0.0.1:9/")), "http://127.0.0.1:9/111122223333/logs");
    }

    #[test]
    fn an_arn_becomes_the_url_in_its_partition() {
        for (arn, url) in [
            ("arn:aws:sqs:us-east-1:111122223333:logs", "https://sqs.us-east-1.amazonaws.com/111122223333/logs"),
            (
                "arn:aws-cn:sqs:cn-north-1:111122223333:logs",
                "https://sqs.cn-north-1.amazonaws.com.cn/111122223333/logs",
            ),
            ("arn:aws-us-gov:sqs:us-gov-west-1:1:q.fifo", "https://sqs.us-gov-west-1.amazonaws.com/1/q.fifo"),
        ] {
            assert_eq!(Address::parse(arn).unwrap().url(None), url);
        }
    }

    #[test]
    fn every_form_of_id_says_the_arn() {
        for (id, region, arn) in [
            (
                "https://sqs.cn-north-1.amazonaws.com.cn/111122223333/logs",
                None,
                "arn:aws-cn:sqs:cn-north-1:111122223333:logs",
            ),
            ("arn:aws:sqs:us-east-1:111122223333:logs", Some("eu-west-1"), "arn:aws:sqs:us-east-1:111122223333:logs"),
            (
                "https://vpce-0a1.sqs.eu-west-1.vpce.amazonaws.com/111122223333/logs",
                None,
                "arn:aws:sqs:eu-west-1:111122223333:logs",
            ),
            ("http://127.0.0.1:4566/111122223333/logs", Some("us-east-1"), "arn:aws:sqs:us-east-1:111122223333:logs"),
        ] {
            assert_eq!(super::super::arn(id, region).as_deref(), Some(arn));
        }
        assert_eq!(super::super::arn("http://127.0.0.1:4566/111122223333/logs", None), None);
        assert_eq!(super::super::arn("file:///srv/queue", Some("us-east-1")), None);
    }

    #[test]
    fn what_is_no_queue_says_what_to_write() {
        for bad in [
            "logs",
            "arn:aws:sns:us-east-1:111122223333:logs",
            "arn:aws:sqs::111122223333:logs",
            "arn:moon:sqs:us-east-1:111122223333:logs",
            "s3://bucket/logs",
            "https://sqs.eu-west-1.amazonaws.com/",
            "https://sqs.eu-west-1.amazonaws.com/logs",
            "https://sqs.eu-west-1.amazonaws.com/111122223333/logs?Action=SendMessage",
        ] {
            assert!(Address::parse(bad).is_err_and(|why| why.contains("https://sqs.REGION")), "{bad}");
        }
    }

    #[test]
    fn half_a_second_is_hidden_for_a_whole_one() {
        assert_eq!([0, 400, 1000, 1001].map(|ms| seconds(Duration::from_millis(ms))), [0, 1, 1, 2]);
    }
}
