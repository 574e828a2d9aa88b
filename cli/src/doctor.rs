//! `orgtrail doctor`: walks each hop for real, from credentials to the last object, and names what is missing.
//!
//! Owns which checks a configuration file asks for, and that they run beside each other within bounds. Does not own what a
//! check does (one file a kind of thing below), nor what a refusal means (`denial`, `advice`).

mod advice;
mod check;
mod clock;
mod console;
mod credentials;
mod denial;
mod disk;
mod folders;
mod history;
mod lake;
mod link;
mod log_group;
mod machine;
mod organization;
mod queue;
mod region;
mod seal;
mod source;
mod statement;
mod store;
mod text;
mod trail;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use futures::future::BoxFuture;
use futures::stream::{self, StreamExt as _};
use indicatif::ProgressBar;
use orgtrail_cloud::{Error, ErrorKind, ServerClock};
use orgtrail_service::clock::{Clock, system};
use orgtrail_service::run::Exit;
use serde_json::json;
use tokio::sync::Semaphore;

use self::check::{Check, Outcome};
use crate::runtime::block_on;
use crate::setup::{Content, File, load};
use crate::terminal::{end, progress};

/// Things that are looked at beside each other; each makes its calls one after the other.
const SUBJECTS: usize = 32;

/// Walk each hop for real, and name what is missing: the statement to add, a wrong region, a wrong external id.
///
/// Of agents: credentials, roles, bucket, folders, and for each account and region the newest object, its bytes and a digest;
/// queues, and the aggregator. Of aggregators: a small object is put below AWSLogs/…/orgtrail-doctor/ of each trail's location,
/// read and deleted again, keys sign and encrypt, log groups take an event that is too old to be kept. Of both: the room on
/// the state folder's disk, certificates, and the machine's clock. With --read-only nothing is written.
///
/// Exit codes: 0 nothing failed (there may be warnings), 1 the doctor itself failed, 2 something failed.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Configuration file, or folder with configuration files.
    #[arg(short, long, value_name = "DIR|FILE")]
    config: PathBuf,
    /// Write nothing: no object, no log stream, no file.
    #[arg(long)]
    read_only: bool,
    /// Calls that are made at once.
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..=256))]
    concurrency: u16,
    /// Seconds that one call may take, with its attempts.
    #[arg(long, value_name = "SECONDS", default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..=600))]
    timeout: u64,
    /// Every check, also of things that are all right.
    #[arg(long)]
    all: bool,
    /// One JSON document.
    #[arg(long)]
    json: bool,
}

/// Runs the verb.
pub fn run(arguments: &Arguments) -> ExitCode {
    end(block_on(examine(arguments)))
}

/// What every check uses.
struct Context {
    /// How long a call may take.
    patience: Duration,
    turns: Semaphore,
    clock: Arc<dyn Clock>,
    /// That of STS, which everything in AWS asks first.
    server_clock: ServerClock,
    read_only: bool,
    bar: ProgressBar,
}

/// The checks of one thing, to be made.
type Job<'a> = BoxFuture<'a, Vec<Check>>;

impl Context {
    fn new(arguments: &Arguments, bar: &ProgressBar) -> Self {
        Self {
            patience: Duration::from_secs(arguments.timeout),
            turns: Semaphore::new(usize::from(arguments.concurrency)),
            clock: system(),
            server_clock: ServerClock::default(),
            read_only: arguments.read_only,
            bar: bar.clone(),
        }
    }

    /// One call: bounded in number and in time. Boxed at once: an SDK's future is large, and there are many of them.
    fn call<'a, T: Send + 'a>(
        &'a self,
        verb: &'static str,
        subject: &'a str,
        call: impl Future<Output = Result<T, Error>> + Send + 'a,
    ) -> BoxFuture<'a, Result<T, Error>> {
        let call = Box::pin(call);
        Box::pin(async move {
            // Nobody closes the semaphore.
            let _turn = self.turns.acquire().await;
            match tokio::time::timeout(self.patience, call).await {
                Ok(result) => result,
                Err(_) => Err(Error::new(ErrorKind::Unavailable, verb, subject)
                    .detail(format!("no answer within {} s", self.patience.as_secs()))),
            }
        })
    }

    /// Makes the checks of several things beside each other; in their order.
    async fn all(&self, jobs: Vec<Job<'_>>) -> Vec<Check> {
        self.bar.inc_length(jobs.len() as u64);
        let done = stream::iter(jobs).buffered(SUBJECTS).inspect(|_| self.bar.inc(1));
        done.concat().await
    }
}

