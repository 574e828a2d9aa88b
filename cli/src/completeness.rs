//! `orgtrail completeness`: how far digests prove that nothing is missing, from what the agents say in their state folders,
//! so that it works whether or not they run.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::Args;
use jiff::Timestamp;
use orgtrail_agent::status::{Completeness, Gap, Proved, Status};
use orgtrail_service::run::Exit;
use orgtrail_service::state_dir::read_status;
use serde_json::json;

use crate::setup::{Content, load};
use crate::terminal::{count, end, table};

/// How far the source's digests prove, by account, region and trail, that nothing is missing, and what is.
///
/// Exit codes: 0 every row is complete, 1 a status can't be read, 2 something is missing, tampered with, overdue, or can't be
/// proved.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Agent configuration file, or folder with configuration files.
    #[arg(long, value_name = "DIR|FILE")]
    config: PathBuf,
    /// Rows without digests don't count for the exit code.
    #[arg(long)]
    allow_unprovable: bool,
    /// Only rows that are not complete.
    #[arg(long)]
    gaps: bool,
    /// One JSON document, times in Unix seconds.
    #[arg(long)]
    json: bool,
}

/// Runs the verb.
pub fn run(arguments: Arguments) -> ExitCode {
    end(show(&arguments))
}

fn show(arguments: &Arguments) -> anyhow::Result<Exit> {
    let mut rows = Vec::new();
    let mut agents = 0;
    for file in load(&arguments.config)? {
        let Content::Agent(config) = &file.content else { continue };
        agents += 1;
        let dir = &config.state_dir;
        let snapshot = read_status(dir).with_context(|| format!("read the status in {}", dir.display()))?;
        let snapshot = snapshot.with_context(|| format!("agent {} was never started", config.name))?;
        let status: Status = serde_json::from_value(snapshot.value)?;
        rows.extend(status.completeness);
    }
    anyhow::ensure!(agents > 0, "{} holds no agent's configuration", arguments.config.display());
    let good = |row: &Completeness| match row.proved {
        Proved::Complete => true,
        Proved::Unprovable => arguments.allow_unprovable,
        Proved::Incomplete | Proved::Overdue => false,
    };
    let all = rows.iter().all(good) && !rows.is_empty();
    rows.retain(|row| !arguments.gaps || row.proved != Proved::Complete);
    if arguments.json {
        println!("{}", serde_json::to_string_pretty(&json!({ "complete": all, "rows": rows }))?);
    } else {
        print(&rows, arguments.gaps);
    }
    Ok(if all { Exit::Ok } else { Exit::Partial })
}

fn print(rows: &[Completeness], only_gaps: bool) {
    if rows.is_empty() {
        let nothing = if only_gaps { "every row is complete" } else { "nothing was read yet" };
        println!("{nothing}");
        return;
    }
    let header = [
        "ACCOUNT",
        "REGION",
        "TRAIL",
        "SOURCE",
        "PROVED",
        "SINCE",
        "COMPLETE UNTIL",
        "DIGESTS UNTIL",
        "DIGESTS",
        "LOG FILES",
        "IN NO DIGEST",
        "GAPS",
    ];
    let cells = |row: &Completeness| {
        vec![
            row.account.clone(),
            row.region.clone(),
            row.trail.clone().unwrap_or_else(|| "-".into()),
            row.source.clone(),
            word(row.proved).into(),
            time(row.since),
            time(row.complete_until),
            time(row.verified_until),
            count(row.digests),
            count(row.log_files),
            count(row.unlisted),
            count(row.gaps_total),
        ]
    };
    println!("{}", table(8, &header, rows.iter().map(cells).collect()));
    for row in rows.iter().filter(|row| row.gaps_total > 0) {
        println!("\n{}/{} {}:", row.account, row.region, row.trail.as_deref().unwrap_or("-"));
        for gap in &row.gaps {
            println!("  {}", line(gap));
        }
        let more = row.gaps_total.saturating_sub(row.gaps.len() as u64);
        if more > 0 {
            println!("  … and {more} more");
        }
    }
}

/// One gap: what, when, which object, and what a person should know.
fn line(gap: &Gap) -> String {
    let (start, end) = (time(Some(gap.start)), time(Some(gap.end)));
    let key = gap.key.as_deref().unwrap_or("-");
    format!("{:<16} {start} to {end}  {key}  {}", gap.kind.as_str(), gap.detail)
}

fn word(proved: Proved) -> &'static str {
    match proved {
        Proved::Unprovable => "no digests",
        Proved::Complete => "complete",
        Proved::Incomplete => "INCOMPLETE",
        Proved::Overdue => "OVERDUE",
    }
}

fn time(seconds: Option<i64>) -> String {
    let time = seconds.and_then(|seconds| Timestamp::from_second(seconds).ok());
    time.map_or_else(|| "-".to_owned(), |time| time.to_string())
}
