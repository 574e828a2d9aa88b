//! The lifecycle rule of a trail over several starts: put, shown, and removed when the configuration has none any more.

use std::process::Command;
use std::time::{Duration, Instant};

use orgtrail_cloud::lifecycle::lifecycle_rules;
use orgtrail_tests::emulator::{Account, Emulator, REGION};
use orgtrail_tests::process::program;
use orgtrail_tests::site::Site;
use serde_json::json;

use crate::{new_bucket_in, start_aggregator};

/// `orgtrail config check --online` of the aggregator's file.
fn check(emulator: &Emulator, account: &Account, site: &Site) -> String {
    let mut command = Command::new(program("orgtrail"));
    command.args(["config", "check", "--online"]).arg(site.root().join("aggregator.toml"));
    let output = command.envs(emulator.child_env(account)).output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    said
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rule_goes_with_its_configuration_and_those_of_others_stay() {
    let Some(emulator) = Emulator::ministack(false) else { return };
    let account = emulator.account();
    let connection = emulator.connection(&account);
    let bucket = new_bucket_in(&connection).await;
    let location = format!("s3://{bucket}").parse().unwrap();
    let foreign = |id: &str, prefix: &str| json!({"ID": id, "Status": "Enabled", "Filter": {"Prefix": prefix}, "Expiration": {"Days": 30}});
    // One has the id that ours would have in another folder: another organization's trail of the same name.
    let others = json!({"Rules": [foreign("reports", "reports/"), foreign("orgtrail-second", "other/AWSLogs/")]});
    let put = ["s3api", "put-bucket-lifecycle-configuration", "--bucket", &bucket, "--lifecycle-configuration"];
    emulator.aws(&account, &[&put[..], &[&others.to_string()]].concat()).unwrap();
    let mut site = Site::new();
    let keys = |prefix: &str, more: &str| {
        let url = emulator.url();
        format!("location = \"s3://{bucket}/{prefix}\"\nregion = \"{REGION}\"\nendpoint_url = \"{url}\"\n{more}")
    };
    let trail = |lifecycle: &str| {
        let (first, second, third) = (keys("audit", lifecycle), keys("second", ""), keys("third", lifecycle));
        format!("{first}[[trails]]\nname = \"second\"\n{second}[[trails]]\nname = \"third\"\n{third}")
    };
    let agents = "[[agents]]\nname = \"acme\"\naccounts = [\"*\"]\n";
    let ids = async || {
        let rules = lifecycle_rules(&location, &connection).await.unwrap();
        rules.ids().map(|id| id.unwrap().to_owned()).collect::<Vec<_>>()
    };
    let become_so = async |expected: &[&str]| {
        let began = Instant::now();
        while ids().await != expected {
            assert!(began.elapsed() < Duration::from_secs(30), "{:?} is not {expected:?}", ids().await);
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };

    site.trail = trail("lifecycle = { expire_after = \"365d\" }\n");
    site.write_aggregator(agents).unwrap();
    let shown = check(emulator, &account, &site);
    assert!(
        shown.contains("add lifecycle rule `orgtrail-org-trail`") && !shown.contains("remove lifecycle"),
        "{shown}"
    );
    let mut aggregator = start_aggregator(emulator, &account, &site);
    become_so(&["reports", "orgtrail-second", "orgtrail-org-trail", "orgtrail-third"]).await;
    assert!(aggregator.stop().unwrap().success());

    site.trail = trail("");
    site.write_aggregator(agents).unwrap();
    let shown = check(emulator, &account, &site);
    assert!(shown.contains("remove lifecycle rule `orgtrail-org-trail`: objects under `audit/AWSLogs/`"), "{shown}");
    assert!(shown.contains("remove lifecycle rule `orgtrail-third`: objects under `third/AWSLogs/`"), "{shown}");
    assert_eq!(shown.matches("remove lifecycle rule").count(), 2, "{shown}");
    assert_eq!(ids().await.len(), 4, "a check changes nothing");
    let mut aggregator = start_aggregator(emulator, &account, &site);
    aggregator.wait_for("lifecycle: remove lifecycle rule").unwrap();
    become_so(&["reports", "orgtrail-second"]).await;
    assert!(aggregator.stop().unwrap().success());
    assert!(!check(emulator, &account, &site).contains("lifecycle"));
}
