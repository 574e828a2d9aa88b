//! `orgtrail validate-logs` on folders: every way of tampering is named, and nothing else is.

use std::path::Path;

use jiff::{SignedDuration, Timestamp};
use orgtrail_event::digest::Digest;
use orgtrail_tests::process::run;
use orgtrail_tests::signed_trail::{SignedTrail, TrailPlan, location, public_keys_json};
use serde_json::Value;

/// What the command said of a trail in a folder of the bucket's name.
struct Said {
    code: i32,
    out: String,
    errors: Vec<String>,
}

impl Said {
    fn has_error(&self, parts: &[&str]) -> bool {
        self.errors.iter().any(|line| parts.iter().all(|part| line.contains(part)))
    }
}

fn hour(plan: &TrailPlan, hours: i64) -> Timestamp {
    plan.start + SignedDuration::from_hours(hours)
}

/// Writes the trail and validates it, from its start to its end.
fn validate(trail: &SignedTrail, more: &[&str]) -> Said {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join(&trail.plan.bucket);
    write(trail, &folder);
    validate_folder(trail, dir.path(), &folder, more)
}

fn write(trail: &SignedTrail, folder: &Path) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(trail.write(folder)).unwrap();
}

fn validate_folder(trail: &SignedTrail, dir: &Path, folder: &Path, more: &[&str]) -> Said {
    let keys = dir.join("keys.json");
    std::fs::write(&keys, public_keys_json()).unwrap();
    let (location, keys) = (location(folder), keys.display().to_string());
    let (start, end) = (trail.plan.start.to_string(), trail.plan.end().to_string());
    let mut arguments = vec!["validate-logs", "--location", &location, "--public-keys", &keys];
    if !more.contains(&"--start-time") {
        arguments.extend(["--start-time", &start]);
    }
    if !more.contains(&"--end-time") {
        arguments.extend(["--end-time", &end]);
    }
    arguments.extend(more);
    let (code, out, errors) = run("orgtrail", &arguments).unwrap();
    let errors = errors.lines().filter(|line| !line.is_empty()).map(str::to_owned).collect();
    Said { code, out, errors }
}

#[test]
fn a_trail_that_nobody_touched_is_valid_in_the_words_of_the_aws_cli() {
    let trail = SignedTrail::make(&TrailPlan::default());
    let said = validate(&trail, &["--verbose"]);
    assert_eq!((said.code, said.errors.as_slice()), (0, &[][..]), "{}", said.out);
    let valid = said.out.lines().filter(|line| line.ends_with("\tvalid")).count();
    assert_eq!(valid, 6 + 12, "{}", said.out);
    // Newest first, each digest before its log files.
    let order: Vec<_> = said.out.lines().filter_map(|line| line.split_once('\t')).map(|(what, _)| what).collect();
    assert_eq!(order, ["Digest file", "Log file", "Log file"].repeat(6));
    let summary = "\nResults requested for 2026-03-01T10:00:00Z to 2026-03-01T16:00:00Z\n\
                   Results found for 2026-03-01T10:00:00Z to 2026-03-01T16:00:00Z:\n\n\
                   6/6 digest files valid\n12/12 log files valid\n";
    assert!(said.out.ends_with(summary), "{}", said.out);

    let quiet = validate(&trail, &[]);
    assert!(quiet.out.lines().all(|line| !line.contains('\t')), "{}", quiet.out);
}

