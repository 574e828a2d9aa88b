//! Who may depend on whom: the dependency rule of docs/ARCHITECTURE.md, and the fences that deny.toml names too.

use std::fs;

use toml::Table;

use crate::rust_text::{code_only, tests_begin};
use crate::{expect_none, tree};

/// What each crate may use of the workspace. A crate that is not listed may not exist.
const MAY_USE: [(&str, &[&str]); 10] = [
    ("event", &[]),
    ("cloud", &[]),
    ("service", &[]),
    ("proto", &[]),
    ("agent", &["event", "proto", "cloud", "service"]),
    ("aggregator", &["event", "proto", "cloud", "service"]),
    ("lake", &["event", "cloud", "service"]),
    ("console", &["event", "proto", "cloud", "service"]),
    ("cli", &["event", "proto", "cloud", "service", "agent", "aggregator", "lake", "console"]),
    ("tests", &["event", "proto", "cloud", "service", "agent", "aggregator", "lake", "console", "cli"]),
];

/// Crates from outside that only one crate may use; a name ending in `-` stands for all that begin so.
const FENCES: [(&str, &str); 13] = [
    ("aws-sdk-", "cloud"),
    ("aws-smithy-", "cloud"),
    ("aws-config", "cloud"),
    ("aws-credential-types", "cloud"),
    ("sled", "agent"),
    ("fjall", "aggregator"),
    ("arrow", "lake"),
    ("arrow-", "lake"),
    ("datafusion", "lake"),
    ("deltalake-", "lake"),
    ("object_store", "lake"),
    ("orc-rust", "lake"),
    ("parquet", "lake"),
];

/// What the pure crates must not name.
const OUTSIDE_WORLD: [&str; 8] =
    ["std::fs", "std::net", "std::process", "std::env", "std::thread", "tokio::", "SystemTime", "Timestamp::now"];

/// One dependency of a member, as its manifest has it.
struct Dependency {
    member: String,
    name: String,
    is_inherited: bool,
    line: usize,
}

fn manifest(member: &str) -> (String, Table) {
    let path = tree::root().join(member).join("Cargo.toml");
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let table = text.parse().unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    (text, table)
}

fn members() -> Vec<String> {
    let (_, root) = manifest("");
    let members = root["workspace"]["members"].as_array().unwrap();
    members.iter().map(|member| member.as_str().unwrap().to_owned()).collect()
}

fn dependencies() -> Vec<Dependency> {
    let mut found = Vec::new();
    for member in members() {
        let (text, table) = manifest(&member);
        for section in ["dependencies", "build-dependencies", "dev-dependencies"] {
            let Some(section) = table.get(section).and_then(|section| section.as_table()) else { continue };
            for (name, value) in section {
                let is_inherited = value.get("workspace").and_then(toml::Value::as_bool) == Some(true);
                let is_it =
                    |line: &str| line.strip_prefix(name.as_str()).is_some_and(|rest| rest.starts_with(['.', ' ', '=']));
                let line = text.lines().position(is_it).map_or(1, |line| line + 1);
                found.push(Dependency { member: member.clone(), name: name.clone(), is_inherited, line });
            }
        }
    }
    found
}

#[test]
fn the_dependency_rule_holds() {
    let mut violations = Vec::new();
    for member in members() {
        if !MAY_USE.iter().any(|(name, _)| *name == member) {
            violations.push(format!("Cargo.toml:1: {member} is not in the dependency rule"));
        }
    }
    for dependency in dependencies() {
        let Some(used) = dependency.name.strip_prefix("orgtrail-") else { continue };
        let allowed = MAY_USE.iter().find(|(name, _)| *name == dependency.member).map_or([].as_slice(), |rule| rule.1);
        if !allowed.contains(&used) {
            let Dependency { member, line, .. } = &dependency;
            violations.push(format!("{member}/Cargo.toml:{line}: {member} must not depend on {used}"));
        }
    }
    expect_none(&violations);
}

#[test]
fn the_fences_hold() {
    let mut violations = Vec::new();
    for Dependency { member, name, line, .. } in dependencies() {
        let is_meant = |fence: &str| name == fence || (fence.ends_with('-') && name.starts_with(fence));
        for (_, owner) in FENCES.iter().filter(|(fence, owner)| is_meant(fence) && *owner != member) {
            violations.push(format!("{member}/Cargo.toml:{line}: only {owner} may depend on {name}"));
        }
    }
    expect_none(&violations);
}

#[test]
fn the_pure_crate_does_not_touch_the_outside_world() {
    let mut violations = Vec::new();
    for source in &tree::sources() {
        if !source.name.starts_with("event/src/") || source.is_test() {
            continue;
        }
        let tests = tests_begin(&source.text);
        for (index, line) in code_only(&source.text).lines().enumerate().take(tests) {
            for name in OUTSIDE_WORLD.iter().filter(|name| line.contains(**name)) {
                violations.push(format!("{}: event does no I/O and has no clock, so no {name}", source.at(index + 1)));
            }
        }
    }
    expect_none(&violations);
}

#[test]
fn every_version_stands_in_the_workspace_once() {
    let own = dependencies().into_iter().filter(|dependency| !dependency.is_inherited);
    let violations: Vec<_> = own
        .map(|Dependency { member, name, line, .. }| {
            format!("{member}/Cargo.toml:{line}: write `{name}.workspace = true`, and the version in the root")
        })
        .collect();
    expect_none(&violations);
}

#[test]
fn every_member_takes_the_lints_of_the_workspace() {
    let strays = members().into_iter().filter(|member| {
        let (_, table) = manifest(member);
        let lints = table.get("lints").and_then(|lints| lints.get("workspace"));
        lints.and_then(toml::Value::as_bool) != Some(true)
    });
    expect_none(
        &strays.map(|member| format!("{member}/Cargo.toml:1: no `[lints] workspace = true`")).collect::<Vec<_>>(),
    );
}

#[test]
fn the_lock_file_is_part_of_the_project() {
    let root = tree::root();
    assert!(root.join("Cargo.lock").is_file(), "Cargo.lock is missing");
    let ignored = fs::read_to_string(root.join(".gitignore")).unwrap_or_default();
    let line = ignored.lines().position(|line| line.contains("Cargo.lock"));
    expect_none(
        &line
            .map(|line| format!(".gitignore:{}: Cargo.lock must be committed", line + 1))
            .into_iter()
            .collect::<Vec<_>>(),
    );
}

#[test]
fn deny_toml_names_the_same_fences() {
    let deny = fs::read_to_string(tree::root().join("deny.toml")).unwrap();
    let deny: Table = deny.parse().unwrap();
    let entries = deny["bans"]["deny"].as_array().unwrap();
    let mut violations = Vec::new();
    for Dependency { member, name, line, .. } in dependencies() {
        // The smithy crates are plumbing of the SDK; the SDK's own crates carry the fence.
        if !["aws-sdk-", "aws-config", "sled", "fjall"].iter().any(|fence| name.starts_with(fence)) {
            continue;
        }
        let owner = format!("orgtrail-{member}");
        let entry = entries.iter().find(|entry| entry["crate"].as_str() == Some(name.as_str()));
        let wrappers = entry.and_then(|entry| entry.get("wrappers")?.as_array());
        if !wrappers.is_some_and(|wrappers| wrappers.iter().any(|wrapper| wrapper.as_str() == Some(&owner))) {
            violations.push(format!("{member}/Cargo.toml:{line}: deny.toml has no fence that makes {name} {owner}'s"));
        }
    }
    expect_none(&violations);
}
