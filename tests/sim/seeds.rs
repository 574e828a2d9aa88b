//! Which seeds are run, on how many threads, and what is kept of one that fails.

use std::collections::BTreeMap;
use std::io::{IsTerminal as _, Write as _};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::run::{Report, run};

/// Seeds of a run in continuous integration.
const SEEDS: u64 = 300;
/// A seed takes about a second; one that takes longer than this hangs.
const HANGS_AFTER: Duration = Duration::from_secs(180);
/// Failures after which no more seeds are begun.
const FAILURES_MAX: u64 = 10;

#[expect(clippy::disallowed_methods, reason = "a test is told by its environment")]
fn number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name}={text} is no number")))
}

/// Those that once failed, then the first ones.
fn seeds() -> Vec<u64> {
    if let Some(seed) = number("SIM_SEED") {
        return vec![seed; usize::try_from(number("SIM_TIMES").unwrap_or(1)).unwrap()];
    }
    let kept = include_str!("seeds.txt").lines().filter_map(|line| line.split_whitespace().next()?.parse().ok());
    let first = number("SIM_FIRST").unwrap_or(1);
    kept.chain(first..first + number("SIM_SEEDS").unwrap_or(SEEDS)).collect()
}

fn stories() -> PathBuf {
    let target = option_env!("CARGO_TARGET_DIR")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../target"), PathBuf::from);
    target.join("sim")
}

pub(crate) fn run_all() {
    let seeds = seeds();
    let next = AtomicUsize::new(0);
    let running: Mutex<BTreeMap<u64, Instant>> = Mutex::default();
    let failed: Mutex<Vec<(u64, Vec<String>)>> = Mutex::default();
    let began = Instant::now();
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(seeds.len().max(1));
    std::thread::scope(|scope| {
        let work = || {
            while let Some(&seed) = seeds.get(next.fetch_add(1, Ordering::Relaxed)) {
                if lock(&failed).len() as u64 >= number("SIM_FAILURES").unwrap_or(FAILURES_MAX) {
                    return;
                }
                lock(&running).insert(seed, Instant::now());
                let report = catch_unwind(AssertUnwindSafe(|| run(seed)));
                lock(&running).remove(&seed);
                let report =
                    report.unwrap_or_else(|_| Report { failures: vec!["panicked".into()], story: String::new() });
                if !report.failures.is_empty() || seeds.len() == 1 {
                    keep(seed, &report);
                }
                if !report.failures.is_empty() {
                    lock(&failed).push((seed, report.failures));
                }
            }
        };
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        while workers.iter().any(|worker| !worker.is_finished()) {
            std::thread::sleep(Duration::from_millis(100));
            watch(&running);
            progress(next.load(Ordering::Relaxed).min(seeds.len()), seeds.len(), began);
        }
    });
    let failed = failed.into_inner().unwrap_or_else(PoisonError::into_inner);
    assert!(failed.is_empty(), "{}", told(&failed));
}

fn told(failed: &[(u64, Vec<String>)]) -> String {
    let mut text = format!("{} seeds failed\n", failed.len());
    for (seed, failures) in failed {
        let story = stories().join(format!("{seed}.txt"));
        text += &format!("\nseed {seed}, its operations are in {}\n", story.display());
        failures.iter().for_each(|failure| text += &format!("    {failure}\n"));
        text += &format!("    SIM_SEED={seed} cargo test -p orgtrail-tests --test sim\n");
    }
    text
}

fn keep(seed: u64, report: &Report) {
    std::fs::create_dir_all(stories()).unwrap();
    let text = format!("seed {seed}\n\n{}\n{}", report.failures.join("\n"), report.story);
    std::fs::write(stories().join(format!("{seed}.txt")), text).unwrap();
}

/// A seed that hangs can't be ended, as its thread can't: the test process ends with its name.
fn watch(running: &Mutex<BTreeMap<u64, Instant>>) {
    let running = lock(running);
    if let Some((seed, _)) = running.iter().find(|(_, since)| since.elapsed() > HANGS_AFTER) {
        let said = format!("seed {seed} hangs: SIM_SEED={seed} cargo test -p orgtrail-tests --test sim\n");
        drop(std::io::stderr().write_all(said.as_bytes()));
        std::process::abort();
    }
}

fn progress(done: usize, all: usize, began: Instant) {
    let mut out = std::io::stderr();
    if all > 1 && out.is_terminal() {
        drop(write!(out, "\r{done} of {all} seeds, {} s ", began.elapsed().as_secs()));
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
