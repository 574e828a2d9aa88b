//! `orgtrail demo`: makes a small organization's deliveries and runs the whole path over them, agent and aggregator over
//! loopback gRPC in this process, on local folders instead of AWS.
//!
//! The folder it leaves is a working site: sources, trail, state and configuration files, so that every operator verb works
//! on it. A second run continues there: what was delivered is not delivered again.

mod lake;
mod site;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, bail, ensure};
use clap::Args;
use jiff::Timestamp;
use orgtrail_agent::Outcome;
use orgtrail_service::clock;
use orgtrail_service::run::{Exit, Shell, run as shell};
use orgtrail_service::telemetry::Log;
use tokio_util::sync::CancellationToken;

use crate::generate::{FileKind, Manifest, Plan, event_ids, generate};
use crate::setup::{Content, load_file};
use crate::status;
use crate::terminal::{count, progress, table};

/// The demo's organization.
const ORGANIZATION: &str = "o-exampleorg1";

/// Make a small organization's deliveries and run the whole path over them.
///
/// Ends with a lake that answers three questions. Leaves DIR/sources, DIR/org-trail, DIR/lake, DIR/keys, DIR/state and a
/// configuration file for each role; every verb works on it with
/// `--config DIR`. Digests are written when it stops, not half an hour after the hour. A second run continues there.
///
/// Exit codes: 0 the trail holds every record once, 1 failed.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Where to.
    #[arg(long, value_name = "DIR", default_value = "orgtrail-demo")]
    dir: PathBuf,
    /// About how many records to make (on the first run).
    #[arg(long, default_value_t = 40_000)]
    records: u64,
    /// What to log: error, warn, info, debug.
    #[arg(long, default_value = "error")]
    log_level: String,
}

/// Runs the verb.
pub fn run(arguments: Arguments) -> ExitCode {
    let settings = |arguments: &Arguments| Shell {
        process: "orgtrail",
        version: env!("CARGO_PKG_VERSION"),
        log: Log { level: arguments.log_level.clone(), ..Log::default() },
        grace: std::time::Duration::from_secs(20),
    };
    shell(Ok(arguments), settings, demo)
}

async fn demo(arguments: Arguments, cancel: CancellationToken) -> anyhow::Result<Exit> {
    std::fs::create_dir_all(&arguments.dir).with_context(|| format!("make {}", arguments.dir.display()))?;
    let dir = arguments.dir.canonicalize()?;
    let manifest = sources(&dir, arguments.records)?;
    site::configure(&dir, &manifest)?;
    let outcome = Box::pin(deliver(&dir, &manifest, cancel.clone())).await?;
    ensure!(outcome.complete, "stopped before everything was delivered; run it again to go on");
    report(&dir, &manifest, &outcome)?;
    Box::pin(lake::import_and_ask(&dir, cancel)).await?;
    next(&dir, &arguments.dir);
    Ok(Exit::Ok)
}

/// Makes the deliveries, unless an earlier run did.
fn sources(dir: &Path, records: u64) -> anyhow::Result<Manifest> {
    let out = dir.join("sources");
    if let Ok(manifest) = Manifest::load(&out) {
        println!("Continuing in {}: its deliveries are there already.\n", dir.display());
        return Ok(manifest);
    }
    // Without its manifest the folder is a run that was cut off; the generator begins in an empty one.
    if out.exists() {
        std::fs::remove_dir_all(&out).with_context(|| format!("remove the unfinished {}", out.display()))?;
    }
    let plan = Plan { end: clock::system().now(), organization_id: Some(ORGANIZATION.to_owned()), ..Plan::default() };
    let bar = progress("deliveries", 0);
    let manifest = generate(&plan.with_records(records), &out, &mut |made| {
        bar.set_length(made.files_total);
        bar.set_position(made.files);
    })
    .context("make the demo's deliveries")?;
    bar.finish_and_clear();
    println!(
        "Made the deliveries of {} accounts into {} buckets: {} files, {} records ({} of them copies), {} damaged files.\n",
        manifest.by_account.len(),
        manifest.sources.len(),
        count(manifest.files_total()),
        count(manifest.records_written),
        count(manifest.duplicates),
        count(manifest.count(FileKind::Corrupt)),
    );
    Ok(manifest)
}

