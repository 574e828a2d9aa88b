//! Sealing at rest (I9): nothing of a record lies in the clear in the aggregator's state folder, and nothing is lost when keys
//! go away, come back, or are replaced.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use memchr::memmem;
use orgtrail_cli::generate::{Manifest, Plan};
use orgtrail_tests::site::Site;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

/// Stands in every generated record that matters here: a part of each eventVersion member.
const RECORD_TEXT: &[u8] = b"\"eventVersion\"";
const KEY_TEXT: &[u8] = b"eventSource";

fn key_file(site: &Site, name: &str) -> String {
    let path = site.root().join(name);
    orgtrail_cloud::key_service::LocalKeyService::create(&path).unwrap();
    format!("file://{}", path.display())
}

/// Small commits and plans; `[seal]` under this key, if any.
fn configure(site: &mut Site, manifest: &Manifest, key: Option<&str>) {
    site.aggregator_more =
        "[deliver]\nplan_bytes = \"200KiB\"\nmerge_wait = \"100ms\"\n[journal]\ncommit_bytes = \"64KiB\"\n".to_owned();
    if let Some(key) = key {
        site.aggregator_more.push_str(&format!("[seal]\nkey_id = \"{key}\"\nrecheck = \"200ms\"\n"));
    }
    site.configure(&manifest.sources).unwrap();
}

fn site(seed: u64, records: u64) -> (Site, Manifest) {
    let plan = Plan { seed, hours: 4, corrupt_share: 0.1, ..Plan::default() }.with_records(records);
    let (mut site, manifest) = Site::generated(&plan).unwrap();
    site.agent_more.push_str("[batch]\nbytes = \"32KiB\"\nobjects = 16\n[ship]\nreconnect_max = \"500ms\"\n");
    (site, manifest)
}

/// Every file of the folder, also those below.
fn files(dir: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut folders = vec![dir.to_owned()];
    while let Some(folder) = folders.pop() {
        let Ok(entries) = std::fs::read_dir(folder) else { continue };
        for entry in entries {
            let path = entry.unwrap().path();
            if path.is_dir() { folders.push(path) } else { files.push(path) }
        }
    }
    files
}

/// Whether any file of the state folder holds the bytes of a delivered object or a text of a record, plain or as base64.
fn in_the_clear(site: &Site) -> Vec<PathBuf> {
    let sources: Vec<Vec<u8>> = files(&site.sources()).iter().map(|path| std::fs::read(path).unwrap()).collect();
    let mut found = Vec::new();
    for path in files(&site.state("aggregator")) {
        let mut bytes = std::fs::read(&path).unwrap_or_default();
        // The storage engine makes its files larger than what they hold.
        bytes.truncate(bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1));
        let text =
            holds(&bytes, RECORD_TEXT) || holds(&bytes, KEY_TEXT) || payloads(&bytes).any(|it| holds(&it, KEY_TEXT));
        // gzip bytes of a log file, past the header that all of them share.
        let object = sources.iter().filter(|source| source.len() > 200).any(|source| holds(&bytes, &source[100..140]));
        if text || object {
            found.push(path);
        }
    }
    found
}

fn holds(bytes: &[u8], part: &[u8]) -> bool {
    memmem::find(bytes, part).is_some()
}

/// What stands as base64 in the members `payload` of a JSON file or a file of JSON lines.
fn payloads(bytes: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    let text = String::from_utf8_lossy(bytes).into_owned();
    let values: Vec<_> =
        text.split("\"payload\"").skip(1).filter_map(|rest| rest.split('"').nth(1)).map(decoded).collect();
    values.into_iter()
}

fn decoded(text: &str) -> Vec<u8> {
    let digit = |byte: u8| match byte {
        b'A'..=b'Z' => Some(byte - b'A'),
        b'a'..=b'z' => Some(byte - b'a' + 26),
        b'0'..=b'9' => Some(byte - b'0' + 52),
        b'+' => Some(62),
        b'/' => Some(63),
        _ => None,
    };
    let bits: Vec<u8> = text.bytes().map_while(digit).collect();
    let group = |four: &[u8]| {
        let word = four.iter().fold(0_u32, |word, six| word << 6 | u32::from(*six)) << (6 * (4 - four.len()));
        word.to_be_bytes()[1..four.len()].to_vec()
    };
    bits.chunks(4).flat_map(group).collect()
}

