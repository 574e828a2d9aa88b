//! `orgtrail iam-policy`: the least policy that recorded usage needs.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use jiff::Timestamp;
use orgtrail_lake::{Lake, Usage, iam_policy};
use orgtrail_service::clock::system;
use orgtrail_service::run::Exit;

use crate::lake::configuration;
use crate::lookup_events::moment;
use crate::runtime::block_on;
use crate::terminal::{count, end, table};

/// Print the least IAM policy that a principal's recorded usage needs, and what it was denied.
///
/// A trail records calls, not permissions: what only data events show is missing where no trail takes them, and a call may
/// need more than its own action. The policy goes to standard output, the account of calls to standard error.
///
/// Exit codes: 0 done, 1 failed, 2 the principal did nothing that is recorded.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Folder with a lake's configuration file (or the file).
    #[arg(long, value_name = "DIR")]
    config: PathBuf,
    /// ARN of a user, of a role (all its sessions), or of one session.
    #[arg(long, value_name = "ARN")]
    principal: String,
    /// Usage from this moment on.
    #[arg(long, value_name = "TIME", value_parser = moment)]
    start_time: Option<Timestamp>,
    /// Usage up to this moment.
    #[arg(long, value_name = "TIME", value_parser = moment)]
    end_time: Option<Timestamp>,
    /// The event data store. Default: the first one with events.
    #[arg(long, value_name = "NAME")]
    event_data_store: Option<String>,
    /// Policy and account as one JSON document.
    #[arg(long)]
    json: bool,
}

/// Runs the verb.
pub fn run(arguments: &Arguments) -> ExitCode {
    end(block_on(async {
        let lake = Lake::open(&configuration(&arguments.config)?, system()).await?;
        let usage = Usage {
            principal: arguments.principal.clone(),
            start: arguments.start_time,
            end: arguments.end_time,
            event_data_store: arguments.event_data_store.clone(),
        };
        let needed = iam_policy(&lake, &usage).await?;
        if arguments.json {
            println!("{}", serde_json::to_string_pretty(&needed)?);
        } else {
            println!("{}", serde_json::to_string_pretty(&needed.policy)?);
            let row = |becomes: &str, (action, calls): (&String, &u64)| {
                vec![action.clone(), becomes.to_owned(), count(*calls)]
            };
            let allowed = needed.allowed.iter().map(|each| row("allowed", each));
            let rows: Vec<_> = allowed.chain(needed.denied.iter().map(|each| row("denied", each))).collect();
            eprintln!("{}", table(2, &["ACTION", "WAS", "CALLS"], rows));
        }
        Ok(if needed.allowed.is_empty() && needed.denied.is_empty() { Exit::Partial } else { Exit::Ok })
    }))
}
