//! What is missing, changed or late at the source is named exactly, and nothing else is.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use orgtrail_agent::status::{Completeness, GapKind, Proved};
use orgtrail_cli::generate::{FileKind, PUBLIC_KEYS, Plan};
use orgtrail_event::gzip::{Deflater, Inflater};
use orgtrail_tests::site::{Site, files};
use serde_json::Value;

/// A site whose agent has the keys of its digests, and the paths of its buckets.
fn generated() -> (Site, Vec<PathBuf>) {
    let plan = Plan { accounts: 3, hours: 6, corrupt_share: 0.0, ..Plan::default() }.with_records(3_000);
    let (site, manifest) = Site::generated(&plan).unwrap();
    assert!(manifest.count(FileKind::Digest) > 0);
    let folders: Vec<_> = manifest.sources.iter().map(|source| source.folder(&site.sources())).collect();
    verify_with(&site, &folders, &site.sources().join(PUBLIC_KEYS));
    (site, folders)
}

fn verify_with(site: &Site, folders: &[PathBuf], keys: &Path) {
    let source = |folder: &PathBuf| {
        let (folder, keys) = (folder.display(), keys.display());
        format!("[[sources]]\nlocation = \"file://{folder}\"\ndigest_keys = \"file://{keys}\"\n")
    };
    let sources: String = folders.iter().map(source).collect();
    site.write_agent("agent.toml", "acme", &sources).unwrap();
    site.write_aggregator("[[agents]]\nname = \"acme\"\naccounts = [\"*\"]\n").unwrap();
}

/// Runs both processes until nothing is left to do; the agent may tell errors.
fn run(site: &Site) -> i32 {
    let mut aggregator = site.aggregator().unwrap();
    let mut agent = site.agent_once().unwrap().expecting_errors();
    let code = agent.wait().unwrap().code().unwrap_or(-1);
    assert!(aggregator.stop().unwrap().success(), "{}", aggregator.output());
    code
}

/// What `orgtrail completeness` says.
fn completeness(site: &Site) -> (i32, Vec<Completeness>) {
    let (code, said, errors) = site.verb(&["completeness", "--json"]).unwrap();
    let said: Value = serde_json::from_str(&said).unwrap_or_else(|_| panic!("{said}\n{errors}"));
    assert_eq!(said["complete"].as_bool(), Some(code == 0));
    (code, serde_json::from_value(said["rows"].clone()).unwrap())
}

/// The gaps that have an object, by their kind.
fn gaps(rows: &[Completeness]) -> BTreeMap<GapKind, BTreeSet<String>> {
    let mut gaps: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
    for gap in rows.iter().flat_map(|row| &row.gaps) {
        assert!(gaps.entry(gap.kind).or_default().insert(gap.key.clone().unwrap()), "told twice: {gap:?}");
    }
    gaps
}

/// Another record more, as somebody would write who hides what happened.
fn tamper(path: &Path) {
    let mut json = Vec::new();
    Inflater::new().inflate(&std::fs::read(path).unwrap(), 1 << 30, &mut json).unwrap();
    let json = String::from_utf8(json).unwrap().replacen("{\"Records\":[", "{\"Records\":[ ", 1);
    std::fs::write(path, Deflater::new(6).deflate(json.as_bytes())).unwrap();
}

/// Every `step`-th log file of a bucket that digests list, from `first` on.
fn pick(logs: &[String], first: usize, count: usize) -> Vec<String> {
    logs.iter().skip(first).step_by(7).take(count).cloned().collect()
}

/// Log files, and digests that have one before and one behind them, by path.
fn listed(bucket: &Path) -> (Vec<String>, Vec<String>) {
    let all = files(bucket);
    let logs: Vec<_> = all.iter().filter(|file| file.contains("/CloudTrail/")).cloned().collect();
    let digests: Vec<_> = all.iter().filter(|file| file.contains("/CloudTrail-Digest/")).cloned().collect();
    let folder = |file: &String| file.rsplit_once('/').unwrap().0.to_owned();
    let inner = digests.windows(3).filter(|three| folder(&three[0]) == folder(&three[2]));
    let inner = inner.map(|three| three[1].clone()).collect();
    (logs, inner)
}

#[test]
fn an_untouched_organization_is_complete_up_to_its_last_digest() {
    let (site, _) = generated();
    assert_eq!(run(&site), 0);
    let (code, rows) = completeness(&site);
    assert_eq!(code, 2, "the generated hours are long past: the next digests are overdue");
    let proved = |row: &Completeness| row.gaps_total == 0 && row.complete_until == row.verified_until;
    assert!(!rows.is_empty() && rows.iter().all(|row| proved(row) && row.proved == Proved::Overdue), "{rows:#?}");
    let (log_files, digests): (u64, u64) = rows.iter().fold((0, 0), |(l, d), row| (l + row.log_files, d + row.digests));
    let bucket_files = files(&site.sources());
    let count = |folder: &str| bucket_files.iter().filter(|file| file.contains(folder)).count() as u64;
    let done = site.agent_status().unwrap().objects.done;
    assert_eq!(digests, count("/CloudTrail-Digest/"));
    assert_eq!(log_files, done - digests - count("/CloudTrail-Insight/"), "digests list all log files");
    let (_, said, _) = site.verb(&["completeness"]).unwrap();
    assert!(said.contains("COMPLETE UNTIL") && said.contains("OVERDUE") && said.contains("acme-trail"), "{said}");
}

