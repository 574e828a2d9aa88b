//! What deploy/ holds: permissions say the same in JSON, Terraform, CloudFormation and the operator's table, and every
//! configuration within another file is right.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use orgtrail_tests::process::run;
use serde_json::Value;

/// Names of this form that are keys of conditions.
const CONDITION_KEYS: [&str; 5] =
    ["aws:SecureTransport", "kms:ViaService", "s3:ObjectCreationOperation", "s3:ResourceAccount", "sts:ExternalId"];

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn read(path: &str) -> String {
    let path = repository().join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The statements of a policy in deploy/iam.
fn statements(file: &str) -> Vec<Value> {
    let policy: Value = serde_json::from_str(&read(&format!("deploy/iam/{file}"))).unwrap();
    assert_eq!(policy["Version"], "2012-10-17", "{file}");
    policy["Statement"].as_array().unwrap().clone()
}

/// The actions that policies of deploy/iam allow.
fn allowed(files: &[&str]) -> BTreeSet<String> {
    let mut actions = BTreeSet::new();
    for statement in files.iter().flat_map(|file| statements(file)).filter(|one| one["Effect"] == "Allow") {
        match &statement["Action"] {
            Value::String(action) => drop(actions.insert(action.clone())),
            list => actions.extend(list.as_array().unwrap().iter().map(|action| action.as_str().unwrap().to_owned())),
        }
    }
    actions
}

/// Everything in a text that is called as an action is: `service:Verb`.
fn named(text: &str) -> BTreeSet<String> {
    let words = text.split(|one: char| !one.is_ascii_alphanumeric() && one != ':' && one != '*');
    let is_action = |word: &&str| {
        word.split_once(':').is_some_and(|(service, verb)| {
            service.starts_with(|one: char| one.is_ascii_lowercase())
                && service.bytes().all(|one| one.is_ascii_lowercase() || one.is_ascii_digit())
                && verb.starts_with(|one: char| one.is_ascii_uppercase())
                && !verb.contains(':')
        })
    };
    words.filter(is_action).filter(|word| !CONDITION_KEYS.contains(word)).map(str::to_owned).collect()
}

const OF_AGENTS: [&str; 4] = [
    "agent-lookup-events-policy.json",
    "agent-notifications-policy.json",
    "agent-organization-policy.json",
    "agent-read-policy.json",
];

#[test]
fn the_role_of_an_agent_may_do_the_same_however_it_is_made() {
    let roles = [&OF_AGENTS[..], &["agent-trust-policy.json"]].concat();
    for made in ["deploy/terraform/source-role/main.tf", "deploy/cloudformation/source-role-stackset.yaml"] {
        assert_eq!(named(&read(made)), allowed(&roles), "{made}");
    }
}

#[test]
fn the_aggregator_may_do_the_same_however_its_permissions_are_made() {
    let module = read("deploy/terraform/destination/main.tf");
    let at = module.find("data \"aws_iam_policy_document\" \"aggregator\"").unwrap();
    assert_eq!(named(&module[at..]), allowed(&["aggregator-write-policy.json"]));
    // What the bucket and the key themselves allow: to administrators `kms:*`, which is no such name.
    let mut resources = allowed(&["destination-bucket-policy.json", "destination-key-policy.json"]);
    assert!(resources.remove("kms:*"));
    assert_eq!(named(&module[..at]), resources);
}

#[test]
fn the_operators_table_names_every_action_that_is_handed_out_and_no_other() {
    let page = read("docs/operations.md");
    let table = page.split("## Permissions").nth(1).unwrap().split("\n## ").next().unwrap();
    let handed_out = allowed(&[&OF_AGENTS[..], &["aggregator-write-policy.json", "collector-policy.json"]].concat());
    assert_eq!(named(table), handed_out);
}

#[test]
fn every_statement_of_a_policy_has_a_name_of_its_own() {
    for entry in std::fs::read_dir(repository().join("deploy/iam")).unwrap() {
        let file = entry.unwrap().file_name().into_string().unwrap();
        let statements = statements(&file);
        let names: BTreeSet<_> = statements.iter().map(|statement| statement["Sid"].as_str().unwrap()).collect();
        assert_eq!(names.len(), statements.len(), "{file}");
    }
}

/// The texts that stand in a YAML file under these keys, as `key: |`.
fn block_texts(yaml: &str, key: &str) -> Vec<String> {
    let indent = |line: &str| line.len() - line.trim_start().len();
    let lines: Vec<_> = yaml.lines().collect();
    let begins = lines.iter().enumerate().filter(|(_, line)| line.trim() == format!("{key}: |"));
    begins
        .map(|(at, line)| {
            let inside = lines[at + 1..].iter().take_while(|one| one.trim().is_empty() || indent(one) > indent(line));
            inside.map(|one| format!("{}\n", one.trim_start())).collect()
        })
        .collect()
}

#[test]
fn every_configuration_in_the_compose_file_and_the_chart_is_right() {
    let dir = tempfile::tempdir().unwrap();
    for (file, key) in [("deploy/docker/compose.yaml", "content"), ("deploy/helm/orgtrail/values.yaml", "config")] {
        let texts = block_texts(&read(file), key);
        assert_eq!(texts.len(), 3, "{file}: the aggregator's, the agent's and the console's");
        let written = texts.iter().enumerate().map(|(number, text)| {
            let path = dir.path().join(format!("{key}-{number}.toml"));
            std::fs::write(&path, text).unwrap();
            path.display().to_string()
        });
        let arguments: Vec<_> = ["config", "check"].map(str::to_owned).into_iter().chain(written).collect();
        let (code, said, errors) = run("orgtrail", &arguments.iter().map(String::as_str).collect::<Vec<_>>()).unwrap();
        assert_eq!(code, 0, "{file}: {said}{errors}");
        for process in ["orgtrail-aggregator", "orgtrail-agent", "orgtrail-console"] {
            assert!(said.contains(&format!("for {process}, no problems")), "{file}: {said}");
        }
    }
}
