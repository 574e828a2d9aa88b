//! `orgtrail config check FILE…`: offline, all problems of all files at once.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use orgtrail_cloud::Location;
use orgtrail_cloud::lifecycle::{BucketRules, lifecycle_rules};
use orgtrail_service::run::Exit;
use serde_json::json;

use crate::runtime::block_on;
use crate::setup::{Content, Problem, load_file};
use crate::terminal::end;

/// Check configuration files without starting anything, and without reaching for the network unless told.
///
/// Shows the lifecycle rules that the start would put on buckets; with --online, beside the rules that are there, and what
/// is left of trails that want none any more, which the start would remove.
///
/// Exit codes: 0 all are right, 1 a file can't be read, 78 a file has problems.
#[derive(Debug, Args)]
pub struct Arguments {
    /// The files.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// One JSON document: for each file its process and its problems.
    #[arg(long)]
    json: bool,
    /// Ask S3 which lifecycle rules are there.
    #[arg(long)]
    online: bool,
}

/// Runs the verb.
pub fn run(arguments: Arguments) -> ExitCode {
    end(block_on(check(&arguments)))
}

async fn check(arguments: &Arguments) -> anyhow::Result<Exit> {
    let mut report = Vec::new();
    let mut exit = Exit::Ok;
    for path in &arguments.files {
        let checked = load_file(path)?;
        let mut process = None;
        let mut problems = Vec::new();
        match &checked {
            Ok(file) => process = Some(file.content.role().process()),
            Err(Problem::Invalid(invalid)) => {
                for problem in &invalid.problems {
                    problems.push(json!({"line": problem.line, "key": problem.key, "message": problem.message}));
                }
            }
            Err(problem) => problems.push(json!({"line": 1, "key": "", "message": problem.to_string()})),
        }
        let lifecycle = match &checked {
            Ok(file) => lifecycle(&file.content, arguments.online).await?,
            Err(_) => Vec::new(),
        };
        if !arguments.json {
            match &checked {
                Ok(file) => {
                    println!("{}: for {}, no problems", path.display(), file.content.role().process());
                    lifecycle.iter().for_each(|line| println!("  {line}"));
                }
                Err(problem) => println!("{problem}"),
            }
        }
        if checked.is_err() {
            exit = Exit::Config;
        }
        report.push(json!({"file": path, "process": process, "problems": problems, "lifecycle": lifecycle}));
    }
    if arguments.json {
        println!("{}", serde_json::to_string_pretty(&report)?);
    }
    Ok(exit)
}

/// What the start would change of buckets' lifecycle rules, a line each.
async fn lifecycle(content: &Content, online: bool) -> anyhow::Result<Vec<String>> {
    let Content::Aggregator(config) = content else { return Ok(Vec::new()) };
    let mut lines = Vec::new();
    for trail in &config.trails {
        let Some(location @ Location::S3 { .. }) = &trail.location else { continue };
        let rule = trail.lifecycle_rule();
        let there = match (online, &rule) {
            (false, None) => continue,
            (false, Some(_)) => BucketRules::default(),
            (true, _) => lifecycle_rules(location, &trail.connection).await?,
        };
        let (id, prefix) = trail.lifecycle_rule_name();
        let plan = rule.map_or_else(|| there.plan_without(&id, &prefix), |rule| there.plan(&rule));
        lines.extend(plan.into_iter().map(|line| format!("trail {}, {location}: {line}", trail.name)));
    }
    Ok(lines)
}