/// Everything is taken and nothing delivered: the journal is as full as it gets. The trail's folder is a file meanwhile.
fn fill_journal(site: &Site, manifest: &Manifest) {
    std::fs::write(site.trail_dir(), "in the way").unwrap();
    let mut aggregator = site.aggregator().unwrap();
    let mut agent = site.agent().unwrap();
    let began = Instant::now();
    while site.aggregator_status().map_or(0, |status| status.records.read) < manifest.records_written {
        assert!(began.elapsed() < Duration::from_secs(60), "{}", aggregator.output());
        std::thread::sleep(Duration::from_millis(50));
    }
    agent.kill();
    aggregator.kill();
    std::fs::remove_file(site.trail_dir()).unwrap();
}

fn deliver_and_judge(site: &Site, manifest: &Manifest) {
    let (code, output) = site.run_once().unwrap();
    assert!(code == 0 || code == 2, "{output}");
    site.assert_delivered_exactly(manifest).unwrap();
}

fn reseal(site: &Site, more: &[&str]) -> (i32, String, String) {
    site.verb(&[&["state", "reseal"], more].concat()).unwrap()
}

#[test]
fn no_record_lies_in_the_clear_while_it_waits_and_after_it_was_delivered() {
    let (mut site, manifest) = site(21, 3_000);
    configure(&mut site, &manifest, None);
    fill_journal(&site, &manifest);
    assert!(in_the_clear(&site).len() > 1, "without sealing this test finds journal and quarantine");

    std::fs::remove_dir_all(site.root().join("state")).unwrap();
    let key = key_file(&site, "seal.key");
    configure(&mut site, &manifest, Some(&key));
    fill_journal(&site, &manifest);
    assert_eq!(in_the_clear(&site), Vec::<PathBuf>::new());
    deliver_and_judge(&site, &manifest);
    assert_eq!(in_the_clear(&site), Vec::<PathBuf>::new());
}

#[test]
fn kills_under_load_lose_nothing_that_is_sealed() {
    let (mut site, manifest) = site(22, 6_000);
    let key = key_file(&site, "seal.key");
    configure(&mut site, &manifest, Some(&key));
    let mut random = StdRng::seed_from_u64(22);
    for _ in 0..6 {
        let mut aggregator = site.start("orgtrail-aggregator", "aggregator.toml", &[]).unwrap();
        let mut agent = site.agent().unwrap();
        std::thread::sleep(Duration::from_millis(random.random_range(100..900)));
        aggregator.kill();
        agent.kill();
    }
    deliver_and_judge(&site, &manifest);
    assert_eq!(in_the_clear(&site), Vec::<PathBuf>::new());
}

#[test]
fn a_key_file_that_is_gone_stops_the_start_and_the_process_and_both_go_on() {
    let (mut site, manifest) = site(23, 3_000);
    let key = key_file(&site, "seal.key");
    let (path, away) = (site.root().join("seal.key"), site.root().join("away.key"));
    configure(&mut site, &manifest, Some(&key));
    let mut aggregator = site.aggregator().unwrap();
    std::fs::rename(&path, &away).unwrap();
    aggregator.wait_for("nothing is taken or delivered").unwrap();
    let mut agent = site.agent_once().unwrap();
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!(site.aggregator_status().unwrap().records.read, 0, "nothing is taken");
    let mut second = Site::start(&site, "orgtrail-aggregator", "aggregator.toml", &[]).unwrap().expecting_errors();
    assert_eq!(second.wait().unwrap().code(), Some(1), "{}", second.output());
    std::fs::rename(&away, &path).unwrap();
    let code = agent.wait().unwrap().code();
    assert!(code == Some(0) || code == Some(2), "{}", agent.output());
    assert!(aggregator.stop().unwrap().success());
    site.assert_delivered_exactly(&manifest).unwrap();

    std::fs::rename(&path, &away).unwrap();
    let mut aggregator = site.start("orgtrail-aggregator", "aggregator.toml", &[]).unwrap().expecting_errors();
    assert_eq!(aggregator.wait().unwrap().code(), Some(1));
    let said = aggregator.output();
    assert!(said.contains("seal.key") && said.contains("sealed state in"), "{said}");
    std::fs::rename(&away, &path).unwrap();
    deliver_and_judge(&site, &manifest);
}

