//! What the generator promises its users.

#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};

use orgtrail_event::digest::{Content, DigestRead, PublicKeys, verify_digest};
use orgtrail_event::gzip::Inflater;
use orgtrail_event::key::{self, Layout, ObjectKey};
use orgtrail_event::log_file::{self, Item, Limits};
use serde_json::Value;
use tempfile::TempDir;

use super::schedule::{Work, schedule};
use super::template::Scene;
use super::*;

/// Small enough for an unoptimised build, large enough for every kind of file.
fn small() -> Plan {
    Plan {
        accounts: 4,
        regions: ["us-east-1", "eu-west-1"].map(str::to_owned).to_vec(),
        hours: 14,
        files_per_hour: 1.3,
        events_per_file: Size { fat_share: 0.01, fat: (500, 700), typical: 20, ..Size::MIXED },
        corrupt_share: 0.08,
        ..Plan::default()
    }
}

fn made(plan: &Plan) -> (TempDir, Manifest) {
    let out = TempDir::new().unwrap();
    let manifest = generate(plan, out.path(), &mut |_| {}).unwrap();
    (out, manifest)
}

/// Every file below `dir` with its bytes.
fn contents(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    event_ids::walk(dir, &mut |path| {
        found.insert(path.strip_prefix(dir).unwrap().to_owned(), fs::read(path)?);
        Ok(())
    })
    .unwrap();
    found
}

#[test]
fn same_plan_gives_the_same_bytes() {
    let ((first, manifest), (second, again)) = (made(&small()), made(&small()));
    assert_eq!(manifest, again);
    assert!(contents(first.path()) == contents(second.path()));
    let (other, _) = made(&Plan { seed: 2, ..small() });
    assert!(contents(first.path()) != contents(other.path()));
}

#[test]
fn manifest_says_what_a_reader_finds() {
    let (out, manifest) = made(&small());
    let found = event_ids(out.path()).unwrap();
    assert_eq!(found.unique(), manifest.records);
    assert_eq!(found.records, manifest.records_written);
    assert_eq!(found.without_id, 0);
    assert_eq!(manifest.duplicates, manifest.records_written - manifest.records);
    assert!(manifest.duplicates > 0);
    let readable: u64 = manifest.files.iter().filter(|(kind, _)| kind.is_readable_log()).map(|(_, count)| count).sum();
    assert_eq!(found.files, readable);
    let damaged: BTreeSet<PathBuf> = found.unreadable.iter().map(|file| file.path.clone()).collect();
    let said = manifest.corrupt.iter().map(|file| out.path().join(&file.bucket).join(&file.key)).collect();
    assert_eq!(damaged, said);
    let mut by_account = BTreeMap::new();
    for source in &manifest.sources {
        for account in &source.accounts {
            let folder = source.path(out.path(), &source.region_folder(account, "CloudTrail", ""));
            by_account.insert(account.clone(), event_ids(&folder).unwrap().unique());
        }
    }
    assert_eq!(by_account, manifest.by_account);
    assert_eq!(by_account.values().sum::<u64>(), manifest.records, "no record occurs in two accounts");
    assert_eq!(Manifest::load(out.path()).unwrap(), manifest);
    // A digest's signature stands beside it, the manifest and the public keys beside the buckets.
    let signatures = manifest.count(FileKind::Digest);
    assert_eq!(contents(out.path()).len() as u64, manifest.files_total() + signatures + 2);
}

#[test]
fn every_kind_of_file_damage_and_layout_occurs() {
    let (out, manifest) = made(&small());
    for kind in [
        FileKind::Log,
        FileKind::Late,
        FileKind::Redelivered,
        FileKind::SecondTrail,
        FileKind::Corrupt,
        FileKind::Digest,
        FileKind::Insight,
        FileKind::Foreign,
    ] {
        assert!(manifest.count(kind) > 0, "no {kind:?}");
    }
    let damages: BTreeSet<Corruption> = manifest.corrupt.iter().map(|file| file.kind).collect();
    assert_eq!(damages.len(), Corruption::ALL.len());
    let mut layouts = BTreeSet::new();
    let mut counted = BTreeMap::new();
    for path in contents(out.path()).into_keys() {
        let text = path.to_str().unwrap();
        let Some((_, object_key)) = text.split_once('/').filter(|(_, key)| !key.contains("/.orgtrail-")) else {
            continue;
        };
        let kind = match key::classify(object_key) {
            ObjectKey::Log(log) => {
                layouts.insert(log.folder.layout().to_string());
                assert_eq!(log.to_string(), object_key);
                "log"
            }
            ObjectKey::Insight(_) => "insight",
            ObjectKey::Digest(_) => "digest",
            ObjectKey::BackfillDigest(_) => "backfill digest",
            ObjectKey::Foreign => "foreign",
        };
        *counted.entry(kind).or_insert(0) += 1;
    }
    let wanted = [Layout::Plain, Layout::Prefixed, Layout::ControlTower].map(|layout| layout.to_string());
    assert_eq!(layouts, BTreeSet::from(wanted));
    assert_eq!(counted["foreign"], manifest.count(FileKind::Foreign));
    assert_eq!(counted["digest"], manifest.count(FileKind::Digest));
    assert_eq!(counted["insight"], manifest.count(FileKind::Insight));
}