#[test]
fn removed_changed_and_late_files_are_each_named_and_forgotten_when_they_are_mended() {
    let (site, folders) = generated();
    let mut expected: BTreeMap<GapKind, BTreeSet<String>> = BTreeMap::new();
    let mut put_back = Vec::new();
    let away = site.root().join("away");
    std::fs::create_dir_all(&away).unwrap();
    for bucket in &folders {
        let (logs, digests) = listed(bucket);
        for key in pick(&logs, 0, 3) {
            let kept = away.join(key.replace('/', "_"));
            std::fs::rename(bucket.join(&key), &kept).unwrap();
            put_back.push((kept, bucket.join(&key)));
            expected.entry(GapKind::LogMissing).or_default().insert(key);
        }
        for key in pick(&logs, 1, 2) {
            let kept = away.join(key.replace('/', "_"));
            std::fs::copy(bucket.join(&key), &kept).unwrap();
            tamper(&bucket.join(&key));
            put_back.push((kept, bucket.join(&key)));
            expected.entry(GapKind::LogHashDiffers).or_default().insert(key);
        }
        let kept = away.join("digest");
        if let Some(key) = digests.first().filter(|_| !kept.exists()) {
            std::fs::rename(bucket.join(key), &kept).unwrap();
            put_back.push((kept, bucket.join(key)));
            expected.entry(GapKind::DigestMissing).or_default().insert(key.clone());
        }
    }
    assert_eq!(run(&site), 2, "missing and tampered files are in quarantine");
    let (code, rows) = completeness(&site);
    let found = gaps(&rows);
    // A digest that is missing takes its log files out of the proof; they are named by nothing.
    for (kind, keys) in &expected {
        let found = found.get(kind).cloned().unwrap_or_default();
        assert!(found.is_subset(keys), "{kind:?}: {:?} is too much", found.difference(keys));
        let unnamed: Vec<_> = keys.difference(&found).collect();
        assert!(unnamed.len() <= 2 && (*kind != GapKind::DigestMissing || unnamed.is_empty()), "{kind:?}: {unnamed:?}");
    }
    assert_eq!((code, found.len()), (2, 3), "{found:?}");
    let (_, list, _) = site.verb(&["quarantine", "list", "--json"]).unwrap();
    for key in found.values().flatten() {
        assert!(list.contains(key.as_str()), "{key} is not in quarantine");
    }
    let (_, said, _) = site.verb(&["completeness", "--gaps"]).unwrap();
    assert!(said.contains("log_hash_differs") && said.contains("log_missing") && said.contains("digest_missing"));
    assert!(site.agent_status().unwrap().objects.is_conserved());

    // Everything comes, late.
    for (kept, path) in put_back {
        let bytes = std::fs::read(kept).unwrap();
        std::fs::File::create(path).unwrap().write_all(&bytes).unwrap();
    }
    assert_eq!(run(&site), 0, "{:#?}", site.agent_status().unwrap().quarantine);
    let (_, rows) = completeness(&site);
    assert!(rows.iter().all(|row| row.gaps_total == 0 && row.complete_until == row.verified_until), "{rows:#?}");
    assert!(site.agent_status().unwrap().objects.is_conserved());
}

#[test]
fn a_missing_file_is_named_also_where_its_whole_folder_is_gone() {
    let (site, folders) = generated();
    let (logs, _) = listed(&folders[0]);
    let folder = logs[0].split("/20").next().unwrap().to_owned();
    let here: Vec<_> = logs.iter().filter(|key| key.starts_with(&folder)).collect();
    let digests = folders[0].join(folder.replace("/CloudTrail/", "/CloudTrail-Digest/"));
    let (away, missing) = (site.root().join("away"), here[here.len() - 1].clone());
    std::fs::rename(&digests, &away).unwrap();
    std::fs::remove_file(folders[0].join(&missing)).unwrap();
    assert_eq!(run(&site), 0, "nobody says yet that something is missing");
    // What was taken is gone too, and so no walk finds the folder any more.
    std::fs::remove_dir_all(folders[0].join(&folder)).unwrap();
    std::fs::rename(&away, &digests).unwrap();
    assert_eq!(run(&site), 2);
    let named = gaps(&completeness(&site).1);
    assert_eq!(named, BTreeMap::from([(GapKind::LogMissing, BTreeSet::from([missing]))]));
}

