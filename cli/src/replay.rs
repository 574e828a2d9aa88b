//! `orgtrail replay`: delivers again what a trail holds, to a destination that was added later or lost what it had.
//!
//! The verb writes a job into the aggregator's state folder and follows it there; the aggregator does the work, now or when it
//! is started. Ending the verb ends nothing.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use orgtrail_aggregator::Config;
use orgtrail_aggregator::replay::job::{Job, State};
use orgtrail_service::clock;
use orgtrail_service::jobs::Jobs;
use orgtrail_service::run::Exit;

use crate::jobs;
use crate::setup::{Content, load};
use crate::terminal::{count, end, progress, table};

/// Deliver again what a trail's bucket holds, to a destination that was added later or lost what it had.
///
/// A trail's own objects are read, from `--from` on and before `--to` by the times in their names, and go through the
/// aggregator once more, for that one destination only. Doing it twice doubles nothing in a bucket; CloudWatch Logs keeps
/// every event that it is sent.
///
/// Exit codes: 0 done, 1 failed, or the aggregator doesn't run, 2 done, but some objects could not be read or not whole.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Configuration file, or folder with configuration files, of the aggregator.
    #[arg(long, value_name = "DIR|FILE")]
    config: PathBuf,
    /// The trail whose objects are read.
    #[arg(long, value_name = "NAME", required_unless_present_any = ["list", "follow", "cancel"])]
    trail: Option<String>,
    /// First moment: a day (2026-03-01, from midnight UTC) or a time (2026-03-01T10:00:00Z).
    #[arg(long, value_name = "TIME", value_parser = moment, required_unless_present_any = ["list", "follow", "cancel"])]
    from: Option<Timestamp>,
    /// The moment after the last one.
    #[arg(long, value_name = "TIME", value_parser = moment, required_unless_present_any = ["list", "follow", "cancel"])]
    to: Option<Timestamp>,
    /// Who gets them: another trail, or NAME/cloudwatch for a trail's log group. Default: the trail's own log group.
    #[arg(long, value_name = "NAME[/cloudwatch]")]
    destination: Option<String>,
    /// Who asks; stands in the job's file.
    #[arg(long, value_name = "NAME")]
    by: Option<String>,
    /// Don't wait for the end.
    #[arg(long)]
    detach: bool,
    /// The replays that are not over, and the last ones that are.
    #[arg(long, conflicts_with_all = ["trail", "from", "to", "destination", "by", "detach", "follow", "cancel"])]
    list: bool,
    /// Wait for the end of a replay that was asked for before.
    #[arg(long, value_name = "ID", conflicts_with_all = ["trail", "from", "to", "destination", "by", "detach", "cancel"])]
    follow: Option<String>,
    /// Stop a replay. What was in the journal by then is delivered all the same.
    #[arg(long, value_name = "ID", conflicts_with_all = ["trail", "from", "to", "destination", "by", "detach"])]
    cancel: Option<String>,
    /// JSON: one job, or with --list all.
    #[arg(long)]
    json: bool,
}

/// Runs the verb.
pub fn run(arguments: &Arguments) -> ExitCode {
    end(replay(arguments))
}

fn moment(text: &str) -> Result<Timestamp, String> {
    let midnight = |day: Date| day.to_zoned(TimeZone::UTC).ok().map(|zoned| zoned.timestamp());
    let day = text.parse::<Date>().ok().filter(|_| text.len() == "2026-03-01".len()).and_then(midnight);
    day.or_else(|| text.parse().ok()).ok_or_else(|| {
        "write a day such as 2026-03-01, or a time with its zone such as 2026-03-01T10:00:00Z".to_owned()
    })
}

fn replay(arguments: &Arguments) -> anyhow::Result<Exit> {
    let aggregators = aggregators(&arguments.config)?;
    let dirs: Vec<_> = aggregators.iter().map(|config| config.state_dir.as_path()).collect();
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
    let (Some(trail), Some(from), Some(to)) = (&arguments.trail, arguments.from, arguments.to) else {
        bail!("--trail, --from and --to say what to deliver again");
    };
    if from >= to {
        bail!("--from {from} is not before --to {to}");
    }
    let config = aggregator_of(&aggregators, trail)?;
    let destination = destination(config, trail, arguments.destination.as_deref())?;
    let mut job = Job::new(trail, &destination, (from, to), clock::system().now())?;
    job.requested_by.clone_from(&arguments.by);
    Jobs::of(&config.state_dir).submit(&job)?;
    if arguments.detach {
        print(&job, arguments.json)?;
        return Ok(Exit::Ok);
    }
    follow(&config.state_dir, job, arguments.json)
}

