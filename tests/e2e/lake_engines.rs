//! Other engines over the same tables: after compaction and vacuum they read every row, and the sample queries have the same
//! answers in a distributed engine (Sail, two workers) and in DuckDB as in the embedded one.

use std::path::Path;
use std::time::Duration;

use orgtrail_lake::Kind;
use orgtrail_lake::samples::{self, Sample};
use orgtrail_tests::engines::{Dialect, Engines, Rows};
use orgtrail_tests::lake_site::{ACCOUNT, LakeSite, record};
use orgtrail_tests::site::files;
use serde_json::{Value, json};

/// Rows as texts, in an order of their own: samples leave open how rows that are equal in what they sort by are ordered.
fn sorted(mut rows: Vec<Vec<String>>) -> Vec<Vec<String>> {
    rows.sort_unstable();
    rows
}

/// Our answer.
fn ours(lake: &LakeSite, statement: &str) -> Vec<Vec<String>> {
    let json = lake.said(&["query", "--output", "json", statement]).unwrap();
    let rows = json.lines().map(|line| serde_json::from_str::<serde_json::Map<String, Value>>(line).unwrap());
    sorted(rows.map(|row| row.values().map(text).collect()).collect())
}

/// Another engine's answer.
fn theirs(rows: Rows) -> Vec<Vec<String>> {
    sorted(rows.iter().map(|row| row.iter().map(text).collect()).collect())
}

/// A value as text, times as RFC 3339.
fn text(value: &Value) -> String {
    match value {
        Value::String(text) => match text.strip_suffix("+00:00") {
            Some(time) => format!("{}Z", time.replacen(' ', "T", 1)),
            None => text.clone(),
        },
        Value::Null => "NULL".to_owned(),
        other => other.to_string(),
    }
}

#[test]
fn other_engines_read_every_row_after_compaction_and_vacuum() {
    let Some(engines) = Engines::installed() else { return };
    let lake = LakeSite::new("[maintain]\ngrace_period = \"1h\"\n").unwrap();
    for file in 0..9_u32 {
        let rows: Vec<_> = (0..40_u32)
            .map(|row| {
                let time = format!("2026-03-0{}T10:00:{row:02}Z", 1 + row % 2);
                record(&format!("{file}-{row}"), &time, "s3.amazonaws.com", &format!("Get{}", row % 5), &json!({}))
            })
            .collect();
        lake.deliver("2026/03/01", &rows).unwrap();
        lake.import().unwrap();
    }
    lake.import().unwrap();
    assert_eq!(lake.content().unwrap()["files"], 2, "a file a day");
    let data_files = || files(&lake.table()).iter().filter(|file| file.starts_with("eventday=")).count();
    assert!(data_files() > 2, "files that were put together stay for the grace period");
    lake.age(Duration::from_secs(7_200)).unwrap();
    lake.import().unwrap();
    assert_eq!(data_files(), 2);
    let sail = engines.sail(2, lake.root()).unwrap();
    sail.register("events", &lake.table()).unwrap();
    let statements = [
        "SELECT count(*) AS n, count(DISTINCT eventid) AS d FROM events",
        "SELECT eventday, eventname, count(*) AS n, min(eventtime) AS first FROM events GROUP BY eventday, eventname",
        "SELECT useridentity.arn AS arn, eventid FROM events WHERE eventid IN ('0-7', '8-39')",
    ];
    let in_duckdb = engines.duckdb(&[("events", &lake.table())], &statements).unwrap();
    let in_sail = sail.ask(&statements).unwrap();
    for (statement, (duckdb, sail)) in statements.iter().zip(in_duckdb.into_iter().zip(in_sail)) {
        let ours = ours(&lake, statement);
        assert_eq!(theirs(duckdb), ours, "DuckDB: {statement}");
        assert_eq!(theirs(sail), ours, "Sail: {statement}");
    }
    assert_eq!(ours(&lake, statements[0]), [["360", "360"]]);
    // The same program asks it, and makes the event data store known there by itself.
    let engine = format!("flightsql://{}", sail.address());
    let asked = lake.said(&["query", "--engine", &engine, "--output", "csv", statements[0]]).unwrap();
    assert_eq!(asked, "n,d\n360,360\n");
}