async fn examine(arguments: &Arguments) -> anyhow::Result<Exit> {
    let files = load(&arguments.config)?;
    let bar = progress("checked", 0);
    let mut reports = Vec::new();
    for file in &files {
        let context = Context::new(arguments, &bar);
        let mut checks = context.all(jobs(file, &context)).await;
        checks.extend(clock::of_machine(context.server_clock.reading()));
        reports.push((file.path.as_path(), process(file), checks));
    }
    bar.finish_and_clear();
    if arguments.json {
        let files =
            reports.iter().map(|(path, process, checks)| json!({"file": path, "process": process, "checks": checks}));
        let files: Vec<_> = files.collect();
        let failed = count(&reports, Outcome::Failed);
        println!("{}", serde_json::to_string_pretty(&json!({"failed": failed, "files": files}))?);
    } else {
        print!("{}", text::of(&reports, arguments.all));
    }
    Ok(if count(&reports, Outcome::Failed) == 0 { Exit::Ok } else { Exit::Partial })
}

/// A file, the process it is for, and what was found.
type Report<'a> = (&'a Path, &'static str, Vec<Check>);

fn count(reports: &[Report<'_>], outcome: Outcome) -> usize {
    reports.iter().flat_map(|(_, _, checks)| checks).filter(|check| check.outcome == outcome).count()
}

fn process(file: &File) -> &'static str {
    file.content.role().process()
}

fn jobs<'a>(file: &'a File, context: &'a Context) -> Vec<Job<'a>> {
    let mut jobs: Vec<Job<'a>> = Vec::new();
    match &file.content {
        Content::Agent(config) => {
            jobs.push(Box::pin(machine::state_dir(&config.state_dir, context)));
            jobs.push(Box::pin(disk::check(&config.state_dir, disk::Need::of_agent(config))));
            jobs.push(Box::pin(link::aggregator(config, context)));
            if let Some(tls) = &config.aggregator.tls {
                jobs.push(Box::pin(machine::certificate("aggregator.tls", tls, context)));
            }
            for source in &config.sources {
                jobs.push(Box::pin(source::source(source, context)));
            }
            jobs.extend(queue::jobs(&config.sources, context));
            for organization in &config.organizations {
                jobs.push(Box::pin(organization::organization(organization, context)));
            }
        }
        Content::Aggregator(config) => {
            jobs.push(Box::pin(machine::state_dir(&config.state_dir, context)));
            jobs.push(Box::pin(disk::check(&config.state_dir, disk::Need::of_aggregator(config))));
            jobs.push(Box::pin(machine::listen(config.listen, Some(&config.state_dir))));
            if let Some(tls) = &config.tls {
                jobs.push(Box::pin(machine::certificate("tls", tls, context)));
            }
            if let Some(seal) = &config.seal {
                jobs.push(Box::pin(seal::seal(seal, config, context)));
            }
            for trail in &config.trails {
                jobs.push(Box::pin(trail::trail(trail, context)));
                if let Some(logs) = &trail.cloudwatch_logs {
                    jobs.push(Box::pin(log_group::log_group(logs, trail, context)));
                }
            }
        }
        Content::Console(config) => {
            jobs.push(Box::pin(machine::listen(config.console.listen, None)));
            if let Some(tls) = &config.tls {
                jobs.push(Box::pin(machine::certificate("tls", tls, context)));
            }
            for trail in &config.console.trails {
                jobs.push(Box::pin(console::trail(trail)));
            }
        }
        Content::Lake(config) => jobs.push(Box::pin(lake::places(config))),
    }
    jobs
}
