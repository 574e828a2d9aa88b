//! CloudWatch Logs as a second destination, in its local form: every delivered record is an event once or more, or counted
//! by why it is not; an outage there delays nothing elsewhere.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use orgtrail_aggregator::cloudwatch::CloudWatchStatus;
use orgtrail_cli::generate::{Manifest, Plan};
use orgtrail_event::gzip::Deflater;
use orgtrail_tests::site::{ORGANIZATION, Site};
use serde_json::{Value, json};

const ACCOUNT: &str = "999988887777";

/// A generated organization, and one more bucket with records that aren't sent. The trail has a folder for log events.
fn site(records: u64, cloudwatch: &str) -> (Site, Manifest) {
    let plan = Plan { hours: 4, corrupt_share: 0.0, ..Plan::default() }.with_records(records);
    let (mut site, manifest) = Site::generated(&plan).unwrap();
    let folder = logs(&site).display().to_string();
    if !site.trail.contains("event_selectors") {
        site.trail.push_str("event_selectors = \"all\"\n");
    }
    site.trail.push_str(&format!("[trails.cloudwatch_logs]\nlocation = \"file://{folder}\"\n{cloudwatch}"));
    site.aggregator_more.push_str("[deliver]\nmerge_wait = \"200ms\"\n");
    let mut locations: Vec<_> = manifest.sources.iter().map(|source| source.folder(&site.sources())).collect();
    locations.push(odd_bucket(&site.root().join("odd")));
    site.configure_locations(&locations).unwrap();
    (site, manifest)
}

fn logs(site: &Site) -> PathBuf {
    site.root().join("logs")
}

/// A bucket with one file: an ordinary record, an undated one, one too large, and one of network activity.
fn odd_bucket(bucket: &Path) -> PathBuf {
    let record = |id: &str| json!({"eventVersion": "1.11", "eventTime": "2026-03-01T11:00:00Z", "eventID": id, "recipientAccountId": ACCOUNT});
    let mut large = record("odd-large");
    large["requestParameters"] = json!({"padding": "x".repeat(300_000)});
    let mut network = record("odd-network");
    network["eventCategory"] = "NetworkActivity".into();
    let undated = json!({"eventID": "odd-undated"});
    let file = json!({"Records": [record("odd-fine"), undated, large, network]}).to_string();
    let folder = bucket.join(format!("AWSLogs/{ACCOUNT}/CloudTrail/us-east-1/2026/03/01"));
    std::fs::create_dir_all(&folder).unwrap();
    let name = format!("{ACCOUNT}_CloudTrail_us-east-1_20260301T1105Z_AbCdEf0123456789.json.gz");
    std::fs::write(folder.join(name), Deflater::new(6).deflate(file.as_bytes())).unwrap();
    bucket.to_owned()
}

/// The events of all files, oldest file first: time and message.
fn events(site: &Site) -> Vec<(i64, Value)> {
    let stream = logs(site).join("org-trail").join(format!("{ORGANIZATION}_000000000000_CloudTrail_us-east-1"));
    let Ok(folder) = std::fs::read_dir(stream) else { return Vec::new() };
    let mut files: Vec<_> = folder.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let text: String = files.iter().map(|file| std::fs::read_to_string(file).unwrap()).collect();
    // While it is being written to, the last line may not be whole yet.
    let lines = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let event = |line: Value| {
        let message = serde_json::from_str(line["message"].as_str().unwrap()).unwrap();
        (line["timestamp"].as_i64().unwrap(), message)
    };
    lines.map(event).collect()
}

/// How often each record of the log files was sent. Insights lie in files of their own.
fn sent(site: &Site) -> BTreeMap<String, u64> {
    let mut sent = BTreeMap::new();
    for (_, message) in events(site).iter().filter(|(_, message)| message["eventCategory"] != "Insight") {
        *sent.entry(message["eventID"].as_str().unwrap().to_owned()).or_default() += 1;
    }
    sent
}

/// The records that the trail's log files hold.
fn delivered(site: &Site) -> BTreeSet<String> {
    site.delivered().unwrap().counts.into_keys().collect()
}

fn status(site: &Site) -> CloudWatchStatus {
    site.aggregator_status().unwrap().trails[0].cloudwatch.clone().unwrap()
}