#[test]
fn every_change_of_a_file_is_named() {
    type Tamper = fn(&mut SignedTrail) -> String;
    let cases: [(&str, Tamper, &str); 9] = [
        ("log removed", |trail| take(trail, |trail| trail.logs(2)[0].clone()), "INVALID: not found"),
        ("log changed", |trail| change_log(trail, b"{\"Records\":[]}"), "INVALID: hash value doesn't match"),
        ("log no gzip", |trail| bytes(trail, |_| b"no gzip at all, not even near".to_vec()), "INVALID: invalid format"),
        (
            "log appended to",
            |trail| bytes(trail, |bytes| [bytes, b"x"].concat()),
            "INVALID: unexpected data after end of compressed stream",
        ),
        ("digest removed", |trail| take(trail, |trail| trail.digests[3].clone()), "INVALID: not found"),
        (
            "digest changed",
            |trail| {
                let key = trail.digests[3].clone();
                let content =
                    String::from_utf8(trail.content(&key)).unwrap().replace("digestStartTime", "digestStarttime");
                trail.replace_content(&key, content.as_bytes());
                key
            },
            "INVALID: invalid format",
        ),
        (
            "digest's list changed",
            |trail| {
                let (key, mut digest) = (trail.digests[3].clone(), trail.digest(&trail.digests[3]));
                digest.log_files.pop();
                trail.replace_content(&key, &digest.to_json());
                key
            },
            "INVALID: signature verification failed",
        ),
        (
            "digest's signature removed",
            |trail| {
                let key = trail.digests[3].clone();
                trail.objects.get_mut(&key).unwrap().metadata.clear();
                key
            },
            "INVALID: signature verification failed",
        ),
        (
            "digest exchanged for another hour's",
            |trail| {
                let other = trail.objects[&trail.digests[2]].clone();
                let key = trail.digests[3].clone();
                trail.objects.insert(key.clone(), other);
                key
            },
            "INVALID: has been moved from its original location",
        ),
    ];
    for (name, tamper, verdict) in cases {
        let mut trail = SignedTrail::make(&TrailPlan::default());
        let key = tamper(&mut trail);
        let said = validate(&trail, &[]);
        assert_eq!(said.code, 1, "{name}: {}", said.out);
        assert!(said.has_error(&[&key, verdict]), "{name}: {:#?}", said.errors);
        assert!(said.out.contains(" files INVALID"), "{name}: {}", said.out);
    }
}

fn take(trail: &mut SignedTrail, which: impl Fn(&SignedTrail) -> String) -> String {
    let key = which(trail);
    trail.objects.remove(&key).unwrap();
    key
}

fn change_log(trail: &mut SignedTrail, content: &[u8]) -> String {
    let key = trail.logs(2)[0].clone();
    trail.replace_content(&key, content);
    key
}

fn bytes(trail: &mut SignedTrail, change: impl Fn(&[u8]) -> Vec<u8>) -> String {
    let key = trail.logs(2)[0].clone();
    let changed = change(&trail.objects[&key].bytes);
    trail.replace_bytes(&key, changed);
    key
}

#[test]
fn two_digests_deleted_one_after_the_other_are_both_missed() {
    let mut trail = SignedTrail::make(&TrailPlan::default());
    for hour in [2, 3] {
        trail.objects.remove(&trail.digests[hour].clone()).unwrap();
    }
    let said = validate(&trail, &[]);
    assert_eq!(said.code, 1);
    assert!(said.has_error(&[&trail.digests[3], "INVALID: not found"]), "{:#?}", said.errors);
    // The hour of which the AWS CLI says nothing.
    let parts = ["Digest chain", "none is there between 2026-03-01T12:00:00Z and 2026-03-01T13:00:00Z"];
    assert!(said.has_error(&parts), "{:#?}", said.errors);
    assert!(said.out.contains("4/5 digest files valid, 1/5 digest files INVALID"), "{}", said.out);
    assert!(said.out.contains("1 findings in digest chains INVALID"), "{}", said.out);
}

#[test]
fn the_oldest_digests_missing_is_told() {
    let mut trail = SignedTrail::make(&TrailPlan::default());
    for hour in [0, 1, 2] {
        trail.objects.remove(&trail.digests[hour].clone()).unwrap();
    }
    let said = validate(&trail, &[]);
    let parts = ["Digest chain", "deleted", "between 2026-03-01T10:00:00Z and 2026-03-01T12:00:00Z"];
    assert!(said.code == 1 && said.has_error(&parts), "{:#?}", said.errors);
}

