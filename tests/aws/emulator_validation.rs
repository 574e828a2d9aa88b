//! The outside judge of our digests: the stock AWS CLI's `aws cloudtrail validate-logs`, which takes trails and keys from our
//! console and files from an emulator's bucket. `orgtrail validate-logs` must say the same of the same bucket.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use jiff::{SignedDuration, Timestamp};
use orgtrail_cli::generate::{Plan, generate};
use orgtrail_cli::port::free_port;
use orgtrail_cloud::lifecycle::lifecycle_rules;
use orgtrail_event::key::{ObjectKey, classify};
use orgtrail_tests::emulator::{Account, Emulator, REGION, bucket_name};
use orgtrail_tests::process::{Process, program};
use orgtrail_tests::signed_trail::{SignedTrail, TrailPlan, public_keys_json};
use orgtrail_tests::site::{ORGANIZATION, Site};

use crate::{Admin, keys, now_ms, store};

const PREFIX: &str = "audit";
const TRAIL: &str = "org-trail";

/// A bucket in an account of its own, and the emulator that has it.
struct Bucket {
    emulator: &'static Emulator,
    account: Account,
    name: String,
}

impl Bucket {
    /// `None`: skip the test.
    async fn new() -> Option<Self> {
        let emulator = Emulator::ministack(false)?;
        let bucket = Self { emulator, account: emulator.account(), name: bucket_name() };
        Admin::open(&emulator.connection(&bucket.account)).await.create_bucket(&bucket.name).await;
        Some(bucket)
    }

    fn location(&self) -> String {
        format!("s3://{}/{PREFIX}", self.name)
    }

    async fn put(&self, trail: &SignedTrail) {
        let whole = store(&self.name, "", &self.emulator.connection(&self.account)).await;
        // What was removed from the trail since it was put is removed here too.
        for key in keys(whole.as_ref()).await {
            if !trail.objects.contains_key(&key) {
                whole.delete(&key).await.unwrap();
            }
        }
        trail.put(whole.as_ref()).await.unwrap();
    }

    fn plan(&self) -> TrailPlan {
        TrailPlan {
            account: self.account.id.clone(),
            region: REGION.to_owned(),
            trail: TRAIL.to_owned(),
            home_region: REGION.to_owned(),
            bucket: self.name.clone(),
            prefix: PREFIX.to_owned(),
            ..TrailPlan::default()
        }
    }

    fn arn(&self) -> String {
        format!("arn:aws:cloudtrail:{REGION}:{}:trail/{TRAIL}", self.account.id)
    }

    /// The AWS CLI's judgement, and then that ours is the same. `at` says to ours what the AWS CLI learns from the console.
    fn validate(&self, console: &Console, region: &str, range: &[String], at: &[&str]) -> Verdict {
        let env = [
            ("AWS_ENDPOINT_URL_CLOUDTRAIL", console.url.clone()),
            ("AWS_ENDPOINT_URL_ORGANIZATIONS", console.url.clone()),
            ("AWS_ENDPOINT_URL_S3", self.emulator.url()),
        ];
        let range: Vec<_> =
            ["--region", region, "--verbose"].into_iter().chain(range.iter().map(String::as_str)).collect();
        let arn = self.arn();
        let arguments = [&["cloudtrail", "validate-logs", "--trail-arn", &arn], &range[..]].concat();
        let theirs = self.emulator.aws_output(&self.account, &env, &arguments).unwrap();
        let mut command = Command::new(program("orgtrail"));
        command.arg("validate-logs").args(&range).args(at).envs(self.emulator.child_env(&self.account));
        command.env("AWS_ENDPOINT_URL_CLOUDTRAIL", &console.url);
        let (theirs, ours) = (Verdict::of(&theirs), Verdict::of(&command.output().unwrap()));
        assert_eq!(ours, theirs);
        theirs
    }
}

/// A running console that shows the bucket's trail.
struct Console {
    process: Process,
    url: String,
}

impl Console {
    fn start(bucket: &Bucket, organization_id: Option<&str>, keys: &Path, dir: &Path) -> Self {
        let listen = format!("127.0.0.1:{}", free_port().unwrap());
        let organization = organization_id.map(|id| format!("organization_id = \"{id}\"\n")).unwrap_or_default();
        let config = format!(
            "[console]\nlisten = \"{listen}\"\n[[console.trails]]\nname = \"{TRAIL}\"\naccount_id = \"{}\"\n\
             home_region = \"{REGION}\"\nlocation = \"{}\"\npublic_keys = \"{}\"\n{organization}",
            bucket.account.id,
            bucket.location(),
            keys.display()
        );
        let path = dir.join("console.toml");
        std::fs::write(&path, config).unwrap();
        let mut process = Process::start("orgtrail-console", &["--config", path.to_str().unwrap()], &[], dir).unwrap();
        process.wait_for("console is up").unwrap();
        Self { process, url: format!("http://{listen}") }
    }

