//! Files that come when nobody expects them any more.

use std::time::{Duration, Instant};

use orgtrail_cli::generate::{Plan, Source, late_delivery};
use orgtrail_tests::site::Site;

fn small() -> Plan {
    Plan { hours: 4, corrupt_share: 0.0, ..Plan::default() }.with_records(2_000)
}

#[test]
fn a_late_file_under_an_older_key_is_taken() {
    let plan = small();
    let (site, manifest) = Site::generated(&plan).unwrap();
    site.run_once().unwrap();
    let late = late_delivery(&plan, &site.sources(), (0, 0), 7).unwrap();
    site.run_once().unwrap();
    let delivered = site.delivered().unwrap();
    assert_eq!(delivered.unique(), manifest.records + 7);
    for id in &late.event_ids {
        assert_eq!(delivered.counts.get(id), Some(&1), "{id} of {}", late.key);
    }
}

#[test]
fn a_running_agent_takes_a_late_file_too() {
    let plan = small();
    let (site, manifest) = Site::generated(&plan).unwrap();
    let mut aggregator = site.aggregator().unwrap();
    let mut agent = site.agent().unwrap();
    let wait_for = |records: u64| {
        let began = Instant::now();
        while site.aggregator_status().map_or(0, |status| status.records.read - status.records.duplicate) < records {
            assert!(began.elapsed() < Duration::from_secs(60), "{records} records never came");
            std::thread::sleep(Duration::from_millis(100));
        }
    };
    wait_for(manifest.records);
    late_delivery(&plan, &site.sources(), (1, 1), 5).unwrap();
    wait_for(manifest.records + 5);
    assert!(agent.stop().unwrap().success());
    assert!(aggregator.stop().unwrap().success());
}

#[test]
fn a_new_account_and_a_new_region_are_picked_up() {
    let plan = small();
    let (mut site, manifest) = Site::generated(&plan).unwrap();
    site.agent_more.push_str("refresh_interval = \"300ms\"\n");
    site.configure(&manifest.sources).unwrap();
    let mut aggregator = site.aggregator().unwrap();
    let mut agent = site.agent().unwrap();
    let source: &Source = &manifest.sources[0];
    let folder = source.folder(&site.sources());
    let day = "AWSLogs/123412341234/CloudTrail/ca-central-1/2026/03/01";
    let name = "123412341234_CloudTrail_ca-central-1_20260301T1105Z_AbCdEf0123456789.json.gz";
    let record = r#"{"eventVersion":"1.08","eventTime":"2026-03-01T11:04:00Z","eventID":"5b1f4a2e-0000-4000-8000-000000000001"}"#;
    let gzip = orgtrail_event::gzip::Deflater::new(6).deflate(format!("{{\"Records\":[{record}]}}").as_bytes());
    std::fs::create_dir_all(folder.join(day)).unwrap();
    std::fs::write(folder.join(day).join(name), gzip).unwrap();
    let began = Instant::now();
    while !site
        .aggregator_status()
        .is_ok_and(|status| status.places.iter().any(|place| place.account == "123412341234"))
    {
        assert!(began.elapsed() < Duration::from_secs(60), "the new account never came");
        std::thread::sleep(Duration::from_millis(100));
    }
    assert!(agent.stop().unwrap().success());
    assert!(aggregator.stop().unwrap().success());
}
