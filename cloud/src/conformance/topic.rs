//! What every topic promises.

use crate::ErrorKind;
use crate::topic::{MESSAGE_BYTES_MAX, Topic};
use std::collections::BTreeSet;

/// Waits for so many messages, a bounded time, and returns all that arrived, in any order. The product never reads.
pub type ReadBack<'a> = &'a dyn Fn(usize) -> Vec<String>;

/// Runs every case on a topic that nothing was published to before.
pub async fn all(topic: &dyn Topic, read: ReadBack<'_>) {
    messages_over_a_limit_are_refused(topic).await;
    messages_arrive_as_they_were_given(topic, read).await;
}

/// Empty, one byte too long, and more than a line.
pub async fn messages_over_a_limit_are_refused(topic: &dyn Topic) {
    for bad in [String::new(), "x".repeat(MESSAGE_BYTES_MAX + 1), "a\nb".into(), "a\r".into()] {
        let error = topic.publish(&bad).await.unwrap_err();
        assert_eq!(error.kind(), &ErrorKind::Malformed, "{error}");
    }
}

/// With text that needs escaping in XML, JSON and URLs, and of exactly the documented size: 2 bytes a letter.
pub async fn messages_arrive_as_they_were_given(topic: &dyn Topic, read: ReadBack<'_>) {
    let messages = [
        r#"{"s3Bucket":"b","s3ObjectKey":["AWSLogs/o-1/111122223333/CloudTrail/x+y.json.gz"]}"#.to_owned(),
        "a&b=c <d> \"ü\" 日本 %41".to_owned(),
        "ü".repeat(MESSAGE_BYTES_MAX / 2),
    ];
    for message in &messages {
        topic.publish(message).await.unwrap();
    }
    let arrived: BTreeSet<String> = read(messages.len()).into_iter().collect();
    assert_eq!(arrived, BTreeSet::from(messages));
}

/// Somebody can still make it.
pub async fn an_absent_topic_is_missing(absent: &dyn Topic) {
    let error = absent.publish("x").await.unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::ContainerMissing, "{error}");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::topic::{FakeTopic, LocalTopic};
    use crate::{Connection, open_topic};

    #[tokio::test]
    async fn the_fake_conforms_and_fails_when_told() {
        let topic = FakeTopic::default();
        all(&topic, &|_| topic.messages()).await;
        topic.set_failing(Some(ErrorKind::Throttled));
        assert_eq!(topic.publish("x").await.unwrap_err().kind(), &ErrorKind::Throttled);
    }

    #[tokio::test]
    async fn a_file_conforms() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("t.ndjson");
        let topic = open_topic(&format!("file://{}", path.display()), &Connection::default()).await.unwrap();
        all(&*topic, &|_| LocalTopic::new(&path).unwrap().messages().unwrap()).await;
        let absent = LocalTopic::new(&dir.path().join("absent/t.ndjson")).unwrap();
        an_absent_topic_is_missing(&absent).await;
    }

    #[tokio::test]
    async fn what_is_no_topic_is_refused_with_what_to_write() {
        for id in ["trail-topic", "file://relative.ndjson", "file:///"] {
            let error = open_topic(id, &Connection::default()).await.unwrap_err();
            assert_eq!(error.kind(), &ErrorKind::Invalid, "{error}");
            assert!(error.to_string().contains("file:///"), "{error}");
        }
    }
}
