//! What an operator is told about a configuration.

use std::path::Path;

use super::*;

const GOOD: &str = r#"
name = "acme"
state_dir = "/var/lib/orgtrail/agent"
[aggregator]
endpoint = "http://127.0.0.1:7443"
[[sources]]
location = "s3://acme-trail/logs"
role_arn = "arn:aws:iam::111122223333:role/orgtrail-agent"
external_id = "acme-7"
session_name = "orgtrail-acme"
region = "eu-central-1"
accounts = ["111122223333"]
regions = ["eu-central-1"]
[[sources]]
location = "file:///srv/trail"
"#;

fn read(text: &str) -> Result<Config, String> {
    orgtrail_service::config::parse::<Config>(Path::new("agent.toml"), text).map_err(|invalid| invalid.to_string())
}

#[track_caller]
fn problem(text: &str, said: &str) {
    let problems = read(text).unwrap_err();
    assert!(problems.contains(said), "expected `{said}` in:\n{problems}");
}

#[test]
fn the_documented_names_are_read() {
    let config = read(GOOD).unwrap();
    let source = &config.sources[0];
    assert_eq!(source.name(), "s3://acme-trail/logs");
    assert_eq!(source.connection.role_arn.as_deref(), Some("arn:aws:iam::111122223333:role/orgtrail-agent"));
    assert_eq!(source.connection.external_id.as_deref(), Some("acme-7"));
    assert_eq!((config.fetch.concurrency, config.batch.objects), (64, 512));
    assert_eq!(config.discover.lateness, Duration::from_secs(26 * 3600));
}

#[test]
fn public_keys_are_a_file_or_asked_for() {
    let given = |value: &str| format!("{GOOD}digest_keys = \"{value}\"\n");
    let keys = |value: &str| read(&given(value)).map(|config| config.sources[1].digest_keys.clone());
    assert_eq!(keys("file:///srv/public-keys.json"), Ok(Some(DigestKeys::File("/srv/public-keys.json".into()))));
    assert_eq!(keys("api"), Ok(Some(DigestKeys::Api)));
    for wrong in ["public-keys.json", "file://public-keys.json", "file:///", "API"] {
        problem(&given(wrong), "names no public keys");
    }
    let role = "role_arn = \"arn:aws:iam::111122223333:role/r\"\n";
    problem(&format!("{GOOD}{role}"), "a folder needs no role");
    assert!(read(&format!("{}{role}", given("api"))).is_ok(), "a copied bucket's keys are asked for with a role");
}

#[test]
fn what_is_missing_is_reported_together() {
    let problems = read("").unwrap_err();
    for key in ["name:", "state_dir:", "aggregator.endpoint:", "sources:"] {
        assert!(problems.contains(key), "{key} in:\n{problems}");
    }
}

#[test]
fn unknown_keys_are_refused_everywhere() {
    problem(&GOOD.replace("external_id", "externalid"), "agent.toml:9: sources[0].externalid");
    problem(&GOOD.replace("endpoint =", "endpiont ="), "agent.toml:5: aggregator.endpiont");
    problem(&format!("{GOOD}\n[fetch]\nconcurency = 3"), "fetch.concurency");
    problem(&format!("nmae = 1\n{GOOD}"), "nmae");
}

#[test]
fn plaintext_stays_on_the_machine() {
    for good in ["http://localhost:1", "http://127.8.0.1:1", "http://[::1]:1"] {
        read(&GOOD.replace("http://127.0.0.1:7443", good)).unwrap();
    }
    problem(&GOOD.replace("127.0.0.1", "10.0.0.1"), "agent.toml:5: aggregator.endpoint: plaintext only on loopback");
    problem(&GOOD.replace("http://127", "https://127"), "aggregator.tls: missing");
    problem(&GOOD.replace("http://127.0.0.1:7443", "127.0.0.1:7443"), "aggregator.endpoint: missing or no address");
    let with_tls = GOOD.replace("[[sources]]\nlocation = \"s3", "[aggregator.tls]\n[[sources]]\nlocation = \"s3");
    problem(&with_tls, "aggregator.tls: has no effect");
    problem(&with_tls.replace("http://", "https://"), "aggregator.tls.ca_file");
}

#[test]
fn overlapping_sources_are_refused() {
    let with = |location: &str| format!("{GOOD}\n[[sources]]\nlocation = \"{location}\"");
    for overlapping in
        ["s3://acme-trail", "s3://acme-trail/logs/", "s3://acme-trail/logs/a", "file:///srv", "file:///srv/trail/a"]
    {
        problem(&with(overlapping), "overlaps sources[");
    }
    for apart in ["s3://acme-trail/logs2", "s3://other", "file:///srv/trail2"] {
        read(&with(apart)).unwrap();
    }
}

#[test]
fn a_location_inside_the_logs_is_sent_one_up() {
    for inside in ["s3://b-b/x/AWSLogs", "s3://b-b/x/AWSLogs/o-abc", "s3://b-b/x/AWSLogs/111122223333/CloudTrail"] {
        problem(&GOOD.replace("s3://acme-trail/logs", inside), "write what holds it: s3://b-b/x");
    }
    read(&GOOD.replace("s3://acme-trail/logs", "s3://b-b/AWSLogs/copies")).unwrap();
}

