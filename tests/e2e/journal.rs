//! Back-pressure: a journal that is full because its destination can't be reached.

use std::time::{Duration, Instant};

use orgtrail_cli::generate::Plan;
use orgtrail_tests::site::Site;

#[test]
fn a_full_journal_pushes_back_and_recovers() {
    let plan = Plan { hours: 6, corrupt_share: 0.0, ..Plan::default() }.with_records(8_000);
    let (mut site, manifest) = Site::generated(&plan).unwrap();
    site.aggregator_more =
        "[journal]\ncapacity = \"200KiB\"\n[deliver]\nplan_bytes = \"50KiB\"\nmerge_wait = \"50ms\"\n".to_owned();
    site.agent_more.push_str("[batch]\nbytes = \"20KiB\"\n");
    site.configure(&manifest.sources).unwrap();
    let trail_dir = site.trail_dir();
    std::fs::write(&trail_dir, "in the way").unwrap();

    let mut aggregator = site.aggregator().unwrap();
    let mut agent = site.agent_once().unwrap();
    let began = Instant::now();
    loop {
        let full = site.aggregator_status().is_ok_and(|status| status.journal.payload_bytes > 150 << 10);
        if full {
            break;
        }
        assert!(began.elapsed() < Duration::from_secs(60), "the journal never filled");
        std::thread::sleep(Duration::from_millis(50));
    }
    std::thread::sleep(Duration::from_secs(1));
    let status = site.aggregator_status().unwrap();
    assert!(status.journal.payload_bytes <= status.journal.capacity, "{:?}", status.journal);
    assert!(!status.health.ready, "a destination that can't be reached is told");
    assert!(agent.is_running(), "the agent waits");

    std::fs::remove_file(&trail_dir).unwrap();
    assert_eq!(agent.wait().unwrap().code(), Some(0), "{}", agent.output());
    assert!(aggregator.stop().unwrap().success());
    site.assert_delivered_exactly(&manifest).unwrap();
}

#[test]
fn a_slow_trail_holds_no_other_back() {
    let plan = Plan { hours: 2, corrupt_share: 0.0, ..Plan::default() }.with_records(2_000);
    let (mut site, manifest) = Site::generated(&plan).unwrap();
    let stuck = site.root().join("stuck");
    std::fs::write(&stuck, "in the way").unwrap();
    let location = format!("location = \"file://{}\"\nevent_selectors = \"all\"\n", stuck.display());
    site.trail.push_str(&format!("[[trails]]\nname = \"stuck\"\n{location}"));
    site.aggregator_more = "[deliver]\nmerge_wait = \"50ms\"\n".to_owned();
    site.configure(&manifest.sources).unwrap();
    let records = manifest.records + manifest.insight_records;
    let mut aggregator = site.aggregator().unwrap();
    let mut agent = site.agent_once().unwrap();
    let began = Instant::now();
    while site.aggregator_status().map_or(0, |status| status.trails[0].delivered) < records {
        assert!(began.elapsed() < Duration::from_secs(60), "the good trail was held back");
        std::thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(site.aggregator_status().unwrap().trails[1].pending, records);
    assert!(agent.is_running(), "delivered means by every trail");
    std::fs::remove_file(&stuck).unwrap();
    assert_eq!(agent.wait().unwrap().code(), Some(0), "{}", agent.output());
    assert!(aggregator.stop().unwrap().success());
    assert_eq!(orgtrail_cli::generate::event_ids(&stuck).unwrap().unique(), manifest.records);
}
