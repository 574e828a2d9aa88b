//! What lies before the live listings is taken when an operator asks for it: once, whole, under its own dates, over kills.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use orgtrail_agent::status::{Completeness, GapKind};
use orgtrail_cli::generate::{Manifest, PUBLIC_KEYS, Plan};
use orgtrail_tests::site::{Site, files};
use serde_json::Value;

/// Live listings begin with the last of three days.
const FROM: &str = "2026-03-01";

fn generated(corrupt_share: f64) -> (Site, Manifest) {
    let plan = Plan { accounts: 2, hours: 50, corrupt_share, ..Plan::default() }.with_records(3_000);
    let (mut site, manifest) = Site::generated(&plan).unwrap();
    site.aggregator_more = "[deliver]\nmerge_wait = \"200ms\"\n".to_owned();
    let keys = site.sources().join(PUBLIC_KEYS);
    let source = |(n, source): (usize, &orgtrail_cli::generate::Source)| {
        let (folder, keys) = (source.folder(&site.sources()), keys.display());
        let location = folder.display();
        format!(
            "[[sources]]\nname = \"s{n}\"\nlocation = \"file://{location}\"\nstart = \"{FROM}\"\ndigest_keys = \"file://{keys}\"\n"
        )
    };
    let sources: String = manifest.sources.iter().enumerate().map(source).collect();
    site.write_agent("agent.toml", "acme", &sources).unwrap();
    site.write_aggregator("[[agents]]\nname = \"acme\"\naccounts = [\"*\"]\n").unwrap();
    (site, manifest)
}

/// `orgtrail backfill` of the whole past of a source; its exit code and job.
fn backfill(site: &Site, source: &str, more: &[&str]) -> (i32, Value) {
    let range = ["backfill", "--json", "--source", source, "--from", "2026-01-01", "--to", "2026-03-05"];
    let arguments: Vec<_> = range.iter().chain(more).copied().collect();
    let (code, said, errors) = site.verb(&arguments).unwrap();
    (code, serde_json::from_str(&said).unwrap_or_else(|_| panic!("{said}\n{errors}")))
}

/// Files of a bucket in day folders before the live listings.
fn past_files(site: &Site, manifest: &Manifest, source: usize) -> Vec<String> {
    let all = files(&manifest.sources[source].folder(&site.sources()));
    all.into_iter().filter(|file| file.contains("/2026/02/")).collect()
}

fn completeness(site: &Site) -> Vec<Completeness> {
    let (_, said, _) = site.verb(&["completeness", "--json"]).unwrap();
    let said: Value = serde_json::from_str(&said).unwrap();
    serde_json::from_value(said["rows"].clone()).unwrap()
}

fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < Duration::from_secs(60), "never: {what}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

fn number(job: &Value, of: &str, what: &str) -> u64 {
    job[of][what].as_u64().unwrap_or_else(|| panic!("{of}.{what} of {job:#}"))
}

#[test]
fn a_backfill_tells_its_plan_takes_what_is_left_and_nothing_twice() {
    let (site, manifest) = generated(0.0);
    let mut aggregator = site.aggregator().unwrap();
    let mut agent = site.agent().unwrap();
    let mut objects = 0;
    for n in 0..manifest.sources.len() {
        let name = format!("s{n}");
        let past: Vec<_> = past_files(&site, &manifest, n);
        let (code, plan) = backfill(&site, &name, &["--plan"]);
        assert_eq!((code, plan["state"].as_str()), (0, Some("done")), "{plan:#}");
        let foreign = past.iter().filter(|file| !file.ends_with(".json.gz")).count();
        assert_eq!(number(&plan, "plan", "objects"), (past.len() - foreign) as u64, "{plan:#}");
        assert!(plan["plan"]["dollars"].as_f64().unwrap() > 0.0 && number(&plan, "plan", "days_live") > 0, "{plan:#}");
        assert_eq!(number(&plan, "progress", "objects"), 0);
        let (code, job) = backfill(&site, &name, &[]);
        assert_eq!((code, job["state"].as_str()), (0, Some("done")), "{job:#}");
        for (of, what) in [("plan", "objects"), ("progress", "objects"), ("progress", "delivered")] {
            assert_eq!(number(&job, of, what), number(&plan, "plan", "objects"), "{of}.{what} of {job:#}");
        }
        objects += number(&job, "progress", "delivered");
        let (code, again) = backfill(&site, &name, &[]);
        assert_eq!((code, number(&again, "plan", "objects"), number(&again, "progress", "objects")), (0, 0, 0));
        assert!(number(&again, "plan", "days_taken") > 0, "{again:#}");
    }
    assert!(objects > 100, "{objects}");
    let (code, said, _) = site.verb(&["backfill", "--list"]).unwrap();
    assert!(code == 0 && said.contains("planned") && said.contains("done"), "{said}");
    let (code, said) = backfill(&site, "nowhere", &[]);
    assert!(code == 1 && said["error"].as_str().unwrap().contains("there are: s0"), "{said:#}");
    assert!(agent.stop().unwrap().success());
    assert!(aggregator.stop().unwrap().success());
    site.assert_delivered_exactly(&manifest).unwrap();
    // The digests of the past join those of the live days, and prove every file.
    let rows = completeness(&site);
    let first = "2026-02-27T11:00:00Z".parse::<jiff::Timestamp>().unwrap().as_second();
    for row in &rows {
        assert_eq!((row.gaps_total, row.unlisted, row.complete_until), (0, 0, row.verified_until), "{row:#?}");
        assert!(row.since.unwrap() <= first, "{row:#?}");
    }
}

