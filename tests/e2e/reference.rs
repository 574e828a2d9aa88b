//! Real records and a reference organization, where the reference tools are beside the checkout; skipped elsewhere.

use std::collections::HashMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use orgtrail_cli::generate::event_ids;
use orgtrail_event::gzip::{Deflater, Inflater};
use orgtrail_tests::lake_site::LakeSite;
use orgtrail_tests::site::{Site, files};

fn reference(path: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared").join(path);
    if !path.exists() {
        eprintln!("skipped: {} is not there", path.display());
        return None;
    }
    Some(path)
}

/// The real records, and all of them in log files under a folder.
fn real_records(samples: &Path, folder: &Path) -> Vec<Vec<u8>> {
    let mut lines = Vec::new();
    Inflater::new().inflate(&std::fs::read(samples).unwrap(), 1 << 30, &mut lines).unwrap();
    let records: Vec<&[u8]> = lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).collect();
    for (index, chunk) in records.chunks(40).enumerate() {
        let day = format!("AWSLogs/111122223333/CloudTrail/us-east-1/2026/03/{:02}", 1 + index % 5);
        let name = format!("111122223333_CloudTrail_us-east-1_202603{:02}T1005Z_{index:016}.json.gz", 1 + index % 5);
        let json = [b"{\"Records\":[".as_slice(), &chunk.join(&b','), b"]}"].concat();
        std::fs::create_dir_all(folder.join(&day)).unwrap();
        std::fs::write(folder.join(day).join(name), Deflater::new(6).deflate(&json)).unwrap();
    }
    records.into_iter().map(<[u8]>::to_vec).collect()
}

#[test]
fn real_records_go_through_byte_for_byte() {
    let Some(samples) = reference("samples/records.jsonl.gz") else { return };
    let site = Site::new();
    let folder = site.sources().join("bucket");
    let mut distinct = real_records(&samples, &folder);
    distinct.sort_unstable();
    distinct.dedup();
    site.configure_locations(&[folder]).unwrap();
    let (code, output) = site.run_once().unwrap();
    assert_eq!(code, 0, "{output}");

    let mut delivered = Vec::new();
    let trail = site.trail_dir();
    for path in files(&trail).into_iter().map(|file| trail.join(file)) {
        let mut json = Vec::new();
        Inflater::new().inflate(&std::fs::read(path).unwrap(), 1 << 30, &mut json).unwrap();
        let reader = orgtrail_event::log_file::read(&json, &orgtrail_event::log_file::Limits::default()).unwrap();
        for item in reader {
            let orgtrail_event::log_file::Item::Record(record) = item else { panic!("{item:?}") };
            delivered.push(record.raw.to_vec());
        }
    }
    delivered.sort_unstable();
    // Twins without an eventID of their own but with the same bytes are one record.
    assert_eq!(delivered.len(), distinct.len());
    assert!(delivered == distinct, "every record's bytes are those of its source");
}

#[test]
fn real_records_are_had_back_from_the_lake_byte_for_byte() {
    let Some(samples) = reference("samples/records.jsonl.gz") else { return };
    let bucket = tempfile::tempdir().unwrap();
    let mut records = real_records(&samples, bucket.path());
    let lake = LakeSite::over(bucket.path(), "retention = \"3653d\"\ntermination_protection = true\n").unwrap();
    lake.import().unwrap();
    let account = "SELECT sum(read), sum(kept), sum(expired), sum(bad) FROM \"events$objects\"";
    let account = lake.ask(account).unwrap();
    let counts: Vec<usize> = account.trim().split(',').map(|count| count.parse().unwrap()).collect();
    let [read, kept, expired, bad] = counts[..] else { panic!("{account}") };
    assert_eq!((read, kept, bad), (records.len(), records.len() - expired, 0));
    // Ten years are the longest that an event data store keeps.
    let oldest = lake.ask("SELECT min(eventday) FROM events").unwrap();
    let is_kept = |record: &Vec<u8>| {
        let record: serde_json::Value = serde_json::from_slice(record).unwrap();
        record["eventTime"].as_str().is_none_or(|time| &time[..10] >= oldest.trim())
    };
    records.retain(is_kept);
    let said = lake.said(&["query", "--output", "json", "SELECT eventjson FROM events"]).unwrap();
    let texts = said.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["eventjson"].clone());
    let mut texts: Vec<_> = texts.map(|text| text.as_str().unwrap().as_bytes().to_vec()).collect();
    texts.sort_unstable();
    records.sort_unstable();
    assert_eq!(texts.len(), kept);
    assert!(texts == records, "every record's bytes are those of its source");
}