#[test]
fn the_newest_digests_missing_is_told_after_two_hours_of_grace() {
    let mut trail = SignedTrail::make(&TrailPlan::default());
    let newest = |trail: &mut SignedTrail, hour: usize| trail.objects.remove(&trail.digests[hour].clone()).unwrap();
    newest(&mut trail, 5);
    newest(&mut trail, 4);
    let said = validate(&trail, &[]);
    assert_eq!((said.code, said.errors.as_slice()), (0, &[][..]));
    newest(&mut trail, 3);
    let said = validate(&trail, &[]);
    let parts = ["Digest chain", "newest digest files are missing", "ends at 2026-03-01T13:00:00Z"];
    assert!(said.code == 1 && said.has_error(&parts), "{:#?}", said.errors);
}

#[test]
fn no_digest_at_all_is_not_valid() {
    let trail = SignedTrail::make(&TrailPlan::default());
    let later = ["--start-time", "2026-03-05T00:00:00Z", "--end-time", "2026-03-06T00:00:00Z"];
    let said = validate(&trail, &later);
    assert!(said.out.contains("No digests found\n"), "{}", said.out);
    assert!(said.code == 1 && said.has_error(&["Digest chain", "no digest file between"]), "{:#?}", said.errors);
    let said = validate(&trail, &["--account-id", "999999999999"]);
    assert!(said.code == 1 && said.has_error(&["nothing to validate"]), "{:#?}", said.errors);
}

#[test]
fn a_chain_that_holds_another_hash_or_signature_of_the_digest_before_is_broken() {
    for (edit, says) in [
        (
            (|digest| digest.previous_digest_hash_value = Some("00".repeat(32))) as fn(&mut Digest),
            "whose hash it holds",
        ),
        (|digest| digest.previous_digest_signature = Some("00".repeat(256)), "whose signature it holds"),
        (|digest| digest.digest_start_time = "2026-03-01T13:30:00Z".to_owned(), "but the digest before it ends at"),
        (|digest| digest.aws_account_id = "999999999999".to_owned(), "it says account 999999999999"),
        (
            |digest| digest.log_files[0].s3_object = digest.log_files[0].s3_object.replace("us-east-2", "eu-west-1"),
            "in eu-west-1",
        ),
    ] {
        let mut trail = SignedTrail::make(&TrailPlan::default());
        trail.sign_again_with_chain(3, edit);
        let said = validate(&trail, &[]);
        assert!(
            said.code == 1 && said.has_error(&["Digest chain", &trail.digests[3], says]),
            "{says}: {:#?}",
            said.errors
        );
    }
}

#[test]
fn a_declared_restart_is_told_and_is_no_fault() {
    let mut trail = SignedTrail::make(&TrailPlan::default());
    // Logging was stopped from 12:00 to 13:00.
    let (second, third) = (trail.digests[2].clone(), trail.digests[3].clone());
    for log in trail.logs(2) {
        trail.objects.remove(&log);
    }
    trail.objects.remove(&second);
    trail.sign_again_with_chain(3, |digest| {
        digest.previous_digest_s3_bucket = None;
        digest.previous_digest_s3_object = None;
        digest.previous_digest_hash_value = None;
        digest.previous_digest_hash_algorithm = None;
        digest.previous_digest_signature = None;
    });
    let said = validate(&trail, &["--verbose"]);
    let gap = "No log files were delivered by CloudTrail between 2026-03-01T12:00:00Z and 2026-03-01T13:00:00Z";
    assert_eq!((said.code, said.errors.as_slice()), (0, &[gap.to_owned()][..]), "{}", said.out);
    assert!(said.out.contains("1 chain restarts"), "{}", said.out);
    assert!(said.out.lines().any(|line| line.starts_with("Digest chain\t") && line.contains(&third)), "{}", said.out);
}

