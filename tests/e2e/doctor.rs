//! `orgtrail doctor` on folders: nothing to say of a healthy site, and each fault of a broken one by its name.

use std::path::{Path, PathBuf};

use jiff::SignedDuration;
use jiff::tz::TimeZone;
use orgtrail_cli::generate::{Manifest, Plan};
use orgtrail_service::clock::system;
use orgtrail_tests::authority::Authority;
use orgtrail_tests::site::{Site, files};
use serde_json::Value;

fn site() -> (Site, Manifest) {
    let plan = Plan { hours: 1, corrupt_share: 0.0, ..Plan::default() }.with_records(200);
    let (mut site, manifest) = Site::generated(&plan).unwrap();
    // What the machines of tests have room for.
    site.aggregator_more = "[journal]\ncapacity = \"64MiB\"\n".to_owned();
    site.configure(&manifest.sources).unwrap();
    (site, manifest)
}

/// Exit code and every check, as (outcome, subject, hop, whole check).
fn doctor(site: &Site, more: &[&str]) -> (i32, Vec<(String, String, String, Value)>) {
    let arguments: Vec<&str> = ["doctor", "--json"].into_iter().chain(more.iter().copied()).collect();
    let (code, output, errors) = site.verb(&arguments).unwrap();
    let report: Value = serde_json::from_str(&output).unwrap_or_else(|error| panic!("{error}: {output}{errors}"));
    let checks = report["files"].as_array().unwrap().iter().flat_map(|file| file["checks"].as_array().unwrap());
    let text = |check: &Value, key: &str| check[key].as_str().unwrap().to_owned();
    let checks: Vec<_> = checks
        .map(|check| (text(check, "outcome"), text(check, "subject"), text(check, "hop"), check.clone()))
        .collect();
    let failed = checks.iter().filter(|(outcome, ..)| outcome == "failed").count();
    assert_eq!(report["failed"], failed, "{output}");
    assert_eq!(code, if failed == 0 { 0 } else { 2 }, "{output}");
    (code, checks)
}

/// The failed checks as `hop: detail`.
fn failures(checks: &[(String, String, String, Value)]) -> Vec<String> {
    let failed = checks.iter().filter(|(outcome, ..)| outcome == "failed");
    failed.map(|(_, _, hop, check)| format!("{hop}: {}", check["detail"].as_str().unwrap())).collect()
}

#[test]
fn a_healthy_site_has_nothing_to_mend_and_nothing_is_left_behind() {
    let (site, manifest) = site();
    let mut aggregator = site.aggregator().unwrap();
    let before = (files(&site.trail_dir()), files(&site.sources()));
    let (code, checks) = doctor(&site, &[]);
    assert_eq!((code, failures(&checks)), (0, vec![]));
    let with = |hop: &str| checks.iter().filter(|(outcome, _, of, _)| outcome == "ok" && of == hop).count();
    assert!(with("get") >= manifest.sources.len() && with("gzip") >= manifest.sources.len(), "{checks:#?}");
    assert_eq!((with("greeting"), with("state folder")), (1, 2), "{checks:#?}");
    assert_eq!((files(&site.trail_dir()), files(&site.sources())), before, "the doctor left something behind");
    let (code, text, errors) = site.verb(&["doctor"]).unwrap();
    assert!(code == 0 && text.contains(" 0 failed") && errors.is_empty(), "{text}{errors}");
    assert!(aggregator.stop().unwrap().success());
}

#[test]
fn a_disk_that_cannot_hold_what_is_configured_is_told_in_figures() {
    let (mut site, manifest) = site();
    site.aggregator_more = "[journal]\ncapacity = \"1000TiB\"\n".to_owned();
    site.configure(&manifest.sources).unwrap();
    let mut aggregator = site.aggregator().unwrap();
    let (_, checks) = doctor(&site, &[]);
    let [failure] = &failures(&checks)[..] else { panic!("{checks:#?}") };
    assert!(failure.starts_with("room: ") && failure.contains(" free of "), "{failure}");
    assert!(failure.ends_with("the configured bounds need 1000.0 TiB"), "{failure}");
    assert!(aggregator.stop().unwrap().success());
}

#[test]
fn an_aggregator_that_is_down_and_one_that_does_not_know_the_agent_are_told_apart() {
    let (site, _) = site();
    let (_, checks) = doctor(&site, &[]);
    assert!(failures(&checks).iter().any(|failure| failure.starts_with("tcp: ")), "{checks:#?}");
    assert!(checks.iter().any(|(outcome, _, hop, _)| outcome == "skipped" && hop == "greeting"), "{checks:#?}");

    site.write_aggregator("[[agents]]\nname = \"other\"\naccounts = [\"*\"]\n").unwrap();
    let mut aggregator = site.aggregator().unwrap().expecting_errors();
    let (_, checks) = doctor(&site, &[]);
    let [failure] = &failures(&checks)[..] else { panic!("{checks:#?}") };
    assert!(failure.starts_with("greeting: ") && failure.contains("\"acme\" is not registered"), "{failure}");
    let advised = checks.iter().any(|(.., check)| check.to_string().contains("[[agents]] with name = \\\"acme\\\""));
    assert!(advised, "{checks:#?}");
    assert!(aggregator.stop().unwrap().success());
}