/// A lake with all three kinds that samples ask, and something of all that they ask for.
fn of_everything() -> LakeSite {
    let lake = LakeSite::new("").unwrap();
    let store = |name: &str, kind: &str| {
        let location = lake.root().join(name);
        format!(
            "[[event_data_stores]]\nname = \"{name}\"\nkind = \"{kind}\"\nlocation = \"file://{}\"\n",
            location.display()
        )
    };
    lake.configure(&(store("insights", "Insight") + &store("items", "ConfigurationItem"))).unwrap();
    let login = |outcome: &str| json!({ "responseElements": { "ConsoleLogin": outcome }, "additionalEventData": { "MFAUsed": "No" } });
    let bucket = json!({
        "requestParameters": { "bucketName": "logs" }, "resources": [{ "type": "AWS::S3::Bucket", "ARN": "arn:aws:s3:::logs" }],
    });
    let denied =
        json!({ "errorCode": "AccessDenied", "readOnly": true, "requestParameters": { "bucketName": "logs" } });
    let user = json!({ "userIdentity": {
        "type": "IAMUser", "arn": "arn:aws:iam::111122223333:user/alice", "userName": "alice", "accessKeyId": "AKIAOLD",
    } });
    let opened = |cidr: &str| {
        let rule = |port: u16, cidr: &str| json!({ "fromPort": port, "ipRanges": { "items": [{ "cidrIp": cidr }] } });
        let rules = json!([rule(22, cidr), rule(443, "10.0.0.0/8")]);
        json!({ "requestParameters": { "groupId": "sg-1", "ipPermissions": { "items": rules } } })
    };
    let events = [
        ("2025-10-01", "s3", "CreateBucket", bucket.clone()),
        ("2025-11-01", "s3", "GetObject", denied),
        ("2025-11-02", "s3", "PutObject", bucket.clone()),
        ("2026-03-01", "signin", "ConsoleLogin", login("Failure")),
        ("2026-03-02", "signin", "ConsoleLogin", login("Success")),
        (
            "2026-03-03",
            "sts",
            "AssumeRole",
            json!({ "requestParameters": { "roleArn": "arn:aws:iam::444455556666:role/Audit" } }),
        ),
        ("2026-03-03", "ec2", "AuthorizeSecurityGroupIngress", opened("0.0.0.0/0")),
        ("2026-03-04", "ec2", "AuthorizeSecurityGroupIngress", opened("10.1.0.0/16")),
        ("2026-03-04", "iam", "DeleteUser", user.clone()),
        (
            "2026-03-04",
            "iam",
            "AttachRolePolicy",
            json!({ "requestParameters": { "policyArn": "arn:p", "roleName": "r" } }),
        ),
        (
            "2026-03-04",
            "iam",
            "ListUsers",
            json!({ "readOnly": true, "userIdentity": { "type": "Root", "arn": "arn:aws:iam::1:root" } }),
        ),
        ("2026-03-05", "cloudtrail", "StopLogging", json!({ "requestParameters": { "name": "t" } })),
        ("2026-03-05", "cloudtrail", "StartQuery", json!({ "requestParameters": { "queryStatement": "SELECT 1" } })),
        ("2026-03-05", "dynamodb", "GetItem", json!({ "errorCode": "ThrottlingException" })),
        (
            "2026-03-05",
            "kms",
            "DisableKey",
            json!({ "requestParameters": { "keyId": "k" }, "tlsDetails": { "tlsVersion": "TLSv1.1" } }),
        ),
        ("2026-03-06", "s3", "DeleteBucketPublicAccessBlock", bucket),
        ("2026-03-06", "organizations", "MoveAccount", json!({ "sessionCredentialFromConsole": "true" })),
    ];
    for (number, (day, service, name, more)) in events.into_iter().enumerate() {
        let event =
            record(&number.to_string(), &format!("{day}T10:00:00Z"), &format!("{service}.amazonaws.com"), name, &more);
        lake.deliver(&day.replace('-', "/"), &[event]).unwrap();
    }
    let insight = json!({ "Records": [{
        "eventVersion": "1.08", "eventTime": "2026-03-05T10:00:00Z", "awsRegion": "us-east-1", "eventID": "i-1", "recipientAccountId": ACCOUNT,
        "eventType": "AwsCloudTrailInsight", "eventCategory": "Insight", "sharedEventID": "s-1",
        "insightDetails": { "state": "End", "eventSource": "ssm.amazonaws.com", "eventName": "UpdateInstance", "insightType": "ApiCallRateInsight",
            "insightContext": { "statistics": { "baseline": { "average": 2.0 }, "insight": { "average": 8.0 } } } },
    }] });
    let folder = format!("AWSLogs/{ACCOUNT}/CloudTrail-Insight/us-east-1/2026/03/05");
    let name = format!("{ACCOUNT}_CloudTrail-Insight_us-east-1_20260305T1010Z_AbCdEf0123456789.json.gz");
    lake.put(&format!("{folder}/{name}"), insight.to_string().as_bytes()).unwrap();
    let item = |id: &str, status: &str| {
        json!({
            "configurationItemVersion": "1.3", "configurationItemCaptureTime": "2026-03-01T08:00:00Z", "configurationItemStatus": status,
            "awsAccountId": ACCOUNT, "resourceType": "AWS::S3::Bucket", "resourceId": id, "awsRegion": "us-east-1",
        })
    };
    let items = json!({ "fileVersion": "1.0", "configurationItems": [item("a", "OK"), item("b", "OK"), item("c", "ResourceDeleted")] });
    let folder = format!("AWSLogs/{ACCOUNT}/Config/us-east-1/2026/3/1/ConfigHistory");
    let name =
        format!("{ACCOUNT}_Config_us-east-1_ConfigHistory_AWS::S3::Bucket_20260301T080000Z_20260301T120000Z_1.json.gz");
    lake.put(&format!("{folder}/{name}"), items.to_string().as_bytes()).unwrap();
    lake.import().unwrap();
    lake
}

