//! `cargo bench -p orgtrail-tests --bench validate`: a month of a busy account, validated by the stock AWS CLI and by
//! `orgtrail validate-logs`, on the same files in the same run.
//!
//! Both read a bucket that is served from memory, whose answers come at once, and one whose answers take 10 ms, as those of
//! a near S3 do at best. Ours also reads a folder with the same files; the AWS CLI can't, and is shown there with its
//! quickest source, the bucket in memory. CPU is user and system time of the validating process alone. Both must call every
//! file valid before a figure is printed. Ours is over in a moment and so is run five times; the middle one counts.
//!
//! Sizes: `BENCH_HOURS` (default 720), `BENCH_FILES` a hour (default 12), `BENCH_RECORDS` a file, several with commas (default
//! `real,20,100`; `real` is as a real account's files were), `BENCH_LATENCIES` in milliseconds (default `0,10`).

#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

use std::process::{Command, Output};
use std::time::{Duration, Instant};

use orgtrail_cli::terminal::{count, table};
use orgtrail_tests::emulator::{Emulator, bucket_name};
use orgtrail_tests::process::program;
use orgtrail_tests::served_bucket::ServedBucket;
use orgtrail_tests::signed_trail::{SignedTrail, TrailPlan, location, public_keys_json};

/// Runs of ours.
const RUNS: usize = 5;

/// Clock ticks a second in /proc; Linux has had 100 for user space always.
const TICKS: f64 = 100.0;

fn main() {
    // For the AWS CLI that comes with it, and an account.
    let Some(emulator) = Emulator::ministack_alone(false) else { return };
    let mut rows = Vec::new();
    for records in setting("BENCH_RECORDS", "real,20,100").split(',') {
        rows.extend(files_of(records, &emulator));
    }
    let header = [
        "records a file",
        "source",
        "AWS CLI: CPU s",
        "wall s",
        "orgtrail: CPU s",
        "wall s",
        "x less CPU",
        "x less wall",
    ];
    println!("{}", table(2, &header, rows));
}

fn setting(name: &str, default: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| default.to_owned())
}

/// The rows of one size of files.
fn files_of(records: &str, emulator: &Emulator) -> Vec<Vec<String>> {
    let account = emulator.account();
    let plan = TrailPlan {
        account: account.id.clone(),
        region: "us-east-1".to_owned(),
        bucket: bucket_name(),
        hours: setting("BENCH_HOURS", "720").parse().unwrap(),
        files_per_hour: setting("BENCH_FILES", "12").parse().unwrap(),
        records_per_file: records.parse().unwrap_or_default(),
        as_delivered: records == "real",
        ..TrailPlan::default()
    };
    let trail = SignedTrail::make(&plan);
    let dir = tempfile::tempdir().unwrap();
    let (folder, keys) = (dir.path().join(&plan.bucket), dir.path().join("keys.json"));
    std::fs::write(&keys, public_keys_json()).unwrap();
    tokio::runtime::Runtime::new().unwrap().block_on(trail.write(&folder)).unwrap();
    let sizes = Sizes { digests: plan.hours.into(), logs: u64::from(plan.hours) * u64::from(plan.files_per_hour) };
    let gzip: usize = trail.objects.values().map(|stored| stored.bytes.len()).sum();
    let (digests, logs) = (count(sizes.digests), count(sizes.logs));
    println!("{records} records a file: {digests} digests, {logs} log files, {} KB gzip", count(gzip as u64 / 1000));

    let (arn, start, end) = (plan.arn(), plan.start.to_string(), plan.end().to_string());
    let range = ["--start-time", &start, "--end-time", &end];
    let by_arn = ["--trail-arn", &arn, "--s3-bucket", &plan.bucket, "--region", &plan.region];
    let (mut rows, mut quickest) = (Vec::new(), None);
    for latency in setting("BENCH_LATENCIES", "0,10").split(',') {
        let patience = Duration::from_millis(latency.parse().unwrap());
        let served = ServedBucket::start(&plan.bucket, trail.objects.clone(), public_keys_json(), patience).unwrap();
        let mut env = emulator.child_env(&account);
        env.push(("AWS_ENDPOINT_URL_S3", served.url()));
        env.push(("AWS_ENDPOINT_URL_CLOUDTRAIL", served.url()));
        let mut theirs = Command::new(emulator.aws_program());
        theirs.args(["cloudtrail", "validate-logs"]).args(by_arn).args(range).envs(env.clone());
        let mut ours = Command::new(program("orgtrail"));
        ours.arg("validate-logs").args(by_arn).args(range).envs(env);
        let theirs = sizes.measure(&mut theirs);
        let ours = sizes.middle(&mut ours);
        rows.push(row(records, &format!("bucket, {latency} ms"), theirs, ours));
        quickest.get_or_insert(theirs);
    }
    let mut ours = Command::new(program("orgtrail"));
    ours.args(["validate-logs", "--location", &location(&folder), "--public-keys"]).arg(&keys).args(range);
    rows.push(row(records, "folder", quickest.unwrap(), sizes.middle(&mut ours)));
    rows
}

/// What there is to validate.
struct Sizes {
    digests: u64,
    logs: u64,
}

/// What a command took.
#[derive(Clone, Copy)]
struct Taken {
    cpu: f64,
    wall: f64,
}

impl Sizes {
    /// Runs it and checks that it called everything valid.
    fn measure(&self, command: &mut Command) -> Taken {
        let (before, began) = (children_cpu(), Instant::now());
        let Output { status, stdout, stderr } = command.output().unwrap();
        let taken = Taken { wall: began.elapsed().as_secs_f64(), cpu: children_cpu() - before };
        let (said, errors) = (String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
        assert!(status.success(), "{command:?}: {said}{errors}");
        let Self { digests, logs } = self;
        for expected in [format!("{digests}/{digests} digest files valid"), format!("{logs}/{logs} log files valid")] {
            assert!(said.contains(&expected), "{command:?}: {said}{errors}");
        }
        taken
    }

    /// The middle of some runs, of CPU and wall time each.
    fn middle(&self, command: &mut Command) -> Taken {
        let runs: Vec<_> = (0..RUNS).map(|_| self.measure(command)).collect();
        let middle = |of: fn(&Taken) -> f64| {
            let mut times: Vec<_> = runs.iter().map(of).collect();
            times.sort_by(f64::total_cmp);
            times[RUNS / 2]
        };
        Taken { cpu: middle(|taken| taken.cpu), wall: middle(|taken| taken.wall) }
    }
}

/// Seconds of user and system time of all children that were waited for (proc_pid_stat(5): cutime, cstime).
fn children_cpu() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<_> = stat.rsplit_once(") ").unwrap().1.split(' ').collect();
    [13, 14].iter().map(|field| fields[*field].parse::<f64>().unwrap()).sum::<f64>() / TICKS
}

fn row(records: &str, source: &str, theirs: Taken, ours: Taken) -> Vec<String> {
    let (cpu, wall) = (theirs.cpu / ours.cpu, theirs.wall / ours.wall);
    let seconds = [theirs.cpu, theirs.wall, ours.cpu, ours.wall].map(|seconds| format!("{seconds:.2}"));
    [vec![records.to_owned(), source.to_owned()], seconds.to_vec(), vec![format!("{cpu:.1}"), format!("{wall:.1}")]]
        .concat()
}
