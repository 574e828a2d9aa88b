//! `cargo bench -p orgtrail-tests --bench validate`: a month of a busy account, validated by the stock AWS CLI and by
//! `orgtrail validate-logs`, on the same files in the same run.
//!
//! Sources: ministack, an emulator in Python, which serves one request at a time and so bounds the wall time of whoever asks
//! for more; a bucket served from memory, which does not; the same with answers that take 10 ms, as those of a near S3 do
//! at best; and, for ours alone, a folder. CPU is user and system time of the
//! validating process alone. Both must call every file valid before a figure is printed.
//!
//! Sizes: `BENCH_HOURS` (default 720), `BENCH_FILES` a hour (default 12), `BENCH_RECORDS` a file (default 100).

#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

use std::process::{Command, Output};
use std::time::{Duration, Instant};

use orgtrail_cli::terminal::{count, table};
use orgtrail_cloud::admin::Admin;
use orgtrail_cloud::{Location, open_store};
use orgtrail_tests::emulator::{Emulator, bucket_name};
use orgtrail_tests::process::program;
use orgtrail_tests::served_bucket::ServedBucket;
use orgtrail_tests::signed_trail::{SignedTrail, TrailPlan, location, public_keys_json};

/// How long an answer of the far bucket takes.
const LATENCY: Duration = Duration::from_millis(10);

/// Clock ticks a second in /proc; Linux has had 100 for user space always.
const TICKS: f64 = 100.0;

fn main() {
    let size = |name: &str, default| std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default);
    let Some(emulator) = Emulator::ministack_alone(false) else { return };
    let ours = program("orgtrail");
    let account = emulator.account();
    let plan = TrailPlan {
        account: account.id.clone(),
        region: "us-east-1".to_owned(),
        bucket: bucket_name(),
        hours: size("BENCH_HOURS", 720),
        files_per_hour: size("BENCH_FILES", 12),
        records_per_file: size("BENCH_RECORDS", 100),
        ..TrailPlan::default()
    };
    eprintln!("making {} hours of {} files of {} records", plan.hours, plan.files_per_hour, plan.records_per_file);
    let trail = SignedTrail::make(&plan);
    let dir = tempfile::tempdir().unwrap();
    let (folder, keys) = (dir.path().join(&plan.bucket), dir.path().join("keys.json"));
    std::fs::write(&keys, public_keys_json()).unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let connection = emulator.connection(&account);
        Admin::open(&connection).await.create_bucket(&plan.bucket).await;
        let bucket = Location::S3 { bucket: plan.bucket.clone(), prefix: String::new() };
        trail.put(open_store(&bucket, &connection).await.unwrap().as_ref()).await.unwrap();
        trail.write(&folder).await.unwrap();
    });
    let (digests, logs) = (u64::from(plan.hours), u64::from(plan.hours) * u64::from(plan.files_per_hour));
    let gzip: usize = trail.objects.values().map(|stored| stored.bytes.len()).sum();
    println!("{} digests, {} log files, {} MB gzip", count(digests), count(logs), gzip / 1_000_000);
    let serve =
        |latency| ServedBucket::start(&plan.bucket, trail.objects.clone(), public_keys_json(), latency).unwrap();
    let (served, afar) = (serve(Duration::ZERO), serve(LATENCY));

    let (arn, start, end) = (plan.arn(), plan.start.to_string(), plan.end().to_string());
    let range = ["--start-time", &start, "--end-time", &end];
    let by_arn = ["--trail-arn", &arn, "--s3-bucket", &plan.bucket, "--region", &plan.region];
    let mut taken = Vec::new();
    for (source, url) in [("ministack", emulator.url()), ("memory", served.url()), ("memory, 10 ms", afar.url())] {
        let mut env = emulator.child_env(&account);
        env.push(("AWS_ENDPOINT_URL_S3", url));
        env.push(("AWS_ENDPOINT_URL_CLOUDTRAIL", served.url()));
        let mut theirs = Command::new(emulator.aws_program());
        theirs.args(["cloudtrail", "validate-logs"]);
        for (tool, mut command) in [("AWS CLI", theirs), ("orgtrail", Command::new(&ours))] {
            if tool == "orgtrail" {
                command.arg("validate-logs");
            }
            command.args(by_arn).args(range).envs(env.clone());
            taken.push((source, tool, measure(command, digests, logs)));
        }
    }
    let mut command = Command::new(&ours);
    command.args(["validate-logs", "--location", &location(&folder), "--public-keys"]).arg(&keys).args(range);
    taken.push(("file://", "orgtrail", measure(command, digests, logs)));
    print(&taken);
}

/// What a command took.
#[derive(Clone, Copy)]
struct Taken {
    cpu: f64,
    wall: Duration,
}

/// Runs it and checks that it called everything valid.
fn measure(mut command: Command, digests: u64, logs: u64) -> Taken {
    let (before, began) = (children_cpu(), Instant::now());
    let Output { status, stdout, stderr } = command.output().unwrap();
    let taken = Taken { wall: began.elapsed(), cpu: children_cpu() - before };
    let (said, errors) = (String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
    assert!(status.success(), "{command:?}: {said}{errors}");
    for expected in [format!("{digests}/{digests} digest files valid"), format!("{logs}/{logs} log files valid")] {
        assert!(said.contains(&expected), "{command:?}: {said}{errors}");
    }
    taken
}

/// Seconds of user and system time of all children that were waited for (proc_pid_stat(5): cutime, cstime).
fn children_cpu() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<_> = stat.rsplit_once(") ").unwrap().1.split(' ').collect();
    [13, 14].iter().map(|field| fields[*field].parse::<f64>().unwrap()).sum::<f64>() / TICKS
}

fn print(taken: &[(&str, &str, Taken)]) {
    let theirs = |source: &str| {
        let same = taken.iter().find(|(on, tool, _)| *tool == "AWS CLI" && *on == source);
        // Of a folder the AWS CLI can't read: compared with its faster source.
        same.or_else(|| taken.iter().find(|(on, tool, _)| *tool == "AWS CLI" && *on == "memory")).unwrap().2
    };
    let rows = taken.iter().map(|(source, tool, took)| {
        let cli = theirs(source);
        vec![
            (*source).to_owned(),
            (*tool).to_owned(),
            format!("{:.2}", took.cpu),
            format!("{:.2}", took.wall.as_secs_f64()),
            format!("{:.1}", cli.cpu / took.cpu),
            format!("{:.1}", cli.wall.as_secs_f64() / took.wall.as_secs_f64()),
        ]
    });
    let header = ["source", "validator", "CPU s", "wall s", "x less CPU", "x less wall"];
    println!("{}", table(2, &header, rows.collect()));
}
