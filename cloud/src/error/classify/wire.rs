//! Refusals as each service writes them, through its own SDK: KMS, CloudWatch Logs and SQS in JSON, SNS in
//! XML.

#![allow(clippy::unwrap_used, reason = "tests")]

use crate::log_sink::{CloudWatchSink, LogEvent};
use crate::stub::Stub;
use crate::{Connection, Disposition, Error, ErrorKind, LogSink as _, open_queue, open_signer, open_topic};

const KEY: &str = "arn:aws:kms:us-east-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab";
const TOPIC: &str = "arn:aws:sns:us-east-1:111122223333:trail";

fn connection(stub: &Stub) -> Connection {
    Connection { region: Some("us-east-1".to_owned()), ..stub.connection() }
}

async fn kms(stub: &Stub) -> Error {
    open_signer(KEY, &connection(stub)).await.unwrap().sign(b"x").await.unwrap_err()
}

async fn sns(stub: &Stub) -> Error {
    open_topic(TOPIC, &connection(stub)).await.unwrap().publish("x").await.unwrap_err()
}

async fn logs(stub: &Stub) -> Error {
    let sink = CloudWatchSink::open(&connection(stub)).await.unwrap();
    sink.put("group", "stream", &[LogEvent { timestamp_ms: 0, message: "x".into() }]).await.unwrap_err()
}

const QUEUE: &str = "https://sqs.us-east-1.amazonaws.com/111122223333/logs";

async fn sqs(stub: &Stub) -> Error {
    open_queue(QUEUE, &connection(stub)).await.unwrap().depth().await.unwrap_err()
}

/// All of these can be over later.
fn is(error: &Error, kind: &ErrorKind, parts: &[&str]) {
    assert_eq!((error.kind(), error.disposition()), (kind, Disposition::Retry), "{error}");
    for part in parts {
        assert!(error.to_string().contains(part), "{part} is missing: {error}");
    }
}

#[tokio::test]
async fn a_kms_key_that_cannot_be_used_is_named_with_what_to_do() {
    let stub = Stub::answering(&[
        (400, r#"{"__type":"DisabledException","message":"it is disabled."}"#),
        (400, r#"{"__type":"KMSInvalidStateException","message":"it is pending deletion."}"#),
        (400, r#"{"__type":"NotFoundException","message":"Key does not exist"}"#),
        (400, r#"{"__type":"AccessDeniedException","Message":"not authorized to perform: kms:GetPublicKey"}"#),
    ]);
    is(&kms(&stub).await, &ErrorKind::Denied, &[KEY, "DisabledException", "aws kms enable-key --key-id"]);
    is(&kms(&stub).await, &ErrorKind::Denied, &[KEY, "pending deletion", "aws kms cancel-key-deletion --key-id"]);
    is(&kms(&stub).await, &ErrorKind::ContainerMissing, &[KEY, "whole ARN"]);
    is(&kms(&stub).await, &ErrorKind::Denied, &[KEY, "kms:GetPublicKey"]);
}

#[tokio::test]
async fn a_topic_that_cannot_be_published_to_is_named() {
    let stub = Stub::answering(&[
        (404, "<ErrorResponse><Error><Code>NotFound</Code><Message>no topic</Message></Error></ErrorResponse>"),
        (403, "<ErrorResponse><Error><Code>AuthorizationError</Code><Message>no</Message></Error></ErrorResponse>"),
        (400, "<ErrorResponse><Error><Code>KMSDisabled</Code><Message>key is off</Message></Error></ErrorResponse>"),
    ]);
    is(&sns(&stub).await, &ErrorKind::ContainerMissing, &[TOPIC, "no topic"]);
    is(&sns(&stub).await, &ErrorKind::Denied, &[TOPIC]);
    is(&sns(&stub).await, &ErrorKind::Denied, &[TOPIC, "key is off"]);
}

#[tokio::test]
async fn an_absent_log_group_is_missing() {
    let stub = Stub::answering(&[(
        400,
        r#"{"__type":"ResourceNotFoundException","message":"The specified log group does not exist."}"#,
    )]);
    is(&logs(&stub).await, &ErrorKind::ContainerMissing, &["group/stream"]);
}

#[tokio::test]
async fn a_queue_that_cannot_be_read_is_named() {
    let stub = Stub::answering(&[
        (400, r#"{"__type":"com.amazonaws.sqs#QueueDoesNotExist","message":"no such queue"}"#),
        (400, r#"{"__type":"com.amazon.coral.service#AccessDeniedException","Message":"no sqs:GetQueueAttributes"}"#),
        (400, r#"{"__type":"com.amazonaws.sqs#KmsDisabled","message":"key is off"}"#),
    ]);
    is(&sqs(&stub).await, &ErrorKind::ContainerMissing, &["/111122223333/logs", "no such queue"]);
    is(&sqs(&stub).await, &ErrorKind::Denied, &["/111122223333/logs", "sqs:GetQueueAttributes"]);
    is(&sqs(&stub).await, &ErrorKind::Denied, &["key is off"]);
}

#[tokio::test]
async fn a_batch_tells_which_of_its_messages_failed_and_whether_they_are_still_ours() {
    let stub = Stub::answering(&[(
        200,
        r#"{"Successful":[{"Id":"1"}],"Failed":[
            {"Id":"0","SenderFault":true,"Code":"InvalidParameterValue","Message":"The receipt handle has expired"},
            {"Id":"2","SenderFault":false,"Code":"InternalError"}]}"#,
    )]);
    let queue = open_queue(QUEUE, &connection(&stub)).await.unwrap();
    let failures = queue.delete(&["a".to_owned(), "b".to_owned(), "c".to_owned()]).await.unwrap();
    let told: Vec<_> = failures.iter().map(|one| (&one.receipt[..], one.error.kind().clone())).collect();
    assert_eq!(told, [("a", ErrorKind::NotFound), ("c", ErrorKind::Unavailable)]);
    assert!(failures[0].error.to_string().contains("has expired"), "{failures:?}");
    assert!(stub.requests()[0].contains("AmazonSQS.DeleteMessageBatch"));
}

/// The SDK makes three attempts each before it gives up.
#[tokio::test]
async fn every_service_that_says_slower_is_throttled() {
    const JSON: (u16, &str) = (400, r#"{"__type":"ThrottlingException","message":"Rate exceeded"}"#);
    const XML: (u16, &str) =
        (429, "<ErrorResponse><Error><Code>Throttled</Code><Message>slower</Message></Error></ErrorResponse>");
    let [of_kms, of_logs] = [Stub::answering(&[JSON; 3]), Stub::answering(&[JSON; 3])];
    let of_sns = Stub::answering(&[XML; 3]);
    let (by_kms, by_sns, by_logs) = tokio::join!(kms(&of_kms), sns(&of_sns), logs(&of_logs));
    for error in [by_kms, by_sns, by_logs] {
        is(&error, &ErrorKind::Throttled, &[]);
    }
}