#[test]
fn a_backfill_goes_on_over_kills_of_either_process_and_takes_nothing_twice() {
    let (site, manifest) = generated(0.05);
    let mut aggregator = site.aggregator().unwrap();
    let mut agent = site.agent().unwrap();
    let (_, job) = backfill(&site, "s0", &["--rate", "20/s", "--detach"]);
    let id = job["id"].as_str().unwrap().to_owned();
    let look = || {
        let (_, said, _) = site.verb(&["backfill", "--list", "--json"]).unwrap();
        let jobs: Vec<Value> = serde_json::from_str(&said).unwrap();
        jobs.into_iter().find(|job| job["id"] == *id).unwrap()
    };
    let mut seen = 0;
    for _ in 0..2 {
        until("objects are taken", || number(&look(), "progress", "objects") > seen + 5);
        seen = number(&look(), "progress", "objects");
        agent.kill();
        agent = site.agent().unwrap();
        aggregator.kill();
        aggregator = site.aggregator().unwrap();
    }
    let (code, _, errors) = site.verb(&["backfill", "--follow", &id]).unwrap();
    let job = look();
    assert_eq!((code, job["state"].as_str()), (2, Some("done")), "{errors}{job:#}");
    for n in 1..manifest.sources.len() {
        let (code, job) = backfill(&site, &format!("s{n}"), &["--account", "999999999999"]);
        assert_eq!((code, number(&job, "plan", "days")), (0, 0), "no such account: {job:#}");
        backfill(&site, &format!("s{n}"), &[]);
    }
    assert!(agent.stop().unwrap().success());
    assert!(aggregator.stop().unwrap().success());
    site.assert_delivered_exactly(&manifest).unwrap();
    let objects = site.agent_status().unwrap().objects;
    let there: usize = manifest.sources.iter().map(|source| files(&source.folder(&site.sources())).len()).sum();
    assert_eq!(objects.listed, there as u64, "{objects:#?}");
}

#[test]
fn what_is_missing_in_the_past_is_named_and_log_groups_get_it_only_when_they_are_meant_to() {
    let (mut site, manifest) = generated(0.0);
    let group = site.root().join("group");
    site.trail.push_str(&format!("[trails.cloudwatch_logs]\nlocation = \"file://{}\"\n", group.display()));
    site.write_aggregator("[[agents]]\nname = \"acme\"\naccounts = [\"*\"]\n").unwrap();
    let bucket = manifest.sources[0].folder(&site.sources());
    let past = past_files(&site, &manifest, 0);
    let of_kind = |kind: &str| past.iter().filter(|file| file.contains(kind)).cloned().collect::<Vec<_>>();
    let folder = |file: &str| file.rsplit_once('/').unwrap().0.to_owned();
    let digests = of_kind("/CloudTrail-Digest/");
    let digest = digests.windows(3).find(|three| folder(&three[0]) == folder(&three[2])).unwrap()[1].clone();
    // One that is listed by a digest that stays.
    let log = of_kind("/CloudTrail/").into_iter().find(|log| !log.contains(&folder(&digest)[..40])).unwrap();
    for gone in [&digest, &log] {
        std::fs::remove_file(bucket.join(gone)).unwrap();
    }
    let mut aggregator = site.aggregator().unwrap();
    let mut agent = site.agent().unwrap().expecting_errors();
    let (code, job) = backfill(&site, "s0", &[]);
    assert_eq!((code, number(&job, "progress", "quarantined")), (2, 1), "the log file: {job:#}");
    let logged =
        || files(&group).iter().map(|file| std::fs::read_to_string(group.join(file)).unwrap()).collect::<String>();
    let february = |text: &str| {
        let after = text.split("eventTime").skip(1).filter_map(|rest| rest.get(..24));
        after.filter(|after| after.contains("2026-02-27")).count()
    };
    until("live records are logged", || logged().contains("eventTime"));
    assert_eq!(february(&logged()), 0, "a backfill passes log groups over");
    let expected = BTreeSet::from([(GapKind::DigestMissing, digest), (GapKind::LogMissing, log)]);
    until("both gaps are told", || {
        let gaps = completeness(&site).into_iter().flat_map(|row| row.gaps);
        let gaps: BTreeSet<_> = gaps.map(|gap| (gap.kind, gap.key.unwrap())).collect();
        assert!(gaps.is_subset(&expected), "{gaps:?}");
        gaps == expected
    });
    if manifest.sources.len() > 1 {
        let (_, job) = backfill(&site, "s1", &["--log-groups", "--rate", "2/s", "--detach"]);
        let id = job["id"].as_str().unwrap();
        assert_eq!(site.verb(&["backfill", "--cancel", id]).unwrap().0, 0);
        let (code, said, _) = site.verb(&["backfill", "--follow", id]).unwrap();
        assert!(code == 1 && said.contains("cancelled"), "{said}");
        let (_, job) = backfill(&site, "s1", &["--log-groups"]);
        assert!(number(&job, "progress", "delivered") > 0, "{job:#}");
        until("records of the past are logged", || february(&logged()) > 0);
    }
    assert!(agent.stop().unwrap().success());
    assert!(aggregator.stop().unwrap().success());
}
