//! What the samples answer.

use super::*;
use crate::sql::testing::{engine, record, rows};

fn records() -> Vec<String> {
    let alice = r#","userIdentity":{"type":"IAMUser","arn":"arn:aws:iam::111122223333:user/alice","userName":"alice","accessKeyId":"AKIAOLD"}"#;
    let login = |outcome: &str, time: &str| {
        let more = format!(
            r#","sourceIPAddress":"203.0.113.9","responseElements":{{"ConsoleLogin":"{outcome}"}},"additionalEventData":{{"MFAUsed":"No"}},"userIdentity":{{"type":"IAMUser","userName":"bob","arn":"arn:aws:iam::111122223333:user/bob"}}"#
        );
        record(time, "signin.amazonaws.com", "ConsoleLogin", &more)
    };
    let role = r#","userIdentity":{"arn":"arn:aws:iam::111122223333:role/Deploy"},"requestParameters":{"roleArn":"arn:aws:iam::444455556666:role/Audit"}"#;
    let group = r#","requestParameters":{"groupId":"sg-1","ipPermissions":{"items":[{"fromPort":22,"ipRanges":{"items":[{"cidrIp":"0.0.0.0/0"}]}},{"fromPort":443,"ipRanges":{"items":[{"cidrIp":"10.0.0.0/8"}]}}]}}"#;
    let bucket = r#","readOnly":false,"requestParameters":{"bucketName":"logs"},"resources":[{"type":"AWS::S3::Bucket","ARN":"arn:aws:s3:::logs"}]"#;
    let denied = r#","readOnly":true,"errorCode":"AccessDenied","requestParameters":{"bucketName":"logs","key":"a"},"resources":[{"type":"AWS::S3::Bucket","ARN":"arn:aws:s3:::logs"}]"#;
    vec![
        record("2025-10-01T00:00:00Z", "s3.amazonaws.com", "CreateBucket", &(alice.to_owned() + bucket)),
        record("2025-11-01T00:00:00Z", "s3.amazonaws.com", "GetObject", &(alice.to_owned() + denied)),
        login("Failure", "2026-03-01T00:00:00Z"),
        login("Failure", "2026-03-02T00:00:00Z"),
        login("Success", "2026-03-03T00:00:00Z"),
        record("2026-03-04T00:00:00Z", "sts.amazonaws.com", "AssumeRole", role),
        record("2026-03-05T00:00:00Z", "ec2.amazonaws.com", "AuthorizeSecurityGroupIngress", group),
    ]
}

#[tokio::test]
async fn every_sample_runs() {
    let engine = engine(&records());
    for sample in all() {
        let store = match sample.kind {
            Kind::Insight => "Insights-2",
            Kind::ConfigurationItem => "items",
            Kind::Events | Kind::ActivityAuditLog => "events",
        };
        rows(&engine, &sample.statement(store)).await;
    }
}

#[tokio::test]
async fn samples_find_what_they_promise() {
    let engine = engine(&records());
    for (name, answer) in [
        ("Principals that created buckets", vec!["arn:aws:iam::111122223333:user/alice|2025-10-01T00:00:00Z|logs"]),
        ("Failed console logins", vec!["bob|203.0.113.9|2|2026-03-02T00:00:00Z"]),
        ("Console logins without MFA", vec!["2026-03-03T00:00:00Z|arn:aws:iam::111122223333:user/bob|203.0.113.9"]),
        ("Console sign-ins by region", vec!["us-east-1|Failure|2", "us-east-1|Success|1"]),
        (
            "Cross-account role assumptions",
            vec!["arn:aws:iam::111122223333:role/Deploy|arn:aws:iam::444455556666:role/Audit|1|2026-03-04T00:00:00Z"],
        ),
        ("Security groups opened to the public", vec!["2026-03-05T00:00:00Z|NULL|sg-1|22"]),
        ("Errors by code", vec!["AccessDenied|s3.amazonaws.com|GetObject|1"]),
        ("Access to S3 objects", vec!["logs|arn:aws:iam::111122223333:user/alice|1|0|1"]),
        ("Resources that were accessed most", vec!["AWS::S3::Bucket|arn:aws:s3:::logs|2"]),
        (
            "Access keys that are not used any more",
            vec!["AKIAOLD|arn:aws:iam::111122223333:user/alice|2025-11-01T00:00:00Z"],
        ),
        (
            "APIs that a user called",
            vec![
                "s3.amazonaws.com|CreateBucket|1|2025-10-01T00:00:00Z",
                "s3.amazonaws.com|GetObject|1|2025-11-01T00:00:00Z",
            ],
        ),
    ] {
        let sample = all().iter().find(|sample| sample.name == name).unwrap();
        assert_eq!(rows(&engine, &sample.statement("events")).await, answer, "{name}");
    }
}

#[test]
fn samples_are_found_by_their_words() {
    let best = |phrase: &str| search(phrase).first().map(|(sample, _)| sample.name);
    assert_eq!(best("failed logins"), Some("Failed console logins"));
    assert_eq!(best("who created a bucket"), Some("Principals that created buckets"));
    assert_eq!(best("StartQuery"), Some("Queries of CloudTrail Lake"));
    assert_eq!(best("security groups open to the public"), Some("Security groups opened to the public"));
    assert_eq!(search("xyzzy"), vec![]);
    assert_eq!(search(""), vec![]);
    assert!(search("console").iter().all(|(_, relevance)| *relevance > 0.0 && *relevance <= 1.0));
}

#[test]
fn names_are_quoted_and_unique() {
    assert!(all()[0].statement("a\"b").contains("FROM \"a\"\"b\" WHERE"));
    let mut names: Vec<_> = all().iter().map(|sample| sample.name).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), all().len());
    assert!(all().iter().all(|sample| sample.sql.contains(PLACEHOLDER)));
}
