//! `orgtrail backfill`: take the days of a source that lie before its live listings.
//!
//! Owns what a person sees of a backfill: its plan, its progress, its account. The agent does the work (`agent::backfill`).

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::bail;
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use jiff::civil::Date;
use orgtrail_agent::Config;
use orgtrail_agent::backfill::job::{Job, Range, Rate, State};
use orgtrail_service::clock;
use orgtrail_service::jobs::Jobs;
use orgtrail_service::run::Exit;
use orgtrail_service::shape::Bytes;

use crate::jobs;
use crate::setup::{Content, load};
use crate::terminal::{age, count, end, progress, table};

/// Take the days of a source that lie before its live listings, in a lane below everything live.
///
/// Live listings begin where the source's `start` says; a backfill takes what lies before, newest days first. Days that are
/// live, or that an earlier backfill took, are passed over, so asking twice takes nothing twice. The running agent does the
/// work, and goes on with it after a restart. Records land under their own dates; log groups get them with --log-groups
/// only. With --plan nothing is taken: objects, bytes, requests and their cost are told.
///
/// Exit codes: 0 done, 1 failed or cancelled, or the agent doesn't run, 2 done, but some objects are in quarantine.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Configuration file, or folder with configuration files, of the agent.
    #[arg(long, value_name = "DIR|FILE")]
    config: PathBuf,
    /// The source, by its name or location as `orgtrail status` shows them.
    #[arg(long, value_name = "NAME", required_unless_present_any = ["list", "follow", "cancel"])]
    source: Option<String>,
    /// First day, UTC, as in the keys: 2026-01-01.
    #[arg(long, value_name = "DAY", required_unless_present_any = ["list", "follow", "cancel"])]
    from: Option<Date>,
    /// The day after the last one.
    #[arg(long, value_name = "DAY", required_unless_present_any = ["list", "follow", "cancel"])]
    to: Option<Date>,
    /// Only this account; may be given more than once.
    #[arg(long, value_name = "ID")]
    account: Vec<String>,
    /// Only this region; may be given more than once.
    #[arg(long, value_name = "REGION")]
    region: Vec<String>,
    /// At most so fast: 200/s for objects, 5MB/s for gzip bytes. Default: as fast as the source's limits and live traffic
    /// allow.
    #[arg(long, value_name = "RATE")]
    rate: Option<Rate>,
    /// Log groups get the records too.
    #[arg(long)]
    log_groups: bool,
    /// Take nothing: tell what there is to do, and what it costs.
    #[arg(long)]
    plan: bool,
    /// Who asks; stands in the job's file.
    #[arg(long, value_name = "NAME")]
    by: Option<String>,
    /// Don't wait for the end.
    #[arg(long)]
    detach: bool,
    /// The backfills that are not over, and the last ones that are.
    #[arg(long, conflicts_with_all = ["source", "from", "to", "plan", "detach", "follow", "cancel"])]
    list: bool,
    /// Wait for the end of a backfill that was asked for before.
    #[arg(long, value_name = "ID", conflicts_with_all = ["source", "from", "to", "plan", "detach", "cancel"])]
    follow: Option<String>,
    /// Stop a backfill. What was handed on by then is delivered all the same; the next one goes on from there.
    #[arg(long, value_name = "ID", conflicts_with_all = ["source", "from", "to", "plan", "detach"])]
    cancel: Option<String>,
    /// JSON: one job, or with --list all.
    #[arg(long)]
    json: bool,
}

/// Runs the verb.
pub fn run(arguments: &Arguments) -> ExitCode {
    end(backfill(arguments))
}

fn backfill(arguments: &Arguments) -> anyhow::Result<Exit> {
    let agents = agents(&arguments.config)?;
    let dirs: Vec<_> = agents.iter().map(|config| config.state_dir.as_path()).collect();
    if arguments.list {
        return list(&dirs, arguments.json);
    }
    if let Some(id) = &arguments.cancel {
        jobs::cancel::<Job>(&dirs, id)?;
        return Ok(Exit::Ok);
    }
    if let Some(id) = &arguments.follow {
        let (index, job) = jobs::find(&dirs, id)?;
        return follow(dirs[index], job, arguments.json);
    }
    let job = job(arguments)?;
    let state_dir = &agent_of(&agents, &job.range.source)?.state_dir;
    Jobs::of(state_dir).submit(&job)?;
    if arguments.detach {
        print(&job, arguments.json)?;
        return Ok(Exit::Ok);
    }
    follow(state_dir, job, arguments.json)
}

fn job(arguments: &Arguments) -> anyhow::Result<Job> {
    let (Some(source), Some(from), Some(to)) = (&arguments.source, arguments.from, arguments.to) else {
        bail!("--source, --from and --to say what to take");
    };
    if from >= to {
        bail!("--from {from} is not before --to {to}, which is the day after the last one");
    }
    let (accounts, regions) = (arguments.account.clone(), arguments.region.clone());
    let range = Range { source: source.clone(), from, to, accounts, regions };
    let mut job = Job::new(range, clock::system().now())?;
    job.rate = arguments.rate;
    job.log_groups = arguments.log_groups;
    job.plan_only = arguments.plan;
    job.requested_by.clone_from(&arguments.by);
    Ok(job)
}

fn agents(config: &Path) -> anyhow::Result<Vec<Config>> {
    let files = load(config)?.into_iter();
    let found: Vec<_> = files
        .filter_map(|file| match file.content {
            Content::Agent(config) => Some(*config),
            _ => None,
        })
        .collect();
    if found.is_empty() {
        bail!("{}: no agent's configuration file", config.display());
    }
    Ok(found)
}