#[test]
fn a_moved_copy_is_valid_in_every_layout_and_said_to_be_one() {
    for (prefix, organization_id) in [("", None), ("team/a", None), ("o-exampleorg1", Some("o-exampleorg1"))] {
        let plan = TrailPlan {
            prefix: prefix.to_owned(),
            organization_id: organization_id.map(str::to_owned),
            ..TrailPlan::default()
        };
        let mut trail = SignedTrail::make(&plan);
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("copies");
        // Without its old prefix, under a new one.
        let moved = std::mem::take(&mut trail.objects).into_iter().map(|(key, stored)| {
            let tail = key.strip_prefix(prefix).unwrap().trim_start_matches('/').to_owned();
            (format!("archive/{tail}"), stored)
        });
        trail.objects = moved.collect();
        write(&trail, &folder);
        let said = validate_folder(&trail, dir.path(), &folder, &["--verbose"]);
        assert_eq!(said.code, 0, "{:#?}", said.errors);
        assert_eq!(said.errors.len(), 1, "{:#?}", said.errors);
        assert!(said.has_error(&["s3://ct-bucket/", "moved"]), "{:#?}", said.errors);
        assert!(said.out.contains("6/6 digest files valid\n12/12 log files valid"), "{}", said.out);

        let log = trail.objects.keys().find(|key| key.contains("/CloudTrail/")).unwrap().clone();
        trail.replace_content(&log, b"{}");
        write(&trail, &folder);
        let said = validate_folder(&trail, dir.path(), &folder, &[]);
        assert!(said.code == 1 && said.has_error(&[&log, "hash value doesn't match"]), "{:#?}", said.errors);
    }
}

#[test]
fn backfill_digests_that_the_chain_names_must_be_there() {
    let plan = TrailPlan { custody: true, ..TrailPlan::default() };
    let mut trail = SignedTrail::make(&plan);
    trail.add_late_log(1);
    let late = trail.add_late_log(2);
    let said = validate(&trail, &["--verbose"]);
    assert_eq!(said.code, 0, "{:#?}", said.errors);
    assert!(
        said.out.contains("6/6 digest files valid\n2/2 backfill digest files valid\n14/14 log files valid"),
        "{}",
        said.out
    );
    assert!(said.out.contains("(backfill) Digest file\t"), "{}", said.out);

    let backfill = trail.backfills[1].clone();
    trail.replace_content(&late, b"{}");
    let said = validate(&trail, &[]);
    assert!(said.code == 1 && said.has_error(&[&late, "hash value"]), "{:#?}", said.errors);

    let other = trail.objects[&trail.backfills[0]].clone();
    trail.objects.insert(backfill.clone(), other);
    let said = validate(&trail, &[]);
    assert!(said.has_error(&["(backfill) Digest file", &backfill, "has been moved"]), "{:#?}", said.errors);
    assert!(said.has_error(&["Backfill digest\t", &backfill, "not the one that is named by"]), "{:#?}", said.errors);

    trail.objects.remove(&backfill);
    trail.objects.remove(&late);
    let said = validate(&trail, &[]);
    assert_eq!(said.errors.iter().filter(|line| !line.contains("No log files")).count(), 1, "{:#?}", said.errors);
    assert!(said.code == 1 && said.has_error(&["Backfill digest\t", &backfill, "not found"]), "{:#?}", said.errors);
}

#[test]
fn a_log_file_that_no_digest_lists_is_told_and_with_strict_invalid() {
    let mut trail = SignedTrail::make(&TrailPlan::default());
    let planted = trail.add_unlisted_log(hour(&trail.plan, 2) + SignedDuration::from_mins(10));
    // In the last hour it may yet be listed, in the next digest.
    trail.add_unlisted_log(hour(&trail.plan, 5) + SignedDuration::from_mins(10));
    let said = validate(&trail, &[]);
    assert_eq!((said.code, said.errors.len()), (0, 1), "{:#?}", said.errors);
    assert!(said.has_error(&["Unlisted log file\t", &planted]), "{:#?}", said.errors);
    assert!(said.out.contains("1 log files that no digest file lists"), "{}", said.out);
    assert_eq!(validate(&trail, &["--strict"]).code, 1);
}