#[test]
fn every_bound_is_checked() {
    let with = |table: &str| format!("{GOOD}\n{table}");
    problem(&with("[discover]\npoll_interval_min = \"10m\""), "discover.poll_interval_min");
    problem(&with("[fetch]\nconcurrency = 0"), "fetch.concurrency");
    problem(&with("[fetch]\nmemory = \"1MiB\""), "fetch.memory");
    problem(&with("[batch]\nbytes = \"64MiB\""), "batch.bytes");
    problem(&with("[ship]\nwindow = \"1MiB\""), "ship.window");
    problem(&with("[quarantine]\nentries_max = 0"), "quarantine.entries_max");
    problem(&GOOD.replace("\"111122223333\"", "\"1111\""), "sources[0].accounts[0]");
    problem(&GOOD.replace("[\"eu-central-1\"]", "[\"EU\"]"), "sources[0].regions[0]");
    problem(&GOOD.replace("file:///srv/trail\"", "file:///srv/trail\"\nregion = \"eu-west-1\""), "sources[1].location");
    problem(&GOOD.replace("role/orgtrail-agent", "user/x"), "sources[0].role_arn");
}

const ORGANIZATION: &str = r#"
name = "acme"
state_dir = "/var/lib/orgtrail/agent"
[aggregator]
endpoint = "http://127.0.0.1:7443"
[[organizations]]
name = "acme"
role_arn = "arn:aws:iam::111122223333:role/orgtrail-organization"
external_id = "acme-7"
region = "us-east-1"
include = { units = ["r-ab12/ou-ab12-11111111"], tags = ["env=prod"] }
exclude = { accounts = ["444455556666"] }
[organizations.source]
location = "s3://trail-{account}"
region = "eu-central-1"
role_name = "orgtrail-agent"
external_id = "acme-7"
start = "-7d"
"#;

#[test]
fn an_organization_alone_is_enough_to_read_from() {
    let config = read(ORGANIZATION).unwrap();
    let organization = &config.organizations[0];
    assert_eq!(organization.connection.external_id.as_deref(), Some("acme-7"));
    assert_eq!(organization.include.tags, ["env=prod"]);
    assert_eq!(organization.refresh_interval, Duration::from_secs(300));
}

#[test]
fn what_is_wrong_with_an_organization_is_told_by_its_key() {
    for (right, wrong, said) in [
        ("name = \"acme\"\nrole", "name = \"a/b\"\nrole", "organizations[0].name: missing or no name"),
        ("ou-ab12-11111111", "Workloads", "`r-ab12/Workloads` is no organizational unit"),
        ("env=prod", "=prod", "`=prod` is no tag"),
        ("\"444455556666\"", "\"4444\"", "`4444` is no account id"),
        ("eu-central-1", "us-gov-west-1", "organizations[0].source.region: is in partition aws-us-gov"),
        ("-{account}", "-{account}-{acount}", "`{acount}` is unknown"),
        ("-7d", "soon", "`soon` is no start"),
        ("role_name = ", "role = ", "role"),
        ("trail-{account}", "trail", "organizations[0].source.role_name: one location for all accounts has one role"),
    ] {
        assert!(ORGANIZATION.contains(right), "{right}");
        problem(&ORGANIZATION.replacen(right, wrong, 1), said);
    }
    let file = "accounts_file = \"file:///etc/accounts.json\"\n";
    problem(&ORGANIZATION.replace("role_arn", &format!("{file}role_arn")), "is read instead of AWS Organizations");
}

#[test]
fn each_kind_of_source_says_what_it_needs() {
    let check = |source: &str| {
        let text = format!(
            "name = \"acme\"\nstate_dir = \"/s\"\n[aggregator]\nendpoint = \"http://127.0.0.1:1\"\n[[sources]]\n{source}\n"
        );
        match orgtrail_service::config::parse::<Config>(Path::new("agent.toml"), &text) {
            Ok(config) => config.sources[0].name(),
            Err(error) => error.to_string(),
        }
    };
    assert_eq!(check("kind = \"lookup_events\""), "event-history://this-account");
    let role = "role_arn = \"arn:aws:iam::111122223333:role/r\"";
    assert_eq!(check(&format!("kind = \"lookup_events\"\n{role}")), "event-history://111122223333");
    assert_eq!(check("kind = \"lookup_events\"\naccounts = [\"444455556666\"]"), "event-history://444455556666");
    assert_eq!(check("kind = \"exported_logs\"\nlocation = \"file:///x/AWSLogs\""), "file:///x/AWSLogs");
    for (source, part) in [
        ("kind = \"lookup_events\"\nlocation = \"s3://bucket\"", "in no bucket"),
        ("kind = \"lookup_events\"\naccounts = [\"111122223333\", \"444455556666\"]", "a source for each"),
        ("kind = \"lookup_events\"\ndigest_keys = \"api\"", "only trails sign digests"),
        ("kind = \"lookup_events\"\n[discover]\nlateness = \"3h\"", "at least 24h"),
        ("kind = \"lookup_events\"\n[[sources]]\nkind = \"lookup_events\"", "overlaps sources[0]"),
        ("kind = \"exported_logs\"", "file:///folder"),
        ("kind = \"exported_logs\"\nlocation = \"s3://bucket\"", "no folder"),
        ("kind = \"exported_logs\"\nlocation = \"file:///x\"\nregion = \"eu-west-1\"", "needs no role"),
        ("kind = \"magic\"", "lookup_events"),
    ] {
        assert!(check(source).contains(part), "{source}: {}", check(source));
    }
}
