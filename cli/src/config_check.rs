//! `orgtrail config check FILE…`: offline, all problems of all files at once.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use orgtrail_service::run::Exit;
use serde_json::json;

use crate::setup::{Problem, load_file};
use crate::terminal::end;

/// Check configuration files without starting anything or reaching for the network.
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
}

/// Runs the verb.
pub fn run(arguments: Arguments) -> ExitCode {
    end(check(&arguments))
}

fn check(arguments: &Arguments) -> anyhow::Result<Exit> {
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
        if !arguments.json {
            match &checked {
                Ok(file) => println!("{}: for {}, no problems", path.display(), file.content.role().process()),
                Err(problem) => println!("{problem}"),
            }
        }
        if checked.is_err() {
            exit = Exit::Config;
        }
        report.push(json!({"file": path, "process": process, "problems": problems}));
    }
    if arguments.json {
        println!("{}", serde_json::to_string_pretty(&report)?);
    }
    Ok(exit)
}
