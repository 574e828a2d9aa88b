//! `cargo bench -p orgtrail-tests`: what the whole path costs, beside the codec floor of the same bytes in the same run.
//!
//! Two generated organizations, one of fat files and one of tiny files, go through the real processes over local folders.
//! The floor is one thread that inflates and scans the same objects. Times are CPU time of the processes, so the ratio of
//! path to floor holds on a noisy machine; wall times are told for what they are worth.
//!
//! Sizes: `BENCH_FAT_RECORDS` (default 1,000,000) and `BENCH_TINY_RECORDS` (default 150,000).

#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use orgtrail_cli::generate::{Manifest, Plan, Size};
use orgtrail_cli::terminal::{count, table};
use orgtrail_event::gzip::Inflater;
use orgtrail_event::log_file::{Item, Limits, read};
use orgtrail_tests::process::{Process, program};
use orgtrail_tests::site::Site;

fn main() {
    let size = |name: &str, default| std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default);
    let organizations = [
        ("fat", Size::FAT, size("BENCH_FAT_RECORDS", 1_000_000)),
        ("tiny", Size::TINY, size("BENCH_TINY_RECORDS", 150_000)),
    ];
    // Built before anything is timed.
    program("orgtrail");
    let mut rows = Vec::new();
    for (name, sizes, records) in organizations {
        let plan = Plan {
            accounts: 20,
            events_per_file: sizes,
            corrupt_share: 0.0,
            redelivered_share: 0.0,
            second_trail_share: 0.0,
            ..Plan::default()
        };
        eprintln!("{name}: making about {} records", count(records));
        let (site, manifest) = Site::generated(&plan.with_records(records)).unwrap();
        let floor = floor(&site.sources());
        let path = path(&site);
        site.assert_delivered_exactly(&manifest).unwrap();
        rows.push(floor.row(&format!("{name}: floor"), &manifest, &floor));
        rows.push(path.row(&format!("{name}: path"), &manifest, &floor));
        for (process, rss) in &path.peak_rss {
            println!("{name}: peak memory of the {process}: {} MiB", rss >> 20);
        }
    }
    let header =
        ["", "CPU s/GB", "MB/CPU s", "x floor", "records/CPU s", "objects/CPU s", "objects", "MB JSON", "wall s"];
    println!("{}", table(1, &header, rows));
}

/// What something took.
struct Taken {
    cpu: Duration,
    wall: Duration,
    peak_rss: Vec<(&'static str, u64)>,
}

impl Taken {
    fn row(&self, name: &str, manifest: &Manifest, floor: &Self) -> Vec<String> {
        let (cpu, bytes) = (self.cpu.as_secs_f64(), manifest.json_bytes as f64);
        let per_second = |number: u64| count((number as f64 / cpu) as u64);
        vec![
            name.to_owned(),
            format!("{:.2}", cpu / bytes * 1e9),
            format!("{:.0}", bytes / 1e6 / cpu),
            format!("{:.1}", cpu / floor.cpu.as_secs_f64()),
            per_second(manifest.records_written),
            per_second(manifest.files_total()),
            count(manifest.files_total()),
            count(manifest.json_bytes / 1_000_000),
            format!("{:.1}", self.wall.as_secs_f64()),
        ]
    }
}

/// Inflates and scans every object on this thread.
fn floor(sources: &Path) -> Taken {
    let (began, cpu) = (Instant::now(), cpu_of("self").unwrap());
    let mut inflater = Inflater::new();
    let mut json = Vec::new();
    let mut records = 0;
    for path in objects(sources) {
        inflater.inflate(&std::fs::read(path).unwrap(), 1 << 30, &mut json).unwrap();
        records += read(&json, &Limits::default()).unwrap().filter(|item| matches!(item, Item::Record(_))).count();
    }
    assert!(records > 0);
    Taken { cpu: cpu_of("self").unwrap() - cpu, wall: began.elapsed(), peak_rss: Vec::new() }
}

fn objects(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![dir.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.to_string_lossy().contains("_CloudTrail_") && path.to_string_lossy().ends_with(".json.gz") {
                found.push(path);
            }
        }
    }
    found
}

/// Runs both processes until everything is delivered.
fn path(site: &Site) -> Taken {
    let began = Instant::now();
    let mut aggregator = site.aggregator().unwrap();
    let mut agent = site.agent_once().unwrap();
    let mut agent_taken = Usage::default();
    while agent.is_running() {
        agent_taken.look(&agent);
        std::thread::sleep(Duration::from_millis(10));
    }
    let mut aggregator_taken = Usage::default();
    aggregator_taken.look(&aggregator);
    let wall = began.elapsed();
    assert_eq!(agent.wait().unwrap().code(), Some(0), "{}", agent.output());
    assert!(aggregator.stop().unwrap().success());
    let peak_rss = vec![("agent", agent_taken.peak_rss), ("aggregator", aggregator_taken.peak_rss)];
    Taken { cpu: agent_taken.cpu + aggregator_taken.cpu, wall, peak_rss }
}

/// The last that was seen of a process.
#[derive(Default)]
struct Usage {
    cpu: Duration,
    peak_rss: u64,
}

impl Usage {
    fn look(&mut self, process: &Process) {
        let id = process.id().to_string();
        if let Some(cpu) = cpu_of(&id) {
            self.cpu = self.cpu.max(cpu);
        }
        let status = std::fs::read_to_string(format!("/proc/{id}/status")).unwrap_or_default();
        let kib =
            status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix("kB")?.trim().parse().ok());
        self.peak_rss = self.peak_rss.max(kib.unwrap_or(0_u64) << 10);
    }
}

/// User and system time of a process, to a hundredth of a second (Linux's USER_HZ is 100).
fn cpu_of(id: &str) -> Option<Duration> {
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    // The name may hold blanks; what follows it doesn't.
    let fields: Vec<_> = stat.rsplit_once(") ")?.1.split(' ').collect();
    let ticks: u64 = fields.get(11)?.parse::<u64>().ok()? + fields.get(12)?.parse::<u64>().ok()?;
    Some(Duration::from_millis(ticks * 10))
}
