//! What becomes of messages that can't be read, and of those about what isn't ours.

use super::*;

#[tokio::test(start_paused = true)]
async fn what_can_not_be_read_is_put_aside_with_its_text_and_does_not_come_again() {
    let bench = Bench::start().await;
    bench.queue.send("<xml/>");
    bench.emptied().await;
    let parked = bench.parked();
    assert_eq!(parked.len(), 1);
    assert_eq!((parked[0].reason.as_str(), parked[0].payload.as_deref()), ("unreadable_message", Some(&b"<xml/>"[..])));
    assert!(parked[0].detail.contains("no JSON"), "{}", parked[0].detail);
    assert_eq!(bench.count("parked"), 1);
    bench.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_full_quarantine_keeps_what_can_not_be_read_in_the_queue() {
    let bench = Bench::start().await;
    for n in 0..101 {
        bench.queue.send(&format!("<xml {n}/>"));
    }
    tokio::time::sleep(LONG).await;
    assert_eq!((bench.parked().len(), bench.queue.bodies().len()), (100, 1));
    assert!(bench.context.health.report().degraded.iter().any(|part| part.part == "quarantine"));
    bench.end().await;
}

#[tokio::test(start_paused = true)]
async fn messages_about_other_buckets_are_deleted_with_one_entry_a_bucket() {
    let bench = Bench::start().await;
    for bucket in ["other", "other", "third"] {
        bench.queue.send(&s3(bucket, "x"));
    }
    let config =
        json!({"s3Bucket": "config", "s3ObjectKey": "x", "messageType": "ConfigurationHistoryDeliveryCompleted"});
    bench.queue.send(&config.to_string());
    bench.queue.send(&json!({"hello": 1}).to_string());
    bench.emptied().await;
    assert_eq!(bench.count("foreign"), 5);
    let mut subjects: Vec<_> = bench.parked().into_iter().map(|entry| entry.subject).collect();
    subjects.sort();
    let of = |name: &str| format!("{name}, told of by of the test");
    assert_eq!(subjects, [of("a JSON object with hello"), of("bucket config"), of("bucket other"), of("bucket third")]);
    bench.end().await;
}

#[tokio::test(start_paused = true)]
async fn foreign_messages_can_be_kept_whole() {
    let config = Config { foreign: Foreign::Park, ..Config::default() };
    let bench = Bench::with(config, crate::config::Source::default()).await;
    for key in ["x", "y"] {
        bench.queue.send(&s3("other", key));
    }
    bench.emptied().await;
    let parked = bench.parked();
    assert_eq!(parked.len(), 2);
    assert!(parked.iter().all(|entry| entry.reason == "foreign_message" && entry.payload.is_some()));
    bench.end().await;
}

#[tokio::test(start_paused = true)]
async fn tests_of_queues_and_objects_that_are_not_taken_are_passed_over() {
    let source = crate::config::Source { accounts: vec![ACCOUNT.into()], ..Default::default() };
    let mut bench = Bench::with(Config::default(), source).await;
    bench.queue.send(&json!({"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": "bucket"}).to_string());
    bench.queue.send("CloudTrail validation message.");
    for key in ["logs/readme.txt", &format!("logs/{}", key("999988887777", "eu-west-1", 1))] {
        bench.queue.send(&s3("bucket", key));
    }
    bench.emptied().await;
    assert_eq!((bench.count("control"), bench.count("passed_over")), (2, 2));
    assert!(bench.objects.try_recv().is_none() && bench.parked().is_empty());
    // The same prefix, and not below it.
    bench.queue.send(&s3("bucket", &format!("logs-2/{}", key(ACCOUNT, "eu-west-1", 1))));
    bench.emptied().await;
    assert_eq!(bench.count("foreign"), 1);
    bench.end().await;
}

#[tokio::test(start_paused = true)]
async fn objects_of_ours_are_taken_out_of_a_message_that_names_others_too() {
    let mut bench = Bench::start().await;
    let ours = key(ACCOUNT, "eu-west-1", 1);
    let record = |bucket: &str, key: &str| json!({"eventName": "ObjectCreated:Put", "s3": {"bucket": {"name": bucket}, "object": {"key": key, "size": 1}}});
    let both = [record("other", "x"), record("bucket", &format!("logs/{ours}"))];
    bench.queue.send(&json!({ "Records": both }).to_string());
    let object = bench.next().await;
    assert_eq!(object.key, ours);
    bench.acknowledge(object);
    bench.emptied().await;
    assert_eq!((bench.count("taken"), bench.parked().len()), (1, 1));
    bench.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_digest_without_keys_is_accounted_for_as_a_listing_would() {
    let bench = Bench::start().await;
    let digest = format!(
        "logs/AWSLogs/{ACCOUNT}/CloudTrail-Digest/eu-west-1/2026/03/01/{ACCOUNT}_CloudTrail-Digest_eu-west-1_trail_us-east-1_20260301T105959Z.json.gz"
    );
    bench.queue.send(&s3("bucket", &digest));
    bench.emptied().await;
    let rows = bench.context.checkpoint.rows();
    assert_eq!(rows[0].ledger.skipped.get("digest"), Some(&1));
    bench.end().await;
}
