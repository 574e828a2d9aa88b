//! The main job: accounts' deliveries in, one organization trail out.

use orgtrail_cli::generate::{FileKind, Plan, Size};
use orgtrail_tests::site::{ORGANIZATION, Site};

fn small() -> Plan {
    Plan { hours: 6, corrupt_share: 0.1, ..Plan::default() }.with_records(6_000)
}

#[test]
fn every_record_is_delivered_once_and_accounted_for() {
    let (site, manifest) = Site::generated(&small()).unwrap();
    let (code, output) = site.run_once().unwrap();
    assert_eq!(code, 2, "corrupt files are in quarantine: {output}");
    site.assert_delivered_exactly(&manifest).unwrap();

    let agent = site.agent_status().unwrap();
    let objects = &agent.objects;
    assert_eq!(objects.listed, manifest.files_total());
    assert!(objects.is_conserved(), "{objects:?}");
    assert_eq!((objects.in_flight, objects.delivered), (0, objects.done));
    assert_eq!(objects.skipped.get("digest").copied().unwrap_or(0), manifest.count(FileKind::Digest));
    assert!(!objects.skipped.contains_key("insight"), "Insight files are taken");
    assert_eq!(objects.skipped.get("foreign").copied().unwrap_or(0), manifest.count(FileKind::Foreign));
    assert_eq!(objects.quarantined.values().sum::<u64>(), manifest.count(FileKind::Corrupt));

    // A file that was cut within a record gives up its whole records, which are all copies.
    let salvaged: u64 = manifest.corrupt.iter().map(|file| file.whole_records).sum();
    let records = site.aggregator_status().unwrap().records;
    assert_eq!(records.duplicate, manifest.duplicates + salvaged);
    let written = manifest.records_written + manifest.insight_records;
    assert_eq!(records.read, written + salvaged + records.quarantined);
}

#[test]
fn every_corrupt_file_is_named() {
    let (site, manifest) = Site::generated(&small()).unwrap();
    let (_, output) = site.run_once().unwrap();
    let (code, list, _) = site.verb(&["quarantine", "list", "--json"]).unwrap();
    assert_eq!(code, 0);
    assert!(manifest.corrupt.len() >= 6, "all kinds are there");
    for file in &manifest.corrupt {
        let line = list.lines().find(|line| line.contains("orgtrail-agent") && line.contains(&file.key));
        let line = line.unwrap_or_else(|| panic!("{} ({:?}) is not named in {list}", file.key, file.kind));
        assert!(!line.contains("\"reason\":\"\""), "{line}");
        assert!(output.contains(&file.key), "--once names {}: {output}", file.key);
    }
}

#[test]
fn the_trail_lies_in_the_organization_layout_and_passes_big_files_through() {
    let plan = Plan {
        events_per_file: Size::FAT,
        corrupt_share: 0.0,
        redelivered_share: 0.0,
        second_trail_share: 0.0,
        hours: 2,
        ..Plan::default()
    };
    let (site, manifest) = Site::generated(&plan.with_records(20_000)).unwrap();
    let (code, _) = site.run_once().unwrap();
    assert_eq!(code, 0);
    site.assert_delivered_exactly(&manifest).unwrap();
    let trail = &site.aggregator_status().unwrap().trails[0];
    assert_eq!(trail.verbatim_objects, trail.objects, "nothing had to be written anew");
    for account in manifest.by_account.keys() {
        let folder = site.trail_dir().join("AWSLogs").join(ORGANIZATION).join(account).join("CloudTrail");
        assert!(folder.is_dir(), "{}", folder.display());
    }
}

#[test]
fn a_second_run_finds_nothing_to_do() {
    let (site, manifest) = Site::generated(&small()).unwrap();
    site.run_once().unwrap();
    let before = site.agent_status().unwrap().objects;
    let (code, _) = site.run_once().unwrap();
    assert_eq!(code, 2, "what is in quarantine stays there");
    let after = site.agent_status().unwrap().objects;
    assert_eq!((before.listed, before.done), (after.listed, after.done));
    site.assert_delivered_exactly(&manifest).unwrap();
}

#[test]
fn tiny_files_are_merged() {
    let plan = Plan { events_per_file: Size::TINY, corrupt_share: 0.0, hours: 4, ..Plan::default() };
    let (site, manifest) = Site::generated(&plan.with_records(4_000)).unwrap();
    site.run_once().unwrap();
    site.assert_delivered_exactly(&manifest).unwrap();
    let status = site.aggregator_status().unwrap();
    let (taken, delivered) = (status.records.objects, status.trails[0].objects);
    assert!(delivered * 5 < taken, "{taken} objects became {delivered}");
}