#[test]
fn sources_without_digests_are_unprovable_and_readiness_fails_on_gaps_where_it_shall() {
    let (site, folders) = generated();
    let gone = listed(&folders[0]).0[0].clone();
    std::fs::remove_file(folders[0].join(&gone)).unwrap();
    site.configure_locations(&folders).unwrap();
    assert_eq!(run(&site), 0, "digests are skipped, nobody knows what is missing");
    let (code, rows) = completeness(&site);
    assert!(code == 2 && rows.iter().all(|row| row.proved == Proved::Unprovable), "{rows:#?}");
    let (code, _, _) = site.verb(&["completeness", "--allow-unprovable"]).unwrap();
    assert_eq!(code, 0);

    let (mut site, keys) = (site, folders[0].parent().unwrap().join(PUBLIC_KEYS));
    site.agent_more.push_str("[completeness]\nunready_on_gaps = true\n");
    verify_with(&site, &folders, &keys);
    let mut aggregator = site.aggregator().unwrap();
    let mut agent = site.agent().unwrap();
    let began = std::time::Instant::now();
    loop {
        assert!(began.elapsed().as_secs() < 90, "readiness did not fail: {}", agent.output());
        std::thread::sleep(std::time::Duration::from_millis(200));
        let Ok(status) = site.agent_status() else { continue };
        let degraded = status.degraded.get("completeness");
        if degraded.is_some_and(|reason| reason.contains("log_missing")) {
            break;
        }
    }
    assert!(agent.stop().unwrap().success(), "{}", agent.output());
    assert!(aggregator.stop().unwrap().success());
}

/// The reference organization, where its tool and what that needs are there.
#[test]
fn removed_changed_and_late_files_of_a_reference_organization_are_each_named() {
    let tool = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/tools/gen_org.py");
    if !tool.exists() {
        eprintln!("skipped: {} is not there", tool.display());
        return;
    }
    let site = Site::new();
    let bucket = site.sources().join("bucket");
    let made = Command::new("python3")
        .arg(tool)
        .args(["--accounts", "2", "--hours", "8", "--files-per-hour", "3", "--events-per-file", "15"])
        .args(["--regions", "us-east-1,eu-west-1", "--dup-rate", "0.05", "--bad-rate", "0", "--digests", "--out"])
        .arg(&bucket)
        .output()
        .unwrap();
    if !made.status.success() {
        eprintln!("skipped: {}", String::from_utf8_lossy(&made.stderr));
        return;
    }
    write_metadata(&bucket);
    let (logs, digests) = listed(&bucket);
    let (removed, changed) = (pick(&logs, 2, 4), pick(&logs, 4, 4));
    for key in &removed {
        std::fs::remove_file(bucket.join(key)).unwrap();
    }
    changed.iter().for_each(|key| tamper(&bucket.join(key)));
    let late = pick(&logs, 6, 3);
    let held: Vec<_> = late.iter().map(|key| std::fs::read(bucket.join(key)).unwrap()).collect();
    late.iter().for_each(|key| std::fs::remove_file(bucket.join(key)).unwrap());
    verify_with(&site, std::slice::from_ref(&bucket), &bucket.join("public_keys.json"));
    assert_eq!(run(&site), 2);
    let set = |keys: &[&Vec<String>]| keys.iter().flat_map(|keys| keys.iter().cloned()).collect::<BTreeSet<_>>();
    let missing = (GapKind::LogMissing, set(&[&removed, &late]));
    let differing = (GapKind::LogHashDiffers, set(&[&changed]));
    assert_eq!(gaps(&completeness(&site).1), BTreeMap::from([missing, differing.clone()]));
    for (key, bytes) in late.iter().zip(held) {
        std::fs::write(bucket.join(key), bytes).unwrap();
    }
    assert!(!digests.is_empty() && run(&site) == 2);
    let missing = (GapKind::LogMissing, set(&[&removed]));
    assert_eq!(gaps(&completeness(&site).1), BTreeMap::from([missing, differing]));
}

/// A folder keeps an object's user metadata in a file beside it; the tool writes them all into one.
fn write_metadata(bucket: &Path) {
    for line in std::fs::read_to_string(bucket.join("digests.jsonl")).unwrap().lines() {
        let digest: Value = serde_json::from_str(line).unwrap();
        let path = bucket.join(digest["key"].as_str().unwrap());
        let members = digest.as_object().unwrap().iter();
        let metadata = members.filter_map(|(name, value)| Some((name.strip_prefix("x-amz-meta-")?, value)));
        let metadata: BTreeMap<_, _> = metadata.collect();
        let name = format!(".orgtrail-meta-{}", path.file_name().unwrap().to_str().unwrap());
        std::fs::write(path.with_file_name(name), serde_json::to_vec(&metadata).unwrap()).unwrap();
    }
}
