//! `orgtrail athena ddl`: statements that make event data stores and trails known to Amazon Athena.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use clap::{Args, Subcommand};
use jiff::civil::Date;
use orgtrail_cloud::{Location, open_store};
use orgtrail_lake::Config;
use orgtrail_lake::athena::{LogFiles, TableName, delta_table, log_file_table, log_files};
use orgtrail_service::run::Exit;

use crate::lake::configuration;
use crate::runtime::block_on;
use crate::terminal::end;

/// Amazon Athena.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Print CREATE TABLE statements.
    Ddl(Arguments),
}

/// Print CREATE TABLE statements for Athena: one for an event data store's Delta table, or for a trail's log files as they
/// lie there, ours or CloudTrail's own. Nothing is created.
///
/// Without --event-data-store and --trail: for all of them that lie in buckets. A trail's location is listed, to know its
/// accounts and regions; those that come later need the statement anew. --injected has no such list.
///
/// Exit codes: 0 done, 1 failed.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Folder with a lake's configuration file (or the file).
    #[arg(long, value_name = "DIR")]
    config: PathBuf,
    /// Only this event data store.
    #[arg(long, value_name = "NAME", conflicts_with = "trail")]
    event_data_store: Option<String>,
    /// Only this trail.
    #[arg(long, value_name = "NAME")]
    trail: Option<String>,
    /// The tables' database. Default: Athena's current one.
    #[arg(long, value_name = "NAME")]
    database: Option<String>,
    /// The table's name, with --event-data-store or --trail. Default: that one's.
    #[arg(long, value_name = "NAME")]
    table: Option<String>,
    /// The first day of a trail's table.
    #[arg(long, value_name = "DATE", default_value = "2020-01-01")]
    since: Date,
    /// The folder of a trail's log files between account and region.
    #[arg(long, value_name = "NAME", default_value = "CloudTrail")]
    folder: String,
    /// A trail's table gets no list of accounts and regions: every query has to say `account = …` and `region = …`.
    #[arg(long)]
    injected: bool,
}

/// Runs the verb.
pub fn run(verb: Verb) -> ExitCode {
    let Verb::Ddl(arguments) = verb;
    end(block_on(async {
        let config = configuration(&arguments.config)?;
        for statement in statements(&config, &arguments).await? {
            println!("{statement}");
        }
        Ok(Exit::Ok)
    }))
}

async fn statements(config: &Config, arguments: &Arguments) -> anyhow::Result<Vec<String>> {
    let is_one = arguments.event_data_store.is_some() || arguments.trail.is_some();
    if arguments.table.is_some() && !is_one {
        bail!("--table names one table: say which with --event-data-store or --trail");
    }
    let name = |own: &str| TableName::new(arguments.database.as_deref(), arguments.table.as_deref().unwrap_or(own));
    let mut statements = Vec::new();
    let wanted = |asked: &Option<String>, name: &str| asked.as_deref().map_or(!is_one, |asked| asked == name);
    for store in config.event_data_stores.iter().filter(|store| wanted(&arguments.event_data_store, &store.name)) {
        match &store.location {
            Some(location) if is_one || is_bucket(location) => {
                let statement = delta_table(&name(&store.name), &location.to_string())?;
                statements.push(format!("-- Event data store {}, a Delta table.\n{statement}", store.name));
            }
            _ => statements.push(left_out("Event data store", &store.name)),
        }
    }
    for trail in config.trails.iter().filter(|trail| wanted(&arguments.trail, &trail.name)) {
        let Some(location) = trail.location.as_ref().filter(|location| is_one || is_bucket(location)) else {
            statements.push(left_out("Trail", &trail.name));
            continue;
        };
        let store = open_store(location, &trail.connection).await?;
        let found = log_files(store.as_ref(), &arguments.folder, arguments.since).await;
        let found = found.with_context(|| format!("list the trail {}", trail.name))?;
        if found.is_empty() {
            bail!("{location} holds no {} folder of any account: is it the part above AWSLogs?", arguments.folder);
        }
        for (nth, files) in found.iter().enumerate() {
            let own = if nth == 0 { trail.name.clone() } else { format!("{}_{}", trail.name, nth + 1) };
            let files = match arguments.injected {
                true => LogFiles { accounts: Vec::new(), regions: Vec::new(), ..files.clone() },
                false => files.clone(),
            };
            let statement = log_file_table(&name(&own), &files)?;
            statements.push(format!("-- Trail {}, its log files as they lie there.\n{statement}", trail.name));
        }
    }
    if statements.is_empty() {
        let asked = arguments.event_data_store.as_ref().or(arguments.trail.as_ref());
        bail!("{}: nothing there of that name: {}", arguments.config.display(), asked.map_or("-", String::as_str));
    }
    Ok(statements)
}

fn is_bucket(location: &Location) -> bool {
    matches!(location, Location::S3 { .. })
}

fn left_out(what: &str, name: &str) -> String {
    format!("-- {what} {name} lies in no bucket, and Athena reads nothing else.\n")
}
