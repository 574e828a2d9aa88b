//! `orgtrail up --config DIR`: the roles of a folder's configuration files in one process.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use clap::Args;
use orgtrail_service::clock;
use orgtrail_service::run::{Exit, Shell, run as shell};
use orgtrail_service::tasks::Tasks;
use tokio_util::sync::CancellationToken;

use crate::setup::{Content, File, load};
use crate::terminal::end;

/// Run all roles of a folder's configuration files in one process, until a signal.
///
/// Exit codes: 0 stopped in good order, 1 a role failed (the last ERROR line says why), 78 a configuration is wrong, 130 ended
/// by a second signal.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Folder with configuration files (or one file).
    #[arg(long, value_name = "DIR")]
    config: PathBuf,
}

/// Runs the verb.
pub fn run(arguments: Arguments) -> ExitCode {
    let files = match load(&arguments.config) {
        Ok(files) => files,
        Err(error) => {
            eprintln!("orgtrail: {error:#}");
            return Exit::Config.into();
        }
    };
    let Some(first) = files.first() else { return end(Err(anyhow::anyhow!("no configuration file"))) };
    let (log, grace) = (log(first), files.iter().map(grace).max().unwrap_or_default());
    let settings = |_: &Vec<File>| Shell { process: "orgtrail", version: env!("CARGO_PKG_VERSION"), log, grace };
    shell(Ok(files), settings, |files, cancel| async move {
        roles(files, cancel).await?;
        Ok(Exit::Ok)
    })
}

/// The first file's `[log]` counts for the whole process.
fn log(file: &File) -> orgtrail_service::telemetry::Log {
    match &file.content {
        Content::Agent(config) => config.log.clone(),
        Content::Aggregator(config) => config.log.clone(),
        Content::Console(config) => config.log.clone(),
        Content::Lake(config) => config.log.clone(),
    }
}

fn grace(file: &File) -> Duration {
    match &file.content {
        Content::Agent(config) => config.grace_period,
        Content::Aggregator(config) => config.grace_period,
        Content::Console(config) => config.grace_period,
        Content::Lake(config) => config.grace_period,
    }
}

/// Builds every role before the first one runs, so that a taken port or folder is told at once.
async fn roles(files: Vec<File>, cancel: CancellationToken) -> anyhow::Result<()> {
    let mut tasks = Tasks::new(cancel.clone());
    let (mut agents, mut aggregators, mut consoles, mut lakes) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for file in files {
        let what = || format!("start what {} configures", file.path.display());
        match file.content {
            Content::Aggregator(config) => {
                let app = orgtrail_aggregator::App::build(*config, clock::system(), cancel.clone());
                aggregators.push(app.await.with_context(what)?);
            }
            Content::Agent(config) => {
                let options = orgtrail_agent::Options::default();
                agents.push(orgtrail_agent::App::build(*config, options).await.with_context(what)?);
            }
            Content::Console(config) => {
                let app = orgtrail_console::App::build(*config, clock::system(), cancel.clone());
                consoles.push(app.await.with_context(what)?);
            }
            Content::Lake(config) => {
                let app = orgtrail_lake::App::build(*config, clock::system(), cancel.clone());
                lakes.push(app.await.with_context(what)?);
            }
        }
    }
    for aggregator in aggregators {
        tasks.spawn("aggregator", aggregator.run());
    }
    for console in consoles {
        tasks.spawn("console", console.run());
    }
    for lake in lakes {
        tasks.spawn("lake", lake.run());
    }
    for agent in agents {
        let cancel = cancel.clone();
        tasks.spawn("agent", async move { agent.run(cancel).await.map(drop) });
    }
    tasks.join().await
}