fn aggregators(config: &Path) -> anyhow::Result<Vec<Config>> {
    let files = load(config)?.into_iter();
    let found: Vec<_> = files
        .filter_map(|file| match file.content {
            Content::Aggregator(config) => Some(*config),
            _ => None,
        })
        .collect();
    if found.is_empty() {
        bail!("{}: no aggregator's configuration file", config.display());
    }
    Ok(found)
}

fn aggregator_of<'c>(aggregators: &'c [Config], trail: &str) -> anyhow::Result<&'c Config> {
    let mut with = aggregators.iter().filter(|config| config.trails.iter().any(|one| one.name == trail));
    let names = || {
        let names = aggregators.iter().flat_map(|config| &config.trails).map(|trail| trail.name.as_str());
        names.collect::<Vec<_>>().join(", ")
    };
    let first = with.next().with_context(|| format!("no trail is named {trail}; there are: {}", names()))?;
    if with.next().is_some() {
        bail!("more than one aggregator has a trail {trail}: name the file of one with --config");
    }
    Ok(first)
}

/// Who gets the objects, as the journal names it.
fn destination(config: &Config, trail: &str, given: Option<&str>) -> anyhow::Result<String> {
    let logs = |name: &str| format!("{name}/cloudwatch");
    let mut choices = Vec::new();
    for one in &config.trails {
        if one.name != trail {
            choices.push(one.name.clone());
        }
        choices.extend(one.cloudwatch_logs.is_some().then(|| logs(&one.name)));
    }
    let there_are = if choices.is_empty() {
        "there is none yet: add another [[trails]] table or [trails.cloudwatch_logs], and restart the aggregator"
            .to_owned()
    } else {
        format!("there are: {}", choices.join(", "))
    };
    match given {
        Some(given) if given == trail => {
            bail!("--destination {given}: the trail's own objects are what is read; {there_are}")
        }
        Some(given) if choices.iter().any(|choice| choice == given) => Ok(given.to_owned()),
        Some(given) => bail!("--destination {given}: no such destination; {there_are}"),
        None if choices.contains(&logs(trail)) => Ok(logs(trail)),
        None => {
            bail!("trail {trail} has no log group of its own: say who gets its objects with --destination; {there_are}")
        }
    }
}

fn list(dirs: &[&Path], json: bool) -> anyhow::Result<Exit> {
    let (jobs, damaged) = jobs::all::<Job>(dirs)?;
    if json {
        println!("{}", serde_json::to_string_pretty(&jobs)?);
    } else if jobs.is_empty() {
        println!("no replays");
    } else {
        let row = |job: &Job| {
            let progress = &job.progress;
            vec![
                job.id.clone(),
                state(job.state).to_owned(),
                job.trail.clone(),
                job.destination.clone(),
                job.from.to_string(),
                job.to.to_string(),
                count(progress.taken),
                count(progress.records),
                count(progress.failed),
            ]
        };
        let header = ["ID", "STATE", "TRAIL", "DESTINATION", "FROM", "TO", "OBJECTS", "RECORDS", "FAILED"];
        println!("{}", table(6, &header, jobs.iter().map(row).collect()));
    }
    Ok(if damaged { Exit::Partial } else { Exit::Ok })
}

/// Waits for the job's end, with a progress bar.
fn follow(state_dir: &Path, job: Job, json: bool) -> anyhow::Result<Exit> {
    let job = jobs::follow(state_dir, job, &bar(), show)?;
    print(&job, json)?;
    Ok(match job.state {
        State::Failed | State::Cancelled => Exit::Failed,
        _ if job.progress.failed > 0 => Exit::Partial,
        _ => Exit::Ok,
    })
}

fn bar() -> ProgressBar {
    let bar = progress("replay", 1);
    let style = ProgressStyle::with_template("{bar:30} {percent:>3}%  {elapsed}  {msg}");
    bar.set_style(style.expect("the template is a constant"));
    bar
}