    fn stop(mut self) {
        assert!(self.process.stop().unwrap().success());
    }
}

/// What a validator printed.
#[derive(Debug, PartialEq, Eq)]
struct Verdict {
    code: Option<i32>,
    /// A line for each file, sorted: those of the two output streams have no common order.
    files: Vec<String>,
    /// `4/6 digest files valid, 2/6 digest files INVALID`, and the like.
    counts: Vec<String>,
}

impl Verdict {
    fn of(output: &std::process::Output) -> Self {
        let text = String::from_utf8([output.stdout.as_slice(), &output.stderr].concat()).unwrap();
        let lines = |is: fn(&str) -> bool| text.lines().filter(|line| is(line)).map(str::to_owned).collect::<Vec<_>>();
        let mut files = lines(|line| line.contains("igest file\t") || line.starts_with("Log file\t"));
        files.sort();
        let counts = lines(|line| line.contains(" files valid"));
        assert!(!counts.is_empty(), "nothing was counted: {text}");
        Self { code: output.status.code(), files, counts }
    }
}

fn fixture_keys(dir: &Path) -> PathBuf {
    let path = dir.join("public-keys.json");
    std::fs::write(&path, public_keys_json()).unwrap();
    path
}

fn range(start: Timestamp, end: Timestamp) -> Vec<String> {
    ["--start-time".to_owned(), start.to_string(), "--end-time".to_owned(), end.to_string()].to_vec()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_stock_cli_and_ours_find_every_change_in_a_trail() {
    let Some(bucket) = Bucket::new().await else { return };
    let dir = tempfile::tempdir().unwrap();
    let keys = fixture_keys(dir.path());
    let console = Console::start(&bucket, None, &keys, dir.path());
    let mut trail = SignedTrail::make(&TrailPlan { custody: true, ..bucket.plan() });
    trail.add_late_log(2);
    bucket.put(&trail).await;
    let range = range(trail.plan.start, trail.plan.end());
    let (arn, keys) = (bucket.arn(), keys.display().to_string());
    let at = ["--trail-arn", &arn, "--s3-bucket", &bucket.name, "--s3-prefix", PREFIX, "--public-keys", &keys];

    let valid = bucket.validate(&console, REGION, &range, &at);
    let expected = ["6/6 digest files valid", "1/1 backfill digest files valid", "13/13 log files valid"];
    assert_eq!((valid.code, valid.files.len()), (Some(0), 20));
    assert_eq!(valid.counts, expected, "{valid:#?}");

    // From the newest to the oldest, as the walk goes: what comes behind a bad digest is still looked at.
    let (changed_log, deleted_log) = (trail.logs(5)[1].clone(), trail.logs(4)[0].clone());
    let (changed_digest, deleted_digest) = (trail.digests[3].clone(), trail.digests[1].clone());
    trail.replace_content(&changed_log, br#"{"Records":[]}"#);
    let mut other = trail.digest(&changed_digest);
    other.log_files.pop();
    trail.replace_content(&changed_digest, &other.to_json());
    trail.objects.retain(|key, _| *key != deleted_log && *key != deleted_digest);
    bucket.put(&trail).await;
    let changed = bucket.validate(&console, REGION, &range, &at);
    let expected = [
        "4/6 digest files valid, 2/6 digest files INVALID",
        "1/1 backfill digest files valid",
        "7/9 log files valid, 2/9 log files INVALID",
    ];
    assert_eq!(changed.counts, expected, "{changed:#?}");
    assert_eq!(changed.code, Some(1));
    for (kind, key, fault) in [
        ("Log file", changed_log, "hash value doesn't match"),
        ("Log file", deleted_log, "not found"),
        ("Digest file", changed_digest, "signature verification failed"),
        ("Digest file", deleted_digest, "not found"),
    ] {
        let line = format!("{kind}\ts3://{}/{key}\tINVALID: {fault}", bucket.name);
        assert!(changed.files.contains(&line), "{line} is missing in {changed:#?}");
    }
    console.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_stock_cli_validates_a_members_files_of_an_organization_trail_from_another_region() {
    let Some(bucket) = Bucket::new().await else { return };
    let dir = tempfile::tempdir().unwrap();
    let keys = fixture_keys(dir.path());
    let console = Console::start(&bucket, Some(ORGANIZATION), &keys, dir.path());
    let (member, region) = ("444455556666", "eu-west-1");
    let trail = SignedTrail::make(&TrailPlan {
        account: member.to_owned(),
        region: region.to_owned(),
        organization_id: Some(ORGANIZATION.to_owned()),
        hours: 3,
        ..bucket.plan()
    });
    bucket.put(&trail).await;
    let mut arguments = range(trail.plan.start, trail.plan.end());
    arguments.extend(["--account-id".to_owned(), member.to_owned()]);
    // Ours asks the console too: for the bucket and for the keys.
    let valid = bucket.validate(&console, region, &arguments, &["--trail-arn", &bucket.arn()]);
    assert_eq!((valid.code, valid.files.len()), (Some(0), 9));
    assert_eq!(valid.counts, ["3/3 digest files valid", "6/6 log files valid"], "{valid:#?}");
    console.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_aggregator_delivers_and_signs_with_kms_is_valid_to_the_stock_cli() {
    let Some(bucket) = Bucket::new().await else { return };
    let connection = bucket.emulator.connection(&bucket.account);
    let admin = Admin::open(&connection).await;
    let (key, encrypting) = (admin.create_rsa_key(true).await, admin.create_key().await);
    let now = Timestamp::from_millisecond(now_ms()).unwrap();
    let plan = Plan { accounts: 2, hours: 3, end: now, corrupt_share: 0.0, ..Plan::default() }.with_records(600);
    let mut site = Site::new();
    let manifest = generate(&plan, &site.sources(), &mut |_| ()).unwrap();
    site.trail = format!(
        "organization_id = \"{ORGANIZATION}\"\naccount_id = \"{}\"\nhome_region = \"{REGION}\"\nevent_selectors = \"all\"\n\
         location = \"{}\"\nregion = \"{REGION}\"\nendpoint_url = \"{}\"\nsigning_key_id = \"{key}\"\n\
         kms_key_id = \"{encrypting}\"\nlifecycle = {{ glacier_after = \"90d\", expire_after = \"365d\" }}\n",
        bucket.account.id,
        bucket.location(),
        bucket.emulator.url()
    );
    site.aggregator_more = "[digests]\non_stop = true\n".to_owned();
    site.configure(&manifest.sources).unwrap();
    let env = bucket.emulator.child_env(&bucket.account);
    let env: Vec<_> = env.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    let config = site.root().join("aggregator.toml").display().to_string();
    let mut aggregator = Process::start("orgtrail-aggregator", &["--config", &config], &env, site.root()).unwrap();
    aggregator.wait_for("aggregator is up").unwrap();
    let mut agent = site.agent_once().unwrap();
    assert_eq!(agent.wait().unwrap().code(), Some(0), "{}", agent.output());
    assert!(aggregator.stop().unwrap().success(), "{}", aggregator.output());

    // Digests, backfill digests and log files of each account and region.
    let mut there: BTreeMap<(String, String), [usize; 3]> = BTreeMap::new();
    for key in keys(store(&bucket.name, PREFIX, &connection).await.as_ref()).await {
        let (folder, kind) = match classify(&key) {
            ObjectKey::Digest(digest) => {
                let encryption = admin.object_encryption(&bucket.name, &format!("{PREFIX}/{key}")).await;
                assert_eq!((&*encryption.algorithm, encryption.key_id), ("aws:kms", Some(encrypting.clone())), "{key}");
                (digest.folder, 0)
            }
            ObjectKey::BackfillDigest(digest) => (digest.folder, 1),
            ObjectKey::Log(log) | ObjectKey::Insight(log) => (log.folder, 2),
            ObjectKey::Foreign => panic!("{key} is no key of CloudTrail's"),
        };
        there.entry((folder.account, folder.region)).or_default()[kind] += 1;
    }
    let rules = lifecycle_rules(&bucket.location().parse().unwrap(), &connection).await.unwrap();
    assert_eq!(rules.ids().collect::<Vec<_>>(), [Some("orgtrail-org-trail")], "put at the start");
    let keys = site.state("aggregator").join("public-keys.json");
    let console = Console::start(&bucket, Some(ORGANIZATION), &keys, site.root());
    let (location, keys) = (bucket.location(), keys.display().to_string());
    // A call takes half a second: the place with the most files and the one with the fewest.
    let by_size = |(_, counts): &(&(String, String), &[usize; 3])| counts[2];
    let places = [there.iter().max_by_key(by_size).unwrap(), there.iter().min_by_key(by_size).unwrap()];
    for ((account, region), counts) in places {
        // Late files are up to 30 hours older than the others.
        let mut arguments = range(now - SignedDuration::from_hours(48), now + SignedDuration::from_hours(1));
        arguments.extend(["--account-id".to_owned(), account.clone()]);
        let verdict = bucket.validate(&console, region, &arguments, &["--location", &location, "--public-keys", &keys]);
        let names = ["digest", "backfill digest", "log"];
        let expected = names.iter().zip(counts).filter(|(_, count)| **count > 0);
        let expected: Vec<_> = expected.map(|(name, count)| format!("{count}/{count} {name} files valid")).collect();
        assert_eq!(verdict.counts, expected, "{account} {region}: {verdict:#?}");
        assert_eq!((verdict.code, verdict.files.len()), (Some(0), counts.iter().sum()));
        assert!(counts[0] >= 1 && counts[2] >= 1, "{counts:?}");
    }
    console.stop();
}
