//! `orgtrail validate-logs`: what `aws cloudtrail validate-logs` does, on all processors, offline where wanted, for every
//! account and region at once, and with the checks that the AWS CLI leaves out.
//!
//! Owns the command line and the order of chains. [`target`] says what to validate, [`find`] finds digests, [`chain`]
//! validates those of one account and region, by the way that [`walk`] goes; [`text`] and [`json`] tell. Changes nothing
//! anywhere.

mod chain;
mod continuity;
mod fetch;
mod find;
mod finding;
mod in_order;
mod json;
pub(crate) mod keys;
mod place;
mod tally;
mod target;
mod text;
mod time;
mod walk;

use std::collections::VecDeque;
use std::io::{self, BufWriter, StdoutLock, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, ensure};
use clap::Args;
use jiff::Timestamp;
use orgtrail_cloud::Location;
use orgtrail_event::key::Folder;
use orgtrail_service::clock;
use orgtrail_service::run::Exit;
use orgtrail_service::workers::Workers;
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::task::JoinSet;

use self::chain::{Range, Validation};
use self::fetch::Reader;
use self::find::{Chain, Keys, Wanted, chains, folders};
use self::finding::Event;
use self::json::Json;
use self::place::Place;
use self::tally::Tally;
use self::target::Target;
use self::text::Text;
use crate::terminal::{end, progress};

/// Folders of digests, one an account and region, that are validated at once.
const FOLDERS: usize = 8;

/// Results of a folder that wait for those before it to be told, a hundred or so each.
const TOLD_AHEAD: usize = 16;

/// CloudTrail began in November 2013: no digest is older.
const FIRST_DIGEST: &str = "2013-11-01T00:00:00Z";

/// Validate log files and digests: AWS's trails and our own, where they lie or as copies elsewhere.
///
/// Prints what `aws cloudtrail validate-logs` prints, and below it what that does not look for.
///
/// Exit codes: 0 all is valid, 1 something is INVALID or could not be validated.
#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("what").required(true).args(["trail_arn", "config", "location"]))]
pub struct Arguments {
    /// The trail's ARN, as the AWS CLI takes it.
    #[arg(long, value_name = "ARN")]
    trail_arn: Option<String>,
    /// Configuration file or folder with an aggregator's trails; keys come from its state folder.
    #[arg(long, value_name = "DIR|FILE")]
    config: Option<PathBuf>,
    /// Where digests and log files lie, s3://bucket/prefix or file:///folder. Trail, organization and home region are
    /// learned from what is there. Copies that were moved are accepted.
    #[arg(long, value_name = "URL")]
    location: Option<Location>,
    /// The trail's name, where there are several.
    #[arg(long, value_name = "NAME", conflicts_with = "trail_arn")]
    trail: Option<String>,
    /// Validate digests that end at or after this time (UTC), such as 2026-03-01T10:00:00Z. Default with --config and
    /// --location: from the first on.
    #[arg(long, value_name = "TIME", value_parser = time::parse, required_unless_present_any = ["config", "location"])]
    start_time: Option<Timestamp>,
    /// Validate up to this time. Default: now.
    #[arg(long, value_name = "TIME", value_parser = time::parse)]
    end_time: Option<Timestamp>,
    /// The bucket. Default: CloudTrail is asked (DescribeTrails).
    #[arg(long, value_name = "BUCKET", requires = "trail_arn")]
    s3_bucket: Option<String>,
    /// The key prefix in the bucket.
    #[arg(long, value_name = "PREFIX", requires = "trail_arn")]
    s3_prefix: Option<String>,
    /// Only this account; can be given several times. Default: the ARN's, else all that are found.
    #[arg(long, value_name = "ID")]
    account_id: Vec<String>,
    /// Only the log files of this region; can be given several times. Default: the ARN's, else all that are found.
    #[arg(long, value_name = "REGION")]
    region: Vec<String>,
    /// What `aws cloudtrail list-public-keys` printed, instead of asking CloudTrail.
    #[arg(long, value_name = "FILE")]
    public_keys: Option<PathBuf>,
    /// Accept copies under another bucket or prefix than they were delivered to (with --location always).
    #[arg(long)]
    moved: bool,
    /// Log files that no digest lists are INVALID too.
    #[arg(long)]
    strict: bool,
    /// Tell valid files too, and the source digests that vouch for them.
    #[arg(long)]
    verbose: bool,
    /// One JSON document.
    #[arg(long, conflicts_with = "verbose")]
    json: bool,
}

/// Runs the verb.
pub fn run(arguments: Arguments) -> ExitCode {
    end(start(&arguments))
}

