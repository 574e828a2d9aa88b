//! `orgtrail cost`: what was read of which account, service and event name, what of it were copies, and what AWS charges.
//!
//! Reads what the processes say in their state folders, so it works whether or not they run. Owns the verb and the document;
//! does not own the counts, which are the aggregator's usage ledger.

mod advice;
mod figures;
mod prices;
mod requests;
mod text;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::Args;
use jiff::civil::Date;
use orgtrail_aggregator::usage::{self, Count};
use orgtrail_cloud::{Connection, Location};
use orgtrail_service::run::Exit;
use orgtrail_service::state_dir::{StatusSnapshot, read_status};
use serde::Serialize;

use crate::runtime::block_on;
use crate::setup::{Content, load};
use crate::terminal::end;
use advice::{Advice, Keeps};
use figures::{By, Figures, Line, Pair, Sum};
use prices::Prices;
use requests::Requests;

/// Volume by account, service and event name, duplicate trails, our own requests, and what selectors would save.
///
/// Figures are those of the aggregator's usage ledger, which knows 400 days; it tells them within some ten seconds. The days are
/// those on which CloudTrail delivered the files, UTC. Amounts are AWS's list prices, see docs/cost.md.
///
/// Exit codes: 0 told, 1 the state can't be read, 2 told, but the figures don't sum up to the record ledger.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Configuration file, or folder with configuration files.
    #[arg(long, value_name = "DIR|FILE")]
    config: PathBuf,
    /// Only this table, rather than all four and the sections on duplicate trails, requests and selectors.
    #[arg(long)]
    by: Option<By>,
    /// Lines of each table.
    #[arg(long, value_name = "N", default_value_t = 10)]
    top: usize,
    /// First day, such as 2026-03-01.
    #[arg(long, value_name = "DAY")]
    since: Option<Date>,
    /// Last day.
    #[arg(long, value_name = "DAY")]
    until: Option<Date>,
    /// Prices in place of AWS's list: a TOML file with as many of its keys as differ.
    #[arg(long, value_name = "FILE")]
    prices: Option<PathBuf>,
    /// One JSON document, with all lines.
    #[arg(long)]
    json: bool,
}

/// Everything that is told.
#[derive(Debug, Serialize)]
struct Document {
    since: Option<Date>,
    until: Option<Date>,
    first_day: Option<Date>,
    last_day: Option<Date>,
    /// Days with events.
    days: usize,
    total: Sum,
    /// For one type of Insight, where accounts have any.
    insights_usd: f64,
    /// Records that were read and are in no figure.
    outside: Count,
    /// What the record ledger says was read, since the beginning.
    read: u64,
    /// Whether all figures sum up to that. None: not all days were asked for, or the process runs and counts on.
    balanced: Option<bool>,
    breakdowns: Vec<Breakdown>,
    duplicate_trails: Vec<Pair>,
    requests: Vec<Requests>,
    selectors: Vec<Keeps>,
    suggestions: Vec<Advice>,
    prices: Prices,
}

#[derive(Debug, Serialize)]
struct Breakdown {
    by: By,
    lines: Vec<Line>,
}

/// What the processes say.
#[derive(Default)]
struct Gathered {
    figures: Figures,
    outside: Count,
    read: u64,
    running: bool,
    trails: BTreeMap<String, BTreeSet<String>>,
    requests: Vec<Requests>,
    /// Every trail's configuration and status.
    selected: Vec<(orgtrail_aggregator::config::TrailConfig, orgtrail_aggregator::status::TrailStatus)>,
}

/// Runs the verb.
pub fn run(arguments: &Arguments) -> ExitCode {
    end(show(arguments))
}

