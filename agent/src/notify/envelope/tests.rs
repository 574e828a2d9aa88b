//! Every dialect in every wrapping, and what is none.

use std::path::Path;

use serde_json::json;

use super::*;

const KEY: &str = "AWSLogs/o-abc1234567/111122223333/CloudTrail/eu-west-1/2026/03/01/\
                   111122223333_CloudTrail_eu-west-1_20260301T1005Z_Abcdef0123456789.json.gz";

fn s3_event(name: &str, key: &str) -> Value {
    json!({
        "eventVersion": "2.1", "eventSource": "aws:s3", "awsRegion": "eu-west-1",
        "eventTime": "2026-03-01T10:06:00.000Z", "eventName": name,
        "userIdentity": {"principalId": "AWS:AROA:regionalDeliverySession"},
        "s3": {
            "s3SchemaVersion": "1.0", "configurationId": "orgtrail",
            "bucket": {"name": "trail-logs", "arn": "arn:aws:s3:::trail-logs"},
            "object": {"key": key, "size": 3705, "eTag": "47c442d8bfa8003c9737fab095ad53fd", "sequencer": "00"},
        },
    })
}

fn wrapped(message: &str) -> String {
    json!({
        "Type": "Notification", "MessageId": "m", "TopicArn": "arn:aws:sns:eu-west-1:111122223333:trail",
        "Subject": "Amazon S3 Notification", "Message": message, "Timestamp": "2026-03-01T10:06:01.000Z",
        "SignatureVersion": "1", "Signature": "x", "SigningCertURL": "https://x", "UnsubscribeURL": "https://y",
    })
    .to_string()
}

fn logged() -> Named {
    let etag = "47c442d8bfa8003c9737fab095ad53fd".to_owned();
    Named { bucket: "trail-logs".into(), key: KEY.into(), size: 3705, etag }
}

fn objects(body: &str) -> (Dialect, Vec<Named>) {
    let Envelope { dialect, content: Content::Objects(objects) } = read(body).unwrap() else { panic!("{body}") };
    (dialect, objects)
}

/// As it is, and as SNS hands it on.
fn both_ways(body: &str) -> [(Dialect, Vec<Named>); 2] {
    [objects(body), objects(&wrapped(body))]
}

#[test]
fn an_s3_event_names_its_object_as_it_is_and_in_sns() {
    let body = json!({"Records": [s3_event("ObjectCreated:Put", KEY)]}).to_string();
    for read in both_ways(&body) {
        assert_eq!(read, (Dialect::S3, vec![logged()]));
    }
}

#[test]
fn every_creation_counts_and_other_events_of_objects_are_passed_over() {
    let events = [
        "ObjectCreated:Put",
        "ObjectCreated:Post",
        "ObjectCreated:Copy",
        "ObjectCreated:CompleteMultipartUpload",
        "s3:ObjectCreated:Put",
        "ObjectRemoved:Delete",
        "ObjectRestore:Completed",
        "LifecycleExpiration:Delete",
        "ReducedRedundancyLostObject",
    ];
    let records: Vec<_> = events.iter().map(|name| s3_event(name, name)).collect();
    let (_, objects) = objects(&json!({ "Records": records }).to_string());
    // `+` is no letter of these names, so they stand as they were written.
    assert_eq!(objects.iter().map(|object| &object.key[..]).collect::<Vec<_>>(), events[..5]);
}

#[test]
fn keys_of_s3_events_are_form_encoded_and_all_others_are_not() {
    for (encoded, key) in [
        ("a+b%2Bc%20d%3Dü", "a b+c d=ü"),
        ("AWSLogs%2F1%2F%E6%97%A5.gz", "AWSLogs/1/日.gz"),
        ("100%25", "100%"),
        ("%2525", "%25"),
    ] {
        let body = json!({"Records": [s3_event("ObjectCreated:Put", encoded)]}).to_string();
        assert_eq!(objects(&body).1[0].key, key);
        let plain = json!({"s3Bucket": "b", "s3ObjectKey": [encoded]}).to_string();
        assert_eq!(objects(&plain).1[0].key, encoded);
    }
    for bad in ["100%", "%2", "%zz", "%+1", "%FF"] {
        let body = json!({"Records": [s3_event("ObjectCreated:Put", bad)]}).to_string();
        assert!(read(&body).is_err_and(|why| why.contains("key")), "{bad}");
    }
}

#[test]
fn an_eventbridge_event_names_its_object_as_it_is_and_in_sns() {
    let body = json!({
        "version": "0", "id": "17793124", "detail-type": "Object Created", "source": "aws.s3",
        "account": "111122223333", "time": "2026-03-01T10:06:00Z", "region": "eu-west-1",
        "resources": ["arn:aws:s3:::trail-logs"],
        "detail": {
            "version": "0", "bucket": {"name": "trail-logs"}, "requester": "cloudtrail.amazonaws.com",
            "object": {"key": KEY, "size": 3705, "etag": "47c442d8bfa8003c9737fab095ad53fd", "sequencer": "00"},
            "reason": "PutObject",
        },
    });
    for read in both_ways(&body.to_string()) {
        assert_eq!(read, (Dialect::EventBridge, vec![logged()]));
    }
    let mut deleted = body;
    deleted["detail-type"] = "Object Deleted".into();
    assert_eq!(objects(&deleted.to_string()), (Dialect::EventBridge, vec![]));
}

#[test]
fn cloudtrails_own_message_names_all_its_objects_as_it_is_and_in_sns() {
    let body = json!({"s3Bucket": "trail-logs", "s3ObjectKey": [KEY, "AWSLogs/second.json.gz"]}).to_string();
    for (dialect, objects) in both_ways(&body) {
        assert_eq!(dialect, Dialect::CloudTrail);
        assert_eq!(objects[0], Named { size: 0, etag: String::new(), ..logged() });
        assert_eq!(objects[1].key, "AWSLogs/second.json.gz");
    }
}

