//! A trail's objects delivered again to a trail that was added later: exactly once, whatever is killed.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use orgtrail_cli::generate::{Manifest, Plan, event_ids};
use orgtrail_event::digest::sha256_hex;
use orgtrail_event::gzip::Inflater;
use orgtrail_event::key::{ObjectKey, classify};
use orgtrail_event::log_file::{Item, Limits, read};
use orgtrail_tests::process::{Process, run};
use orgtrail_tests::site::{ORGANIZATION, Site, files};
use serde_json::Value;

use crate::trails::{Held, counted, held};

/// Records of the range that the tests replay: its end lies within the deliveries.
const FROM: &str = "2000-01-01";

/// A site whose trail was delivered before a second one, `mirror`, was added to the configuration.
fn with_mirror(records: u64) -> (Site, Manifest, PathBuf) {
    with_second(records, "event_selectors = \"all\"\n")
}

/// The same, where these lines say what the second one takes.
fn with_second(records: u64, selectors: &str) -> (Site, Manifest, PathBuf) {
    let plan = Plan { hours: 6, corrupt_share: 0.0, ..Plan::default() }.with_records(records);
    let (mut site, manifest) = Site::generated(&plan).unwrap();
    site.aggregator_more = "[deliver]\nmerge_wait = \"300ms\"\nplan_bytes = \"200KiB\"\n".to_owned();
    site.configure(&manifest.sources).unwrap();
    let (code, output) = site.run_once().unwrap();
    assert_eq!(code, 0, "{output}");
    let mirror = site.root().join("mirror");
    site.aggregator_more = format!(
        "[[trails]]\nname = \"mirror\"\norganization_id = \"{ORGANIZATION}\"\nlocation = \"file://{}\"\n{selectors}{}",
        mirror.display(),
        site.aggregator_more
    );
    site.configure(&manifest.sources).unwrap();
    (site, manifest, mirror)
}

fn ask<'a>(from: &'a str, to: &'a str) -> Vec<&'a str> {
    vec!["replay", "--trail", "org-trail", "--destination", "mirror", "--from", from, "--to", to, "--json"]
}

/// Names and hashes of a trail's objects.
fn objects(folder: &Path) -> BTreeMap<String, String> {
    let hash = |key: &String| sha256_hex(&std::fs::read(folder.join(key)).unwrap());
    files(folder).into_iter().map(|key| (key.clone(), hash(&key))).collect()
}

/// The stamps of a trail's objects, in order.
fn stamps(folder: &Path) -> Vec<i64> {
    let stamp = |key: &String| classify(key).into_log().unwrap().stamp.unix_seconds();
    let mut stamps: Vec<_> = objects(folder).keys().map(stamp).collect();
    stamps.sort_unstable();
    stamps
}

fn records(gzip: &[u8]) -> u64 {
    let mut json = Vec::new();
    Inflater::new().inflate(gzip, usize::MAX, &mut json).unwrap();
    read(&json, &Limits::default()).unwrap().filter(|item| matches!(item, Item::Record(_))).count() as u64
}

/// Records of all kinds.
fn all(manifest: &Manifest) -> u64 {
    manifest.records + manifest.insight_records
}

/// Both trails' ledgers balance; what the mirror was sent again.
fn balanced(site: &Site, manifest: &Manifest) -> u64 {
    let status = site.aggregator_status().unwrap();
    for trail in &status.trails {
        assert!(trail.balanced && trail.pending == 0, "{trail:?}");
    }
    assert_eq!(status.trails[0].delivered, all(manifest));
    assert_eq!((status.trails[1].delivered, status.trails[1].before), (0, all(manifest)));
    status.trails[1].replayed
}

