//! One timeline out of files as AWS Config and CloudTrail deliver them.

use std::path::Path;

use orgtrail_cloud::Location;
use orgtrail_event::gzip::Deflater;
use orgtrail_service::clock;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::*;
use crate::config::{Config, Trail};
use crate::{App, event_data_store};

const ARN: &str = "arn:aws:ec2:us-east-1:111122223333:security-group/sg-1";

fn put(folder: &Path, key: &str, body: &Value) {
    let path = folder.join(key);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, Deflater::new(6).deflate(body.to_string().as_bytes())).unwrap();
}

/// A state of the security group, with these ports open.
fn item(time: &str, status: &str, ports: Option<&[u16]>) -> Value {
    let rules =
        |ports: &[u16]| ports.iter().map(|port| json!({ "fromPort": port, "toPort": port })).collect::<Vec<_>>();
    json!({
        "relatedEvents": [], "relationships": [{ "resourceId": "vpc-1", "resourceType": "AWS::EC2::VPC", "name": "Is contained in Vpc" }],
        "configuration": ports.map(|ports| json!({ "groupId": "sg-1", "ipPermissions": rules(ports) })),
        "supplementaryConfiguration": {}, "tags": { "team": "a" }, "configurationItemVersion": "1.3",
        "configurationItemCaptureTime": time, "configurationStateId": 1_772_359_267_000_u64,
        "awsAccountId": "111122223333", "configurationItemStatus": status, "resourceType": "AWS::EC2::SecurityGroup",
        "resourceId": "sg-1", "resourceName": "default", "ARN": ARN, "awsRegion": "us-east-1",
    })
}

fn call(id: u32, time: &str, name: &str, parameters: Value, read_only: bool) -> Value {
    json!({
        "eventVersion": "1.11", "userIdentity": { "type": "IAMUser", "arn": "arn:aws:iam::111122223333:user/ana" },
        "eventTime": time, "eventSource": "ec2.amazonaws.com", "eventName": name, "awsRegion": "us-east-1",
        "sourceIPAddress": "203.0.113.7", "userAgent": "aws-cli", "requestParameters": parameters, "eventID": id.to_string(),
        "readOnly": read_only, "eventType": "AwsApiCall", "managementEvent": true, "recipientAccountId": "111122223333",
        "eventCategory": "Management",
    })
}

fn deliver(folder: &Path) {
    let config = "AWSLogs/111122223333/Config/us-east-1/2026/3/1";
    let name = "111122223333_Config_us-east-1";
    let first = item("2026-03-01T08:00:00.100Z", "ResourceDiscovered", Some(&[443]));
    let opened = item("2026-03-01T10:02:00.500Z", "OK", Some(&[443, 22]));
    let gone = item("2026-03-01T12:00:00.000Z", "ResourceDeleted", None);
    put(
        folder,
        &format!(
            "{config}/ConfigHistory/{name}_ConfigHistory_AWS::EC2::SecurityGroup_20260301T080000Z_20260301T120000Z_1.json.gz"
        ),
        &json!({ "fileVersion": "1.0", "configurationItems": [first, opened, gone] }),
    );
    put(
        folder,
        &format!(
            "{config}/ConfigSnapshot/{name}_ConfigSnapshot_20260301T110000Z_16da64e4-cb65-4846-b061-e6c3ba43cb96.json.gz"
        ),
        &json!({ "fileVersion": "1.0", "configSnapshotId": "16da64e4", "configurationItems": [opened] }),
    );
    let group = json!({ "groupId": "sg-1" });
    put(
        folder,
        "AWSLogs/111122223333/CloudTrail/us-east-1/2026/03/01/111122223333_CloudTrail_us-east-1_20260301T1010Z_AbCdEf0123456789.json.gz",
        &json!({ "Records": [
            call(1, "2026-03-01T10:01:00Z", "AuthorizeSecurityGroupIngress", group.clone(), false),
            call(2, "2026-03-01T10:03:00Z", "DescribeSecurityGroups", group, true),
            call(3, "2026-03-01T10:04:00Z", "AuthorizeSecurityGroupIngress", json!({ "groupId": "sg-12" }), false),
            call(4, "2026-03-01T11:59:00Z", "DeleteSecurityGroup", json!({ "groupSet": [{ "groupId": "sg-1" }] }), false),
        ] }),
    );
}

