//! What an operator sees for a wrong configuration file.

use std::path::Path;
use std::time::Duration;

use serde::Deserialize;

use super::*;
use crate::shape::Bytes;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    name: Option<String>,
    #[serde(default)]
    limits: Limits,
    #[serde(default)]
    sources: Vec<Source>,
    log: Option<Log>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Limits {
    memory: Bytes,
    workers: u16,
    #[serde(with = "crate::shape::duration")]
    poll: Duration,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Source {
    location: Option<String>,
    #[serde(default)]
    accounts: Vec<String>,
    #[serde(flatten)]
    connection: Connection,
}

#[derive(Debug, Default, Deserialize)]
struct Connection {
    region: Option<String>,
    retries: Option<u32>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Log {
    format: Format,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Format {
    Text,
    Json,
}

impl Check for Config {
    fn check(&self, problems: &mut Problems) {
        if self.name.is_none() {
            problems.push("name", "missing; give the process a name");
        }
        for (index, source) in self.sources.iter().enumerate() {
            problems.within(format!("sources[{index}]"), |problems| source.check(problems));
        }
    }

    fn flattened_keys() -> Vec<&'static str> {
        vec!["location", "accounts", "region", "retries"]
    }
}

impl Check for Source {
    fn check(&self, problems: &mut Problems) {
        match self.location.as_deref() {
            None => problems.push("location", "missing; name the bucket"),
            Some(location) if !location.contains("://") => problems.push("location", "not a location"),
            Some(_) => {}
        }
        if let Some(index) = self.accounts.iter().position(|account| account.len() != 12) {
            problems.push(format!("accounts[{index}]"), "not an account id");
        }
    }
}

fn problems(text: &str) -> Vec<String> {
    let error = parse::<Config>(Path::new("c.toml"), text).expect_err("the configuration is wrong");
    error.to_string().lines().map(str::to_owned).collect()
}

#[test]
fn a_good_file_is_taken_whole() {
    let text = "name = \"a\"\n[limits]\nmemory = \"4MiB\"\npoll = \"1m 30s\"\n[[sources]]\nlocation = \"file:///x\"\n\
                region = \"eu-west-1\"\nretries = 3\n[log]\nformat = \"json\"\n";
    let config: Config = parse(Path::new("c.toml"), text).unwrap();
    assert_eq!(config.limits.memory, Bytes::mib(4));
    assert_eq!(config.limits.poll, Duration::from_secs(90));
    assert_eq!(config.sources[0].connection.region.as_deref(), Some("eu-west-1"));
    assert_eq!(config.sources[0].connection.retries, Some(3));
    assert!(matches!(config.log, Some(Log { format: Format::Json })));
    assert_eq!(config.limits.workers, 0);
    assert!(Format::deserialize(toml::Value::String("text".into())).is_ok_and(|f| matches!(f, Format::Text)));
}

#[test]
fn every_problem_is_reported_at_once_in_the_order_of_the_lines() {
    let text = "\
nmae = \"a\"
[limits]
memory = \"much\"
workers = 70000
poll = \"soon\"
colour = \"red\"
[[sources]]
loction = \"s3://b\"
accounts = [\"123456789012\", 5, \"x\"]
[[sources]]
location = \"nowhere\"
retries = \"often\"
[log]
format = \"xml\"
";
    let expected = [
        "c.toml:1: nmae: unknown key; did you mean `name`?",
        "c.toml:3: limits.memory: `much` is not a size; write a number with a unit such as \"4MiB\" or \"200kB\", \
         or a whole number of bytes",
        "c.toml:4: limits.workers: expected a whole number from 0 to 65535, found integer `70000`",
        "c.toml:5: limits.poll: expected a duration such as \"30s\" or \"5m\", found string \"soon\"",
        "c.toml:6: limits.colour: unknown key; remove it or use one of `memory`, `workers`, `poll`",
        "c.toml:8: sources[0].loction: unknown key; did you mean `location`?",
        "c.toml:9: sources[0].accounts[1]: expected a string, found integer `5`",
        "c.toml:9: sources[0].accounts[2]: not an account id",
        "c.toml:11: sources[1].location: not a location",
        "c.toml:12: sources[1].retries: expected a whole number from 0 to 4294967295, found string \"often\"",
        "c.toml:14: log.format: `xml` is not known here; use one of `text`, `json`",
    ];
    assert_eq!(problems(text), expected);
}

#[test]
fn a_syntax_error_names_its_line() {
    let found = problems("name = \"a\"\n[limits\nworkers = 1\n");
    assert_eq!(found.len(), 1);
    assert!(found[0].starts_with("c.toml:2: not valid TOML: "), "{found:?}");
    let found = problems("name = \"a\"\nname = \"b\"\n");
    assert_eq!(found, ["c.toml:2: not valid TOML: duplicate key"]);
}

#[test]
fn a_missing_key_stands_at_its_table() {
    let found = problems("# nothing\n\n[[sources]]\n\n[log]\n");
    let expected = [
        "c.toml:1: name: missing; give the process a name",
        "c.toml:3: sources[0].location: missing; name the bucket",
        "c.toml:5: log.format: missing; add it",
    ];
    assert_eq!(found, expected);
}

#[test]
fn an_element_taken_out_does_not_shift_the_names_of_the_others() {
    let text = "name = \"a\"\nsources = [\n  5,\n  { location = \"nowhere\" },\n  true,\n  { },\n]\n";
    let found = problems(text);
    assert_eq!(found.len(), 4, "{found:?}");
    assert!(found[0].starts_with("c.toml:3: sources[0]: expected "), "{found:?}");
    assert_eq!(found[1], "c.toml:4: sources[1].location: not a location");
    assert!(found[2].starts_with("c.toml:5: sources[2]: expected "), "{found:?}");
    assert_eq!(found[3], "c.toml:6: sources[3].location: missing; name the bucket");
}

#[test]
fn a_table_where_a_value_belongs_and_the_reverse() {
    assert_eq!(problems("[name]\nx = 1\n"), ["c.toml:1: name: expected a string, found a table"]);
    assert_eq!(problems("name = \"a\"\nlimits = 5\n"), ["c.toml:2: limits: expected a table, found integer `5`"]);
    assert_eq!(problems("[[name]]\nx = 1\n"), ["c.toml:1: name: expected a string, found a list"]);
    assert_eq!(problems("name = \"a\"\n[sources]\n"), ["c.toml:2: sources: expected a list, found a table"]);
}

#[test]
fn a_file_that_cannot_be_read_says_why() {
    let dir = tempfile::tempdir().unwrap();
    let missing = dir.path().join("none.toml");
    let error = load::<Config>(&missing).unwrap_err().to_string();
    assert!(error.starts_with(&format!("{}: cannot be read: ", missing.display())), "{error}");
    let error = load::<Config>(dir.path()).unwrap_err().to_string();
    assert!(error.ends_with("is not a file; name a TOML file"), "{error}");
    let binary = dir.path().join("b.toml");
    std::fs::write(&binary, [0xff, 0xfe]).unwrap();
    assert!(load::<Config>(&binary).unwrap_err().to_string().ends_with("is not UTF-8 text"));
    let good = dir.path().join("g.toml");
    std::fs::write(&good, "name = \"a\"\n").unwrap();
    assert_eq!(load::<Config>(&good).unwrap().name.as_deref(), Some("a"));
}

#[test]
fn a_file_of_nonsense_gives_a_bounded_answer() {
    let text: String = (0..1000).map(|n| format!("k{n} = 1\n")).collect();
    assert_eq!(problems(&text).len(), PROBLEMS_MAX);
}