#[test]
fn a_trail_that_was_added_gets_a_range_exactly_once_and_a_second_replay_doubles_nothing() {
    let (site, manifest, mirror) = with_mirror(4_000);
    let mut aggregator = site.aggregator().unwrap();
    // The range ends between the objects' stamps, at a whole minute.
    let stamps = stamps(&site.trail_dir());
    let cut = stamps[stamps.len() / 2];
    let to = jiff::Timestamp::from_second(cut).unwrap().to_string();
    let of_the_range = |key: &str| classify(key).into_log().unwrap().stamp.unix_seconds() < cut;
    let mut expected = objects(&site.trail_dir());
    expected.retain(|key, _| of_the_range(key));
    let held: u64 = expected.keys().map(|key| records(&std::fs::read(site.trail_dir().join(key)).unwrap())).sum();
    assert!(held > 0 && held < manifest.records);

    for round in 1..=2 {
        let (code, said, errors) = site.verb(&ask(FROM, &to)).unwrap();
        assert_eq!(code, 0, "{said}\n{errors}");
        let job: Value = serde_json::from_str(&said).unwrap();
        assert_eq!((job["state"].as_str(), job["progress"]["records"].as_u64()), (Some("done"), Some(held)), "{job}");
        assert_eq!(objects(&mirror), expected, "round {round}: the same names, the same bytes");
    }
    // The other half.
    let (code, said, errors) = site.verb(&ask(&to, "2100-01-01")).unwrap();
    assert_eq!(code, 0, "{said}\n{errors}");
    assert_eq!(objects(&mirror), objects(&site.trail_dir()));
    let ids = event_ids(&mirror).unwrap();
    assert!(ids.unique() == manifest.records && ids.counts.values().all(|count| *count == 1));

    let (code, list, _) = site.verb(&["replay", "--list"]).unwrap();
    assert_eq!((code, list.matches("done").count()), (0, 3), "{list}");
    assert!(aggregator.stop().unwrap().success());
    assert_eq!(balanced(&site, &manifest), held + all(&manifest));
    site.assert_delivered_exactly(&manifest).unwrap();
}

/// How often each log file is listed in the digests of a trail.
fn listed(trail: &Path) -> BTreeMap<String, u32> {
    let mut listed = BTreeMap::new();
    let digests = files(trail);
    let is_digest = |key: &&String| matches!(classify(key), ObjectKey::Digest(_) | ObjectKey::BackfillDigest(_));
    for digest in digests.iter().filter(is_digest) {
        let mut json = Vec::new();
        Inflater::new().inflate(&std::fs::read(trail.join(digest)).unwrap(), usize::MAX, &mut json).unwrap();
        let digest: Value = serde_json::from_slice(&json).unwrap();
        for file in digest["logFiles"].as_array().unwrap() {
            *listed.entry(file["s3Object"].as_str().unwrap().to_owned()).or_default() += 1;
        }
    }
    listed
}

#[test]
fn a_trail_with_selectors_of_its_own_gets_and_lists_what_it_selects_exactly_once_however_often_it_is_replayed() {
    let keys = tempfile::tempdir().unwrap();
    let key = keys.path().join("digests.pem").display().to_string();
    assert_eq!(run("orgtrail", &["keys", "create", "--signing", &key]).unwrap().0, 0);
    let selectors = format!(
        "signing_key_id = \"file://{key}\"\n[[trails.event_selectors]]\nread_write_type = \"WriteOnly\"\n\
         [digests]\non_stop = true\n"
    );
    let (site, manifest, mirror) = with_second(150, &selectors);
    let all = held(&site.trail_dir());
    let taken = |held: &&Held| held.is("Management") && held.writes();
    let expected = counted(all.iter().filter(taken).map(Held::text));
    let count = expected.values().sum::<u64>();
    assert!(count > 0 && count < all.len() as u64, "the selectors decide");
    let mut logs = Vec::new();
    for round in 1..=2 {
        let mut aggregator = site.aggregator().unwrap();
        let (code, said, errors) = site.verb(&ask(FROM, "2100-01-01")).unwrap();
        assert_eq!(code, 0, "{said}\n{errors}");
        let progress = serde_json::from_str::<Value>(&said).unwrap()["progress"].clone();
        let counts = ["records", "filtered"].map(|name| progress[name].as_u64().unwrap());
        assert_eq!(counts, [all.len() as u64, all.len() as u64 - count], "round {round}: {progress}");
        assert!(aggregator.stop().unwrap().success());
        assert!(counted(held(&mirror).iter().map(Held::text)) == expected, "round {round}: what is selected, once");
        let mut there = files(&mirror);
        there.retain(|key| classify(key).into_log().is_some());
        let each_once: BTreeMap<_, _> = there.iter().map(|key| (key.clone(), 1)).collect();
        assert_eq!(listed(&mirror), each_once, "round {round}");
        logs.push(there);
    }
    assert_eq!(logs[0], logs[1]);
    assert_eq!(balanced(&site, &manifest), 2 * count);
}