#[test]
fn a_state_goes_from_plain_to_one_key_to_another_and_back() {
    let (mut site, manifest) = site(24, 3_000);
    let (old, new) = (key_file(&site, "old.key"), key_file(&site, "new.key"));
    configure(&mut site, &manifest, None);
    fill_journal(&site, &manifest);
    let bad: usize = quarantined(&site);
    assert!(bad > 0, "there are payloads in quarantine");

    for (key, other) in [(Some(&old), None), (Some(&new), Some(&old)), (None, Some(&new)), (Some(&old), None)] {
        configure(&mut site, &manifest, key.map(String::as_str));
        let mut refused = site.start("orgtrail-aggregator", "aggregator.toml", &[]).unwrap().expecting_errors();
        assert_eq!(refused.wait().unwrap().code(), Some(1));
        let said = refused.output();
        assert!(said.contains("orgtrail state reseal --config"), "{said}");
        assert!(other.is_none_or(|other| said.contains(other.as_str())), "{said}");
        let (code, said, errors) = reseal(&site, &[]);
        assert_eq!(code, 0, "{said}{errors}");
        assert!(said.contains(&format!("and {bad} quarantined payloads")), "{said}");
        assert_eq!(in_the_clear(&site).is_empty(), key.is_some(), "{key:?}");
        let folders: Vec<_> =
            std::fs::read_dir(site.state("aggregator")).unwrap().map(|it| it.unwrap().file_name()).collect();
        assert!(!folders.iter().any(|it| it.to_string_lossy().starts_with("journal.")), "{folders:?}");
    }
    deliver_and_judge(&site, &manifest);
    std::fs::remove_file(site.root().join("new.key")).unwrap();
    assert_payloads_can_be_shown(&site);
}

fn quarantined(site: &Site) -> usize {
    files(&site.state("aggregator").join("quarantine/entries")).len()
}

fn assert_payloads_can_be_shown(site: &Site) {
    let (_, list, _) = site.verb(&["quarantine", "list", "--json"]).unwrap();
    let entries = list.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    let entry = entries.into_iter().find(|entry| entry["entry"]["fields"]["seal.key_id"].is_string()).unwrap();
    let id = entry["entry"]["id"].as_str().unwrap();
    let (code, payload, errors) = site.verb(&["quarantine", "show", id, "--payload"]).unwrap();
    assert_eq!(code, 0, "{errors}");
    let bytes: usize = entry["entry"]["fields"]["record.bytes"].as_str().unwrap().parse().unwrap();
    assert_eq!(payload.len(), bytes.min(64 << 10), "{payload}");

    let key = site.root().join("old.key");
    std::fs::rename(&key, site.root().join("away.key")).unwrap();
    let (code, _, errors) = site.verb(&["quarantine", "show", id, "--payload"]).unwrap();
    assert_eq!(code, 1);
    assert!(errors.contains("sealed under") && errors.contains("old.key"), "{errors}");
    let (code, shown, errors) = site.verb(&["quarantine", "show", id]).unwrap();
    assert_eq!(code, 0, "{errors}");
    assert!(shown.contains("seal.key_id") && errors.contains("sealed under"), "{shown}{errors}");
}

#[test]
fn a_reseal_that_is_killed_at_any_moment_leaves_a_whole_state() {
    let (mut site, manifest) = site(25, 8_000);
    let keys = [key_file(&site, "one.key"), key_file(&site, "two.key")];
    configure(&mut site, &manifest, None);
    fill_journal(&site, &manifest);
    let mut random = StdRng::seed_from_u64(25);
    let root = site.root().display().to_string();
    for round in 0..8 {
        configure(&mut site, &manifest, Some(&keys[round % 2]));
        let arguments = ["state", "reseal", "--config", &root];
        let mut resealing = orgtrail_tests::process::Process::start("orgtrail", &arguments, &[], site.root())
            .unwrap()
            .expecting_errors();
        std::thread::sleep(Duration::from_millis(random.random_range(5..150)));
        resealing.kill();
    }
    let (code, said, errors) = reseal(&site, &[]);
    assert_eq!(code, 0, "{said}{errors}");
    assert_eq!(in_the_clear(&site), Vec::<PathBuf>::new());
    deliver_and_judge(&site, &manifest);
    let mode = std::fs::metadata(site.root().join("one.key")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn a_running_aggregators_state_is_not_resealed() {
    let (mut site, manifest) = site(26, 200);
    let key = key_file(&site, "seal.key");
    configure(&mut site, &manifest, Some(&key));
    let mut aggregator = site.aggregator().unwrap();
    let (code, _, errors) = reseal(&site, &[]);
    assert_eq!(code, 1);
    assert!(errors.contains("in use by orgtrail-aggregator"), "{errors}");
    assert!(aggregator.stop().unwrap().success());
    let (code, _, errors) = reseal(&site, &["--from-key", "none"]);
    assert_eq!(code, 1);
    assert!(errors.contains("is sealed under"), "{errors}");
    let (code, said, errors) = reseal(&site, &["--from-key", &key]);
    assert_eq!(code, 0, "{said}{errors}");
}
