//! `orgtrail validate-logs` against the stock AWS CLI, line by line and in order, on the same tampered files.
//!
//! Both read a bucket and keys that are served from memory; of the emulator only its environment is needed, in which the
//! AWS CLI is.

use std::process::{Command, Output};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use orgtrail_tests::emulator::Emulator;
use orgtrail_tests::process::program;
use orgtrail_tests::served_bucket::ServedBucket;
use orgtrail_tests::signed_trail::{SignedTrail, TrailPlan, public_keys_json};
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};

/// How lines of ours begin that the AWS CLI doesn't have.
const OUR_LINES: [&str; 5] =
    ["Digest chain\t", "Backfill digest\t", "Unlisted log file\t", "Custody\t", "Source digest\t"];

/// What a validator said: status, and the lines of each stream in order.
#[derive(Debug, PartialEq, Eq)]
struct Said {
    code: Option<i32>,
    out: Vec<String>,
    errors: Vec<String>,
}

impl Said {
    fn of(output: &Output) -> Self {
        let lines = |bytes: &[u8]| {
            let text = String::from_utf8_lossy(bytes).into_owned();
            let counts = ["findings in digest chains INVALID", "that no digest file lists", "chain restarts"];
            let is_ours = |line: &str| {
                OUR_LINES.iter().any(|begin| line.starts_with(begin)) || counts.iter().any(|end| line.ends_with(end))
            };
            text.lines().filter(|line| !line.is_empty() && !is_ours(line)).map(str::to_owned).collect()
        };
        Self { code: output.status.code(), out: lines(&output.stdout), errors: lines(&output.stderr) }
    }
}

/// Validates with both and compares. Gives what both said, and our own output whole.
fn compare(emulator: &Emulator, trail: &SignedTrail, start: Timestamp, end: Timestamp, case: &str) -> (Said, String) {
    let plan = &trail.plan;
    let served = ServedBucket::start(&plan.bucket, trail.objects.clone(), public_keys_json(), Duration::ZERO).unwrap();
    let (arn, start, end) = (plan.arn(), start.to_string(), end.to_string());
    let mut arguments = vec!["--trail-arn", &arn, "--s3-bucket", &plan.bucket, "--region", &plan.region, "--verbose"];
    arguments.extend(["--start-time", &start, "--end-time", &end]);
    if !plan.prefix.is_empty() {
        arguments.extend(["--s3-prefix", &plan.prefix]);
    }
    let mut env = emulator.child_env(&emulator.account());
    env.push(("AWS_ENDPOINT_URL_S3", served.url()));
    env.push(("AWS_ENDPOINT_URL_CLOUDTRAIL", served.url()));
    let mut theirs = Command::new(emulator.aws_program());
    theirs.args(["cloudtrail", "validate-logs"]).args(&arguments).envs(env.clone());
    let mut ours = Command::new(program("orgtrail"));
    ours.arg("validate-logs").args(&arguments).envs(env);
    let (theirs, ours) = (Said::of(&theirs.output().unwrap()), ours.output().unwrap());
    let whole = String::from_utf8_lossy(&[ours.stdout.as_slice(), &ours.stderr].concat()).into_owned();
    let said = Said::of(&ours);
    assert_eq!((&said.out, &said.errors), (&theirs.out, &theirs.errors), "{case}: {whole}");
    // Ours finds more, never less.
    let more =
        OUR_LINES.iter().any(|begin| whole.lines().any(|line| line.starts_with(begin) && line.contains("INVALID")));
    assert_eq!(said.code, if more { Some(1) } else { theirs.code }, "{case}: {whole}");
    (said, whole)
}

/// One way to tamper with a trail.
type Tamper = fn(&mut SignedTrail, &mut StdRng);

fn any_digest(trail: &SignedTrail, random: &mut StdRng) -> String {
    let all: Vec<_> =
        trail.digests.iter().chain(&trail.backfills).filter(|key| trail.objects.contains_key(*key)).collect();
    all[random.random_range(0..all.len())].clone()
}

fn any_log(trail: &SignedTrail, random: &mut StdRng) -> String {
    let all: Vec<_> = trail.objects.keys().filter(|key| key.contains("/CloudTrail/")).collect();
    all[random.random_range(0..all.len())].clone()
}

fn edit(trail: &mut SignedTrail, key: &str, change: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = trail.objects[key].bytes.to_vec();
    change(&mut bytes);
    trail.replace_bytes(key, bytes);
}

