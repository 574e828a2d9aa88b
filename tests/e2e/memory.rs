//! The agent's memory holds: with a hundred thousand tiny files, with one of fifty megabytes, and with nobody who takes them.
//!
//! Measured on the real process, as the kernel counts it: the most that was ever resident, beyond what an agent without
//! anything to do takes.

use std::path::Path;
use std::time::{Duration, Instant};

use orgtrail_event::gzip::Deflater;
use orgtrail_tests::process::Process;
use orgtrail_tests::site::Site;

const MIB: u64 = 1 << 20;
/// What the agent is given.
const MEMORY: u64 = 16 * MIB;
/// What there may be beside it (docs/operations.md, "Sizing"): objects that wait, pages, buffers, messages, the checkpoint's
/// cache, and what the allocator does not give back.
const BESIDE: u64 = 56 * MIB;
/// The same with few objects: less than the content of the large one.
const BESIDE_FEW: u64 = 24 * MIB;

/// A folder of log files for each of these accounts.
fn deliver(bucket: &Path, accounts: usize, files: usize) {
    let tiny = Deflater::new(6).deflate(br#"{"Records":[]}"#);
    for account in 0..accounts {
        let account = format!("{:012}", 111_111_111_111 + account as u64);
        let folder = bucket.join(format!("AWSLogs/{account}/CloudTrail/eu-west-1/2024/05/01"));
        std::fs::create_dir_all(&folder).unwrap();
        let first = folder.join(name(&account, 0));
        std::fs::write(&first, &tiny).unwrap();
        for file in 1..files {
            // A link is all that a tiny file is read for, and quicker to make.
            std::fs::hard_link(&first, folder.join(name(&account, file))).unwrap();
        }
    }
}

fn name(account: &str, file: usize) -> String {
    format!("{account}_CloudTrail_eu-west-1_20240501T{:02}{:02}Z_A{file:015}.json.gz", file / 60 % 24, file % 60)
}

/// One file of fifty megabytes of content, which takes some ten.
fn deliver_huge(bucket: &Path) {
    let account = "999999999999";
    let folder = bucket.join(format!("AWSLogs/{account}/CloudTrail/eu-west-1/2024/05/01"));
    std::fs::create_dir_all(&folder).unwrap();
    let mut content = br#"{"Records":["#.to_vec();
    let mut state = 0x9e37_79b9_u64;
    while content.len() < 50_000_000 {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let id = format!("{state:016x}");
        let padding = "\"eventSource\":\"s3.amazonaws.com\",\"awsRegion\":\"eu-west-1\",\"eventName\":\"GetObject\"";
        let comma = if content.ends_with(b"[") { "" } else { "," };
        content.extend_from_slice(
            format!(
                "{comma}{{\"eventVersion\":\"1.08\",\"eventID\":\"{id}\",\"eventTime\":\"2024-05-01T00:00:00Z\",{padding}}}"
            )
            .as_bytes(),
        );
    }
    content.extend_from_slice(b"]}");
    std::fs::write(folder.join(name(account, 0)), Deflater::new(6).deflate(&content)).unwrap();
}

/// The most that was ever resident of a process, in bytes.
fn peak(process: &Process) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", process.id())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("the kernel says");
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
}

fn site() -> Site {
    let mut site = Site::new();
    site.agent_more.push_str(&format!("[fetch]\nmemory = {MEMORY}\nobject_bytes_max = {MEMORY}\n"));
    let bucket = site.sources().join("bucket");
    std::fs::create_dir_all(&bucket).unwrap();
    site.configure_locations(&[bucket]).unwrap();
    site
}

/// What an agent takes that has nothing to do.
fn idle() -> u64 {
    let site = site();
    let mut aggregator = site.aggregator().unwrap();
    let mut agent = site.agent().unwrap();
    agent.wait_for("linked to the aggregator").unwrap();
    let idle = peak(&agent);
    assert!(agent.stop().unwrap().success());
    assert!(aggregator.stop().unwrap().success());
    idle
}

fn assert_within(peak: u64, idle: u64, bound: u64) {
    let took = peak.saturating_sub(idle);
    println!("{} MiB beyond the {} MiB of an idle agent", took / MIB, idle / MIB);
    assert!(took <= bound, "{} MiB, allowed are {} MiB", took / MIB, bound / MIB);
}

#[test]
fn a_hundred_thousand_tiny_files_and_a_huge_one_stay_within_the_memory_while_nobody_takes_them() {
    let site = site();
    deliver(&site.sources().join("bucket"), 100, 1000);
    deliver_huge(&site.sources().join("bucket"));
    // Without an aggregator everything fills up to its bound, and stays there.
    let agent = site.agent().unwrap();
    let began = Instant::now();
    let (mut last, mut still) = (0, 0);
    while still < 20 {
        std::thread::sleep(Duration::from_millis(100));
        let now = peak(&agent);
        still = if now == last && began.elapsed() > Duration::from_secs(5) { still + 1 } else { 0 };
        last = now;
        assert!(began.elapsed() < Duration::from_secs(50), "it never came to rest");
    }
    let claimed = site.agent_status().map_or(0, |status| status.objects.in_flight);
    assert!(claimed > 1000, "{claimed} objects were found: this measures nothing");
    let waiting = MEMORY / 2 / 512 + 1000;
    let held = waiting + MEMORY / (32 << 10) + 64;
    assert!(claimed <= held, "{claimed} objects are held, allowed are {held}");
    assert_within(last, idle(), MEMORY + BESIDE);
}

#[test]
fn a_file_of_fifty_megabytes_goes_through_within_the_memory() {
    let site = site();
    deliver(&site.sources().join("bucket"), 10, 100);
    deliver_huge(&site.sources().join("bucket"));
    let mut aggregator = site.aggregator().unwrap();
    let mut agent = site.agent().unwrap();
    let began = Instant::now();
    while site.agent_status().map_or(0, |status| status.objects.done) < 1001 {
        assert!(began.elapsed() < Duration::from_secs(50), "{:?}", site.agent_status());
        std::thread::sleep(Duration::from_millis(100));
    }
    let took = peak(&agent);
    assert!(agent.stop().unwrap().success());
    assert!(aggregator.stop().unwrap().success());
    assert_within(took, idle(), MEMORY + BESIDE_FEW);
}