/// Runs both roles until everything is delivered.
async fn deliver(dir: &Path, manifest: &Manifest, cancel: CancellationToken) -> anyhow::Result<Outcome> {
    let Content::Aggregator(aggregator) = configuration(&dir.join("aggregator.toml"))? else {
        bail!("{} is for another process", dir.join("aggregator.toml").display());
    };
    let Content::Agent(agent) = configuration(&dir.join("agent.toml"))? else {
        bail!("{} is for another process", dir.join("agent.toml").display());
    };
    // The aggregator stops after the agent, not with it.
    let stop = CancellationToken::new();
    let aggregator = orgtrail_aggregator::App::build(*aggregator, clock::system(), stop.clone()).await?;
    let agent =
        orgtrail_agent::App::build(*agent, orgtrail_agent::Options { once: true, ..Default::default() }).await?;
    let bar = progress("delivered", manifest.files_total());
    let mut delivered = agent.progress();
    let show = async {
        while delivered.changed().await.is_ok() {
            let now = *delivered.borrow_and_update();
            bar.set_length(now.listed.max(1));
            bar.set_position(now.delivered + now.skipped + now.quarantined);
        }
        std::future::pending::<()>().await
    };
    let agent = async {
        let outcome = agent.run(cancel).await;
        stop.cancel();
        outcome
    };
    let both = async { tokio::join!(agent, aggregator.run()) };
    // Cancel-safe: `show` only draws.
    let (outcome, aggregated) = tokio::select! {
        ended = both => ended,
        () = show => bail!("the progress display ended"),
    };
    bar.finish_and_clear();
    aggregated?;
    outcome
}

fn configuration(path: &Path) -> anyhow::Result<Content> {
    let file = load_file(path)?.map_err(|problem| anyhow::anyhow!("{problem}"))?;
    Ok(file.content)
}

/// The quarantined objects, named from the sources' folder on.
fn quarantined(dir: &Path, outcome: &Outcome) -> String {
    let sources = format!("file://{}/", dir.join("sources").display());
    let row = |object: &orgtrail_agent::QuarantinedObject| {
        let name = object.subject.strip_prefix(&sources).unwrap_or(&object.subject);
        vec![object.reason.clone(), name.to_owned()]
    };
    table(2, &["REASON", "OBJECT"], outcome.quarantined.iter().map(row).collect())
}

/// Compares what was delivered with what was made.
fn report(dir: &Path, manifest: &Manifest, outcome: &Outcome) -> anyhow::Result<()> {
    let now: Timestamp = clock::system().now();
    for name in ["agent.toml", "aggregator.toml"] {
        let file = load_file(&dir.join(name))?.map_err(|problem| anyhow::anyhow!("{problem}"))?;
        println!("{}\n", status::report(&file, now)?.summary);
    }
    println!("In quarantine, for a person to look at:\n{}\n", quarantined(dir, outcome));
    let delivered = event_ids(&dir.join("org-trail")).context("read the delivered trail")?;
    let doubled = delivered.counts.values().filter(|count| **count > 1).count();
    ensure!(
        delivered.unique() >= manifest.records && doubled == 0,
        "the trail holds {} different records ({doubled} twice), the deliveries {}",
        delivered.unique(),
        manifest.records
    );
    println!(
        "Checked: the trail's {} files hold each of the {} different records that were delivered exactly once.\n",
        count(delivered.files),
        count(delivered.unique()),
    );
    Ok(())
}

/// Says what to try next.
fn next(dir: &Path, given: &Path) {
    let given = given.display();
    // As it was called, so that the lines can be copied from a first `cargo run`, too.
    let orgtrail = std::env::args().next().unwrap_or_else(|| "orgtrail".to_owned());
    println!(
        "The organization trail: {}/AWSLogs/{ORGANIZATION}\n\nTry next:\n  \
         {orgtrail} status --config {given}\n  \
         {orgtrail} validate-logs --config {given}\n  \
         {orgtrail} quarantine list --config {given}\n  \
         {orgtrail} query --config {given}   # a shell; --samples lists what else to ask\n  \
         {orgtrail} lookup-events --config {given} --lookup-attributes AttributeKey=EventName,AttributeValue=ConsoleLogin\n  \
         {orgtrail} up --config {given}      # keep running; copy more files into {given}/sources\n  \
         {orgtrail} config check {given}/*.toml",
        dir.join("org-trail").display()
    );
}
