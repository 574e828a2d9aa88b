//! `orgtrail event-data-stores` and `orgtrail retention`: what the lake holds, and what retention does with it.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use orgtrail_lake::{Overview, apply_retention, overview};
use orgtrail_service::clock::system;
use orgtrail_service::run::Exit;
use serde_json::json;

use crate::lake::configuration;
use crate::runtime::block_on;
use crate::terminal::{count, end, table};

/// What is in each event data store.
///
/// Exit codes: 0 done, 1 failed.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Folder with a lake's configuration file (or the file).
    #[arg(long, value_name = "DIR")]
    config: PathBuf,
    /// As JSON.
    #[arg(long)]
    json: bool,
}

/// Delete events that are past their event data store's retention; `orgtrail lake` does so by itself.
///
/// Nothing under termination protection or a hold is deleted. Whole days go, and their bytes after the grace period.
///
/// Exit codes: 0 done, 1 failed, 2 something past retention is kept.
#[derive(Debug, Args)]
pub struct RetentionArguments {
    /// Folder with a lake's configuration file (or the file).
    #[arg(long, value_name = "DIR")]
    config: PathBuf,
    /// Say what would be deleted, and delete nothing.
    #[arg(long)]
    plan: bool,
    /// As JSON.
    #[arg(long)]
    json: bool,
}

/// Runs `event-data-stores`.
pub fn run(arguments: &Arguments) -> ExitCode {
    end(block_on(async {
        let stores = overview(&configuration(&arguments.config)?, &system()).await?;
        if arguments.json {
            println!("{:#}", json!({ "event_data_stores": stores }));
        } else {
            println!("{}", listed(&stores));
        }
        Ok(Exit::Ok)
    }))
}

fn listed(stores: &[Overview]) -> String {
    let row = |store: &Overview| {
        let mut row = vec![store.name.clone(), store.kind.name().to_owned()];
        match &store.content {
            None => row.extend(["-", "-", "0", "0", "0", "0"].map(str::to_owned)),
            Some(content) => {
                row.extend(
                    [content.first_day, content.last_day].map(|day| day.map_or("-".to_owned(), |day| day.to_string())),
                );
                row.extend([content.rows, content.files, content.bytes, content.objects].map(count));
            }
        }
        row.push(format!("{} d", store.retention_days));
        row.push(if store.termination_protection { "on" } else { "off" }.to_owned());
        row
    };
    let header =
        ["NAME", "KIND", "FIRST DAY", "LAST DAY", "ROWS", "FILES", "BYTES", "OBJECTS", "RETENTION", "PROTECTION"];
    table(4, &header, stores.iter().map(row).collect())
}

/// Runs `retention`.
pub fn run_retention(arguments: &RetentionArguments) -> ExitCode {
    end(block_on(async {
        let config = configuration(&arguments.config)?;
        let stores = overview(&config, &system()).await?;
        let plans: Vec<_> =
            stores.iter().filter_map(|store| Some((&store.name, &store.content.as_ref()?.retention))).collect();
        if arguments.json {
            let plans: Vec<_> =
                plans.iter().map(|(name, plan)| json!({ "event_data_store": name, "plan": plan })).collect();
            println!("{:#}", json!({ "retention": plans }));
        } else {
            let days = plans.iter().flat_map(|(name, plan)| plan.days.iter().map(move |day| (name, day)));
            let row = |(name, day): (&&String, &orgtrail_lake::Expiry)| {
                let becomes = day.kept_by.as_ref().map_or("goes".to_owned(), |by| format!("kept: {by}"));
                let figures = [day.files, day.rows, day.bytes].map(count);
                [vec![(*name).clone(), day.day.to_string(), becomes], figures.to_vec()].concat()
            };
            let rows: Vec<_> = days.map(row).collect();
            match rows.is_empty() {
                true => println!("Nothing is past retention."),
                false => {
                    println!("{}", table(3, &["EVENT DATA STORE", "DAY", "BECOMES", "FILES", "ROWS", "BYTES"], rows))
                }
            }
        }
        if !arguments.plan {
            for (name, days) in apply_retention(&config, &system()).await? {
                if days > 0 && !arguments.json {
                    println!("{name}: {days} days are deleted.");
                }
            }
        }
        let is_kept = plans.iter().any(|(_, plan)| plan.days.iter().any(|day| day.kept_by.is_some()));
        Ok(if is_kept { Exit::Partial } else { Exit::Ok })
    }))
}
