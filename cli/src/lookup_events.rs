//! `orgtrail lookup-events`, `orgtrail tail` and `orgtrail wait`: events by their attributes, as they were and as they come.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{anyhow, bail};
use clap::Args;
use jiff::Timestamp;
use orgtrail_lake::{Attribute, Event, Lake, Lookup, PAGE, Tail, lookup_events};
use orgtrail_service::clock::system;
use orgtrail_service::run::Exit;
use orgtrail_service::shape::humane;

use crate::lake::configuration;
use crate::runtime::{block_on, until_signal};
use crate::terminal::{end, table};

/// What a page of one call may hold, as with AWS; `--max-items` goes beyond it.
const ITEMS_MAX: usize = 200_000;

/// Which events.
#[derive(Debug, Args)]
struct Which {
    /// Folder with a lake's configuration file (or the file).
    #[arg(long, value_name = "DIR")]
    config: PathBuf,
    /// AttributeKey=KEY,AttributeValue=VALUE with one of EventId, EventName, ReadOnly, Username, ResourceType, ResourceName,
    /// EventSource, AccessKeyId. Several must hold all; several values of one key are alternatives.
    #[arg(long, value_name = "ATTRIBUTE", num_args = 1.., value_parser = attribute)]
    lookup_attributes: Vec<(Attribute, String)>,
    /// Only events of this account; may be repeated.
    #[arg(long, value_name = "ACCOUNT")]
    account: Vec<String>,
    /// Only events of this region; may be repeated.
    #[arg(long, value_name = "REGION")]
    region: Vec<String>,
    /// The event data store. Default: the first one with events.
    #[arg(long, value_name = "NAME")]
    event_data_store: Option<String>,
}

/// Look events up, newest first, over all accounts, regions and time that the lake holds.
///
/// Flags and output are those of `aws cloudtrail lookup-events`.
///
/// Exit codes: 0 done, 1 failed.
#[derive(Debug, Args)]
pub struct Arguments {
    #[command(flatten)]
    which: Which,
    /// From this moment on, such as 2026-03-01T00:00:00Z or 2026-03-01.
    #[arg(long, value_name = "TIME", value_parser = moment)]
    start_time: Option<Timestamp>,
    /// Up to this moment, inclusive.
    #[arg(long, value_name = "TIME", value_parser = moment)]
    end_time: Option<Timestamp>,
    /// `insight` for Insights events.
    #[arg(long, value_name = "CATEGORY", value_parser = ["insight"])]
    event_category: Option<String>,
    /// At most so many events.
    #[arg(long, visible_alias = "max-results", default_value_t = PAGE, value_name = "N")]
    max_items: usize,
    /// The NextToken of the page before.
    #[arg(long, visible_alias = "next-token", value_name = "TOKEN")]
    starting_token: Option<String>,
    /// json, or table.
    #[arg(long, default_value = "json", value_parser = ["json", "table"])]
    output: String,
}

/// Print events as they are imported, oldest first, until interrupted.
///
/// Exit codes: 0 interrupted, 1 failed.
#[derive(Debug, Args)]
pub struct TailArguments {
    #[command(flatten)]
    which: Which,
    /// How often to look.
    #[arg(long, default_value = "2s", value_name = "DURATION", value_parser = humantime::parse_duration)]
    interval: Duration,
    /// One record a line, as its own text.
    #[arg(long)]
    json: bool,
}

/// Wait until an event is in the lake, and print it.
///
/// Exit codes: 0 it is there, 1 failed, 2 it was not there in time.
#[derive(Debug, Args)]
pub struct WaitArguments {
    #[command(flatten)]
    which: Which,
    /// The operation; the same as --lookup-attributes AttributeKey=EventName,AttributeValue=NAME.
    #[arg(long, value_name = "NAME")]
    event_name: Option<String>,
    /// Only events from this moment on. Default: now.
    #[arg(long, value_name = "TIME", value_parser = moment)]
    start_time: Option<Timestamp>,
    /// Give up after this long.
    #[arg(long, default_value = "15m", value_name = "DURATION", value_parser = humantime::parse_duration)]
    timeout: Duration,
    /// How often to look.
    #[arg(long, default_value = "2s", value_name = "DURATION", value_parser = humantime::parse_duration)]
    interval: Duration,
}

impl Which {
    fn lookup(&self) -> Lookup {
        Lookup {
            attributes: self.lookup_attributes.clone(),
            accounts: self.account.clone(),
            regions: self.region.clone(),
            event_data_store: self.event_data_store.clone(),
            limit: Some(PAGE),
            ..Lookup::default()
        }
    }

    async fn lake(&self) -> anyhow::Result<Lake> {
        Ok(Lake::open(&configuration(&self.config)?, system()).await?)
    }
}

fn attribute(text: &str) -> Result<(Attribute, String), String> {
    let parts = text.strip_prefix("AttributeKey=").and_then(|rest| rest.split_once(",AttributeValue="));
    let (key, value) = parts.ok_or("write AttributeKey=KEY,AttributeValue=VALUE")?;
    Ok((key.parse()?, value.to_owned()))
}

