//! The lake's verbs, as an operator runs them: `tail`, `wait`, `iam-policy`, `retention`, `history`, delivered results, and
//! what is left when a query is interrupted. And a lake that imports, compacts and deletes while it is asked.

use std::process::Command;
use std::time::{Duration, Instant};

use orgtrail_event::gzip::Deflater;
use orgtrail_tests::lake_site::{ACCOUNT, LakeSite, record};
use orgtrail_tests::process::{DEADLINE, Process, run};
use serde_json::{Value, json};

/// Import at once what comes, and look after tables as often.
const BUSY: &str = "\n[import]\ninterval = \"1s\"\nsweep_interval = \"1s\"\n[maintain]\ninterval = \"1s\"\n";

fn signal(process: &Process, name: &str) {
    let sent = Command::new("kill").args([name, &process.id().to_string()]).status().unwrap();
    assert!(sent.success());
}

/// Waits until a condition holds.
fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < DEADLINE, "{what}: not within {DEADLINE:?}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

fn role_session(name: &str) -> Value {
    json!({ "userIdentity": {
        "type": "AssumedRole", "arn": format!("arn:aws:sts::{ACCOUNT}:assumed-role/Deploy/{name}"), "accountId": ACCOUNT,
        "sessionContext": { "sessionIssuer": { "type": "Role", "arn": format!("arn:aws:iam::{ACCOUNT}:role/Deploy") } },
    } })
}

#[test]
fn events_are_shown_as_they_come_and_waited_for() {
    let lake = LakeSite::new(BUSY).unwrap();
    let event = |id: &str, name: &str| record(id, "2026-03-01T10:00:00Z", "iam.amazonaws.com", name, &json!({}));
    lake.deliver("2026/03/01", &[event("1", "CreateUser")]).unwrap();
    lake.import().unwrap();
    let mut importer = lake.start(&["lake"]).unwrap();
    importer.wait_for("lake is up").unwrap();
    let name = "AttributeKey=EventName,AttributeValue=DeleteUser";
    let mut tail = lake.start(&["tail", "--json", "--interval", "100ms", "--lookup-attributes", name]).unwrap();
    let mut wait =
        lake.start(&["wait", "--event-name", "DeleteUser", "--start-time", "2026-03-01", "--timeout", "1m"]).unwrap();
    // A tail begins behind what is there when it starts.
    std::thread::sleep(Duration::from_secs(2));
    let (other, awaited) = (event("2", "CreateUser"), event("3", "DeleteUser"));
    lake.deliver("2026/03/01", &[other, awaited.clone()]).unwrap();
    tail.wait_for(&awaited.to_string()).unwrap();
    assert!(wait.wait().unwrap().success(), "{}", wait.output());
    assert!(wait.output().contains("DeleteUser"));
    signal(&tail, "-INT");
    assert!(tail.wait().unwrap().success(), "{}", tail.output());
    assert_eq!(tail.output().trim(), awaited.to_string(), "nothing else");
    assert!(importer.stop().unwrap().success());
}

#[test]
fn the_least_policy_has_what_was_used_and_tells_what_was_denied() {
    let lake = LakeSite::new("").unwrap();
    let denied = json!({ "errorCode": "AccessDenied" });
    let by = |more: Value| {
        let mut members = role_session("build");
        members.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        members
    };
    let time = "2026-03-01T10:00:00Z";
    let records = [
        record("1", time, "s3.amazonaws.com", "CreateBucket", &by(json!({}))),
        record("2", time, "s3.amazonaws.com", "CreateBucket", &role_session("other")),
        record("3", time, "kms.amazonaws.com", "Decrypt", &by(denied)),
        record("4", time, "ec2.amazonaws.com", "RunInstances", &json!({})),
    ];
    lake.deliver("2026/03/01", &records).unwrap();
    lake.import().unwrap();
    let role = format!("arn:aws:iam::{ACCOUNT}:role/Deploy");
    let said: Value =
        serde_json::from_str(&lake.said(&["iam-policy", "--json", "--principal", &role]).unwrap()).unwrap();
    assert_eq!(said["allowed"], json!({ "s3:CreateBucket": 2 }), "{said:#}");
    assert_eq!(said["denied"], json!({ "kms:Decrypt": 1 }), "{said:#}");
    let statement = said["policy"]["Statement"].to_string();
    assert!(statement.contains("s3:CreateBucket") && !statement.contains("kms:Decrypt"), "{statement}");
    let (code, ..) = lake.verb(&["iam-policy", "--principal", "arn:aws:iam::111122223333:user/nobody"]).unwrap();
    assert_eq!(code, 2);
}

