//! `orgtrail state reseal`: the aggregator's state written anew under another key, or in the clear.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, ensure};
use clap::{Args, Subcommand};
use orgtrail_aggregator::Config;
use orgtrail_aggregator::seal::{Report, reseal};
use orgtrail_service::clock;
use orgtrail_service::run::Exit;

use crate::runtime::block_on;
use crate::setup::{Content, load};
use crate::terminal::{count, end, progress};

/// What to do with the state folder of a stopped aggregator.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Write journal and quarantine anew as [seal] of the configuration says: under its key, or in the clear without it.
    Reseal(Reseal),
}

/// `state reseal`
#[derive(Debug, Args)]
pub struct Reseal {
    /// Configuration file, or folder with configuration files.
    #[arg(long, value_name = "DIR|FILE")]
    config: PathBuf,
    /// What the state is sealed under now: another place of the key than its seal.json names, or `none`. Default: what
    /// seal.json says.
    #[arg(long, value_name = "KEY|none")]
    from_key: Option<String>,
}

/// Runs the verb.
pub fn run(verb: Verb) -> ExitCode {
    let Verb::Reseal(arguments) = verb;
    end(run_reseal(&arguments))
}

fn run_reseal(arguments: &Reseal) -> anyhow::Result<Exit> {
    let files = load(&arguments.config)?;
    let mut configs = files.iter().filter_map(|file| match &file.content {
        Content::Aggregator(config) => Some(&**config),
        _ => None,
    });
    let config = configs.next().with_context(|| {
        format!("{}: no aggregator's configuration; only an aggregator's state is sealed", arguments.config.display())
    })?;
    ensure!(configs.next().is_none(), "{}: several aggregators; name one file", arguments.config.display());
    let report = work(config, arguments.from_key.as_deref())?;
    println!("{}", text(config, &report));
    Ok(Exit::Ok)
}

fn work(config: &Config, from_key: Option<&str>) -> anyhow::Result<Report> {
    let bar = progress("values", 0);
    let told = bar.clone();
    let resealing = reseal(config, from_key, clock::system(), move |now| {
        told.set_length(now.total);
        told.set_position(now.done);
    });
    let report = block_on(async { Ok(resealing.await?) });
    bar.finish_and_clear();
    report
}

fn text(config: &Config, report: &Report) -> String {
    let named = |key: &Option<String>| key.clone().unwrap_or_else(|| "no key".to_owned());
    format!(
        "{}: from {} to {}\n{} values of the journal ({} bytes) and {} quarantined payloads were written anew\n\
         the old files were removed; what copies, snapshots and the disk itself keep of them is not",
        config.state_dir.display(),
        named(&report.from),
        named(&report.to),
        count(report.values),
        count(report.bytes),
        count(report.payloads),
    )
}