async fn lake(folder: &Path) -> Lake {
    let at = |name: &str| Some(format!("file://{}", folder.join(name).display()).parse::<Location>().unwrap());
    let store = |name: &str, kind| event_data_store::Config {
        name: name.to_owned(),
        kind,
        location: at(name),
        ..event_data_store::Config::default()
    };
    let config = Config {
        trails: vec![Trail { name: "all".to_owned(), location: at("trail"), ..Trail::default() }],
        event_data_stores: vec![store("events", Kind::Events), store("configuration", Kind::ConfigurationItem)],
        ..Config::default()
    };
    let clock = clock::Manual::new("2026-03-02T12:00:00Z".parse::<Timestamp>().unwrap());
    App::build(config.clone(), clock.clone(), CancellationToken::new()).await.unwrap().once().await.unwrap();
    Lake::open(&config, clock).await.unwrap()
}

fn question(resource: &str) -> Question {
    Question { resource: resource.to_owned(), from: None, to: None, data_events: false, limit: 100 }
}

/// An entry in short.
fn short(entry: &Entry) -> String {
    match entry {
        Entry::Call(call) => {
            format!("{} by {} from {}", call.name, call.principal, call.source_ip_address.as_deref().unwrap())
        }
        Entry::State(state) => {
            let paths: Vec<_> = state.changes.iter().map(|change| change.path.as_str()).collect();
            format!("{} {}: {}", state.status, if state.is_first { "first" } else { "then" }, paths.join(" "))
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_resource_has_one_timeline_whatever_it_is_called() {
    let folder = tempfile::tempdir().unwrap();
    deliver(&folder.path().join("trail"));
    let lake = lake(folder.path()).await;
    let by = "by arn:aws:iam::111122223333:user/ana from 203.0.113.7";
    let all = [
        "ResourceDiscovered first: ".to_owned(),
        format!("AuthorizeSecurityGroupIngress {by}"),
        "OK then: configuration.ipPermissions[]".to_owned(),
        format!("DeleteSecurityGroup {by}"),
        "ResourceDeleted then: configuration".to_owned(),
    ];
    for resource in ["sg-1", ARN] {
        let history = history(&lake, &question(resource)).await.unwrap();
        assert_eq!(history.entries.iter().map(short).collect::<Vec<_>>(), all, "{resource}");
        assert!(!history.is_cut);
    }
    // The state before is known, though it isn't asked for.
    let from = Some("2026-03-01T10:00:00Z".parse().unwrap());
    let to = Some("2026-03-01T11:00:00Z".parse().unwrap());
    let within = history(&lake, &Question { from, to, ..question("sg-1") }).await.unwrap();
    assert_eq!(within.entries.iter().map(short).collect::<Vec<_>>(), all[1..3]);
    let none = history(&lake, &question("sg-nobody")).await.unwrap();
    assert!(none.entries.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_newest_are_kept_and_the_cut_is_told() {
    let folder = tempfile::tempdir().unwrap();
    deliver(&folder.path().join("trail"));
    let lake = lake(folder.path()).await;
    let history = history(&lake, &Question { limit: 1, ..question("sg-1") }).await.unwrap();
    assert!(history.is_cut);
    let calls: Vec<_> = history.entries.iter().filter(|entry| matches!(entry, Entry::Call(_))).map(short).collect();
    assert_eq!(calls, ["DeleteSecurityGroup by arn:aws:iam::111122223333:user/ana from 203.0.113.7"]);
}
