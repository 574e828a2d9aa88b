//! CloudWatch Logs as a second destination, with the real processes: moto judges order and age, ministack permissions.

use std::path::Path;
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use orgtrail_aggregator::cloudwatch::CloudWatchStatus;
use orgtrail_cloud::conformance::log_sink::ReadBack as _;
use orgtrail_event::gzip::Deflater;
use orgtrail_tests::emulator::{Emulator, bucket_name};
use orgtrail_tests::site::Site;
use serde_json::{Value, json};

use crate::{Admin, now_ms, start};

const HOUR: i64 = 3600;

/// A site whose one log file has these records, with a log group at the emulator.
fn site(emulator: &Emulator, group: &str, records: &[Value], cloudwatch: &str) -> Site {
    let mut site = Site::new();
    let source = site.root().join("source");
    write_log_file(&source, records);
    site.trail = format!(
        "location = \"file://{}\"\nevent_selectors = \"all\"\naccount_id = \"111122223333\"\n[trails.cloudwatch_logs]\n\
         log_group = \"{group}\"\nendpoint_url = \"{}\"\n{cloudwatch}",
        site.trail_dir().display(),
        emulator.url()
    );
    site.configure_locations(&[source]).unwrap();
    site
}

fn write_log_file(bucket: &Path, records: &[Value]) {
    let folder = bucket.join("AWSLogs/111122223333/CloudTrail/us-east-1/2026/03/01");
    std::fs::create_dir_all(&folder).unwrap();
    let file = json!({"Records": records}).to_string();
    let name = "111122223333_CloudTrail_us-east-1_20260301T1105Z_AbCdEf0123456789.json.gz";
    std::fs::write(folder.join(name), Deflater::new(6).deflate(file.as_bytes())).unwrap();
}

/// A record of so many seconds ago.
fn record(id: &str, seconds_ago: i64) -> Value {
    let time = Timestamp::from_millisecond(now_ms()).unwrap() - SignedDuration::from_secs(seconds_ago);
    let time = time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    json!({"eventVersion": "1.11", "eventTime": time, "eventName": "GetObject", "eventID": id})
}

fn status(site: &Site) -> Option<CloudWatchStatus> {
    site.aggregator_status().ok()?.trails[0].cloudwatch.clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn events_are_in_order_and_what_is_too_old_or_new_is_counted() {
    let Some(emulator) = Emulator::moto() else { return };
    let account = emulator.account();
    let group = bucket_name();
    let mut large = record("large", HOUR);
    large["requestParameters"] = json!({"padding": "x".repeat(300_000)});
    let records = [
        record("late", 60),
        record("old", 15 * 24 * HOUR),
        record("early", 3 * HOUR),
        large,
        record("new", -3 * HOUR),
        record("days ago", 13 * 24 * HOUR),
    ];
    let site = site(emulator, &group, &records, "pointer_records = true\n");
    let mut aggregator = start(emulator, &account, &site, "orgtrail-aggregator", "aggregator.toml", &[]);
    aggregator.wait_for("aggregator is up").unwrap();
    let mut agent = start(emulator, &account, &site, "orgtrail-agent", "agent.toml", &["--once"]);
    assert_eq!(agent.wait().unwrap().code(), Some(0), "{}", agent.output());
    assert!(aggregator.stop().unwrap().success(), "{}", aggregator.output());

    let status = status(&site).unwrap();
    let reasons = ["too_large", "too_new", "too_old"].map(|reason| (reason.to_owned(), 1));
    assert_eq!((status.delivered, status.balanced, status.diverted), (3, true, reasons.into()));
    let admin = Admin::open(&emulator.connection(&account)).await;
    let events = admin.events(&group, "111122223333_CloudTrail_us-east-1").await;
    let messages = events.iter().map(|event| serde_json::from_str::<Value>(&event.message).unwrap());
    let ids = messages.map(|message| match &message["eventID"] {
        Value::String(id) => id.clone(),
        _ => message["orgtrail"]["diverted"].as_str().unwrap().to_owned(),
    });
    let mut ids: Vec<_> = ids.collect();
    // Both have the time of sending.
    ids[4..].sort_unstable();
    assert_eq!(ids, ["days ago", "early", "too_large", "late", "too_new", "too_old"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_permission_is_told_and_mended_without_a_loss() {
    let Some(emulator) = Emulator::ministack(true) else { return };
    let account = emulator.account();
    let group = bucket_name();
    let denied = json!([{"Effect": "Allow", "Action": "s3:ListAllMyBuckets", "Resource": "*"}]);
    let role = emulator.create_role(&account, "orgtrail-logs", &account, None, denied).unwrap();
    let site = site(emulator, &group, &[record("one", 60)], &format!("role_arn = \"{role}\"\n"));
    let mut aggregator = start(emulator, &account, &site, "orgtrail-aggregator", "aggregator.toml", &[]);
    aggregator.wait_for("aggregator is up").unwrap();
    let _agent = start(emulator, &account, &site, "orgtrail-agent", "agent.toml", &[]);
    let began = Instant::now();
    let reason = loop {
        let degraded = site.aggregator_status().map(|status| status.health.degraded).unwrap_or_default();
        if let Some(part) = degraded.into_iter().find(|part| part.part == "trail org-trail cloudwatch") {
            break part.reason;
        }
        assert!(began.elapsed() < Duration::from_secs(60), "health doesn't say so: {}", aggregator.output());
        tokio::time::sleep(Duration::from_millis(100)).await;
    };
    // The statements stand in the message as they go into a policy.
    let (begin, end) = (reason.find("[{").unwrap(), reason.rfind("}]").unwrap() + 2);
    let mut statements: Vec<Value> = serde_json::from_str(&reason[begin..end]).unwrap();
    for statement in &mut statements {
        let resource = statement["Resource"].as_str().unwrap().replace("111122223333:", "*:");
        // Where CloudWatch Logs asks for the stream, ministack asks for the group.
        statement["Resource"] = resource.split(":log-stream:").next().unwrap().into();
    }
    let policy = json!({"Version": "2012-10-17", "Statement": statements}).to_string();
    let put =
        ["iam", "put-role-policy", "--role-name", "orgtrail-logs", "--policy-name", "p", "--policy-document", &policy];
    emulator.aws(&account, &put).unwrap();
    while status(&site).is_none_or(|status| status.delivered == 0) {
        assert!(began.elapsed() < Duration::from_secs(90), "it is not mended: {}", aggregator.output());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(aggregator.stop().unwrap().success());
    let status = status(&site).unwrap();
    assert_eq!((status.delivered, status.pending, status.balanced), (1, 0, true));
}