#[test]
fn retention_says_what_it_would_delete_and_then_deletes_that_alone() {
    let keep = "retention = \"3653d\"\ntermination_protection = false\n";
    let lake = LakeSite::new(keep).unwrap();
    for (day, id) in [("2024/03/01", "1"), ("2024/03/02", "2"), ("2024/03/03", "3")] {
        let time = format!("{}T10:00:00Z", day.replace('/', "-"));
        lake.deliver(day, &[record(id, &time, "s3.amazonaws.com", "CreateBucket", &json!({}))]).unwrap();
    }
    lake.import().unwrap();
    assert_eq!(lake.said(&["retention", "--plan"]).unwrap(), "Nothing is past retention.\n");

    let days = "SELECT DISTINCT eventday FROM events ORDER BY 1";
    let all = "2024-03-01\n2024-03-02\n2024-03-03\n";
    lake.configure("retention = \"366d\"\n").unwrap();
    let (code, plan, _) = lake.verb(&["retention", "--plan"]).unwrap();
    assert_eq!((code, plan.matches("kept: termination protection").count()), (2, 3), "{plan}");
    lake.verb(&["retention"]).unwrap();
    assert_eq!(lake.ask(days).unwrap(), all, "protected");

    let hold = "retention = \"366d\"\ntermination_protection = false\nholds = [{ name = \"case 7\", from = \"2024-03-02\", to = \"2024-03-03\" }]\n";
    lake.configure(&format!("{hold}{BUSY}")).unwrap();
    let (code, plan, _) = lake.verb(&["retention", "--plan"]).unwrap();
    assert_eq!((code, plan.matches("goes").count()), (2, 2), "{plan}");
    assert!(plan.contains("case 7"), "{plan}");
    assert_eq!(lake.ask(days).unwrap(), all, "a plan deletes nothing");
    // By itself, in a running lake.
    let mut running = lake.start(&["lake"]).unwrap();
    until("retention runs", || lake.ask(days).unwrap() == "2024-03-02\n");
    assert!(running.stop().unwrap().success());
    assert_eq!(lake.ask("SELECT count(*), sum(kept) FROM \"events$objects\"").unwrap(), "3,3\n", "the account stays");
    lake.import().unwrap();
    assert_eq!(lake.ask(days).unwrap(), "2024-03-02\n", "what went doesn't come back");
}

#[test]
fn a_lake_that_imports_and_compacts_answers_every_query_whole() {
    let lake = LakeSite::new(BUSY).unwrap();
    let mut running = lake.start(&["lake"]).unwrap();
    running.wait_for("lake is up").unwrap();
    let count = || -> (u64, u64) {
        let row = lake.ask("SELECT count(*), count(DISTINCT eventid) FROM events").unwrap();
        let (all, distinct) = row.trim().split_once(',').unwrap();
        (all.parse().unwrap(), distinct.parse().unwrap())
    };
    let mut seen = 0;
    for file in 0..12 {
        let rows: Vec<_> = (0..50)
            .map(|row| {
                let time = format!("2026-03-01T10:{:02}:{row:02}Z", file);
                record(&format!("{file}-{row}"), &time, "s3.amazonaws.com", "PutObject", &json!({}))
            })
            .collect();
        lake.deliver("2026/03/01", &rows).unwrap();
        until("the file is imported", || {
            let (all, distinct) = count();
            assert_eq!(all, distinct, "no row stands twice");
            assert!(all >= seen, "{all} rows after {seen}");
            assert_eq!(all % 50, 0, "a file is there whole or not at all");
            seen = all;
            all == (file + 1) * 50
        });
    }
    until("compaction puts the day's files together", || lake.content().unwrap()["files"] == 1);
    assert_eq!(count(), (600, 600));
    assert!(running.stop().unwrap().success());
}