fn show(bar: &ProgressBar, job: &Job) {
    let progress = &job.progress;
    bar.set_length(progress.days.max(1));
    bar.set_position(progress.days_done);
    let mut message = format!("{} objects, {} records", count(progress.taken), count(progress.records));
    let left = progress.days.saturating_sub(progress.days_done);
    match job.state {
        State::Running if left > 0 => message += &format!(", {} day folders left", count(left)),
        State::Delivering => message += &format!(", {} to be delivered", count(progress.waiting)),
        _ => {}
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
    let progress = &job.progress;
    let mut text = format!("replay {} of trail {} to {}: {}", job.id, job.trail, job.destination, state(job.state));
    if let Some(error) = &job.error {
        write!(text, ": {error}")?;
    }
    write!(text, "\n  range    {} to before {}", job.from, job.to)?;
    if job.state == State::Queued {
        write!(text, "\n  follow   orgtrail replay --follow {}", job.id)?;
        return Ok(text);
    }
    write!(
        text,
        "\n  objects  {} listed, {} delivered again, {} failed; {} others are no log files",
        count(progress.listed),
        count(progress.taken),
        count(progress.failed),
        count(progress.skipped)
    )?;
    write!(text, "\n  records  {} read, {} filtered", count(progress.records), count(progress.filtered))?;
    for failure in &progress.failures {
        write!(text, "\n  failed   {}: {}", failure.key, failure.why)?;
    }
    let unnamed = progress.failed - (progress.failures.len() as u64).min(progress.failed);
    if unnamed > 0 {
        write!(text, "\n  failed   and {} more", count(unnamed))?;
    }
    Ok(text)
}

fn state(state: State) -> &'static str {
    match state {
        State::Queued => "queued",
        State::Running => "running",
        State::Delivering => "delivering",
        State::Done => "done",
        State::Failed => "failed",
        State::Cancelled => "cancelled",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(text: &str) -> Config {
        let head = "state_dir = \"/s\"\nlisten = \"127.0.0.1:1\"\n";
        toml::from_str(&format!("{head}{text}")).expect("a configuration")
    }

    #[test]
    fn a_day_begins_at_midnight_utc_and_a_time_needs_its_zone() {
        for (text, same) in
            [("2026-03-01", "2026-03-01T00:00:00Z"), ("2026-03-01T10:00:00+01:00", "2026-03-01T09:00:00Z")]
        {
            assert_eq!(moment(text).map(|time| time.to_string()), Ok(same.to_owned()));
        }
        for text in ["2026-03-01T10:00:00", "yesterday", "2026-13-01", ""] {
            assert!(moment(text).is_err(), "{text}");
        }
    }

    #[test]
    fn the_destination_is_the_trails_log_group_or_must_be_named() {
        let one = config("[[trails]]\nname = \"a\"\nlocation = \"file:///a\"\n");
        let error = destination(&one, "a", None).expect_err("there is none").to_string();
        assert!(error.contains("add another [[trails]]"), "{error}");
        let two = config(
            "[[trails]]\nname = \"a\"\nlocation = \"file:///a\"\n[trails.cloudwatch_logs]\nlocation = \"file:///l\"\n\
             [[trails]]\nname = \"b\"\nlocation = \"file:///b\"\n",
        );
        assert_eq!(destination(&two, "a", None).expect("its own"), "a/cloudwatch");
        assert_eq!(destination(&two, "a", Some("b")).expect("another"), "b");
        assert_eq!(destination(&two, "b", Some("a")).expect("another"), "a");
        for (trail, given, what) in [
            ("b", None, "there are: a, a/cloudwatch"),
            ("a", Some("a"), "the trail's own objects are what is read; there are: a/cloudwatch, b"),
            ("a", Some("b/cloudwatch"), "no such destination"),
        ] {
            let error = destination(&two, trail, given).expect_err("refused").to_string();
            assert!(error.contains(what), "{error}");
        }
    }

    #[test]
    fn a_trail_is_found_or_the_others_are_named() {
        let aggregators = [config("[[trails]]\nname = \"a\"\nlocation = \"file:///a\"\n")];
        assert!(aggregator_of(&aggregators, "a").is_ok());
        let error = aggregator_of(&aggregators, "b").expect_err("none").to_string();
        assert!(error.contains("there are: a"), "{error}");
    }
}
