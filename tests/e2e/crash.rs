//! kill -9 at any moment, and lost disks.

use std::time::{Duration, Instant};

use orgtrail_cli::generate::Plan;
use orgtrail_tests::process::Process;
use orgtrail_tests::site::Site;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

const SEEDS: u64 = 5;
const KILLS_A_SEED: u32 = 10;

/// Small plans and batches, so that there are many moments between two durable writes.
fn site(seed: u64, records: u64) -> (Site, orgtrail_cli::generate::Manifest) {
    let plan = Plan { seed, hours: 6, ..Plan::default() }.with_records(records);
    let (mut site, manifest) = Site::generated(&plan).unwrap();
    site.aggregator_more =
        "[deliver]\nplan_bytes = \"200KiB\"\nmerge_wait = \"100ms\"\n[journal]\ncommit_bytes = \"64KiB\"\n".to_owned();
    site.agent_more.push_str("[batch]\nbytes = \"32KiB\"\nobjects = 16\n[ship]\nreconnect_max = \"500ms\"\n");
    site.configure(&manifest.sources).unwrap();
    (site, manifest)
}

fn running(slot: &mut Option<Process>, start: impl FnOnce() -> Process) {
    if slot.as_mut().is_none_or(|process| !process.is_running()) {
        *slot = Some(start());
    }
}

#[test]
fn fifty_kills_lose_nothing_and_deliver_nothing_twice() {
    for seed in 0..SEEDS {
        let (site, manifest) = site(seed, 8_000);
        let mut random = StdRng::seed_from_u64(seed);
        let (mut agent, mut aggregator) = (None, None);
        for _ in 0..KILLS_A_SEED {
            running(&mut aggregator, || site.start("orgtrail-aggregator", "aggregator.toml", &[]).unwrap());
            running(&mut agent, || site.agent().unwrap());
            std::thread::sleep(Duration::from_millis(random.random_range(50..900)));
            let (kill_agent, kill_aggregator) = [(true, false), (false, true), (true, true)][random.random_range(0..3)];
            for (kill, process) in [(kill_agent, &mut agent), (kill_aggregator, &mut aggregator)] {
                if kill {
                    process.take().unwrap().kill();
                }
            }
        }
        for process in [agent, aggregator].into_iter().flatten() {
            drop(process);
        }
        let (code, output) = site.run_once().unwrap();
        assert!(code == 0 || code == 2, "seed {seed}: {output}");
        site.assert_delivered_exactly(&manifest).unwrap_or_else(|error| panic!("seed {seed}: {error:#}"));
        let objects = site.agent_status().unwrap().objects;
        assert_eq!(objects.listed, manifest.files_total(), "seed {seed}");
        assert!(objects.is_conserved() && objects.in_flight == 0, "seed {seed}: {objects:?}");
    }
}

#[test]
fn an_aggregator_that_lost_its_disk_gets_everything_again() {
    let (site, manifest) = site(7, 6_000);
    // Nothing is delivered before the disk is lost: a destination that can't be written to.
    let trail_dir = site.trail_dir();
    std::fs::write(&trail_dir, "in the way").unwrap();
    let mut aggregator = site.aggregator().unwrap();
    let mut agent = site.agent_once().unwrap();
    until_some_are_acknowledged(&site);
    aggregator.kill();
    std::fs::remove_dir_all(site.state("aggregator")).unwrap();
    std::fs::remove_file(&trail_dir).unwrap();
    let mut aggregator = site.aggregator().unwrap();
    assert_eq!(agent.wait().unwrap().code(), Some(2), "{}", agent.output());
    assert!(aggregator.stop().unwrap().success());
    site.assert_delivered_exactly(&manifest).unwrap();
}

#[test]
fn an_old_copy_of_the_aggregators_state_put_back_loses_nothing() {
    let (site, manifest) = site(9, 6_000);
    let trail_dir = site.trail_dir();
    std::fs::write(&trail_dir, "in the way").unwrap();
    let mut aggregator = site.aggregator().unwrap();
    let copy = site.root().join("copy");
    // A copy of a journal that holds nothing yet: everything that is acknowledged from here on is not in it.
    aggregator.stop().unwrap();
    copy_folder(&site.state("aggregator"), &copy);

    let mut aggregator = site.aggregator().unwrap();
    let mut agent = site.agent_once().unwrap();
    until_some_are_acknowledged(&site);
    aggregator.kill();
    std::fs::remove_dir_all(site.state("aggregator")).unwrap();
    copy_folder(&copy, &site.state("aggregator"));
    std::fs::remove_file(&trail_dir).unwrap();
    let mut aggregator = site.aggregator().unwrap();
    assert_eq!(agent.wait().unwrap().code(), Some(2), "{}", agent.output());
    assert!(aggregator.stop().unwrap().success());
    site.assert_delivered_exactly(&manifest).unwrap();
}

fn until_some_are_acknowledged(site: &Site) {
    let began = Instant::now();
    while site.agent_status().map_or(0, |status| status.objects.done) < 20 {
        assert!(began.elapsed() < Duration::from_secs(60), "nothing was acknowledged");
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn copy_folder(from: &std::path::Path, to: &std::path::Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy_folder(&path, &target);
        } else {
            std::fs::copy(&path, &target).unwrap();
        }
    }
}

#[test]
fn an_agent_that_lost_its_disk_delivers_nothing_twice() {
    let (site, manifest) = site(8, 3_000);
    site.run_once().unwrap();
    std::fs::remove_dir_all(site.state("acme")).unwrap();
    site.run_once().unwrap();
    site.assert_delivered_exactly(&manifest).unwrap();
}