#[test]
fn a_replay_survives_kills_of_the_aggregator_and_still_delivers_exactly_once() {
    let (site, manifest, mirror) = with_mirror(6_000);
    let (code, said, errors) = site.verb(&[&ask(FROM, "2100-01-01")[..], &["--detach"]].concat()).unwrap();
    assert_eq!(code, 0, "{said}\n{errors}");
    let id = serde_json::from_str::<Value>(&said).unwrap()["id"].as_str().unwrap().to_owned();
    let state = || {
        let job = std::fs::read(site.state("aggregator").join("replays").join(format!("{id}.json"))).unwrap();
        serde_json::from_slice::<Value>(&job).unwrap()["state"].as_str().unwrap().to_owned()
    };
    let mut seen = Vec::new();
    for after in [5, 60, 150, 300, 500, 800] {
        let mut aggregator = site.aggregator().unwrap();
        std::thread::sleep(Duration::from_millis(after));
        aggregator.kill();
        seen.push(state());
    }
    assert!(seen.iter().any(|state| state != "done"), "it was killed at work: {seen:?}");
    let mut aggregator = site.aggregator().unwrap();
    let (code, said, errors) = site.verb(&["replay", "--follow", &id]).unwrap();
    assert_eq!(code, 0, "{said}\n{errors}");
    assert!(said.contains("done") && said.contains("0 failed"), "{said}");
    assert!(aggregator.stop().unwrap().success());
    assert_eq!(objects(&mirror), objects(&site.trail_dir()));
    assert_eq!(balanced(&site, &manifest), all(&manifest), "counted once, whatever was killed");
}

#[test]
fn a_damaged_and_a_missing_aggregator_and_a_wrong_name_are_told() {
    let (site, _, mirror) = with_mirror(1_000);
    let damaged = site.trail_dir().join(&files(&site.trail_dir())[0]);
    std::fs::write(&damaged, b"no gzip").unwrap();
    let command = ask(FROM, "2100-01-01");
    for (flag, value, why) in [
        ("--destination", "org-trail", "own objects are what is read"),
        ("--destination", "nobody", "there are: mirror"),
        ("--trail", "nobody", "no trail is named nobody"),
    ] {
        let mut command = command.clone();
        let at = command.iter().position(|word| *word == flag).unwrap();
        command[at + 1] = value;
        let (code, _, errors) = site.verb(&command).unwrap();
        assert!(code == 1 && errors.contains(why), "{errors}");
    }
    let (code, _, errors) = site.verb(&command).unwrap();
    assert!(code == 1 && errors.contains("doesn't run"), "{errors}");
    // It waited for the aggregator.
    let id = errors.split("replay ").nth(1).unwrap().split(' ').next().unwrap().to_owned();
    let mut aggregator: Process = site.aggregator().unwrap();
    let config = site.root().display().to_string();
    let (code, said, errors) = run("orgtrail", &["replay", "--config", &config, "--follow", &id]).unwrap();
    assert_eq!(code, 2, "{said}\n{errors}");
    let name = damaged.file_name().unwrap().to_str().unwrap();
    assert!(said.contains("1 failed") && said.contains(name) && said.contains("corrupt"), "{said}");
    assert_eq!(files(&mirror).len() + 1, files(&site.trail_dir()).len());
    assert!(aggregator.stop().unwrap().success());
}

#[test]
fn a_log_group_that_was_added_gets_what_the_trail_holds() {
    let plan = Plan { hours: 3, corrupt_share: 0.0, ..Plan::default() }.with_records(1_000);
    let (mut site, manifest) = Site::generated(&plan).unwrap();
    let (code, output) = site.run_once().unwrap();
    assert_eq!(code, 0, "{output}");
    let logs = site.root().join("logs");
    site.trail.push_str(&format!("[trails.cloudwatch_logs]\nlocation = \"file://{}\"\n", logs.display()));
    site.configure(&manifest.sources).unwrap();
    let mut aggregator = site.aggregator().unwrap();
    // The log group is what the trail is replayed to, unless another destination is named.
    let (code, said, errors) =
        site.verb(&["replay", "--trail", "org-trail", "--from", FROM, "--to", "2100-01-01"]).unwrap();
    assert_eq!(code, 0, "{said}\n{errors}");
    assert!(aggregator.stop().unwrap().success());
    let status = site.aggregator_status().unwrap();
    let group = status.trails[0].cloudwatch.as_ref().unwrap();
    assert!(group.balanced && group.pending == 0, "{group:?}");
    assert_eq!((group.replayed, group.before), (all(&manifest), all(&manifest)));
    let lines =
        files(&logs).into_iter().map(|file| std::fs::read_to_string(logs.join(file)).unwrap().lines().count() as u64);
    let diverted: u64 = group.diverted.values().sum();
    assert_eq!(lines.sum::<u64>() + diverted, all(&manifest), "{group:?}");
}