/// The agent that has the source. With one agent it is that one: it knows the sources of its organizations too.
fn agent_of<'c>(agents: &'c [Config], source: &str) -> anyhow::Result<&'c Config> {
    if let [only] = agents {
        return Ok(only);
    }
    let has = |config: &&Config| {
        let named = |one: &orgtrail_agent::Source| {
            one.name() == source || one.location.as_ref().is_some_and(|location| location.to_string() == source)
        };
        config.sources.iter().any(named)
    };
    let mut with = agents.iter().filter(has);
    match (with.next(), with.next()) {
        (Some(only), None) => Ok(only),
        _ => bail!("not exactly one agent has a source {source}: name the file of one with --config"),
    }
}

fn list(dirs: &[&Path], json: bool) -> anyhow::Result<Exit> {
    let (jobs, damaged) = jobs::all::<Job>(dirs)?;
    if json {
        println!("{}", serde_json::to_string_pretty(&jobs)?);
    } else if jobs.is_empty() {
        println!("no backfills");
    } else {
        let row = |job: &Job| {
            vec![
                job.id.clone(),
                state(job).to_owned(),
                job.range.source.clone(),
                job.range.from.to_string(),
                job.range.to.to_string(),
                count(job.plan.objects),
                count(job.progress.objects),
                count(job.progress.quarantined),
            ]
        };
        let header = ["ID", "STATE", "SOURCE", "FROM", "TO", "PLANNED", "TAKEN", "QUARANTINED"];
        println!("{}", table(5, &header, jobs.iter().map(row).collect()));
    }
    Ok(if damaged { Exit::Partial } else { Exit::Ok })
}

/// Waits for the job's end, with a progress bar.
fn follow(state_dir: &Path, job: Job, json: bool) -> anyhow::Result<Exit> {
    let bar = progress("backfill", 1);
    let style = ProgressStyle::with_template("{bar:30} {percent:>3}%  {elapsed}  {msg}");
    bar.set_style(style.expect("the template is a constant"));
    let job = jobs::follow(state_dir, job, &bar, show)?;
    print(&job, json)?;
    Ok(match job.state {
        State::Failed | State::Cancelled => Exit::Failed,
        _ if job.progress.quarantined > 0 => Exit::Partial,
        _ => Exit::Ok,
    })
}

fn show(bar: &ProgressBar, job: &Job) {
    let Job { plan, progress, .. } = job;
    bar.set_length(plan.objects.max(1));
    bar.set_position(progress.objects.min(plan.objects));
    let mut message = match job.state {
        State::Planning => format!("{} objects so far, {}", count(plan.objects), Bytes(plan.bytes)),
        State::Running => {
            let (taken, all) = (count(progress.objects), count(plan.objects));
            format!("{taken} of {all} objects, {}, {}", Bytes(progress.bytes), dollars(progress.dollars))
        }
        _ => state(job).to_owned(),
    };
    if let Some(seconds) = progress.eta_seconds {
        message += &format!(", {} left", age(i64::try_from(seconds).unwrap_or(i64::MAX)));
    }
    if let Some(what) = &progress.waits_for {
        message += &format!("; waits for {what}");
    }
    bar.set_message(message);
}

fn print(job: &Job, json: bool) -> anyhow::Result<()> {
    if json {
        println!("{}", serde_json::to_string_pretty(job)?);
    } else {
        println!("{}", account(job)?);
    }
    Ok(())
}

/// What became of a job, for a person.
fn account(job: &Job) -> anyhow::Result<String> {
    let Job { range, plan, progress, .. } = job;
    let mut text = format!("backfill {} of {}: {}", job.id, range.source, state(job));
    if let Some(error) = &job.error {
        write!(text, ": {error}")?;
    }
    write!(text, "\n  range     {} to before {}", range.from, range.to)?;
    if job.state == State::Queued {
        write!(text, "\n  follow    orgtrail backfill --follow {}", job.id)?;
        return Ok(text);
    }
    let left = plan.days - plan.days_live - plan.days_taken;
    let (all, live, before) = (count(plan.days), count(plan.days_live), count(plan.days_taken));
    write!(text, "\n  days      {all} day folders: {} to take, {live} live, {before} taken before", count(left))?;
    write!(text, "\n  objects   {} to take, {}", count(plan.objects), Bytes(plan.bytes))?;
    write!(text, " in {} accounts and regions", count(plan.places))?;
    let (gets, lists) = (count(plan.objects), count(plan.lists + plan.lists_to_take));
    write!(text, "\n  requests  {gets} GET and {lists} LIST, about {} in us-east-1", dollars(plan.dollars))?;
    if let Some(seconds) = plan.eta_seconds.filter(|_| job.plan_only) {
        write!(text, "\n  time      about {}", age(i64::try_from(seconds).unwrap_or(i64::MAX)))?;
    }
    if !job.plan_only {
        let (taken, delivered) = (count(progress.objects), count(progress.delivered));
        let (quarantined, skipped) = (count(progress.quarantined), count(progress.skipped));
        write!(text, "\n  taken     {taken} objects, {}", Bytes(progress.bytes))?;
        write!(text, "\n  settled   {delivered} delivered, {quarantined} in quarantine, {skipped} passed over")?;
    }
    Ok(text)
}

fn dollars(amount: f64) -> String {
    format!("${amount:.4}")
}

fn state(job: &Job) -> &'static str {
    match job.state {
        State::Queued => "queued",
        State::Planning => "planning",
        State::Running => "running",
        State::Done if job.plan_only => "planned",
        State::Done => "done",
        State::Failed => "failed",
        State::Cancelled => "cancelled",
    }
}