pub(crate) fn moment(text: &str) -> Result<Timestamp, String> {
    let day =
        || text.parse::<jiff::civil::Date>().ok()?.to_zoned(jiff::tz::TimeZone::UTC).ok().map(|at| at.timestamp());
    let time =
        || text.parse::<jiff::civil::DateTime>().ok()?.to_zoned(jiff::tz::TimeZone::UTC).ok().map(|at| at.timestamp());
    let seconds = || Timestamp::from_second(text.parse().ok()?).ok();
    let moment = text.parse().ok().or_else(seconds).or_else(time).or_else(day);
    moment.ok_or_else(|| "no time: write it as 2026-03-01T00:00:00Z, or as a day, or in seconds since 1970".to_owned())
}

/// Runs `lookup-events`.
pub fn run(arguments: &Arguments) -> ExitCode {
    end(block_on(async {
        if arguments.max_items == 0 || arguments.max_items > ITEMS_MAX {
            bail!("--max-items is from 1 to {ITEMS_MAX}");
        }
        if let (Some(start), Some(end)) = (arguments.start_time, arguments.end_time)
            && start > end
        {
            bail!("InvalidTimeRangeException: --start-time is after --end-time");
        }
        let lookup = Lookup {
            start: arguments.start_time,
            end: arguments.end_time,
            insights: arguments.event_category.is_some(),
            limit: Some(arguments.max_items),
            next_token: arguments.starting_token.clone(),
            ..arguments.which.lookup()
        };
        let page = lookup_events(&arguments.which.lake().await?, &lookup).await?;
        if arguments.output == "json" {
            println!("{}", serde_json::to_string_pretty(&page)?);
        } else {
            println!("{}", listed(&page.events));
        }
        Ok(Exit::Ok)
    }))
}

fn listed(events: &[Event]) -> String {
    let row = |event: &Event| {
        let cells = [&event.event_time, &event.event_source, &event.event_name, &event.username, &event.event_id];
        cells.map(|cell| cell.clone().unwrap_or_default()).to_vec()
    };
    table(5, &["TIME", "SOURCE", "NAME", "USERNAME", "EVENT ID"], events.iter().map(row).collect())
}

/// Runs `tail`.
pub fn run_tail(arguments: &TailArguments) -> ExitCode {
    end(block_on(async {
        let mut lake = arguments.which.lake().await?;
        let mut tail = Tail::behind(&lake);
        let lookup = arguments.which.lookup();
        let follow = async {
            loop {
                lake.refresh().await?;
                while let Some(events) = tail.next(&lake, &lookup).await? {
                    events.iter().for_each(|event| println!("{}", line(event, arguments.json)));
                }
                tokio::time::sleep(arguments.interval).await;
            }
        };
        until_signal(follow).await?.unwrap_or(Ok(Exit::Ok))
    }))
}

fn line(event: &Event, json: bool) -> String {
    if json {
        return event.cloud_trail_event.clone().unwrap_or_default();
    }
    let cells = [&event.event_time, &event.event_source, &event.event_name, &event.username, &event.event_id];
    cells.map(|cell| cell.as_deref().unwrap_or("-")).join("  ")
}

/// Runs `wait`.
pub fn run_wait(arguments: &WaitArguments) -> ExitCode {
    end(block_on(async {
        let mut lookup = Lookup { start: arguments.start_time, limit: Some(1), ..arguments.which.lookup() };
        lookup.start.get_or_insert(system().now());
        lookup.attributes.extend(arguments.event_name.iter().map(|name| (Attribute::EventName, name.clone())));
        if lookup.attributes.is_empty() {
            return Err(anyhow!("which event? give --event-name or --lookup-attributes"));
        }
        let mut lake = arguments.which.lake().await?;
        let look = async {
            loop {
                if let Some(event) = lookup_events(&lake, &lookup).await?.events.pop() {
                    return Ok::<_, anyhow::Error>(event);
                }
                tokio::time::sleep(arguments.interval).await;
                lake.refresh().await?;
            }
        };
        match tokio::time::timeout(arguments.timeout, look).await {
            Ok(found) => {
                println!("{}", serde_json::to_string_pretty(&found?)?);
                Ok(Exit::Ok)
            }
            Err(_) => {
                eprintln!("orgtrail: no such event within {}", humane(arguments.timeout));
                Ok(Exit::Partial)
            }
        }
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_and_moments_are_written_as_for_the_aws_cli() {
        let parsed = attribute("AttributeKey=EventName,AttributeValue=Console,Login").unwrap();
        assert_eq!(parsed, (Attribute::EventName, "Console,Login".to_owned()));
        assert!(attribute("EventName=x").is_err() && attribute("AttributeKey=No,AttributeValue=x").is_err());
        let at: Timestamp = "2026-03-01T00:00:00Z".parse().unwrap();
        for text in
            ["2026-03-01T00:00:00Z", "2026-03-01T01:00:00+01:00", "2026-03-01", "1772323200", "2026-03-01T00:00:00"]
        {
            assert_eq!(moment(text), Ok(at), "{text}");
        }
        assert!(moment("yesterday").is_err());
    }
}