/// Every record of the trail but those that are never sent is among the events.
fn assert_all_sent(site: &Site) {
    let mut expected = delivered(site);
    assert!(expected.remove("odd-large") && expected.remove("odd-network"), "the trail holds them");
    let sent: BTreeSet<_> = sent(site).into_keys().collect();
    assert_eq!(expected.difference(&sent).count(), 0, "records are lost");
    assert_eq!(sent.difference(&expected).count(), 0, "records that nobody delivered");
    let status = status(site);
    assert!(status.balanced && status.pending == 0, "{status:?}");
    assert_eq!(status.diverted, [("not_supported".to_owned(), 1), ("too_large".to_owned(), 1)].into());
    assert_eq!(status.delivered + 2, site.aggregator_status().unwrap().trails[0].delivered);
}

#[test]
fn every_delivered_record_is_an_event_or_counted() {
    let (site, manifest) = site(3_000, "");
    let (code, output) = site.run_once().unwrap();
    assert_eq!(code, 0, "{output}");
    assert_all_sent(&site);
    let sent = sent(&site);
    assert!(sent.values().all(|count| *count == 1), "without a crash none is sent twice");
    assert_eq!(sent.len() as u64, manifest.records + 2);
    let events = events(&site);
    let time = |id: &str| events.iter().find(|(_, message)| message["eventID"] == id).unwrap().0;
    assert_eq!((time("odd-fine"), time("odd-undated")), (1_772_362_800_000, 1_772_363_100_000));
}

#[test]
fn pointers_take_the_place_of_large_records_and_files_rotate() {
    // Enough for several files of the smallest size.
    let (site, _) = site(9_000, "pointer_records = true\nfile_bytes_max = \"2MiB\"\nfiles_max = 2\n");
    let (code, output) = site.run_once().unwrap();
    assert_eq!(code, 0, "{output}");
    let status = status(&site);
    assert!(status.balanced && status.pending == 0, "{status:?}");
    let stream = std::fs::read_dir(logs(&site).join("org-trail")).unwrap().next().unwrap().unwrap().path();
    let mut files: Vec<_> = std::fs::read_dir(&stream).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert_eq!(files.len(), 2, "the older ones are gone");
    assert!(!files[0].ends_with("000000000001.ndjson"), "{files:?}");
    let log = std::fs::read_to_string(&files[0]).unwrap() + &std::fs::read_to_string(&files[1]).unwrap();
    assert!(log.lines().all(|line| serde_json::from_str::<Value>(line).is_ok()));
}

#[test]
fn an_outage_there_delays_nothing_elsewhere_and_loses_nothing() {
    let (site, manifest) = site(3_000, "");
    // Where the folder should be is a file.
    std::fs::write(logs(&site), "in the way").unwrap();
    let mut aggregator = site.aggregator().unwrap();
    let _agent = site.agent().unwrap();
    let began = Instant::now();
    let in_the_trail = || site.aggregator_status().map_or(0, |status| status.trails[0].delivered);
    while in_the_trail() < manifest.records + 4 {
        assert!(began.elapsed() < Duration::from_secs(60), "the trail waits: {}", aggregator.output());
        std::thread::sleep(Duration::from_millis(100));
    }
    let told = || {
        let degraded = site.aggregator_status().map(|status| status.health.degraded).unwrap_or_default();
        degraded.iter().any(|part| part.part == "trail org-trail cloudwatch")
    };
    while !told() {
        assert!(began.elapsed() < Duration::from_secs(60), "health doesn't say so: {}", aggregator.output());
        std::thread::sleep(Duration::from_millis(100));
    }
    assert_eq!(events(&site).len(), 0);

    // Over, with two crashes while it catches up.
    std::fs::remove_file(logs(&site)).unwrap();
    for _ in 0..2 {
        std::thread::sleep(Duration::from_millis(700));
        aggregator.kill();
        aggregator = site.aggregator().unwrap();
    }
    while site.aggregator_status().map_or(true, |status| {
        status.trails[0].cloudwatch.as_ref().is_none_or(|logs| logs.pending > 0 || logs.delivered == 0)
    }) {
        assert!(began.elapsed() < Duration::from_secs(90), "it never catches up: {}", aggregator.output());
        std::thread::sleep(Duration::from_millis(100));
    }
    assert!(aggregator.stop().unwrap().success());
    assert_all_sent(&site);
}