#[test]
fn what_says_that_something_is_set_up_is_told_apart() {
    let s3 = json!({"Service": "Amazon S3", "Event": "s3:TestEvent", "Time": "t", "Bucket": "b"}).to_string();
    let confirmation = json!({
        "Type": "SubscriptionConfirmation", "TopicArn": "arn", "Token": "t", "SubscribeURL": "https://z", "Message": "visit",
    });
    for (body, dialect) in [
        (s3.clone(), Dialect::S3),
        (wrapped(&s3), Dialect::S3),
        (CLOUDTRAIL_TEST.to_owned(), Dialect::CloudTrail),
        (wrapped(CLOUDTRAIL_TEST), Dialect::CloudTrail),
        (confirmation.to_string(), Dialect::Sns),
    ] {
        let envelope = read(&body).unwrap();
        assert_eq!(envelope.dialect, dialect);
        assert!(matches!(envelope.content, Content::Control(_)), "{body}");
    }
}

#[test]
fn what_others_say_is_foreign_with_its_bucket_where_it_names_one() {
    let config = json!({"s3Bucket": "config-logs", "s3ObjectKey": "AWSLogs/1/Config/x.json.gz",
        "messageType": "ConfigurationHistoryDeliveryCompleted"});
    for (body, what, bucket) in [
        (config, "ConfigurationHistoryDeliveryCompleted", Some("config-logs")),
        (
            json!({"source": "aws.ec2", "detail-type": "AWS API Call via CloudTrail", "detail": {}}),
            "via CloudTrail",
            None,
        ),
        (
            json!({"source": "aws.s3", "detail-type": "AWS API Call via CloudTrail", "detail": {}}),
            "via CloudTrail",
            None,
        ),
        (json!({"Records": [{"eventSource": "aws:sqs", "body": "{}"}]}), "aws:sqs", None),
        (json!({"Records": []}), "Records", None),
        (json!({"hello": 1, "world": 2}), "hello, world", None),
        (json!([1, 2]), "no object", None),
        (json!("text"), "no object", None),
    ] {
        let Content::Foreign { what: said, bucket: of } = read(&body.to_string()).unwrap().content else {
            panic!("{body}")
        };
        assert!(said.contains(what), "{said}");
        assert_eq!(of.as_deref(), bucket);
    }
}

#[test]
fn what_can_not_be_read_says_why() {
    let no_bucket = json!({"Records": [{"eventName": "ObjectCreated:Put", "s3": {"object": {"key": "k"}}}]});
    let later = json!({"Records": [{"eventVersion": "3.0", "eventName": "ObjectCreated:Put", "s3": {}}]});
    let many = json!({"s3Bucket": "b", "s3ObjectKey": vec!["k"; OBJECTS_MAX + 1]});
    for (body, why) in [
        (String::new(), "no JSON"),
        ("not json".to_owned(), "no JSON"),
        (r#"{"Records":["#.to_owned(), "no JSON"),
        ("[".repeat(100_000), "no JSON"),
        (wrapped("half {"), "no JSON"),
        (wrapped(&wrapped(&wrapped("{}"))), "SNS message"),
        (json!({"Type": "Notification", "TopicArn": "arn"}).to_string(), "SNS message"),
        (no_bucket.to_string(), "without a bucket"),
        (later.to_string(), "version 3.0"),
        (many.to_string(), "5001 objects"),
        (json!({"s3Bucket": "b", "s3ObjectKey": [1]}).to_string(), "no text"),
        (json!({"s3Bucket": "b", "s3ObjectKey": [""]}).to_string(), "without a name"),
        (json!({"source": "aws.s3", "detail-type": "Object Created", "detail": {}}).to_string(), "without a bucket"),
    ] {
        assert!(read(&body).is_err_and(|said| said.contains(why)), "{why}: {:?}", read(&body));
    }
}

/// Messages that others met in practice, where the reference samples are beside the checkout; skipped elsewhere.
#[test]
fn real_messages_are_read_in_their_dialect() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/samples/envelopes.jsonl");
    let Ok(samples) = std::fs::read_to_string(&path) else {
        eprintln!("skipped: {} is not there", path.display());
        return;
    };
    let mut seen = [0; 5];
    for line in samples.lines() {
        let sample: Value = serde_json::from_str(line).unwrap();
        let doc = &sample["doc"];
        let body = doc.to_string();
        let dialect = match sample["kind"].as_str().unwrap() {
            "s3_notification" => Dialect::S3,
            "s3_eventbridge" => Dialect::EventBridge,
            "sns_cloudtrail" if doc["messageType"].is_null() => Dialect::CloudTrail,
            "lambda_sqs_sns" => {
                for record in doc["Records"].as_array().unwrap() {
                    let inner = read(record["body"].as_str().unwrap()).unwrap();
                    assert!(matches!(inner.content, Content::Objects(_)), "{inner:?}");
                }
                Dialect::Unknown
            }
            _ => Dialect::Unknown,
        };
        for body in [body.clone(), wrapped(&body)] {
            let envelope = read(&body).unwrap_or_else(|why| panic!("{why}: {body}"));
            assert_eq!(envelope.dialect, dialect, "{body}");
            let is_foreign = matches!(envelope.content, Content::Foreign { .. });
            assert_eq!(is_foreign, dialect == Dialect::Unknown, "{body}");
            if let Content::Objects(objects) = envelope.content {
                seen[dialect as usize] += objects.len();
            }
        }
    }
    assert!(seen[..3].iter().all(|count| *count > 0), "{seen:?}");
}