#[test]
fn a_reference_organization_is_imported_exactly() {
    let Some(make) = reference("tools/gen_org.py") else { return };
    let bucket = tempfile::tempdir().unwrap();
    let manifest = reference_bucket(&make, bucket.path(), &[]);
    let lake = LakeSite::over(bucket.path(), "").unwrap();
    // Bad files are told when they are met.
    for exit_code in [2, 0] {
        let (code, _, told) = lake.verb(&["lake", "--once"]).unwrap();
        assert_eq!(code, exit_code, "{told}");
        let rows = lake.ask("SELECT key, kept, status = 'unreadable' OR bad > 0 FROM \"events$objects\"").unwrap();
        let objects: HashMap<&str, (u64, bool)> = rows
            .lines()
            .map(|row| row.split(',').collect::<Vec<_>>())
            .map(|row| (row[0], (row[1].parse().unwrap(), row[2] == "true")))
            .collect();
        assert_eq!(objects.len() as u64, manifest["files"]["total"].as_u64().unwrap());
        let bad = manifest["bad_files"].as_array().unwrap().iter();
        let bad: HashMap<_, _> = bad.map(|bad| (bad["key"].as_str().unwrap(), bad["kind"].as_str().unwrap())).collect();
        for (key, (_, is_told)) in &objects {
            // What was inflated on its way into a bucket is read all the same.
            assert_eq!(*is_told, bad.get(key).is_some_and(|kind| *kind != "not_gz"), "{key}: {:?}", bad.get(key));
        }
        let readable =
            objects.iter().filter(|(key, _)| !bad.contains_key(*key)).map(|(_, (kept, _))| kept).sum::<u64>();
        assert_eq!(readable, manifest["expected"]["records_in_readable_files"].as_u64().unwrap());
        let all: u64 = objects.values().map(|(kept, _)| kept).sum();
        let unique = manifest["expected"]["unique_events"].as_u64().unwrap();
        let rows = lake.ask("SELECT count(*), count(DISTINCT lower(eventid)) FROM events").unwrap();
        assert_eq!(rows, format!("{all},{unique}\n"), "records of damaged files are copies");
    }
    let ids = lake.ask("SELECT DISTINCT lower(eventid) AS id FROM events ORDER BY id").unwrap();
    let sha256: String = ring::digest::digest(&ring::digest::SHA256, ids.as_bytes())
        .as_ref()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    assert_eq!(sha256, manifest["expected"]["sha256_of_sorted_event_ids"].as_str().unwrap());
}

#[test]
fn a_reference_organization_comes_out_exactly() {
    reference_organization(&[]);
}

#[test]
fn a_reference_organization_under_an_organization_trail_comes_out_exactly() {
    reference_organization(&["--org", "o-abcdefghij", "--seed", "3"]);
}

/// Makes a reference organization in a folder: its manifest.
fn reference_bucket(make: &Path, bucket: &Path, more: &[&str]) -> serde_json::Value {
    let rates = ["--dup-rate", "0.1", "--bad-rate", "0.08", "--late-rate", "0.05"];
    let made = Command::new("python3")
        .arg(make)
        .args(["--accounts", "4", "--hours", "6"])
        .args(rates)
        .arg("--out")
        .arg(bucket)
        .args(more)
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    serde_json::from_slice(&std::fs::read(bucket.join("manifest.json")).unwrap()).unwrap()
}

fn reference_organization(more: &[&str]) {
    let (Some(make), Some(check)) = (reference("tools/gen_org.py"), reference("tools/check_org.py")) else { return };
    let site = Site::new();
    let bucket = site.sources().join("bucket");
    let manifest = reference_bucket(&make, &bucket, more);
    site.configure_locations(std::slice::from_ref(&bucket)).unwrap();
    let (code, output) = site.run_once().unwrap();
    assert_eq!(code, 2, "bad files are in quarantine: {output}");

    let ids_file = site.root().join("ids.txt");
    let mut ids = std::fs::File::create(&ids_file).unwrap();
    for (id, count) in event_ids(&site.trail_dir()).unwrap().counts {
        for _ in 0..count {
            writeln!(ids, "{id}").unwrap();
        }
    }
    drop(ids);
    let judged = Command::new("python3").arg(check).arg(&bucket).arg(&ids_file).output().unwrap();
    let verdict = String::from_utf8_lossy(&judged.stdout).into_owned();
    assert!(judged.status.success(), "{verdict}");

    let (_, list, _) = site.verb(&["quarantine", "list", "--json"]).unwrap();
    for bad in manifest["bad_files"].as_array().unwrap() {
        let key = bad["key"].as_str().unwrap();
        assert!(list.contains(key), "{bad} is not named in the quarantine");
    }
    let status = site.agent_status().unwrap();
    assert_eq!(
        status.objects.quarantined.values().sum::<u64>(),
        manifest["bad_files"].as_array().unwrap().len() as u64
    );
}
