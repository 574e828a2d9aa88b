//! Digests by the real processes: over kills, stops and a change of the signing key.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::time::Duration;

use orgtrail_cli::generate::Plan;
use orgtrail_event::digest::{Content, Digest, sha256_hex};
use orgtrail_event::key::{ObjectKey, classify};
use orgtrail_tests::process::Process;
use orgtrail_tests::site::{Site, files};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

const KILLS: u32 = 50;

/// A site whose digests cover five seconds each.
fn site(records: u64, on_stop: bool) -> (Site, orgtrail_cli::generate::Manifest) {
    let plan = Plan { hours: 3, corrupt_share: 0.0, ..Plan::default() }.with_records(records);
    let (mut site, manifest) = Site::generated(&plan).unwrap();
    new_key(&mut site, "signing.pem");
    site.aggregator_more = format!(
        "[deliver]\nmerge_wait = \"100ms\"\n[digests]\ninterval = \"5s\"\ndelay = \"0s\"\non_stop = {on_stop}\n"
    );
    site.configure(&manifest.sources).unwrap();
    (site, manifest)
}

/// The trail signs with a new key from its next start on.
fn new_key(site: &mut Site, name: &str) {
    let key = site.root().join(name).display().to_string();
    let (code, output, errors) =
        orgtrail_tests::process::run("orgtrail", &["keys", "create", "--signing", &key]).unwrap();
    assert_eq!(code, 0, "{output}{errors}");
    let without: Vec<_> = site.trail.lines().filter(|line| !line.starts_with("signing_key_id")).collect();
    site.trail = format!("{}\nsigning_key_id = \"file://{key}\"\n", without.join("\n"));
}

/// All digests of the trail with the hex SHA-256 of their content, by account and region, oldest first; and the backfill
/// digests.
type Digests = BTreeMap<(String, String), Vec<(Digest, String)>>;

fn digests(root: &Path) -> (Digests, Vec<Digest>) {
    let (mut hourly, mut backfills) = (Digests::new(), Vec::new());
    for file in files(root) {
        let read = || {
            let bytes = std::fs::read(root.join(&file)).unwrap();
            let mut content = Content::new();
            let json = content.digest(&bytes).unwrap();
            (Digest::from_json(json).unwrap(), sha256_hex(json))
        };
        match classify(&file) {
            ObjectKey::Digest(key) => {
                hourly.entry((key.folder.account, key.folder.region)).or_default().push(read());
            }
            ObjectKey::BackfillDigest(_) => backfills.push(read().0),
            _ => {}
        }
    }
    for chain in hourly.values_mut() {
        chain.sort_by(|(a, _), (b, _)| a.digest_end_time.cmp(&b.digest_end_time));
    }
    (hourly, backfills)
}

/// Every chain is whole: no time without a digest, none twice; every log file of the trail is listed exactly once.
fn assert_whole(site: &Site) {
    let (chains, backfills) = digests(&site.trail_dir());
    assert!(!chains.is_empty());
    for (place, chain) in &chains {
        assert_eq!(chain[0].0.previous_digest_s3_object, None, "{place:?}");
        for pair in chain.windows(2) {
            let ((before, hash), (after, _)) = (&pair[0], &pair[1]);
            assert_eq!(after.digest_start_time, before.digest_end_time, "{place:?}");
            assert_eq!(after.previous_digest_s3_object.as_ref(), Some(&before.digest_s3_object), "{place:?}");
            assert_eq!(after.previous_digest_hash_value.as_ref(), Some(hash), "{place:?}");
        }
    }
    let mut listed: HashMap<&str, u32> = HashMap::new();
    let all = chains.values().flatten().map(|(digest, _)| digest).chain(&backfills);
    for file in all.flat_map(|digest| &digest.log_files) {
        *listed.entry(&file.s3_object).or_default() += 1;
    }
    assert_eq!(listed.values().filter(|count| **count > 1).count(), 0, "listed twice");
    assert_eq!(listed.len() as u64, site.aggregator_status().unwrap().trails[0].objects, "files that are listed");
    let (code, output, errors) = site.verb(&["validate-logs"]).unwrap();
    assert_eq!(code, 0, "{output}{errors}");
}

#[test]
fn fifty_kills_leave_no_time_without_a_digest_and_none_with_two() {
    let (site, manifest) = site(3_000, false);
    let mut random = StdRng::seed_from_u64(7);
    let mut agent = site.agent().unwrap();
    let mut aggregator: Option<Process> = None;
    for _ in 0..KILLS {
        let process = aggregator.insert(site.start("orgtrail-aggregator", "aggregator.toml", &[]).unwrap());
        std::thread::sleep(Duration::from_millis(random.random_range(100..700)));
        process.kill();
    }
    drop(aggregator);
    agent.kill();
    // A run in good order, long enough for the intervals that are missing.
    let mut aggregator = site.aggregator().unwrap();
    assert_eq!(site.agent_once().unwrap().wait().unwrap().code(), Some(0));
    std::thread::sleep(Duration::from_secs(7));
    assert!(aggregator.stop().unwrap().success());
    site.assert_delivered_exactly(&manifest).unwrap();
    let waiting = || site.aggregator_status().unwrap().trails[0].digests.clone().unwrap();
    assert!(waiting().digests > 0 && waiting().backfill_digests > 0, "{:?}", waiting());
    assert_whole(&site);
}

#[test]
fn a_new_signing_key_goes_on_with_the_chain_and_old_digests_stay_valid() {
    let (mut site, manifest) = site(800, true);
    let (code, output) = site.run_once().unwrap();
    assert_eq!(code, 0, "{output}");
    new_key(&mut site, "second.pem");
    site.configure(&manifest.sources).unwrap();
    let mut aggregator = site.aggregator().unwrap();
    std::thread::sleep(Duration::from_secs(6));
    assert!(aggregator.stop().unwrap().success());
    assert_whole(&site);
    let (chains, _) = digests(&site.trail_dir());
    let mut keys: Vec<_> =
        chains.values().flatten().map(|(digest, _)| digest.digest_public_key_fingerprint.clone()).collect();
    keys.sort_unstable();
    keys.dedup();
    assert_eq!(keys.len(), 2, "both keys signed");
    let (code, output, _) = site.verb(&["keys", "list"]).unwrap();
    assert!(code == 0 && keys.iter().all(|key| output.contains(key.as_str())), "{output}");
}

#[test]
fn every_log_file_and_digest_is_announced_in_cloudtrails_words() {
    let (mut site, manifest) = site(800, true);
    let topic = site.root().join("topic.ndjson");
    site.trail.push_str(&format!("sns_topic = \"file://{}\"\n", topic.display()));
    site.configure(&manifest.sources).unwrap();
    let (code, output) = site.run_once().unwrap();
    assert_eq!(code, 0, "{output}");
    let mut announced = Vec::new();
    for line in std::fs::read_to_string(&topic).unwrap().lines() {
        let message: serde_json::Map<String, serde_json::Value> = serde_json::from_str(line).unwrap();
        assert_eq!(message.keys().collect::<Vec<_>>(), ["s3Bucket", "s3ObjectKey"]);
        assert_eq!(message["s3Bucket"], "org-trail");
        let keys = message["s3ObjectKey"].as_array().unwrap();
        announced.extend(keys.iter().map(|key| key.as_str().unwrap().to_owned()));
    }
    announced.sort_unstable();
    assert_eq!(announced, files(&site.trail_dir()));
}