fn show(arguments: &Arguments) -> anyhow::Result<Exit> {
    if let (Some(since), Some(until)) = (arguments.since, arguments.until)
        && since > until
    {
        bail!("--since {since} is after --until {until}");
    }
    let prices = Prices::load(arguments.prices.as_deref())?;
    let gathered = block_on(gather(arguments, &prices))?;
    let document = document(arguments, gathered, prices)?;
    if arguments.json {
        println!("{}", serde_json::to_string_pretty(&document)?);
    } else {
        println!("{}", text::text(&document, arguments.by, arguments.top));
    }
    Ok(if document.balanced == Some(false) { Exit::Partial } else { Exit::Ok })
}

async fn gather(arguments: &Arguments, prices: &Prices) -> anyhow::Result<Gathered> {
    let mut gathered = Gathered::default();
    let mut aggregators = 0;
    for file in load(&arguments.config)? {
        let said = |dir: &std::path::Path| -> anyhow::Result<Option<StatusSnapshot>> {
            read_status(dir).with_context(|| format!("read the status in {}", dir.display()))
        };
        match &file.content {
            Content::Agent(config) => {
                let Some(snapshot) = said(&config.state_dir)? else { continue };
                let status = serde_json::from_value(snapshot.value)?;
                let is_local = |location: &Location| location.to_string().starts_with("file:");
                let is_remote = config.sources.iter().any(|source| !source.location.as_ref().is_some_and(is_local));
                gathered.requests.extend(requests::of_agent(&status, is_remote, prices));
            }
            Content::Aggregator(config) => {
                aggregators += 1;
                let days = (arguments.since, arguments.until);
                let connection = config.seal.as_ref().map_or_else(Connection::default, |seal| seal.connection.clone());
                let Some(snapshot) = said(&config.state_dir)? else { continue };
                gathered.figures.add(usage::read(&config.state_dir, days, &connection).await?);
                gathered.running |= snapshot.running;
                let status: orgtrail_aggregator::status::Status = serde_json::from_value(snapshot.value)?;
                gathered.outside.add(&status.usage.outside);
                gathered.read += status.records.read;
                gathered.requests.extend(requests::of_aggregator(&status, prices));
                for (root, trails) in status.usage.trails {
                    gathered.trails.entry(root).or_default().extend(trails);
                }
                let with_config = status.trails.into_iter().filter_map(|status| {
                    let config = config.trails.iter().find(|config| config.name == status.name)?;
                    Some((config.clone(), status))
                });
                gathered.selected.extend(with_config);
            }
            Content::Console(_) | Content::Lake(_) => {}
        }
    }
    if aggregators == 0 {
        bail!("{}: no aggregator's configuration file", arguments.config.display());
    }
    Ok(gathered)
}

fn document(arguments: &Arguments, gathered: Gathered, prices: Prices) -> anyhow::Result<Document> {
    let Gathered { figures, outside, read, running, trails, requests, selected } = gathered;
    let total = figures.total(&prices);
    let is_all = arguments.since.is_none() && arguments.until.is_none() && !running;
    let mut suggestions = Vec::new();
    for (config, _) in &selected {
        let invalid =
            |_| anyhow::anyhow!("trail {}: its selectors are invalid; see `orgtrail config check`", config.name);
        let selection = config.selection().map_err(invalid)?;
        suggestions.extend(advice::advice(config, &selection, &figures, &prices));
    }
    let breakdowns = By::ALL.into_iter().filter(|by| arguments.by.is_none_or(|only| only == *by));
    Ok(Document {
        since: arguments.since,
        until: arguments.until,
        first_day: figures.days.first().copied(),
        last_day: figures.days.last().copied(),
        days: figures.days.len(),
        insights_usd: prices.analysed(figures.analysed()),
        balanced: is_all.then(|| total.count.events + outside.events == read),
        total,
        outside,
        read,
        breakdowns: breakdowns.map(|by| Breakdown { by, lines: figures.lines(by, &prices) }).collect(),
        duplicate_trails: figures.pairs(&trails, &prices),
        requests,
        selectors: selected.iter().map(|(config, status)| advice::keeps(config, status)).collect(),
        suggestions,
        prices,
    })
}