#[test]
fn every_delivered_file_is_listed_in_one_digest_and_every_digest_verifies() {
    let (out, manifest) = made(&small());
    let keys = PublicKeys::from_json(&fs::read(out.path().join(PUBLIC_KEYS)).unwrap()).unwrap();
    let (mut content, mut listed, mut hashes) = (Content::new(), BTreeMap::new(), BTreeMap::new());
    let mut chained = Vec::new();
    for OtherFile { bucket, key, .. } in manifest.others.iter().filter(|file| file.kind == FileKind::Digest) {
        let path = out.path().join(bucket).join(key);
        let gz = fs::read(&path).unwrap();
        let name = format!(".orgtrail-meta-{}", path.file_name().unwrap().to_str().unwrap());
        let metadata: BTreeMap<String, String> =
            serde_json::from_slice(&fs::read(path.with_file_name(name)).unwrap()).unwrap();
        let read = DigestRead {
            bucket,
            key,
            gz: &gz,
            signature: None,
            signature_algorithm: None,
            backfill_timestamp: None,
            home_region: "us-east-1",
            moved: false,
        };
        let read = read.with_metadata(|name| metadata.get(name).map(String::as_str));
        let (digest, hash) = verify_digest(&read, &keys, &mut content).unwrap();
        hashes.insert(key.clone(), hash);
        chained.extend(digest.previous_digest_s3_object.zip(digest.previous_digest_hash_value));
        for file in digest.log_files {
            let gz = fs::read(out.path().join(bucket).join(&file.s3_object)).unwrap();
            assert_eq!(content.verify_log(&gz, &file.hash_value), Ok(()), "{}", file.s3_object);
            assert!(file.oldest_event_time <= file.newest_event_time && file.oldest_event_time.is_some());
            assert_eq!(listed.insert((bucket, file.s3_object), ()), None, "listed once");
        }
    }
    assert!(chained.iter().all(|(key, hash)| hashes[key] == *hash));
    assert_eq!(hashes.len() - chained.len(), 8, "one chain for each account and region");
    let readable: u64 = manifest.files.iter().filter(|(kind, _)| kind.is_readable_log()).map(|(_, count)| count).sum();
    assert_eq!(listed.len() as u64, readable);
}

/// What a generated file is by its place below the output.
fn key_of(path: &Path) -> Option<ObjectKey> {
    let (_, key) = path.to_str()?.split_once('/')?;
    Some(key::classify(key))
}

/// Every different record of a folder, by event id.
fn records(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    let (mut inflater, mut json) = (Inflater::new(), Vec::new());
    for (path, gz) in contents(dir) {
        json.clear();
        if !path.to_str().unwrap().contains("_CloudTrail_") || inflater.inflate(&gz, 1 << 30, &mut json).is_err() {
            continue;
        }
        let Ok(items) = log_file::read(&json, &Limits::default()) else { continue };
        for item in items {
            if let Item::Record(record) = item {
                let id = record.header.event_id.clone().unwrap().into_owned();
                let earlier = found.insert(id.clone(), record.raw.to_vec());
                assert!(earlier.is_none_or(|raw| raw == record.raw), "{id} stands for two different records");
            }
        }
    }
    found
}

#[test]
fn records_have_the_sizes_and_the_oddities_of_real_ones() {
    let (out, manifest) = made(&small());
    let records = records(out.path());
    let mut sizes: Vec<usize> = records.values().map(Vec::len).collect();
    sizes.sort_unstable();
    let (median, largest) = (sizes[sizes.len() / 2], sizes[sizes.len() - 1]);
    // Measured on 31,481 public records: 1,562.
    assert!((1_300..1_600).contains(&median), "median {median}");
    assert!((100_000..256_000).contains(&largest), "largest {largest}");
    assert_eq!(sizes.iter().filter(|size| **size > 100_000).count(), 1);
    // Signatures don't compress: digests have another ratio.
    let is_digest = |path: &Path| matches!(key_of(path), Some(ObjectKey::Digest(_)));
    let digests: usize =
        contents(out.path()).iter().filter(|(path, _)| is_digest(path)).map(|(_, bytes)| bytes.len()).sum();
    let ratio = manifest.json_bytes as f64 / (manifest.stored_bytes - digests as u64) as f64;
    assert!((4.5..9.0).contains(&ratio), "gzip ratio {ratio}");
    let all: Vec<u8> = records.values().flat_map(|raw| [raw.as_slice(), b"\n"].concat()).collect();
    let all = String::from_utf8(all).unwrap();
    for shape in [
        "\"requestParameters\":\"null\"",
        "\"userIdentity\":{\"accountId\"",
        "Köln",
        "\\u0026",
        "\u{202f}",
        ".0,\"SSEApplied\"",
        "\"recipientAccountId\":\"001122334455\"",
        "\"eventVersion\":\"1.02\"",
        "\"eventVersion\":\"1.11\"",
        "2001:db8:",
    ] {
        assert!(all.contains(shape), "no {shape}");
    }
}

