//! Sources other than one plain bucket: all key layouts in one bucket, exported logs in every form, and what an event
//! history is to the aggregator.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime};

use orgtrail_event::gzip::Deflater;
use orgtrail_tests::site::{Site, files};

fn record(id: &str, account: &str, region: &str, time: &str) -> String {
    format!(
        "{{ \"eventVersion\":\"1.08\",\"eventID\":\"{id}\", \"eventTime\":\"{time}\",\"awsRegion\":\"{region}\",\
         \"eventCategory\":\"Management\",\"recipientAccountId\":\"{account}\"}}"
    )
}

fn log_file(records: &[String]) -> Vec<u8> {
    Deflater::new(6).deflate(format!("{{\"Records\":[{}]}}", records.join(",")).as_bytes())
}

fn put(path: &Path, content: impl AsRef<[u8]>) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, content).unwrap();
    #[allow(clippy::disallowed_methods, reason = "files carry the wall clock's time")]
    fs::File::options()
        .write(true)
        .open(path)
        .unwrap()
        .set_modified(SystemTime::now() - Duration::from_secs(60))
        .unwrap();
}

/// The ids that were delivered, each exactly once.
fn delivered(site: &Site) -> BTreeSet<String> {
    let delivered = site.delivered().unwrap();
    assert!(delivered.counts.values().all(|count| *count == 1), "{:?}", delivered.counts);
    delivered.counts.into_keys().collect()
}

fn set(ids: &[&str]) -> BTreeSet<String> {
    ids.iter().map(|&id| id.to_owned()).collect()
}

#[test]
fn a_bucket_with_all_key_layouts_and_prefixes_above_is_taken_whole() {
    let site = Site::new();
    let bucket = site.sources().join("bucket");
    let (day, time) = ("2026/03/01", "2026-03-01T11:04:00Z");
    for (n, above) in ["AWSLogs", "AWSLogs/o-abcde12345", "o-abcde12345/AWSLogs/o-abcde12345", "logs/of/acme/AWSLogs"]
        .iter()
        .enumerate()
    {
        let account = format!("11112222333{n}");
        let name = format!("{account}_CloudTrail_eu-west-1_20260301T1105Z_AbCdEf012345678{n}.json.gz");
        let path = bucket.join(format!("{above}/{account}/CloudTrail/eu-west-1/{day}/{name}"));
        put(&path, log_file(&[record(&format!("id-{n}"), &account, "eu-west-1", time)]));
    }
    site.configure_locations(&[bucket]).unwrap();
    let (code, output) = site.run_once().unwrap();
    assert_eq!(code, 0, "{output}");
    assert_eq!(delivered(&site), set(&["id-0", "id-1", "id-2", "id-3"]));
}

#[test]
fn exported_logs_of_every_form_are_delivered_under_their_own_days_exactly_once() {
    let site = Site::new();
    let exports = site.sources().join("exports");
    let eu = |id: &str| record(id, "111122223333", "eu-west-1", "2024-05-01T10:20:30Z");
    let us = |id: &str| record(id, "444455556666", "us-east-1", "2023-11-30T23:59:59Z");
    let wrapped =
        |id: &str| format!("{{\"EventId\":\"{id}\",\"CloudTrailEvent\":{}}}", serde_json::Value::from(us(id)));
    put(&exports.join("lines.jsonl"), format!("{}\n{}\n", eu("l1"), us("l2")));
    put(&exports.join("2024/array.json"), format!("[{}, {}]", eu("a1"), us("a2")));
    put(&exports.join("pretty"), format!("{{\n \"Records\": [\n  {},\n  {}\n ]\n}}", eu("p1"), us("p2")));
    put(&exports.join("lookup.json"), format!("{{\"Events\":[{}, {}]}}", wrapped("w1"), wrapped("w2")));
    put(&exports.join("one.json"), us("o1"));
    put(&exports.join("again.gz"), Deflater::new(6).deflate(format!("{}\n{}", eu("l1"), eu("g1")).as_bytes()));
    put(&exports.join("torn.jsonl"), format!("{}\n{{\"eventID\": \n{}", eu("t1"), us("t2")));
    put(&exports.join("README"), "not a log");
    let source = format!("[[sources]]\nkind = \"exported_logs\"\nlocation = \"file://{}\"\n", exports.display());
    site.write_agent("agent.toml", "acme", &source).unwrap();
    site.write_aggregator("[[agents]]\nname = \"acme\"\naccounts = [\"*\"]\n").unwrap();
    let (_, output) = site.run_once().unwrap();
    let all = set(&["l1", "l2", "a1", "a2", "p1", "p2", "w1", "w2", "o1", "g1", "t1", "t2"]);
    assert_eq!(delivered(&site), all, "{output}");
    let days: BTreeSet<_> = files(&site.trail_dir())
        .iter()
        .filter(|key| key.contains("/CloudTrail/"))
        .map(|key| key.rsplit_once('/').unwrap().0.to_owned())
        .collect();
    let ends = ["111122223333/CloudTrail/eu-west-1/2024/05/01", "444455556666/CloudTrail/us-east-1/2023/11/30"];
    assert_eq!(days.len(), 2, "{days:?}");
    assert!(days.iter().zip(ends).all(|(day, end)| day.ends_with(end)), "{days:?}");
    let status = site.agent_status().unwrap();
    assert_eq!(status.quarantine.values().sum::<u64>(), 1, "the torn record: {:?}", status.quarantine);
    assert_eq!(status.exported_logs[0].foreign_files, ["README"]);

    // What came late, even of days that were over long ago, and what came twice.
    put(
        &exports.join("late.jsonl"),
        format!("{}\n{}", us("l2"), record("late", "444455556666", "us-east-1", "2021-01-01T00:00:00Z")),
    );
    site.run_once().unwrap();
    assert_eq!(delivered(&site), all.union(&set(&["late"])).cloned().collect());
    let status = site.aggregator_status().unwrap();
    assert!(status.trails[0].balanced, "{status:#?}");
}