#[test]
fn a_resources_history_is_one_timeline_of_calls_and_states() {
    let lake = LakeSite::new("").unwrap();
    let items = format!(
        "\n[[event_data_stores]]\nname = \"items\"\nkind = \"ConfigurationItem\"\nlocation = \"file://{}\"\n",
        lake.root().join("items").display()
    );
    lake.configure(&items).unwrap();
    let item = |time: &str, ports: &[u16]| {
        json!({
            "configurationItemVersion": "1.3", "configurationItemCaptureTime": time, "configurationItemStatus": "OK",
            "awsAccountId": ACCOUNT, "resourceType": "AWS::EC2::SecurityGroup", "resourceId": "sg-1", "awsRegion": "us-east-1",
            "ARN": format!("arn:aws:ec2:us-east-1:{ACCOUNT}:security-group/sg-1"), "configuration": { "ports": ports },
        })
    };
    let file = json!({ "fileVersion": "1.0", "configurationItems": [
        item("2026-03-01T08:00:00.100Z", &[443]), item("2026-03-01T10:02:00.500Z", &[443, 22]),
    ] });
    let key = format!(
        "AWSLogs/{ACCOUNT}/Config/us-east-1/2026/3/1/ConfigHistory/{ACCOUNT}_Config_us-east-1_ConfigHistory_AWS::EC2::SecurityGroup_20260301T080000Z_20260301T120000Z_1.json.gz"
    );
    lake.put(&key, file.to_string().as_bytes()).unwrap();
    let call = json!({ "requestParameters": { "groupId": "sg-1" } });
    let opened = record("1", "2026-03-01T10:01:00Z", "ec2.amazonaws.com", "AuthorizeSecurityGroupIngress", &call);
    lake.deliver("2026/03/01", &[opened]).unwrap();
    lake.import().unwrap();
    let told = lake.said(&["history", "sg-1"]).unwrap();
    let place = |text: &str| told.find(text).unwrap_or_else(|| panic!("{text} is not in:\n{told}"));
    assert!(place("08:00:00") < place("AuthorizeSecurityGroupIngress"), "{told}");
    assert!(place("AuthorizeSecurityGroupIngress") < place("ports[]: 22"), "{told}");
    assert!(told.contains("user/ana") && told.contains("203.0.113.7"), "{told}");
    assert_eq!(lake.verb(&["history", "sg-2"]).unwrap().0, 2);
}

#[test]
fn delivered_results_are_signed_and_what_is_changed_afterwards_is_found() {
    let lake = LakeSite::new("").unwrap();
    let name = |row: u32| record(&row.to_string(), "2026-03-01T10:00:00Z", "s3.amazonaws.com", "PutObject", &json!({}));
    lake.deliver("2026/03/01", &(0..30).map(name).collect::<Vec<_>>()).unwrap();
    lake.import().unwrap();
    let (key, results) = (lake.root().join("signing.pem"), lake.root().join("results"));
    assert_eq!(run("orgtrail", &["keys", "create", "--signing", key.to_str().unwrap()]).unwrap().0, 0);
    let key = format!("file://{}", key.display());
    let (_, public, _) = run("orgtrail", &["keys", "public", &key]).unwrap();
    let public_keys = lake.root().join("public.json");
    std::fs::write(&public_keys, public).unwrap();
    lake.configure(&format!(
        "[query.results]\nlocation = \"file://{}\"\naccount_id = \"{ACCOUNT}\"\nsigning_key_id = \"{key}\"\n",
        results.display()
    ))
    .unwrap();
    let (code, _, told) = lake.verb(&["query", "--results", "-", "SELECT eventid FROM events"]).unwrap();
    assert_eq!(code, 0, "{told}");
    let delivered = orgtrail_tests::site::files(&results);
    assert_eq!(delivered.len(), 2, "{delivered:?}");
    assert!(delivered[0].starts_with(&format!("AWSLogs/{ACCOUNT}/CloudTrail-Lake/Query/")), "{delivered:?}");
    let folder = results.join(&delivered[0]).parent().unwrap().display().to_string();
    let verify = || {
        let keys = public_keys.display().to_string();
        run("orgtrail", &["verify-query-results", "--public-keys", &keys, "--local-export-path", &folder]).unwrap()
    };
    assert_eq!(verify().1, "Successfully validated sign and query result files\n", "{}", verify().2);
    std::fs::write(results.join(&delivered[0]), Deflater::new(6).deflate(b"eventid\n1\n")).unwrap();
    let (code, output, told) = verify();
    assert_eq!(code, 1, "{output}{told}");
    assert!(told.contains("result_1.csv.gz"), "{told}");
}

#[test]
fn a_query_that_is_interrupted_leaves_nothing() {
    let lake = LakeSite::new("[query]\nmemory = \"64MiB\"\n").unwrap();
    let name = |row: u32| record(&row.to_string(), "2026-03-01T10:00:00Z", "s3.amazonaws.com", "PutObject", &json!({}));
    lake.deliver("2026/03/01", &(0..2_000).map(name).collect::<Vec<_>>()).unwrap();
    lake.import().unwrap();
    let out = lake.root().join("out");
    std::fs::create_dir(&out).unwrap();
    let file = out.join("rows.csv").display().to_string();
    let endless = "SELECT a.eventid, b.eventid, c.eventid FROM events a, events b, events c";
    for name in ["-INT", "-TERM"] {
        let mut query = lake.start(&["query", "--output", &file, endless]).unwrap();
        until("rows are written", || std::fs::read_dir(&out).unwrap().count() > 0);
        signal(&query, name);
        assert_eq!(query.wait().unwrap().code(), Some(130), "{name}: {}", query.output());
        let left: Vec<_> = std::fs::read_dir(&out).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left, Vec::<std::ffi::OsString>::new(), "{name}");
    }
}