const TAMPERINGS: [(&str, Tamper); 18] = [
    // Not the newest: that is only missed after two hours of grace, and by the AWS CLI never.
    ("digest removed", |trail, random| {
        let key = any_digest(trail, random);
        if Some(&key) != trail.digests.last() {
            trail.objects.remove(&key);
        }
    }),
    ("newest digest removed", |trail, _| {
        trail.objects.remove(trail.digests.last().unwrap());
    }),
    ("log removed", |trail, random| {
        let key = any_log(trail, random);
        trail.objects.remove(&key);
    }),
    ("log replaced", |trail, random| {
        let key = any_log(trail, random);
        trail.replace_content(&key, b"{\"Records\":[{}]}");
    }),
    ("log cut", |trail, random| {
        let key = any_log(trail, random);
        let keep = random.random_range(1..trail.objects[&key].bytes.len());
        edit(trail, &key, |bytes| bytes.truncate(keep));
    }),
    ("log emptied", |trail, random| {
        let key = any_log(trail, random);
        trail.replace_bytes(&key, Vec::new());
    }),
    ("log with a bit flipped", |trail, random| {
        let key = any_log(trail, random);
        let at = random.random_range(10..trail.objects[&key].bytes.len());
        edit(trail, &key, |bytes| bytes[at] ^= 1);
    }),
    ("log not compressed", |trail, random| {
        let key = any_log(trail, random);
        let content = trail.content(&key);
        trail.replace_bytes(&key, content);
    }),
    ("log with a second member", |trail, random| {
        let key = any_log(trail, random);
        edit(trail, &key, |bytes| bytes.extend_from_within(..));
    }),
    ("log with bytes behind it", |trail, random| {
        let key = any_log(trail, random);
        edit(trail, &key, |bytes| bytes.push(0));
    }),
    ("digest cut", |trail, random| {
        let key = any_digest(trail, random);
        let keep = random.random_range(0..trail.objects[&key].bytes.len());
        edit(trail, &key, |bytes| bytes.truncate(keep));
    }),
    ("digest with a second member", |trail, random| {
        let key = any_digest(trail, random);
        edit(trail, &key, |bytes| bytes.extend_from_within(..));
    }),
    ("digest with another list", |trail, random| {
        let key = any_digest(trail, random);
        let mut digest = trail.digest(&key);
        digest.log_files.clear();
        trail.replace_content(&key, &digest.to_json());
    }),
    ("digest exchanged", |trail, random| {
        let (one, other) = (any_digest(trail, random), any_digest(trail, random));
        let stored = trail.objects[&one].clone();
        trail.objects.insert(other, stored);
    }),
    ("digest without metadata", |trail, random| {
        let key = any_digest(trail, random);
        let metadata = &mut trail.objects.get_mut(&key).unwrap().metadata;
        let name = metadata.keys().nth(random.random_range(0..metadata.len())).unwrap().clone();
        metadata.remove(&name);
    }),
    ("digest with another signature", |trail, random| {
        let key = any_digest(trail, random);
        let wrong = ["", "ab", "abc", "zz", &"0".repeat(512)][random.random_range(0..5)].to_owned();
        trail.objects.get_mut(&key).unwrap().metadata.insert("signature".to_owned(), wrong);
    }),
    ("digest of an unknown key", |trail, random| {
        let key = any_digest(trail, random);
        trail.sign_again(&key, |digest| digest.digest_public_key_fingerprint = "0".repeat(32));
    }),
    ("digest that starts a chain", |trail, random| {
        let key = any_digest(trail, random);
        trail.sign_again(&key, |digest| {
            (digest.previous_digest_s3_bucket, digest.previous_digest_s3_object) = (None, None);
            digest.previous_digest_signature = None;
        });
    }),
];

#[test]
fn each_tampering_is_told_as_the_aws_cli_tells_it_on_an_emulator() {
    let Some(emulator) = Emulator::ministack(false) else { return };
    for (index, (case, tamper)) in TAMPERINGS.into_iter().enumerate() {
        let prefix = if index % 2 == 0 { "" } else { "audit/2026" };
        let plan = TrailPlan { prefix: prefix.to_owned(), custody: true, ..TrailPlan::default() };
        let mut trail = SignedTrail::make(&plan);
        trail.add_late_log(2);
        tamper(&mut trail, &mut StdRng::seed_from_u64(index as u64 + 2));
        let (said, whole) = compare(emulator, &trail, trail.plan.start, trail.plan.end(), case);
        assert!(said.out.iter().any(|line| line.contains(" files valid")), "{case}: {whole}");
        // The AWS CLI doesn't look behind a digest's first gzip member, nor for what is newer than the newest digest.
        let harmless = ["newest digest removed", "digest with a second member"].contains(&case);
        let told = harmless || whole.contains("INVALID") || whole.contains("a chain starts here");
        assert!(told, "{case} went unseen: {whole}");
    }
}

#[test]
fn any_mix_of_tamperings_is_told_as_the_aws_cli_tells_it_on_an_emulator() {
    let Some(emulator) = Emulator::ministack(false) else { return };
    for seed in 0..12 {
        let mut random = StdRng::seed_from_u64(1000 + seed);
        let hours = random.random_range(2..10);
        let mut trail = SignedTrail::make(&TrailPlan { hours, ..TrailPlan::default() });
        for _ in 0..random.random_range(0..3) {
            trail.add_late_log(random.random_range(0..hours));
        }
        let mut case = format!("seed {seed}:");
        for _ in 0..random.random_range(1..5) {
            let (name, tamper) = TAMPERINGS[random.random_range(0..TAMPERINGS.len())];
            // What one tampering broke, another can't read any more.
            if std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| tamper(&mut trail, &mut random))).is_ok() {
                case = format!("{case} {name},");
            }
        }
        let shift = |most: i64, random: &mut StdRng| SignedDuration::from_mins(random.random_range(-30..most));
        let (start, end) = (trail.plan.start + shift(90, &mut random), trail.plan.end() + shift(90, &mut random));
        compare(emulator, &trail, start.min(end), end, &case);
    }
}