#[test]
fn every_template_writes_a_whole_record() {
    let organization = Organization::new(&small());
    let repertoire = Repertoire::new();
    let mut random = Random::new(7, "templates");
    let mut names = BTreeSet::new();
    for entry in repertoire.entries() {
        for account in &organization.accounts {
            let mut out = Vec::new();
            let scene = Scene { account, region: "eu-west-1", time: 1_772_365_500 };
            entry.template.render(&scene, &mut random, &mut out);
            let record: Value = serde_json::from_slice(&out).unwrap_or_else(|error| {
                panic!("{error} in {}", String::from_utf8_lossy(&out));
            });
            assert_eq!(record["eventTime"], "2026-03-01T11:45:00Z");
            assert_eq!(record["recipientAccountId"], account.id);
            assert_eq!(record["eventID"].as_str().unwrap().len(), 36);
            assert!(record["userIdentity"].is_object() && record["eventVersion"].is_string());
            assert!(!String::from_utf8(out).unwrap().contains("{{"));
            names.insert(format!("{}/{}", record["eventSource"], record["eventName"]));
        }
    }
    assert!(names.len() >= 70, "{} kinds of calls", names.len());
}

#[test]
fn the_demo_plan_makes_about_forty_thousand_records() {
    let plan = Plan::default();
    let jobs = schedule(&plan, &Organization::new(&plan));
    let count = |work: &Work| match work {
        Work::Log(records) | Work::Late(records) => *records,
        _ => 0,
    };
    let records: u32 = jobs.iter().map(|job| count(&job.work)).sum();
    assert!((35_000..45_000).contains(&records), "{records} records");
    assert!((700..1_400).contains(&jobs.len()), "{} files", jobs.len());
    let damages: BTreeSet<_> =
        jobs.iter().filter_map(|job| if let Work::Corrupt(kind) = job.work { Some(kind) } else { None }).collect();
    assert_eq!(damages.len(), Corruption::ALL.len());
    assert!(jobs.iter().all(|job| job.stamp <= plan.end.as_second() && job.stamp % 300 == 0));
}

#[test]
fn a_plan_for_so_many_records_makes_about_so_many() {
    for events_per_file in [Size::TINY, Size::FAT, Size::MIXED] {
        let plan = Plan { events_per_file, ..Plan::default() }.with_records(500_000);
        let jobs = schedule(&plan, &Organization::new(&plan));
        let records: u64 = jobs
            .iter()
            .map(|job| if let Work::Log(records) | Work::Late(records) = job.work { u64::from(records) } else { 0 })
            .sum();
        assert!((420_000..580_000).contains(&records), "{records} records");
    }
}

#[test]
fn late_delivery_stands_under_an_older_key_than_all_before() {
    let (out, manifest) = made(&small());
    let before = contents(out.path());
    let first = late_delivery(&small(), out.path(), (0, 1), 3).unwrap();
    let second = late_delivery(&small(), out.path(), (0, 1), 3).unwrap();
    let folder = first.key.split_inclusive('/').take(4).collect::<String>();
    for path in before.keys() {
        let key = path.strip_prefix(&first.bucket).map(|key| key.to_str().unwrap()).unwrap_or_default();
        assert!(!key.starts_with(&folder) || key.ends_with(".txt") || key > first.key.as_str(), "{key}");
    }
    assert!(second.key < first.key);
    assert_eq!(first.event_ids.len(), 3);
    let found = event_ids(out.path()).unwrap();
    assert_eq!(found.unique(), manifest.records + 6);
    assert!(first.event_ids.iter().all(|id| found.counts.contains_key(id)));
    assert!(first.path.is_file());
}

#[test]
fn progress_ends_at_the_total() {
    let out = TempDir::new().unwrap();
    let mut seen = Vec::new();
    let manifest = generate(&small(), out.path(), &mut |progress| seen.push(progress)).unwrap();
    let last = seen.last().unwrap();
    assert_eq!((last.files, last.files_total), (manifest.files_total(), manifest.files_total()));
    assert_eq!((last.records, last.bytes), (manifest.records_written, manifest.stored_bytes));
    assert!(seen.windows(2).all(|pair| pair[0].files + 1 == pair[1].files));
}

#[test]
fn an_organization_is_never_written_over_another() {
    let (out, _) = made(&small());
    let error = generate(&small(), out.path(), &mut |_| {}).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
}

#[test]
fn impossible_plans_are_refused() {
    let out = TempDir::new().unwrap();
    for plan in [
        Plan { accounts: 0, ..small() },
        Plan { regions: Vec::new(), ..small() },
        Plan { late_share: 1.5, ..small() },
        Plan { end: Timestamp::MIN, ..small() },
        Plan { hours: u32::MAX, ..small() },
        Plan { files_per_hour: f64::NAN, ..small() },
    ] {
        let error = generate(&plan, out.path(), &mut |_| {}).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput, "{error}");
    }
    assert_eq!(contents(out.path()).len(), 0);
}