#[test]
fn certificates_that_end_soon_are_a_warning_and_ended_ones_a_failure() {
    let (mut site, manifest) = site();
    let authority = Authority::new(&site.root().join("tls")).unwrap();
    let in_days = |days: i64| (system().now() + SignedDuration::from_hours(24 * days)).to_zoned(TimeZone::UTC).date();
    let client = authority.sign_until("agent", &["acme"], Some(in_days(10))).unwrap();
    let server = authority.sign_until("aggregator", &["localhost"], Some(in_days(-1))).unwrap();
    let source = manifest.sources[0].folder(&site.sources());
    let lines = format!("[aggregator.tls]\n{client}[[sources]]\nlocation = \"file://{}\"\n", source.display());
    site.aggregator_more.push_str(&format!("[tls]\n{server}"));
    site.configure(&manifest.sources).unwrap();
    site.write_agent("agent.toml", "acme", &lines).unwrap();
    let agent = site.root().join("agent.toml");
    let text = std::fs::read_to_string(&agent).unwrap().replace("http://", "https://");
    std::fs::write(&agent, text).unwrap();
    let (_, checks) = doctor(&site, &[]);
    let warned = checks.iter().find(|(outcome, subject, ..)| outcome == "warning" && subject == "[aggregator.tls]");
    let detail = warned.unwrap_or_else(|| panic!("{checks:#?}")).3["detail"].as_str().unwrap().to_owned();
    assert!(detail.contains("agent.pem until ") && detail.ends_with(" days"), "{detail}");
    let failures = failures(&checks);
    let ended = |failure: &String| failure.contains("aggregator.pem until ") && failure.ends_with("it has ended");
    assert!(failures.iter().any(ended), "{failures:?}");
}

#[test]
fn a_missing_folder_is_named_and_what_needs_it_is_skipped() {
    let (site, _) = site();
    site.configure_locations(&[site.root().join("nowhere")]).unwrap();
    let (_, checks) = doctor(&site, &[]);
    let failures = failures(&checks);
    assert!(
        failures.iter().any(|failure| failure.starts_with("folder: ") && failure.contains("nowhere")),
        "{failures:?}"
    );
    for hop in ["list", "newest", "get"] {
        let skipped = checks.iter().any(|(outcome, _, of, check)| {
            outcome == "skipped" && of == hop && check["detail"] == "needs `folder`, which failed"
        });
        assert!(skipped, "{hop}: {checks:#?}");
    }
}

#[test]
fn a_corrupt_newest_file_is_named_with_its_account_and_region() {
    let (site, manifest) = site();
    let source = manifest.sources[0].folder(&site.sources());
    let (key, path) = newest_log(&source);
    let region = key.split('/').rev().nth(4).unwrap().to_owned();
    std::fs::write(&path, b"no gzip at all").unwrap();
    let (_, checks) = doctor(&site, &[]);
    let failed = checks.iter().find(|(outcome, _, hop, _)| outcome == "failed" && hop == "gzip");
    let (_, subject, _, check) = failed.unwrap_or_else(|| panic!("{checks:#?}"));
    assert!(subject.ends_with(&format!("/{region}")), "{subject}");
    assert!(check["detail"].as_str().unwrap().contains(&key), "{check}");
}

/// The newest log file of some account and region.
fn newest_log(source: &Path) -> (String, PathBuf) {
    let is_log = |key: &&String| key.contains("/CloudTrail/");
    let keys = files(source);
    let first = keys.iter().find(is_log).unwrap();
    let folder = first.split("/CloudTrail/").next().unwrap();
    let region = first.split("/CloudTrail/").nth(1).unwrap().split('/').next().unwrap();
    let prefix = format!("{folder}/CloudTrail/{region}/");
    let stamp = |key: &String| key.rsplit('/').next().unwrap().split('_').nth(3).unwrap().to_owned();
    let newest = keys.iter().filter(|key| key.starts_with(&prefix)).max_by_key(|key| stamp(key)).unwrap();
    // Files of one minute are equally new: leave one.
    for other in keys.iter().filter(|key| key.starts_with(&prefix) && *key != newest && stamp(key) == stamp(newest)) {
        std::fs::remove_file(source.join(other)).unwrap();
    }
    (newest.clone(), source.join(newest))
}

#[test]
fn a_destination_that_takes_nothing_and_absent_digest_keys_are_named() {
    let (site, manifest) = site();
    // Where the trail's folder should be made stands a file.
    std::fs::write(site.trail_dir(), b"").unwrap();
    let lines = manifest.sources.iter().map(|source| {
        let folder = source.folder(&site.sources());
        format!(
            "[[sources]]\nlocation = \"file://{}\"\ndigest_keys = \"file:///nonexistent/keys.json\"\n",
            folder.display()
        )
    });
    site.write_agent("agent.toml", "acme", &lines.collect::<String>()).unwrap();
    let (_, checks) = doctor(&site, &[]);
    let failures = failures(&checks);
    assert!(
        failures.iter().any(|failure| failure.starts_with("digest keys: read /nonexistent/keys.json")),
        "{failures:?}"
    );
    assert!(
        failures.iter().any(|failure| failure.starts_with("folder: ") && failure.contains("org-trail")),
        "{failures:?}"
    );

    // Reading only, nothing is put, and a healthy place says so.
    std::fs::remove_file(site.trail_dir()).unwrap();
    std::fs::create_dir(site.trail_dir()).unwrap();
    let (_, checks) = doctor(&site, &["--read-only"]);
    let put = checks.iter().find(|(_, subject, hop, _)| subject == "trail org-trail" && hop == "put").unwrap();
    assert_eq!((put.0.as_str(), &put.3["detail"]), ("skipped", &Value::from("--read-only")));
}