#[test]
fn all_accounts_and_regions_are_validated_together() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("ct-bucket");
    let mut last = SignedTrail::make(&TrailPlan::default());
    for (account, region) in
        [("111122223333", "us-east-2"), ("111122223333", "eu-west-1"), ("444455556666", "eu-west-1")]
    {
        let plan = TrailPlan { account: account.to_owned(), region: region.to_owned(), ..TrailPlan::default() };
        last = SignedTrail::make(&plan);
        write(&last, &folder);
    }
    let said = validate_folder(&last, dir.path(), &folder, &[]);
    assert_eq!(said.code, 0, "{:#?}", said.errors);
    assert!(said.out.contains("18/18 digest files valid\n36/36 log files valid\n"), "{}", said.out);
    assert!(said.out.contains("3 accounts and regions"), "{}", said.out);
    let said = validate_folder(&last, dir.path(), &folder, &["--account-id", "111122223333", "--region", "eu-west-1"]);
    assert!(said.out.contains("6/6 digest files valid\n12/12 log files valid\n"), "{}", said.out);
}

#[test]
fn json_is_one_document_with_everything_in_it() {
    let mut trail = SignedTrail::make(&TrailPlan::default());
    let log = trail.logs(2)[0].clone();
    trail.objects.remove(&log);
    trail.objects.remove(&trail.digests[5].clone());
    trail.add_unlisted_log(hour(&trail.plan, 1));
    let said = validate(&trail, &["--json", "--end-time", "2026-03-02T00:00:00Z"]);
    assert_eq!((said.code, said.errors.as_slice()), (1, &[][..]), "{}", said.out);
    let report: Value = serde_json::from_str(&said.out).unwrap();
    assert_eq!(report["digests"].as_array().unwrap().len(), 5);
    let logs: Vec<_> =
        report["digests"].as_array().unwrap().iter().flat_map(|d| d["logFiles"].as_array().unwrap()).collect();
    let invalid: Vec<_> = logs.iter().filter(|log| log["valid"] == false).collect();
    assert_eq!((logs.len(), invalid.len()), (10, 1));
    assert!(invalid[0]["name"].as_str().unwrap().ends_with(&log) && invalid[0]["fault"] == "not found", "{invalid:?}");
    let kinds: Vec<_> =
        report["findings"].as_array().unwrap().iter().map(|found| found["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["newest_digests_missing", "log_file_unlisted"]);
    assert_eq!(report["summary"]["logFiles"], serde_json::json!({"valid": 9, "invalid": 1}));
    assert_eq!(report["summary"]["valid"], false);
}

#[test]
fn wrong_usage_and_unusable_keys_say_what_to_do() {
    let (code, _, errors) = run("orgtrail", &["validate-logs", "--start-time", "2026-03-01"]).unwrap();
    assert!(code == 64 && errors.contains("--location"), "{errors}");
    let dir = tempfile::tempdir().unwrap();
    let trail = SignedTrail::make(&TrailPlan::default());
    write(&trail, &dir.path().join("b"));
    let location = location(&dir.path().join("b"));
    let keys = dir.path().join("keys.json").display().to_string();
    let arguments = ["validate-logs", "--location", &location, "--public-keys", &keys, "--start-time", "2026-03-01"];
    let (code, _, errors) = run("orgtrail", &arguments).unwrap();
    assert!(code == 1 && errors.contains("keys.json"), "{errors}");
    std::fs::write(&keys, "{\"PublicKeyList\":[]}").unwrap();
    let (code, _, errors) = run("orgtrail", &arguments).unwrap();
    assert!(code == 1 && errors.contains("no public keys in"), "{errors}");
}