/// A window of an event history is a file without records at first, and the same file with more of them later.
#[test]
fn an_empty_log_file_delivers_no_object_and_a_new_version_of_a_file_what_is_new_in_it() {
    let site = Site::new();
    let bucket = site.sources().join("bucket");
    let folder = bucket.join("AWSLogs/111122223333/CloudTrail/eu-west-1/2026/03/01");
    let name = |minute: &str| format!("111122223333_CloudTrail_eu-west-1_20260301T{minute}Z_AbCdEf0123456789.json.gz");
    let eu = |id: &str| record(id, "111122223333", "eu-west-1", "2026-03-01T11:04:00Z");
    put(&folder.join(name("1100")), log_file(&[]));
    put(&folder.join(name("1115")), log_file(&[eu("a")]));
    site.configure_locations(&[bucket]).unwrap();
    let logs = || files(&site.trail_dir()).into_iter().filter(|key| key.contains("/CloudTrail/")).count();
    let (code, output) = site.run_once().unwrap();
    assert_eq!((code, delivered(&site), logs()), (0, set(&["a"]), 1), "{output}");
    let status = site.agent_status().unwrap();
    assert_eq!((status.objects.listed, status.objects.delivered), (2, 2), "the empty one is accounted for");

    put(&folder.join(name("1100")), log_file(&[eu("late")]));
    put(&folder.join(name("1115")), log_file(&[eu("later"), eu("a")]));
    site.run_once().unwrap();
    // What is new are two tiny files of one day, which are merged.
    assert_eq!((delivered(&site), logs()), (set(&["a", "late", "later"]), 2));
    let status = site.aggregator_status().unwrap();
    assert!(status.trails[0].balanced, "{status:#?}");
}

/// Real events of `lookup-events`, where the samples are at hand.
#[test]
fn real_events_that_lookup_events_printed_are_taken_byte_for_byte() {
    let samples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/samples/envelopes.jsonl");
    let Ok(samples) = fs::read_to_string(samples) else { return };
    let samples = samples.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    let events: Vec<_> =
        samples.filter(|sample| sample["kind"] == "lookup_event").map(|sample| sample["doc"].clone()).collect();
    let wanted: BTreeSet<String> = events
        .iter()
        .filter_map(|event| serde_json::from_str::<serde_json::Value>(event["CloudTrailEvent"].as_str()?).ok())
        .filter_map(|record| record["eventID"].as_str().map(str::to_owned))
        .collect();
    assert!(!wanted.is_empty());
    let site = Site::new();
    let exports = site.sources().join("exports");
    put(&exports.join("events.json"), serde_json::json!({ "Events": events }).to_string());
    let source = format!("[[sources]]\nkind = \"exported_logs\"\nlocation = \"file://{}\"\n", exports.display());
    site.write_agent("agent.toml", "acme", &source).unwrap();
    site.write_aggregator("[[agents]]\nname = \"acme\"\naccounts = [\"*\"]\n").unwrap();
    site.run_once().unwrap();
    let quarantined = site.agent_status().unwrap().quarantine.values().sum::<u64>();
    let delivered = delivered(&site);
    assert!(
        delivered.is_subset(&wanted) && delivered.len() as u64 + quarantined >= wanted.len() as u64,
        "{delivered:?}"
    );
}
