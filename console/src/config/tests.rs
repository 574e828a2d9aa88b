//! What `console.toml` may say.

use std::path::Path;

use orgtrail_service::config::parse;

use super::*;

const GOOD: &str = r#"
[console]
listen = "127.0.0.1:7480"
[[console.trails]]
name = "org-trail"
account_id = "111122223333"
home_region = "cn-north-1"
organization_id = "o-exampleorgid"
location = "s3://bucket/audit"
"#;

fn problems(text: &str) -> Vec<(String, String)> {
    let invalid = parse::<Config>(Path::new("console.toml"), text).expect_err("invalid");
    invalid.problems.into_iter().map(|problem| (problem.key, problem.message)).collect()
}

#[test]
fn the_shortest_file_gets_the_documented_defaults() {
    let config: Config = parse(Path::new("console.toml"), GOOD).unwrap();
    let trail = &config.console.trails[0];
    assert_eq!(trail.arn(), "arn:aws-cn:cloudtrail:cn-north-1:111122223333:trail/org-trail");
    assert!(trail.multi_region && trail.include_global_service_events && trail.public_keys.is_none());
    assert_eq!(config.grace_period, Duration::from_secs(20));
}

#[test]
fn plaintext_beyond_loopback_is_a_problem() {
    let open = GOOD.replace("127.0.0.1", "0.0.0.0");
    assert_eq!(problems(&open)[0].0, "console.listen");
    let tls = format!("{open}[tls]\ncert_file = \"c.pem\"\nkey_file = \"k.pem\"\nca_file = \"ca.pem\"\n");
    parse::<Config>(Path::new("console.toml"), &tls).unwrap();
}

#[test]
fn all_problems_are_told_at_once() {
    let text = r#"
[console]
[[console.trails]]
name = "a--b"
account_id = "12"
organization_id = "exampleorg"
lokation = "s3://bucket"
sns_topic = "topic"
cloudwatch_logs_role_arn = "arn:aws:iam::111122223333:role/logs"
[log]
level = "loud"
"#;
    let problems = problems(text);
    let keys: Vec<_> = problems.iter().map(|(key, _)| key.as_str()).collect();
    for key in [
        "name",
        "account_id",
        "home_region",
        "organization_id",
        "lokation",
        "sns_topic",
        "cloudwatch_logs_log_group_arn",
    ] {
        let key = format!("console.trails[0].{key}");
        assert!(keys.contains(&key.as_str()), "{key} is missing in {keys:?}");
    }
    assert!(keys.contains(&"log.level"), "{keys:?}");
}

#[test]
fn a_trail_is_shown_once() {
    let trail = GOOD.split_once("[[console.trails]]").unwrap().1;
    let twice = format!("{GOOD}[[console.trails]]{trail}");
    assert_eq!(problems(&twice)[0].0, "console.trails[1].name");
    assert_eq!(problems("[console]\n")[0].0, "console.trails");
}