fn store(sample: &Sample) -> &'static str {
    match sample.kind {
        Kind::Insight => "insights",
        Kind::ConfigurationItem => "items",
        Kind::Events | Kind::ActivityAuditLog => "events",
    }
}

#[test]
fn the_sample_queries_have_the_same_answers_in_other_engines() {
    let Some(engines) = Engines::installed() else { return };
    let lake = of_everything();
    let tables = ["events", "insights", "items"].map(|name| (name, lake.root().join(name)));
    let sail = engines.sail(2, lake.root()).unwrap();
    for (name, folder) in &tables {
        sail.register(name, folder).unwrap();
    }
    let tables: Vec<(&str, &Path)> = tables.iter().map(|(name, folder)| (*name, folder.as_path())).collect();
    let samples: Vec<_> = samples::all().iter().map(|sample| (sample.name, sample.statement(store(sample)))).collect();
    // Names are quoted in other ways there, and need no quotes.
    let plain =
        |sample: &Sample| sample.statement(store(sample)).replace(&format!("\"{}\"", store(sample)), store(sample));
    let of = |dialect: Dialect| samples::all().iter().map(|sample| dialect.of(&plain(sample))).collect::<Vec<_>>();
    let (spark, duckdb) = (of(Dialect::Spark), of(Dialect::DuckDb));
    let in_sail = sail.ask(&spark.iter().map(String::as_str).collect::<Vec<_>>()).unwrap();
    let in_duckdb = engines.duckdb(&tables, &duckdb.iter().map(String::as_str).collect::<Vec<_>>()).unwrap();
    let mut answered = 0;
    for ((name, sql), (sail, duckdb)) in samples.iter().zip(in_sail.into_iter().zip(in_duckdb)) {
        let ours = ours(&lake, sql);
        answered += usize::from(!ours.is_empty());
        assert_eq!(theirs(sail), ours, "Sail: {name}");
        assert_eq!(theirs(duckdb), ours, "DuckDB: {name}");
    }
    // Those about the last thirty days have none.
    assert!(answered + 4 >= samples.len(), "only {answered} of {} have rows to compare", samples.len());
}
