//! CloudTrail's own digests: verified where they are read, and taken only when their signature holds.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use orgtrail_cli::generate::{FileKind, Manifest, PUBLIC_KEYS, Plan};
use orgtrail_tests::site::Site;

fn small() -> Plan {
    Plan { accounts: 3, hours: 2, corrupt_share: 0.0, ..Plan::default() }.with_records(1_000)
}

/// Has the agent verify the digests of all sources with this file.
fn verify_with(site: &Site, manifest: &Manifest, keys: &Path) {
    let sources = manifest.sources.iter().map(|source| {
        let folder = source.folder(&site.sources());
        format!(
            "[[sources]]\nlocation = \"file://{}\"\ndigest_keys = \"file://{}\"\n",
            folder.display(),
            keys.display()
        )
    });
    site.write_agent("agent.toml", "acme", &sources.collect::<String>()).unwrap();
}

/// A site whose agent has the public keys of its digests.
fn with_keys() -> (Site, Manifest) {
    let (site, manifest) = Site::generated(&small()).unwrap();
    verify_with(&site, &manifest, &site.sources().join(PUBLIC_KEYS));
    (site, manifest)
}

/// The files of one kind.
fn files(site: &Site, manifest: &Manifest, kind: FileKind) -> Vec<PathBuf> {
    let others = manifest.others.iter().filter(|file| file.kind == kind);
    others.map(|file| site.sources().join(&file.bucket).join(&file.key)).collect()
}

/// The file with an object's user metadata.
fn metadata(path: &Path) -> PathBuf {
    path.with_file_name(format!(".orgtrail-meta-{}", path.file_name().unwrap().to_str().unwrap()))
}

#[test]
fn verified_digests_and_insight_files_are_taken_and_accounted_for() {
    let (site, manifest) = with_keys();
    let (code, output) = site.run_once().unwrap();
    assert_eq!(code, 0, "{output}");
    let objects = site.agent_status().unwrap().objects;
    assert!(objects.is_conserved(), "{objects:?}");
    assert!(manifest.count(FileKind::Digest) > 0 && manifest.count(FileKind::Insight) > 0);
    assert_eq!(objects.listed, manifest.files_total());
    let foreign = BTreeMap::from([("foreign".to_owned(), manifest.count(FileKind::Foreign))]);
    assert_eq!((objects.skipped, objects.quarantined), (foreign, BTreeMap::new()));
    assert_eq!((objects.done, objects.delivered), (objects.listed - manifest.count(FileKind::Foreign), objects.done));
    let (_, said, errors) = site.verb(&["status"]).unwrap();
    let verified = format!("source digests: {} verified", manifest.count(FileKind::Digest));
    assert!(said.contains(&verified), "{verified} is missing: {said}\n{errors}");
}

#[test]
fn a_digest_that_was_tampered_with_is_put_aside_and_told_and_holds_nothing_up() {
    let (site, manifest) = with_keys();
    let digests = files(&site, &manifest, FileKind::Digest);
    // Another hour's signature: the list is not the one that was signed.
    std::fs::copy(metadata(&digests[1]), metadata(&digests[0])).unwrap();
    std::fs::remove_file(metadata(&digests[2])).unwrap();
    std::fs::copy(&digests[4], &digests[3]).unwrap();
    let mut aggregator = site.aggregator().unwrap();
    let mut agent = site.agent_once().unwrap().expecting_errors();
    assert_eq!(agent.wait().unwrap().code(), Some(2), "{}", agent.output());
    assert!(aggregator.stop().unwrap().success());
    let told = agent.output();
    for (digest, reason) in digests.iter().zip(["digest_signature", "", "digest_metadata", "digest_moved"]) {
        let name = digest.file_name().unwrap().to_str().unwrap();
        let error = told.lines().find(|line| line.contains("ERROR") && line.contains(name));
        assert_eq!(error.is_some_and(|line| line.contains(reason)), !reason.is_empty(), "{name}:\n{told}");
    }
    let objects = site.agent_status().unwrap().objects;
    let expected = ["digest_metadata", "digest_moved", "digest_signature"].map(|reason| (reason.to_owned(), 1));
    assert_eq!(objects.quarantined, BTreeMap::from(expected));
    assert!(objects.is_conserved());
    assert_eq!(objects.done + 3 + manifest.count(FileKind::Foreign), manifest.files_total());
    assert_eq!(site.delivered().unwrap().unique(), manifest.records);
}

#[test]
fn a_run_with_once_leaves_digests_whose_keys_it_cannot_read_and_the_next_takes_them() {
    let (site, manifest) = with_keys();
    let (keys, away) = (site.sources().join(PUBLIC_KEYS), site.root().join("away.json"));
    std::fs::rename(&keys, &away).unwrap();
    let (code, output) = site.run_once().unwrap();
    assert_eq!(code, 1, "{output}");
    let objects = site.agent_status().unwrap().objects;
    assert_eq!((objects.in_flight, objects.quarantined.len()), (manifest.count(FileKind::Digest), 0));
    assert_eq!(site.delivered().unwrap().unique(), manifest.records, "log files do not wait for digests");
    std::fs::rename(&away, &keys).unwrap();
    let (code, output) = site.run_once().unwrap();
    assert_eq!(code, 0, "{output}");
    assert_eq!(site.agent_status().unwrap().objects.in_flight, 0);
}

#[test]
fn a_running_agent_takes_digests_when_their_key_comes() {
    // Digests of this hour, so that they may wait.
    let plan = Plan { end: orgtrail_service::clock::system().now(), ..small() };
    let (site, manifest) = Site::generated(&plan).unwrap();
    let keys = site.root().join("keys.json");
    std::fs::write(&keys, "{\"PublicKeyList\":[]}").unwrap();
    verify_with(&site, &manifest, &keys);
    let mut aggregator = site.aggregator().unwrap();
    let mut agent = site.agent().unwrap();
    let digests = manifest.count(FileKind::Digest);
    let rest = manifest.files_total() - digests - manifest.count(FileKind::Foreign);
    wait(|| {
        let status = site.agent_status().ok()?;
        let waits = |(part, reason): (&String, &String)| part.contains("Digest") && reason.contains("no public key");
        (status.objects.done == rest && status.degraded.iter().any(waits)).then_some(())
    });
    assert_eq!(site.agent_status().unwrap().objects.in_flight, digests);
    std::fs::copy(site.sources().join(PUBLIC_KEYS), &keys).unwrap();
    wait(|| {
        let status = site.agent_status().ok()?;
        (status.objects.done == rest + digests && status.degraded.is_empty()).then_some(())
    });
    assert!(agent.stop().unwrap().success(), "{}", agent.output());
    assert!(aggregator.stop().unwrap().success());
}

fn wait(mut done: impl FnMut() -> Option<()>) {
    let began = Instant::now();
    while done().is_none() {
        assert!(began.elapsed() < Duration::from_secs(60), "it did not happen in a minute");
        std::thread::sleep(Duration::from_millis(100));
    }
}
