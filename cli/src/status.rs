//! `orgtrail status`: the ledger, lag and quarantine, from what the processes say in their state folders, so that it works
//! whether or not they run.

mod agent;
mod aggregator;
mod requests;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::Args;
use jiff::Timestamp;
use orgtrail_service::clock;
use orgtrail_service::run::Exit;
use orgtrail_service::state_dir::{StatusSnapshot, read_status};
use serde_json::{Value, json};

use crate::setup::{Content, File, load};
use crate::terminal::{age, end};

/// The ledger, lag per account and region, and the quarantine of the configured processes.
///
/// Exit codes: 0 all is well, 1 a status can't be read, 2 something is quarantined, unbalanced, degraded or not running.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Configuration file, or folder with configuration files.
    #[arg(long, value_name = "DIR|FILE")]
    config: PathBuf,
    /// One JSON document.
    #[arg(long)]
    json: bool,
}

/// Runs the verb.
pub fn run(arguments: Arguments) -> ExitCode {
    end(show(&arguments))
}

/// What one process said, and what of it needs a person.
pub(crate) struct Report {
    pub(crate) text: String,
    /// The ledger alone.
    pub(crate) summary: String,
    pub(crate) value: Value,
    pub(crate) attention: bool,
}

fn show(arguments: &Arguments) -> anyhow::Result<Exit> {
    let mut values = Vec::new();
    let mut attention = false;
    for file in load(&arguments.config)? {
        let report = report(&file, clock::system().now())?;
        attention |= report.attention;
        if !arguments.json {
            println!("{}\n", report.text);
        }
        values.push(report.value);
    }
    if arguments.json {
        println!("{}", serde_json::to_string_pretty(&json!({ "processes": values }))?);
    }
    Ok(if attention { Exit::Partial } else { Exit::Ok })
}

/// What the process of one configuration file last said.
pub(crate) fn report(file: &File, now: Timestamp) -> anyhow::Result<Report> {
    let process = file.content.role().process();
    let Some(state_dir) = file.content.state_dir() else { return Ok(stateless(file)) };
    let snapshot = read_status(state_dir).with_context(|| format!("read the status in {}", state_dir.display()))?;
    let Some(snapshot) = snapshot else {
        let text = format!("{process} ({}): never started", file.path.display());
        return Ok(Report {
            summary: text.clone(),
            text,
            value: json!({"process": process, "config": file.path, "running": false, "status": null}),
            attention: true,
        });
    };
    let said = snapshot.value.clone();
    let (summary, (body, attention)) = match &file.content {
        Content::Agent(_) => {
            let status: orgtrail_agent::status::Status = serde_json::from_value(said)?;
            (agent::ledger(&status.objects), agent::text(&status, now, snapshot.running))
        }
        Content::Aggregator(_) => {
            let status: orgtrail_aggregator::status::Status = serde_json::from_value(said)?;
            (aggregator::ledger(&status), aggregator::text(&status, now))
        }
        Content::Console(_) | Content::Lake(_) => return Ok(stateless(file)),
    };
    // A process that should run and doesn't is worth a look, whatever it said last.
    let attention = attention || !snapshot.running;
    let value = json!({
        "process": process,
        "config": file.path,
        "name": snapshot.head.name,
        "version": snapshot.head.version,
        "running": snapshot.running,
        "as_of": snapshot.as_of,
        "status": snapshot.value,
    });
    Ok(Report { text: format!("{}\n{body}", headline(process, &snapshot, now)), summary, value, attention })
}

/// A process that leaves no status behind: whether it runs is told by its own pages only.
fn stateless(file: &File) -> Report {
    let process = file.content.role().process();
    let text = format!("{process} ({}): keeps no state; /readyz at its [health] address tells", file.path.display());
    let value = json!({"process": process, "config": file.path, "running": null, "status": null});
    Report { summary: text.clone(), text, value, attention: false }
}

fn headline(process: &str, snapshot: &StatusSnapshot, now: Timestamp) -> String {
    let running = if snapshot.running { "running" } else { "not running" };
    let ago = age(now.as_second() - snapshot.as_of.as_second());
    format!("{process} {} {}: {running}, as of {ago} ago", snapshot.head.name, snapshot.head.version)
}

/// `a 1, b 2`, or a word when there is nothing.
pub(crate) fn reasons<'a>(counts: impl IntoIterator<Item = (&'a String, &'a u64)>, nothing: &str) -> String {
    let parts: Vec<_> = counts.into_iter().map(|(reason, count)| format!("{reason} {count}")).collect();
    if parts.is_empty() { nothing.to_owned() } else { parts.join(", ") }
}

/// How long ago a moment (Unix seconds) was; `-` when there was none.
pub(crate) fn since(moment: i64, now: Timestamp) -> String {
    if moment <= 0 { "-".to_owned() } else { age(now.as_second() - moment) }
}