fn start(arguments: &Arguments) -> anyhow::Result<Exit> {
    let now = clock::system().now();
    let start = arguments.start_time.unwrap_or_else(|| FIRST_DIGEST.parse().expect("a time"));
    let range = Range { start, end: arguments.end_time.unwrap_or(now), now };
    ensure!(range.start <= range.end, "--start-time must not be after --end-time");
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("start the runtime")?;
    runtime.block_on(validate(arguments, range))
}

async fn validate(arguments: &Arguments, range: Range) -> anyhow::Result<Exit> {
    let target = Target::of(arguments).await?;
    let place = Place::open(&target.location, target.connection, target.moved).await?;
    let workers = Workers::start("validate")?;
    let reader = Arc::new(Reader { place, keys: target.keys, workers });
    let out = BufWriter::new(io::stdout().lock());
    let mut report = match arguments.json {
        true => Report::Json(Json::begin(out, &target.what, range)?),
        false => {
            let bar = progress("digests", 0);
            Report::Text(Text::begin(out, io::stderr(), &target.what, range, arguments.verbose, bar)?)
        }
    };
    let mut tally = Tally::new(range);
    let folders = folders(reader.place.store().as_ref(), &target.wanted).await?;
    let chains = tell_all(&reader, &folders, &target.wanted, range, &mut report, &mut tally).await?;
    report.end(&tally, range, chains)?;
    let invalid = tally.is_invalid() || (arguments.strict && tally.warnings > 0) || folders.is_empty();
    if folders.is_empty() {
        let wanted = "there is no folder AWSLogs/…/CloudTrail-Digest/ of such an account and region";
        writeln!(io::stderr(), "orgtrail: nothing to validate at {}: {wanted}", target.location)?;
    }
    Ok(if invalid { Exit::Failed } else { Exit::Ok })
}

/// Validates folders, some at once, and tells what comes of them one after the other. Gives the number of chains.
async fn tell_all(
    reader: &Arc<Reader>,
    folders: &[Folder],
    wanted: &Wanted,
    range: Range,
    report: &mut Report,
    tally: &mut Tally,
) -> anyhow::Result<usize> {
    let (mut running, mut told, mut chains) = (JoinSet::new(), VecDeque::<Receiver<_>>::new(), 0);
    let mut waiting = folders.iter();
    loop {
        while told.len() < FOLDERS
            && let Some(folder) = waiting.next()
        {
            let (sender, receiver) = channel(TOLD_AHEAD);
            told.push_back(receiver);
            running.spawn(validate_folder(Arc::clone(reader), folder.clone(), wanted.clone(), range, sender));
        }
        let Some(mut first) = told.pop_front() else { break };
        while let Some(events) = first.recv().await {
            let events: Vec<Event> = events?;
            for event in &events {
                if matches!(event, Event::Listed(_)) {
                    chains += 1;
                }
                tally.count(event);
                report.tell(event)?;
            }
        }
    }
    while let Some(ended) = running.join_next().await {
        ended.context("validate a folder")?;
    }
    Ok(chains)
}

/// Validates the chains of a folder. An error is told like an event, and is the last.
async fn validate_folder(
    reader: Arc<Reader>,
    folder: Folder,
    wanted: Wanted,
    range: Range,
    told: Sender<anyhow::Result<Vec<Event>>>,
) {
    let validated = async {
        let store = Arc::clone(reader.place.store());
        let mut found = chains(store.as_ref(), &folder, &wanted, range.start, range.end).await?;
        if found.is_empty() {
            let trail = wanted.trail.clone().unwrap_or_default();
            let home_region = wanted.home_region.clone().unwrap_or_default();
            found.insert(Chain { folder, trail, home_region }, Keys::default());
        }
        for (chain, keys) in found {
            Validation::new(Arc::clone(&reader), chain, range, told.clone()).run(keys).await?;
        }
        anyhow::Ok(())
    };
    if let Err(error) = Box::pin(validated).await {
        // Nobody hears it when the run has ended with another error.
        drop(told.send(Err(error)).await);
    }
}

/// How it is told.
enum Report {
    Text(Text<BufWriter<StdoutLock<'static>>, io::Stderr>),
    Json(Json<BufWriter<StdoutLock<'static>>>),
}

impl Report {
    fn tell(&mut self, event: &Event) -> io::Result<()> {
        match self {
            Self::Text(text) => text.tell(event),
            Self::Json(json) => json.tell(event),
        }
    }

    fn end(self, tally: &Tally, range: Range, chains: usize) -> io::Result<()> {
        match self {
            Self::Text(text) => text.end(tally, range, chains),
            Self::Json(json) => json.end(tally, chains),
        }
    }
}
