//! What `aggregator.toml` may say.

use std::path::Path;

use orgtrail_service::config::parse;

use super::*;

const GOOD: &str = r#"
state_dir = "/var/lib/orgtrail"
listen = "127.0.0.1:7443"
[[agents]]
name = "acme"
accounts = ["*"]
[[trails]]
name = "org-trail"
organization_id = "o-exampleorgid"
location = "file:///srv/org-trail"
"#;

fn problems(text: &str) -> Vec<(String, String)> {
    let invalid = parse::<Config>(Path::new("aggregator.toml"), text).expect_err("invalid");
    invalid.problems.into_iter().map(|problem| (problem.key, problem.message)).collect()
}

#[test]
fn the_shortest_file_gets_the_documented_defaults() {
    let config: Config = parse(Path::new("aggregator.toml"), GOOD).expect("valid");
    assert_eq!(config.dedup.window, Duration::from_secs(7 * 86400));
    assert_eq!(config.journal.capacity, Bytes::gib(10));
    assert_eq!(config.trails[0].trail().arn, "arn:aws:cloudtrail:us-east-1:000000000000:trail/org-trail");
}

#[test]
fn a_trails_arn_is_in_its_regions_partition() {
    let text = format!("{GOOD}region = \"cn-north-1\"\naccount_id = \"111122223333\"\n");
    let config: Config = parse(Path::new("aggregator.toml"), &text).expect("valid");
    assert_eq!(config.trails[0].trail().arn, "arn:aws-cn:cloudtrail:cn-north-1:111122223333:trail/org-trail");
}

#[test]
fn plaintext_beyond_loopback_is_a_problem() {
    let text = GOOD.replace("127.0.0.1", "0.0.0.0");
    assert_eq!(problems(&text)[0].0, "listen");
}

#[test]
fn all_problems_are_told_at_once() {
    let text = r#"
listen = "127.0.0.1:7443"
[[agents]]
accounts = ["12"]
[[trails]]
name = "a--b"
organization_id = "exampleorg"
lokation = "file:///x"
"#;
    let problems = problems(text);
    let keys: Vec<_> = problems.iter().map(|(key, _)| key.as_str()).collect();
    for key in [
        "state_dir",
        "agents[0].name",
        "agents[0].accounts[0]",
        "trails[0].name",
        "trails[0].organization_id",
        "trails[0].lokation",
    ] {
        assert!(keys.contains(&key), "{key} is missing in {keys:?}");
    }
    // The key that was meant is told once, with the wrong one.
    let (_, message) = problems.iter().find(|(key, _)| key == "trails[0].lokation").expect("checked above");
    assert!(message.contains("`location`"), "{message}");
}

#[test]
fn two_trails_never_share_a_place() {
    let text = format!("{GOOD}\n[[trails]]\nname = \"second\"\nlocation = \"file:///srv/org-trail\"\n");
    assert_eq!(problems(&text)[0].0, "trails[1].location");
}

#[test]
fn a_log_group_that_can_not_be_is_told() {
    let logs = |lines: &str| problems(&format!("{GOOD}\n[trails.cloudwatch_logs]\n{lines}\n"));
    let arn = "arn:aws:logs:eu-west-1:111122223333:log-group:org-trail:*";
    for (lines, key) in [
        (String::new(), "log_group"),
        ("log_group = \"org trail\"".to_owned(), "log_group"),
        (format!("log_group = \"{arn}\"\nregion = \"us-east-1\""), "region"),
        (format!("log_group = \"{arn}\"\nlocation = \"file:///srv/logs\""), "location"),
        ("log_group = \"org-trail\"\nlog_stream = \"a:b\"".to_owned(), "log_stream"),
    ] {
        assert_eq!(logs(&lines)[0].0, format!("trails[0].cloudwatch_logs.{key}"), "{lines}");
    }
    let good = format!("{GOOD}\n[trails.cloudwatch_logs]\nlog_group = \"{arn}\"\nregion = \"eu-west-1\"\n");
    parse::<Config>(Path::new("aggregator.toml"), &good).expect("valid");
}
